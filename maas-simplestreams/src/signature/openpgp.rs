//! Verification in process with sequoia-openpgp.

mod text;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use sequoia_openpgp as openpgp;

use openpgp::cert::amalgamation::ValidAmalgamation;
use openpgp::cert::prelude::ValidErasedKeyAmalgamation;
use openpgp::packet::{Signature, key};
use openpgp::parse::Parse;
use openpgp::parse::stream::{
    DetachedVerifierBuilder, MessageLayer, MessageStructure, VerificationError, VerificationHelper,
};
use openpgp::policy::Policy;
use openpgp::types::{HashAlgorithm, RevocationStatus, SignatureType};
use openpgp::{Cert, KeyHandle};

use super::keyring::{Keyring, KeyringError};
use super::policy::{LegacySelfSignatures, StreamPolicy};
use super::{Fingerprint, Refused, Rejected, RejectedBecause, SignedForm, Signer, Verifier};
use crate::date::Timestamp;

/// How far the clock of a signer may run ahead of ours.
const CLOCK_SKEW: Duration = Duration::from_secs(30 * 60);
/// Most signatures that one document may carry.
const MOST_SIGNATURES: usize = 16;

/// What to do with a key that has expired since it signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpiredKeys {
    /// Its signatures no longer count.
    #[default]
    Refuse,
    /// Its signatures count when they were made before it expired.
    AcceptIfValidWhenSigned,
}

/// Verifies OpenPGP signatures against a keyring.
///
/// Counted are signatures with SHA-256 or better by keys of the keyring that are neither revoked
/// nor expired, RSA from 2048 bits on, made no later than half an hour from now.
#[derive(Clone, Debug)]
pub struct OpenPgp {
    keyring: Keyring,
    threshold: NonZeroUsize,
    legacy: LegacySelfSignatures,
    expired: ExpiredKeys,
}

impl OpenPgp {
    /// One good signature by any key of `keyring` is enough.
    pub fn new(keyring: Keyring) -> Self {
        Self {
            keyring,
            threshold: NonZeroUsize::MIN,
            legacy: LegacySelfSignatures::ubuntu_cloudimage(),
            expired: ExpiredKeys::Refuse,
        }
    }

    /// Trusts the two keys of Ubuntu's cloud images.
    pub fn ubuntu_cloudimage() -> Result<Self, KeyringError> {
        Ok(Self::new(Keyring::ubuntu_cloudimage()?))
    }

    /// How many different keys must have signed. Default 1.
    #[must_use]
    pub fn threshold(mut self, threshold: NonZeroUsize) -> Self {
        self.threshold = threshold;
        self
    }

    /// Whose old self-signatures may rest on SHA-1. Default: Ubuntu's two keys, when they are in
    /// the keyring.
    #[must_use]
    pub fn legacy_self_signatures(mut self, legacy: LegacySelfSignatures) -> Self {
        self.legacy = legacy;
        self
    }

    /// What to do with keys that have expired since they signed. Default: refuse them.
    #[must_use]
    pub fn expired_keys(mut self, expired: ExpiredKeys) -> Self {
        self.expired = expired;
        self
    }

    /// The keys that are trusted.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }
}

impl Verifier for OpenPgp {
    fn verify(
        &self,
        signed: &[u8],
        form: SignedForm,
        signature: &[u8],
        now: Timestamp,
    ) -> Result<Vec<Signer>, Refused> {
        let policy = StreamPolicy::new(now, self.legacy.clone());
        let begin = || Check {
            verifier: self,
            policy: &policy,
            form,
            now,
            good: BTreeMap::new(),
            rejected: Vec::new(),
        };
        let unreadable =
            |error: openpgp::anyhow::Error| Refused::Unreadable { detail: error.to_string() };
        let until = SystemTime::from(now.plus(CLOCK_SKEW));
        if form == SignedForm::Text && memchr::memchr(b'\r', signed).is_none() {
            let mut check = begin();
            let checked = text::check_text(&mut check, signed, signature, until);
            if checked.is_ok() && check.good.len() >= self.threshold.get() {
                return Ok(check.good.into_values().collect());
            }
        }
        let mut check = begin();
        DetachedVerifierBuilder::from_bytes(signature)
            .and_then(|builder| builder.with_policy(&policy, Some(until), &mut check))
            .and_then(|mut verifier| verifier.verify_bytes(signed))
            .map_err(unreadable)?;
        let Check { good, rejected, .. } = check;
        if good.len() < self.threshold.get() {
            return Err(Refused::NotEnoughGood {
                good: good.len(),
                threshold: self.threshold.get(),
                rejected,
            });
        }
        Ok(good.into_values().collect())
    }
}

/// Collects what becomes of each signature of one document.
struct Check<'a> {
    verifier: &'a OpenPgp,
    policy: &'a StreamPolicy,
    form: SignedForm,
    now: Timestamp,
    good: BTreeMap<String, Signer>,
    rejected: Vec<Rejected>,
}

impl VerificationHelper for &mut Check<'_> {
    fn get_certs(&mut self, _: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        Ok(self.verifier.keyring.certificates.clone())
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> openpgp::Result<()> {
        for layer in structure {
            let MessageLayer::SignatureGroup { results } = layer else {
                return Err(openpgp::anyhow::anyhow!("the signature is no plain signature"));
            };
            if results.len() > MOST_SIGNATURES {
                return Err(openpgp::anyhow::anyhow!("more than {MOST_SIGNATURES} signatures"));
            }
            for result in results {
                match result {
                    Ok(good) => self.weigh(good.sig, &good.ka),
                    Err(error) => self.reject(&error),
                }
            }
        }
        Ok(())
    }
}

