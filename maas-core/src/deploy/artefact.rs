//! A document of a deployment.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::digest::sha256_hex;
use crate::secret::Secret;

/// A document of a deployment, as its consumer gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Artefact {
    /// Its name, a relative path: `curtin.yaml`, `curtin/config-000.cfg`, `ipxe.cfg`…
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Its content; never shown in logs, since many hold credentials.
    pub bytes: Secret<Vec<u8>>,
    /// SHA-256 of the content, 64 lower-case hex digits.
    pub sha256: String,
}

impl Artefact {
    /// A document with its digest.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        content_type: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
    ) -> Self {
        let bytes = bytes.into();
        Self {
            name: name.into(),
            content_type: content_type.into(),
            sha256: sha256_hex(&bytes),
            bytes: Secret::new(bytes),
        }
    }

    /// The content as text; `None` when it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes.expose()).ok()
    }
}

/// How an artefact is stored: text stays readable, anything else is base64.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    name: String,
    content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl From<Artefact> for Stored {
    fn from(artefact: Artefact) -> Self {
        let (text, base64) = match String::from_utf8(artefact.bytes.into_inner()) {
            Ok(text) => (Some(text), None),
            Err(bytes) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
        };
        Self { name: artefact.name, content_type: artefact.content_type, text, base64 }
    }
}

impl From<Stored> for Artefact {
    fn from(stored: Stored) -> Self {
        let bytes = match (stored.text, stored.base64) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(encoded)) => STANDARD.decode(encoded).unwrap_or_default(),
            (None, None) => Vec::new(),
        };
        Self::new(stored.name, stored.content_type, bytes)
    }
}
