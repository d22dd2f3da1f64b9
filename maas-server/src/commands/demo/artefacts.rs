//! Every rendered document as a file below `artefacts/`.

use std::io::Write;
use std::path::Path;

use maas_core::deploy::DeploymentPlan;
use maas_core::id::SystemId;
use serde_json::Value;

use crate::commands::Failure;
use crate::store::{Attachment, Store};

/// Writes the documents of the machine's deployment plan, and the machine itself.
pub(super) async fn write(dir: &Path, store: &dyn Store, machine: &Value) -> Result<(), Failure> {
    let folder = dir.join("artefacts");
    std::fs::create_dir_all(&folder)?;
    let id: SystemId = machine["system_id"].as_str().unwrap_or_default().parse()?;
    let plan = store
        .attachment(&id, Attachment::Plan)
        .await?
        .ok_or("the machine has no deployment plan")?;
    let plan: DeploymentPlan = serde_json::from_slice(plan.expose())?;
    for artefact in plan.artefacts() {
        let path = folder.join(&artefact.name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        write_atomically(&path, artefact.bytes.expose())?;
    }
    write_atomically(&folder.join("machine.json"), &serde_json::to_vec_pretty(machine)?)?;
    Ok(())
}

/// A file that is there as a whole or not at all, readable by its owner only: documents hold
/// credentials.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}
