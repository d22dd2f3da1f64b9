//! The typed view of MAAS boot products: Ubuntu images, other images, and bootloaders.

use std::fmt;

use crate::digest::{Digest, Sha256};
use crate::document::{Complaint, Pedigree, Problem};
use crate::path::SafePath;
use crate::products::{ItemRef, Product, Products, Version};

/// Everything in one products file that can boot or deploy a machine.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Catalogue {
    /// Images, in document order.
    pub images: Vec<BootImage>,
    /// Bootloaders, in document order.
    pub bootloaders: Vec<Bootloader>,
    /// Products, versions and items that are not understood.
    pub skipped: Vec<Problem>,
}

/// One product that carries an operating system.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BootImage {
    /// The product's name (`com.ubuntu.maas.stable:v3:boot:24.04:amd64:ga-24.04`).
    pub product_name: String,
    /// `ubuntu`, `centos` and so on.
    pub os: String,
    /// `noble`, `centos70` and so on.
    pub release: String,
    /// `24.04 LTS`.
    pub release_title: Option<String>,
    /// `Noble Numbat`.
    pub release_codename: Option<String>,
    /// `24.04`.
    pub version: Option<String>,
    /// `amd64`, `arm64` and so on.
    pub arch: String,
    /// The kernel's sub-architecture: `ga-24.04`, `hwe-24.04-edge`, `generic`.
    pub subarch: String,
    /// The sub-architectures that this kernel serves.
    pub subarches: Vec<String>,
    /// `generic`, `lowlatency`.
    pub kflavor: Option<String>,
    /// The release that the kernel comes from.
    pub krel: Option<String>,
    /// `stable`, `candidate`, `daily`.
    pub label: String,
    /// End of standard support, `YYYY-MM-DD`.
    pub support_eol: Option<String>,
    /// End of extended support, `YYYY-MM-DD`.
    pub support_esm_eol: Option<String>,
    /// Versions, newest first.
    pub versions: Vec<ImageVersion>,
}

/// One product that carries a bootloader.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Bootloader {
    /// The product's name (`com.ubuntu.maas.stable:1:grub-efi-signed:uefi:amd64`).
    pub product_name: String,
    /// `grub-efi-signed`, `pxelinux` and so on: the field `os`.
    pub os: String,
    /// `uefi`, `pxe`, `open-firmware`: the field `bootloader-type`.
    pub bootloader_type: String,
    /// The architecture.
    pub arch: String,
    /// The architectures that it boots.
    pub arches: Vec<String>,
    /// `stable`, `candidate`, `daily`.
    pub label: String,
    /// Versions, newest first.
    pub versions: Vec<ImageVersion>,
}

/// One version: files that belong together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ImageVersion {
    /// The version's name, often a date (`20250718`).
    pub name: String,
    /// The files.
    pub files: Vec<BootFile>,
}

/// One file of a version.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BootFile {
    /// The item's name.
    pub item_name: String,
    /// What the file is.
    pub ftype: Ftype,
    /// Relative to the mirror root.
    pub path: SafePath,
    /// Names and proves the content.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
    /// The Debian package of the kernel that the target installs (`linux-generic`).
    pub kpackage: Option<String>,
    /// Extra kernel parameters.
    pub kparams: Option<String>,
    /// The package that a bootloader comes from.
    pub src_package: Option<String>,
    /// The release that a bootloader comes from.
    pub src_release: Option<String>,
    /// The version of the package that a bootloader comes from.
    pub src_version: Option<String>,
}

macro_rules! ftypes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What a file is: the field `ftype`.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Ftype {
            $($(#[$doc])* $name,)*
            /// A kind that this crate does not know.
            Other(String),
        }

        impl Ftype {
            /// The kind that `text` names.
            pub fn new(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    other => Self::Other(other.to_owned()),
                }
            }

            /// The text in the document.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }
        }
    };
}

