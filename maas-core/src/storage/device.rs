//! What storage is laid out on: block devices and the platform that boots from them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A block device as commissioning found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockDevice {
    /// The kernel's name without `/dev/`, e.g. `sda`.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// The logical block size in bytes: 512 or 4096.
    #[serde(default = "default_block_size")]
    pub block_size: u32,
    /// Its serial number; empty when it has none.
    #[serde(default)]
    pub serial: String,
    /// Its model; empty when it has none.
    #[serde(default)]
    pub model: String,
    /// A path that does not change with the order of detection, e.g. `/dev/disk/by-id/…`.
    #[serde(default)]
    pub id_path: Option<String>,
    /// `ssd`, `rotary`, `removable`, `multipath`…
    #[serde(default)]
    pub tags: BTreeSet<String>,
}

const fn default_block_size() -> u32 {
    512
}

impl BlockDevice {
    /// A path by which the device can be found on the machine.
    #[must_use]
    pub fn path(&self) -> String {
        self.id_path.clone().unwrap_or_else(|| format!("/dev/{}", self.name))
    }

    /// Whether it has no moving parts.
    #[must_use]
    pub fn is_ssd(&self) -> bool {
        self.tags.contains("ssd")
    }
}

/// How the firmware starts an installed system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootMethod {
    /// BIOS: code at the beginning of the disk.
    Bios,
    /// UEFI: files in the EFI system partition.
    Uefi,
    /// Open Firmware and PowerNV: the PReP partition.
    OpenFirmware,
    /// BIOS or UEFI, nobody knows which (iPXE does not tell): what each needs is laid out, and
    /// the installed system starts by either.
    BiosOrUefi,
    /// Anything else, e.g. s390x: the boot loader finds its own way.
    Other,
}

impl BootMethod {
    /// From MAAS's `bios_boot_method` of the last netboot, and the architecture where that is
    /// empty or says nothing about firmware (`ipxe`).
    #[must_use]
    pub fn from_maas(bios_boot_method: &str, arch: &str) -> Self {
        match (bios_boot_method, arch) {
            (_, "ppc64el") | ("powernv" | "powerkvm" | "open-firmware", _) => Self::OpenFirmware,
            ("uefi", _) => Self::Uefi,
            (_, "s390x") => Self::Other,
            ("pxe", _) => Self::Bios,
            (_, "amd64" | "i386") => Self::BiosOrUefi,
            ("", "arm64") => Self::Uefi,
            _ => Self::Other,
        }
    }
}

/// Architecture and firmware.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The Debian architecture.
    pub arch: String,
    /// How the firmware boots.
    pub boot_method: BootMethod,
}

impl Platform {
    /// Whether a GUID partition table on the boot disk needs GRUB's own partition.
    #[must_use]
    pub fn needs_bios_grub(&self) -> bool {
        matches!(self.boot_method, BootMethod::Bios | BootMethod::BiosOrUefi)
            && matches!(self.arch.as_str(), "amd64" | "i386")
    }

    /// Whether the boot disk needs a PReP partition.
    #[must_use]
    pub fn needs_prep(&self) -> bool {
        self.arch == "ppc64el"
    }

    /// Whether the boot disk needs an EFI system partition.
    #[must_use]
    pub fn needs_efi(&self) -> bool {
        matches!(self.boot_method, BootMethod::Uefi | BootMethod::BiosOrUefi)
            && self.arch != "ppc64el"
    }
}
