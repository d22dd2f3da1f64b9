//! An image that may be booted as ephemeral OS: from a boot source, with kernel and root.

use serde::{Deserialize, Serialize};

use super::file::{FileType, ImageFile};
use super::resource::BootResource;

/// An image that machines may boot into memory.
///
/// Only a standard image with kernel, initial RAM disk and root file system converts into it: a
/// custom image cannot be an ephemeral OS, and the type says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BootResource", into = "BootResource")]
pub struct EphemeralImage {
    resource: BootResource,
    kernel: ImageFile,
    initrd: ImageFile,
    root: ImageFile,
}

/// Why an image cannot be booted as ephemeral OS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotEphemeral {
    /// It is a user's upload.
    #[error("{image} is a custom image; an ephemeral OS must come from a boot source")]
    Custom {
        /// `os/release`.
        image: String,
    },
    /// It lacks a file.
    #[error("{image} has no {missing}")]
    Incomplete {
        /// `os/release`.
        image: String,
        /// The file type that is not there.
        missing: &'static str,
    },
}

impl EphemeralImage {
    /// The boot resource itself.
    #[must_use]
    pub const fn resource(&self) -> &BootResource {
        &self.resource
    }

    /// Its kernel.
    #[must_use]
    pub const fn kernel(&self) -> &ImageFile {
        &self.kernel
    }

    /// Its initial RAM disk.
    #[must_use]
    pub const fn initrd(&self) -> &ImageFile {
        &self.initrd
    }

    /// Its root file system.
    #[must_use]
    pub const fn root(&self) -> &ImageFile {
        &self.root
    }

    /// Its device tree, where the board needs one.
    #[must_use]
    pub fn dtb(&self) -> Option<&ImageFile> {
        self.resource.file(&FileType::BootDtb)
    }

    /// The path of one of its files below a rack's `/images/`.
    #[must_use]
    pub fn path(&self, file: &ImageFile) -> String {
        self.resource.image_path(file)
    }
}

impl TryFrom<BootResource> for EphemeralImage {
    type Error = NotEphemeral;

    fn try_from(resource: BootResource) -> Result<Self, Self::Error> {
        if resource.is_custom() {
            return Err(NotEphemeral::Custom { image: resource.name() });
        }
        let need = |filetype: &FileType, missing| {
            resource
                .file(filetype)
                .cloned()
                .ok_or_else(|| NotEphemeral::Incomplete { image: resource.name(), missing })
        };
        let kernel = need(&FileType::BootKernel, "boot-kernel")?;
        let initrd = need(&FileType::BootInitrd, "boot-initrd")?;
        let root = need(&FileType::Squashfs, "squashfs")?;
        Ok(Self { resource, kernel, initrd, root })
    }
}

impl From<EphemeralImage> for BootResource {
    fn from(image: EphemeralImage) -> Self {
        image.resource
    }
}
