//! What is wrong with an image, or worth knowing of it.

use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// The deployed system may not be what is expected.
    Warning,
    /// A deployment of this image would fail; it is refused.
    Error,
}

/// Something that is wrong with an image, or worth knowing of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Finding {
    /// The content is not what the file type says.
    #[error("declared as {declared}, but it is {found}{}", remedy.as_ref().map_or_else(String::new, |remedy| format!(": {remedy}")))]
    TypeDiffers {
        /// The declared type in words.
        declared: String,
        /// What was found, in words.
        found: String,
        /// What to do about it, when that is known.
        remedy: Option<String>,
    },
    /// It breaks off or cannot be decompressed.
    #[error("it is damaged or breaks off: {problem}")]
    Damaged {
        /// What the reader says.
        problem: String,
    },
    /// It exceeds a limit; what lies beyond was not looked at.
    #[error("it was not looked at to its end: {what} exceed {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// The archive holds no root file system.
    #[error("it holds no root file system: there is neither /etc nor a folder of programs in it{}", below.as_ref().map_or_else(String::new, |below| format!("; pack the contents of {below:?}, not the folder itself")))]
    NoRootFileSystem {
        /// The folder in which one was found instead.
        below: Option<String>,
    },
    /// Its programs are for another machine.
    #[error("its programs are for {found}, but it is declared for {declared}")]
    WrongArchitecture {
        /// The declared Debian architecture.
        declared: String,
        /// The architecture of the programs.
        found: String,
    },
    /// There is no cloud-init, without which nothing says that the system is up.
    #[error("it has no cloud-init: install it in the image, or the deployment never ends")]
    NoCloudInit,
    /// cloud-init is switched off.
    #[error("{path} switches cloud-init off")]
    CloudInitDisabled {
        /// The file in the image.
        path: String,
    },
    /// There is no kernel.
    #[error("it has no kernel in /boot: only an Ubuntu gets one while it is installed")]
    NoKernel,
    /// There is no initial RAM disk.
    #[error("it has a kernel but no initial RAM disk in /boot")]
    NoInitrd,
    /// Nothing in it applies a network configuration.
    #[error(
        "it has neither netplan nor ifupdown, NetworkManager, networkd or network-scripts: its \
         network will not be configured"
    )]
    NoNetworkRenderer,
    /// The hooks cannot be run, so that curtin's own are.
    #[error("{path} is not executable: curtin will ignore it")]
    HooksNotExecutable {
        /// The file in the image.
        path: String,
    },
    /// cloud-init configuration is packed that concerns the data source.
    #[error("{path} is packed in it: which data source wins is told by a deployment's preview")]
    PackedSeed {
        /// The file, folder or partition.
        path: String,
    },
    /// Every machine would have the same host keys.
    #[error("{path} is packed in it: every machine will have the same SSH host key")]
    HostKeys {
        /// The file in the image.
        path: String,
    },
    /// A member's name leaves the archive.
    #[error("the member {member:?} points out of the archive")]
    UnsafeMember {
        /// The name.
        member: String,
    },
    /// The disk image has no partition table.
    #[error("the disk image has no partition table: no firmware will boot it")]
    NoPartitionTable,
    /// The file systems of a disk image are not read.
    #[error(
        "what the file systems of a disk image hold is not looked at; curtin needs a folder \
         /curtin in its root"
    )]
    FileSystemsNotRead,
}

impl Finding {
    /// How much it matters.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::TypeDiffers { .. }
            | Self::Damaged { .. }
            | Self::TooLarge { .. }
            | Self::NoRootFileSystem { .. }
            | Self::WrongArchitecture { .. }
            | Self::NoCloudInit => Severity::Error,
            Self::CloudInitDisabled { .. }
            | Self::NoInitrd
            | Self::NoNetworkRenderer
            | Self::HooksNotExecutable { .. }
            | Self::HostKeys { .. }
            | Self::UnsafeMember { .. }
            | Self::NoPartitionTable => Severity::Warning,
            Self::NoKernel | Self::PackedSeed { .. } | Self::FileSystemsNotRead => Severity::Note,
        }
    }

    /// A stable word, e.g. `no-cloud-init`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TypeDiffers { .. } => "type-differs",
            Self::Damaged { .. } => "damaged",
            Self::TooLarge { .. } => "too-large",
            Self::NoRootFileSystem { .. } => "no-root-file-system",
            Self::WrongArchitecture { .. } => "wrong-architecture",
            Self::NoCloudInit => "no-cloud-init",
            Self::CloudInitDisabled { .. } => "cloud-init-disabled",
            Self::NoKernel => "no-kernel",
            Self::NoInitrd => "no-initrd",
            Self::NoNetworkRenderer => "no-network-renderer",
            Self::HooksNotExecutable { .. } => "hooks-not-executable",
            Self::PackedSeed { .. } => "packed-seed",
            Self::HostKeys { .. } => "host-keys",
            Self::UnsafeMember { .. } => "unsafe-member",
            Self::NoPartitionTable => "no-partition-table",
            Self::FileSystemsNotRead => "file-systems-not-read",
        }
    }
}
