//! A map that keeps the order of the document it came from.

use std::collections::HashMap;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::value::Value;

/// Below this many entries a linear search beats a hash table.
const SEARCHED_LINEARLY: usize = 16;

/// A map from names to values in document order.
///
/// The order matters to readers: results are listed as the publisher wrote them.
#[derive(Clone, Debug)]
pub struct Ordered<V> {
    entries: Vec<(Arc<str>, V)>,
    positions: HashMap<Arc<str>, usize>,
}

/// The fields of one level of a document, known and unknown alike, in document order.
pub type Tags = Ordered<Value>;

impl<V> Ordered<V> {
    /// An empty map.
    pub fn new() -> Self {
        Self { entries: Vec::new(), positions: HashMap::new() }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn position(&self, name: &str) -> Option<usize> {
        if self.positions.is_empty() {
            self.entries.iter().position(|(key, _)| &**key == name)
        } else {
            self.positions.get(name).copied()
        }
    }

    fn index_positions(&mut self) {
        self.positions.clear();
        if self.entries.len() > SEARCHED_LINEARLY {
            let names = self.entries.iter().enumerate();
            self.positions = names.map(|(place, (name, _))| (Arc::clone(name), place)).collect();
        }
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.position(name).and_then(|place| self.entries.get(place)).map(|(_, value)| value)
    }

    /// The value of `name`, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        let place = self.position(name)?;
        self.entries.get_mut(place).map(|(_, value)| value)
    }

    /// Sets `name`; the old value comes back and the entry keeps its place.
    pub fn insert(&mut self, name: impl Into<Arc<str>>, value: V) -> Option<V> {
        let name = name.into();
        if let Some(old) = self.get_mut(&name) {
            return Some(std::mem::replace(old, value));
        }
        self.entries.push((Arc::clone(&name), value));
        if !self.positions.is_empty() {
            self.positions.insert(name, self.entries.len() - 1);
        } else if self.entries.len() > SEARCHED_LINEARLY {
            self.index_positions();
        }
        None
    }

    /// Takes `name` out.
    pub fn remove(&mut self, name: &str) -> Option<V> {
        let place = self.position(name)?;
        let (_, value) = self.entries.remove(place);
        self.index_positions();
        Some(value)
    }

    /// Keeps only the entries for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut V) -> bool) {
        self.entries.retain_mut(|(name, value)| keep(name, value));
        self.index_positions();
    }

    /// The entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &V)> + ExactSizeIterator {
        self.entries.iter().map(|(name, value)| (&**name, value))
    }

    /// The names in order.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.entries.iter().map(|(name, _)| &**name)
    }

    /// The values in order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.entries.iter().map(|(_, value)| value)
    }

    /// The values in order, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// Puts the entries in order of name.
    pub(crate) fn sort_by_name(&mut self) {
        self.entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        self.index_positions();
    }

    /// Writes the entries into a map that is being serialised.
    pub(crate) fn write_entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>
    where
        V: Serialize,
    {
        self.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))
    }
}

impl Tags {
    /// The text of `name`; `None` when it is absent or no string.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }
}

impl<V> Default for Ordered<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: PartialEq> PartialEq for Ordered<V> {
    /// Two maps are equal when they hold the same entries, in whatever order.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl<V: Serialize> Serialize for Ordered<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        self.write_entries(&mut map)?;
        map.end()
    }
}

impl<N: Into<Arc<str>>, V> FromIterator<(N, V)> for Ordered<V> {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (name, value) in entries {
            map.insert(name, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_answers_like_a_plain_map(operations in prop::collection::vec((0u8..40, any::<bool>()), 0..120)) {
            let mut ordered = Ordered::new();
            let mut plain = std::collections::BTreeMap::new();
            for (count, (name, add)) in operations.into_iter().enumerate() {
                let name = name.to_string();
                if add {
                    prop_assert_eq!(ordered.insert(name.as_str(), count), plain.insert(name, count));
                } else {
                    prop_assert_eq!(ordered.remove(&name), plain.remove(&name));
                }
                prop_assert_eq!(ordered.len(), plain.len());
                prop_assert!(plain.iter().all(|(name, value)| ordered.get(name) == Some(value)));
            }
        }
    }

    #[test]
    fn document_order_survives_a_replacement() {
        let mut map: Ordered<u8> = [("b", 1), ("a", 2)].into_iter().collect();
        map.insert("b", 3);
        assert_eq!(map.iter().collect::<Vec<_>>(), [("b", &3), ("a", &2)]);
    }
}
