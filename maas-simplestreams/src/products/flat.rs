//! One item as readers see it: its own fields, what it inherits, and what aliases add.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Item, Product, Products, Version};
use crate::digest::{Digest, Sha256};
use crate::document::{Complaint, Pedigree, size_of};
use crate::ordered::Tags;
use crate::path::SafePath;
use crate::value::Value;

/// An item together with the levels that it inherits from.
#[derive(Clone, Copy, Debug)]
pub struct ItemRef<'a> {
    /// The document.
    pub products: &'a Products,
    /// The product's name.
    pub product_name: &'a str,
    /// The product.
    pub product: &'a Product,
    /// The version's name.
    pub version_name: &'a str,
    /// The version.
    pub version: &'a Version,
    /// The item's name.
    pub item_name: &'a str,
    /// The item.
    pub item: &'a Item,
}

/// The file behind an item: where it is and what proves that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct File {
    /// Relative to the mirror root.
    pub path: SafePath,
    /// Bytes.
    pub size: u64,
    /// The strongest digest that can name a blob: `sha256` when there is one, else `sha512`.
    pub digest: Digest,
}

impl<'a> ItemRef<'a> {
    /// Product, version and item name.
    pub fn pedigree(&self) -> Pedigree {
        Pedigree(vec![
            self.product_name.to_owned(),
            self.version_name.to_owned(),
            self.item_name.to_owned(),
        ])
    }

    fn levels(&self) -> [&'a Tags; 4] {
        [&self.products.tags, &self.product.tags, &self.version.tags, &self.item.tags]
    }

    /// The value of a field: the innermost level that has it wins.
    pub fn value(&self, field: &str) -> Option<&'a Value> {
        let aliases = self.products.tags.get("_aliases").and_then(Value::as_object);
        self.levels().into_iter().rev().find_map(|tags| {
            let alias = aliases.and_then(|aliases| aliased(aliases, tags, field));
            alias.or_else(|| tags.get(field))
        })
    }

    /// The value of a field when it is a string.
    pub fn text(&self, field: &str) -> Option<&'a str> {
        self.value(field).and_then(Value::as_str)
    }

    /// The flattened value of a field, as filters see it: `product_name`, `version_name` and
    /// `item_name` are fields too, and numbers and booleans are strings.
    pub fn flat(&self, field: &str) -> Option<Cow<'a, str>> {
        let levels = self.levels();
        let aliases = self.products.tags.get("_aliases").and_then(Value::as_object);
        let names = [
            None,
            Some(("product_name", self.product_name)),
            Some(("version_name", self.version_name)),
            Some(("item_name", self.item_name)),
        ];
        levels.into_iter().zip(names).rev().find_map(|(tags, name)| {
            // The name of a level wins over a field of that level and yields to one below it.
            let name = name.filter(|(key, _)| *key == field).map(|(_, name)| name.into());
            name.or_else(|| {
                let alias = aliases.and_then(|aliases| aliased(aliases, tags, field));
                alias.or_else(|| tags.get(field)).and_then(flat_value)
            })
        })
    }

    /// The flattened view: every scalar of every level as a string, inner levels over outer ones,
    /// with the names of product, version and item added.
    pub fn flattened(&self) -> BTreeMap<&'a str, Cow<'a, str>> {
        self.flat_fields().into_iter().collect()
    }

    /// [`Self::flattened`] as a list in order of name.
    pub fn flat_fields(&self) -> Vec<(&'a str, Cow<'a, str>)> {
        let aliases = self.products.tags.get("_aliases").and_then(Value::as_object);
        let names = [
            None,
            Some(("product_name", self.product_name)),
            Some(("version_name", self.version_name)),
            Some(("item_name", self.item_name)),
        ];
        let levels = self.levels();
        let most = levels.iter().map(|tags| tags.len() + 1).sum();
        let mut fields: Vec<(&'a str, Cow<'a, str>)> = Vec::with_capacity(most);
        for (tags, name) in levels.into_iter().zip(names) {
            let alias = |key| aliases.and_then(|aliases| aliased(aliases, tags, key));
            let own = tags.iter().map(|(key, value)| (key, alias(key).unwrap_or(value)));
            fields.extend(own.filter_map(|(key, value)| Some((key, flat_value(value)?))));
            for added in aliases.into_iter().flat_map(|aliases| maps_for(aliases, tags)) {
                let new = added.names().filter(|key| tags.get(key).is_none());
                let new = new.filter_map(|key| Some((key, alias(key)?)));
                fields.extend(new.filter_map(|(key, value)| Some((key, flat_value(value)?))));
            }
            if let Some((key, name)) = name {
                fields.push((key, Cow::Borrowed(name)));
            }
        }
        // The sort keeps equal names in order, and of those the last one, the innermost, counts.
        fields.sort_by_key(|(name, _)| *name);
        fields.reverse();
        fields.dedup_by(|later, earlier| later.0 == earlier.0);
        fields.reverse();
        fields
    }

    /// Whether the item refers to a file at all; items of `image-ids` streams need not.
    pub fn has_path(&self) -> bool {
        self.value("path").is_some()
    }

    /// The file behind the item.
    ///
    /// Fails when the path is missing or unsafe (an alias can bring one in), when the size is
    /// missing, or when neither `sha256` nor `sha512` is there: MD5 alone proves nothing.
    pub fn file(&self) -> Result<File, Complaint> {
        let text = self.text("path").ok_or(Complaint::Missing { field: "path" })?;
        let path = SafePath::new(text)
            .map_err(|_| Complaint::Field { field: "path", expected: "a safe relative path" })?;
        let size = self.value("size").ok_or(Complaint::Missing { field: "size" })?;
        let size = size_of(size)
            .ok_or(Complaint::Field { field: "size", expected: "a number of bytes" })?;
        let hexadecimal = "a hexadecimal digest";
        let digest = if let Some(sha256) = self.text("sha256") {
            Digest::Sha256(
                sha256
                    .parse()
                    .map_err(|_| Complaint::Field { field: "sha256", expected: hexadecimal })?,
            )
        } else if let Some(sha512) = self.text("sha512") {
            Digest::Sha512(
                sha512
                    .parse()
                    .map_err(|_| Complaint::Field { field: "sha512", expected: hexadecimal })?,
            )
        } else {
            return Err(match self.value("md5") {
                Some(_) => Complaint::WeakDigest { field: "md5" },
                None => Complaint::Missing { field: "sha256" },
            });
        };
        Ok(File { path, size, digest })
    }

    /// The SHA-256 that the item states.
    pub fn sha256(&self) -> Option<Sha256> {
        self.text("sha256")?.parse().ok()
    }
}

/// The maps that aliases add to one level, in the order of the level's fields.
fn maps_for<'a>(aliases: &'a Tags, tags: &'a Tags) -> impl DoubleEndedIterator<Item = &'a Tags> {
    tags.iter()
        .filter_map(|(key, value)| aliases.get(key)?.as_object()?.get(value.as_str()?)?.as_object())
}

/// What aliases say about one field of a level; the last one wins, and all win over the level.
fn aliased<'a>(aliases: &'a Tags, tags: &'a Tags, field: &str) -> Option<&'a Value> {
    maps_for(aliases, tags).rev().find_map(|map| map.get(field))
}

/// A scalar as a string, in the spelling that the filters of the simplestreams tools compare with.
pub(crate) fn flat_value(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Bool(true) => Some("True".into()),
        Value::Bool(false) => Some("False".into()),
        Value::Number(number) => Some(number.flat().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
