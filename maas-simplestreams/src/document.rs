//! Reading JSON documents level by level: one bad entry is reported and skipped, a dangerous
//! document is refused whole.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::digest::{self, Sha256, Sha512};
use crate::limits::{LimitExceeded, Limits};
use crate::ordered::{Ordered, Tags};
use crate::path::{ContentId, SafePath, UnsafePath};
use crate::value::{Numbers, Value};

/// Why a document is refused as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It exceeds a limit.
    #[error("the document exceeds a limit")]
    Limit(#[source] LimitExceeded),
    /// It is not JSON or not an object.
    #[error("the document is not well-formed JSON")]
    Json(#[source] serde_json::Error),
    /// An object names a key twice.
    #[error("`{pedigree}` holds the key `{}` twice", key.escape_debug())]
    DuplicateKey {
        /// Where the object is.
        pedigree: Pedigree,
        /// The key.
        key: String,
    },
    /// A path or content id could lead out of its place.
    #[error("`{pedigree}` holds an unsafe path")]
    UnsafePath {
        /// Where the path is.
        pedigree: Pedigree,
        /// What is wrong with it.
        #[source]
        cause: UnsafePath,
    },
    /// `format` is another one than expected.
    #[error("the format is `{}`, expected `{expected}`", found.as_deref().unwrap_or("absent"))]
    Format {
        /// `index:1.0` or `products:1.0`.
        expected: &'static str,
        /// What the document says.
        found: Option<String>,
    },
    /// A field that every document of this kind has is missing or of another type.
    #[error("the field `{field}` is missing or of another type")]
    Field {
        /// The field at the top level.
        field: &'static str,
    },
}

/// The names that lead to a place in a document, outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pedigree(pub Vec<String>);

impl fmt::Display for Pedigree {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("the top level");
        }
        for (count, name) in self.0.iter().enumerate() {
            if count > 0 {
                formatter.write_str("/")?;
            }
            write!(formatter, "{}", name.escape_debug())?;
        }
        Ok(())
    }
}

