//! What firmware says it is, and what it is told to fetch.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// A kind of firmware or boot loader, by what it sends with its DHCP request: the client
/// architecture (option 93, RFC 4578 and IANA's registry) or the user class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BootMethod {
    /// iPXE, whatever it runs on.
    Ipxe,
    /// A PC's BIOS.
    Pxe,
    /// UEFI on x86-64, over TFTP.
    UefiAmd64Tftp,
    /// UEFI on x86-64, HTTP boot.
    UefiAmd64Http,
    /// "EFI byte code", which in fact is x86-64 too.
    UefiEbcTftp,
    /// UEFI on 64-bit ARM, over TFTP.
    UefiArm64Tftp,
    /// UEFI on 64-bit ARM, HTTP boot.
    UefiArm64Http,
    /// POWER with Open Firmware.
    OpenFirmwarePpc64el,
    /// POWER with petitboot.
    Powernv,
    /// IBM Z.
    S390x,
    /// A partition of an IBM Z.
    S390xPartition,
}

/// What a machine is told to fetch first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootFileName {
    /// A name, to be fetched over TFTP.
    Tftp(&'static str),
    /// A URL.
    Http(String),
}

impl BootFileName {
    /// As DHCP carries it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Tftp(name) => name,
            Self::Http(url) => url,
        }
    }
}

impl BootMethod {
    /// All of them, in the order in which they are matched.
    pub const ALL: [Self; 11] = [
        Self::Ipxe,
        Self::Pxe,
        Self::UefiAmd64Tftp,
        Self::UefiAmd64Http,
        Self::UefiEbcTftp,
        Self::UefiArm64Tftp,
        Self::UefiArm64Http,
        Self::OpenFirmwarePpc64el,
        Self::Powernv,
        Self::S390x,
        Self::S390xPartition,
    ];

    /// MAAS's name for it, as `disabled_boot_architectures` lists it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipxe => "ipxe",
            Self::Pxe => "pxe",
            Self::UefiAmd64Tftp => "uefi_amd64_tftp",
            Self::UefiAmd64Http => "uefi_amd64_http",
            Self::UefiEbcTftp => "uefi_ebc_tftp",
            Self::UefiArm64Tftp => "uefi_arm64_tftp",
            Self::UefiArm64Http => "uefi_arm64_http",
            Self::OpenFirmwarePpc64el => "open-firmware_ppc64el",
            Self::Powernv => "powernv",
            Self::S390x => "s390x",
            Self::S390xPartition => "s390x_partition",
        }
    }

    /// The method with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// The client architecture (option 93); `None` for iPXE, which is known by its user class.
    #[must_use]
    pub const fn architecture(self) -> Option<u16> {
        match self {
            Self::Ipxe => None,
            Self::Pxe => Some(0),
            Self::UefiAmd64Tftp => Some(7),
            Self::UefiAmd64Http => Some(16),
            Self::UefiEbcTftp => Some(9),
            Self::UefiArm64Tftp => Some(11),
            Self::UefiArm64Http => Some(19),
            Self::OpenFirmwarePpc64el => Some(12),
            Self::Powernv => Some(14),
            Self::S390x => Some(31),
            Self::S390xPartition => Some(32),
        }
    }

    /// Whether the firmware speaks HTTP; it then asks as `HTTPClient` and believes only answers
    /// that say so too (option 60, UEFI 2.5 section 24.7).
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(self, Self::UefiAmd64Http | Self::UefiArm64Http)
    }

    /// Ways to boot it, best first: what it fetches, and the files that must be there.
    ///
    /// Shim comes first and GRUB after it, which is the order that Secure Boot needs; iPXE serves
    /// where an operator has nothing else.
    const fn ways(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Self::Ipxe => &[("ipxe.cfg", &[])],
            Self::Pxe => &[
                ("lpxelinux.0", &["lpxelinux.0", "ldlinux.c32"]),
                ("undionly.kpxe", &["undionly.kpxe"]),
            ],
            Self::UefiAmd64Tftp | Self::UefiAmd64Http | Self::UefiEbcTftp => &[
                ("bootx64.efi", &["bootx64.efi", "grubx64.efi"]),
                ("ipxe.efi", &["ipxe.efi"]),
                ("snponly.efi", &["snponly.efi"]),
                // One file that is GRUB and all its modules needs no other.
                ("bootx64.efi", &["bootx64.efi"]),
            ],
            Self::UefiArm64Tftp | Self::UefiArm64Http => &[
                ("bootaa64.efi", &["bootaa64.efi", "grubaa64.efi"]),
                ("ipxe-arm64.efi", &["ipxe-arm64.efi"]),
                ("bootaa64.efi", &["bootaa64.efi"]),
            ],
            Self::OpenFirmwarePpc64el => &[("bootppc64.bin", &["bootppc64.bin"])],
            // These fetch no loader: the name makes them ask for a configuration beside it.
            Self::Powernv => &[("pxelinux.0", &[])],
            Self::S390x => &[("boots390x.bin", &[])],
            Self::S390xPartition => &[("s390x_partition/maas", &[])],
        }
    }

    /// What this firmware is told, by the loaders that are there; `None` when there is nothing
    /// for it.
    #[must_use]
    pub fn boot_file(
        self,
        loaders: &BTreeSet<String>,
        rack: Ipv4Addr,
        rack_port: u16,
    ) -> Option<BootFileName> {
        let (name, _) = self
            .ways()
            .iter()
            .find(|(_, needs)| needs.iter().all(|file| loaders.contains(*file)))?;
        Some(match self {
            Self::Ipxe => BootFileName::Http(format!("http://{rack}:{rack_port}/{name}")),
            _ if self.is_http() => {
                BootFileName::Http(format!("http://{rack}:{rack_port}/images/{name}"))
            }
            _ => BootFileName::Tftp(name),
        })
    }

    /// The path prefix (option 210, RFC 5071) with which the loader asks for its configuration,
    /// and whether it is sent to a loader that did not ask for it.
    #[must_use]
    pub fn path_prefix(
        self,
        file: &BootFileName,
        rack: Ipv4Addr,
        rack_port: u16,
    ) -> Option<(String, PrefixIs)> {
        match (self, file.as_str()) {
            // From here on by HTTP.
            (Self::Pxe, "lpxelinux.0") => {
                Some((format!("http://{rack}:{rack_port}/"), PrefixIs::Forced))
            }
            (Self::Powernv, _) => Some(("ppc64el/".to_owned(), PrefixIs::OnRequest)),
            (Self::S390x, _) => Some(("s390x/".to_owned(), PrefixIs::OnRequest)),
            _ => None,
        }
    }
}

/// When the path prefix is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefixIs {
    /// Always: the firmware asks for the options, but its loader reads them.
    Forced,
    /// When the client asks for it.
    OnRequest,
}
