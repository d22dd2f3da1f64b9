//! Which bytes of a file are there: disjoint ranges in order, and the journal that remembers them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

/// Largest journal that is read, in bytes; one line stands for up to a block.
const LARGEST_JOURNAL: u64 = 16 << 20;

/// Disjoint ranges in order, none touching another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// The first bytes of a file.
    pub(super) fn prefix(end: u64) -> Self {
        let mut ranges = Self::default();
        ranges.insert(0..end);
        ranges
    }

    /// Adds a range.
    pub(super) fn insert(&mut self, new: Range<u64>) {
        if new.is_empty() {
            return;
        }
        let first = self.0.partition_point(|old| old.end < new.start);
        let last = self.0.partition_point(|old| old.start <= new.end);
        let touched = self.0.get(first..last).unwrap_or_default();
        let start = touched.first().map_or(new.start, |old| old.start.min(new.start));
        let end = touched.last().map_or(new.end, |old| old.end.max(new.end));
        self.0.splice(first..last, std::iter::once(start..end));
    }

    /// Where the bytes end that are there from `start` on without a gap.
    pub(super) fn end_from(&self, start: u64) -> u64 {
        let around = self.0.iter().find(|range| range.start <= start && start < range.end);
        around.map_or(start, |range| range.end)
    }

    /// The gaps before `size`.
    pub(super) fn missing(&self, size: u64) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for range in &self.0 {
            if at < range.start.min(size) {
                gaps.push(at..range.start.min(size));
            }
            at = range.end;
        }
        if at < size {
            gaps.push(at..size);
        }
        gaps
    }

    /// How many bytes are there.
    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }
}

/// Reads a journal; `None` when there is none. `length` is the length of the file that it is
/// about: nothing beyond counts. Lines that make no sense, like one cut short by a crash, are
/// passed over.
pub(super) fn read_journal(path: &Path, length: u64) -> io::Result<Option<Ranges>> {
    match fs::metadata(path) {
        Ok(facts) if facts.len() > LARGEST_JOURNAL => return Ok(Some(Ranges::default())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
    let mut ranges = Ranges::default();
    for line in text.split_inclusive('\n') {
        let line = line.strip_suffix('\n').and_then(|line| line.split_once(' '));
        let Some((start, end)) = line else { continue };
        if let (Ok(start), Ok(end)) = (start.parse::<u64>(), end.parse::<u64>()) {
            ranges.insert(start..end.min(length));
        }
    }
    Ok(Some(ranges))
}

/// Opens a journal to add to it; a new one starts with what is there.
pub(super) fn open_journal(path: &Path, there: &Ranges) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    // Ends a line that a crash cut short.
    let mut text = b"\n".to_vec();
    for range in &there.0 {
        writeln!(text, "{} {}", range.start, range.end)?;
    }
    file.write_all(&text)?;
    Ok(file)
}

/// Adds a range to a journal, by one write.
pub(super) fn note(mut journal: &File, range: &Range<u64>) -> io::Result<()> {
    journal.write_all(format!("{} {}\n", range.start, range.end).as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_the_set_of_their_bytes(
            inserted in prop::collection::vec((0u64..40, 0u64..10), 0..12), size in 0u64..50,
        ) {
            let mut ranges = Ranges::default();
            let mut plain = std::collections::BTreeSet::new();
            for (start, length) in inserted {
                ranges.insert(start..start + length);
                plain.extend(start..start + length);
            }
            prop_assert_eq!(ranges.total(), plain.len() as u64);
            let gaps: Vec<u64> = ranges.missing(size).into_iter().flatten().collect();
            let expected: Vec<u64> = (0..size).filter(|byte| !plain.contains(byte)).collect();
            prop_assert_eq!(gaps, expected);
            for start in 0..50 {
                let end = (start..).find(|byte| !plain.contains(byte)).unwrap();
                prop_assert_eq!(ranges.end_from(start), end);
            }
            let near = |pair: &[Range<u64>]| pair[0].end >= pair[1].start;
            prop_assert!(!ranges.0.windows(2).any(near), "{ranges:?}");
        }
    }

    #[test]
    fn a_journal_cut_short_anywhere_names_only_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.ranges");
        assert_eq!(read_journal(&path, 100).unwrap(), None);
        let journal = open_journal(&path, &Ranges::prefix(10)).unwrap();
        note(&journal, &(20..30)).unwrap();
        note(&journal, &(130..140)).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let ranges = read_journal(&path, 135).unwrap().unwrap();
            let allowed = [10..20, 30..130, 135..135];
            assert!(
                allowed.iter().flat_map(Range::clone).all(|byte| ranges.end_from(byte) == byte)
            );
        }
        let mut all = Ranges::prefix(10);
        all.insert(20..30);
        all.insert(130..135);
        assert_eq!(read_journal(&path, 135).unwrap(), Some(all.clone()));
        fs::write(&path, "0 10\n20 3").unwrap();
        open_journal(&path, &Ranges::prefix(10)).unwrap();
        assert_eq!(read_journal(&path, 100).unwrap(), Some(Ranges::prefix(10)));
    }
}
