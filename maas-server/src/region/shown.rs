//! Machines as JSON that was written before: most of a list has not changed since it was last
//! asked for.
//!
//! One machine's JSON looks much like another's. Each is kept as its difference from a pattern,
//! the first one that was written.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use maas_core::id::SystemId;
use maas_core::machine::Machine;
use sha2::{Digest, Sha256};

use crate::entropy;
use crate::store::MachineHead;

/// The most bytes that are kept, packed: enough for ten thousand machines with six disks and five
/// interfaces (`tests/bench/api`).
const LIMIT: usize = 16 << 20;

/// Machines as the API shows them, by version; bounded.
#[derive(Debug)]
pub(crate) struct Shown {
    inner: Mutex<Inner>,
    limit: usize,
    /// Another program may show machines in another way: tags end with the process.
    process: u64,
}

#[derive(Debug, Default)]
struct Inner {
    /// What besides the machines the views were made from.
    stamp: String,
    views: HashMap<SystemId, View>,
    /// What the views are packed against.
    pattern: Bytes,
    bytes: usize,
    clock: u64,
}

#[derive(Debug)]
struct View {
    version: u64,
    used: u64,
    packed: PackedView,
}

/// The JSON of a machine, packed.
#[derive(Debug, Clone)]
pub(crate) struct PackedView {
    pattern: Bytes,
    difference: Bytes,
    length: usize,
}

impl PackedView {
    fn of(json: &[u8], pattern: &Bytes) -> Self {
        let difference = lz4_flex::block::compress_with_dict(json, pattern);
        // Copied: what was written into is larger than what was written.
        let difference = Bytes::copy_from_slice(&difference);
        Self { pattern: pattern.clone(), difference, length: json.len() }
    }

    /// Writes the JSON behind what is there.
    ///
    /// # Errors
    ///
    /// When memory was damaged.
    pub(crate) fn write(&self, to: &mut Vec<u8>) -> Result<(), lz4_flex::block::DecompressError> {
        let begin = to.len();
        to.resize(begin + self.length, 0);
        let room = to.get_mut(begin..).unwrap_or_default();
        lz4_flex::block::decompress_into_with_dict(&self.difference, room, &self.pattern)?;
        Ok(())
    }
}

impl Default for Shown {
    fn default() -> Self {
        Self::new(LIMIT)
    }
}

impl Shown {
    fn new(limit: usize) -> Self {
        Self { inner: Mutex::default(), limit, process: entropy::number().unwrap_or_default() }
    }

    /// A strong entity tag for a list of these machines with these fields.
    pub(crate) fn tag(&self, stamp: &str, heads: &[MachineHead], fields: &[String]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.process.to_le_bytes());
        for text in std::iter::once(stamp).chain(fields.iter().map(String::as_str)) {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        for head in heads {
            hash.update(head.system_id.as_str().as_bytes());
            hash.update(head.version.to_le_bytes());
        }
        let mut tag = String::from("\"");
        for byte in hash.finalize().iter().take(16) {
            let _ = write!(tag, "{byte:02x}");
        }
        tag.push('"');
        tag
    }

    /// The JSON of a machine in this version, if it was written before.
    pub(crate) fn known(&self, head: &MachineHead, stamp: &str) -> Option<PackedView> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.stamp != stamp {
            return None;
        }
        inner.clock += 1;
        let clock = inner.clock;
        let view = inner.views.get_mut(&head.system_id)?;
        view.used = clock;
        (view.version == head.version).then(|| view.packed.clone())
    }

    /// Remembers the JSON of a machine, as long as there is room.
    pub(crate) fn keep(&self, machine: &Machine, stamp: &str, json: &[u8]) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        if inner.stamp != stamp {
            inner.views.clear();
            inner.bytes = 0;
            stamp.clone_into(&mut inner.stamp);
        }
        if inner.views.is_empty() {
            inner.pattern = Bytes::copy_from_slice(json);
        }
        let packed = PackedView::of(json, &inner.pattern);
        let length = packed.difference.len();
        if inner.bytes + length > self.limit {
            // What nobody asked for since everything else was asked for goes; when nothing is so
            // old, the first ones stay: a list larger than the room would push out all of itself.
            let recent = inner.clock.saturating_sub(4 * inner.views.len() as u64);
            let bytes = &mut inner.bytes;
            inner.views.retain(|_, view| {
                let stays = view.used >= recent;
                *bytes -= if stays { 0 } else { view.packed.difference.len() };
                stays
            });
        }
        if let Some(old) = inner.views.remove(&machine.system_id) {
            inner.bytes -= old.packed.difference.len();
        }
        if inner.bytes + length > self.limit {
            return;
        }
        inner.bytes += length;
        inner.clock += 1;
        let view = View { version: machine.version, used: inner.clock, packed };
        inner.views.insert(machine.system_id.clone(), view);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::machine;

    fn head(machine: &Machine) -> MachineHead {
        MachineHead {
            system_id: machine.system_id.clone(),
            version: machine.version,
            owner: machine.owner.clone(),
        }
    }

    #[test]
    fn a_view_is_found_in_its_own_version_and_world_only() {
        let shown = Shown::new(1000);
        let mut one = machine(1);
        shown.keep(&one, "a", b"{}");
        let mut written = b"[".to_vec();
        shown.known(&head(&one), "a").unwrap().write(&mut written).unwrap();
        assert_eq!(written, b"[{}");
        assert!(shown.known(&head(&one), "b").is_none());
        one.version += 1;
        assert!(shown.known(&head(&one), "a").is_none());
    }

    #[test]
    fn the_room_is_never_exceeded() {
        let shown = Shown::new(100);
        for number in 0..50_u8 {
            let noise =
                (0..30_u8).map(|at| number.wrapping_mul(31).wrapping_add(at.wrapping_mul(at)));
            shown.keep(&machine(number), "a", &noise.collect::<Vec<u8>>());
            let inner = shown.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let sum: usize = inner.views.values().map(|view| view.packed.difference.len()).sum();
            assert_eq!(sum, inner.bytes);
            assert!(sum <= 100);
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_packed_comes_back(pattern in "\\PC{0,300}", own in "\\PC{0,300}") {
            let pattern = Bytes::from(pattern);
            for json in [own.as_bytes(), &pattern, &[own.as_bytes(), &pattern].concat()] {
                let mut written = Vec::new();
                PackedView::of(json, &pattern).write(&mut written).unwrap();
                proptest::prop_assert_eq!(&written, json);
            }
        }
    }

    #[test]
    fn a_tag_changes_with_everything_that_is_shown() {
        let shown = Shown::new(1000);
        let mut one = machine(1);
        let fields = ["hostname".to_owned()];
        let tags = [
            shown.tag("a", &[head(&one)], &[]),
            shown.tag("b", &[head(&one)], &[]),
            shown.tag("a", &[], &[]),
            shown.tag("a", &[head(&one)], &fields),
            Shown::new(1000).tag("a", &[head(&one)], &[]),
            {
                one.version += 1;
                shown.tag("a", &[head(&one)], &[])
            },
        ];
        let different: std::collections::BTreeSet<&String> = tags.iter().collect();
        assert_eq!(different.len(), tags.len(), "{tags:?}");
    }
}
