//! SHA-2 digests that name and check content.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// The SHA-256 of some bytes; it names a blob in the store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256([u8; 32]);

/// The SHA-512 of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha512([u8; 64]);

/// A digest that an item carries. MD5 is not accepted as a proof of content anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Digest {
    /// From the field `sha256`.
    Sha256(Sha256),
    /// From the field `sha512`.
    Sha512(Sha512),
}

/// A text that is not the hexadecimal form of the digest that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {kind} digest is {digits} hexadecimal digits")]
#[non_exhaustive]
pub struct DigestError {
    /// `sha256`, `sha512` or `md5`.
    pub kind: &'static str,
    /// How many digits that kind has.
    pub digits: usize,
}

fn decode(text: &str, bytes: &mut [u8], kind: &'static str) -> Result<(), DigestError> {
    let digits = bytes.len() * 2;
    let wrong = || DigestError { kind, digits };
    if text.len() != digits {
        return Err(wrong());
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16).ok_or_else(wrong)?;
        let low = char::from(pair[1]).to_digit(16).ok_or_else(wrong)?;
        *byte = u8::try_from(high * 16 + low).map_err(|_| wrong())?;
    }
    Ok(())
}

fn encode(bytes: &[u8], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // At once and not byte by byte: a sync of many files makes many paths of digests.
    let mut text = [0; 128];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    let text = text.get(..bytes.len() * 2).unwrap_or_default();
    formatter.write_str(std::str::from_utf8(text).unwrap_or_default())
}

/// Whether `text` has the form of an MD5 digest, which documents may carry but nothing relies on.
pub(crate) fn is_md5(text: &str) -> Result<(), DigestError> {
    decode(text, &mut [0; 16], "md5")
}

impl Sha256 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The digest that a finished hasher yields.
    pub(crate) fn from_hasher(hasher: sha2::Sha256) -> Self {
        Self(hasher.finalize().into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Sha512 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha512::digest(bytes).into())
    }

    /// The digest that a finished hasher yields.
    pub(crate) fn from_hasher(hasher: sha2::Sha512) -> Self {
        Self(hasher.finalize().into())
    }
}

impl Digest {
    /// The digest of `bytes` in the same kind as this one.
    pub fn same_kind_of(&self, bytes: &[u8]) -> Self {
        match self {
            Self::Sha256(_) => Self::Sha256(Sha256::of(bytes)),
            Self::Sha512(_) => Self::Sha512(Sha512::of(bytes)),
        }
    }
}

impl FromStr for Sha256 {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        decode(text, &mut bytes, "sha256")?;
        Ok(Self(bytes))
    }
}

impl FromStr for Sha512 {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 64];
        decode(text, &mut bytes, "sha512")?;
        Ok(Self(bytes))
    }
}

impl From<Sha256> for String {
    fn from(digest: Sha256) -> Self {
        digest.to_string()
    }
}

impl From<Sha512> for String {
    fn from(digest: Sha512) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Sha512 {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl TryFrom<String> for Sha256 {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        encode(&self.0, formatter)
    }
}

impl fmt::Display for Sha512 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        encode(&self.0, formatter)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => digest.fmt(formatter),
            Self::Sha512(digest) => digest.fmt(formatter),
        }
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sha256({self})")
    }
}

impl fmt::Debug for Sha512 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sha512({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_published_one() {
        assert_eq!(
            Sha256::of(b"").to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert!(Sha512::of(b"").to_string().starts_with("cf83e1357eefb8bdf1542850d66d8007"));
    }

    #[test]
    fn hexadecimal_of_either_case_is_read_and_lower_case_written() {
        let digest = Sha256::of(b"x");
        assert_eq!(digest.to_string().to_uppercase().parse::<Sha256>().unwrap(), digest);
    }

    #[test]
    fn wrong_lengths_and_other_characters_are_refused() {
        for text in ["", "00", &"g".repeat(64), &"0".repeat(63), &"é".repeat(32)] {
            assert!(text.parse::<Sha256>().is_err(), "{text}");
        }
    }
}
