//! What a boot loader is told to do, and the choice of its language.

use serde::{Deserialize, Serialize};

use super::cmdline::{CommandLine, RootFileSystem};
use super::{grub, ipxe, pxelinux};
use crate::deploy::Endpoints;
use crate::image::EphemeralImage;

/// A boot loader, and so the language of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Loader {
    /// iPXE.
    Ipxe,
    /// GRUB, on UEFI and Open Firmware.
    Grub,
    /// pxelinux, on BIOS.
    Pxelinux,
    /// petitboot on PowerNV, which reads pxelinux's language.
    PowerNv,
    /// The s390x loader, which reads pxelinux's language.
    S390x,
    /// The loader of an s390x partition, with its own words.
    S390xPartition,
}

impl Loader {
    /// MAAS's name of the boot method (`bios_boot_method`).
    #[must_use]
    pub const fn boot_method(self, arch_is_ppc64el: bool) -> &'static str {
        match self {
            Self::Ipxe => "ipxe",
            Self::Grub if arch_is_ppc64el => "open-firmware",
            Self::Grub => "uefi",
            Self::Pxelinux => "pxe",
            Self::PowerNv => "powernv",
            Self::S390x => "s390x",
            Self::S390xPartition => "s390x_partition",
        }
    }
}

/// How a configuration is being fetched; GRUB goes on in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchedOver {
    /// TFTP.
    Tftp,
    /// HTTP.
    Http,
}

/// What a boot loader is told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootConfig {
    /// Load the ephemeral OS: enlistment, commissioning, deployment and all the rest.
    Ephemeral(Box<EphemeralBoot>),
    /// Boot the local disk.
    Local {
        /// The Debian architecture.
        arch: String,
    },
    /// Switch off at once. Loaders that cannot do so boot the local disk.
    PowerOff {
        /// The Debian architecture.
        arch: String,
    },
}

/// The files and the command line of an ephemeral boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EphemeralBoot {
    /// The kernel's path below `/images/`.
    pub kernel: String,
    /// The initial RAM disk's path below `/images/`.
    pub initrd: String,
    /// The device tree's path below `/images/`, where the board needs one.
    #[serde(default)]
    pub dtb: Option<String>,
    /// The kernel command line.
    pub command_line: CommandLine,
}

impl EphemeralBoot {
    /// The boot of an ephemeral image with its own root file system.
    #[must_use]
    pub fn new(image: &EphemeralImage, hostname: &str, preseed_url: String) -> Self {
        let resource = image.resource();
        let ephemeral_options = match resource.os.as_str() {
            "centos" => "nvme-core.multipath=0".to_owned(),
            _ => String::new(),
        };
        Self {
            kernel: image.path(image.kernel()),
            initrd: image.path(image.initrd()),
            dtb: image.dtb().map(|file| image.path(file)),
            command_line: CommandLine {
                root: RootFileSystem::for_path(image.path(image.root())),
                hostname: hostname.to_owned(),
                preseed_url,
                os: resource.os.clone(),
                release: resource.release.clone(),
                arch: resource.arch.clone(),
                ephemeral_options,
                extra_options: resource.kparams.clone().unwrap_or_default(),
            },
        }
    }

    /// The boot of a machine that nobody knows yet.
    #[must_use]
    pub fn enlistment(image: &EphemeralImage, endpoints: &Endpoints) -> Self {
        Self::new(image, "maas-enlist", endpoints.enlist_preseed())
    }

    /// Adds parameters that the installed system keeps.
    #[must_use]
    pub fn with_extra_options(mut self, options: &str) -> Self {
        let have = &mut self.command_line.extra_options;
        if !options.is_empty() {
            if !have.is_empty() {
                have.push(' ');
            }
            have.push_str(options);
        }
        self
    }
}

/// The configuration in the loader's own language.
#[must_use]
pub fn render(
    config: &BootConfig,
    loader: Loader,
    fetched_over: FetchedOver,
    endpoints: &Endpoints,
) -> String {
    match loader {
        Loader::Ipxe => ipxe::render(config, endpoints),
        Loader::Grub => grub::render(config, fetched_over, endpoints),
        Loader::Pxelinux | Loader::PowerNv | Loader::S390x | Loader::S390xPartition => {
            pxelinux::render(config, loader, endpoints)
        }
    }
}

#[cfg(test)]
mod tests;
