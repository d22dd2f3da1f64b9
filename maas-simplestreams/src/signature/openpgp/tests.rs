#![allow(clippy::unwrap_used)]
use std::sync::LazyLock;

use bytes::Bytes;
use openpgp::cert::{CertBuilder, CertRevocationBuilder, CipherSuite};
use openpgp::policy::StandardPolicy;
use openpgp::serialize::SerializeInto;
use openpgp::types::{KeyFlags, ReasonForRevocation};
use proptest::prelude::*;

use super::*;
use crate::sign::{KeyKind, SigningKey};
use crate::signature::{Malformed, Verified};

const DAY: Duration = Duration::from_secs(86_400);
const BODY: &[u8] = b"{\n \"a\": 1,\n-dash\n trailing  \n}\n";

fn now() -> Timestamp {
    Timestamp::parse("2026-06-01T00:00:00Z").unwrap()
}

fn before(days: u32) -> Timestamp {
    Timestamp::from_seconds(now().as_seconds() - i64::from(days) * 86_400)
}

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate("Throw-away <a@example.com>", before(100)).unwrap());
static OTHER: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate("Another <b@example.com>", before(100)).unwrap());

fn trusting(key: &SigningKey) -> OpenPgp {
    OpenPgp::new(Keyring::from_bytes(&key.public_keyring().unwrap()).unwrap())
}

fn verify(document: &[u8], verifier: &OpenPgp) -> Result<Verified<Bytes>, Refused> {
    Verified::from_clearsigned(document, verifier, now())
}

fn reason(refused: Refused) -> RejectedBecause {
    match refused {
        Refused::NotEnoughGood { mut rejected, .. } => rejected.remove(0).reason,
        other => panic!("{other:?}"),
    }
}

