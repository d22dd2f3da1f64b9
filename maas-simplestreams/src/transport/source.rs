//! The URL of a source, split into the mirror root and the path of its first document.

use std::fmt;
use std::path::Path;

use url::Url;

use crate::path::{SafePath, UnsafePath};

/// Where a source is: its root and the document to start from.
///
/// `http://host/root`, `http://host/root/` and
/// `http://host/root/streams/v1/index.sjson` all name the root `http://host/root/`; without a
/// document in the URL the signed index `streams/v1/index.sjson` is meant.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl {
    root: Url,
    path: SafePath,
    stated: bool,
    given: Option<String>,
}

/// Why a text is not the URL of a source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceUrlError {
    /// It is not a URL.
    #[error("this is not a URL")]
    Syntax(#[source] url::ParseError),
    /// It has another scheme than http, https or file.
    #[error("the scheme `{0}` is not supported, only http, https and file are")]
    Scheme(String),
    /// The path of the document is unsafe.
    #[error("the path of the document is unsafe")]
    Path(#[source] UnsafePath),
    /// The directory cannot be written as a URL.
    #[error("the directory is not an absolute path")]
    Directory,
}

const DEFAULT: &str = "streams/v1/index.sjson";
const METADATA: &str = "streams/v1/";

impl SourceUrl {
    /// Reads the URL of a root or of a document below `streams/v1/`.
    pub fn parse(text: &str) -> Result<Self, SourceUrlError> {
        let mut url = Url::parse(text.trim()).map_err(SourceUrlError::Syntax)?;
        if !matches!(url.scheme(), "http" | "https" | "file") {
            return Err(SourceUrlError::Scheme(url.scheme().to_owned()));
        }
        url.set_fragment(None);
        let whole = url.path().to_owned();
        let document = whole
            .find(METADATA)
            .filter(|start| *start == 0 || whole.as_bytes().get(start - 1) == Some(&b'/'))
            .and_then(|start| whole.split_at_checked(start))
            .filter(|(_, rest)| rest.ends_with(".sjson") || rest.ends_with(".json"));
        let (root, path, stated) = match document {
            Some((root, path)) => {
                let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
                (root.to_owned(), SafePath::new(decoded.as_ref()), true)
            }
            None => (whole.clone(), SafePath::new(DEFAULT), false),
        };
        let mut root = root;
        if !root.ends_with('/') {
            root.push('/');
        }
        url.set_path(&root);
        Ok(Self { root: url, path: path.map_err(SourceUrlError::Path)?, stated, given: None })
    }

    /// The mirror in a local directory.
    pub fn directory(path: &Path) -> Result<Self, SourceUrlError> {
        let url = Url::from_directory_path(path).map_err(|()| SourceUrlError::Directory)?;
        Self::parse(url.as_str())
    }

    /// The same root, starting from another document.
    #[must_use]
    pub fn with_path(mut self, path: SafePath) -> Self {
        self.path = path;
        self.stated = true;
        self
    }

    /// The same source, whose root is written like this in front of paths: a relative directory
    /// stays what it was. A slash at the end is added.
    #[must_use]
    pub fn written_as(mut self, root: &str) -> Self {
        let slash = if root.ends_with('/') { "" } else { "/" };
        self.given = Some(format!("{root}{slash}"));
        self
    }

    /// The root, ending in `/`.
    pub fn root(&self) -> &Url {
        &self.root
    }

    /// The root as the simplestreams tools write it in front of a path: a plain directory for
    /// `file:` URLs, or what [`Self::written_as`] says.
    pub fn root_as_given(&self) -> String {
        if let Some(given) = &self.given {
            return given.clone();
        }
        match self.root.to_file_path() {
            Ok(path) if self.root.scheme() == "file" => {
                format!("{}/", path.display().to_string().trim_end_matches('/'))
            }
            _ => super::shown(&self.root),
        }
    }

    /// The document to start from.
    pub fn path(&self) -> &SafePath {
        &self.path
    }

    /// Whether the document was stated, not assumed.
    pub fn states_document(&self) -> bool {
        self.stated
    }

    /// The URL of `path`, percent-encoded per segment.
    pub fn join(&self, path: &SafePath) -> Url {
        let mut url = self.root.clone();
        url.set_path(&format!("{}{}", self.root.path(), path.to_url_path()));
        url
    }

    /// The root as a stable key for memories about this source: without credentials.
    pub fn key(&self) -> String {
        super::shown(&self.root)
    }
}

impl std::str::FromStr for SourceUrl {
    type Err = SourceUrlError;

    fn from_str(text: &str) -> Result<Self, SourceUrlError> {
        Self::parse(text)
    }
}

impl fmt::Display for SourceUrl {
    /// The URL of the document to start from, without credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&super::shown(&self.join(&self.path)))
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SourceUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn roots_and_documents_are_told_apart() {
        for (text, root, path) in [
            ("http://h/e/stable", "http://h/e/stable/", DEFAULT),
            ("http://h/e/stable/", "http://h/e/stable/", DEFAULT),
            ("http://h", "http://h/", DEFAULT),
            ("http://h/r/streams/v1/index.json", "http://h/r/", "streams/v1/index.json"),
            ("http://h/streams/v1/a:b.sjson", "http://h/", "streams/v1/a:b.sjson"),
            ("http://h/mystreams/v1/", "http://h/mystreams/v1/", DEFAULT),
            ("file:///srv/mirror", "file:///srv/mirror/", DEFAULT),
        ] {
            let source = SourceUrl::parse(text).unwrap();
            assert_eq!(source.root().as_str(), root, "{text}");
            assert_eq!(source.path().as_str(), path, "{text}");
        }
    }

    #[test]
    fn other_schemes_are_refused() {
        for text in ["ftp://h/x", "data:,x", "x", ""] {
            assert!(SourceUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_joined_below_the_root_whatever_they_hold() {
        let source = SourceUrl::parse("http://h/r").unwrap();
        let path = SafePath::new("a/b?c#d%").unwrap();
        assert_eq!(source.join(&path).as_str(), "http://h/r/a/b%3Fc%23d%25");
    }

    #[test]
    fn credentials_are_not_shown() {
        let source = SourceUrl::parse("http://user:secret@h/r").unwrap();
        assert!(!format!("{source} {source:?} {}", source.key()).contains("secret"));
    }
}
