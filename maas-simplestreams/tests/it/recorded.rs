//! What the Python tools answered once to documents that were made for this test: these hold where
//! the original cannot be had, and `peer` compares with the living one.
//!
//! `recorded/stream` is a stream of oddities: a nested index, an entry without a format, products
//! without versions, versions without items, values of every type at every level, fields that are
//! named like the levels, aliases. `recorded/numbers` holds numbers that fit no machine word, no
//! double, or are not written in the shortest way. `recorded/N.json` is what `sstream-query --json`
//! printed about them, run beside the directories, for the arguments in row N of the table.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cli::{built, done, sstream};

/// The rows: arguments of `query`, the last ones being filters.
pub(crate) const QUERIES: [&[&str]; 20] = [
    &["stream"],
    &["--max=1", "stream"],
    &["stream", "arch=amd64"],
    &["stream", "release~^nob", r"version_name~\.2$"],
    &["stream", "release!=noble"],
    &["stream", "label!~item", "item_name~^b$"],
    &["stream", "nosuch!="],
    &["stream", "nosuch=", "version_name=late"],
    &["stream", "product_name=deeper"],
    &["stream", "product_name=mid"],
    &["stream", "n=3", "neg=-3", "f5=1e+16"],
    &["stream", "b=True", "s=", "l="],
    &["--max=2", "stream", "product_name=zeta"],
    &["stream", "size~^[56]$", "ftype=squashfs "],
    &["numbers"],
    &["numbers", "serial~^-9223372036854775809$"],
    &["numbers", "n=inf"],
    &["numbers", "n=1.5", "top=1.5"],
    &["numbers", "serial=12345678901234567890123456789012345678901234567890"],
    &["numbers", "n!=inf", "zero=0"],
];

/// Where the recordings are.
pub(crate) fn place() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/recorded")
}

/// The recording of a row, counted from 1.
pub(crate) fn recording(row: usize) -> String {
    std::fs::read_to_string(place().join(format!("{row}.json"))).unwrap()
}

#[test]
fn queries_print_what_was_recorded() {
    for (row, more) in QUERIES.iter().enumerate() {
        let path = ["query", "-U", "--json", "--path", "streams/v1/index.json"];
        let printed = done(&[&path[..], more].concat(), &place());
        assert_eq!(printed, recording(row + 1), "{more:?}");
    }
}

/// Every file of a mirror but the state.
fn paths(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != ".sstream" {
                directories.push(path);
            } else if path.is_file() {
                found.insert(name);
            }
        }
    }
    found
}

#[test]
fn mirrors_hold_the_paths_that_were_recorded() {
    const INDEX: &str = "streams/v1/index.sjson";
    const PRODUCTS: &str = "streams/v1/com.example:daily:download.sjson";
    let root = built();
    let rows: [(&[&str], &[&str]); 6] = [
        (
            &[],
            &[
                "jammy-20250101-boot-kernel",
                "jammy-20250101-squashfs",
                "jammy-20250102-boot-kernel",
                "jammy-20250102-squashfs",
                "noble-20250101-boot-kernel",
                "noble-20250101-squashfs",
                "noble-20250102-boot-kernel",
                "noble-20250102-squashfs",
            ],
        ),
        (
            &["release=noble"],
            &[
                "noble-20250101-boot-kernel",
                "noble-20250101-squashfs",
                "noble-20250102-boot-kernel",
                "noble-20250102-squashfs",
            ],
        ),
        (
            &["--max=1"],
            &[
                "jammy-20250102-boot-kernel",
                "jammy-20250102-squashfs",
                "noble-20250102-boot-kernel",
                "noble-20250102-squashfs",
            ],
        ),
        (&["--max=1", "ftype=squashfs"], &["jammy-20250102-squashfs", "noble-20250102-squashfs"]),
        // A version counts towards the number only when a filter lets something of it through.
        (
            &["--max=1", "version_name~01$", "ftype!=squashfs"],
            &["jammy-20250101-boot-kernel", "noble-20250101-boot-kernel"],
        ),
        (&["--no-item-download"], &[]),
    ];
    for (place, (more, items)) in rows.into_iter().enumerate() {
        let to = format!("there{place}");
        let (flags, filters): (Vec<&str>, Vec<&str>) =
            more.iter().partition(|argument| argument.starts_with("--"));
        let parts = [&["mirror", "--keyring", "pub.gpg"], &flags[..], &["stream", &to], &filters];
        done(&parts.concat(), root.path());
        let expected: BTreeSet<String> =
            items.iter().chain(&[INDEX, PRODUCTS]).map(ToString::to_string).collect();
        assert_eq!(paths(&root.path().join(&to)), expected, "{more:?}");
        for document in [INDEX, PRODUCTS] {
            let read = |tree: &str| std::fs::read(root.path().join(tree).join(document)).unwrap();
            assert_eq!(read(&to), read("stream"), "republished byte for byte");
        }
    }
    let keep = sstream(&["mirror", "--keep", "stream", "there"], root.path());
    assert_eq!(keep.status.code(), Some(2), "--keep needs --max");
}
