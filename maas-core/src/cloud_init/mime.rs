//! MIME multipart messages, as cloud-init reads them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// One part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The content type without parameters, e.g. `text/x-shellscript`.
    pub content_type: String,
    /// The file name that cloud-init stores it by.
    pub filename: String,
    /// The content.
    pub body: Vec<u8>,
}

/// Composes a multipart message; the same parts give the same bytes.
///
/// Every part is base64, so that no line length, character or boundary can harm it.
#[must_use]
pub fn compose(parts: &[Part]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.body.len() as u64).to_be_bytes());
        hash.update(&part.body);
    }
    // A base64 body has no `=` but at its end, so it never contains the boundary.
    let digest = crate::deploy::hex(&hash.finalize());
    let boundary = format!("==============={}==", digest.get(..24).unwrap_or_default());
    let mut text =
        format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n");
    for part in parts {
        text.push_str(&format!(
            "--{boundary}\n\
             Content-Type: {}; charset=\"utf-8\"\n\
             MIME-Version: 1.0\n\
             Content-Transfer-Encoding: base64\n\
             Content-Disposition: attachment; filename=\"{}\"\n\n",
            header_word(&part.content_type),
            header_word(&part.filename)
        ));
        text.push_str(&folded(&part.body));
        text.push('\n');
    }
    text.push_str(&format!("--{boundary}--\n"));
    text
}

/// The user data of an ephemeral OS: one shell script.
#[must_use]
pub fn runner_user_data(script: &[u8]) -> String {
    compose(&[Part {
        content_type: "text/x-shellscript".to_owned(),
        filename: "user_data.sh".to_owned(),
        body: script.to_vec(),
    }])
}

/// Base64 in lines of 76 characters, each ended.
pub(crate) fn folded(bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    let mut text = String::with_capacity(encoded.len() + encoded.len() / 76 + 1);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(76));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text
}

fn header_word(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && *c != '"' && *c != '\\').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_parts_give_the_same_bytes_and_each_part_is_named() {
        let text = runner_user_data(b"#!/bin/sh\necho \xc3\xa9\n");
        assert_eq!(text, runner_user_data(b"#!/bin/sh\necho \xc3\xa9\n"));
        assert!(text.starts_with("Content-Type: multipart/mixed; boundary=\"==="));
        assert!(text.contains("Content-Type: text/x-shellscript; charset=\"utf-8\"\n"));
        assert!(text.contains("Content-Disposition: attachment; filename=\"user_data.sh\"\n"));
        assert!(text.contains("\n\nIyEvYmluL3NoCmVjaG8gw6kK\n"));
    }

    #[test]
    fn long_bodies_are_folded() {
        let text = folded(&[0; 600]);
        assert!(text.lines().all(|line| line.len() <= 76));
        assert_eq!(text.lines().count(), 11);
    }
}
