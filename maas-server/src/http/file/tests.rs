//! Files: whole, in ranges, revalidated, and spoilt while they are sent.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::http::reply::Extent;
use http_body::Body;
use http_body_util::BodyExt;
use proptest::prelude::*;
use std::io::Write;

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

fn file(length: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&content(length)).unwrap();
    file
}

fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
}

async fn answer(file: &Path, sent: &HeaderMap) -> (StatusCode, HeaderMap, Vec<u8>) {
    let content = FileContent::open(file, None).await.unwrap().digest("abc");
    let response = content.reply(sent).into_response(Extent::Whole);
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    (parts.status, parts.headers, body)
}

#[tokio::test]
async fn a_file_of_many_chunks_arrives_whole() {
    for length in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 7 * CHUNK_LEN + 13] {
        let file = file(length);
        let (status, headers, body) = answer(file.path(), &HeaderMap::new()).await;
        assert_eq!(status, 200);
        assert_eq!(headers["content-length"], length.to_string());
        assert_eq!(headers["etag"], "\"abc\"");
        assert_eq!(headers["accept-ranges"], "bytes");
        assert_eq!(headers["content-type"], "application/octet-stream");
        assert!(body == content(length), "{length}");
    }
}

#[tokio::test]
async fn one_range_is_answered_with_206() {
    let file = file(2 * CHUNK_LEN);
    let all = content(2 * CHUNK_LEN);
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=10-", 10, all.len()),
        ("bytes=-5", all.len() - 5, all.len()),
        ("bytes=262000-263000", 262_000, 263_001),
        ("bytes=5-99999999999999999999999", 5, all.len()),
    ] {
        let (status, headers, body) =
            answer(file.path(), &headers(&[(header::RANGE, range)])).await;
        assert_eq!(status, 206, "{range}");
        let expected = format!("bytes {start}-{}/{}", end - 1, all.len());
        assert_eq!(headers["content-range"], expected);
        assert_eq!(headers["content-length"], (end - start).to_string());
        assert!(body == all[start..end], "{range}");
    }
}

#[tokio::test]
async fn a_range_outside_is_416_and_an_odd_one_is_ignored() {
    let file = file(10);
    let (status, sent, _) = answer(file.path(), &headers(&[(header::RANGE, "bytes=10-")])).await;
    assert_eq!((status.as_u16(), &sent["content-range"]), (416, &"bytes */10".parse().unwrap()));
    for odd in ["bytes=0-1,3-4", "lines=1-2", "bytes=5-2", "bytes=a-b", "bytes", "bytes=-"] {
        let (status, _, body) = answer(file.path(), &headers(&[(header::RANGE, odd)])).await;
        assert_eq!((status.as_u16(), body.len()), (200, 10), "{odd}");
    }
}

#[tokio::test]
async fn validators_are_honoured() {
    let file = file(10);
    let sent = headers(&[(header::IF_NONE_MATCH, "\"x\", W/\"abc\"")]);
    let (status, out, body) = answer(file.path(), &sent).await;
    assert_eq!((status.as_u16(), body.len()), (304, 0));
    assert_eq!(out["etag"], "\"abc\"");
    for (tag, status) in [("\"abc\"", 206), ("\"old\"", 200), ("W/\"abc\"", 200)] {
        let sent = headers(&[(header::RANGE, "bytes=1-2"), (header::IF_RANGE, tag)]);
        assert_eq!(answer(file.path(), &sent).await.0.as_u16(), status, "{tag}");
    }
}

#[tokio::test]
async fn a_file_of_the_wrong_length_is_not_opened() {
    let file = file(10);
    let error = FileContent::open(file.path(), Some(11)).await.unwrap_err();
    assert!(matches!(error, FileError::Length { expected: 11, found: 10, .. }));
    assert_eq!(Problem::from(error).status(), 500);
    let error = FileContent::open(Path::new("/nonexistent/file"), None).await.unwrap_err();
    assert_eq!(Problem::from(error).status(), 404);
    let folder = tempfile::tempdir().unwrap();
    let error = FileContent::open(folder.path(), None).await.unwrap_err();
    assert!(matches!(error, FileError::NotAFile { .. }));
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_sent_ends_in_an_error() {
    let file = file(4 * CHUNK_LEN);
    let opened = FileContent::open(file.path(), None).await.unwrap();
    let mut body = opened.reply(&HeaderMap::new()).into_response(Extent::Whole).into_body();
    assert!(body.frame().await.unwrap().is_ok());
    file.as_file().set_len(CHUNK_LEN as u64).unwrap();
    let mut failed = false;
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            failed = true;
            break;
        }
    }
    assert!(failed);
    assert!(!body.is_end_stream());
}

#[tokio::test]
async fn buffers_are_used_again() {
    let file = file(16 * CHUNK_LEN);
    let opened = FileContent::open(file.path(), None).await.unwrap();
    let mut body = opened.reply(&HeaderMap::new()).into_response(Extent::Whole).into_body();
    let mut places = std::collections::HashSet::new();
    while let Some(frame) = body.frame().await {
        places.insert(frame.unwrap().into_data().unwrap().as_ptr() as usize);
    }
    assert!(places.len() <= 4, "{}", places.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn a_range_lies_inside_the_file(text in "bytes=[0-9]{0,4}-[0-9]{0,4}|.{0,12}", length in 0u64..2000) {
        if let Range::Part { start, end } = parse_range(&text, length) {
            prop_assert!(start < end && end <= length);
        }
    }
}
