//! What the tests with outside parts have in common: where those parts are, and loud skipping.

use std::path::PathBuf;

/// A file or folder of the shared test data; prints why the test is skipped when it is absent.
pub fn data(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MAAS_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    skip(path, "the shared test data is not beside the workspace; set MAAS_SHARED");
    None
}

/// Says that a test is skipped; a failure when outside parts are required.
pub fn skip(what: &str, why: &str) {
    assert!(
        std::env::var("MAAS_TEST_PEERS").as_deref() != Ok("require"),
        "{what} is required but not there: {why}"
    );
    println!("SKIPPED: {what} ({why})");
}
