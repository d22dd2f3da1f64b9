//! The index (`index:1.0`): which products files a mirror has.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::date::Timestamp;
use crate::document::{self, DocumentError, Level, Nothing, Problem};
use crate::limits::{LimitExceeded, Limits};
use crate::ordered::{Ordered, Tags};
use crate::path::SafePath;
use crate::value::Value;

/// The `format` of an index.
pub const FORMAT: &str = "index:1.0";

/// An index. Unknown fields are kept and written back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    /// Every field of the top level but `index`.
    pub tags: Tags,
    /// Content id to entry, in document order.
    pub entries: Ordered<Entry>,
    pub(crate) problems: Vec<Problem>,
}

/// What an index says about one products file (or about another index).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Every field of the entry.
    pub tags: Tags,
}

impl Index {
    /// Reads an index.
    ///
    /// A bad entry is skipped and listed by [`Self::problems`]; duplicate keys, unsafe paths and
    /// content ids, exceeded limits and another format refuse the document.
    pub fn parse(text: &[u8], limits: &Limits) -> Result<Self, DocumentError> {
        if text.len() as u64 > limits.index_bytes {
            return Err(DocumentError::Limit(LimitExceeded::Bytes { limit: limits.index_bytes }));
        }
        let read = document::read::<Self>(text, limits)?;
        let index = Self { problems: read.problems, ..read.level };
        match index.tags.text("format") {
            Some(FORMAT) => Ok(index),
            found => {
                Err(DocumentError::Format { expected: FORMAT, found: found.map(str::to_owned) })
            }
        }
    }

    /// When the index was last changed.
    pub fn updated(&self) -> Option<Timestamp> {
        Timestamp::parse(self.tags.text("updated")?).ok()
    }

    /// The entries that were skipped while the index was read.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl Entry {
    /// Where the document is, relative to the mirror root.
    pub fn path(&self) -> Option<SafePath> {
        SafePath::new(self.tags.text("path")?).ok()
    }

    /// `products:1.0`, `index:1.0` or another format.
    pub fn format(&self) -> Option<&str> {
        self.tags.text("format")
    }

    /// `image-ids`, `image-downloads` and so on.
    pub fn datatype(&self) -> Option<&str> {
        self.tags.text("datatype")
    }

    /// When the document was last changed.
    pub fn updated(&self) -> Option<Timestamp> {
        Timestamp::parse(self.tags.text("updated")?).ok()
    }

    /// The names of the products that the document lists.
    pub fn products(&self) -> impl Iterator<Item = &str> {
        let list = self.tags.get("products").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    }
}

impl Level for Index {
    const CHILDREN: Option<&'static str> = Some("index");
    const CHILDREN_ARE_CONTENT_IDS: bool = true;
    type Child = Entry;

    fn build(tags: Tags, entries: Ordered<Entry>) -> Self {
        Self { tags, entries, problems: Vec::new() }
    }
}

impl Level for Entry {
    const CHILDREN: Option<&'static str> = None;
    type Child = Nothing;

    fn build(tags: Tags, _: Ordered<Nothing>) -> Self {
        Self { tags }
    }
}

impl Serialize for Index {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.tags.len() + 1))?;
        self.tags.write_entries(&mut map)?;
        map.serialize_entry("index", &self.entries)?;
        map.end()
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.tags.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const INDEX: &str = r#"{"format":"index:1.0","updated":"Thu, 24 Jul 2025 08:01:49 +0000",
        "extra":{"kept":[1,2.5,null]},
        "index":{"b:download":{"datatype":"image-ids","format":"products:1.0","unknown":true,
        "path":"streams/v1/b:download.sjson","products":["p1","p2"]},
        "bad":7,"a:download":{"path":"streams/v1/a.json"}}}"#;

    #[test]
    fn entries_keep_their_order_and_a_bad_one_is_reported() {
        let index = Index::parse(INDEX.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(index.entries.names().collect::<Vec<_>>(), ["b:download", "a:download"]);
        assert_eq!(index.problems().len(), 1);
        assert_eq!(index.problems()[0].to_string(), "`bad`: it is not an object");
        let entry = index.entries.get("b:download").unwrap();
        assert_eq!(entry.products().collect::<Vec<_>>(), ["p1", "p2"]);
        assert_eq!(entry.path().unwrap().as_str(), "streams/v1/b:download.sjson");
    }

    #[test]
    fn unknown_fields_are_written_back() {
        use serde_json::Value;
        let index = Index::parse(INDEX.as_bytes(), &Limits::default()).unwrap();
        let written: Value = serde_json::to_value(&index).unwrap();
        let mut expected: Value = serde_json::from_str(INDEX).unwrap();
        expected["index"].as_object_mut().unwrap().remove("bad");
        assert_eq!(written, expected);
    }

    #[test]
    fn dangerous_documents_are_refused() {
        let parse = |text: &str| Index::parse(text.as_bytes(), &Limits::default()).unwrap_err();
        assert!(matches!(
            parse(r#"{"format":"index:1.0","index":{"a":{},"a":{}}}"#),
            DocumentError::DuplicateKey { .. }
        ));
        assert!(matches!(
            parse(r#"{"format":"index:1.0","format":"index:1.0","index":{}}"#),
            DocumentError::DuplicateKey { .. }
        ));
        assert!(matches!(
            parse(r#"{"format":"index:1.0","index":{"../x":{}}}"#),
            DocumentError::UnsafePath { .. }
        ));
        assert!(matches!(
            parse(r#"{"format":"index:1.0","index":{"a":{"path":"../x"}}}"#),
            DocumentError::UnsafePath { .. }
        ));
        assert!(matches!(
            parse(r#"{"format":"index:2.0","index":{}}"#),
            DocumentError::Format { .. }
        ));
        assert!(matches!(parse("[]"), DocumentError::Json(_)));
        assert!(matches!(parse("{} {}"), DocumentError::Json(_)));
    }
}
