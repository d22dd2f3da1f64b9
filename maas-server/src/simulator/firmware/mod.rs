//! From power-on to a kernel: what each kind of firmware and boot loader asks the rack for.

mod grub;
mod ipxe;
mod pxelinux;

use reqwest::Url;

use super::boot::Boot;
use super::client::{Agent, Download, Request, SCRIPT_LIMIT, promised_hash};
use super::error::{Stuck, WireError};
use super::event::Stage;
use super::machine::{Disk, Firmware};

/// What the boot loader was told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BootAction {
    /// Start the kernel, which is loaded with its initrd, with this command line.
    Kernel(String),
    /// Start what is on the disk.
    LocalDisk,
    /// Switch off.
    PowerOff,
}

/// Why netbooting led nowhere.
#[derive(Debug)]
pub(crate) enum BootFailure {
    /// The firmware starts over.
    Again(String),
    /// The machine hangs.
    Hangs(Stuck),
}

impl From<WireError> for BootFailure {
    fn from(error: WireError) -> Self {
        Self::Again(error.to_string())
    }
}

/// Whether the boot disk has something that firmware can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BootDisk {
    Bootable,
    Empty,
}

impl BootDisk {
    fn boot(self) -> Result<BootAction, BootFailure> {
        match self {
            Self::Bootable => Ok(BootAction::LocalDisk),
            Self::Empty => {
                Err(BootFailure::Again("told to boot from the disk, which is empty".to_owned()))
            }
        }
    }
}

/// Netboots until the rack says what to do. Firmware never gives up: it goes round its boot order
/// until someone switches the machine off.
pub(crate) async fn netboot(boot: &Boot) -> Result<BootAction, Stuck> {
    let mut pause = 1.0;
    loop {
        let (firmware, disk) = boot.machine.read(|state| {
            let disk = match state.disk {
                Disk::Empty => BootDisk::Empty,
                Disk::Installed(_) => BootDisk::Bootable,
            };
            (state.firmware, disk)
        });
        let outcome = match firmware {
            Firmware::IpxeBios => ipxe::netboot(boot, disk).await,
            Firmware::GrubUefiHttp => grub::netboot(boot, disk).await,
            Firmware::Pxelinux => pxelinux::netboot(boot, disk).await,
        };
        match outcome {
            Ok(action) => {
                if let BootAction::Kernel(line) = &action {
                    boot.tell(Stage::BootScript, format!("kernel command line: {line}")).await;
                }
                return Ok(action);
            }
            Err(BootFailure::Hangs(stuck)) => return Err(stuck),
            Err(BootFailure::Again(reason)) => {
                boot.tell(Stage::Problem, format!("{firmware} found nothing to boot: {reason}"))
                    .await;
                boot.pace.pause(pause).await;
                pause = (pause * 2.0_f64).min(30.0);
            }
        }
    }
}

/// Fetches a small text file.
async fn script(boot: &Boot, agent: Agent, url: &Url) -> Result<String, WireError> {
    let reply = boot.wire().send(Request::get(agent, url.as_str()).limit(SCRIPT_LIMIT)).await?;
    boot.tell(Stage::Firmware, format!("{} ({} bytes)", url.path(), reply.body.len())).await;
    Ok(reply.text())
}

/// Fetches a boot loader or module, which a rack without it need not have.
async fn program(boot: &Boot, agent: Agent, url: &Url) {
    match boot.wire().download(agent, url.as_str()).await {
        Ok(found) => {
            boot.tell(Stage::Firmware, format!("{} ({} bytes)", url.path(), found.bytes)).await;
        }
        Err(error) => {
            boot.tell(Stage::Firmware, format!("boot file missing, going on without: {error}"))
                .await;
        }
    }
}

/// Fetches kernel or initrd and checks it against the hash in its URL.
async fn image(boot: &Boot, agent: Agent, url: &Url, what: &str) -> Result<(), BootFailure> {
    let found = boot.wire().download(agent, url.as_str()).await?;
    verify(url.as_str(), &found).map_err(BootFailure::Hangs)?;
    boot.tell(Stage::Kernel, format!("{what} {} ({} bytes)", url.path(), found.bytes)).await;
    boot.pace.work(1.0).await;
    Ok(())
}

/// Checks a download against the hash that its URL promises; a URL without one promises nothing.
pub(crate) fn verify(url: &str, found: &Download) -> Result<(), Stuck> {
    match promised_hash(url) {
        Some(promised) if !found.sha256.starts_with(&promised) => Err(Stuck(format!(
            "{url} has the SHA-256 {}, which does not begin with {promised}",
            found.sha256
        ))),
        _ => Ok(()),
    }
}
