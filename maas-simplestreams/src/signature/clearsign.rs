//! The strict shape of a clearsigned document (RFC 9580 §7): one message, nothing around it.

use std::borrow::Cow;

use memchr::memmem;

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";
/// The digest algorithms that a `Hash` header may name. Naming one here does not make it accepted:
/// the signature itself says which one was used.
const HASHES: [&str; 9] =
    ["MD5", "SHA1", "RIPEMD160", "SHA224", "SHA256", "SHA384", "SHA512", "SHA3-256", "SHA3-512"];
/// Bytes that are looked at several times in a row: they stay in the processor's first cache.
const BLOCK: usize = 16 << 10;
/// Most `Hash` header lines.
const HASH_LINES: usize = 16;

/// The parts of a clearsigned document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clearsigned<'a> {
    /// What the signature covers: lines joined by `\n`, dash escapes undone, blanks at line ends
    /// dropped, no line end after the last line.
    ///
    /// Borrowed from the document when nothing in it had to be undone, as in nearly all.
    pub signed: Cow<'a, [u8]>,
    /// The armored signature block.
    pub signature: &'a [u8],
}

/// The rule that a document breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The document does not start with the header line.
    #[error("the first line is not exactly `{BEGIN}`")]
    Header,
    /// The document is not UTF-8.
    #[error("the document is not UTF-8")]
    NotUtf8,
    /// A header line is not a `Hash` line with known names.
    #[error("line {line}: only `Hash` lines with known names may stand before the text")]
    ArmorHeader {
        /// Counted from 1.
        line: usize,
    },
    /// No blank line ends the headers.
    #[error("no blank line ends the headers")]
    NoBlankLine,
    /// A line of the text starts with a dash that is not escaped.
    #[error("line {line}: a dash at the start of a line is not escaped")]
    UnescapedDash {
        /// Counted from 1.
        line: usize,
    },
    /// A carriage return stands inside a line.
    #[error("line {line}: a carriage return stands inside the line")]
    CarriageReturn {
        /// Counted from 1.
        line: usize,
    },
    /// The signature block is missing.
    #[error("the signature block is missing")]
    NoSignature,
    /// The signature block has no end line.
    #[error("the signature block has no line `{END}`")]
    NoEnd,
    /// Something that is no armor stands in the signature block.
    #[error("line {line}: this has no place in a signature block")]
    SignatureBlock {
        /// Counted from 1.
        line: usize,
    },
    /// Something other than white space follows the signature block.
    #[error("line {line}: only white space may follow the signature block")]
    Trailing {
        /// Counted from 1.
        line: usize,
    },
}

impl Malformed {
    /// The same in a document where this many lines stand before.
    fn further_down(mut self, lines: usize) -> Self {
        match &mut self {
            Self::ArmorHeader { line }
            | Self::UnescapedDash { line }
            | Self::CarriageReturn { line }
            | Self::SignatureBlock { line }
            | Self::Trailing { line } => *line += lines,
            Self::Header | Self::NotUtf8 | Self::NoBlankLine | Self::NoSignature | Self::NoEnd => {}
        }
        self
    }
}

/// One line and where the next one starts.
struct Line<'a> {
    number: usize,
    start: usize,
    next: usize,
    text: &'a str,
}

/// The lines of a text.
struct Lines<'a> {
    text: &'a str,
    start: usize,
    number: usize,
}

impl<'a> Lines<'a> {
    /// From a place on; `number` lines stand before it.
    fn at(text: &'a str, start: usize, number: usize) -> Self {
        Self { text, start, number }
    }

    /// Where the next line starts.
    fn place(&self) -> usize {
        self.start
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let start = self.start;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        let (line, length) = match memchr::memchr(b'\n', rest.as_bytes()) {
            Some(end) => (rest.get(..end)?, end + 1),
            None => (rest, rest.len()),
        };
        self.number += 1;
        self.start += length;
        let text = line.strip_suffix('\r').unwrap_or(line);
        Some(Line { number: self.number, start, next: self.start, text })
    }
}

fn is_hash_line(line: &str) -> bool {
    line.strip_prefix("Hash: ")
        .is_some_and(|names| names.split(',').all(|name| HASHES.contains(&name.trim())))
}

/// Whether a line may stand in the signature block: armor headers, Base64 and its checksum.
fn is_armor(line: &str) -> bool {
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    line.bytes().all(base64)
        || ["Version: ", "Comment: "].iter().any(|header| line.starts_with(header))
}

