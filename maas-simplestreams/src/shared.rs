//! Test data that is not part of the project, found beside the workspace or where `MAAS_SHARED`
//! says.

use std::path::PathBuf;

/// Reads a file of the shared data; says so and answers `None` when it is absent, and fails when
/// `MAAS_TEST_PEERS=require`.
pub(crate) fn data(name: &str) -> Option<Vec<u8>> {
    let shared = std::env::var_os("MAAS_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let path = shared.join("data").join(name);
    if let Ok(bytes) = std::fs::read(&path) {
        return Some(bytes);
    }
    let required = std::env::var("MAAS_TEST_PEERS").is_ok_and(|value| value == "require");
    assert!(!required, "{} is required and absent", path.display());
    // Past the harness, which keeps what passing tests print to itself.
    std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("SKIPPED: {} is absent; set MAAS_SHARED\n", path.display()),
    )
    .ok();
    None
}
