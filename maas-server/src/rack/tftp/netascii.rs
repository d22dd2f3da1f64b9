//! The text mode of RFC 1350: lines end with CR LF, a lone CR is CR NUL.

/// Text as `netascii` sends it.
pub(super) fn netascii(content: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(content.len() + content.len() / 32);
    for byte in content {
        match byte {
            b'\n' => sent.extend(b"\r\n"),
            b'\r' => sent.extend(b"\r\0"),
            other => sent.push(*other),
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_written_as_rfc_764_has_them() {
        assert_eq!(netascii(b"a\nb\r\nc\r"), b"a\r\nb\r\0\r\nc\r\0");
    }
}
