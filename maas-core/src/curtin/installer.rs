//! The installer: a shell script with its payload behind it, served as `curtin-installer`.

use std::io::Write;

use flate2::{Compression, GzBuilder};

use super::config::ConfigFile;
use crate::cloud_init::folded;
use crate::deploy::Endpoints;
use crate::id::SystemId;
use crate::machine::NodeCredentials;
use crate::secret::Secret;

/// The line after which the payload begins.
pub const PAYLOAD_MARKER: &str = "_____PAYLOAD_____";

const HEADER: &str = include_str!("header.sh");
const REPORT: &str = include_str!("report.py");

/// Why an installer cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the installer's archive cannot be written")]
pub struct InstallerError(#[from] std::io::Error);

/// Makes the installer; the same input gives the same bytes.
///
/// The payload is base64 of a tar.gz with `configs/config-NNN.cfg`, what reports a failure, and
/// the operator's curtin pack when there is one: any tar with `bin/curtin` at its top or in its
/// one folder. Without a pack the installer takes the ephemeral OS's own curtin, or installs it
/// from that system's archive.
///
/// # Errors
///
/// [`InstallerError`] when the archive cannot be written, e.g. a file name that is too long.
pub fn installer(
    configs: &[ConfigFile],
    machine: &SystemId,
    credentials: &NodeCredentials,
    endpoints: &Endpoints,
    pack: Option<&[u8]>,
) -> Result<Secret<Vec<u8>>, InstallerError> {
    let report = serde_json::json!({
        "endpoint": endpoints.status(machine),
        "consumer_key": credentials.consumer_key,
        "token_key": credentials.token_key,
        "token_secret": credentials.token_secret.expose(),
    });
    let encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    let mut archive = tar::Builder::new(encoder);
    for config in configs {
        let name = format!("configs/{}", config.name);
        append(&mut archive, &name, config.content.expose().as_bytes())?;
    }
    append(&mut archive, "report.json", report.to_string().as_bytes())?;
    append(&mut archive, "report.py", REPORT.as_bytes())?;
    if let Some(pack) = pack {
        append(&mut archive, "curtin-pack.tar", pack)?;
    }
    let payload = archive.into_inner()?.finish()?;
    Ok(Secret::new(format!("{HEADER}{PAYLOAD_MARKER}\n{}", folded(&payload)).into_bytes()))
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    content: &[u8],
) -> Result<(), std::io::Error> {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o600);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    archive.append_data(&mut header, name, content)
}

#[cfg(test)]
mod tests;
