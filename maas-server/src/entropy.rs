//! Random ids, keys and credentials, and passwords that are stored as hashes only.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use subtle::ConstantTimeEq;

use maas_core::id::SystemId;
use maas_core::machine::NodeCredentials;
use maas_core::secret::Secret;

/// The digits of keys.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The length of consumer and token keys (MAAS API 2.0).
pub const KEY_LENGTH: usize = 18;

/// The length of token secrets (MAAS API 2.0).
pub const SECRET_LENGTH: usize = 32;

/// The longest password in bytes; hashing takes time for every byte of it.
pub const MAX_PASSWORD: usize = 1024;

/// Why no randomness, or no hash, could be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntropyError {
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes")]
    Unavailable(#[source] getrandom::Error),
    /// The password is longer than [`MAX_PASSWORD`].
    #[error("the password has {found} bytes, at most {MAX_PASSWORD} are possible")]
    PasswordTooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// The hash function refused.
    #[error("the password cannot be hashed")]
    Hash(#[source] argon2::password_hash::Error),
}

/// A random number.
///
/// # Errors
///
/// [`EntropyError::Unavailable`].
pub fn number() -> Result<u64, EntropyError> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// A random system id; whether it is free, the store decides.
///
/// # Errors
///
/// [`EntropyError::Unavailable`].
pub fn system_id() -> Result<SystemId, EntropyError> {
    Ok(SystemId::from_entropy(number()?))
}

/// A random text of `length` letters and digits, each of the 62 equally likely.
///
/// # Errors
///
/// [`EntropyError::Unavailable`].
pub fn letters_and_digits(length: usize) -> Result<String, EntropyError> {
    // 248 is the largest multiple of 62 in a byte: what lies above would favour the first digits.
    const FAIR: u8 = 248;
    let mut text = String::with_capacity(length);
    // Enough for a machine's credentials at once, nearly always.
    let mut bytes = [0; 96];
    while text.len() < length {
        fill(&mut bytes)?;
        let digits = bytes
            .iter()
            .filter(|&&byte| byte < FAIR)
            .map(|&byte| char::from(ALPHABET[usize::from(byte % 62)]));
        text.extend(digits.take(length - text.len()));
    }
    Ok(text)
}

/// A random consumer or token key.
///
/// # Errors
///
/// [`EntropyError::Unavailable`].
pub fn key() -> Result<String, EntropyError> {
    letters_and_digits(KEY_LENGTH)
}

/// A random token secret.
///
/// # Errors
///
/// [`EntropyError::Unavailable`].
pub fn token_secret() -> Result<Secret<String>, EntropyError> {
    letters_and_digits(SECRET_LENGTH).map(Secret::new)
}

/// Fresh OAuth credentials for a machine.
///
/// # Errors
///
/// [`EntropyError::Unavailable`].
pub fn node_credentials() -> Result<NodeCredentials, EntropyError> {
    // In one: every decision on a machine is lent some.
    let mut consumer_key = letters_and_digits(2 * KEY_LENGTH + SECRET_LENGTH)?;
    let token_secret = Secret::new(consumer_key.split_off(2 * KEY_LENGTH));
    let token_key = consumer_key.split_off(KEY_LENGTH);
    Ok(NodeCredentials { consumer_key, token_key, token_secret })
}

/// The hash of a password as a PHC string (argon2id with a fresh salt).
///
/// Takes some 20 MiB and tens of milliseconds: call it on a thread that may block.
///
/// # Errors
///
/// [`EntropyError::PasswordTooLong`], or no randomness for the salt.
pub fn hash_password(password: &Secret<String>) -> Result<Secret<String>, EntropyError> {
    let bytes = password.expose().as_bytes();
    if bytes.len() > MAX_PASSWORD {
        return Err(EntropyError::PasswordTooLong { found: bytes.len() });
    }
    let mut salt = [0; 16];
    fill(&mut salt)?;
    let hash: PasswordHash =
        Argon2::default().hash_password_with_salt(bytes, &salt).map_err(EntropyError::Hash)?;
    Ok(Secret::new(hash.to_string()))
}

/// Whether a password belongs to a PHC string; a text that is none belongs to no password.
///
/// Takes as long as hashing: call it on a thread that may block.
#[must_use]
pub fn password_matches(password: &Secret<String>, hash: &Secret<String>) -> bool {
    let bytes = password.expose().as_bytes();
    bytes.len() <= MAX_PASSWORD
        && PasswordHash::new(hash.expose())
            .is_ok_and(|hash| Argon2::default().verify_password(bytes, &hash).is_ok())
}

/// Whether two secrets are equal, in a time that tells nothing of where they differ.
#[must_use]
pub fn same_secret(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

fn fill(bytes: &mut [u8]) -> Result<(), EntropyError> {
    getrandom::fill(bytes).map_err(EntropyError::Unavailable)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn keys_have_the_lengths_of_the_api_and_only_letters_and_digits() {
        let credentials = node_credentials().unwrap();
        let secret = credentials.token_secret.expose();
        assert_eq!(credentials.consumer_key.len(), 18);
        assert_eq!(credentials.token_key.len(), 18);
        assert_eq!(secret.len(), 32);
        for text in [&credentials.consumer_key, &credentials.token_key, secret] {
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{text}");
        }
        assert_ne!(credentials.consumer_key, credentials.token_key);
        assert_ne!(system_id().unwrap(), system_id().unwrap());
    }

    #[test]
    fn every_digit_is_about_equally_likely() {
        const EACH: usize = 2000;
        let mut seen = BTreeMap::<char, usize>::new();
        for digit in letters_and_digits(62 * EACH).unwrap().chars() {
            *seen.entry(digit).or_default() += 1;
        }
        assert_eq!(seen.len(), 62);
        // Seven standard deviations: fails by chance once in ten billion runs; the bias of a bare
        // modulo (25 %) would be eleven.
        for (digit, count) in seen {
            assert!(count.abs_diff(EACH) < 313, "{digit} appeared {count} times");
        }
    }

    #[test]
    fn a_password_matches_its_own_hash_only() {
        let password = Secret::new("correct horse".to_owned());
        let hash = hash_password(&password).unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$"), "{}", hash.expose());
        assert!(password_matches(&password, &hash));
        assert!(!password_matches(&Secret::new("correct hors".to_owned()), &hash));
        assert_ne!(hash, hash_password(&password).unwrap(), "the salt is fresh each time");
    }

    #[test]
    fn nothing_matches_a_text_that_is_no_hash() {
        for hash in ["", "x", "$argon2id$", "plain"] {
            let hash = Secret::new(hash.to_owned());
            assert!(!password_matches(&hash, &hash));
        }
    }

    #[test]
    fn a_password_without_end_is_refused() {
        let long = Secret::new("x".repeat(MAX_PASSWORD + 1));
        assert!(matches!(hash_password(&long), Err(EntropyError::PasswordTooLong { found: 1025 })));
    }

    #[test]
    fn secrets_are_the_same_only_when_all_bytes_are() {
        assert!(same_secret("abc", "abc"));
        assert!(!same_secret("abc", "abd"));
        assert!(!same_secret("abc", "abcd"));
        assert!(same_secret("", ""));
    }
}
