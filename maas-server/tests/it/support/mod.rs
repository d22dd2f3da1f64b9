//! What the tests share: a client that sends exact bytes, servers in and outside this process.

pub(crate) mod client;
pub(crate) mod play;
pub(crate) mod program;
pub(crate) mod random;
pub(crate) mod server;

use std::path::Path;
use std::time::{Duration, Instant};

/// Asks again and again until there is an answer; panics with `what` after `patience`.
pub(crate) fn eventually<T>(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < patience, "after {patience:?} still not: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Copies a folder with everything in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
