#![allow(clippy::unwrap_used)]
use serde_json::{Value, json};

use super::*;
use crate::limits::Limits;

fn read(products: Value) -> Catalogue {
    let document = json!({"format": "products:1.0", "content_id": "c", "products": products});
    let products = Products::parse(document.to_string().as_bytes(), &Limits::default()).unwrap();
    Catalogue::from_products(&products)
}

fn item(path: &str, ftype: &str) -> Value {
    json!({"path": path, "ftype": ftype, "size": 5, "sha256": "1".repeat(64),
           "kpackage": "linux-generic"})
}

fn noble() -> Value {
    json!({"arch": "amd64", "os": "ubuntu", "release": "noble", "subarch": "ga-24.04",
        "subarches": "generic,hwe-p,ga-24.04", "kflavor": "generic", "label": "stable",
        "release_title": "24.04 LTS", "release_codename": "Noble Numbat", "version": "24.04",
        "support_eol": "2029-05-31",
        "versions": {
            "20250101": {"items": {"boot-kernel": item("a/k", "boot-kernel")}},
            "20250718": {"items": {
                "boot-kernel": item("b/k", "boot-kernel"),
                "squashfs": item("b/s", "squashfs"),
                "root-image.gz": item("b/r", "root-image.gz")}}}})
}

#[test]
fn an_ubuntu_product_becomes_an_image_with_its_newest_version_first() {
    let catalogue = read(json!({"x:v3:boot:24.04:amd64:ga-24.04": noble()}));
    assert!(catalogue.skipped.is_empty(), "{:?}", catalogue.skipped);
    let image = &catalogue.images[0];
    assert_eq!(image.name(), "ubuntu/noble");
    assert_eq!(image.subarches, ["generic", "hwe-p", "ga-24.04"]);
    assert_eq!(image.newest().unwrap().name, "20250718");
    let kernel = image.newest().unwrap().file(&Ftype::BootKernel).unwrap();
    assert_eq!(kernel.kpackage.as_deref(), Some("linux-generic"));
    assert_eq!(kernel.path.as_str(), "b/k");
}

#[test]
fn the_older_root_image_is_dropped_beside_a_squashfs() {
    let catalogue = read(json!({"x:v3:boot": {}, "x:v3:boot:24.04:amd64:ga-24.04": noble()}));
    let files = &catalogue.images[0].newest().unwrap().files;
    assert!(files.iter().all(|file| file.ftype != Ftype::RootImageGz));
    assert_eq!(catalogue.skipped.len(), 1);
}

#[test]
fn a_label_at_version_level_counts_too() {
    let mut product = noble();
    let label = product.as_object_mut().unwrap().remove("label").unwrap();
    product["versions"]["20250718"]["label"] = label;
    let catalogue = read(json!({"x:v3:boot:24.04:amd64:ga-24.04": product}));
    assert_eq!(catalogue.images[0].label, "stable");
}

#[test]
fn one_item_without_a_digest_costs_only_that_item() {
    let mut product = noble();
    product["versions"]["20250718"]["items"]["squashfs"].as_object_mut().unwrap().remove("sha256");
    let catalogue = read(json!({"x:v3:boot:24.04:amd64:ga-24.04": product}));
    assert_eq!(catalogue.images[0].newest().unwrap().files.len(), 2);
    assert_eq!(
        catalogue.skipped[0].to_string(),
        "`x:v3:boot:24.04:amd64:ga-24.04/20250718/squashfs`: the field `sha256` is missing"
    );
}

#[test]
fn bootloaders_and_single_file_images_are_told_apart() {
    let catalogue = read(json!({
        "x:1:grub-efi-signed:uefi:amd64": {"arch": "amd64", "arches": "amd64",
            "bootloader-type": "uefi", "label": "stable", "os": "grub-efi-signed",
            "versions": {"1": {"items": {"shim": item("s.tar.xz", "archive.tar.xz")}}}},
        "x:centos-bases:8:amd64": {"arch": "amd64", "os": "centos", "release": "8",
            "label": "stable", "subarches": "generic",
            "versions": {"1": {"items": {"root-tgz": item("r", "root-tgz")}}}}}));
    assert_eq!(catalogue.bootloaders[0].bootloader_type, "uefi");
    let image = &catalogue.images[0];
    assert_eq!((image.os.as_str(), image.subarch.as_str()), ("centos", "generic"));
    assert!(image.newest().unwrap().files[0].ftype.is_root());
}

#[test]
fn the_flavour_is_folded_into_the_kernel_before_edge() {
    let mut image = read(json!({"x:v3:boot:24.04:amd64:ga-24.04": noble()})).images.remove(0);
    assert_eq!(image.kernel(), "ga-24.04");
    image.kflavor = Some("lowlatency".to_owned());
    assert_eq!(image.kernel(), "ga-24.04-lowlatency");
    image.subarch = "hwe-24.04-edge".to_owned();
    assert_eq!(image.kernel(), "hwe-24.04-lowlatency-edge");
    image.subarch = "ga-24.04-lowlatency".to_owned();
    assert_eq!(image.kernel(), "ga-24.04-lowlatency");
}

#[test]
fn an_ubuntu_product_of_another_layout_is_skipped() {
    let catalogue = read(json!({"x:v9:boot": noble()}));
    assert_eq!(catalogue.skipped[0].complaint, Complaint::UnknownKind);
}

#[test]
fn the_real_stable_stream_is_understood_whole() {
    let mut catalogue = Catalogue::default();
    for name in ["ubuntu", "bootloaders", "centos"] {
        let path = format!("maas-stream-excerpts/simplestreams_{name}.json");
        let Some(text) = crate::shared::data(&path) else { return };
        let products = Products::parse(&text, &Limits::default()).unwrap();
        assert!(products.problems().is_empty());
        assert_eq!(
            serde_json::to_value(&products).unwrap(),
            serde_json::from_slice::<Value>(&text).unwrap()
        );
        catalogue.extend(Catalogue::from_products(&products));
    }
    assert!(catalogue.skipped.is_empty(), "{:?}", catalogue.skipped);
    assert_eq!((catalogue.images.len(), catalogue.bootloaders.len()), (6, 5));
    let noble =
        catalogue.images.iter().find(|image| image.release == "noble" && image.arch == "amd64");
    let newest = noble.unwrap().newest().unwrap();
    for ftype in [Ftype::BootKernel, Ftype::BootInitrd, Ftype::Squashfs, Ftype::Manifest] {
        assert!(newest.file(&ftype).is_some(), "{ftype}");
    }
}

#[test]
fn documents_of_other_publishers_are_read() {
    for name in [
        "eduardotp1-openstack/com.ubuntu.cloud-released-imagemetadata.json",
        "eumel8-otc/com.ubuntu.cloud-released-otc.json",
        "kriszos-incus/images.json",
        "meigma-testdata/incus/products.json",
        "meigma-testdata/linuxcontainers/products.json",
        "meigma-testdata/lxd/products.json",
    ] {
        let Some(text) = crate::shared::data(&format!("third-party/{name}")) else { return };
        let products = Products::parse(&text, &Limits::default()).unwrap();
        assert!(products.problems().is_empty(), "{name}: {:?}", products.problems());
        assert_eq!(
            serde_json::to_value(&products).unwrap(),
            serde_json::from_slice::<Value>(&text).unwrap()
        );
        assert!(products.items().count() > 0, "{name}");
    }
}
