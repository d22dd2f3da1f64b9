//! Configurations in pxelinux's language, also for petitboot and s390x.

use super::render::{BootConfig, EphemeralBoot, Loader};
use crate::deploy::Endpoints;

pub(super) fn render(config: &BootConfig, loader: Loader, endpoints: &Endpoints) -> String {
    match (config, loader) {
        (BootConfig::Ephemeral(boot), Loader::S390xPartition) => partition(boot, endpoints),
        (BootConfig::Ephemeral(boot), _) => execute(boot, loader, endpoints),
        // Their firmware goes on to the local disk by itself when the answer is empty.
        (_, Loader::PowerNv | Loader::S390x) => String::new(),
        (_, Loader::S390xPartition) => "# boot the local disk\n".to_owned(),
        // pxelinux's set of modules has nothing to switch off with.
        (BootConfig::Local { arch } | BootConfig::PowerOff { arch }, _) => local(arch),
    }
}

/// What pxelinux does at the prompt that it shows when a file did not arrive.
///
/// After ten seconds (`TIMEOUT` counts tenths) it loads itself anew, and so reads what the
/// configuration is by then. Without a failure there is no prompt, and no waiting. U-Boot reads
/// the same language and takes `TIMEOUT` for a wait before everything, so it is not told.
const AFTER_FAILURE: &str = "TIMEOUT 100\nONTIMEOUT lpxelinux.0\n";

fn execute(boot: &EphemeralBoot, loader: Loader, endpoints: &Endpoints) -> String {
    let command_line = boot.command_line.render(endpoints);
    let kernel = endpoints.image(&boot.kernel);
    let initrd = endpoints.image(&boot.initrd);
    let mut text = "DEFAULT execute\n".to_owned();
    if loader == Loader::Pxelinux && matches!(boot.command_line.arch.as_str(), "amd64" | "i386") {
        text.push_str(AFTER_FAILURE);
    }
    text.push_str("\nLABEL execute\n");
    if loader == Loader::Pxelinux {
        text.push_str(&format!("  SAY Booting under MAAS direction...\n  SAY {command_line}\n"));
    }
    text.push_str(&format!("  KERNEL {kernel}\n  INITRD {initrd}\n"));
    if let Some(dtb) = &boot.dtb {
        text.push_str(&format!("  FDT {}\n", endpoints.image(dtb)));
    }
    text.push_str(&format!("  APPEND {command_line}\n"));
    if loader == Loader::Pxelinux {
        text.push_str("  IPAPPEND 2\n");
    }
    text
}

fn partition(boot: &EphemeralBoot, endpoints: &Endpoints) -> String {
    format!(
        "PROMPT 0\nDEFAULT netboot\nTIMEOUT 0\n\nLABEL netboot\n  \
         kernel={}\n  initrd={}\n  append={}\n",
        endpoints.image(&boot.kernel),
        endpoints.image(&boot.initrd),
        boot.command_line.render(endpoints)
    )
}

fn local(arch: &str) -> String {
    let how = match arch {
        "amd64" | "i386" => "  KERNEL chain.c32\n  APPEND hd0\n",
        _ => "  LOCALBOOT 0\n",
    };
    format!("DEFAULT local\n\nLABEL local\n  SAY Booting local disk ...\n{how}")
}
