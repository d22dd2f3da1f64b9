//! Which images of a catalogue are wanted: MAAS's selections.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use crate::boot::{BootFile, BootImage, Bootloader, Catalogue, ImageVersion};
use crate::digest::Sha256;
use crate::path::SafePath;

/// One wish: an operating system and release, and which of its architectures, kernels and labels.
///
/// `*` stands for any value in every field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// `ubuntu`, `centos` or `*`.
    pub os: String,
    /// `noble` or `*`.
    pub release: String,
    /// Architectures.
    pub arches: Vec<String>,
    /// Sub-architectures: an image counts when its own or one that it serves is listed.
    pub subarches: Vec<String>,
    /// Labels.
    pub labels: Vec<String>,
}

/// What a selection looks at in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageTags<'a> {
    /// `ubuntu`, `centos` and so on.
    pub os: &'a str,
    /// `noble`, `centos70` and so on.
    pub release: &'a str,
    /// `amd64`, `arm64` and so on.
    pub arch: &'a str,
    /// `stable`, `candidate`, `daily`.
    pub label: &'a str,
    /// The kernel's sub-architecture.
    pub subarch: &'a str,
    /// The sub-architectures that this kernel serves.
    pub subarches: &'a [String],
}

/// How many versions of each product are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// Every one.
    All,
    /// The newest ones.
    Newest(NonZeroUsize),
}

/// The images and bootloaders that selections choose.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Chosen {
    /// Images, with only the wanted versions.
    pub images: Vec<BootImage>,
    /// Every bootloader, with only the wanted versions: any image may need any of them.
    pub bootloaders: Vec<Bootloader>,
}

/// One file to fetch: the same content under several paths is one file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wanted {
    /// Names and proves the content.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
    /// Where it is, relative to the mirror root; any of them will do.
    pub paths: Vec<SafePath>,
}

impl Wanted {
    /// A file at one path.
    pub fn new(sha256: Sha256, size: u64, path: SafePath) -> Self {
        Self { sha256, size, paths: vec![path] }
    }
}

fn matches(wanted: &str, value: &str) -> bool {
    wanted == "*" || wanted == value
}

fn matches_any(wanted: &[String], value: &str) -> bool {
    wanted.iter().any(|wanted| matches(wanted, value))
}

impl Selection {
    /// Every architecture, kernel and label of a release.
    pub fn new(os: impl Into<String>, release: impl Into<String>) -> Self {
        let any = || vec!["*".to_owned()];
        Self {
            os: os.into(),
            release: release.into(),
            arches: any(),
            subarches: any(),
            labels: any(),
        }
    }

    /// Only these architectures.
    #[must_use]
    pub fn arches<I: IntoIterator<Item = S>, S: Into<String>>(mut self, arches: I) -> Self {
        self.arches = arches.into_iter().map(Into::into).collect();
        self
    }

    /// Only kernels that serve one of these sub-architectures.
    #[must_use]
    pub fn subarches<I: IntoIterator<Item = S>, S: Into<String>>(mut self, subarches: I) -> Self {
        self.subarches = subarches.into_iter().map(Into::into).collect();
        self
    }

    /// Only these labels.
    #[must_use]
    pub fn labels<I: IntoIterator<Item = S>, S: Into<String>>(mut self, labels: I) -> Self {
        self.labels = labels.into_iter().map(Into::into).collect();
        self
    }

    /// Whether the image is one of those that are wanted.
    pub fn matches(&self, image: &BootImage) -> bool {
        self.wants(&ImageTags {
            os: &image.os,
            release: &image.release,
            arch: &image.arch,
            label: &image.label,
            subarch: &image.subarch,
            subarches: &image.subarches,
        })
    }

    /// Whether an image with these tags is one of those that are wanted: for who keeps images in a
    /// form of their own, so that they are dropped by the rule by which they were chosen.
    pub fn wants(&self, image: &ImageTags<'_>) -> bool {
        let serves = image.subarches.iter().map(String::as_str);
        matches(&self.os, image.os)
            && matches(&self.release, image.release)
            && matches_any(&self.arches, image.arch)
            && matches_any(&self.labels, image.label)
            && std::iter::once(image.subarch)
                .chain(serves)
                .any(|subarch| matches_any(&self.subarches, subarch))
    }
}

fn wanted_versions(versions: &[ImageVersion], wanted: Versions) -> Vec<ImageVersion> {
    let count = match wanted {
        Versions::All => versions.len(),
        Versions::Newest(count) => count.get(),
    };
    versions.iter().take(count).cloned().collect()
}

