//! The ephemeral system: the initrd's part, then cloud-init with the region's own scripts.

use super::boot::{Boot, Outcome};
use super::client::Agent;
use super::cloud_init;
use super::cmdline::KernelCommandLine;
use super::error::Stuck;
use super::event::Stage;
use super::fault::FaultKind;
use super::firmware::verify;

/// Seconds between the initrd's attempts to fetch the root file system.
const PAUSES: [f64; 7] = [1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

/// What curtin can copy from: the root file system that the initrd loaded.
#[derive(Debug, Clone)]
pub(crate) struct LoadedRoot {
    pub(crate) sha256: String,
}

/// From the kernel's first instruction to the end of cloud-init.
pub(crate) async fn boot(boot: &Boot, line: &KernelCommandLine) -> Result<Outcome, Stuck> {
    boot.pace.work(5.0).await;
    let root = load_root(boot, line).await?;
    if boot.strikes(FaultKind::NeverReports) {
        boot.tell(Stage::Fault, FaultKind::NeverReports.name()).await;
        return Err(Stuck("the ephemeral system does not get to cloud-init".to_owned()));
    }
    let url = line
        .cloud_config_url
        .as_deref()
        .ok_or_else(|| Stuck("the kernel command line has no cloud-config-url=".to_owned()))?;
    if !line.forces_maas() {
        return Err(Stuck(
            "the kernel command line has no cc: with datasource_list, so cloud-init finds no \
             datasource"
                .to_owned(),
        ));
    }
    cloud_init::ephemeral(boot, url, &root).await
}

async fn load_root(boot: &Boot, line: &KernelCommandLine) -> Result<LoadedRoot, Stuck> {
    let root = line.root.as_ref().ok_or_else(|| {
        Stuck("kernel panic: the command line has no root=squash: or root=tar:".to_owned())
    })?;
    if line.ip.is_none() {
        return Err(Stuck("kernel panic: no ip= on the command line, so no network".to_owned()));
    }
    if line.bootif.is_none() {
        return Err(Stuck("kernel panic: no BOOTIF= on the command line".to_owned()));
    }
    let mut pauses = PAUSES.iter();
    let found = loop {
        match boot.wire().download(Agent::Wget, root.url()).await {
            Ok(found) => break found,
            Err(error) => {
                let pause = pauses.next().ok_or_else(|| Stuck(format!("kernel panic: {error}")))?;
                boot.tell(Stage::Problem, format!("root file system: {error}")).await;
                boot.pace.pause(*pause).await;
            }
        }
    };
    verify(root.url(), &found)?;
    boot.tell(Stage::RootFs, format!("{} ({} bytes)", root.url(), found.bytes)).await;
    boot.pace.work(10.0).await;
    Ok(LoadedRoot { sha256: found.sha256 })
}