ftypes! {
    /// A tarball of a bootloader.
    ArchiveTarXz = "archive.tar.xz",
    /// A device tree.
    BootDtb = "boot-dtb",
    /// An initial RAM disk.
    BootInitrd = "boot-initrd",
    /// A kernel.
    BootKernel = "boot-kernel",
    /// The list of packages in an image.
    Manifest = "manifest",
    /// A compressed disk image.
    RootDd = "root-dd",
    /// A disk image with bzip2.
    RootDdBz2 = "root-dd.bz2",
    /// A disk image with gzip.
    RootDdGz = "root-dd.gz",
    /// A plain disk image.
    RootDdRaw = "root-dd.raw",
    /// A tarball of a disk image.
    RootDdTar = "root-dd.tar",
    /// A tarball of a disk image with bzip2.
    RootDdTarBz2 = "root-dd.tar.bz2",
    /// A tarball of a disk image with xz.
    RootDdTarXz = "root-dd.tar.xz",
    /// A disk image with xz.
    RootDdXz = "root-dd.xz",
    /// A root file system image, the older form.
    RootImageGz = "root-image.gz",
    /// A tarball of a root file system with bzip2.
    RootTbz = "root-tbz",
    /// A tarball of a root file system with gzip.
    RootTgz = "root-tgz",
    /// A tarball of a root file system with xz.
    RootTxz = "root-txz",
    /// A program that unpacks itself.
    SelfExtracting = "self-extracting",
    /// A root file system, read-only and compressed.
    Squashfs = "squashfs",
}

impl Ftype {
    /// Whether the file is what a machine is deployed with.
    pub fn is_root(&self) -> bool {
        !matches!(
            self,
            Self::ArchiveTarXz
                | Self::BootDtb
                | Self::BootInitrd
                | Self::BootKernel
                | Self::Manifest
                | Self::Other(_)
        )
    }
}

impl fmt::Display for Ftype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl BootImage {
    /// `ubuntu/noble`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.os, self.release)
    }

    /// The kernel as MAAS names it: the sub-architecture with the flavour folded in
    /// (`ga-22.04-lowlatency`, `hwe-24.04-lowlatency-edge`).
    pub fn kernel(&self) -> String {
        let flavor = match self.kflavor.as_deref() {
            None | Some("generic" | "") => return self.subarch.clone(),
            Some(flavor) => flavor,
        };
        let (base, edge) = match self.subarch.strip_suffix("-edge") {
            Some(base) => (base, "-edge"),
            None => (self.subarch.as_str(), ""),
        };
        if base.ends_with(&format!("-{flavor}")) {
            return self.subarch.clone();
        }
        format!("{base}-{flavor}{edge}")
    }

    /// The newest version.
    pub fn newest(&self) -> Option<&ImageVersion> {
        self.versions.first()
    }
}

impl Bootloader {
    /// The newest version.
    pub fn newest(&self) -> Option<&ImageVersion> {
        self.versions.first()
    }
}

impl ImageVersion {
    /// The file of a kind.
    pub fn file(&self, ftype: &Ftype) -> Option<&BootFile> {
        self.files.iter().find(|file| file.ftype == *ftype)
    }
}

impl Catalogue {
    /// Finds every image and bootloader in a products file.
    pub fn from_products(products: &Products) -> Self {
        let mut catalogue = Self::default();
        for (name, product) in products.products.iter() {
            let view = View { products, name, product };
            match view.read(&mut catalogue.skipped) {
                Ok(Found::Image(image)) => catalogue.images.push(image),
                Ok(Found::Bootloader(bootloader)) => catalogue.bootloaders.push(bootloader),
                Err(complaint) => catalogue
                    .skipped
                    .push(Problem { pedigree: Pedigree(vec![name.to_owned()]), complaint }),
            }
        }
        catalogue
    }

    /// Adds what another products file of the same source has.
    pub fn extend(&mut self, other: Self) {
        self.images.extend(other.images);
        self.bootloaders.extend(other.bootloaders);
        self.skipped.extend(other.skipped);
    }
}

enum Found {
    Image(BootImage),
    Bootloader(Bootloader),
}

struct View<'a> {
    products: &'a Products,
    name: &'a str,
    product: &'a Product,
}

