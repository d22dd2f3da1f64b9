//! Reading a large document piece by piece: its outline, then one child after the other.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::{
    Complaint, DocumentError, Level, LevelSeed, NameSeed, Pedigree, Problem, Reader, Skim, Skimmed,
    ValueSeed, check_fields, path_of, read_value, visit,
};
use crate::limits::Limits;
use crate::ordered::Tags;
use crate::value::Numbers;

/// Reads the fields of the outermost level and the names of its children, and nothing below.
pub(crate) fn outline<L: Level>(
    text: &[u8],
    limits: &Limits,
) -> Result<(Tags, Vec<String>), DocumentError> {
    let numbers = limits.check_shape(text).map_err(DocumentError::Limit)?;
    let mut reader = Reader::new(limits, numbers);
    let seed = OutlineSeed { reader: &mut reader, children: L::CHILDREN };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let outline = seed
        .deserialize(&mut deserializer)
        .and_then(|outline| deserializer.end().map(|()| outline));
    match (outline, reader.refusal) {
        (_, Some(refusal)) => Err(refusal),
        (Err(cause), None) => Err(DocumentError::Json(cause)),
        (Ok((tags, names)), None) => {
            check_top(&tags)?;
            Ok((tags, names))
        }
    }
}

/// Checks the fields of the top level as those of the levels below are.
fn check_top(tags: &Tags) -> Result<(), DocumentError> {
    let refused = |cause| DocumentError::UnsafePath { pedigree: Pedigree::default(), cause };
    path_of(tags).map_err(refused)?;
    check_fields(tags).map_err(|complaint| match complaint {
        Complaint::Field { field, .. } => DocumentError::Field { field },
        _ => DocumentError::Json(serde_json::Error::custom("the document is refused")),
    })
}

/// Reads the fields of the top level of a text that was skimmed.
pub(crate) fn read_top(text: &[u8], skim: &Skim) -> Result<Tags, DocumentError> {
    let mut tags = Tags::new();
    for (name, value) in &skim.tags {
        tags.insert(text_of(text, name), read_value(part(text, value))?);
    }
    check_top(&tags)?;
    Ok(tags)
}

fn part<'t>(text: &'t [u8], range: &Range<usize>) -> &'t [u8] {
    text.get(range.clone()).unwrap_or_default()
}

/// A key without escapes.
pub(crate) fn text_of<'t>(text: &'t [u8], range: &Range<usize>) -> &'t str {
    std::str::from_utf8(part(text, range)).unwrap_or_default()
}

/// Reads those products of a text that was skimmed which `wanted` asks for, one after the other.
/// Answers with what was skipped of them.
pub(crate) fn scan_skimmed<L: Level>(
    text: &[u8],
    skim: &Skim,
    limits: &Limits,
    wanted: &dyn Fn(&Skimmed) -> bool,
    each: &mut dyn FnMut(Arc<str>, L::Child),
) -> Result<Vec<Problem>, DocumentError> {
    let mut reader = Reader::new(limits, Numbers::Plain);
    for product in skim.products.iter().filter(|product| wanted(product)) {
        let name = text_of(text, &product.name);
        reader.numbers = product.numbers;
        reader.pedigree.push(name.to_owned());
        let mut deserializer = serde_json::Deserializer::from_slice(part(text, &product.value));
        let seed = LevelSeed { reader: &mut reader, level: PhantomData::<L::Child> };
        let child = seed.deserialize(&mut deserializer);
        if let Some(refusal) = reader.refusal.take() {
            return Err(refusal);
        }
        reader.pedigree.pop();
        if let Some(child) = child.map_err(DocumentError::Json)? {
            each(name.into(), child);
        }
    }
    Ok(reader.problems)
}

/// Reads the children of the outermost level one by one and hands each over before the next one
/// is read: memory holds one of them at a time. Answers with what was skipped.
pub(crate) fn scan<L: Level>(
    text: &[u8],
    limits: &Limits,
    each: &mut dyn FnMut(Arc<str>, L::Child),
) -> Result<Vec<Problem>, DocumentError> {
    let numbers = limits.check_shape(text).map_err(DocumentError::Limit)?;
    let mut reader = Reader::new(limits, numbers);
    let seed = ScanSeed::<L> { reader: &mut reader, each, place: Place::Document };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let done = seed.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match (done, reader.refusal) {
        (_, Some(refusal)) => Err(refusal),
        (Err(cause), None) => Err(DocumentError::Json(cause)),
        (Ok(()), None) => Ok(reader.problems),
    }
}

struct OutlineSeed<'r, 'l> {
    reader: &'r mut Reader<'l>,
    children: Option<&'static str>,
}

impl<'de> DeserializeSeed<'de> for OutlineSeed<'_, '_> {
    type Value = (Tags, Vec<String>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OutlineSeed<'_, '_> {
    type Value = (Tags, Vec<String>);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut tags = Tags::new();
        let mut names = Vec::new();
        while let Some(key) = map.next_key_seed(NameSeed { reader: self.reader })? {
            if self.children == Some(&*key) {
                names = map.next_value_seed(KeysSeed { numbers: self.reader.numbers })?;
                continue;
            }
            let value = map.next_value_seed(ValueSeed { reader: self.reader })?;
            if tags.insert(Arc::clone(&key), value).is_some() {
                let pedigree = self.reader.pedigree();
                let key = key.to_string();
                return Err(self.reader.refuse(DocumentError::DuplicateKey { pedigree, key }));
            }
        }
        Ok((tags, names))
    }
}

/// The keys of an object; nothing for anything else.
struct KeysSeed {
    numbers: Numbers,
}

impl<'de> DeserializeSeed<'de> for KeysSeed {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<String>, D::Error> {
        visit(self.numbers, deserializer, self)
    }
}

impl KeysSeed {
    fn not_an_object<E>(self) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }
}

impl<'de> Visitor<'de> for KeysSeed {
    type Value = Vec<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    not_an_object!();

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
        let mut names = Vec::new();
        while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
            names.push(name);
        }
        Ok(names)
    }
}

#[derive(Clone, Copy)]
enum Place {
    Document,
    Children,
}

struct ScanSeed<'r, 'l, 'e, L: Level> {
    reader: &'r mut Reader<'l>,
    each: &'e mut dyn FnMut(Arc<str>, L::Child),
    place: Place,
}

impl<'de, L: Level> DeserializeSeed<'de> for ScanSeed<'_, '_, '_, L> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, L: Level> Visitor<'de> for ScanSeed<'_, '_, '_, L> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { reader, each, place } = self;
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key_seed(NameSeed { reader })? {
            if !seen.insert(Arc::clone(&name)) {
                let pedigree = reader.pedigree();
                let key = name.to_string();
                return Err(reader.refuse(DocumentError::DuplicateKey { pedigree, key }));
            }
            match place {
                Place::Document if L::CHILDREN == Some(&*name) => {
                    let seed = ScanSeed::<L> { reader, each, place: Place::Children };
                    map.next_value_seed(seed)?;
                }
                Place::Document => {
                    map.next_value::<IgnoredAny>()?;
                }
                Place::Children => {
                    reader.pedigree.push(name.to_string());
                    let level = PhantomData::<L::Child>;
                    let child = map.next_value_seed(LevelSeed { reader, level })?;
                    reader.pedigree.pop();
                    if let Some(child) = child {
                        each(name, child);
                    }
                }
            }
        }
        Ok(())
    }
}
