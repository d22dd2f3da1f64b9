//! Multipart bodies as the clients send them, and as nobody does.

#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

fn read(body: &str, boundary: &str) -> Result<Fields, MultipartError> {
    parse_multipart(&Bytes::from(body.to_owned()), boundary, MultipartLimits::default())
}

#[test]
fn the_part_that_python_libmaas_sends_is_decoded() {
    let content_type = "multipart/form-data; boundary=\"===============1812499515225852885==\"";
    let boundary = boundary_of(content_type).unwrap().unwrap();
    let body = "--===============1812499515225852885==\r\n\
        Content-Transfer-Encoding: base64\r\n\
        Content-Disposition: form-data; name=\"distro_series\"\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: text/plain; charset=\"utf-8\"\r\n\
        \r\n\
        bm9ibGU=\r\n\
        \r\n\
        --===============1812499515225852885==--";
    let form = read(body, &boundary).unwrap();
    assert_eq!(form.text("distro_series").unwrap(), Some("noble"));
    assert_eq!(form.len(), 1);
    assert_eq!(form.files().count(), 0);
}

#[test]
fn an_empty_multipart_is_an_empty_form() {
    let body = "--===============42==\r\n\r\n--===============42==--";
    let form = read(body, "===============42==");
    // Python writes it for "nothing to send": one blank line that is no part.
    assert_eq!(form, Ok(Fields::new()));
    assert_eq!(read("--B--", "B"), Ok(Fields::new()));
    assert_eq!(read("--B--\r\n", "B"), Ok(Fields::new()));
    assert_eq!(read("--B\r\n--B--", "B"), Ok(Fields::new()));
}

#[test]
fn folded_base64_of_a_file_is_joined() {
    let content: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let encoded = base64::engine::general_purpose::STANDARD.encode(&content);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(76).map(|c| str::from_utf8(c).unwrap()).collect();
    let body = format!(
        "--B\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n\
         Content-Disposition: form-data; name=\"script\"; filename=\"50-check.sh\"\r\n\
         Content-Transfer-Encoding: BASE64\r\n\r\n{}\r\n\r\n--B--",
        lines.join("\r\n")
    );
    let form = read(&body, "B").unwrap();
    let value = form.value("script").unwrap();
    assert_eq!(value.content, content);
    assert_eq!(value.file_name.as_deref(), Some("50-check.sh"));
    assert_eq!(value.content_type.as_deref(), Some("application/octet-stream"));
}

#[test]
fn the_signal_of_a_commissioning_script_is_read() {
    // What a machine's runner posts: a bare boundary, plain fields and file parts.
    let body = "--boundary123\r\n\
        Content-Disposition: form-data; name=\"op\"\r\n\r\nsignal\r\n\
        --boundary123\r\n\
        Content-Disposition: form-data; name=\"exit_status\"\r\n\r\n0\r\n\
        --boundary123\r\n\
        Content-Disposition: form-data; name=\"20-maas-01.out\"; filename=\"20-maas-01.out\"\r\n\
        Content-Type: application/octet-stream\r\n\r\n\
        line one\r\n--not a boundary\r\n\r\nline\n--boundary1234\r\n\
        --boundary123--\r\n";
    let form = read(body, "boundary123").unwrap();
    assert_eq!(form.text("op").unwrap(), Some("signal"));
    assert_eq!(form.number::<i32>("exit_status").unwrap(), Some(0));
    let output = form.text("20-maas-01.out").unwrap().unwrap();
    assert_eq!(output, "line one\r\n--not a boundary\r\n\r\nline\n--boundary1234");
}

#[test]
fn line_feeds_alone_are_enough() {
    let body = "--B\nContent-Disposition: form-data; name=a\n\n1\n--B\n\
        content-disposition:form-data;\n name=\"b\"\n\n\n--B--\n";
    let form = read(body, "B").unwrap();
    assert_eq!(form.text("a").unwrap(), Some("1"));
    assert_eq!(form.text("b").unwrap(), Some(""));
}

#[test]
fn a_part_may_be_empty_and_a_preamble_is_skipped() {
    let body = "preamble\r\n--B  \r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--B\r\n\
        Content-Disposition: form-data; name=\"b\"\r\n\r\n--B--\r\nepilogue";
    let form = read(body, "B").unwrap();
    assert_eq!(form.text("a").unwrap(), Some(""));
    assert_eq!(form.text("b").unwrap(), Some(""));
}

#[test]
fn repeated_names_are_a_list() {
    let part =
        |v: &str| format!("--B\r\nContent-Disposition: form-data; name=\"tags\"\r\n\r\n{v}\r\n");
    let form = read(&format!("{}{}--B--", part("a"), part("b")), "B").unwrap();
    assert_eq!(form.texts("tags").unwrap(), ["a", "b"]);
}

