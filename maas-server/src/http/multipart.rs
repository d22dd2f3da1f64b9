//! Reads `multipart/form-data` as MAAS's clients write it (RFC 7578 and Python's `email.mime`).
//!
//! python-libmaas and the `maas` command line send every part in base64, with its headers in any
//! order, and an empty multipart when they have nothing to say; the common readers of the format
//! refuse or mangle that.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use super::disposition::{parameter, parse_parameters};
use super::{Fields, Value};

/// What a multipart body may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultipartLimits {
    /// The most parts.
    pub parts: usize,
    /// The most bytes of headers in one part.
    pub header_len: usize,
}

impl Default for MultipartLimits {
    fn default() -> Self {
        Self { parts: 2000, header_len: 16 * 1024 }
    }
}

/// Why a multipart body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultipartError {
    /// The content type has no usable boundary.
    #[error("the content type names no boundary")]
    NoBoundary,
    /// The boundary does not occur, or the last one is missing.
    #[error("the body ends before its last boundary")]
    Incomplete,
    /// More parts than allowed.
    #[error("there are more than {limit} parts")]
    TooManyParts {
        /// The limit.
        limit: usize,
    },
    /// A part's headers are longer than allowed.
    #[error("the headers of a part are longer than {limit} bytes")]
    HeadersTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A part whose headers cannot be read or that has no name.
    #[error("part {part} has no readable headers with a name")]
    Unnamed {
        /// Its number, from 1.
        part: usize,
    },
    /// A part says base64 and is not.
    #[error("the field {field} is not the base64 it claims to be")]
    NotBase64 {
        /// The field.
        field: String,
    },
    /// A transfer encoding other than base64 or none.
    #[error("the field {field} has the unknown transfer encoding {encoding}")]
    UnknownEncoding {
        /// The field.
        field: String,
        /// The encoding.
        encoding: String,
    },
}

/// Base64 with or without padding; bits after the end do not matter.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The longest boundary RFC 2046 allows is 70; some clients go beyond.
const MAX_BOUNDARY: usize = 200;

/// The boundary of a `multipart/form-data` content type, `None` for any other type.
///
/// # Errors
/// [`MultipartError::NoBoundary`].
pub fn boundary_of(content_type: &str) -> Option<Result<String, MultipartError>> {
    let (kind, params) = parse_parameters(content_type);
    if kind != "multipart/form-data" {
        return None;
    }
    let boundary = parameter(&params, "boundary").unwrap_or("");
    let usable = !boundary.is_empty()
        && boundary.len() <= MAX_BOUNDARY
        && !boundary.contains(['\r', '\n'])
        && !boundary.ends_with(' ');
    Some(if usable { Ok(boundary.to_owned()) } else { Err(MultipartError::NoBoundary) })
}

/// Reads a whole multipart body. Parts that are not encoded share the memory of `body`.
///
/// # Errors
/// [`MultipartError`].
pub fn parse_multipart(
    body: &Bytes,
    boundary: &str,
    limits: MultipartLimits,
) -> Result<Fields, MultipartError> {
    let mut fields = Fields::new();
    if boundary.is_empty() {
        return Err(MultipartError::NoBoundary);
    }
    let mut delimiters = Delimiters { body, marker: format!("--{boundary}"), from: 0 };
    let mut at = delimiters.next().ok_or(MultipartError::Incomplete)?;
    while at.kind == Kind::Between {
        if fields.len() == limits.parts {
            return Err(MultipartError::TooManyParts { limit: limits.parts });
        }
        let next = delimiters.next().ok_or(MultipartError::Incomplete)?;
        // Python writes a blank line where there is no part at all.
        let between = body.get(at.end..next.start).unwrap_or_default();
        if !between.trim_ascii().is_empty() {
            let (name, value) = read_part(body, at.end, next.start, fields.len() + 1, limits)?;
            fields.push(name, value);
        }
        at = next;
    }
    Ok(fields)
}

/// A line that separates parts.
#[derive(Debug, PartialEq, Eq)]
struct Delimiter {
    /// Where the line begins, the line end before it included.
    start: usize,
    /// Where the next part begins.
    end: usize,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Between,
    Last,
}

struct Delimiters<'a> {
    body: &'a [u8],
    marker: String,
    from: usize,
}

