//! What the tests with outside parts have in common: where those parts are, and loud skipping.

use std::path::PathBuf;

/// A file or folder of the shared test data; prints why the test is skipped when it is absent.
pub(crate) fn data(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MAAS_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    skip_optional(path, "the shared test data is not beside the workspace; set MAAS_SHARED");
    None
}

/// Says that a test is skipped whose outside part no package brings; never a failure.
pub(crate) fn skip_optional(what: &str, why: &str) {
    println!("SKIPPED: {what} ({why})");
}

/// Says that a test is skipped; a failure when outside parts are required.
pub(crate) fn skip(what: &str, why: &str) {
    assert!(
        std::env::var("MAAS_TEST_PEERS").as_deref() != Ok("require"),
        "{what} is required but not there: {why}"
    );
    println!("SKIPPED: {what} ({why})");
}

/// How many generated networks go through each peer.
pub(crate) fn models() -> u64 {
    std::env::var("MAAS_TEST_MODELS").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

/// A Python that has a module; the distribution's own first, because that one has the packages.
pub(crate) fn python(module: &str) -> Option<PathBuf> {
    let candidates = ["/usr/bin/python3", "python3"];
    let found = candidates.iter().find(|python| {
        std::process::Command::new(python)
            .args(["-c", &format!("import {module}")])
            .output()
            .is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        skip(module, "no python3 has this module");
    }
    found.map(PathBuf::from)
}

/// Runs a Python program with a JSON list on standard input and reads one from its output.
pub(crate) fn run_python(
    python: &std::path::Path,
    program: &str,
    input: &[serde_json::Value],
) -> Vec<serde_json::Value> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut child = Command::new(python)
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = serde_json::to_vec(input).unwrap();
    // The program may not read its input at all.
    let writer = std::thread::spawn(move || stdin.write_all(&input).ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}{stderr}", String::from_utf8_lossy(&output.stdout))
    })
}
