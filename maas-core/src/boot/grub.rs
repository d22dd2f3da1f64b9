//! Configurations in GRUB's language.

use super::render::{BootConfig, FetchedOver};
use crate::deploy::Endpoints;

/// `grub/grub.cfg`: sends GRUB on by its MAC address and, when that is unknown, to enlistment,
/// again and again until one of them is there.
/// No device prefix, so that GRUB stays with the protocol it was loaded by.
pub const PRELOADER: &str = "configfile /grub/grub.cfg-${net_default_mac}\n\
                             configfile /grub/grub.cfg-default-${grub_cpu}\n\
                             while sleep 10; do\n    \
                             configfile /grub/grub.cfg-${net_default_mac}\n    \
                             configfile /grub/grub.cfg-default-${grub_cpu}\n\
                             done\n";

/// What follows the downloads of a menu entry.
///
/// After a download that was cut off, GRUB would start a kernel without its RAM disk, or wait in
/// its menu for somebody. The machine starts again when the rack answers, and takes what its plan
/// is by then. It does not read the configuration anew in GRUB: each time would nest in the last
/// one, and after eight of them GRUB 2.06 runs no command any more.
const AFTER_DOWNLOADS: &str = "    if [ $? -ne 0 ]; then
        echo   'A download was cut off. Starting again when the server answers...'
        while sleep 10; do
            if [ -s /grub/grub.cfg ]; then
                reboot
            fi
        done
    fi
";

pub(super) fn render(
    config: &BootConfig,
    fetched_over: FetchedOver,
    endpoints: &Endpoints,
) -> String {
    let head = "set default=\"0\"\nset timeout=0\n\n";
    match config {
        BootConfig::Ephemeral(boot) => {
            let prefix = match fetched_over {
                FetchedOver::Http => "/images/".to_owned(),
                FetchedOver::Tftp => {
                    format!("(http,{}:{})/images/", endpoints.url_host(), endpoints.rack_port)
                }
            };
            let command_line = escaped(&boot.command_line.render(endpoints));
            let mut entry = format!(
                "    echo   'Booting under MAAS direction...'\n    \
                 linux  {prefix}{} {command_line} BOOTIF=01-${{net_default_mac}}\n    \
                 initrd {prefix}{}\n",
                boot.kernel, boot.initrd
            );
            if let Some(dtb) = &boot.dtb {
                entry.push_str(&format!("    devicetree {prefix}{dtb}\n"));
            }
            entry.push_str(AFTER_DOWNLOADS);
            format!("{head}menuentry 'Ephemeral' {{\n{entry}}}\n")
        }
        BootConfig::Local { arch } => format!("{head}{}", local(arch)),
        BootConfig::PowerOff { .. } => format!("{head}menuentry 'Power off' {{\n    halt\n}}\n"),
    }
}

/// GRUB takes bare braces for its own, so those of `cc:{...}end_cc` are escaped.
fn escaped(command_line: &str) -> String {
    command_line.replace('{', "\\{").replace('}', "\\}")
}

fn local(arch: &str) -> String {
    let first = [
        "boot/bootx64.efi",
        "ubuntu/shimx64.efi",
        "ubuntu/grubx64.efi",
        "Microsoft/Boot/bootmgfw.efi",
    ];
    // Under Secure Boot the shim of one vendor refuses the loaders of another.
    let others = [
        "centos/shimx64.efi",
        "centos/grubx64.efi",
        "redhat/shimx64.efi",
        "redhat/grubx64.efi",
        "rhel/shimx64.efi",
        "rhel/grubx64.efi",
        "rocky/shimx64.efi",
        "rocky/grubx64.efi",
        "suse/shim.efi",
        "suse/grubx64.efi",
        "ol/shim.efi",
        "ol/grubx64.efi",
        "red/grubx64.efi",
        // MAAS looks for none of Debian's; curtin puts it there and nowhere else.
        "debian/shimx64.efi",
        "debian/grubx64.efi",
    ];
    let attempt = |indent: &str, path: &str| {
        format!(
            "{indent}search --set=root --file /efi/{path}\n\
             {indent}if [ $? -eq 0 ]; then\n\
             {indent}    chainloader /efi/{path}\n\
             {indent}    boot\n\
             {indent}fi\n"
        )
    };
    let body = match arch {
        "arm64" => {
            let attempts = ["ubuntu/grubaa64.efi", "boot/bootaa64.efi", "debian/grubaa64.efi"];
            let lines: String = attempts.iter().map(|path| attempt("    ", path)).collect();
            format!("{lines}    exit\n")
        }
        "ppc64el" => "    search --set=root --file /boot/grub/grub.cfg\n    \
                      configfile /boot/grub/grub.cfg\n"
            .to_owned(),
        _ => {
            let lines: String = first.iter().map(|path| attempt("    ", path)).collect();
            let more: String = others.iter().map(|path| attempt("        ", path)).collect();
            format!(
                "{lines}    if [ \"${{shim_lock}}\" != \"y\" ]; then\n{more}    fi\n    exit 1\n"
            )
        }
    };
    format!("menuentry 'Local' {{\n    echo   'Booting local disk...'\n{body}}}\n")
}