#[test]
fn what_is_broken_is_named() {
    let part = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n";
    assert_eq!(read("", "B"), Err(MultipartError::Incomplete));
    assert_eq!(read("no boundary", "B"), Err(MultipartError::Incomplete));
    assert_eq!(read(&format!("{part}\r\nrest"), "B"), Err(MultipartError::Incomplete));
    assert_eq!(
        read("--B\r\nContent-Type: text/plain\r\n\r\nx\r\n--B--", "B"),
        Err(MultipartError::Unnamed { part: 1 })
    );
    let encoded = |how: &str, v: &str| {
        read(&format!("{part}Content-Transfer-Encoding: {how}\r\n\r\n{v}\r\n--B--"), "B")
    };
    assert_eq!(encoded("base64", "%%"), Err(MultipartError::NotBase64 { field: "a".into() }));
    assert!(matches!(encoded("rot13", "x"), Err(MultipartError::UnknownEncoding { .. })));
    assert!(encoded("8bit", "ü").is_ok());
    assert_eq!(boundary_of("multipart/form-data"), Some(Err(MultipartError::NoBoundary)));
    assert_eq!(boundary_of("text/plain; boundary=x"), None);
}

#[test]
fn the_limits_hold() {
    let limits = MultipartLimits { parts: 2, header_len: 60 };
    let part = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
    let three = Bytes::from(format!("{part}{part}{part}--B--"));
    assert_eq!(
        parse_multipart(&three, "B", limits),
        Err(MultipartError::TooManyParts { limit: 2 })
    );
    let long = format!(
        "--B\r\nX: {}\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--B--",
        "y".repeat(80)
    );
    assert_eq!(
        parse_multipart(&Bytes::from(long), "B", limits),
        Err(MultipartError::HeadersTooLong { limit: 60 })
    );
}

/// Writes a form the way a client would; `base64` says which parts are encoded.
fn write(parts: &[(String, Vec<u8>, bool)], boundary: &str, line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content, base64) in parts {
        let name = name.replace('\\', "\\\\").replace('"', "\\\"");
        let encoding = if *base64 {
            format!("Content-Transfer-Encoding: base64{line}")
        } else {
            String::new()
        };
        let head = format!(
            "--{boundary}{line}{encoding}Content-Disposition: form-data; name=\"{name}\"{line}{line}"
        );
        out.extend_from_slice(head.as_bytes());
        if *base64 {
            let text = base64::engine::general_purpose::STANDARD.encode(content);
            for chunk in text.as_bytes().chunks(76) {
                out.extend_from_slice(chunk);
                out.extend_from_slice(line.as_bytes());
            }
        } else {
            out.extend_from_slice(content);
        }
        out.extend_from_slice(line.as_bytes());
    }
    out.extend_from_slice(format!("--{boundary}--").as_bytes());
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_written_is_what_is_read(
        parts in proptest::collection::vec(
            ("[a-z\"\\\\ ]{1,8}", proptest::collection::vec(any::<u8>(), 0..200), any::<bool>()), 0..5),
        lf in any::<bool>(),
    ) {
        let line = if lf { "\n" } else { "\r\n" };
        let written = Bytes::from(write(&parts, "=bOuNdArY=", line));
        let read = parse_multipart(&written, "=bOuNdArY=", MultipartLimits::default()).unwrap();
        prop_assert_eq!(read.len(), parts.len());
        for (field, (name, content, base64)) in read.iter().zip(&parts) {
            prop_assert_eq!(&field.name, name);
            // With bare line feeds a carriage return before the boundary cannot be told apart.
            if !(lf && !*base64 && content.ends_with(b"\r")) {
                prop_assert_eq!(&field.value.content[..], &content[..]);
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        bytes in proptest::collection::vec(
            prop_oneof![Just(b'-'), Just(b'B'), Just(b'\r'), Just(b'\n'), Just(b':'), any::<u8>()], 0..120),
        content_type in ".{0,40}",
    ) {
        let _ = parse_multipart(&Bytes::from(bytes), "B", MultipartLimits::default());
        let _ = boundary_of(&content_type);
        let _ = boundary_of(&format!("multipart/form-data; {content_type}"));
    }

    #[test]
    fn a_cut_body_is_refused_or_a_prefix(cut in 0usize..300) {
        let parts = vec![
            ("one".to_owned(), b"11111".to_vec(), false),
            ("two".to_owned(), b"22222".to_vec(), true),
        ];
        let whole = write(&parts, "B", "\r\n");
        prop_assume!(cut < whole.len());
        let read = parse_multipart(&Bytes::from(whole[..cut].to_vec()), "B", MultipartLimits::default());
        prop_assert!(read.is_err());
    }
}
