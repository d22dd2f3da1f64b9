//! What is in the cache and what has to go, without the files themselves.

use std::collections::{BTreeMap, BTreeSet};

/// Whole files by their hash, with their sizes and the order of their use.
#[derive(Debug)]
pub(super) struct Index {
    limit: u64,
    total: u64,
    uses: u64,
    files: BTreeMap<String, Known>,
    pins: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    size: u64,
    used: u64,
}

impl Index {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, total: 0, uses: 0, files: BTreeMap::new(), pins: BTreeSet::new() }
    }

    pub(super) fn pin(&mut self, pins: BTreeSet<String>) {
        self.pins = pins;
    }

    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn has(&self, sha256: &str) -> bool {
        self.files.contains_key(sha256)
    }

    /// Notes a use; whether the file is here.
    pub(super) fn touch(&mut self, sha256: &str) -> bool {
        self.uses += 1;
        let uses = self.uses;
        self.files.get_mut(sha256).map(|known| known.used = uses).is_some()
    }

    pub(super) fn remove(&mut self, sha256: &str) {
        if let Some(known) = self.files.remove(sha256) {
            self.total -= known.size;
        }
    }

    /// Adds a file and names those that have to go for it: first what nobody pinned, of that what
    /// was not used for longest. A file larger than the limit goes itself.
    pub(super) fn add(&mut self, sha256: String, size: u64) -> Vec<String> {
        self.remove(&sha256);
        self.uses += 1;
        self.total += size;
        self.files.insert(sha256, Known { size, used: self.uses });
        let mut evicted = Vec::new();
        while self.total > self.limit {
            let goes = self.files.iter().min_by_key(|(sha256, known)| {
                let too_large = known.size > self.limit;
                (!too_large, self.pins.contains(*sha256), known.used)
            });
            let Some(goes) = goes.map(|(sha256, _)| sha256.clone()) else { break };
            self.remove(&goes);
            evicted.push(goes);
        }
        evicted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_and_pins_go_last() {
        let mut index = Index::new(100);
        index.pin(["a".to_owned()].into());
        for name in ["a", "b", "c"] {
            assert_eq!(index.add(name.to_owned(), 30), Vec::<String>::new());
        }
        assert!(index.touch("b"));
        assert_eq!(index.add("d".to_owned(), 30), ["c"]);
        assert_eq!(index.add("e".to_owned(), 70), ["b", "d"]);
        assert_eq!(index.add("f".to_owned(), 101), ["f"], "the others are not driven out");
        assert!(index.has("a") && index.has("e") && !index.touch("f"));
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_its_limit_and_always_knows_how_much(
            steps in proptest::collection::vec((0_u8..12, 0_u64..60, any::<bool>()), 0..80),
            limit in 1_u64..120,
        ) {
            let mut index = Index::new(limit);
            let mut held: BTreeMap<String, u64> = BTreeMap::new();
            index.pin(["1".to_owned(), "2".to_owned()].into());
            for (name, size, adds) in steps {
                let name = name.to_string();
                if !adds {
                    prop_assert_eq!(index.touch(&name), held.contains_key(&name));
                    continue;
                }
                held.insert(name.clone(), size);
                for evicted in index.add(name, size) {
                    prop_assert!(held.remove(&evicted).is_some());
                }
                prop_assert!(index.total() <= limit);
                prop_assert_eq!(index.total(), held.values().sum::<u64>());
            }
        }
    }
}
