//! What a signature covers has its own type, and only this module makes values of it.

pub mod clearsign;
#[cfg(feature = "openpgp")]
mod keyring;
#[cfg(feature = "openpgp")]
mod openpgp;
#[cfg(feature = "openpgp")]
mod policy;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

pub use clearsign::{Clearsigned, Malformed};
#[cfg(feature = "openpgp")]
pub use keyring::{Keyring, KeyringError};
#[cfg(feature = "openpgp")]
pub use openpgp::{ExpiredKeys, OpenPgp};
#[cfg(feature = "openpgp")]
pub use policy::LegacySelfSignatures;

use crate::date::Timestamp;
use crate::document::DocumentError;
use crate::index::Index;
use crate::limits::Limits;
use crate::products::Products;

/// The fingerprint of an OpenPGP certificate: upper-case hexadecimal without blanks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(String);

/// A text that is not a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 40 or 64 hexadecimal digits")]
#[non_exhaustive]
pub struct FingerprintError;

impl std::str::FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Blanks and a leading `0x` are allowed.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let text: String = text.trim().trim_start_matches("0x").split_whitespace().collect();
        if matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_uppercase()))
        } else {
            Err(FingerprintError)
        }
    }
}

impl Fingerprint {
    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last sixteen digits.
    pub fn key_id(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(16)..).unwrap_or_default()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fingerprint({})", self.0)
    }
}

/// How the signed bytes enter the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedForm {
    /// As text: line endings are canonical. The form of clearsigned documents.
    Text,
    /// Byte for byte. The form of detached signatures.
    Binary,
}

/// One good signature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signer {
    /// The certificate that signed.
    pub fingerprint: Fingerprint,
    /// When, by the signer's clock; the signature covers this.
    pub signed_at: Timestamp,
    /// When the certificate expires.
    pub expires_at: Option<Timestamp>,
    /// The digest algorithm of the signature, for instance `SHA512`.
    pub hash: String,
}

impl Signer {
    /// A good signature, for verifiers outside this crate.
    pub fn new(fingerprint: Fingerprint, signed_at: Timestamp, hash: impl Into<String>) -> Self {
        Self { fingerprint, signed_at, expires_at: None, hash: hash.into() }
    }

    /// Adds when the certificate expires.
    #[must_use]
    pub fn expiring(mut self, expires_at: Timestamp) -> Self {
        self.expires_at = Some(expires_at);
        self
    }
}

/// Why a signed document is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The document does not have the strict shape of a clearsigned one.
    #[error("the document is not clearsigned in the strict form")]
    Malformed(#[source] Malformed),
    /// The signature itself cannot be read.
    #[error("the signature cannot be read: {detail}")]
    Unreadable {
        /// What the back end says.
        detail: String,
    },
    /// Fewer good signatures by different keys than the threshold asks for.
    #[error(
        "{good} good signature(s) where {threshold} are needed{}",
        rejected.iter().map(|r| format!("; {r}")).collect::<String>()
    )]
    NotEnoughGood {
        /// Good signatures by different keys.
        good: usize,
        /// How many are needed.
        threshold: usize,
        /// Why the other ones do not count.
        rejected: Vec<Rejected>,
    },
}

/// One signature that does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejected {
    /// The key that the signature names.
    pub key: Option<String>,
    /// Why it does not count.
    pub reason: RejectedBecause,
}

/// Why one signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RejectedBecause {
    /// The key is not in the keyring.
    #[error("the key is not in the keyring")]
    UnknownKey,
    /// The key is revoked.
    #[error("the key is revoked")]
    Revoked,
    /// The key has expired.
    #[error("the key has expired")]
    Expired,
    /// The signature does not fit the document.
    #[error("the signature does not fit the document")]
    WrongSignature,
    /// The signature is not of the type that this form of document has.
    #[error("the signature is of another type than this form of document has")]
    WrongType,
    /// The digest algorithm of the signature is weak.
    #[error("the digest algorithm {hash} is weak")]
    WeakHash {
        /// The algorithm.
        hash: String,
    },
    /// The signature has expired or lies in the future.
    #[error("the signature is not valid at this time: {detail}")]
    NotAlive {
        /// What the back end says.
        detail: String,
    },
    /// The policy rejects the key or its binding.
    #[error("the policy rejects the key: {detail}")]
    Policy {
        /// What the back end says.
        detail: String,
    },
    /// The signature is malformed.
    #[error("the signature is malformed")]
    Malformed,
    /// Another signature by the same key counts already.
    #[error("the same key signed twice")]
    SameKeyTwice,
}

impl fmt::Display for Rejected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.key.as_deref().unwrap_or("no key named"), self.reason)
    }
}

/// Checks signatures over bytes. [`OpenPgp`] is the one in this crate.
pub trait Verifier: fmt::Debug + Send + Sync {
    /// Checks `signature` (armored or binary) over `signed`.
    ///
    /// `now` is the time at which keys and signatures must be valid. An answer means that the
    /// document is to be trusted: thresholds are the verifier's.
    fn verify(
        &self,
        signed: &[u8],
        form: SignedForm,
        signature: &[u8],
        now: Timestamp,
    ) -> Result<Vec<Signer>, Refused>;
}

/// Content that a signature covers.
///
/// Only this module makes such values, from bytes that a [`Verifier`] accepted.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    content: T,
    signers: Vec<Signer>,
}

impl Verified<Bytes> {
    /// Verifies a clearsigned document (`.sjson`): the content is exactly what the signature
    /// covers, with line ends as `\n` and without trailing blanks in lines.
    pub fn from_clearsigned(
        document: &[u8],
        verifier: &dyn Verifier,
        now: Timestamp,
    ) -> Result<Self, Refused> {
        Self::from_clearsigned_bytes(Bytes::copy_from_slice(document), verifier, now)
    }

    /// Like [`Self::from_clearsigned`], of a document that is shared: nothing is copied when the
    /// text stands in it as it was signed.
    pub fn from_clearsigned_bytes(
        document: Bytes,
        verifier: &dyn Verifier,
        now: Timestamp,
    ) -> Result<Self, Refused> {
        let parts = Clearsigned::split(&document).map_err(Refused::Malformed)?;
        let signers = verifier.verify(&parts.signed, SignedForm::Text, parts.signature, now)?;
        let content = match parts.signed {
            Cow::Borrowed(text) => document.slice_ref(text),
            Cow::Owned(text) => text.into(),
        };
        Ok(Self { content, signers })
    }

    /// Verifies a document with its detached signature (`.json` and `.json.gpg`).
    pub fn from_detached(
        document: Bytes,
        signature: &[u8],
        verifier: &dyn Verifier,
        now: Timestamp,
    ) -> Result<Self, Refused> {
        let signers = verifier.verify(&document, SignedForm::Binary, signature, now)?;
        Ok(Self { content: document, signers })
    }

    /// Reads the content as an index.
    pub fn parse_index(&self, limits: &Limits) -> Result<Verified<Index>, DocumentError> {
        Ok(Verified {
            content: Index::parse(&self.content, limits)?,
            signers: self.signers.clone(),
        })
    }

    /// Reads the content as a products file.
    pub fn parse_products(&self, limits: &Limits) -> Result<Verified<Products>, DocumentError> {
        Ok(Verified {
            content: Products::parse(&self.content, limits)?,
            signers: self.signers.clone(),
        })
    }
}

impl<T> Verified<T> {
    /// The good signatures, each by another key.
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// The content on its own.
    pub fn into_content(self) -> T {
        self.content
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.content
    }
}
