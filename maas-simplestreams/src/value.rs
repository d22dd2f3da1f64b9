//! What a field of a document may hold; numbers stay exactly as they were written.

mod number;

use serde::{Serialize, Serializer};

pub use number::{Number, NumberError};
pub(crate) use number::{Numbers, extent as number_extent};

use crate::document::{self, DocumentError};
use crate::ordered::Tags;

/// A JSON value.
///
/// Unlike `serde_json::Value` it keeps the text of every number, however long, and the order of
/// every object: what was read is written back the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number of any length.
    Number(Number),
    /// A string.
    String(String),
    /// A list.
    Array(Vec<Self>),
    /// An object, in document order.
    Object(Box<Tags>),
}

impl Value {
    /// Reads one JSON value.
    ///
    /// Refused are objects that name a key twice and what is nested deeper than 127 levels.
    pub fn from_json(text: &[u8]) -> Result<Self, DocumentError> {
        document::read_value(text)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, when it is an integer from 0 to 2⁶⁴ − 1.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    /// The values of a list.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    /// The fields of an object.
    pub fn as_object(&self) -> Option<&Tags> {
        match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// Puts the fields of every object in order of name.
    pub(crate) fn sort(&mut self) {
        match self {
            Self::Array(values) => values.iter_mut().for_each(Self::sort),
            Self::Object(fields) => {
                fields.sort_by_name();
                fields.values_mut().for_each(Self::sort);
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => {}
        }
    }
}

impl From<Tags> for Value {
    fn from(fields: Tags) -> Self {
        Self::Object(Box::new(fields))
    }
}

/// Whatever `serde_json` takes for a value: strings, integers, booleans, lists, `json!`.
impl<T: Into<serde_json::Value>> From<T> for Value {
    fn from(value: T) -> Self {
        use serde_json::Value as Plain;
        match value.into() {
            Plain::Null => Self::Null,
            Plain::Bool(value) => Self::Bool(value),
            Plain::Number(number) => Self::Number(number.into()),
            Plain::String(text) => Self::String(text),
            Plain::Array(values) => Self::Array(values.into_iter().map(Self::from).collect()),
            Plain::Object(fields) => {
                let fields = fields.into_iter().map(|(name, value)| (name, Self::from(value)));
                Self::from(fields.collect::<Tags>())
            }
        }
    }
}

/// Numbers are written as they were read when `serde_json` writes text. Other formats do not
/// understand numbers that fit neither `u64` nor `i64`.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(values) => values.serialize(serializer),
            Self::Object(fields) => fields.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::limits::Limits;
    use crate::products::Products;

    /// The text of any JSON number.
    pub(super) const NUMBER: &str = "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?";

    /// Compact JSON with names that differ.
    fn json_text() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            4 => NUMBER,
            1 => "null|true|false|\"[a-z0-9.]{0,6}\"",
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|list| format!("[{}]", list.join(","))),
                prop::collection::vec(inner, 0..4).prop_map(|list| {
                    // Not in order of name: the order is kept too.
                    let fields = list.iter().enumerate().rev();
                    let fields = fields.map(|(place, value)| format!("\"k{place}\":{value}"));
                    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back_to_the_last_digit(text in json_text()) {
            let value = Value::from_json(text.as_bytes()).unwrap();
            prop_assert_eq!(serde_json::to_string(&value).unwrap(), text);
        }

        #[test]
        fn every_level_of_a_document_keeps_its_numbers(
            values in prop::array::uniform4(json_text()),
        ) {
            let [top, product, version, item] = values;
            let text = format!(
                r#"{{"format":"products:1.0","content_id":"c","a":{top},"products":{{"p":{{"b":{product},"versions":{{"1":{{"c":{version},"items":{{"i":{{"d":{item}}}}}}}}}}}}}}}"#
            );
            let products = Products::parse(text.as_bytes(), &Limits::default()).unwrap();
            prop_assert_eq!(serde_json::to_string(&products).unwrap(), text.as_str());
            // Reading in passing sees the same.
            let mut seen = 0;
            Products::scan_matching(text.as_bytes(), &Limits::default(), &[], |one| {
                assert_eq!((&one.tags, &one.products), (&products.tags, &products.products));
                seen += 1;
            }).unwrap();
            prop_assert_eq!(seen, 1);
        }

        #[test]
        fn broken_text_is_refused_without_a_panic(text in "[-0-9.eE+,\\[\\]{}\":a ]{0,12}") {
            let plain = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            let read = Value::from_json(text.as_bytes());
            let twice = matches!(read, Err(DocumentError::DuplicateKey { .. }));
            prop_assert!(read.is_ok() == plain || twice);
        }
    }

    #[test]
    fn a_value_made_by_serde_json_stays_what_it_is() {
        let plain = json!({"a": [1, -2, 1.5, null, true], "b": {"c": "d"}});
        assert_eq!(serde_json::to_value(Value::from(plain.clone())).unwrap(), plain);
    }

    #[test]
    fn nesting_is_bounded_where_numbers_are_kept_as_text() {
        let deep = |levels: usize| format!("{}1.50{}", "[".repeat(levels), "]".repeat(levels));
        assert!(Value::from_json(deep(127).as_bytes()).is_ok());
        assert!(matches!(Value::from_json(deep(100_000).as_bytes()), Err(DocumentError::Limit(_))));
    }

    #[test]
    fn an_entry_that_is_a_number_beyond_range_is_skipped_like_any_other() {
        let text = r#"{"format":"products:1.0","content_id":"c","products":{"bad":1e400,
            "worse":{"versions":-1e999},"p":{"versions":{"1":1e400,"2":{"items":{"i":{"n":1e400},
            "j":12345678901234567890123}}}}}}"#;
        let products = Products::parse(text.as_bytes(), &Limits::default()).unwrap();
        let skipped: Vec<_> = products.problems().iter().map(|p| p.pedigree.to_string()).collect();
        assert_eq!(skipped, ["bad", "worse", "p/1", "p/2/j"]);
        assert_eq!(products.items().next().unwrap().flat("n").unwrap(), "inf");
    }
}