impl Check<'_> {
    fn weigh(
        &mut self,
        signature: &Signature,
        key: &ValidErasedKeyAmalgamation<'_, key::PublicParts>,
    ) {
        let hex = key.cert().fingerprint().to_hex();
        let outcome = self.signer(signature, key, &hex);
        match outcome {
            Ok(signer) if !self.good.contains_key(&hex) => {
                self.good.insert(hex, signer);
            }
            Ok(_) => self
                .rejected
                .push(Rejected { key: Some(hex), reason: RejectedBecause::SameKeyTwice }),
            Err(reason) => self.rejected.push(Rejected { key: Some(hex), reason }),
        }
    }

    fn signer(
        &self,
        signature: &Signature,
        key: &ValidErasedKeyAmalgamation<'_, key::PublicParts>,
        hex: &str,
    ) -> Result<Signer, RejectedBecause> {
        let expected = match self.form {
            SignedForm::Text => SignatureType::Text,
            SignedForm::Binary => SignatureType::Binary,
        };
        if signature.typ() != expected {
            return Err(RejectedBecause::WrongType);
        }
        strong(signature.hash_algo())?;
        let policy: &dyn Policy = self.policy;
        let now = SystemTime::from(self.now);
        let certificate = key
            .cert()
            .with_policy(policy, now)
            .map_err(|error| RejectedBecause::Policy { detail: error.to_string() })?;
        if matches!(certificate.revocation_status(), RevocationStatus::Revoked(_)) {
            return Err(RejectedBecause::Revoked);
        }
        let current = certificate.keys().key_handle(key.key().fingerprint()).next();
        if current
            .as_ref()
            .is_some_and(|key| matches!(key.revocation_status(), RevocationStatus::Revoked(_)))
        {
            return Err(RejectedBecause::Revoked);
        }
        if self.verifier.expired == ExpiredKeys::Refuse {
            let alive = certificate.alive().is_ok()
                && current.as_ref().is_some_and(|key| key.alive().is_ok());
            if !alive {
                return Err(RejectedBecause::Expired);
            }
        }
        let expires_at = [
            certificate.primary_key().key_expiration_time(),
            current.as_ref().and_then(ValidErasedKeyAmalgamation::key_expiration_time),
        ];
        Ok(Signer {
            fingerprint: hex.parse::<Fingerprint>().map_err(|_| RejectedBecause::Malformed)?,
            signed_at: signature
                .signature_creation_time()
                .map(Timestamp::from)
                .ok_or(RejectedBecause::Malformed)?,
            expires_at: expires_at.into_iter().flatten().min().map(Timestamp::from),
            hash: signature.hash_algo().to_string(),
        })
    }

    fn reject(&mut self, error: &VerificationError<'_>) {
        let issuer = |signature: &Signature| signature.get_issuers().first().map(KeyHandle::to_hex);
        let rejected = match error {
            VerificationError::MissingKey { sig } => {
                Rejected { key: issuer(sig), reason: RejectedBecause::UnknownKey }
            }
            VerificationError::UnboundKey { cert, error, .. } => Rejected {
                key: Some(cert.fingerprint().to_hex()),
                reason: RejectedBecause::Policy { detail: chain(error) },
            },
            VerificationError::BadKey { ka, error, .. } => {
                let revoked = [ka.valid_cert().revocation_status(), ka.revocation_status()]
                    .iter()
                    .any(|status| matches!(status, RevocationStatus::Revoked(_)));
                let expired = ka.valid_cert().alive().is_err() || ka.alive().is_err();
                let reason = if revoked {
                    RejectedBecause::Revoked
                } else if expired {
                    RejectedBecause::Expired
                } else {
                    RejectedBecause::Policy { detail: chain(error) }
                };
                Rejected { key: Some(ka.cert().fingerprint().to_hex()), reason }
            }
            VerificationError::BadSignature { sig, ka, error } => {
                let not_alive = sig
                    .signature_alive(
                        SystemTime::from(self.now.plus(CLOCK_SKEW)),
                        Duration::from_secs(0),
                    )
                    .is_err();
                let reason = if not_alive {
                    RejectedBecause::NotAlive { detail: chain(error) }
                } else if let Err(weak) = strong(sig.hash_algo()) {
                    weak
                } else {
                    RejectedBecause::WrongSignature
                };
                Rejected { key: Some(ka.cert().fingerprint().to_hex()), reason }
            }
            VerificationError::MalformedSignature { sig, .. } => {
                Rejected { key: issuer(sig), reason: RejectedBecause::Malformed }
            }
            _ => Rejected { key: None, reason: RejectedBecause::Malformed },
        };
        self.rejected.push(rejected);
    }
}

/// SHA-256 and its stronger relatives.
fn strong(hash: HashAlgorithm) -> Result<(), RejectedBecause> {
    match hash {
        HashAlgorithm::SHA256
        | HashAlgorithm::SHA384
        | HashAlgorithm::SHA512
        | HashAlgorithm::SHA3_256
        | HashAlgorithm::SHA3_512 => Ok(()),
        other => Err(RejectedBecause::WeakHash { hash: other.to_string() }),
    }
}

fn chain(error: &openpgp::anyhow::Error) -> String {
    let links: Vec<String> = error.chain().map(ToString::to_string).collect();
    links.join(": ")
}

#[cfg(test)]
mod tests;
