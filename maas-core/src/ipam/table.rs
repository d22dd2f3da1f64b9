//! Numbered rows, whose numbers are never given twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Rows of one kind by number, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table<T> {
    next: u64,
    rows: BTreeMap<u64, T>,
}

impl<T> Table<T> {
    /// An empty table whose first row gets this number.
    #[must_use]
    pub const fn from(first: u64) -> Self {
        Self { next: first, rows: BTreeMap::new() }
    }

    /// The row with this number.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&T> {
        self.rows.get(&id)
    }

    /// The rows with their numbers, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &T)> + Clone {
        self.rows.iter().map(|(id, row)| (*id, row))
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The number that the next row gets.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn push(&mut self, row: T) -> u64 {
        let id = self.next;
        self.next = id.saturating_add(1);
        self.rows.insert(id, row);
        id
    }

    /// Replaces a row; says whether it was there.
    pub(super) fn set(&mut self, id: u64, row: T) -> bool {
        match self.rows.get_mut(&id) {
            Some(slot) => {
                *slot = row;
                true
            }
            None => false,
        }
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        self.rows.remove(&id)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.values_mut()
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.rows.retain(|_, row| keep(row));
    }
}
