//! The public keys that a source is trusted by.

use sequoia_openpgp as openpgp;

use openpgp::cert::{Cert, CertParser};
use openpgp::parse::Parse;

use super::Fingerprint;

/// Largest keyring, in bytes.
const LARGEST: usize = 4 << 20;

/// A set of OpenPGP certificates. Whoever configures it should be shown [`Self::fingerprints`].
#[derive(Clone)]
pub struct Keyring {
    pub(super) certificates: Vec<Cert>,
}

/// Why a keyring cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// It is larger than 4 MiB.
    #[error("the keyring is larger than {LARGEST} bytes")]
    TooLarge,
    /// It holds no certificate.
    #[error("the keyring holds no certificate")]
    Empty,
    /// It is not a keyring.
    #[error("the keyring cannot be read: {detail}")]
    Unreadable {
        /// What the back end says.
        detail: String,
    },
}

impl Keyring {
    /// Reads a keyring, binary (`gpg --export`) or armored (`gpg --export --armor`).
    ///
    /// Secret keys that happen to be in it are dropped.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyringError> {
        if bytes.len() > LARGEST {
            return Err(KeyringError::TooLarge);
        }
        let unreadable =
            |error: openpgp::anyhow::Error| KeyringError::Unreadable { detail: error.to_string() };
        let mut certificates: Vec<Cert> = Vec::new();
        for certificate in CertParser::from_bytes(bytes).map_err(unreadable)? {
            certificates.push(certificate.map_err(unreadable)?.strip_secret_key_material());
        }
        if certificates.is_empty() {
            return Err(KeyringError::Empty);
        }
        Ok(Self { certificates })
    }

    /// The two keys that sign Ubuntu's cloud images and the streams of images.maas.io.
    ///
    /// They need [`LegacySelfSignatures::ubuntu_cloudimage`](super::LegacySelfSignatures), which
    /// [`OpenPgp::ubuntu_cloudimage`](super::OpenPgp::ubuntu_cloudimage) sets.
    pub fn ubuntu_cloudimage() -> Result<Self, KeyringError> {
        Self::from_bytes(include_bytes!("../../keys/ubuntu-cloudimage.gpg"))
    }

    /// The fingerprints of all certificates.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.certificates
            .iter()
            .filter_map(|certificate| certificate.fingerprint().to_hex().parse().ok())
            .collect()
    }

    /// Only the certificates with these fingerprints.
    pub fn pinned(mut self, fingerprints: &[Fingerprint]) -> Result<Self, KeyringError> {
        self.certificates.retain(|certificate| {
            let hex = certificate.fingerprint().to_hex();
            fingerprints.iter().any(|fingerprint| fingerprint.as_str() == hex)
        });
        if self.certificates.is_empty() { Err(KeyringError::Empty) } else { Ok(self) }
    }

    /// Both sets of certificates.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for certificate in other.certificates {
            if self
                .certificates
                .iter()
                .all(|known| known.fingerprint() != certificate.fingerprint())
            {
                self.certificates.push(certificate);
            }
        }
        self
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Keyring").field(&self.fingerprints()).finish()
    }
}
