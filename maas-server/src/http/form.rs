//! Reads request bodies into fields: urlencoded, multipart or a JSON object.

use bytes::Bytes;
use serde_json::Value as Json;

use super::disposition::parse_parameters;
use super::{Fields, MultipartLimits, Problem, boundary_of, parse_multipart};

/// The most fields in one query or form.
const MAX_FIELDS: usize = 10_000;

/// Reads `a=1&b=2` (a query or an `application/x-www-form-urlencoded` body). Bytes that are no
/// UTF-8 become U+FFFD.
///
/// # Errors
/// 400 for more than ten thousand fields.
pub fn parse_urlencoded(bytes: &[u8]) -> Result<Fields, Problem> {
    let mut fields = Fields::new();
    for (name, text) in form_urlencoded::parse(bytes) {
        if fields.len() == MAX_FIELDS {
            return Err(too_many());
        }
        fields.push_text(name, text);
    }
    Ok(fields)
}

/// Reads a JSON object as a form: texts as they are, lists as repeated names, `null` left out,
/// everything else as its JSON text.
///
/// # Errors
/// 400 when it is no JSON object, or too large a one.
pub fn parse_json_object(bytes: &[u8]) -> Result<Fields, Problem> {
    let read = serde_json::from_slice(bytes);
    let refuse = |_| Problem::bad_request("The request body is not a JSON object.");
    let object: serde_json::Map<String, Json> = read.map_err(refuse)?;
    let mut fields = Fields::new();
    for (name, value) in object {
        match value {
            Json::Array(items) => {
                for item in items {
                    push_json(&mut fields, &name, item);
                }
            }
            single => push_json(&mut fields, &name, single),
        }
        if fields.len() > MAX_FIELDS {
            return Err(too_many());
        }
    }
    Ok(fields)
}

fn push_json(fields: &mut Fields, name: &str, value: Json) {
    match value {
        Json::Null => {}
        Json::String(text) => fields.push_text(name, text),
        other => fields.push_text(name, other.to_string()),
    }
}

fn too_many() -> Problem {
    Problem::BadRequest(format!("There are more than {MAX_FIELDS} fields."))
}

/// What a content type says about reading the body as a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormKind {
    Urlencoded,
    Multipart,
    Json,
    None,
}

pub(super) fn form_kind(content_type: Option<&str>) -> FormKind {
    let Some(content_type) = content_type else { return FormKind::None };
    match parse_parameters(content_type).0.as_str() {
        "application/x-www-form-urlencoded" => FormKind::Urlencoded,
        "multipart/form-data" => FormKind::Multipart,
        "application/json" => FormKind::Json,
        _ => FormKind::None,
    }
}

/// Reads a body by its content type; a type that is no form has no fields.
///
/// # Errors
/// 400 when the body is not what its type says.
pub fn parse_body(content_type: Option<&str>, body: &Bytes) -> Result<Fields, Problem> {
    if body.is_empty() {
        return Ok(Fields::new());
    }
    match form_kind(content_type) {
        FormKind::None => Ok(Fields::new()),
        FormKind::Urlencoded => parse_urlencoded(body),
        FormKind::Json => parse_json_object(body),
        FormKind::Multipart => {
            let unreadable =
                |error| Problem::BadRequest(format!("The form could not be read: {error}."));
            let Some(boundary) = content_type.and_then(boundary_of) else {
                return Ok(Fields::new());
            };
            let boundary = boundary.map_err(unreadable)?;
            parse_multipart(body, &boundary, MultipartLimits::default()).map_err(unreadable)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repeated_names_are_kept_in_order() {
        let form = parse_urlencoded(b"tags=a&op=allocate&tags=b+c&x=%26%3d&empty=&bare").unwrap();
        assert_eq!(form.texts("tags").unwrap(), ["a", "b c"]);
        assert_eq!(form.text("x").unwrap(), Some("&="));
        assert_eq!(form.text("empty").unwrap(), Some(""));
        assert_eq!(form.text("bare").unwrap(), Some(""));
    }

    #[test]
    fn a_json_object_reads_like_a_form() {
        let json = br#"{"tags":["a","b"],"cpu_count":4,"on":true,"none":null,"deep":{"k":1}}"#;
        let form = parse_json_object(json).unwrap();
        assert_eq!(form.texts("tags").unwrap(), ["a", "b"]);
        assert_eq!(form.number::<u32>("cpu_count").unwrap(), Some(4));
        assert_eq!(form.flag("on").unwrap(), Some(true));
        assert!(!form.contains("none"));
        assert_eq!(form.text("deep").unwrap(), Some("{\"k\":1}"));
        assert!(parse_json_object(b"[1]").is_err());
    }

    #[test]
    fn the_kind_of_form_does_not_depend_on_case_or_charset() {
        let kind = |text| form_kind(Some(text));
        assert_eq!(kind("Application/X-WWW-Form-Urlencoded; charset=UTF-8"), FormKind::Urlencoded);
        assert_eq!(kind("multipart/form-data; boundary=x"), FormKind::Multipart);
        assert_eq!(kind("application/json"), FormKind::Json);
        assert_eq!(kind("application/octet-stream"), FormKind::None);
        assert_eq!(form_kind(None), FormKind::None);
    }

    #[test]
    fn too_many_fields_are_refused() {
        let body = "a=1&".repeat(MAX_FIELDS + 1);
        assert!(parse_urlencoded(body.as_bytes()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn what_a_client_encodes_is_what_is_read(
            pairs in proptest::collection::vec((".{1,8}", ".{0,12}"), 0..8)
        ) {
            let mut out = form_urlencoded::Serializer::new(String::new());
            out.extend_pairs(&pairs);
            let read = parse_urlencoded(out.finish().as_bytes()).unwrap();
            prop_assert_eq!(read, pairs.into_iter().collect::<Fields>());
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_urlencoded(&bytes);
            let _ = parse_json_object(&bytes);
            let body = Bytes::from(bytes);
            let _ = parse_body(Some("multipart/form-data; boundary=a"), &body);
        }
    }
}