impl<'a> Clearsigned<'a> {
    /// Takes a document apart and refuses every shape but the strict one.
    pub fn split(document: &'a [u8]) -> Result<Self, Malformed> {
        if !document.starts_with(BEGIN.as_bytes()) {
            return Err(Malformed::Header);
        }
        let text = std::str::from_utf8(document).map_err(|_| Malformed::NotUtf8)?;
        let mut lines = Lines::at(text, 0, 0);
        if lines.next().is_none_or(|line| line.text != BEGIN) {
            return Err(Malformed::Header);
        }
        let mut hash_lines = 0;
        loop {
            let line = lines.next().ok_or(Malformed::NoBlankLine)?;
            if line.text.trim_end_matches([' ', '\t']).is_empty() {
                break;
            }
            hash_lines += 1;
            if !is_hash_line(line.text) || hash_lines > HASH_LINES {
                return Err(Malformed::ArmorHeader { line: line.number });
            }
        }
        let body = lines.place();
        if let Some(length) = plain_body(document.get(body..).unwrap_or_default()) {
            let (signed, rest) = document.split_at(body).1.split_at(length);
            // The line end before the signature block belongs to the frame.
            let start = document.len() - rest.len() + 1;
            // Lines are counted only when one of them is to be named.
            let signature =
                signature_block(document, Lines::at(text, start, 0)).map_err(|error| {
                    let before = document.get(..start).unwrap_or_default();
                    error.further_down(memchr::memchr_iter(b'\n', before).count())
                })?;
            return Ok(Self { signed: Cow::Borrowed(signed), signature });
        }
        let mut signed: Vec<u8> = Vec::with_capacity(document.len());
        let mut first = true;
        let start = loop {
            let line = lines.next().ok_or(Malformed::NoSignature)?;
            if line.text == SIGNATURE {
                break line;
            }
            let content = match line.text.strip_prefix("- ") {
                Some(escaped) => escaped,
                None if line.text.starts_with('-') => {
                    return Err(Malformed::UnescapedDash { line: line.number });
                }
                None => line.text,
            };
            if content.contains('\r') {
                return Err(Malformed::CarriageReturn { line: line.number });
            }
            if !std::mem::take(&mut first) {
                signed.push(b'\n');
            }
            signed.extend_from_slice(content.trim_end_matches([' ', '\t']).as_bytes());
        };
        let signature = signature_block(document, Lines::at(text, start.start, start.number - 1))?;
        Ok(Self { signed: Cow::Owned(signed), signature })
    }
}

/// The length of the text before the signature block when it can be taken as it stands: no
/// carriage return, no dash at the start of a line, no blank at the end of one.
fn plain_body(rest: &[u8]) -> Option<usize> {
    // A line that starts with a dash is either the frame or escaped.
    if rest.first() == Some(&b'-') {
        return None;
    }
    let dash = memmem::Finder::new(b"\n-");
    let blanks = [memmem::Finder::new(b" \n"), memmem::Finder::new(b"\t\n")];
    let mut start = 0;
    while start < rest.len() {
        // Blocks overlap by a byte, as what is looked for has two.
        let block = rest.get(start..rest.len().min(start + BLOCK + 1))?;
        let dash = dash.find(block);
        let text = block.get(..dash.map_or(block.len(), |end| end + 1))?;
        if memchr::memchr(b'\r', text).is_some()
            || blanks.iter().any(|blank| blank.find(text).is_some())
        {
            return None;
        }
        if let Some(end) = dash {
            let frame = rest.get(start + end + 1..)?.strip_prefix(SIGNATURE.as_bytes())?;
            return (frame.first() == Some(&b'\n')).then_some(start + end);
        }
        start += BLOCK;
    }
    None
}

/// The signature block that the lines start with; nothing but white space may follow.
fn signature_block<'a>(document: &'a [u8], mut lines: Lines<'_>) -> Result<&'a [u8], Malformed> {
    let start = lines.place();
    let mut is_first = true;
    let end = loop {
        let line = lines.next().ok_or(Malformed::NoEnd)?;
        if std::mem::take(&mut is_first) {
            continue;
        }
        if line.text.trim_end_matches([' ', '\t']) == END {
            break line.next;
        }
        if !is_armor(line.text.trim_end_matches([' ', '\t'])) {
            return Err(Malformed::SignatureBlock { line: line.number });
        }
    };
    for line in lines {
        if !line.text.trim_matches([' ', '\t']).is_empty() {
            return Err(Malformed::Trailing { line: line.number });
        }
    }
    Ok(document.get(start..end).unwrap_or_default())
}

