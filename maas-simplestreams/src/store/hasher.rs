//! The digest of a blob on its way in, and what it must be.

use sha2::Digest as _;

use super::StoreError;
use crate::digest::{Sha256, Sha512};

/// Works out the SHA-256 of what comes, and the SHA-512 when only that is known beforehand.
#[derive(Clone, Debug)]
pub(super) struct Hasher {
    sha256: sha2::Sha256,
    sha512: Option<(sha2::Sha512, Sha512)>,
}

impl Hasher {
    /// `proof` is the SHA-512 that the bytes must have when their SHA-256 is not known.
    pub(super) fn new(proof: Option<Sha512>) -> Self {
        let sha512 = proof.map(|proof| (sha2::Sha512::new(), proof));
        Self { sha256: sha2::Sha256::new(), sha512 }
    }

    /// Starts anew.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.sha512.as_ref().map(|(_, proof)| *proof));
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some((hasher, _)) = &mut self.sha512 {
            hasher.update(bytes);
        }
    }

    /// The SHA-256 of what came, whatever it is.
    pub(super) fn digest(self) -> Sha256 {
        Sha256::from_hasher(self.sha256)
    }

    /// The SHA-256 of what came, when it is what it must be.
    pub(super) fn verdict(self, expected: Sha256) -> Result<Sha256, StoreError> {
        let actual = Sha256::from_hasher(self.sha256);
        match self.sha512 {
            None if actual == expected => Ok(actual),
            None => Err(StoreError::Digest { expected, actual }),
            Some((hasher, expected)) => match Sha512::from_hasher(hasher) {
                same if same == expected => Ok(actual),
                other => Err(StoreError::Sha512 {
                    expected: Box::new(expected),
                    actual: Box::new(other),
                }),
            },
        }
    }
}
