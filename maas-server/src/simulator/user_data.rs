//! User data as cloud-init takes it apart: MIME parts, compression, and what kind each part is.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The most that compressed user data may become, in bytes.
const LIMIT: u64 = 64 * 1024 * 1024;
const DEEPEST: u8 = 4;

/// One part and its content type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) kind: Kind,
    pub(crate) body: Vec<u8>,
}

/// What cloud-init does with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Run by `scripts-user`.
    Script,
    /// Merged into the configuration.
    CloudConfig,
    /// Anything else.
    Other,
}

impl Part {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The parts of user data; broken encodings become parts of kind `Other`.
pub(crate) fn parts(bytes: &[u8]) -> Vec<Part> {
    let mut found = Vec::new();
    collect(bytes, DEEPEST, &mut found);
    found
}

fn collect(bytes: &[u8], depth: u8, found: &mut Vec<Part>) {
    if depth == 0 || found.len() > 1000 {
        return;
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        let read = flate2::read::MultiGzDecoder::new(bytes).take(LIMIT).read_to_end(&mut plain);
        match read {
            Ok(_) => collect(&plain, depth - 1, found),
            Err(_) => found.push(Part { kind: Kind::Other, body: bytes.to_vec() }),
        }
        return;
    }
    let text = String::from_utf8_lossy(bytes);
    let head = text.trim_start();
    let is_mime = ["content-type:", "mime-version:"].iter().any(|field| {
        head.get(..field.len()).is_some_and(|start| start.eq_ignore_ascii_case(field))
    });
    if is_mime {
        let (fields, body) = split_header(head);
        let content_type = field(&fields, "content-type").unwrap_or_default();
        if let Some(boundary) = boundary(&content_type) {
            for part in multipart(body, &boundary) {
                collect_part(part, depth - 1, found);
            }
            return;
        }
        return collect_part(head, depth - 1, found);
    }
    if !bytes.is_empty() {
        found.push(Part { kind: by_first_line(bytes), body: bytes.to_vec() });
    }
}

fn collect_part(text: &str, depth: u8, found: &mut Vec<Part>) {
    let (fields, body) = split_header(text);
    let content_type = field(&fields, "content-type").unwrap_or_default();
    if let Some(boundary) = boundary(&content_type) {
        if depth > 0 {
            for part in multipart(body, &boundary) {
                collect_part(part, depth - 1, found);
            }
        }
        return;
    }
    let encoding = field(&fields, "content-transfer-encoding").unwrap_or_default();
    let body = if encoding.trim().eq_ignore_ascii_case("base64") {
        let packed: String = body.split_ascii_whitespace().collect();
        match STANDARD.decode(packed) {
            Ok(body) => body,
            Err(_) => {
                return found.push(Part { kind: Kind::Other, body: body.as_bytes().to_vec() });
            }
        }
    } else {
        body.as_bytes().to_vec()
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "text/x-shellscript" => found.push(Part { kind: Kind::Script, body }),
        "text/cloud-config" => found.push(Part { kind: Kind::CloudConfig, body }),
        _ if body.starts_with(&[0x1f, 0x8b]) => collect(&body, depth, found),
        _ => found.push(Part { kind: by_first_line(&body), body }),
    }
}

fn by_first_line(bytes: &[u8]) -> Kind {
    if bytes.starts_with(b"#!") {
        Kind::Script
    } else if bytes.starts_with(b"#cloud-config") {
        Kind::CloudConfig
    } else {
        Kind::Other
    }
}

/// Header fields with folded lines joined, and the body.
fn split_header(text: &str) -> (Vec<(String, String)>, &str) {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            break;
        }
        match (line.starts_with([' ', '\t']), fields.last_mut(), line.split_once(':')) {
            (true, Some((_, value)), _) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (_, _, Some((name, value))) => {
                fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
            _ => {}
        }
    }
    (fields, rest)
}

fn field(fields: &[(String, String)], name: &str) -> Option<String> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}

fn boundary(content_type: &str) -> Option<String> {
    let is_multipart =
        content_type.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    if !is_multipart {
        return None;
    }
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty())
            .then(|| value.to_owned())
    })
}

fn multipart<'a>(body: &'a str, boundary: &str) -> Vec<&'a str> {
    let delimiter = format!("--{boundary}");
    let end = format!("--{boundary}--");
    let mut parts = Vec::new();
    let mut start = None;
    let mut position = 0;
    for line in body.split_inclusive('\n') {
        let bare = line.trim_end();
        if bare == delimiter || bare == end {
            if let Some(start) = start {
                parts.push(body[start..position].trim_end_matches(['\r', '\n']));
            }
            start = (bare == delimiter).then_some(position + line.len());
        }
        position += line.len();
    }
    if let Some(start) = start {
        parts.push(&body[start..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_multipart_script_in_both_encodings_is_found() {
        for (encoding, body) in
            [("7bit", "#!/bin/sh\necho hi"), ("base64", "IyEvYmluL3NoCmVj\naG8gaGk=")]
        {
            let mime = format!(
                "Content-Type: multipart/mixed;\n boundary=\"=====1==\"\nMIME-Version: 1.0\n\n\
                 --=====1==\nContent-Type: text/x-shellscript; charset=\"utf-8\"\n\
                 Content-Transfer-Encoding: {encoding}\nContent-Disposition: attachment; \
                 filename=\"user_data.sh\"\n\n{body}\n--=====1==--\n"
            );
            let found = parts(mime.as_bytes());
            assert_eq!(found.len(), 1, "{encoding}");
            assert_eq!(found[0].kind, Kind::Script);
            assert_eq!(found[0].text(), "#!/bin/sh\necho hi");
        }
    }

    #[test]
    fn plain_user_data_is_known_by_its_first_line() {
        assert_eq!(parts(b"#!/bin/sh\n")[0].kind, Kind::Script);
        assert_eq!(parts(b"#cloud-config\n{}")[0].kind, Kind::CloudConfig);
        assert_eq!(parts(b"hello")[0].kind, Kind::Other);
        assert!(parts(b"").is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_apart_without_panic(
            text in "(Content-Type: |multipart/mixed|; boundary=x|--x|--x--|\n|:|é|[ a-z\"]){0,40}",
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = parts(text.as_bytes());
            let _ = parts(format!("MIME-Version: 1.0\n{text}").as_bytes());
            let _ = parts(&bytes);
        }
    }
}