/// Chooses from a catalogue. Bootloaders come with every selection, and not at all without one.
pub fn choose(catalogue: &Catalogue, selections: &[Selection], versions: Versions) -> Chosen {
    if selections.is_empty() {
        return Chosen::default();
    }
    let images = catalogue
        .images
        .iter()
        .filter(|image| selections.iter().any(|selection| selection.matches(image)))
        .map(|image| BootImage {
            versions: wanted_versions(&image.versions, versions),
            ..image.clone()
        });
    let bootloaders = catalogue.bootloaders.iter().map(|bootloader| Bootloader {
        versions: wanted_versions(&bootloader.versions, versions),
        ..bootloader.clone()
    });
    Chosen { images: images.collect(), bootloaders: bootloaders.collect() }
}

impl Chosen {
    /// Every file once, however many products share it; in order of digest.
    pub fn files(&self) -> Vec<Wanted> {
        let images = self.images.iter().flat_map(|image| &image.versions);
        let bootloaders = self.bootloaders.iter().flat_map(|bootloader| &bootloader.versions);
        let mut wanted: BTreeMap<Sha256, Wanted> = BTreeMap::new();
        for BootFile { sha256, size, path, .. } in
            images.chain(bootloaders).flat_map(|version| &version.files)
        {
            let entry = wanted.entry(*sha256).or_insert_with(|| Wanted {
                sha256: *sha256,
                size: *size,
                paths: Vec::new(),
            });
            if !entry.paths.contains(path) {
                entry.paths.push(path.clone());
            }
        }
        wanted.into_values().collect()
    }

    /// Bytes of every file once.
    pub fn total_size(&self) -> u64 {
        self.files().iter().map(|file| file.size).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::limits::Limits;
    use crate::products::Products;

    fn catalogue() -> Catalogue {
        let file = |path: &str, digit: &str| json!({"path": path, "ftype": "squashfs", "size": 10, "sha256": digit.repeat(64)});
        let product = |release: &str, arch: &str, subarch: &str, label: &str| {
            json!({"os": "ubuntu", "release": release, "arch": arch, "subarch": subarch,
                "subarches": format!("generic,{subarch}"), "label": label, "versions": {
                    "1": {"items": {"squashfs": file(&format!("{release}/{arch}/1"), "1")}},
                    "2": {"items": {"squashfs": file(&format!("{release}/{arch}/2"), "2")}}}})
        };
        let document = json!({"format": "products:1.0", "content_id": "c", "products": {
            "x:v3:a": product("noble", "amd64", "ga-24.04", "stable"),
            "x:v3:b": product("noble", "amd64", "hwe-24.04", "stable"),
            "x:v3:c": product("noble", "arm64", "ga-24.04", "candidate"),
            "x:v3:d": product("jammy", "amd64", "ga-22.04", "stable"),
            "x:1:pxe": {"os": "pxelinux", "arch": "amd64", "bootloader-type": "pxe",
                "versions": {"1": {"items": {"syslinux": file("b", "3")}}}}}});
        let text = document.to_string();
        Catalogue::from_products(&Products::parse(text.as_bytes(), &Limits::default()).unwrap())
    }

    fn names(selection: Selection) -> Vec<String> {
        let chosen = choose(&catalogue(), &[selection], Versions::All);
        chosen.images.into_iter().map(|image| image.product_name).collect()
    }

    #[test]
    fn each_field_restricts_and_a_star_does_not() {
        assert_eq!(names(Selection::new("*", "*")).len(), 4);
        assert_eq!(names(Selection::new("ubuntu", "noble")), ["x:v3:a", "x:v3:b", "x:v3:c"]);
        assert_eq!(names(Selection::new("ubuntu", "noble").arches(["arm64"])), ["x:v3:c"]);
        assert_eq!(names(Selection::new("ubuntu", "*").labels(["candidate"])), ["x:v3:c"]);
        assert_eq!(names(Selection::new("ubuntu", "*").subarches(["hwe-24.04"])), ["x:v3:b"]);
        assert_eq!(names(Selection::new("ubuntu", "*").subarches(["generic"])).len(), 4);
        assert!(names(Selection::new("centos", "*")).is_empty());
        assert!(names(Selection::new("ubuntu", "noble").arches(Vec::<String>::new())).is_empty());
    }

    #[test]
    fn bootloaders_come_with_any_selection_but_not_without_one() {
        let selection = [Selection::new("nothing", "matches")];
        assert_eq!(choose(&catalogue(), &selection, Versions::All).bootloaders.len(), 1);
        assert!(choose(&catalogue(), &[], Versions::All).bootloaders.is_empty());
    }

    #[test]
    fn only_the_newest_versions_are_taken_and_shared_files_once() {
        let one = Versions::Newest(NonZeroUsize::MIN);
        let chosen = choose(&catalogue(), &[Selection::new("ubuntu", "noble")], one);
        assert!(chosen.images.iter().all(|image| image.versions.len() == 1));
        assert_eq!(chosen.images[0].newest().unwrap().name, "2");
        let files = chosen.files();
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].paths.len(), 2);
        assert_eq!(chosen.total_size(), 20);
    }
}