impl Delimiters<'_> {
    /// The next line that is the marker and nothing else but white space.
    fn next(&mut self) -> Option<Delimiter> {
        loop {
            let found = self.from + find(self.body.get(self.from..)?, self.marker.as_bytes())?;
            let after = found + self.marker.len();
            self.from = after;
            let before = self.body.get(..found)?;
            if !(before.is_empty() || before.ends_with(b"\n")) {
                continue;
            }
            let rest = self.body.get(after..)?;
            let kind = if rest.starts_with(b"--") { Kind::Last } else { Kind::Between };
            let end = match kind {
                Kind::Last => after + 2,
                Kind::Between => {
                    let blank = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
                    match rest.get(blank..)? {
                        [b'\r', b'\n', ..] => after + blank + 2,
                        [b'\n', ..] => after + blank + 1,
                        _ => continue,
                    }
                }
            };
            self.from = end;
            let start = before.strip_suffix(b"\r\n").or_else(|| before.strip_suffix(b"\n"));
            return Some(Delimiter { start: start.map_or(found, <[u8]>::len), end, kind });
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    // The needle begins with dashes, which are common in keys and logs: look for its last byte's
    // position only where the first two fit.
    let mut from = 0;
    while let Some(offset) = haystack.get(from..)?.iter().position(|b| *b == b'-') {
        let at = from + offset;
        if haystack.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

fn read_part(
    body: &Bytes,
    start: usize,
    end: usize,
    part: usize,
    limits: MultipartLimits,
) -> Result<(String, Value), MultipartError> {
    let unnamed = || MultipartError::Unnamed { part };
    // A part without content may share its blank line's end with the delimiter.
    let raw = body.get(start..end.max(start)).ok_or_else(unnamed)?;
    let (header_len, content_at) = match end_of_headers(raw) {
        Some(ends) => ends,
        None => (raw.len(), raw.len()),
    };
    if header_len > limits.header_len {
        return Err(MultipartError::HeadersTooLong { limit: limits.header_len });
    }
    let headers = std::str::from_utf8(&raw[..header_len]).map_err(|_| unnamed())?;
    let head = read_headers(headers);
    let name = head.name.ok_or_else(unnamed)?;
    let content = body.slice(start + content_at..start + raw.len());
    let content = match head.encoding.as_str() {
        "" | "7bit" | "8bit" | "binary" => content,
        "base64" => decode_base64(&content)
            .ok_or_else(|| MultipartError::NotBase64 { field: name.clone() })?,
        other => {
            let encoding = other.chars().take(40).collect();
            return Err(MultipartError::UnknownEncoding { field: name, encoding });
        }
    };
    Ok((name, Value { content, file_name: head.file_name, content_type: head.content_type }))
}

/// Where the headers end and where the content begins.
fn end_of_headers(raw: &[u8]) -> Option<(usize, usize)> {
    if raw.starts_with(b"\r\n") {
        return Some((0, 2));
    }
    if raw.starts_with(b"\n") {
        return Some((0, 1));
    }
    let mut line_end = 0;
    while let Some(offset) = raw.get(line_end..)?.iter().position(|b| *b == b'\n') {
        let next = line_end + offset + 1;
        match raw.get(next..)? {
            [b'\r', b'\n', ..] => return Some((next, next + 2)),
            [b'\n', ..] => return Some((next, next + 1)),
            _ => line_end = next,
        }
    }
    None
}

#[derive(Default)]
struct PartHead {
    name: Option<String>,
    file_name: Option<String>,
    content_type: Option<String>,
    encoding: String,
}

fn read_headers(headers: &str) -> PartHead {
    let mut lines: Vec<String> = Vec::new();
    for line in headers.lines() {
        match lines.last_mut() {
            // A folded line belongs to the one before.
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(line),
            _ => lines.push(line.to_owned()),
        }
    }
    let mut head = PartHead::default();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "content-disposition" => {
                let (_, params) = parse_parameters(value);
                head.name = parameter(&params, "name").map(str::to_owned);
                head.file_name = parameter(&params, "filename").map(str::to_owned);
            }
            "content-type" => head.content_type = Some(value.to_owned()),
            "content-transfer-encoding" => head.encoding = value.to_ascii_lowercase(),
            _ => {}
        }
    }
    head
}

fn decode_base64(folded: &[u8]) -> Option<Bytes> {
    let joined: Vec<u8> = folded.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    BASE64.decode(joined).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests;
