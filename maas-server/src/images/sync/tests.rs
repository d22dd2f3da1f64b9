#![allow(clippy::unwrap_used)]

use std::path::Path;

use maas_core::image::{FileType, ImageFile, Origin};
use maas_core::secret::Secret;
use maas_core::time::Timestamp;
use maas_simplestreams::date::Timestamp as StreamTime;
use maas_simplestreams::publish::{Content, NewItem, NewProduct, NewVersion, Signing, Stream};
use maas_simplestreams::sign::SigningKey;

use super::*;
use crate::images::documents::{BootloaderDocument, ResourceDocument};
use crate::store::NewMachine;
use crate::testing::{archive, region};

const NOW: StreamTime = StreamTime::from_seconds(1_790_000_000);

/// Publishes noble for amd64 in this version, with a boot loader, below `root`; `word` tells the
/// contents of one source from those of another.
fn publish(root: &Path, version: &str, word: &str) {
    let item = |name: &str, ftype: &str| {
        let path = format!("noble/{version}/{name}");
        NewItem::from_bytes(path, format!("{word} {version} {name}")).tag("ftype", ftype)
    };
    let mut image = NewProduct::new("com.ubuntu.maas:v3:boot:24.04:amd64:ga-24.04");
    for (tag, value) in [
        ("os", "ubuntu"),
        ("release", "noble"),
        ("arch", "amd64"),
        ("subarch", "ga-24.04"),
        ("subarches", "generic,ga-24.04"),
        ("label", "stable"),
        ("kflavor", "generic"),
    ] {
        image = image.tag(tag, value);
    }
    let files = NewVersion::new(version)
        .item("boot-kernel", item("boot-kernel", "boot-kernel"))
        .item("boot-initrd", item("boot-initrd", "boot-initrd"))
        .item("squashfs", item("squashfs", "squashfs"));
    let path = format!("bootloaders/{version}/shim.tar.xz");
    let packed = archive(&[("bootx64.efi", word.as_bytes())]);
    let mut loader = NewProduct::new("com.ubuntu.maas:1:grub-efi-signed:uefi:amd64");
    for (tag, value) in [
        ("os", "grub-efi-signed"),
        ("arch", "amd64"),
        ("arches", "amd64"),
        ("bootloader-type", "uefi"),
        ("label", "stable"),
    ] {
        loader = loader.tag(tag, value);
    }
    let loader = loader.version(
        NewVersion::new(version)
            .item("shim-signed", NewItem::from_bytes(path, packed).tag("ftype", "archive.tar.xz")),
    );
    Stream::new(NOW)
        .content(
            Content::new("com.ubuntu.maas:v3:download", "image-ids").product(image.version(files)),
        )
        .content(Content::new("com.ubuntu.maas:1:bootloader", "image-ids").product(loader))
        .write(root, Signing::Unsigned)
        .unwrap();
}

/// Adds a boot source with a selection of all its noble images; says its number.
async fn source(region: &Region, root: &Path, priority: u32) -> u64 {
    let source = BootSource {
        name: String::new(),
        url: format!("file://{}/streams/v1/index.json", root.display()),
        keyring_filename: String::new(),
        keyring_data: Vec::new(),
        priority,
        enabled: true,
        skip_keyring_verification: true,
        created: Timestamp(0),
        updated: Timestamp(0),
    };
    let id = region.store.insert(source).await.unwrap().id;
    let any = || vec!["*".to_owned()];
    let (os, release) = ("ubuntu".to_owned(), "noble".to_owned());
    let selection = Selection {
        boot_source_id: id,
        os,
        release,
        arches: any(),
        subarches: any(),
        labels: any(),
    };
    region.store.insert(selection).await.unwrap();
    id
}

async fn resources(region: &Region) -> Vec<ResourceDocument> {
    let documents = region.store.list::<ResourceDocument>().await.unwrap();
    documents.into_iter().map(|document| document.value).collect()
}

async fn blobs(region: &Region) -> usize {
    region.images.blobs().list().await.unwrap().len()
}