/// A certificate made to order, with its secret part.
fn custom(build: impl FnOnce(CertBuilder<'_>) -> CertBuilder<'_>) -> Cert {
    let flags = KeyFlags::empty().set_certification().set_signing();
    let builder = CertBuilder::new()
        .add_userid("Odd <odd@example.com>")
        .set_primary_key_flags(flags)
        .set_creation_time(SystemTime::from(before(1000)));
    build(builder).generate().unwrap().0
}

fn sign_with(cert: &Cert, at: Timestamp, hash: HashAlgorithm) -> Vec<u8> {
    use openpgp::serialize::stream::{Message, Signer};
    use std::io::Write;
    let key = cert.primary_key().key().clone().parts_into_secret().unwrap();
    let mut out = Vec::new();
    let mut message = Signer::new(Message::new(&mut out), key.into_keypair().unwrap())
        .unwrap()
        .hash_algo(hash)
        .unwrap()
        .creation_time(SystemTime::from(at))
        .cleartext()
        .build()
        .unwrap();
    message.write_all(BODY).unwrap();
    message.finalize().unwrap();
    out
}

fn trusting_cert(cert: &Cert) -> OpenPgp {
    OpenPgp::new(Keyring::from_bytes(&cert.to_vec().unwrap()).unwrap())
}

#[test]
fn a_clearsigned_document_yields_exactly_what_the_signature_covers() {
    let signed = KEY.clearsign(BODY, before(1)).unwrap();
    let verified = verify(&signed, &trusting(&KEY)).unwrap();
    assert_eq!(&verified[..], b"{\n \"a\": 1,\n-dash\n trailing\n}");
    let signer = &verified.signers()[0];
    assert_eq!(Some(&signer.fingerprint), KEY.fingerprint().as_ref());
    assert_eq!((signer.signed_at, signer.hash.as_str()), (before(1), "SHA512"));
}

#[test]
fn rsa_keys_work_too() {
    let key = SigningKey::generate_kind("rsa", before(100), KeyKind::Rsa2048).unwrap();
    let signed = key.clearsign(BODY, before(1)).unwrap();
    assert!(verify(&signed, &trusting(&key)).is_ok());
}

#[test]
fn a_detached_signature_covers_every_byte() {
    let signature = KEY.sign_detached(BODY, before(1)).unwrap();
    let check = |bytes: &[u8]| {
        Verified::from_detached(Bytes::copy_from_slice(bytes), &signature, &trusting(&KEY), now())
    };
    assert_eq!(&check(BODY).unwrap()[..], BODY);
    let changed = BODY.iter().copied().chain([b' ']).collect::<Vec<_>>();
    assert_eq!(reason(check(&changed).unwrap_err()), RejectedBecause::WrongSignature);
}

#[test]
fn a_signature_of_one_form_is_none_of_the_other() {
    let clearsigned = KEY.clearsign(b"x", before(1)).unwrap();
    let parts = crate::signature::Clearsigned::split(&clearsigned).unwrap();
    let refused =
        Verified::from_detached(Bytes::from_static(b"x"), parts.signature, &trusting(&KEY), now());
    assert_eq!(reason(refused.unwrap_err()), RejectedBecause::WrongType);
}

#[test]
fn changed_text_is_refused() {
    let signed = KEY.clearsign(BODY, before(1)).unwrap();
    let text = String::from_utf8(signed).unwrap().replace("\"a\": 1", "\"a\": 2");
    assert_eq!(
        reason(verify(text.as_bytes(), &trusting(&KEY)).unwrap_err()),
        RejectedBecause::WrongSignature
    );
}

#[test]
fn an_unknown_key_is_refused() {
    let signed = OTHER.clearsign(BODY, before(1)).unwrap();
    assert_eq!(reason(verify(&signed, &trusting(&KEY)).unwrap_err()), RejectedBecause::UnknownKey);
}

#[test]
fn a_document_without_a_signature_is_refused() {
    for document in [&b"{}"[..], b"", b"-----BEGIN PGP SIGNED MESSAGE-----\n\n{}\n"] {
        assert!(matches!(verify(document, &trusting(&KEY)), Err(Refused::Malformed(_))));
    }
    let empty = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{}\n\
        -----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n";
    assert!(verify(empty, &trusting(&KEY)).is_err());
}

#[test]
fn a_signature_from_the_future_is_refused_beyond_half_an_hour() {
    let ahead = |minutes: u64| now().plus(Duration::from_secs(minutes * 60));
    let signed = KEY.clearsign(BODY, ahead(20)).unwrap();
    assert!(verify(&signed, &trusting(&KEY)).is_ok());
    let signed = KEY.clearsign(BODY, ahead(60)).unwrap();
    assert!(matches!(
        reason(verify(&signed, &trusting(&KEY)).unwrap_err()),
        RejectedBecause::NotAlive { .. }
    ));
}

#[test]
fn a_key_that_has_expired_since_is_refused_unless_allowed() {
    let cert = custom(|builder| builder.set_validity_period(DAY * 990));
    let signed = sign_with(&cert, before(100), HashAlgorithm::SHA512);
    let verifier = trusting_cert(&cert);
    assert_eq!(reason(verify(&signed, &verifier).unwrap_err()), RejectedBecause::Expired);
    let allowing = verifier.expired_keys(ExpiredKeys::AcceptIfValidWhenSigned);
    assert!(verify(&signed, &allowing).is_ok());
    let late = sign_with(&cert, before(1), HashAlgorithm::SHA512);
    assert_eq!(reason(verify(&late, &allowing).unwrap_err()), RejectedBecause::Expired);
}

#[test]
fn the_expiry_of_a_key_is_known() {
    let cert = custom(|builder| builder.set_validity_period(DAY * 1010));
    let signed = sign_with(&cert, before(1), HashAlgorithm::SHA512);
    let verified = verify(&signed, &trusting_cert(&cert)).unwrap();
    assert_eq!(verified.signers()[0].expires_at, Some(now().plus(DAY * 10)));
}

#[test]
fn a_revoked_key_is_refused_whatever_the_reason() {
    for reason_given in [ReasonForRevocation::KeyCompromised, ReasonForRevocation::KeyRetired] {
        let cert = custom(|builder| builder);
        let mut pair =
            cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
        let revocation = CertRevocationBuilder::new()
            .set_signature_creation_time(SystemTime::from(before(10)))
            .unwrap()
            .set_reason_for_revocation(reason_given, b"test")
            .unwrap()
            .build(&mut pair, &cert, None)
            .unwrap();
        let signed = sign_with(&cert, before(100), HashAlgorithm::SHA512);
        assert!(verify(&signed, &trusting_cert(&cert)).is_ok());
        let (revoked, _) = cert.insert_packets(revocation).unwrap();
        assert_eq!(
            reason(verify(&signed, &trusting_cert(&revoked)).unwrap_err()),
            RejectedBecause::Revoked
        );
    }
}

#[test]
fn weak_digests_are_refused() {
    let cert = custom(|builder| builder);
    for hash in
        [HashAlgorithm::MD5, HashAlgorithm::SHA1, HashAlgorithm::RipeMD, HashAlgorithm::SHA224]
    {
        let signed = sign_with(&cert, before(1), hash);
        assert!(
            matches!(
                reason(verify(&signed, &trusting_cert(&cert)).unwrap_err()),
                RejectedBecause::WeakHash { .. }
            ),
            "{hash}"
        );
    }
    let signed = sign_with(&cert, before(1), HashAlgorithm::SHA256);
    assert!(verify(&signed, &trusting_cert(&cert)).is_ok());
}

#[test]
fn a_signature_that_has_expired_is_refused() {
    use openpgp::packet::signature::SignatureBuilder;
    use openpgp::serialize::stream::{Message, Signer};
    use std::io::Write;
    let cert = custom(|builder| builder);
    let sign = |lifetime: Duration| {
        let key = cert.primary_key().key().clone().parts_into_secret().unwrap();
        let builder = SignatureBuilder::new(SignatureType::Text)
            .set_signature_validity_period(lifetime)
            .unwrap();
        let mut out = Vec::new();
        let message = Message::new(&mut out);
        let signer = Signer::with_template(message, key.into_keypair().unwrap(), builder).unwrap();
        let signer = signer.creation_time(SystemTime::from(before(10)));
        let mut message = signer.cleartext().build().unwrap();
        message.write_all(BODY).unwrap();
        message.finalize().unwrap();
        out
    };
    assert!(verify(&sign(DAY * 20), &trusting_cert(&cert)).is_ok());
    assert!(matches!(
        reason(verify(&sign(DAY * 5), &trusting_cert(&cert)).unwrap_err()),
        RejectedBecause::NotAlive { .. }
    ));
}

#[test]
fn what_is_harmless_in_a_signed_text_stays_accepted() {
    let signed = KEY.clearsign(b"{\n \"a\": 1\n}\n", before(1)).unwrap();
    let signed = String::from_utf8(signed).unwrap();
    let hash = signed.lines().find(|line| line.starts_with("Hash: ")).unwrap();
    let body_end = "}\n-----BEGIN PGP SIGNATURE";
    for (what, text) in [
        ("carriage returns", signed.replace('\n', "\r\n")),
        ("blanks at the ends of lines", signed.replace("\"a\": 1\n", "\"a\": 1 \t \n")),
        ("blanks in the line that ends the headers", signed.replacen("\n\n", "\n \t\n", 1)),
        ("no Hash header", signed.replace(&format!("{hash}\n"), "")),
        ("two Hash headers", signed.replace(hash, &format!("{hash}\n{hash}"))),
        ("white space after the message", format!("{signed}\n \n\t\n")),
    ] {
        let verified = verify(text.as_bytes(), &trusting(&KEY)).unwrap_or_else(|refused| {
            panic!("{what}: {refused}\n{text}");
        });
        assert_eq!(&verified[..], b"{\n \"a\": 1\n}", "{what}");
    }
    let mark = format!("\u{feff}{signed}");
    assert!(matches!(
        verify(mark.as_bytes(), &trusting(&KEY)),
        Err(Refused::Malformed(Malformed::Header))
    ));
    assert!(signed.contains(body_end));
}

#[test]
fn short_rsa_keys_are_refused() {
    use openpgp::packet::key::{Key4, PrimaryRole, SecretParts};
    let key: openpgp::packet::Key<SecretParts, PrimaryRole> =
        Key4::generate_rsa(1024).unwrap().into();
    let mut pair = key.clone().into_keypair().unwrap();
    let cert = Cert::try_from(vec![openpgp::Packet::from(key.clone())]).unwrap();
    let user = openpgp::packet::UserID::from("weak");
    let binding = user
        .bind(
            &mut pair,
            &cert,
            openpgp::packet::signature::SignatureBuilder::new(SignatureType::PositiveCertification)
                .set_key_flags(KeyFlags::empty().set_signing().set_certification())
                .unwrap(),
        )
        .unwrap();
    let (cert, _) = cert.insert_packets([openpgp::Packet::from(user), binding.into()]).unwrap();
    let today = Timestamp::from(SystemTime::now());
    let signed = sign_with(&cert, today, HashAlgorithm::SHA512);
    let refused = Verified::from_clearsigned(&signed, &trusting_cert(&cert), today).unwrap_err();
    assert!(matches!(reason(refused), RejectedBecause::Policy { .. }));
}

#[test]
fn keys_that_are_not_for_signing_are_refused() {
    let cert =
        custom(|builder| builder.set_primary_key_flags(KeyFlags::empty().set_certification()));
    let signed = sign_with(&cert, before(1), HashAlgorithm::SHA512);
    assert!(verify(&signed, &trusting_cert(&cert)).is_err());
}

/// One text with the signatures of two keys.
fn signed_twice(one: &SigningKey, other: &SigningKey) -> Vec<u8> {
    use openpgp::PacketPile;
    let first = one.clearsign(BODY, before(1)).unwrap();
    let second = other.clearsign(BODY, before(1)).unwrap();
    let split = |document: &[u8]| {
        let parts = crate::signature::Clearsigned::split(document).unwrap();
        PacketPile::from_bytes(parts.signature).unwrap().into_children().collect::<Vec<_>>()
    };
    let mut block = Vec::new();
    let mut writer =
        openpgp::armor::Writer::new(&mut block, openpgp::armor::Kind::Signature).unwrap();
    for packet in split(&first).into_iter().chain(split(&second)) {
        openpgp::serialize::Serialize::serialize(&packet, &mut writer).unwrap();
    }
    writer.finalize().unwrap();
    let text = String::from_utf8(first).unwrap();
    let head = text.split("-----BEGIN PGP SIGNATURE").next().unwrap();
    [head.as_bytes(), &block].concat()
}

#[test]
fn key_rollover_by_double_signing_works() {
    let document = signed_twice(&KEY, &OTHER);
    assert!(verify(&document, &trusting(&KEY)).is_ok());
    assert!(verify(&document, &trusting(&OTHER)).is_ok());
}

#[test]
fn a_threshold_counts_different_keys() {
    let two = NonZeroUsize::new(2).unwrap();
    let both =
        || OpenPgp::new(trusting(&KEY).keyring().clone().and(trusting(&OTHER).keyring().clone()));
    let verified = verify(&signed_twice(&KEY, &OTHER), &both().threshold(two)).unwrap();
    assert_eq!(verified.signers().len(), 2);
    let single = KEY.clearsign(BODY, before(1)).unwrap();
    assert!(matches!(
        verify(&single, &both().threshold(two)),
        Err(Refused::NotEnoughGood { good: 1, threshold: 2, .. })
    ));
    let same_twice = signed_twice(&KEY, &KEY);
    assert!(verify(&same_twice, &both()).is_ok());
    assert!(matches!(
        verify(&same_twice, &both().threshold(two)),
        Err(Refused::NotEnoughGood { good: 1, .. })
    ));
}

#[test]
fn keyrings_are_read_binary_and_armored_and_can_be_pinned() {
    let armored = Keyring::from_bytes(&KEY.public_keyring_armored().unwrap()).unwrap();
    let binary = Keyring::from_bytes(&KEY.public_keyring().unwrap()).unwrap();
    assert_eq!(armored.fingerprints(), binary.fingerprints());
    let both = binary.and(trusting(&OTHER).keyring().clone());
    assert_eq!(both.fingerprints().len(), 2);
    let pinned = both.clone().pinned(&[OTHER.fingerprint().unwrap()]).unwrap();
    assert_eq!(pinned.fingerprints(), [OTHER.fingerprint().unwrap()]);
    assert!(both.pinned(&[]).is_err());
    assert!(Keyring::from_bytes(b"").is_err());
    assert!(Keyring::from_bytes(b"no keyring").is_err());
}

#[test]
fn a_secret_key_makes_the_round_trip_and_shows_nowhere() {
    let exported = KEY.export_secret_armored().unwrap();
    let loaded = SigningKey::load(&exported, None, now()).unwrap();
    assert_eq!(loaded.fingerprint(), KEY.fingerprint());
    let public = String::from_utf8(KEY.public_keyring_armored().unwrap()).unwrap();
    assert!(public.contains("PUBLIC KEY") && !public.contains("PRIVATE"));
    assert!(SigningKey::load(public.as_bytes(), None, now()).is_err());
    let shown = format!("{loaded:?}");
    assert!(shown.contains("fingerprint") && shown.len() < 120, "{shown}");
}

#[test]
fn the_built_in_keyring_holds_the_two_known_keys() {
    let fingerprints = Keyring::ubuntu_cloudimage().unwrap().fingerprints();
    let texts: Vec<&str> = fingerprints.iter().map(Fingerprint::as_str).collect();
    assert_eq!(
        texts,
        ["4A3CE3CD565D7EB5C810E2B97FF3F408476CF100", "D2EB44626FDDC30B513D5BB71A5D6C4C7DB87C81",]
    );
}

#[test]
fn the_legacy_exception_is_needed_by_the_built_in_keys_and_helps_no_other() {
    let keyring = Keyring::ubuntu_cloudimage().unwrap();
    for certificate in &keyring.certificates {
        let strict = StreamPolicy::new(now(), LegacySelfSignatures::none());
        assert!(certificate.with_policy(&strict, SystemTime::from(now())).is_err());
        let legacy = StreamPolicy::new(now(), LegacySelfSignatures::ubuntu_cloudimage());
        assert!(certificate.with_policy(&legacy, SystemTime::from(now())).is_ok());
        let others =
            StreamPolicy::new(now(), LegacySelfSignatures::of([KEY.fingerprint().unwrap()]));
        assert!(certificate.with_policy(&others, SystemTime::from(now())).is_err());
        assert!(certificate.with_policy(&StandardPolicy::new(), None).is_err());
    }
}

#[test]
fn genuine_documents_verify_with_the_built_in_keyring_and_not_with_one_byte_changed() {
    let verifier = OpenPgp::ubuntu_cloudimage().unwrap();
    for name in ["released-index-20161104.sjson", "released-download-20161104.sjson"] {
        let path = format!("genuine-cloud-images/{name}");
        let Some(mut document) = crate::shared::data(&path) else { continue };
        let verified = verify(&document, &verifier).unwrap();
        assert_eq!(
            verified.signers()[0].fingerprint.as_str(),
            "4A3CE3CD565D7EB5C810E2B97FF3F408476CF100"
        );
        let strict = verifier.clone().legacy_self_signatures(LegacySelfSignatures::none());
        assert!(verify(&document, &strict).is_err());
        let limits = crate::limits::Limits::default();
        if name.contains("index") {
            assert_eq!(verified.parse_index(&limits).unwrap().entries.len(), 11);
        } else {
            let products = verified.parse_products(&limits).unwrap();
            assert!(products.problems().is_empty(), "{:?}", products.problems());
            assert_eq!((products.products.len(), products.items().count()), (51, 7008));
        }
        let place = document.windows(8).position(|bytes| bytes == b"download").unwrap();
        document[place] = b'D';
        assert!(verify(&document, &verifier).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_text_survives_signing_and_no_changed_byte_does(
        lines in prop::collection::vec("[ -~äöü\t]{0,20}", 1..6), place in any::<prop::sample::Index>(),
    ) {
        let text = lines.join("\n") + "\n";
        let signed = KEY.clearsign(text.as_bytes(), before(1)).unwrap();
        let verified = verify(&signed, &trusting(&KEY)).unwrap();
        let expected: Vec<&str> = lines.iter().map(|line| line.trim_end_matches([' ', '\t'])).collect();
        prop_assert_eq!(std::str::from_utf8(&verified).unwrap(), expected.join("\n"));
        let mut changed = signed.clone();
        let place = place.index(changed.len());
        changed[place] = changed[place].wrapping_add(1);
        if let Ok(other) = verify(&changed, &trusting(&KEY)) {
            prop_assert_eq!(&other[..], &verified[..]);
        }
    }
}

#[test]
fn two_messages_in_one_file_are_refused() {
    let one = KEY.clearsign(BODY, before(1)).unwrap();
    let document = [one.clone(), one].concat();
    assert!(matches!(
        verify(&document, &trusting(&KEY)),
        Err(Refused::Malformed(Malformed::Trailing { .. }))
    ));
}

#[test]
fn cipher_suites_are_supported() {
    assert!(CipherSuite::Cv25519.is_supported().is_ok());
}
