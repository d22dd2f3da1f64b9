//! Real peers: where they are, and loud skipping where they are not.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Says that a test is skipped; a failure when peers are required.
pub(crate) fn skip(reason: &str) {
    assert!(
        std::env::var_os("MAAS_TEST_PEERS").is_none_or(|value| value != "require"),
        "MAAS_TEST_PEERS=require, but {reason}"
    );
    // Past the harness, which keeps what passing tests print to itself.
    std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED: {reason}\n")).ok();
}

/// A Python that can import a module: the one named by `MAAS_TEST_PYTHON`, or any on the path.
pub(crate) fn python(module: &str) -> Option<PathBuf> {
    let named = std::env::var_os("MAAS_TEST_PYTHON").map(PathBuf::from);
    named.into_iter().chain(["python3", "/usr/bin/python3"].map(PathBuf::from)).find(|python| {
        Command::new(python)
            .args(["-c", &format!("import {module}")])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}