#[tokio::test]
async fn what_is_published_is_registered_served_and_not_fetched_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (mirror, region) = (dir.path().join("mirror"), region(dir.path()).await);
    publish(&mirror, "1", "a");
    source(&region, &mirror, 1).await;

    let summary = synchronise(&region, &()).await.unwrap();
    assert_eq!((summary.images, summary.bootloaders, summary.files), (1, 1, 4));
    assert!(summary.transferred > 0 && summary.present == 0, "{summary:?}");
    let current = region.images.current();
    let kernel = current.0[0].file(&FileType::BootKernel).unwrap();
    let blob = region.images.blob(&kernel.sha256[..8]).unwrap();
    assert_eq!(std::fs::read(blob.path).unwrap(), b"a 1 boot-kernel");
    let loader = region.images.bootloader_dir("uefi", "amd64").join("bootx64.efi");
    assert_eq!(std::fs::read(&loader).unwrap(), b"a");

    // The archives stay, so nothing is fetched, and what is in place is not unpacked again.
    let written = std::fs::metadata(&loader).unwrap().modified().unwrap();
    let again = synchronise(&region, &()).await.unwrap();
    assert_eq!((again.transferred, again.present), (0, summary.transferred));
    assert_eq!(std::fs::metadata(&loader).unwrap().modified().unwrap(), written);
    std::fs::remove_file(&loader).unwrap();
    synchronise(&region, &()).await.unwrap();
    assert!(loader.is_file(), "a boot loader that was lost comes back");
}

#[tokio::test]
async fn a_new_version_replaces_the_old_one_and_its_files_go() {
    let dir = tempfile::tempdir().unwrap();
    let (mirror, region) = (dir.path().join("mirror"), region(dir.path()).await);
    publish(&mirror, "1", "a");
    source(&region, &mirror, 1).await;
    synchronise(&region, &()).await.unwrap();
    std::fs::remove_dir_all(&mirror).unwrap();
    publish(&mirror, "2", "b");
    synchronise(&region, &()).await.unwrap();
    let resources = resources(&region).await;
    assert_eq!(resources.len(), 1);
    assert_eq!(resources[0].resource.version, "2");
    assert_eq!(blobs(&region).await, 4);
    let loaders = region.store.list::<BootloaderDocument>().await.unwrap();
    assert_eq!((loaders.len(), loaders[0].value.version.as_str()), (1, "2"));
    let loader = region.images.bootloader_dir("uefi", "amd64").join("bootx64.efi");
    assert_eq!(std::fs::read(loader).unwrap(), b"b");
}

#[tokio::test]
async fn a_source_that_fails_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let (mirror, region) = (dir.path().join("mirror"), region(dir.path()).await);
    publish(&mirror, "1", "a");
    source(&region, &mirror, 1).await;
    synchronise(&region, &()).await.unwrap();
    let before = (resources(&region).await, blobs(&region).await);
    std::fs::remove_dir_all(&mirror).unwrap();
    let error = synchronise(&region, &()).await.unwrap_err();
    assert!(matches!(error, SyncError::Repository { .. }), "{error:?}");
    assert_eq!((resources(&region).await, blobs(&region).await), before);
    assert_eq!(region.images.current().0.len(), 1);
}

#[tokio::test]
async fn of_two_sources_the_higher_priority_wins_even_when_it_cannot_be_reached() {
    let dir = tempfile::tempdir().unwrap();
    let (low, high) = (dir.path().join("low"), dir.path().join("high"));
    let region = region(dir.path()).await;
    publish(&low, "9", "low");
    publish(&high, "1", "high");
    let low_id = source(&region, &low, 1).await;
    let high_id = source(&region, &high, 2).await;
    synchronise(&region, &()).await.unwrap();
    let sources = |resources: Vec<ResourceDocument>| -> Vec<u64> {
        resources.iter().map(|resource| resource.boot_source_id).collect()
    };
    assert_eq!(sources(resources(&region).await), [high_id]);
    assert_eq!(blobs(&region).await, 4, "what would not be used is not fetched");

    std::fs::rename(&high, dir.path().join("away")).unwrap();
    assert!(synchronise(&region, &()).await.is_err());
    assert_eq!(sources(resources(&region).await), [high_id]);

    // Deleted, it makes room.
    let stored = region.store.find::<BootSource>(high_id).await.unwrap().unwrap();
    region.store.remove::<BootSource>(stored.id, stored.version).await.unwrap();
    synchronise(&region, &()).await.unwrap();
    assert_eq!(sources(resources(&region).await), [low_id]);
}

#[tokio::test]
async fn what_is_not_selected_any_more_goes_and_what_was_uploaded_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (mirror, region) = (dir.path().join("mirror"), region(dir.path()).await);
    publish(&mirror, "1", "a");
    source(&region, &mirror, 1).await;
    synchronise(&region, &()).await.unwrap();
    let blob = region.images.blobs().import_bytes(b"my own image").await.unwrap();
    let mut upload = resources(&region).await.remove(0);
    upload.boot_source_id = 0;
    upload.resource.os = "custom".to_owned();
    upload.resource.release = "mine".to_owned();
    upload.resource.origin = Origin::Custom {
        base_image: "ubuntu/noble".to_owned(),
        packed_seed: None,
        defects: Vec::new(),
    };
    upload.resource.files = vec![ImageFile {
        filetype: FileType::from("root-tgz"),
        filename: "root-tgz".to_owned(),
        sha256: blob.sha256.to_string(),
        size: blob.size,
    }];
    region.store.put(upload.clone()).await.unwrap();

    let selection = region.store.list::<Selection>().await.unwrap().remove(0);
    let mut narrower = selection.clone();
    narrower.value.arches = vec!["arm64".to_owned()];
    region.store.update(narrower).await.unwrap();
    synchronise(&region, &()).await.unwrap();
    assert_eq!(resources(&region).await, [upload]);
    // The upload and the boot loader's archive.
    assert_eq!(blobs(&region).await, 2);
}

