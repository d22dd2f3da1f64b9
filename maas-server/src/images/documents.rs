//! Boot sources, selections and resources as the database keeps them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use maas_core::image::BootResource;
use maas_core::time::Timestamp;
use maas_simplestreams::select::Selection as Wish;
use maas_simplestreams::trust::TrustMemory;
use serde::{Deserialize, Serialize};

use crate::store::Document;

/// A boot source: where images are published and who must have signed them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootSource {
    /// What people call it.
    pub name: String,
    /// The root of the mirror, or its index.
    pub url: String,
    /// A keyring file on this host; empty for `keyring_data`.
    pub keyring_filename: String,
    /// The keyring itself; empty with an empty file name means the built-in one of Canonical.
    pub keyring_data: Vec<u8>,
    /// Of several sources with the same image the highest wins.
    pub priority: u32,
    /// Whether it is synchronised.
    pub enabled: bool,
    /// Whether signatures are left unchecked; the operator said so.
    pub skip_keyring_verification: bool,
    /// When it was added.
    pub created: Timestamp,
    /// When it was changed.
    pub updated: Timestamp,
}

impl Document for BootSource {
    const KIND: &'static str = "boot-source";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.url))
    }
}

/// Which images of a boot source are wanted; `*` stands for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The boot source.
    pub boot_source_id: u64,
    /// The operating system.
    pub os: String,
    /// The release.
    pub release: String,
    /// Architectures.
    pub arches: Vec<String>,
    /// Sub-architectures.
    pub subarches: Vec<String>,
    /// Labels.
    pub labels: Vec<String>,
}

impl Document for Selection {
    const KIND: &'static str = "boot-source-selection";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Owned(format!("{}/{}/{}", self.boot_source_id, self.os, self.release)))
    }
}

impl From<&Selection> for Wish {
    fn from(selection: &Selection) -> Self {
        Self::new(&selection.os, &selection.release)
            .arches(&selection.arches)
            .subarches(&selection.subarches)
            .labels(&selection.labels)
    }
}

/// What a boot source published when it was last seen: what can be selected from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offers {
    /// The boot source's URL.
    pub url: String,
    /// Operating system, release and architecture of every image.
    pub images: BTreeSet<(String, String, String)>,
}

impl Offers {
    /// Whether an image of this release is published.
    #[must_use]
    pub fn has_release(&self, os: &str, release: &str) -> bool {
        self.images.iter().any(|(its_os, its, _)| its_os == os && its == release)
    }

    /// Whether it is published for this architecture.
    #[must_use]
    pub fn has_arch(&self, os: &str, release: &str, arch: &str) -> bool {
        self.images.iter().any(|(its_os, its, its_arch)| {
            its_os == os && its == release && (arch == "*" || its_arch == arch)
        })
    }
}

impl Document for Offers {
    const KIND: &'static str = "boot-source-offers";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.url))
    }
}

/// A boot resource whose files are all in the image store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceDocument {
    /// The boot source that it came from; 0 for an upload.
    pub boot_source_id: u64,
    /// When it became complete.
    pub completed: Timestamp,
    /// The resource.
    pub resource: BootResource,
}

impl Document for ResourceDocument {
    const KIND: &'static str = "boot-resource";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Owned(resource_key(&self.resource)))
    }
}

/// A boot loader whose files are in place below `bootloaders/TYPE/ARCH/` of the image directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootloaderDocument {
    /// The boot source that it came from.
    pub boot_source_id: u64,
    /// The product's operating system: `grub-efi-signed`, `pxelinux`…
    pub os: String,
    /// `uefi`, `pxe`, `open-firmware`…
    pub bootloader_type: String,
    /// The architecture.
    pub arch: String,
    /// The version's name.
    pub version: String,
    /// The version's files in the image store, in order.
    pub sha256s: Vec<String>,
    /// What was unpacked from them.
    pub files: Vec<String>,
}

impl Document for BootloaderDocument {
    const KIND: &'static str = "bootloader";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Owned(format!("{}/{}/{}", self.os, self.bootloader_type, self.arch)))
    }
}

/// What two versions of the same image have in common.
#[must_use]
pub fn resource_key(resource: &BootResource) -> String {
    let BootResource { os, release, arch, .. } = resource;
    format!("{os}/{release}/{arch}/{}", resource.full_subarch())
}

/// What a boot source was seen to publish, against rollback.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrustDocument {
    /// The boot source's URL: another URL is another source.
    pub url: String,
    /// The memory.
    pub memory: TrustMemory,
}

impl Document for TrustDocument {
    const KIND: &'static str = "boot-source-trust";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.url))
    }
}
