//! Header values of the form `token; name="value"; name*=utf-8''value` (RFC 2045, 2231, 7578).

use percent_encoding::percent_decode_str;

/// The value before the first semicolon, lower-cased, and the parameters with lower-case names.
/// Broken parameters are left out.
pub(super) fn parse_parameters(value: &str) -> (String, Vec<(String, String)>) {
    let (head, mut rest) = value.split_once(';').unwrap_or((value, ""));
    let mut params = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c == ';' || c.is_ascii_whitespace());
        let Some((name, after)) = rest.split_once('=') else { break };
        // A parameter without a value stands before this one.
        let name = name.rsplit(';').next().unwrap_or(name).trim().to_ascii_lowercase();
        let after = after.trim_start();
        let (text, next) = match after.strip_prefix('"') {
            Some(quoted) => read_quoted(quoted),
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        rest = next;
        match name.strip_suffix('*') {
            Some(plain) => {
                if let Some(decoded) = read_extended(&text) {
                    params.push((plain.to_owned(), decoded));
                }
            }
            None => params.push((name, text)),
        }
    }
    (head.trim().to_ascii_lowercase(), params)
}

/// The text up to the closing quote, and what follows it. Only `\"` and `\\` are escapes: old
/// browsers send Windows paths as they are.
fn read_quoted(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (text, &quoted[at + 1..]),
            '\\' => match characters.peek() {
                Some((_, escaped @ ('"' | '\\'))) => {
                    text.push(*escaped);
                    characters.next();
                }
                _ => text.push('\\'),
            },
            other => text.push(other),
        }
    }
    (text, "")
}

/// `utf-8'en'na%C3%AFve`, in UTF-8 or its subset only.
fn read_extended(text: &str) -> Option<String> {
    let mut parts = text.splitn(3, '\'');
    let charset = parts.next()?.to_ascii_lowercase();
    let _language = parts.next()?;
    let encoded = parts.next()?;
    if !matches!(charset.as_str(), "utf-8" | "us-ascii" | "") {
        return None;
    }
    percent_decode_str(encoded).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The parameter's last value.
pub(super) fn parameter<'a>(params: &'a [(String, String)], name: &str) -> Option<&'a str> {
    params.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_quoted_bare_and_extended() {
        let (head, params) =
            parse_parameters("Form-Data; Name=\"a \\\"b\\\" \\\\c\"; filename=x.sh ; flag; size=1");
        assert_eq!(head, "form-data");
        assert_eq!(parameter(&params, "name"), Some("a \"b\" \\c"));
        assert_eq!(parameter(&params, "filename"), Some("x.sh"));
        assert_eq!(parameter(&params, "size"), Some("1"));
        let (_, params) = parse_parameters("form-data; name=f; filename*=utf-8''na%C3%AFve.txt");
        assert_eq!(parameter(&params, "filename"), Some("naïve.txt"));
    }

    #[test]
    fn a_boundary_with_equal_signs_and_semicolons_in_quotes_is_kept() {
        let (_, params) = parse_parameters("multipart/form-data; boundary=\"===;1==\"; x=\"y\"");
        assert_eq!(parameter(&params, "boundary"), Some("===;1=="));
        assert_eq!(parameter(&params, "x"), Some("y"));
    }

    #[test]
    fn broken_values_end_quietly() {
        for broken in ["", ";", "a;b", "a;b=\"", "a;=", "a; b=\"\\", "a;b*=x", "a;b*=latin-1''%ff"]
        {
            let (_, params) = parse_parameters(broken);
            assert!(params.len() <= 1, "{broken}");
        }
    }
}
