//! The signal's `multipart/form-data`.

use super::bundle::Script;
use crate::simulator::client::hex;
use crate::simulator::metadata::nonce;

/// A form that is being filled in.
#[derive(Debug)]
pub(super) struct Form {
    boundary: String,
    body: Vec<u8>,
}

impl Form {
    pub(super) fn signal(status: &str, error: &str) -> Self {
        let boundary = hex(nonce().as_bytes());
        Self { boundary, body: Vec::new() }
            .field("op", "signal")
            .field("status", status)
            .field("error", error)
    }

    pub(super) fn script(self, script: &Script) -> Self {
        let mut form = self.field("name", &script.name);
        if let Some(id) = script.script_result_id {
            form = form.field("script_result_id", &id.to_string());
        }
        if let Some(id) = script.script_version_id {
            form = form.field("script_version_id", &id.to_string());
        }
        form
    }

    pub(super) fn field(mut self, name: &str, value: &str) -> Self {
        self.part(&format!("name=\"{name}\""), None, value.as_bytes());
        self
    }

    pub(super) fn file(mut self, name: &str, content: &[u8]) -> Self {
        let place = format!("name=\"{name}\"; filename=\"{name}\"");
        self.part(&place, Some("application/octet-stream"), content);
        self
    }

    fn part(&mut self, place: &str, content_type: Option<&str>, content: &[u8]) {
        let mut head =
            format!("--{}\r\nContent-Disposition: form-data; {place}\r\n", self.boundary);
        if let Some(content_type) = content_type {
            head += &format!("Content-Type: {content_type}\r\n");
        }
        self.body.extend_from_slice(head.as_bytes());
        self.body.extend_from_slice(b"\r\n");
        self.body.extend_from_slice(content);
        self.body.extend_from_slice(b"\r\n");
    }

    /// The content type, with the boundary unquoted as the real runner sends it, and the body.
    pub(super) fn finish(mut self) -> (String, Vec<u8>) {
        self.body.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        (format!("multipart/form-data; boundary={}", self.boundary), self.body)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_signal_is_a_multipart_form() {
        let (content_type, body) = Form::signal("OK", "done").file("a.out", b"x\r\ny").finish();
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        let text = String::from_utf8(body).unwrap();
        assert!(text.starts_with(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"op\"\r\n\r\nsignal\r\n"
        )));
        assert!(text.contains(
            "name=\"a.out\"; filename=\"a.out\"\r\nContent-Type: application/octet-stream\r\n\r\nx\r\ny\r\n"
        ));
        assert!(text.ends_with(&format!("--{boundary}--\r\n")));
    }
}
