//! Which versions of a product a mirror adds and removes.

use std::collections::BTreeSet;

/// How many versions a mirror holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// Those that the source has.
    #[default]
    AsSource,
    /// At most this many of those that the source has, the newest.
    Newest(usize),
    /// Up to this many, filled up with versions that the source no longer has.
    Keep(usize),
}

/// What is to be done for one product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Versions to add, newest first.
    pub add: Vec<String>,
    /// Versions to remove, oldest first.
    pub remove: Vec<String>,
}

/// Holds the versions of the source (those that filters let through) against those of the mirror.
///
/// Names are compared byte by byte; the greatest is the newest.
pub fn resolve_work<'a>(
    source: impl IntoIterator<Item = &'a str>,
    target: impl IntoIterator<Item = &'a str>,
    retention: Retention,
) -> Work {
    let source: BTreeSet<&str> = source.into_iter().collect();
    let target: BTreeSet<&str> = target.into_iter().collect();
    let mut add: BTreeSet<&str> = source.difference(&target).copied().collect();
    let mut remove: BTreeSet<&str> = target.difference(&source).copied().collect();
    if let Retention::Keep(most) = retention {
        while target.len() + add.len() - remove.len() < most && remove.pop_last().is_some() {}
    }
    if let Retention::Newest(most) | Retention::Keep(most) = retention {
        let held: BTreeSet<&str> = target.difference(&remove).chain(&add).copied().collect();
        for surplus in held.into_iter().rev().skip(most) {
            if !add.remove(surplus) {
                remove.insert(surplus);
            }
        }
    }
    Work {
        add: add.into_iter().rev().map(str::to_owned).collect(),
        remove: remove.into_iter().map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn work(source: &[&str], target: &[&str], retention: Retention) -> (Vec<String>, Vec<String>) {
        let Work { add, remove } =
            resolve_work(source.iter().copied(), target.iter().copied(), retention);
        (add, remove)
    }

    #[test]
    fn the_table_holds() {
        use Retention::{AsSource, Keep, Newest};
        type Row<'a> = (&'a [&'a str], &'a [&'a str], Retention, &'a [&'a str], &'a [&'a str]);
        let table: [Row<'_>; 14] = [
            (&["3", "2", "1"], &[], AsSource, &["3", "2", "1"], &[]),
            (&["3", "2", "1"], &["2"], AsSource, &["3", "1"], &[]),
            (&["3"], &["2", "1"], AsSource, &["3"], &["1", "2"]),
            (&[], &["2", "1"], AsSource, &[], &["1", "2"]),
            (&["9", "8", "7"], &["6", "5", "4"], Newest(2), &["9", "8"], &["4", "5", "6"]),
            (&["9", "8", "7"], &["6", "5", "4"], Keep(4), &["9", "8", "7"], &["4", "5"]),
            (&["1", "2", "3", "4"], &["4"], Newest(1), &[], &[]),
            (&["1", "2", "3", "4"], &["4"], Keep(1), &[], &[]),
            (&["5", "4"], &["3", "2", "1"], Keep(5), &["5", "4"], &[]),
            (&["5", "4"], &["3", "2", "1"], Keep(2), &["5", "4"], &["1", "2", "3"]),
            (&["5", "4"], &["3", "2", "1"], Keep(1), &["5"], &["1", "2", "3"]),
            (&["3", "2", "1"], &["3", "2", "1"], Newest(2), &[], &["1"]),
            (&["20240101.2", "20240101.10"], &[], Newest(1), &["20240101.2"], &[]),
            (&["3"], &["3"], Newest(0), &[], &["3"]),
        ];
        for (source, target, retention, add, remove) in table {
            assert_eq!(
                work(source, target, retention),
                (
                    add.iter().map(ToString::to_string).collect(),
                    remove.iter().map(ToString::to_string).collect()
                ),
                "{source:?} {target:?} {retention:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_mirror_ends_within_its_bound_and_with_the_newest_of_the_source(
            source in prop::collection::btree_set("[0-9]{1,2}", 0..8),
            target in prop::collection::btree_set("[0-9]{1,2}", 0..8),
            most in 1usize..6, keep in any::<bool>(),
        ) {
            let retention = if keep { Retention::Keep(most) } else { Retention::Newest(most) };
            let Work { add, remove } = resolve_work(
                source.iter().map(String::as_str), target.iter().map(String::as_str), retention);
            let mut after: BTreeSet<String> = target.clone();
            for version in &remove {
                prop_assert!(after.remove(version));
            }
            for version in &add {
                prop_assert!(source.contains(version) && after.insert(version.clone()));
            }
            prop_assert!(after.len() <= most);
            if !keep {
                let newest: BTreeSet<String> = source.iter().rev().take(most).cloned().collect();
                prop_assert_eq!(&after, &newest);
            }
            let again = resolve_work(
                source.iter().map(String::as_str), after.iter().map(String::as_str), retention);
            prop_assert_eq!(again, Work::default());
        }
    }
}