/// A machine in a status, as the store is given it.
async fn machine(region: &Region, change: impl FnOnce(&mut maas_core::machine::Machine)) {
    let mut machine = crate::testing::machine(1);
    change(&mut machine);
    region.store.add(NewMachine::new(machine)).await.unwrap();
}

#[tokio::test]
async fn files_of_a_plan_that_a_machine_still_boots_by_are_kept_and_served() {
    let dir = tempfile::tempdir().unwrap();
    let (mirror, region) = (dir.path().join("mirror"), region(dir.path()).await);
    publish(&mirror, "1", "a");
    source(&region, &mirror, 1).await;
    synchronise(&region, &()).await.unwrap();
    let old = resources(&region).await.remove(0).resource;
    let plan = crate::testing::plan(&region.images.current());
    let summary = plan.summary();
    let plan = serde_json::to_vec(&plan).unwrap();
    machine(&region, |machine| {
        machine.status = maas_core::machine::Status::Deployed;
        machine.deployment =
            Some(maas_core::machine::DeploymentSummary { ephemeral: true, ..summary });
    })
    .await;
    let stored =
        region.store.machines(&crate::store::MachineFilter::all()).await.unwrap().remove(0);
    let id = stored.system_id.clone();
    let change = crate::store::Change {
        plan: crate::store::AttachmentChange::Set(Secret::new(plan)),
        ..crate::store::Change::new(stored, Timestamp(1))
    };
    let stored = region.store.commit(change).await.unwrap();

    std::fs::remove_dir_all(&mirror).unwrap();
    publish(&mirror, "2", "b");
    synchronise(&region, &()).await.unwrap();
    for file in &old.files {
        let blob = region.images.blob(&file.sha256).unwrap();
        assert!(blob.path.is_file(), "{}", file.filename);
    }
    // Three files of each version and one archive; the old archive is nobody's.
    assert_eq!(blobs(&region).await, 7);

    region.store.delete(&id, stored.version).await.unwrap();
    synchronise(&region, &()).await.unwrap();
    assert_eq!(blobs(&region).await, 4);
}

#[tokio::test]
async fn nothing_is_collected_while_a_machine_is_being_commissioned() {
    let dir = tempfile::tempdir().unwrap();
    let (mirror, region) = (dir.path().join("mirror"), region(dir.path()).await);
    publish(&mirror, "1", "a");
    source(&region, &mirror, 1).await;
    region.images.blobs().import_bytes(b"of yesterday's version").await.unwrap();
    machine(&region, |machine| machine.status = maas_core::machine::Status::Commissioning).await;
    synchronise(&region, &()).await.unwrap();
    assert_eq!(blobs(&region).await, 5);
}

#[tokio::test]
async fn a_source_needs_a_signature_of_its_keyring() {
    let dir = tempfile::tempdir().unwrap();
    let (mirror, region) = (dir.path().join("mirror"), region(dir.path()).await);
    publish(&mirror, "1", "a");
    let id = source(&region, &mirror, 1).await;
    let mut stored = region.store.find::<BootSource>(id).await.unwrap().unwrap();
    stored.value.skip_keyring_verification = false;
    stored.value.url = format!("file://{}/", mirror.display());
    let stranger = SigningKey::generate("Stranger <s@example.com>", NOW).unwrap();
    stored.value.keyring_data = stranger.public_keyring().unwrap();
    region.store.update(stored).await.unwrap();
    assert!(synchronise(&region, &()).await.is_err());
    assert!(resources(&region).await.is_empty());
}

#[tokio::test]
async fn two_synchronisations_never_run_at_once_and_none_runs_without_a_source() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    assert!(matches!(synchronise(&region, &()).await, Err(SyncError::NoSource)));
    let guard = region.images.begin_import().unwrap();
    assert!(region.images.is_importing());
    assert!(matches!(synchronise(&region, &()).await, Err(SyncError::Busy)));
    drop(guard);
    assert!(!region.images.is_importing());
}