/// Whether an Ubuntu product has a layout that is understood: `v2`, `v3` or `v3+platform`.
fn is_boot_layout(product_name: &str) -> bool {
    [":v2:", ":v3:", ":v3+platform:"].iter().any(|layout| product_name.contains(layout))
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

impl View<'_> {
    /// A field of the product, or of the document, or of the newest version or its first item: a
    /// field may stand at any level.
    fn text(&self, field: &str) -> Option<String> {
        let newest = self.product.newest_first().into_iter().next();
        let outer = [&self.products.tags, &self.product.tags];
        let inner = newest.iter().flat_map(|(_, version)| {
            std::iter::once(&version.tags)
                .chain(version.items.values().next().map(|item| &item.tags))
        });
        let found = outer
            .into_iter()
            .rev()
            .chain(inner)
            .find_map(|tags| tags.get(field).and_then(crate::products::flat_value));
        found.map(std::borrow::Cow::into_owned)
    }

    fn required(&self, field: &'static str) -> Result<String, Complaint> {
        self.text(field).filter(|text| !text.is_empty()).ok_or(Complaint::Missing { field })
    }

    fn read(&self, skipped: &mut Vec<Problem>) -> Result<Found, Complaint> {
        let os = self.required("os")?;
        let arch = self.required("arch")?;
        let label = self.text("label").unwrap_or_default();
        if let Some(bootloader_type) = self.text("bootloader-type") {
            let arches = self.text("arches").map_or_else(|| vec![arch.clone()], |text| list(&text));
            return Ok(Found::Bootloader(Bootloader {
                product_name: self.name.to_owned(),
                os,
                bootloader_type,
                arch,
                arches,
                label,
                versions: self.versions(skipped),
            }));
        }
        if os == "ubuntu" && !is_boot_layout(self.name) {
            return Err(Complaint::UnknownKind);
        }
        let release = self.required("release")?;
        let subarch = self.text("subarch").unwrap_or_else(|| "generic".to_owned());
        let subarches =
            self.text("subarches").map_or_else(|| vec![subarch.clone()], |text| list(&text));
        Ok(Found::Image(BootImage {
            product_name: self.name.to_owned(),
            os,
            release,
            release_title: self.text("release_title"),
            release_codename: self.text("release_codename"),
            version: self.text("version"),
            arch,
            subarch,
            subarches,
            kflavor: self.text("kflavor"),
            krel: self.text("krel"),
            label,
            support_eol: self.text("support_eol"),
            support_esm_eol: self.text("support_esm_eol"),
            versions: self.versions(skipped),
        }))
    }

    fn versions(&self, skipped: &mut Vec<Problem>) -> Vec<ImageVersion> {
        self.product
            .newest_first()
            .into_iter()
            .map(|(name, version)| ImageVersion {
                name: name.to_owned(),
                files: self.files(name, version, skipped),
            })
            .filter(|version| !version.files.is_empty())
            .collect()
    }

    fn files(&self, name: &str, version: &Version, skipped: &mut Vec<Problem>) -> Vec<BootFile> {
        let mut files = Vec::new();
        for (item_name, item) in version.items.iter() {
            let item = ItemRef {
                products: self.products,
                product_name: self.name,
                product: self.product,
                version_name: name,
                version,
                item_name,
                item,
            };
            match boot_file(&item) {
                Ok(file) => files.push(file),
                Err(complaint) => skipped.push(Problem { pedigree: item.pedigree(), complaint }),
            }
        }
        // The older form of the same root file system is not wanted beside the newer one.
        if files.iter().any(|file| file.ftype == Ftype::Squashfs) {
            files.retain(|file| file.ftype != Ftype::RootImageGz);
        }
        files
    }
}

fn boot_file(item: &ItemRef<'_>) -> Result<BootFile, Complaint> {
    let file = item.file()?;
    let Digest::Sha256(sha256) = file.digest else {
        return Err(Complaint::Missing { field: "sha256" });
    };
    let text = |field| item.text(field).map(str::to_owned);
    Ok(BootFile {
        item_name: item.item_name.to_owned(),
        ftype: Ftype::new(item.text("ftype").unwrap_or(item.item_name)),
        path: file.path,
        sha256,
        size: file.size,
        kpackage: text("kpackage"),
        kparams: text("kparams"),
        src_package: text("src_package"),
        src_release: text("src_release"),
        src_version: text("src_version"),
    })
}

#[cfg(test)]
mod tests;