/// An entry that was skipped while the rest of its document was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Product, version and item, as far as they are known.
    pub pedigree: Pedigree,
    /// What is wrong.
    pub complaint: Complaint,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}`: {}", self.pedigree, self.complaint)
    }
}

/// What is wrong with one entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Complaint {
    /// The entry is not an object.
    #[error("it is not an object")]
    NotAnObject,
    /// A field is of another type or form than its meaning demands.
    #[error("the field `{field}` must be {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A field that the reader needs is missing.
    #[error("the field `{field}` is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// Only a digest that proves nothing any more stands for the content.
    #[error("only `{field}` stands for the content, which proves nothing")]
    WeakDigest {
        /// The field: `md5`.
        field: &'static str,
    },
    /// The reader does not know this kind of product.
    #[error("the product is of a kind that is not understood")]
    UnknownKind,
}

/// One level of a document: its own fields and its children.
pub(crate) trait Level: Sized {
    /// The field that holds the children; `None` for the innermost level.
    const CHILDREN: Option<&'static str>;
    /// Whether the names of the children become file names.
    const CHILDREN_ARE_CONTENT_IDS: bool = false;
    /// Whether an entry of this level counts towards [`Limits::items`].
    const COUNTED: bool = false;
    type Child: Level;

    fn build(tags: Tags, children: Ordered<Self::Child>) -> Self;
}

/// The level below the innermost one.
#[derive(Debug)]
pub(crate) struct Nothing;

impl Level for Nothing {
    const CHILDREN: Option<&'static str> = None;
    type Child = Self;

    fn build(_: Tags, _: Ordered<Self>) -> Self {
        Self
    }
}

/// What a document yields: its content and what was skipped.
#[derive(Debug)]
pub(crate) struct Read<L> {
    pub(crate) level: L,
    pub(crate) problems: Vec<Problem>,
}

/// Reads `text` as a tree of levels.
pub(crate) fn read<L: Level>(text: &[u8], limits: &Limits) -> Result<Read<L>, DocumentError> {
    let numbers = limits.check_shape(text).map_err(DocumentError::Limit)?;
    let mut reader = Reader::new(limits, numbers);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let level = LevelSeed { reader: &mut reader, level: std::marker::PhantomData::<L> }
        .deserialize(&mut deserializer)
        .and_then(|level| deserializer.end().map(|()| level));
    match (level, reader.refusal) {
        (_, Some(refusal)) => Err(refusal),
        (Err(cause), None) => Err(DocumentError::Json(cause)),
        (Ok(None), None) => {
            Err(DocumentError::Json(serde_json::Error::custom("the document is not an object")))
        }
        (Ok(Some(level)), None) => Ok(Read { level, problems: reader.problems }),
    }
}

struct Reader<'l> {
    limits: &'l Limits,
    /// Those of the text that is being read.
    numbers: Numbers,
    names: HashSet<Arc<str>>,
    pedigree: Vec<String>,
    problems: Vec<Problem>,
    items: usize,
    refusal: Option<DocumentError>,
}

/// Distinct names that are kept before the collection starts anew.
const NAMES: usize = 4096;

impl<'l> Reader<'l> {
    fn new(limits: &'l Limits, numbers: Numbers) -> Self {
        Self {
            limits,
            numbers,
            names: HashSet::new(),
            pedigree: Vec::new(),
            problems: Vec::new(),
            items: 0,
            refusal: None,
        }
    }

    /// One allocation per distinct name: a document repeats a handful of field names.
    fn name(&mut self, text: &str) -> Arc<str> {
        if let Some(name) = self.names.get(text) {
            return Arc::clone(name);
        }
        if self.names.len() >= NAMES {
            self.names.clear();
        }
        let name: Arc<str> = text.into();
        self.names.insert(Arc::clone(&name));
        name
    }

    fn report(&mut self, complaint: Complaint) {
        if self.problems.len() < self.limits.problems {
            self.problems.push(Problem { pedigree: Pedigree(self.pedigree.clone()), complaint });
        }
    }

    fn refuse<E: serde::de::Error>(&mut self, refusal: DocumentError) -> E {
        self.refusal.get_or_insert(refusal);
        E::custom("refused")
    }

    fn pedigree(&self) -> Pedigree {
        Pedigree(self.pedigree.clone())
    }
}

struct LevelSeed<'r, 'l, L> {
    reader: &'r mut Reader<'l>,
    level: std::marker::PhantomData<L>,
}

/// What stands where a level is expected but is no object: read past and reported.
macro_rules! not_an_object {
    () => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            self.not_an_object()
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            self.not_an_object()
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            self.not_an_object()
        }
        fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<Self::Value, D::Error> {
            self.not_an_object()
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            self.not_an_object()
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            self.not_an_object()
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            self.not_an_object()
        }
    };
}

// After the macro, which it uses.
mod scan;
mod skim;
mod value;
pub(crate) use scan::{outline, read_top, scan, scan_skimmed, text_of};
pub(crate) use skim::{Skim, Skimmed};
pub(crate) use value::read_value;
use value::{ValueSeed, visit};

impl<'de, L: Level> DeserializeSeed<'de> for LevelSeed<'_, '_, L> {
    type Value = Option<L>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<L>, D::Error> {
        visit(self.reader.numbers, deserializer, self)
    }
}

impl<L: Level> LevelSeed<'_, '_, L> {
    fn not_an_object<E>(self) -> Result<Option<L>, E> {
        self.reader.report(Complaint::NotAnObject);
        Ok(None)
    }
}

impl<'de, L: Level> Visitor<'de> for LevelSeed<'_, '_, L> {
    type Value = Option<L>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    not_an_object!();

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<L>, A::Error> {
        let reader = self.reader;
        if L::COUNTED {
            reader.items += 1;
            if reader.items > reader.limits.items {
                let limit = LimitExceeded::Items { limit: reader.limits.items };
                return Err(reader.refuse(DocumentError::Limit(limit)));
            }
        }
        let mut tags = Tags::new();
        let mut children: Option<Option<Ordered<L::Child>>> = None;
        while let Some(key) = map.next_key_seed(NameSeed { reader })? {
            if L::CHILDREN == Some(&*key) {
                if children.is_some() {
                    let pedigree = reader.pedigree();
                    return Err(reader
                        .refuse(DocumentError::DuplicateKey { pedigree, key: key.to_string() }));
                }
                children = Some(map.next_value_seed(ChildrenSeed::<L> {
                    reader,
                    level: std::marker::PhantomData,
                })?);
                continue;
            }
            let value = map.next_value_seed(ValueSeed { reader })?;
            if tags.insert(Arc::clone(&key), value).is_some() {
                let pedigree = reader.pedigree();
                return Err(
                    reader.refuse(DocumentError::DuplicateKey { pedigree, key: key.to_string() })
                );
            }
        }
        if let Err(cause) = path_of(&tags) {
            let pedigree = reader.pedigree();
            return Err(reader.refuse(DocumentError::UnsafePath { pedigree, cause }));
        }
        if let Err(complaint) = check_fields(&tags) {
            reader.report(complaint);
            return Ok(None);
        }
        match children {
            Some(None) => {
                let field = L::CHILDREN.unwrap_or_default();
                reader.report(Complaint::Field { field, expected: "an object" });
                Ok(None)
            }
            Some(Some(children)) => Ok(Some(L::build(tags, children))),
            None => Ok(Some(L::build(tags, Ordered::new()))),
        }
    }
}

/// The path of a level, when it has one.
fn path_of(tags: &Tags) -> Result<Option<SafePath>, UnsafePath> {
    tags.text("path").map(SafePath::new).transpose()
}

/// Checks the fields whose meaning this crate relies on; all others pass as they are.
fn check_fields(tags: &Tags) -> Result<(), Complaint> {
    if tags.get("path").is_some_and(|path| path.as_str().is_none()) {
        return Err(Complaint::Field { field: "path", expected: "a string" });
    }
    if tags.get("size").is_some_and(|size| size_of(size).is_none()) {
        return Err(Complaint::Field { field: "size", expected: "a number of bytes" });
    }
    for field in ["md5", "sha256", "sha512"] {
        let Some(value) = tags.get(field) else { continue };
        let is_well_formed = value.as_str().is_some_and(|text| match field {
            "sha256" => text.parse::<Sha256>().is_ok(),
            "sha512" => text.parse::<Sha512>().is_ok(),
            _ => digest::is_md5(text).is_ok(),
        });
        if !is_well_formed {
            return Err(Complaint::Field { field, expected: "a hexadecimal digest" });
        }
    }
    Ok(())
}

/// A size in bytes: an integer, or one written as a string, which some publishers do.
pub(crate) fn size_of(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

struct ChildrenSeed<'r, 'l, L> {
    reader: &'r mut Reader<'l>,
    level: std::marker::PhantomData<L>,
}

impl<'de, L: Level> DeserializeSeed<'de> for ChildrenSeed<'_, '_, L> {
    type Value = Option<Ordered<L::Child>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        visit(self.reader.numbers, deserializer, self)
    }
}

impl<L: Level> ChildrenSeed<'_, '_, L> {
    fn not_an_object<E>(self) -> Result<Option<Ordered<L::Child>>, E> {
        Ok(None)
    }
}

impl<'de, L: Level> Visitor<'de> for ChildrenSeed<'_, '_, L> {
    type Value = Option<Ordered<L::Child>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    not_an_object!();

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let reader = self.reader;
        let mut children = Ordered::new();
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key_seed(NameSeed { reader })? {
            if !seen.insert(Arc::clone(&name)) {
                let pedigree = reader.pedigree();
                return Err(
                    reader.refuse(DocumentError::DuplicateKey { pedigree, key: name.to_string() })
                );
            }
            reader.pedigree.push(name.to_string());
            if L::CHILDREN_ARE_CONTENT_IDS
                && let Err(cause) = ContentId::new(&*name)
            {
                let pedigree = reader.pedigree();
                return Err(reader.refuse(DocumentError::UnsafePath { pedigree, cause }));
            }
            let child = map.next_value_seed(LevelSeed {
                reader,
                level: std::marker::PhantomData::<L::Child>,
            })?;
            reader.pedigree.pop();
            if let Some(child) = child {
                children.insert(name, child);
            }
        }
        Ok(Some(children))
    }
}

struct NameSeed<'r, 'l> {
    reader: &'r mut Reader<'l>,
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_, '_> {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_, '_> {
    type Value = Arc<str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Arc<str>, E> {
        Ok(self.reader.name(text))
    }
}
