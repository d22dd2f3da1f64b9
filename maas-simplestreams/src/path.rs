//! Relative paths that are safe to join to a mirror root, and names that are safe as file names.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// The longest path, in bytes.
const LONGEST_PATH: usize = 1024;
/// The longest segment and the longest content id, in bytes: what file systems take as one name.
const LONGEST_NAME: usize = 255;

/// What stays as it is inside one segment of a URL path (RFC 3986 `pchar` without `%`).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// A path relative to the mirror root that cannot leave it.
///
/// Accepted: UTF-8 without control characters or backslashes, not absolute, without an empty or
/// all-dots segment, without an encoded dot or separator, without a scheme. `:` is allowed, real
/// products files carry it in their names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SafePath(Box<str>);

/// The name of one products file (`com.ubuntu.maas:stable:v3:download`), safe as a file name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentId(Box<str>);

/// A path or name that could lead out of its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is unsafe: {reason}", text.escape_debug())]
#[non_exhaustive]
pub struct UnsafePath {
    /// The text that was read, at most 128 characters of it.
    pub text: String,
    /// The rule that it breaks.
    pub reason: UnsafeReason,
}

/// Which rule a path or name breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsafeReason {
    /// It starts with `/`.
    #[error("it is absolute")]
    Absolute,
    /// It holds a backslash.
    #[error("it holds a backslash")]
    Backslash,
    /// It holds a control character.
    #[error("it holds a control character")]
    ControlCharacter,
    /// A segment consists of dots only.
    #[error("a segment consists of dots only")]
    DotSegment,
    /// It is empty or holds an empty segment.
    #[error("it is empty or holds an empty segment")]
    Empty,
    /// It holds `%2e`, `%2f`, `%5c` or `%00`.
    #[error("it holds an encoded dot or separator")]
    EncodedSeparator,
    /// A name starts with a dot.
    #[error("it starts with a dot")]
    LeadingDot,
    /// It starts like a URL.
    #[error("it starts with a scheme")]
    Scheme,
    /// A name holds `/`.
    #[error("it holds a separator")]
    Separator,
    /// It is longer than a file system takes.
    #[error("it is too long")]
    TooLong,
}

impl UnsafePath {
    fn new(text: &str, reason: UnsafeReason) -> Self {
        Self { text: text.chars().take(128).collect(), reason }
    }
}

fn characters(text: &str) -> Result<(), UnsafeReason> {
    if text.is_empty() {
        return Err(UnsafeReason::Empty);
    }
    // C1 controls take two bytes each; a path of plain ASCII is looked at byte by byte.
    let has_control = if text.is_ascii() {
        text.bytes().any(|byte| byte.is_ascii_control())
    } else {
        text.chars().any(char::is_control)
    };
    if has_control {
        return Err(UnsafeReason::ControlCharacter);
    }
    if text.contains('\\') {
        return Err(UnsafeReason::Backslash);
    }
    let lower = if text.contains('%') { text.to_ascii_lowercase() } else { String::new() };
    if ["%2e", "%2f", "%5c", "%00"].iter().any(|encoded| lower.contains(encoded)) {
        return Err(UnsafeReason::EncodedSeparator);
    }
    Ok(())
}

fn check_path(text: &str) -> Result<(), UnsafeReason> {
    if text.len() > LONGEST_PATH {
        return Err(UnsafeReason::TooLong);
    }
    characters(text)?;
    if text.starts_with('/') {
        return Err(UnsafeReason::Absolute);
    }
    for segment in text.split('/') {
        if segment.is_empty() {
            return Err(UnsafeReason::Empty);
        }
        if segment.bytes().all(|byte| byte == b'.') {
            return Err(UnsafeReason::DotSegment);
        }
        if segment.len() > LONGEST_NAME {
            return Err(UnsafeReason::TooLong);
        }
    }
    let first = text.split('/').next().unwrap_or_default();
    if let Some((scheme, _)) = first.split_once(':') {
        let mut letters = scheme.chars();
        if letters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
            && letters.all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
        {
            return Err(UnsafeReason::Scheme);
        }
    }
    Ok(())
}

fn check_name(text: &str) -> Result<(), UnsafeReason> {
    if text.len() > LONGEST_NAME {
        return Err(UnsafeReason::TooLong);
    }
    characters(text)?;
    if text.contains('/') {
        return Err(UnsafeReason::Separator);
    }
    if text.starts_with('.') {
        return Err(UnsafeReason::LeadingDot);
    }
    Ok(())
}

/// Whether a text is a [`SafePath`].
pub(crate) fn is_safe_path(text: &str) -> bool {
    is_plain_path(text.as_bytes()) || check_path(text).is_ok()
}

/// What nearly every path looks like: short, of letters that mean nothing anywhere, no segment
/// empty or starting with a dot.
fn is_plain_path(text: &[u8]) -> bool {
    let mut before = b'/';
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'+' | b'~' => {}
            b'.' | b'/' if before != b'/' => {}
            _ => return false,
        }
        before = *byte;
    }
    before != b'/' && text.len() <= LONGEST_NAME
}

