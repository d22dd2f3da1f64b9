//! Side by side with the Python original: same queries, same mirrors, same decisions.
//!
//! The original is found by `SIMPLESTREAMS_PYTHON` (its source tree) or as an installed module;
//! without it these tests say so and pass, and fail when `MAAS_TEST_PEERS=require`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use maas_simplestreams::work::{Retention, Work, resolve_work};

use crate::cli::{built, done};

struct Original {
    tree: Option<PathBuf>,
}

impl Original {
    fn find() -> Option<Self> {
        let tree = std::env::var_os("SIMPLESTREAMS_PYTHON").map(PathBuf::from);
        let original = Self { tree };
        let there = original.python().args(["-c", "import simplestreams.util"]).output();
        if there.is_ok_and(|output| output.status.success()) {
            return Some(original);
        }
        // No registry has it, so only naming its place makes it required.
        assert!(original.tree.is_none(), "SIMPLESTREAMS_PYTHON does not name the Python original");
        // Past the harness, which keeps what passing tests print to itself.
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: the Python original is absent; set SIMPLESTREAMS_PYTHON\n"),
        )
        .ok();
        None
    }

    fn python(&self) -> Command {
        let mut python = Command::new("python3");
        if let Some(tree) = &self.tree {
            python.env("PYTHONPATH", tree);
        }
        python
    }

    /// Runs one of its programs.
    fn run(&self, program: &str, arguments: &[&str], at: &Path) -> Vec<u8> {
        let program = match &self.tree {
            Some(tree) => tree.join("bin").join(program),
            None => PathBuf::from(format!("/usr/bin/{program}")),
        };
        let output = self.python().arg(program).args(arguments).current_dir(at).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        output.stdout
    }
}

#[test]
fn queries_print_the_same_bytes() {
    let Some(original) = Original::find() else { return };
    let root = built();
    let at = root.path();
    let stream = at.join("stream");
    let stream = stream.to_str().unwrap();
    let keyring = at.join("pub.gpg");
    let keyring = keyring.to_str().unwrap();
    let tables: [&[&str]; 9] = [
        &[],
        &["release=noble"],
        &["release~(jammy|noble)", "ftype!=squashfs"],
        &["--max=1"],
        &["--max=1", "version_name=20250101"],
        &["nosuch="],
        &["nosuch!="],
        &["yes=True", "real=1.5"],
        &["item_name ~ boot", "big=1e+300"],
    ];
    for more in tables {
        let (flags, filters): (Vec<&str>, Vec<&str>) =
            more.iter().partition(|argument| argument.starts_with("--"));
        let flags = [&flags[..], &["--json", "--keyring", keyring, stream]].concat();
        let theirs = [&flags[..], &filters].concat();
        let ours = [&["query"], &flags[..], &filters].concat();
        let theirs = String::from_utf8(original.run("sstream-query", &theirs, at)).unwrap();
        assert_eq!(done(&ours, at), theirs, "{more:?}");
    }
}

#[test]
fn the_recordings_are_what_the_original_prints() {
    let Some(original) = Original::find() else { return };
    for (row, more) in crate::recorded::QUERIES.iter().enumerate() {
        let path = ["-U", "--json", "--path", "streams/v1/index.json"];
        let arguments = [&path[..], more].concat();
        let theirs = original.run("sstream-query", &arguments, &crate::recorded::place());
        assert_eq!(String::from_utf8(theirs).unwrap(), crate::recorded::recording(row + 1));
    }
}

/// Every file but what the two programs keep for themselves.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if name == ".data" || name == ".sstream" {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else {
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn mirrors_hold_the_same_files_byte_for_byte() {
    let Some(original) = Original::find() else { return };
    let root = built();
    let at = root.path();
    let path = |name: &str| at.join(name).to_str().unwrap().to_owned();
    let (keyring, stream) = (path("pub.gpg"), path("stream"));
    let tables: [&[&str]; 5] = [
        &[],
        &["release=noble"],
        &["--max=1"],
        &["--max=1", "ftype=squashfs"],
        &["--no-item-download"],
    ];
    for (place, more) in tables.into_iter().enumerate() {
        let (theirs, ours) = (path(&format!("theirs{place}")), path(&format!("ours{place}")));
        let (flags, filters): (Vec<&str>, Vec<&str>) =
            more.iter().partition(|argument| argument.starts_with("--"));
        let common = |program: &[&str], to: &str| -> Vec<String> {
            let parts = [program, &flags, &["--keyring", &keyring, &stream, to], &filters];
            parts.concat().iter().map(ToString::to_string).collect()
        };
        let arguments = common(&[], &theirs);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        original.run("sstream-mirror", &arguments, at);
        let arguments = common(&["mirror", "--grace", "0"], &ours);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        done(&arguments, at);
        assert_eq!(tree(Path::new(&ours)), tree(Path::new(&theirs)), "{more:?}");
    }
}

#[test]
fn the_same_versions_are_added_and_removed() {
    let Some(original) = Original::find() else { return };
    // Cases from a fixed sequence, so that a failure can be repeated.
    let mut seed = 12345u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut cases = Vec::new();
    for _ in 0..400 {
        let mut names = |count: u64| -> Vec<String> {
            let mut names: Vec<String> = (0..count).map(|_| random(12).to_string()).collect();
            names.sort();
            names.dedup();
            names
        };
        let (source, target) = (names(6), names(6));
        let max = [None, Some(1), Some(2), Some(4), Some(9)][usize::try_from(random(5)).unwrap()];
        let keep = max.is_some() && random(2) == 1;
        cases.push((source, target, max, keep));
    }
    let script = "import json, sys\nfrom simplestreams.util import resolve_work\n\
        print(json.dumps([resolve_work(s, t, m, k) for s, t, m, k in json.load(sys.stdin)]))";
    let mut python = original
        .python()
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    serde_json::to_writer(python.stdin.take().unwrap(), &cases).unwrap();
    let output = python.wait_with_output().unwrap();
    let theirs: Vec<(Vec<String>, Vec<String>)> = serde_json::from_slice(&output.stdout).unwrap();
    for ((source, target, max, keep), (add, remove)) in cases.iter().zip(theirs) {
        let retention = match (max, keep) {
            (None, _) => Retention::AsSource,
            (Some(max), false) => Retention::Newest(*max),
            (Some(max), true) => Retention::Keep(*max),
        };
        let work = resolve_work(
            source.iter().map(String::as_str),
            target.iter().map(String::as_str),
            retention,
        );
        assert_eq!(work, Work { add, remove }, "{source:?} {target:?} {max:?} {keep}");
    }
}
