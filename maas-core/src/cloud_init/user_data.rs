//! User data: what kind it is, and whether cloud-init will be able to use it.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maas_netconfig::yaml::{self, Value};
use serde::{Deserialize, Serialize};

use super::schema;

/// The most that is accepted, in bytes, and the most that compressed user data may unpack to.
const LARGEST: usize = 16 << 20;

/// The kinds of user data that cloud-init tells apart, by the first line or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UserDataKind {
    /// `#cloud-config`.
    CloudConfig,
    /// `#cloud-config-archive`: a list of parts.
    CloudConfigArchive,
    /// `#cloud-config-jsonp`: a JSON patch.
    CloudConfigPatch,
    /// `#!`: a script.
    Script,
    /// `#include`, `#include-once`: URLs.
    Include,
    /// `## template: jinja`: a template of another kind.
    Jinja,
    /// `#cloud-boothook`: a script for every boot.
    Boothook,
    /// `#part-handler`: Python.
    PartHandler,
    /// `#upstart-job`.
    UpstartJob,
    /// A MIME message.
    Mime,
    /// Any of the others, gzip-compressed.
    Gzip,
}

/// User data that cloud-init can be expected to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedUserData {
    /// What it is.
    pub kind: UserDataKind,
    /// What is odd about it, in sentences.
    pub warnings: Vec<String>,
}

/// Why user data cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserDataProblem {
    /// It is larger than 16 MiB, or unpacks to more.
    #[error("user data of {found} bytes or more exceeds the limit of {LARGEST} bytes")]
    TooLarge {
        /// How large it is at least.
        found: usize,
    },
    /// Its first line names none of cloud-init's kinds; cloud-init would ignore it.
    #[error(
        "user data begins with {found:?}, which is none of cloud-init's kinds (#cloud-config, #!, #include, MIME…)"
    )]
    UnknownKind {
        /// The beginning of the first line.
        found: String,
    },
    /// A cloud-config that is not YAML.
    #[error("the cloud-config is not valid YAML: {reason}")]
    NotYaml {
        /// What the parser said, with line and column.
        reason: String,
    },
    /// A cloud-config that is not a mapping.
    #[error("the cloud-config is not a mapping of keys to values")]
    NotAMapping,
    /// An archive or a patch that is not a list.
    #[error("the document must be a list")]
    NotAList,
    /// It is not UTF-8 where it must be text.
    #[error("user data is not valid UTF-8 text")]
    NotText,
    /// Compressed data that cannot be unpacked.
    #[error("the compressed user data cannot be unpacked")]
    BadGzip,
    /// A MIME message without boundary or parts.
    #[error("the MIME message cannot be read: {reason}")]
    BadMime {
        /// What is missing.
        reason: &'static str,
    },
    /// Nothing but URLs belongs into an include file.
    #[error("line {line} of the include file is not a URL")]
    BadInclude {
        /// The line, from 1.
        line: usize,
    },
}

/// Checks user data as far as it can be done without running it. The bytes themselves are
/// passed on unchanged.
///
/// # Errors
///
/// The first [`UserDataProblem`] found.
pub fn check_user_data(bytes: &[u8]) -> Result<CheckedUserData, UserDataProblem> {
    if bytes.len() > LARGEST {
        return Err(UserDataProblem::TooLarge { found: bytes.len() });
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = Vec::new();
        let limit = LARGEST as u64 + 1;
        flate2::read::MultiGzDecoder::new(bytes)
            .take(limit)
            .read_to_end(&mut unpacked)
            .map_err(|_| UserDataProblem::BadGzip)?;
        if unpacked.len() > LARGEST {
            return Err(UserDataProblem::TooLarge { found: unpacked.len() });
        }
        if unpacked.starts_with(&[0x1f, 0x8b]) {
            return Err(UserDataProblem::BadGzip);
        }
        let inside = check_plain(&unpacked)?;
        return Ok(CheckedUserData { kind: UserDataKind::Gzip, warnings: inside.warnings });
    }
    check_plain(bytes)
}

fn check_plain(bytes: &[u8]) -> Result<CheckedUserData, UserDataProblem> {
    let mut warnings = Vec::new();
    let kind = kind_of(bytes)?;
    let text = || std::str::from_utf8(bytes).map_err(|_| UserDataProblem::NotText);
    match kind {
        UserDataKind::CloudConfig => {
            if let Document::Parsed(value) = document(text()?, &mut warnings)? {
                match value {
                    Value::Map(map) => {
                        if map.is_empty() {
                            warnings.push("the cloud-config is empty".to_owned());
                        }
                        warnings.extend(schema::mistakes(&map));
                    }
                    Value::Null => warnings.push("the cloud-config is empty".to_owned()),
                    _ => return Err(UserDataProblem::NotAMapping),
                }
            }
        }
        UserDataKind::CloudConfigArchive | UserDataKind::CloudConfigPatch => {
            if let Document::Parsed(value) = document(text()?, &mut warnings)? {
                let items = value.as_list().ok_or(UserDataProblem::NotAList)?;
                if kind == UserDataKind::CloudConfigArchive {
                    warnings.extend(odd_parts(items));
                }
            }
        }
        UserDataKind::Include => check_include(text()?)?,
        UserDataKind::Mime => check_mime(bytes)?,
        UserDataKind::Jinja => {
            let rest = text()?.split_once('\n').map_or("", |(_, rest)| rest);
            let inner = kind_of(rest.as_bytes())?;
            if inner == UserDataKind::Jinja || inner == UserDataKind::Gzip {
                return Err(unknown(rest.as_bytes()));
            }
        }
        UserDataKind::UpstartJob => {
            warnings.push("upstart jobs are ignored by every supported system".to_owned());
        }
        UserDataKind::Script if bytes.windows(2).any(|pair| pair == b"\r\n") => {
            warnings
                .push("the script has DOS line ends; its interpreter will not be found".to_owned());
        }
        _ => {}
    }
    Ok(CheckedUserData { kind, warnings })
}

