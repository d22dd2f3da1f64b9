//! A boot resource: an image of one operating system, release, architecture and kernel.

use serde::{Deserialize, Serialize};

use super::file::{FileType, ImageFile};
use super::kernel::Kernel;
use crate::machine::Architecture;

/// A boot resource: an image as a boot source offers it or a user uploaded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootResource {
    /// The operating system: `ubuntu`, `centos`, `custom`…
    pub os: String,
    /// The series or, of a custom image, its name.
    pub release: String,
    /// The Debian architecture.
    pub arch: String,
    /// The kernel it boots, without the flavour (`ga-24.04`, `hwe-24.04-edge`), or `generic`.
    pub subarch: String,
    /// The kernel's flavour: `generic`, `lowlatency`; empty where there is no kernel.
    #[serde(default)]
    pub kflavor: String,
    /// The stream's label: `stable`, `candidate`, `uploaded`…
    pub label: String,
    /// The version's name within its product (serial), e.g. `20240612`.
    pub version: String,
    /// The sub-architectures that it boots besides its own.
    #[serde(default)]
    pub subarches: Vec<String>,
    /// The Debian package of its kernel, as the stream names it (`kpackage`).
    #[serde(default)]
    pub kpackage: Option<String>,
    /// Kernel parameters that the image needs (`kparams`).
    #[serde(default)]
    pub kparams: Option<String>,
    /// What people call it, e.g. `24.04 LTS`.
    #[serde(default)]
    pub title: String,
    /// Its files.
    pub files: Vec<ImageFile>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A boot source, by its URL; the signature covers it.
    Standard {
        /// The boot source's URL.
        boot_source: String,
    },
    /// A user's upload.
    Custom {
        /// The image it was built from, e.g. `ubuntu/noble` or `rhel/9`; empty when not told.
        #[serde(default)]
        base_image: String,
        /// The cloud-init configuration that is packed in it, when one was found.
        #[serde(default)]
        packed_seed: Option<PackedSeed>,
        /// What a deployment of it would fail of, as found when it was uploaded; sentences.
        #[serde(default)]
        defects: Vec<String>,
    },
}

/// cloud-init configuration that is packed in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackedSeed {
    /// A NoCloud seed: `/var/lib/cloud/seed/nocloud{,-net}` with user data and meta data.
    NoCloud {
        /// The directory in the image.
        path: String,
    },
    /// A file below `/etc/cloud/cloud.cfg.d/` that names the data sources.
    DatasourceList {
        /// The file in the image.
        path: String,
        /// The names that it lists, in order.
        names: Vec<String>,
    },
}

impl BootResource {
    /// The file of this type.
    #[must_use]
    pub fn file(&self, filetype: &FileType) -> Option<&ImageFile> {
        self.files.iter().find(|file| file.filetype == *filetype)
    }

    /// The file that curtin installs; disk images and archives before a squashfs.
    #[must_use]
    pub fn root_file(&self) -> Option<&ImageFile> {
        let installable = |file: &&ImageFile| file.filetype.curtin_type().is_some();
        self.files
            .iter()
            .filter(|file| file.filetype != FileType::Squashfs)
            .find(installable)
            .or_else(|| self.files.iter().find(installable))
    }

    /// The sub-architecture with the flavour folded in, as URLs and the API show it:
    /// `hwe-22.04-edge` of flavour `lowlatency` is `hwe-22.04-lowlatency-edge`.
    #[must_use]
    pub fn full_subarch(&self) -> String {
        if matches!(self.kflavor.as_str(), "" | "generic") {
            return self.subarch.clone();
        }
        match self.subarch.strip_suffix("-edge") {
            Some(line) => format!("{line}-{}-edge", self.kflavor),
            None => format!("{}-{}", self.subarch, self.kflavor),
        }
    }

    /// The kernel that its sub-architecture names; `None` for `generic` and for special boards.
    #[must_use]
    pub fn kernel(&self) -> Option<Kernel> {
        self.full_subarch().parse().ok()
    }

    /// Whether it boots a machine of this architecture.
    #[must_use]
    pub fn boots(&self, machine: &Architecture) -> bool {
        self.arch == machine.arch
            && (machine.subarch == "generic"
                || self.subarch == machine.subarch
                || self.subarches.contains(&machine.subarch))
    }

    /// `os/release`, as the API names images.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.os, self.release)
    }

    /// Whether a user uploaded it.
    #[must_use]
    pub const fn is_custom(&self) -> bool {
        matches!(self.origin, Origin::Custom { .. })
    }

    /// The path of one of its files below a rack's `/images/`: `HASH/OS/ARCH/SUBARCH/SERIES/
    /// LABEL/FILE`. Only the hash matters to who serves it; the rest is for people.
    #[must_use]
    pub fn image_path(&self, file: &ImageFile) -> String {
        let parts: [&str; 7] = [
            &file.sha256,
            &self.os,
            &self.arch,
            &self.full_subarch(),
            &self.release,
            &self.label,
            &file.filename,
        ];
        parts.map(escaped).join("/")
    }
}

/// A path component with everything percent-encoded that a boot loader could trip over.
fn escaped(component: &str) -> String {
    let mut out = String::with_capacity(component.len());
    for byte in component.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~+:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
