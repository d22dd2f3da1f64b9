//! Which keys and algorithms count, with one narrow, named exception for old self-signatures.

use std::time::SystemTime;

use sequoia_openpgp as openpgp;

use openpgp::KeyHandle;
use openpgp::cert::prelude::ValidErasedKeyAmalgamation;
use openpgp::packet::{Packet, Signature, key};
use openpgp::policy::{HashAlgoSecurity, Policy, StandardPolicy};
use openpgp::types::{AEADAlgorithm, HashAlgorithm, SignatureType, SymmetricAlgorithm};

use super::Fingerprint;
use crate::date::Timestamp;

/// 2014-01-01T00:00:00Z: SHA-1 self-signatures made later are never tolerated.
const LEGACY_UNTIL: i64 = 1_388_534_400;

/// Whose old self-signatures may rest on SHA-1.
///
/// The two keys that sign Ubuntu's streams were made in 2009 and 2012, when SHA-1 was usual for
/// the signatures that bind a key to its own name and subkeys. The exception covers exactly these:
/// self-signatures, made before 2014, of the fingerprints that are named. Signatures over
/// documents never profit from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegacySelfSignatures {
    fingerprints: Vec<Fingerprint>,
}

impl LegacySelfSignatures {
    /// No key has the exception.
    pub fn none() -> Self {
        Self::default()
    }

    /// The two keys of Ubuntu's cloud images: `4A3C…F100` and `D2EB…7C81`.
    pub fn ubuntu_cloudimage() -> Self {
        let fingerprints = [
            "4A3CE3CD565D7EB5C810E2B97FF3F408476CF100",
            "D2EB44626FDDC30B513D5BB71A5D6C4C7DB87C81",
        ];
        Self { fingerprints: fingerprints.iter().filter_map(|text| text.parse().ok()).collect() }
    }

    /// The keys that the operator names.
    pub fn of(fingerprints: impl IntoIterator<Item = Fingerprint>) -> Self {
        Self { fingerprints: fingerprints.into_iter().collect() }
    }

    fn names(&self, issuer: &KeyHandle) -> bool {
        let issuer = issuer.to_hex();
        self.fingerprints.iter().any(|known| issuer == known.as_str() || issuer == known.key_id())
    }
}

/// The policy of one verification.
#[derive(Debug)]
pub(super) struct StreamPolicy {
    standard: StandardPolicy<'static>,
    legacy: LegacySelfSignatures,
}

impl StreamPolicy {
    pub(super) fn new(now: Timestamp, legacy: LegacySelfSignatures) -> Self {
        Self { standard: StandardPolicy::at(SystemTime::from(now)), legacy }
    }

    fn is_legacy_self_signature(&self, signature: &Signature) -> bool {
        let binds_a_key = matches!(
            signature.typ(),
            SignatureType::GenericCertification
                | SignatureType::PersonaCertification
                | SignatureType::CasualCertification
                | SignatureType::PositiveCertification
                | SignatureType::SubkeyBinding
                | SignatureType::PrimaryKeyBinding
                | SignatureType::DirectKey
        );
        let old = signature
            .signature_creation_time()
            .is_some_and(|made| Timestamp::from(made) < Timestamp::from_seconds(LEGACY_UNTIL));
        binds_a_key
            && old
            && signature.hash_algo() == HashAlgorithm::SHA1
            && signature.get_issuers().iter().any(|issuer| self.legacy.names(issuer))
    }
}

impl Policy for StreamPolicy {
    fn signature(&self, signature: &Signature, security: HashAlgoSecurity) -> openpgp::Result<()> {
        if self.is_legacy_self_signature(signature) {
            return Ok(());
        }
        self.standard.signature(signature, security)
    }

    fn key(&self, key: &ValidErasedKeyAmalgamation<'_, key::PublicParts>) -> openpgp::Result<()> {
        self.standard.key(key)
    }

    fn symmetric_algorithm(&self, algorithm: SymmetricAlgorithm) -> openpgp::Result<()> {
        self.standard.symmetric_algorithm(algorithm)
    }

    fn aead_algorithm(&self, algorithm: AEADAlgorithm) -> openpgp::Result<()> {
        self.standard.aead_algorithm(algorithm)
    }

    fn packet(&self, packet: &Packet) -> openpgp::Result<()> {
        self.standard.packet(packet)
    }
}
