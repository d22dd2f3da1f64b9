//! Known causes: what a log or a sentence says, and what to do about it.

use serde::Serialize;

/// A known cause and its remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Hint {
    /// A stable word.
    pub code: &'static str,
    /// What has happened.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// The texts that tell it, in lower case; every text of one group must be there.
    #[serde(skip)]
    signs: &'static [&'static [&'static str]],
}

/// The table, the more telling rules first.
const HINTS: [Hint; 20] = [
    Hint {
        code: "no-cloud-init",
        cause: "the custom image has no cloud-init, so it could never report that it is up",
        remedy: "pack cloud-init into the image and upload it again",
        signs: &[&["custom image has no cloud-init"]],
    },
    Hint {
        code: "no-curtin",
        cause: "the ephemeral OS has no curtin and could not install it",
        remedy: "give the server a curtin pack, or let the machine reach the package archive",
        signs: &[&["curtin is not on this system"], &["pack has no bin/curtin"]],
    },
    Hint {
        code: "efi-without-uefi",
        cause: "GRUB was to be installed for UEFI, but the machine was started by BIOS",
        remedy: "set the firmware's boot mode and commission the machine again",
        signs: &[
            &["efi variables are not supported"],
            &["efivarfs", "no such file"],
            &["/sys/firmware/efi", "no such file"],
        ],
    },
    Hint {
        code: "efi-no-space",
        cause: "the firmware's memory for boot entries is full",
        remedy: "delete old boot entries in the firmware's setup",
        signs: &[&["efibootmgr", "no space left on device"]],
    },
    Hint {
        code: "no-space",
        cause: "a file system is full: the target is too small, or the ephemeral OS's memory is",
        remedy: "give '/' more space, choose a smaller image, or use a machine with more memory",
        signs: &[&["no space left on device"]],
    },
    Hint {
        code: "disk-gone",
        cause: "a disk of the storage configuration is not there any more",
        remedy: "check the cables and controllers, then commission the machine again",
        signs: &[
            &["no disk with serial"],
            &["no volume with serial"],
            &["failed to find storage volume"],
            &["could not find disk"],
            &["invalid path /dev/disk"],
        ],
    },
    Hint {
        code: "disk-busy",
        cause: "a disk is still in use by an old RAID, volume group, bcache or multipath device",
        remedy: "release the machine with its disks erased, then deploy again",
        signs: &[&["device or resource busy"], &["failed to exclusively open path"]],
    },
    Hint {
        code: "raid",
        cause: "a RAID could not be made of its devices",
        remedy: "check that all its disks are healthy and of the sizes that commissioning found",
        signs: &[&["mdadm", "failed"], &["mdadm: ", "error"]],
    },
    Hint {
        code: "bcache",
        cause: "a bcache could not be made; the ephemeral kernel may lack it",
        remedy: "choose another kernel for the ephemeral OS, or another layout",
        signs: &[&["make-bcache"], &["modprobe", "bcache", "not found"]],
    },
    Hint {
        code: "disk-broken",
        cause: "a disk reports errors when it is read or written",
        remedy: "test the machine's storage and replace the disk",
        signs: &[&["input/output error"], &["i/o error, dev"]],
    },
    Hint {
        code: "image-damaged",
        cause: "the image broke off or is damaged",
        remedy: "look at the rack's log; synchronise or upload the image again",
        signs: &[
            &["unexpected end of file"],
            &["unexpected eof in archive"],
            &["crc error"],
            &["xz:", "corrupt"],
            &["filesystem uncompression failed"],
        ],
    },
    Hint {
        code: "wrong-architecture",
        cause: "the image is for another architecture than the machine",
        remedy: "upload an image that is built for the machine's architecture",
        signs: &[&["exec format error"]],
    },
    Hint {
        code: "no-kernel-package",
        cause: "the archive has no such kernel package",
        remedy: "choose a kernel that the series has, or add the pocket that has it",
        signs: &[&["unable to locate package linux-"], &["no installation candidate", "linux-"]],
    },
    Hint {
        code: "no-such-package",
        cause: "the archive has no such package",
        remedy: "check the names, the components and the archives",
        signs: &[&["unable to locate package"], &["no installation candidate"]],
    },
    Hint {
        code: "name-resolution",
        cause: "a host name cannot be resolved from the machine",
        remedy: "check the subnet's name servers, or set a proxy for packages",
        signs: &[
            &["temporary failure resolving"],
            &["could not resolve"],
            &["unable to resolve host address"],
            &["name or service not known"],
        ],
    },
    Hint {
        code: "clock-or-certificate",
        cause: "a certificate is not accepted: the machine's clock is wrong, or the authority is unknown",
        remedy: "check the time servers; add the authority to the image",
        signs: &[&["certificate verify failed"], &["certificate is not yet valid"]],
    },
    Hint {
        code: "netboot-off",
        cause: "the machine could not tell the rack to boot it from its disk",
        remedy: "check that the machine reaches the rack's port 5248 at the end of the installation",
        signs: &[&["op=netboot_off", "exit code:"]],
    },
    Hint {
        code: "image-gone",
        cause: "the rack did not have a file that the plan names",
        remedy: "synchronise the images and deploy again",
        signs: &[&["/images/", "404"]],
    },
    Hint {
        code: "unreachable",
        cause: "a server cannot be reached from the machine",
        remedy: "check routes, firewalls and proxies between the machine and its rack or archive",
        signs: &[
            &["connection refused"],
            &["network is unreachable"],
            &["no route to host"],
            &["connection timed out"],
        ],
    },
    Hint {
        code: "memory",
        cause: "the machine ran out of memory",
        remedy: "use a machine with more memory, or an image that unpacks to less",
        signs: &[&["out of memory"], &["memoryerror"], &["cannot allocate memory"]],
    },
];

/// The table of known causes.
#[must_use]
pub const fn hints() -> &'static [Hint] {
    &HINTS
}

/// The first rule that applies to a text.
pub(super) fn hint(text: &str) -> Option<Hint> {
    let text = text.to_lowercase();
    HINTS
        .into_iter()
        .find(|hint| hint.signs.iter().any(|group| group.iter().all(|sign| text.contains(sign))))
}
