#![allow(clippy::unwrap_used)]

use super::*;
use crate::image::{FileType, ImageFile};

fn file(filetype: FileType) -> ImageFile {
    let filename = filetype.as_str().to_owned();
    ImageFile { filetype, filename, sha256: "ab".repeat(32), size: 5 }
}

fn ubuntu(release: &str, subarch: &str, kflavor: &str, version: &str) -> BootResource {
    BootResource {
        os: "ubuntu".into(),
        release: release.into(),
        arch: "amd64".into(),
        subarch: subarch.into(),
        kflavor: kflavor.into(),
        label: "stable".into(),
        version: version.into(),
        subarches: vec!["generic".into(), "hwe-p".into()],
        kpackage: None,
        kparams: None,
        title: String::new(),
        files: vec![
            file(FileType::BootKernel),
            file(FileType::BootInitrd),
            file(FileType::Squashfs),
        ],
        origin: Origin::Standard { boot_source: "http://images.maas.io/".into() },
    }
}

fn custom(name: &str, base_image: &str) -> BootResource {
    BootResource {
        os: "custom".into(),
        subarch: "generic".into(),
        files: vec![
            file(FileType::RootTgz),
            file(FileType::BootKernel),
            file(FileType::BootInitrd),
            file(FileType::Squashfs),
        ],
        origin: Origin::Custom {
            base_image: base_image.into(),
            packed_seed: None,
            defects: Vec::new(),
        },
        ..ubuntu(name, "generic", "", "1")
    }
}

fn amd64() -> Architecture {
    Architecture { arch: "amd64".into(), subarch: "generic".into() }
}

fn images() -> Images {
    Images(vec![
        ubuntu("noble", "hwe-24.04", "generic", "20250101"),
        ubuntu("noble", "ga-24.04", "generic", "20240101"),
        ubuntu("noble", "ga-24.04", "generic", "20250101"),
        ubuntu("noble", "ga-24.04", "lowlatency", "20250101"),
        ubuntu("noble", "hwe-24.04-edge", "generic", "20250101"),
        custom("rocky-9", ""),
        custom("my-noble", "ubuntu/noble"),
    ])
}

fn chosen(hwe_kernel: &str, minimum: &str) -> Result<(String, String), Precondition> {
    images()
        .ephemeral("ubuntu", "noble", &amd64(), hwe_kernel, minimum)
        .map(|image| (image.resource().full_subarch(), image.resource().version.clone()))
}

#[test]
fn the_released_kernel_is_the_default_and_the_newest_version_wins() {
    assert_eq!(chosen("", "").unwrap(), ("ga-24.04".into(), "20250101".into()));
}

#[test]
fn a_minimum_takes_the_lowest_kernel_that_satisfies_it() {
    assert_eq!(chosen("", "ga-22.04").unwrap().0, "ga-24.04");
    assert_eq!(chosen("", "hwe-24.04").unwrap().0, "hwe-24.04");
    assert!(chosen("", "ga-26.04").is_err());
}

#[test]
fn a_kernel_can_be_asked_for_by_name_or_by_its_word() {
    for (asked, got) in [
        ("hwe-24.04", "hwe-24.04"),
        ("hwe", "hwe-24.04"),
        ("edge", "hwe-24.04-edge"),
        ("lowlatency", "ga-24.04-lowlatency"),
        ("ga-24.04-lowlatency", "ga-24.04-lowlatency"),
    ] {
        assert_eq!(chosen(asked, "").unwrap().0, got);
    }
}

#[test]
fn a_missing_kernel_is_refused_with_what_was_wanted() {
    let refusal = chosen("hwe-24.04-lowlatency", "").unwrap_err();
    assert_eq!(
        refusal,
        Precondition::EphemeralImage {
            architecture: "amd64/generic".into(),
            wanted: "ubuntu/noble with kernel hwe-24.04-lowlatency".into(),
        }
    );
    assert!(chosen("no such kernel", "").is_err());
    assert!(chosen("ga-24.04", "hwe-24.04").is_err());
}

#[test]
fn a_custom_image_is_never_ephemeral_even_with_all_files() {
    let image = custom("my-noble", "ubuntu/noble");
    assert!(EphemeralImage::try_from(image.clone()).is_err());
    let stored = serde_json::to_string(&image).unwrap();
    assert!(serde_json::from_str::<EphemeralImage>(&stored).is_err());
    assert!(images().ephemeral("custom", "my-noble", &amd64(), "", "").is_err());
}

#[test]
fn a_custom_image_is_installed_by_its_base_or_by_the_commissioning_os() {
    let images = images();
    let defaults = EphemeralDefaults::default();
    for name in ["rocky-9", "my-noble"] {
        let target = images.target("custom", name, &amd64()).unwrap();
        assert_eq!(target.root_file().unwrap().filetype, FileType::RootTgz);
        let installer = images.installer_of(target, &amd64(), "", "", &defaults).unwrap();
        assert_eq!(installer.resource().name(), "ubuntu/noble");
    }
}

#[test]
fn a_target_that_is_not_there_is_refused_by_name() {
    assert_eq!(
        images().target("custom", "debian-12", &amd64()).unwrap_err(),
        Precondition::TargetImage {
            image: "custom/debian-12".into(),
            architecture: "amd64/generic".into()
        }
    );
    let arm = Architecture { arch: "arm64".into(), subarch: "generic".into() };
    assert!(images().target("ubuntu", "noble", &arm).is_err());
}

#[test]
fn a_special_board_takes_only_images_that_name_it() {
    let board = Architecture { arch: "amd64".into(), subarch: "hwe-p".into() };
    assert!(images().ephemeral("ubuntu", "noble", &board, "", "").is_ok());
    let other = Architecture { arch: "amd64".into(), subarch: "xgene-uboot".into() };
    assert!(images().ephemeral("ubuntu", "noble", &other, "", "").is_err());
}

#[test]
fn the_path_of_a_file_begins_with_its_whole_hash() {
    let image = ubuntu("noble", "hwe-24.04-edge", "lowlatency", "1");
    assert_eq!(
        image.image_path(&image.files[2]),
        format!("{}/ubuntu/amd64/hwe-24.04-lowlatency-edge/noble/stable/squashfs", "ab".repeat(32))
    );
}
