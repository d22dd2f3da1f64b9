//! The files of an image and their types.

use serde::{Deserialize, Serialize};

/// One file of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    /// What the file is.
    pub filetype: FileType,
    /// Its name, the last component of its URL.
    pub filename: String,
    /// SHA-256 of its content, 64 lower-case hex digits; its name in the store.
    pub sha256: String,
    /// Its length in bytes.
    pub size: u64,
}

/// What a file of an image is (MAAS `filetype`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum FileType {
    /// A Linux kernel.
    BootKernel,
    /// An initial RAM disk.
    BootInitrd,
    /// A device tree.
    BootDtb,
    /// A root file system as squashfs.
    Squashfs,
    /// A list of installed packages.
    Manifest,
    /// A root file system as tar, gzip-compressed.
    RootTgz,
    /// A root file system as tar, bzip2-compressed.
    RootTbz,
    /// A root file system as tar, xz-compressed.
    RootTxz,
    /// A root file system as an ext4 image, gzip-compressed (before squashfs).
    RootImageGz,
    /// A disk image inside a gzip-compressed tar.
    RootDd,
    /// A disk image inside a tar.
    RootDdTar,
    /// A disk image.
    RootDdRaw,
    /// A disk image, bzip2-compressed.
    RootDdBz2,
    /// A disk image, gzip-compressed.
    RootDdGz,
    /// A disk image, xz-compressed.
    RootDdXz,
    /// A disk image inside a bzip2-compressed tar.
    RootDdTarBz2,
    /// A disk image inside an xz-compressed tar.
    RootDdTarXz,
    /// Anything else; never installed.
    Other(String),
}

impl FileType {
    /// The word of MAAS's streams and API.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::BootKernel => "boot-kernel",
            Self::BootInitrd => "boot-initrd",
            Self::BootDtb => "boot-dtb",
            Self::Squashfs => "squashfs",
            Self::Manifest => "manifest",
            Self::RootTgz => "root-tgz",
            Self::RootTbz => "root-tbz",
            Self::RootTxz => "root-txz",
            Self::RootImageGz => "root-image.gz",
            Self::RootDd => "root-dd",
            Self::RootDdTar => "root-dd.tar",
            Self::RootDdRaw => "root-dd.raw",
            Self::RootDdBz2 => "root-dd.bz2",
            Self::RootDdGz => "root-dd.gz",
            Self::RootDdXz => "root-dd.xz",
            Self::RootDdTarBz2 => "root-dd.tar.bz2",
            Self::RootDdTarXz => "root-dd.tar.xz",
            Self::Other(word) => word,
        }
    }

    /// The source type by which curtin installs it; `None` when it is not a root file system or
    /// disk (curtin's accepted prefixes).
    #[must_use]
    pub fn curtin_type(&self) -> Option<&'static str> {
        Some(match self {
            Self::Squashfs => "squashfs",
            Self::RootTgz => "tgz",
            Self::RootTbz => "tbz",
            Self::RootTxz => "txz",
            Self::RootDd => "dd-tgz",
            Self::RootDdTar => "dd-tar",
            Self::RootDdRaw => "dd-raw",
            Self::RootDdBz2 => "dd-bz2",
            Self::RootDdGz => "dd-gz",
            Self::RootDdXz => "dd-xz",
            Self::RootDdTarBz2 => "dd-tbz",
            Self::RootDdTarXz => "dd-txz",
            _ => return None,
        })
    }

    /// Whether the file is a whole disk, with its own partitions.
    #[must_use]
    pub fn is_disk_image(&self) -> bool {
        self.curtin_type().is_some_and(|word| word.starts_with("dd-"))
    }
}

impl From<String> for FileType {
    fn from(word: String) -> Self {
        const KNOWN: [FileType; 17] = [
            FileType::BootKernel,
            FileType::BootInitrd,
            FileType::BootDtb,
            FileType::Squashfs,
            FileType::Manifest,
            FileType::RootTgz,
            FileType::RootTbz,
            FileType::RootTxz,
            FileType::RootImageGz,
            FileType::RootDd,
            FileType::RootDdTar,
            FileType::RootDdRaw,
            FileType::RootDdBz2,
            FileType::RootDdGz,
            FileType::RootDdXz,
            FileType::RootDdTarBz2,
            FileType::RootDdTarXz,
        ];
        if word == "root.tgz" {
            return Self::RootTgz;
        }
        KNOWN.iter().find(|known| known.as_str() == word).cloned().unwrap_or(Self::Other(word))
    }
}

impl From<FileType> for String {
    fn from(filetype: FileType) -> Self {
        filetype.as_str().to_owned()
    }
}

impl From<&str> for FileType {
    fn from(word: &str) -> Self {
        Self::from(word.to_owned())
    }
}
