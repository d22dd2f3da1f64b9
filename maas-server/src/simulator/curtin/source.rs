//! Where curtin takes the system from: the running root file system or an image behind a URL.

use std::fmt;

use serde_json::Value;

use crate::simulator::boot::Boot;
use crate::simulator::client::Agent;
use crate::simulator::ephemeral::LoadedRoot;
use crate::simulator::event::Stage;
use crate::simulator::firmware::verify;
use crate::simulator::metadata::EVENT_PAUSES;

/// Image types that curtin takes before a URL.
const TYPES: [&str; 16] = [
    "tgz",
    "dd-tgz",
    "tbz",
    "dd-tbz",
    "txz",
    "dd-txz",
    "tar",
    "dd-tar",
    "dd-bz2",
    "dd-gz",
    "dd-xz",
    "dd-raw",
    "dd-zst",
    "fsimage",
    "fsimage-layered",
    "squashfs",
];

/// One source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// `cp://PATH`: a copy of what is mounted there.
    Copy(String),
    /// An image of a type.
    Image { kind: String, url: String },
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copy(path) => write!(formatter, "cp://{path}"),
            Self::Image { kind, url } => write!(formatter, "{kind}:{url}"),
        }
    }
}

impl Source {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("cp://") {
            return Ok(Self::Copy(path.to_owned()));
        }
        let is_url = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        if is_url(text) {
            return Ok(Self::Image { kind: "tgz".to_owned(), url: text.to_owned() });
        }
        if let Some((kind, url)) = text.split_once(':') {
            let url = url.strip_prefix("//").filter(|rest| is_url(rest)).unwrap_or(url);
            if TYPES.contains(&kind) && is_url(url) {
                return Ok(Self::Image { kind: kind.to_owned(), url: url.to_owned() });
            }
        }
        Err(format!("curtin cannot install from the source {text:?}"))
    }

    pub(super) fn is_disk_image(&self) -> bool {
        matches!(self, Self::Image { kind, .. } if kind.starts_with("dd-"))
    }

    /// Loads and verifies it; gives its SHA-256.
    pub(super) async fn load(&self, boot: &Boot, root: &LoadedRoot) -> Result<String, String> {
        let (kind, url) = match self {
            Self::Copy(path) if path.trim_end_matches('/') == "/media/root-ro" => {
                return Ok(root.sha256.clone());
            }
            Self::Copy(path) => return Err(format!("nothing is mounted at {path}")),
            Self::Image { kind, url } => (kind, url),
        };
        let mut pauses = EVENT_PAUSES.iter();
        let found = loop {
            match boot.wire().download(Agent::Wget, url).await {
                Ok(found) => break found,
                // The server said no.
                Err(error) if error.status().is_some_and(|status| status < 500) => {
                    return Err(error.to_string());
                }
                Err(error) => {
                    let pause = pauses.next().ok_or_else(|| error.to_string())?;
                    boot.pace.pause(*pause).await;
                }
            }
        };
        verify(url, &found).map_err(|stuck| stuck.to_string())?;
        boot.tell(Stage::TargetImage, format!("{kind} {url} ({} bytes)", found.bytes)).await;
        Ok(found.sha256)
    }
}

/// All sources in the order of their names; without any, the one on the command line.
pub(super) fn all(config: &Value, command_line: Option<&str>) -> Result<Vec<Source>, String> {
    let mut found = Vec::new();
    if let Some(sources) = config["sources"].as_object() {
        let mut sorted: Vec<_> = sources.iter().collect();
        sorted.sort_by_key(|(name, _)| *name);
        for (name, source) in sorted {
            let source = match (source, source["uri"].as_str(), source["type"].as_str()) {
                (Value::String(text), ..) => Source::parse(text)?,
                (_, Some(uri), Some(kind)) if TYPES.contains(&kind) && uri.starts_with("http") => {
                    Source::Image { kind: kind.to_owned(), url: uri.to_owned() }
                }
                (_, Some(uri), _) => Source::parse(uri)?,
                _ => return Err(format!("the source {name} is neither text nor has a uri")),
            };
            found.push(source);
        }
    }
    match (found.is_empty(), command_line) {
        (true, Some(text)) => Ok(vec![Source::parse(text)?]),
        (true, None) => Err("curtin was given nothing to install".to_owned()),
        (false, _) => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn sources_are_read_in_all_their_forms() {
        let config = json!({"sources": {
            "00-root": "cp:///media/root-ro",
            "01": {"type": "dd-gz", "uri": "http://r/images/a/x.dd.gz"},
            "02": "dd-xz:http://r/y", "03": "http://r/z.tgz",
        }});
        let found = all(&config, None).unwrap();
        let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "cp:///media/root-ro",
                "dd-gz:http://r/images/a/x.dd.gz",
                "dd-xz:http://r/y",
                "tgz:http://r/z.tgz"
            ]
        );
        assert!(found[1].is_disk_image() && !found[3].is_disk_image());
        assert_eq!(all(&json!({}), Some("cp:///media/root-ro")).unwrap().len(), 1);
    }

    #[test]
    fn what_curtin_cannot_install_is_refused() {
        assert!(all(&json!({}), None).is_err());
        assert!(all(&json!({"sources": {"a": "ftp://x"}}), None).is_err());
        assert!(all(&json!({"sources": {"a": {"type": "tgz"}}}), None).is_err());
    }

    proptest! {
        #[test]
        fn any_source_is_read_without_panic(text in "(cp://|tgz:|dd-|http://|:|[a-zé/]){0,8}") {
            let _ = Source::parse(&text);
        }
    }
}
