#![allow(clippy::unwrap_used)]

use std::io::Write;

use proptest::prelude::*;

use super::*;

fn kind(text: &str) -> Result<UserDataKind, UserDataProblem> {
    check_user_data(text.as_bytes()).map(|checked| checked.kind)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_kind_is_told_by_its_beginning() {
    for (text, expected) in [
        ("#cloud-config\npackages: [vim]\n", UserDataKind::CloudConfig),
        ("#cloud-config-archive\n- content: a\n", UserDataKind::CloudConfigArchive),
        (
            "#cloud-config-jsonp\n[{\"op\":\"add\",\"path\":\"/a\",\"value\":1}]",
            UserDataKind::CloudConfigPatch,
        ),
        ("#!/bin/sh\ntrue\n", UserDataKind::Script),
        ("#include\nhttps://example.com/a\n", UserDataKind::Include),
        ("## template: jinja\n#cloud-config\n{% if 1 %}a: 1{% endif %}\n", UserDataKind::Jinja),
        ("#cloud-boothook\ntrue\n", UserDataKind::Boothook),
        ("#part-handler\n", UserDataKind::PartHandler),
    ] {
        assert_eq!(kind(text), Ok(expected), "{text:?}");
    }
    let message = super::super::runner_user_data(b"#!/bin/sh\n");
    assert_eq!(kind(&message), Ok(UserDataKind::Mime));
    let packed = gzip(b"#cloud-config\na: 1\n");
    assert_eq!(check_user_data(&packed).unwrap().kind, UserDataKind::Gzip);
}

#[test]
fn what_cloud_init_would_ignore_or_choke_on_is_refused() {
    assert!(matches!(kind("packages: [vim]\n"), Err(UserDataProblem::UnknownKind { .. })));
    assert!(matches!(kind(""), Err(UserDataProblem::UnknownKind { .. })));
    assert!(matches!(kind("#cloud-config\na: [1\n"), Err(UserDataProblem::NotYaml { .. })));
    assert_eq!(kind("#cloud-config\n- a\n"), Err(UserDataProblem::NotAMapping));
    assert_eq!(kind("#cloud-config-archive\na: 1\n"), Err(UserDataProblem::NotAList));
    assert_eq!(kind("#include\nhello\n"), Err(UserDataProblem::BadInclude { line: 2 }));
    assert!(matches!(kind("MIME-Version: 1.0\n"), Err(UserDataProblem::BadMime { .. })));
    assert!(matches!(
        kind("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--y\n"),
        Err(UserDataProblem::BadMime { .. })
    ));
    assert_eq!(check_user_data(&[0x1f, 0x8b, 0]), Err(UserDataProblem::BadGzip));
    assert!(matches!(check_user_data(&gzip(b"hello")), Err(UserDataProblem::UnknownKind { .. })));
}

#[test]
fn the_size_is_limited_before_and_after_unpacking() {
    let mut large = b"#!".to_vec();
    large.resize(LARGEST + 1, b'a');
    assert!(matches!(check_user_data(&large), Err(UserDataProblem::TooLarge { .. })));
    assert!(matches!(check_user_data(&gzip(&large)), Err(UserDataProblem::TooLarge { .. })));
}

#[test]
fn duplicate_keys_are_only_warned_of() {
    let checked = check_user_data(b"#cloud-config\na: 1\na: 2\n").unwrap();
    assert_eq!(checked.warnings.len(), 1);
}

#[test]
fn base64_is_decoded_only_when_it_round_trips() {
    assert_eq!(decode_upload(b"IyEvYmluL3NoCg=="), b"#!/bin/sh\n");
    assert_eq!(decode_upload(b"IyEvYm\nluL3NoCg==\n"), b"#!/bin/sh\n");
    assert_eq!(decode_upload(b"#!/bin/sh\n"), b"#!/bin/sh\n");
    assert_eq!(decode_upload(b"IyEvYmluL3NoCg"), b"IyEvYmluL3NoCg");
    assert_eq!(decode_upload(b""), b"");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn checking_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = check_user_data(&bytes);
    }

    #[test]
    fn checking_text_never_panics(text in "(#cloud-config|#include|MIME-Version: 1.0|## template: jinja)?\n\\PC{0,60}") {
        let _ = check_user_data(text.as_bytes());
    }

    #[test]
    fn encoded_uploads_come_back(bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
        prop_assert_eq!(decode_upload(STANDARD.encode(&bytes).as_bytes()), bytes);
    }
}