/// The text between header and signature without any check: for operators who chose to skip
/// verification of a source that only publishes clearsigned documents.
pub(crate) fn unverified_text(document: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    if document.starts_with(b"-----BEGIN PGP") {
        Clearsigned::split(document).map(|parts| parts.signed)
    } else {
        Ok(Cow::Borrowed(document))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{\n- -x \n}\n\
        -----BEGIN PGP SIGNATURE-----\n\niQ==\n=abcd\n-----END PGP SIGNATURE-----\n";

    fn broken(text: &str) -> Malformed {
        Clearsigned::split(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn the_strict_form_is_taken_apart() {
        let parts = Clearsigned::split(GOOD.as_bytes()).unwrap();
        assert_eq!(*parts.signed, *b"{\n-x\n}");
        assert!(parts.signature.starts_with(b"-----BEGIN PGP SIGNATURE"));
        assert!(parts.signature.ends_with(b"-----END PGP SIGNATURE-----\n"));
    }

    #[test]
    fn crlf_and_blanks_after_the_end_are_harmless() {
        let crlf = GOOD.replace('\n', "\r\n") + " \r\n\n";
        assert_eq!(Clearsigned::split(crlf.as_bytes()).unwrap().signed[..], *b"{\n-x\n}");
    }

    #[test]
    fn several_hash_lines_and_none_are_allowed() {
        let two = GOOD.replace("Hash: SHA512\n", "Hash: SHA512\nHash: SHA256, SHA512\n");
        assert!(Clearsigned::split(two.as_bytes()).is_ok());
        assert!(Clearsigned::split(GOOD.replace("Hash: SHA512\n", "").as_bytes()).is_ok());
    }

    #[test]
    fn every_other_shape_is_refused_with_its_rule() {
        assert_eq!(broken(&format!("\u{feff}{GOOD}")), Malformed::Header);
        assert_eq!(broken(&format!("x\n{GOOD}")), Malformed::Header);
        assert_eq!(broken(&format!("\n{GOOD}")), Malformed::Header);
        assert_eq!(broken(&GOOD.replace("MESSAGE-----\n", "MESSAGE----- \n")), Malformed::Header);
        assert_eq!(broken("{}"), Malformed::Header);
        for header in ["NotDashEscaped: x", "Comment: x", "Hash: WHIRLPOOL", "hash: SHA512", "{"] {
            let text = GOOD.replace("Hash: SHA512", header);
            assert_eq!(broken(&text), Malformed::ArmorHeader { line: 2 }, "{header}");
        }
        assert_eq!(broken(&GOOD.replace("- -x", "-x")), Malformed::UnescapedDash { line: 5 });
        assert_eq!(broken(&format!("{GOOD}x")), Malformed::Trailing { line: 12 });
        assert_eq!(broken(&format!("{GOOD}{GOOD}")), Malformed::Trailing { line: 12 });
        assert_eq!(broken(GOOD.split("-----END").next().unwrap()), Malformed::NoEnd);
        assert_eq!(
            broken(GOOD.split("-----BEGIN PGP SIGNATURE").next().unwrap()),
            Malformed::NoSignature
        );
        assert_eq!(broken(&GOOD.replace("iQ==", "{}")), Malformed::SignatureBlock { line: 9 });
        assert_eq!(broken(&GOOD.replace("- -x", "a\rb")), Malformed::CarriageReturn { line: 5 });
        assert_eq!(
            broken("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n"),
            Malformed::NoBlankLine
        );
        let bytes = [GOOD.as_bytes(), &[0xff]].concat();
        assert_eq!(Clearsigned::split(&bytes).unwrap_err(), Malformed::NotUtf8);
    }

    proptest! {
        #[test]
        fn text_that_is_escaped_comes_back(lines in prop::collection::vec("[ -~äö]{0,12}", 1..8)) {
            let escaped: String = lines.iter().map(|line| {
                if line.starts_with('-') { format!("- {line}\n") } else { format!("{line}\n") }
            }).collect();
            let document = format!(
                "{BEGIN}\nHash: SHA512\n\n{escaped}{SIGNATURE}\n\niQ==\n{END}\n");
            let expected: Vec<&str> = lines.iter().map(|line| line.trim_end_matches([' ', '\t'])).collect();
            // A line that starts with "- " is undone once even when it was not escaped by us.
            let plain = lines.iter().all(|line| !line.starts_with("- ") || line.starts_with('-'));
            prop_assume!(plain);
            let parts = Clearsigned::split(document.as_bytes()).unwrap();
            prop_assert_eq!(String::from_utf8(parts.signed.into_owned()).unwrap(), expected.join("\n"));
        }

        #[test]
        fn long_text_is_taken_as_it_stands_exactly_when_nothing_is_to_be_undone(
            before in BLOCK - 4..BLOCK + 4,
            odd in prop::sample::select(vec!["", " ", "\t", "\r", "\n", "\n-", "\n- ", " \n", "\r\n", "x"]),
            after in 0usize..4,
        ) {
            let text = format!("{}{odd}{}", "x".repeat(before), "y".repeat(after));
            let document = format!("{BEGIN}\n\n{text}\n{SIGNATURE}\n\niQ==\n{END}\n");
            let is_plain = text.lines().all(|line| {
                !line.starts_with('-') && !line.ends_with([' ', '\t', '\r']) && !line.contains('\r')
            }) && !text.contains('\r');
            match Clearsigned::split(document.as_bytes()) {
                Ok(parts) => {
                    prop_assert_eq!(matches!(parts.signed, Cow::Borrowed(_)), is_plain);
                    if is_plain {
                        prop_assert_eq!(&*parts.signed, text.as_bytes());
                    }
                }
                Err(_) => prop_assert!(!is_plain),
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "(-----BEGIN PGP SIGNED MESSAGE-----\n)?[ -~\n\r]{0,80}") {
            let _answer = Clearsigned::split(text.as_bytes());
        }
    }
}
