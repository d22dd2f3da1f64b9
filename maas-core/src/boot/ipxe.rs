//! Configurations in iPXE's language.

use super::render::BootConfig;
use crate::deploy::Endpoints;

/// `ipxe.cfg`: sends iPXE on by its MAC address and, when that is unknown, to enlistment.
///
/// By the rack's own address and not by `${next-server}`: beside a foreign DHCP server that is the
/// foreign one.
#[must_use]
pub fn preloader(endpoints: &Endpoints) -> String {
    let rack = endpoints.rack();
    format!(
        "#!ipxe\n\
         chain {rack}/ipxe.cfg-${{mac}} || chain {rack}/ipxe.cfg-default-amd64\n"
    )
}

pub(super) fn render(config: &BootConfig, endpoints: &Endpoints) -> String {
    match config {
        BootConfig::Ephemeral(boot) => {
            let kernel = endpoints.image(&boot.kernel);
            let initrd = endpoints.image(&boot.initrd);
            let basename = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
            let name = basename(&boot.kernel);
            // A kernel started as a UEFI program finds its RAM disk by this name only.
            let ram_disk = basename(&boot.initrd);
            let command_line = boot.command_line.render(endpoints);
            format!(
                "#!ipxe\n\
                 kernel {kernel}\n\
                 imgargs {name} {command_line} BOOTIF=01-${{mac}} initrd={ram_disk}\n\
                 initrd {initrd}\n\
                 boot\n"
            )
        }
        BootConfig::Local { .. } => {
            let drives: Vec<String> = (0x80..=0x83)
                .map(|drive| format!("sanboot --no-describe --drive {drive:#x}"))
                .collect();
            format!("#!ipxe\n{}\n", drives.join(" || "))
        }
        BootConfig::PowerOff { .. } => "#!ipxe\npoweroff\n".to_owned(),
    }
}
