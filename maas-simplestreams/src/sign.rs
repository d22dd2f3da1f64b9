//! Signing with an OpenPGP key: clearsigned documents and detached signatures.
//!
//! The pure-Rust back end has operations whose duration depends on the key. Sign on machines where
//! nobody else can measure that.

use std::fmt;
use std::io::Write;
use std::time::SystemTime;

use sequoia_openpgp as openpgp;

use openpgp::Cert;
use openpgp::cert::{CertBuilder, CipherSuite};
use openpgp::crypto::{KeyPair, Password};
use openpgp::parse::Parse;
use openpgp::policy::StandardPolicy;
use openpgp::serialize::SerializeInto;
use openpgp::serialize::stream::{Armorer, Message, Signer};
use openpgp::types::HashAlgorithm;

use crate::date::Timestamp;
use crate::signature::Fingerprint;

/// A key that signs streams. Its secret part appears in no `Debug` output.
#[derive(Clone)]
pub struct SigningKey {
    certificate: Cert,
    pair: KeyPair,
}

/// The size and kind of a generated key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// Ed25519: small and fast, understood by GnuPG 2.1 and later.
    #[default]
    Ed25519,
    /// RSA with 2048 bits: for readers that know nothing newer.
    Rsa2048,
    /// RSA with 4096 bits.
    Rsa4096,
}

/// Why a key cannot be used or a signature cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The key cannot be generated.
    #[error("the key cannot be generated: {detail}")]
    Generate {
        /// What the back end says.
        detail: String,
    },
    /// The text is not a key.
    #[error("the key cannot be read: {detail}")]
    Unreadable {
        /// What the back end says.
        detail: String,
    },
    /// There is no usable secret signing key in it.
    #[error("no usable secret signing key is in it: {detail}")]
    NoSigningKey {
        /// What the back end says.
        detail: String,
    },
    /// The passphrase does not open the key, or one is needed.
    #[error("the passphrase does not open the key")]
    Passphrase,
    /// The signature cannot be made.
    #[error("the signature cannot be made: {detail}")]
    Sign {
        /// What the back end says.
        detail: String,
    },
    /// A document for a clearsigned file must be UTF-8 without a carriage return.
    #[error("the document is not plain UTF-8 text")]
    NotText,
}

impl SigningKey {
    /// Generates an Ed25519 key without expiry.
    pub fn generate(user_id: &str, created: Timestamp) -> Result<Self, SigningError> {
        Self::generate_kind(user_id, created, KeyKind::Ed25519)
    }

    /// Generates a key of the given kind without expiry.
    pub fn generate_kind(
        user_id: &str,
        created: Timestamp,
        kind: KeyKind,
    ) -> Result<Self, SigningError> {
        let suite = match kind {
            KeyKind::Ed25519 => CipherSuite::Cv25519,
            KeyKind::Rsa2048 => CipherSuite::RSA2k,
            KeyKind::Rsa4096 => CipherSuite::RSA4k,
        };
        let flags = openpgp::types::KeyFlags::empty().set_certification().set_signing();
        let (certificate, _revocation) = CertBuilder::new()
            .add_userid(user_id)
            .set_primary_key_flags(flags)
            .set_cipher_suite(suite)
            .set_creation_time(SystemTime::from(created))
            .generate()
            .map_err(|error| SigningError::Generate { detail: error.to_string() })?;
        Self::from_certificate(certificate, None, created)
    }

    /// Reads a secret key, armored or binary, with the passphrase that protects it, if any.
    pub fn load(
        bytes: &[u8],
        passphrase: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, SigningError> {
        let certificate = Cert::from_bytes(bytes)
            .map_err(|error| SigningError::Unreadable { detail: error.to_string() })?;
        Self::from_certificate(certificate, passphrase, now)
    }

    fn from_certificate(
        certificate: Cert,
        passphrase: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, SigningError> {
        let none = |detail: String| SigningError::NoSigningKey { detail };
        let policy = StandardPolicy::new();
        let mut key = certificate
            .keys()
            .with_policy(&policy, SystemTime::from(now))
            .secret()
            .alive()
            .revoked(false)
            .for_signing()
            .next()
            .ok_or_else(|| none("no secret signing key is valid now".into()))?
            .key()
            .clone();
        if !key.has_unencrypted_secret() {
            let password = Password::from(passphrase.ok_or(SigningError::Passphrase)?);
            key = key.decrypt_secret(&password).map_err(|_| SigningError::Passphrase)?;
        }
        let pair = key.into_keypair().map_err(|error| none(error.to_string()))?;
        Ok(Self { certificate, pair })
    }

    /// The fingerprint of the certificate.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.certificate.fingerprint().to_hex().parse().ok()
    }

    /// The public certificate as a binary keyring.
    pub fn public_keyring(&self) -> Result<Vec<u8>, SigningError> {
        self.certificate.to_vec().map_err(|error| SigningError::Sign { detail: error.to_string() })
    }

    /// The public certificate as an armored keyring.
    pub fn public_keyring_armored(&self) -> Result<Vec<u8>, SigningError> {
        self.certificate
            .armored()
            .to_vec()
            .map_err(|error| SigningError::Sign { detail: error.to_string() })
    }

    /// The secret key, armored. The passphrase that it was loaded with still protects it; a
    /// generated key is unprotected.
    pub fn export_secret_armored(&self) -> Result<Vec<u8>, SigningError> {
        self.certificate
            .as_tsk()
            .armored()
            .to_vec()
            .map_err(|error| SigningError::Sign { detail: error.to_string() })
    }

    /// Clearsigns `document`: the content of an `.sjson` file. The signature covers neither blanks
    /// at line ends nor the last line end.
    pub fn clearsign(&self, document: &[u8], now: Timestamp) -> Result<Vec<u8>, SigningError> {
        let is_text = std::str::from_utf8(document).is_ok() && !document.contains(&b'\r');
        if !is_text {
            return Err(SigningError::NotText);
        }
        let sign = || -> openpgp::Result<Vec<u8>> {
            let mut signed = Vec::with_capacity(document.len() + 1024);
            let mut message = Signer::new(Message::new(&mut signed), self.pair.clone())?
                .hash_algo(HashAlgorithm::SHA512)?
                .creation_time(SystemTime::from(now))
                .cleartext()
                .build()?;
            // The line end before the signature block is not part of the text.
            message.write_all(document.strip_suffix(b"\n").unwrap_or(document))?;
            message.finalize()?;
            Ok(signed)
        };
        sign().map_err(|error| SigningError::Sign { detail: error.to_string() })
    }

    /// Makes an armored detached signature over `document`: the content of a `.gpg` file.
    pub fn sign_detached(&self, document: &[u8], now: Timestamp) -> Result<Vec<u8>, SigningError> {
        let sign = || -> openpgp::Result<Vec<u8>> {
            let mut signature = Vec::new();
            let message = Armorer::new(Message::new(&mut signature))
                .kind(openpgp::armor::Kind::Signature)
                .build()?;
            let mut message = Signer::new(message, self.pair.clone())?
                .hash_algo(HashAlgorithm::SHA512)?
                .creation_time(SystemTime::from(now))
                .detached()
                .build()?;
            message.write_all(document)?;
            message.finalize()?;
            Ok(signature)
        };
        sign().map_err(|error| SigningError::Sign { detail: error.to_string() })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("fingerprint", &self.fingerprint())
            .finish_non_exhaustive()
    }
}
