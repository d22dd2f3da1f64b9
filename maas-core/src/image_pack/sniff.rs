//! What an image is once it is decompressed, told by its beginning.

use std::fmt;

use serde::{Deserialize, Serialize};

/// As much of a beginning as tells everything that is known here: an ISO's mark is at 32 KiB.
pub(super) const BEGINNING: usize = 40 << 10;

/// What an image is once it is decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Content {
    /// A tar archive of files.
    Tar,
    /// A tar archive with a disk image as its first file.
    DiskInTar,
    /// A disk image, byte for byte.
    Disk,
    /// A squashfs.
    Squashfs,
    /// A QEMU disk image.
    Qcow2,
    /// A VMware disk image.
    Vmdk,
    /// A Hyper-V disk image.
    Vhd,
    /// An ISO image.
    Iso,
    /// Nothing at all.
    Empty,
    /// Nothing that is known.
    Unknown,
}

impl Content {
    /// Tells it by the first bytes, [`BEGINNING`] of them where there are so many.
    pub(super) fn sniff(start: &[u8]) -> Self {
        let has = |at: usize, magic: &[u8]| start.get(at..at + magic.len()) == Some(magic);
        if start.is_empty() {
            Self::Empty
        } else if has(0, b"QFI\xfb") {
            Self::Qcow2
        } else if has(0, b"KDMV") || has(0, b"# Disk DescriptorFile") {
            Self::Vmdk
        } else if has(0, b"vhdxfile") || has(0, b"conectix") {
            Self::Vhd
        } else if has(0, b"hsqs") {
            Self::Squashfs
        } else if is_tar(start) {
            Self::Tar
        } else if has(512, b"EFI PART")
            || has(4096, b"EFI PART")
            || has(510, &[0x55, 0xaa])
            || has(1080, &[0x53, 0xef])
            || has(0, b"XFSB")
        {
            Self::Disk
        } else if has(32_769, b"CD001") {
            Self::Iso
        } else {
            Self::Unknown
        }
    }
}

/// Whether it begins with a member's header: the checksum is right, whatever the dialect.
fn is_tar(start: &[u8]) -> bool {
    start.get(..512).is_some_and(super::tape::has_checksum)
}

impl fmt::Display for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tar => "tar archive",
            Self::DiskInTar => "tar archive of a disk image",
            Self::Disk => "disk image",
            Self::Squashfs => "squashfs",
            Self::Qcow2 => "QEMU disk image (qcow2)",
            Self::Vmdk => "VMware disk image (vmdk)",
            Self::Vhd => "Hyper-V disk image (vhd)",
            Self::Iso => "ISO image",
            Self::Empty => "empty file",
            Self::Unknown => "file of an unknown kind",
        })
    }
}
