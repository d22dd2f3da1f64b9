//! Configurations in iPXE's language.

use super::render::BootConfig;
use crate::deploy::Endpoints;

/// The first pause before iPXE tries again, in seconds.
const FIRST_PAUSE: u32 = 2;

/// By how many seconds each pause is longer than the one before.
const LONGER_BY: u32 = 3;

/// The longest pause in seconds, which is a first one and so many longer ones.
const LONGEST_PAUSE: u32 = FIRST_PAUSE + 9 * LONGER_BY;

/// The command by which a script for a machine says that its machine is known. `${known}` then
/// makes a path of the script for unknown machines that nothing is at.
const IS_KNOWN: &str = "set known /only-for-unknown-machines";

/// `ipxe.cfg`: sends iPXE on by its MAC address and, when that is unknown, to enlistment.
///
/// By the rack's own address and not by `${next-server}`: beside a foreign DHCP server that is the
/// foreign one.
///
/// An iPXE script ends at the first command that fails, so that one lost connection would leave a
/// machine standing for ever. This one tries again with whatever the rack says by then, after
/// pauses that grow, so that many machines do not come back all at once. A known machine whose
/// kernel did not arrive must not be enlisted in place of that, so that a known machine's script
/// sets `known`. A script that ends well without booting anything has left the machine to its
/// firmware's next boot device; a failure is what makes UEFI go on to that.
#[must_use]
pub fn preloader(endpoints: &Endpoints) -> String {
    let rack = endpoints.rack();
    format!(
        "#!ipxe\n\
         set pause:int32 {FIRST_PAUSE}\n\
         :again\n\
         imgfree ||\n\
         clear known ||\n\
         chain {rack}/ipxe.cfg-${{mac}} || \
         chain {rack}/ipxe.cfg-default-amd64${{known}} || goto failed\n\
         exit 1\n\
         :failed\n\
         echo Nothing was booted, trying again in ${{pause}} seconds\n\
         sleep ${{pause}}\n\
         iseq ${{pause}} {LONGEST_PAUSE} || inc pause {LONGER_BY}\n\
         goto again\n"
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
                 {IS_KNOWN}\n\
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
            // Where iPXE cannot start a disk, the firmware does, see `preloader`.
            format!("#!ipxe\n{} || exit 0\n", drives.join(" || "))
        }
        BootConfig::PowerOff { .. } => "#!ipxe\npoweroff\n".to_owned(),
    }
}
