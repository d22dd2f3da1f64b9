//! A faster way to a good signature over text.
//!
//! The back end brings line ends into the form that is signed byte by byte, which takes longer than
//! all the hashing. Here the text is hashed in blocks. Everything but the digest stays the back
//! end's work: it is given an empty document, checks keys, revocations and times, and only then
//! finds the digest wrong; that last step is made up for here. Whatever is not found good in this
//! way is decided by the back end over the whole document.

use std::time::{Duration, SystemTime};

use sequoia_openpgp as openpgp;

use openpgp::cert::prelude::ValidErasedKeyAmalgamation;
use openpgp::crypto::hash::Context;
use openpgp::packet::{Signature, key};
use openpgp::parse::Parse;
use openpgp::parse::stream::{
    DetachedVerifierBuilder, MessageLayer, MessageStructure, VerificationError, VerificationHelper,
};
use openpgp::policy::{HashAlgoSecurity, Policy};
use openpgp::types::{HashAlgorithm, SignatureType};
use openpgp::{Cert, KeyHandle};

use super::{Check, MOST_SIGNATURES, strong};

/// Bytes that are hashed at once: what fits well into the processor's first cache.
const BLOCK: usize = 16 << 10;
/// From how many bytes on a line is hashed where it stands.
const LONG_LINE: usize = 1 << 10;

/// Notes every signature in `signature` that is good over `text`; others are not decided.
///
/// `text` has no carriage return.
pub(super) fn check_text(
    check: &mut Check<'_>,
    text: &[u8],
    signature: &[u8],
    until: SystemTime,
) -> openpgp::Result<()> {
    let policy = check.policy;
    let over = OverText { check, text, until, hashed: Vec::new() };
    DetachedVerifierBuilder::from_bytes(signature)?
        .with_policy(policy, Some(until), over)?
        .verify_bytes(b"")
}

struct OverText<'a, 'b> {
    check: &'a mut Check<'b>,
    text: &'a [u8],
    until: SystemTime,
    /// The text after each algorithm, version and salt of a signature.
    hashed: Vec<(HashAlgorithm, u8, Vec<u8>, Context)>,
}

impl VerificationHelper for OverText<'_, '_> {
    fn get_certs(&mut self, _: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        Ok(self.check.verifier.keyring.certificates.clone())
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> openpgp::Result<()> {
        for layer in structure {
            let MessageLayer::SignatureGroup { results } = layer else { continue };
            for result in results.into_iter().take(MOST_SIGNATURES) {
                let (signature, key) = match result {
                    Ok(good) => (good.sig, good.ka),
                    // The only check that comes after those of the key.
                    Err(VerificationError::BadSignature { sig, ka, .. }) => (sig, ka),
                    Err(_) => continue,
                };
                if self.fits(signature, &key)? {
                    self.check.weigh(signature, &key);
                }
            }
        }
        Ok(())
    }
}

impl OverText<'_, '_> {
    /// Whether a signature is alive, the policy accepts it and it covers the text.
    fn fits(
        &mut self,
        signature: &Signature,
        key: &ValidErasedKeyAmalgamation<'_, key::PublicParts>,
    ) -> openpgp::Result<bool> {
        let is_acceptable = signature.typ() == SignatureType::Text
            && strong(signature.hash_algo()).is_ok()
            && signature.signature_alive(self.until, Duration::ZERO).is_ok()
            && self.check.policy.signature(signature, HashAlgoSecurity::default()).is_ok();
        if !is_acceptable {
            return Ok(false);
        }
        let hashed = self.hashed(signature)?;
        Ok(signature.verify_hash(key.key(), hashed).is_ok())
    }

    fn hashed(&mut self, signature: &Signature) -> openpgp::Result<Context> {
        let (algorithm, version) = (signature.hash_algo(), signature.version());
        let salt = signature.salt().unwrap_or_default();
        let known = self
            .hashed
            .iter()
            .find(|(one, of, with, _)| *one == algorithm && *of == version && with == salt);
        if let Some((.., context)) = known {
            return Ok(context.clone());
        }
        let mut context = algorithm.context()?.for_signature(version);
        context.update(salt);
        canonical(self.text, |block| context.update(block));
        self.hashed.push((algorithm, version, salt.to_vec(), context.clone()));
        Ok(context)
    }
}

/// Hands on a text with `\r\n` for every `\n`, in blocks.
fn canonical(text: &[u8], mut each: impl FnMut(&[u8])) {
    let mut block: Vec<u8> = Vec::with_capacity(BLOCK);
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', text) {
        let line = text.get(start..end).unwrap_or_default();
        start = end + 1;
        if block.len() + LONG_LINE + 2 > BLOCK || line.len() >= LONG_LINE {
            each(&block);
            block.clear();
        }
        if line.len() >= LONG_LINE {
            each(line);
        } else {
            block.extend_from_slice(line);
        }
        block.extend_from_slice(b"\r\n");
    }
    each(&block);
    each(text.get(start..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn line_ends_become_canonical_and_nothing_else_changes(
            lines in prop::collection::vec(prop_oneof![
                "[a-z \"]{0,40}".prop_map(String::from),
                (0usize..40_000).prop_map(|length| "x".repeat(length)),
            ], 0..30),
        ) {
            let mut blocks = Vec::new();
            canonical(lines.join("\n").as_bytes(), |block| blocks.extend_from_slice(block));
            prop_assert_eq!(String::from_utf8(blocks).unwrap(), lines.join("\r\n"));
        }
    }
}