impl SafePath {
    /// Checks `text` and keeps it.
    pub fn new(text: impl AsRef<str>) -> Result<Self, UnsafePath> {
        let text = text.as_ref();
        check_path(text).map_err(|reason| UnsafePath::new(text, reason))?;
        Ok(Self(text.into()))
    }

    /// The path as it stands in the document, not encoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path for a URL: every segment percent-encoded.
    pub fn to_url_path(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for (place, segment) in self.0.split('/').enumerate() {
            if place > 0 {
                text.push('/');
            }
            text.extend(utf8_percent_encode(segment, SEGMENT));
        }
        text
    }

    /// The path below the directory `root`.
    pub fn below(&self, root: &Path) -> PathBuf {
        let mut path = PathBuf::with_capacity(root.as_os_str().len() + 1 + self.0.len());
        path.push(root);
        path.extend(self.0.split('/'));
        path
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The same path with `suffix` added to its last segment.
    pub fn with_suffix(&self, suffix: &str) -> Result<Self, UnsafePath> {
        Self::new(format!("{}{suffix}", self.0))
    }

    /// The same path with the ending `old` replaced by `new`; `None` when it ends otherwise.
    pub fn replacing_ending(&self, old: &str, new: &str) -> Option<Self> {
        let stem = self.0.strip_suffix(old)?;
        Self::new(format!("{stem}{new}")).ok()
    }
}

impl ContentId {
    /// Checks `text` and keeps it.
    pub fn new(text: impl AsRef<str>) -> Result<Self, UnsafePath> {
        let text = text.as_ref();
        check_name(text).map_err(|reason| UnsafePath::new(text, reason))?;
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_type {
    ($name:ident) => {
        impl FromStr for $name {
            type Err = UnsafePath;

            fn from_str(text: &str) -> Result<Self, UnsafePath> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = UnsafePath;

            fn try_from(text: String) -> Result<Self, UnsafePath> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = UnsafePath;

            fn try_from(text: &str) -> Result<Self, UnsafePath> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

text_type!(SafePath);
text_type!(ContentId);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn real_paths_are_accepted_and_encoded_per_segment() {
        let path = SafePath::new("streams/v1/com.ubuntu.maas:stable:v3:download.sjson").unwrap();
        assert_eq!(path.to_url_path(), path.as_str());
        let odd = SafePath::new("a b/100%/ü?#x").unwrap();
        assert_eq!(odd.to_url_path(), "a%20b/100%25/%C3%BC%3F%23x");
    }

    #[test]
    fn every_way_out_is_refused_with_its_rule() {
        use UnsafeReason::{
            Absolute, Backslash, ControlCharacter, DotSegment, Empty, EncodedSeparator, Scheme,
            TooLong,
        };
        let table = [
            ("", Empty),
            ("/etc/passwd", Absolute),
            ("//host/x", Absolute),
            ("..", DotSegment),
            ("a/..", DotSegment),
            ("../x", DotSegment),
            ("a/../../x", DotSegment),
            (".", DotSegment),
            ("a/./b", DotSegment),
            ("a/.../b", DotSegment),
            ("a//b", Empty),
            ("a/", Empty),
            ("a\\b", Backslash),
            ("a\0b", ControlCharacter),
            ("a\nb", ControlCharacter),
            ("a/\u{85}", ControlCharacter),
            ("%2e%2e/x", EncodedSeparator),
            ("a/%2E./x", EncodedSeparator),
            ("a%2fb", EncodedSeparator),
            ("http://evil/x", Empty),
            ("http:x", Scheme),
            ("file:x/y", Scheme),
        ];
        for (text, reason) in table {
            assert_eq!(SafePath::new(text).unwrap_err().reason, reason, "{text:?}");
        }
        assert_eq!(SafePath::new("x".repeat(256)).unwrap_err().reason, TooLong);
        assert_eq!(SafePath::new("x/".repeat(600) + "x").unwrap_err().reason, TooLong);
    }

    #[test]
    fn content_ids_are_one_file_name() {
        assert!(ContentId::new("com.ubuntu.maas:stable:v3:download").is_ok());
        for text in ["", ".", "..", "../x", "a/b", ".hidden", "a\\b", "a\0"] {
            assert!(ContentId::new(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_path_that_looks_plain_is_safe(text in "[ab./%:_-]{0,12}") {
            prop_assert!(!is_plain_path(text.as_bytes()) || check_path(&text).is_ok());
        }

        #[test]
        fn an_accepted_path_never_leaves_its_root(text in r"[a-z./%\\:]{0,12}") {
            if let Ok(path) = SafePath::new(&text) {
                let joined = path.below(Path::new("/root"));
                prop_assert!(joined.starts_with("/root"));
                prop_assert!(joined.components().all(|part| !matches!(
                    part,
                    std::path::Component::ParentDir | std::path::Component::CurDir
                )));
                let base = url::Url::parse("http://mirror/a/").unwrap();
                let url = base.join(&format!("./{}", path.to_url_path())).unwrap();
                prop_assert!(url.as_str().starts_with("http://mirror/a/"));
            }
        }

        #[test]
        fn any_text_is_accepted_or_refused_without_a_panic(text in ".*") {
            let _answer = (SafePath::new(&text), ContentId::new(&text));
        }
    }
}
