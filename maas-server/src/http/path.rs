//! Request paths in one canonical form, and their parameters decoded.

use percent_encoding::percent_decode_str;

/// Why a path cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Longer than the limit in bytes.
    #[error("path is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// A segment is `.` or `..`, before or after decoding.
    #[error("path contains a dot segment")]
    DotSegment,
    /// A segment decodes to control characters or to bytes that are no text.
    #[error("path contains bytes that are no text")]
    NotText,
}

/// The longest path accepted, in bytes.
const MAX_PATH: usize = 4096;

/// Brings a path into the form that routes are matched in: repeated slashes collapsed
/// (cloud-init asks for `//2012-03-01/`), no slash at the end, every segment decoded (iPXE sends
/// `ipxe.cfg-52%3A54`) except that a slash or percent sign inside a segment stays as `%2F` or
/// `%25`. The root is `/`.
///
/// # Errors
/// [`PathError`]; no path with dot segments gets through, however it is spelled.
pub fn canonical_path(raw: &str) -> Result<String, PathError> {
    if raw.len() > MAX_PATH {
        return Err(PathError::TooLong { limit: MAX_PATH });
    }
    let mut path = String::with_capacity(raw.len() + 1);
    for segment in raw.split('/').filter(|segment| !segment.is_empty()) {
        path.push('/');
        let decoded = decode(segment)?;
        for character in decoded.chars() {
            match character {
                '/' => path.push_str("%2F"),
                '%' => path.push_str("%25"),
                other => path.push(other),
            }
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    Ok(path)
}

/// Undoes what [`canonical_path`] left encoded, for a parameter's value.
#[must_use]
pub fn decode_segment(canonical: &str) -> String {
    // The slash first: a percent sign that this step brings back is not read again.
    canonical.replace("%2F", "/").replace("%25", "%")
}

fn decode(segment: &str) -> Result<std::borrow::Cow<'_, str>, PathError> {
    let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| PathError::NotText)?;
    if matches!(decoded.as_ref(), "." | "..") {
        return Err(PathError::DotSegment);
    }
    if decoded.chars().any(char::is_control) {
        return Err(PathError::NotText);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    #[test]
    fn slashes_collapse_and_the_last_one_does_not_count() {
        for raw in [
            "/MAAS//metadata///2012-03-01/",
            "/MAAS/metadata/2012-03-01",
            "//MAAS/metadata/2012-03-01//",
        ] {
            assert_eq!(canonical_path(raw).unwrap(), "/MAAS/metadata/2012-03-01");
        }
        assert_eq!(canonical_path("/").unwrap(), "/");
        assert_eq!(canonical_path("").unwrap(), "/");
    }

    #[test]
    fn what_ipxe_sends_is_decoded() {
        let raw = "/ipxe.cfg-52%3A54%3A00%3a00%3A00%3A01";
        assert_eq!(canonical_path(raw).unwrap(), "/ipxe.cfg-52:54:00:00:00:01");
    }

    #[test]
    fn dot_segments_do_not_get_through_in_any_spelling() {
        for raw in ["/a/../b", "/a/%2e%2e/b", "/a/.%2E/b", "/./a", "/a/%2e"] {
            assert_eq!(canonical_path(raw), Err(PathError::DotSegment), "{raw}");
        }
        assert_eq!(canonical_path("/a/%00"), Err(PathError::NotText));
        assert_eq!(canonical_path("/a/%ff"), Err(PathError::NotText));
    }

    #[test]
    fn an_encoded_slash_stays_inside_its_segment() {
        assert_eq!(canonical_path("/files/a%2Fb").unwrap(), "/files/a%2Fb");
        assert_eq!(decode_segment("a%2Fb"), "a/b");
        assert_eq!(decode_segment("100%25"), "100%");
        assert_eq!(decode_segment(&canonical_path("/%252F").unwrap()[1..]), "%2F");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn a_segment_survives_encoding_and_decoding(text in "[^\\p{Cc}]{1,20}") {
            prop_assume!(text != "." && text != "..");
            let raw = format!("/x/{}", utf8_percent_encode(&text, NON_ALPHANUMERIC));
            let canonical = canonical_path(&raw).unwrap();
            let segments: Vec<&str> = canonical.split('/').collect();
            prop_assert_eq!(segments.len(), 3);
            prop_assert_eq!(decode_segment(segments[2]), text);
        }

        #[test]
        fn any_text_is_read_without_panic_and_the_result_is_stable(raw in ".{0,60}") {
            if let Ok(once) = canonical_path(&raw) {
                prop_assert!(once.starts_with('/'));
                prop_assert!(!once.contains("//"));
                // Reading the canonical form again changes nothing.
                prop_assert_eq!(canonical_path(&once).unwrap(), once);
            }
        }
    }
}