/// What is odd about the parts of an archive: those that are a cloud-config are read like one.
fn odd_parts(items: &[Value]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let content = match item {
            Value::Map(map) => map.get("content").and_then(Value::as_str),
            Value::String(text) => Some(text.as_str()),
            _ => None,
        };
        let Some(content) = content else {
            warnings.push(format!("part {at} has no content"));
            continue;
        };
        if content.starts_with("#cloud-config\n") {
            match check_plain(content.as_bytes()) {
                Ok(part) => {
                    let odd = part.warnings.into_iter();
                    warnings.extend(odd.map(|warning| format!("part {at}: {warning}")));
                }
                Err(problem) => warnings.push(format!("part {at}: {problem}")),
            }
        }
    }
    warnings
}

enum Document {
    Parsed(Value),
    /// It breaks a rule of ours that PyYAML does not have.
    Unchecked,
}

fn document(text: &str, warnings: &mut Vec<String>) -> Result<Document, UserDataProblem> {
    let limits = yaml::Limits { bytes: LARGEST, ..yaml::Limits::default() };
    match yaml::from_str_within::<Value>(text, &limits) {
        Ok(value) => Ok(Document::Parsed(value)),
        Err(error) if error.to_string().to_ascii_lowercase().contains("duplicate") => {
            warnings.push(format!("{error}; cloud-init takes the last of them"));
            Ok(Document::Unchecked)
        }
        Err(error) => Err(UserDataProblem::NotYaml { reason: error.to_string() }),
    }
}

fn kind_of(bytes: &[u8]) -> Result<UserDataKind, UserDataProblem> {
    // cloud-init looks for the header anywhere in the first 4096 bytes.
    let head = bytes.get(..bytes.len().min(4096)).unwrap_or_default().to_ascii_lowercase();
    if head.windows(13).any(|window| window == b"mime-version:") {
        return Ok(UserDataKind::Mime);
    }
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = first.strip_suffix(b"\r").unwrap_or(first);
    let has = |prefix: &str| first.starts_with(prefix.as_bytes());
    // Longer names before the names they begin with.
    Ok(if has("## template: jinja") {
        UserDataKind::Jinja
    } else if has("#cloud-config-archive") {
        UserDataKind::CloudConfigArchive
    } else if has("#cloud-config-jsonp") {
        UserDataKind::CloudConfigPatch
    } else if has("#cloud-config") {
        UserDataKind::CloudConfig
    } else if has("#cloud-boothook") {
        UserDataKind::Boothook
    } else if has("#include") {
        UserDataKind::Include
    } else if has("#part-handler") {
        UserDataKind::PartHandler
    } else if has("#upstart-job") {
        UserDataKind::UpstartJob
    } else if has("#!") {
        UserDataKind::Script
    } else {
        return Err(unknown(first));
    })
}

fn unknown(bytes: &[u8]) -> UserDataProblem {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let found = String::from_utf8_lossy(first).chars().take(40).collect();
    UserDataProblem::UnknownKind { found }
}

fn check_include(text: &str) -> Result<(), UserDataProblem> {
    for (at, line) in text.lines().enumerate().skip(1) {
        let line = line.trim();
        if !(line.is_empty() || line.starts_with('#') || line.contains("://")) {
            return Err(UserDataProblem::BadInclude { line: at + 1 });
        }
    }
    Ok(())
}

fn check_mime(bytes: &[u8]) -> Result<(), UserDataProblem> {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let (headers, body) = text
        .split_once("\n\n")
        .ok_or(UserDataProblem::BadMime { reason: "no blank line ends the headers" })?;
    let lower = headers.to_ascii_lowercase();
    if !lower.contains("multipart/") {
        return Ok(());
    }
    let at = lower
        .find("boundary=")
        .ok_or(UserDataProblem::BadMime { reason: "the message names no boundary" })?;
    let rest = headers.get(at + "boundary=".len()..).unwrap_or_default();
    let boundary = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or_default(),
        None => rest.split([';', ' ', '\t', '\n']).next().unwrap_or_default(),
    };
    let marker = format!("--{boundary}");
    if boundary.is_empty() || !body.lines().any(|line| line.trim_end() == marker) {
        return Err(UserDataProblem::BadMime { reason: "no part begins at the boundary" });
    }
    Ok(())
}

/// The bytes of user data as the API takes them: base64 is decoded when encoding the result
/// gives the same text again (with or without line ends), anything else is taken as it is.
#[must_use]
pub fn decode_upload(bytes: &[u8]) -> Vec<u8> {
    let stripped: Vec<u8> =
        bytes.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    match STANDARD.decode(&stripped) {
        Ok(decoded) if !decoded.is_empty() && STANDARD.encode(&decoded).as_bytes() == stripped => {
            decoded
        }
        _ => bytes.to_vec(),
    }
}

#[cfg(test)]
mod tests;
