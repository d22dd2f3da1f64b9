#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use maas_core::image::{FileType, Origin};
use maas_core::image_pack::{Compression, EntryFacts, Packer};
use proptest::prelude::*;
use sha2::Digest;

use super::keep::{recover, tidy};
use super::*;
use crate::config::Config;
use crate::http::{BoxError, Problem, RequestBody};
use crate::images::Images;
use crate::images::documents::ResourceDocument;
use crate::region::Region;
use crate::store::Stored;
use crate::testing::{image, region};

/// The same database and directory after a crash.
async fn crashed(region: Region, dir: &Path) -> Region {
    let store = Arc::clone(&region.store);
    drop(region);
    let images = Images::open(dir.join("images"), &*store).await.unwrap();
    let region = Region::new(store, images, Config::default(), ([127, 0, 0, 1], 5248).into(), None);
    recover(&region).await.unwrap();
    region
}

fn sha256(content: &[u8]) -> String {
    sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn declaration(content: &[u8]) -> Declaration {
    Declaration {
        os: "custom".to_owned(),
        name: "img".to_owned(),
        arch: "amd64".to_owned(),
        subarch: "generic".to_owned(),
        title: String::new(),
        filetype: FileType::RootTgz,
        base_image: String::new(),
        sha256: sha256(content),
        size: content.len() as u64,
        keep_old: false,
        resume: false,
    }
}

async fn declared(region: &Region, declaration: &Declaration) -> (Stored<ResourceDocument>, u64) {
    let resource = declare(region, declaration).await.unwrap();
    let newest = of_resource(region, resource.id).await.unwrap().pop().unwrap();
    (resource, newest.id)
}

fn whole(bytes: &[u8]) -> RequestBody {
    let body = Full::new(Bytes::copy_from_slice(bytes));
    RequestBody::new(body, u64::MAX, Duration::from_secs(9), Duration::from_secs(9))
}

/// A body that breaks off after these bytes.
fn broken(bytes: &[u8]) -> RequestBody {
    let frames: Vec<Result<Frame<Bytes>, BoxError>> =
        vec![Ok(Frame::data(Bytes::copy_from_slice(bytes))), Err("connection reset".into())];
    let body = StreamBody::new(stream::iter(frames));
    RequestBody::new(body, u64::MAX, Duration::from_secs(9), Duration::from_secs(9))
}

async fn put(
    region: &Region,
    (resource, id): &(Stored<ResourceDocument>, u64),
    bytes: &[u8],
) -> Result<(), Problem> {
    receive(region, &resource.value, *id, None, &mut whole(bytes)).await
}

async fn uploads_of(region: &Region, resource_id: u64) -> Vec<UploadDocument> {
    let uploads = of_resource(region, resource_id).await.unwrap();
    uploads.into_iter().map(|upload| upload.value).collect()
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// A root file system that can be deployed.
fn good() -> Vec<u8> {
    let mut packer = Packer::new(Vec::new(), Compression::Gzip).unwrap();
    let mut elf = vec![0_u8; 64];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[18] = 62;
    for (path, content) in [
        ("etc/os-release", &b"ID=debian\nVERSION_ID=12\n"[..]),
        ("usr/bin/cloud-init", b"#!/usr/bin/python3\n"),
        ("usr/bin/env", &elf),
        ("usr/sbin/ifup", b"#!/bin/sh\n"),
    ] {
        let facts = EntryFacts { mode: 0o755, ..EntryFacts::default() };
        packer.file(path, facts, content.len() as u64, &[], content).unwrap();
    }
    packer.finish().unwrap()
}

#[tokio::test]
async fn three_pieces_make_an_image_that_machines_can_be_given() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let content = good();
    let upload = declared(&region, &declaration(&content)).await;
    assert!(region.images.current().0.iter().all(|image| image.files.is_empty()));
    for piece in content.chunks(content.len().div_ceil(3)) {
        put(&region, &upload, piece).await.unwrap();
    }
    let images = region.images.current();
    let [image] = &images.0[..] else { panic!("{images:?}") };
    assert_eq!(image.name(), "custom/img");
    assert_eq!(image.root_file().unwrap().filename, "root.tgz");
    let Origin::Custom { base_image, packed_seed, defects } = &image.origin else { panic!() };
    assert_eq!((base_image.as_str(), packed_seed, defects.len()), ("debian/12", &None, 0));
    let blob = region.images.blob(&sha256(&content)[..7]).unwrap();
    assert_eq!(std::fs::read(blob.path).unwrap(), content);
    assert!(!region.images.uploads().part(upload.1).exists());
    let problem = put(&region, &upload, b"more").await.unwrap_err();
    assert_eq!(problem.to_string(), "Cannot upload to a complete file.");
}

#[tokio::test]
async fn garbage_is_taken_and_its_defects_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let content = vec![b'x'; 100_000];
    let upload = declared(&region, &declaration(&content)).await;
    put(&region, &upload, &content).await.unwrap();
    let images = region.images.current();
    let Origin::Custom { defects, base_image, .. } = &images.0[0].origin else { panic!() };
    assert_eq!(base_image, "ubuntu/noble", "nothing tells");
    assert_eq!(
        defects[..],
        ["declared as a gzip-compressed tar archive (tgz), but it is a file of an unknown kind"]
    );
}

#[tokio::test]
async fn each_mistake_of_a_client_has_its_own_words() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let content = noise(5000);
    let upload = declared(&region, &declaration(&content)).await;
    let say = |result: Result<(), Problem>| {
        let problem = result.unwrap_err();
        assert_eq!(problem.status(), 400, "{problem}");
        problem.to_string()
    };
    assert_eq!(say(put(&region, &upload, b"").await), "Missing data.");
    assert_eq!(say(put(&region, &upload, &noise(5001)).await), "Too much data received.");
    let (resource, id) = &upload;
    let off = receive(&region, &resource.value, *id, None, &mut broken(&content[..100])).await;
    assert_eq!(say(off), "Content-Length doesn't equal size of received data.");
    let wrong = vec![0; 5000];
    let text = "Saved content does not match given SHA256 value.";
    assert_eq!(say(put(&region, &upload, &wrong).await), text);
    assert_eq!(uploads_of(&region, resource.id).await[0].received, 0);
    put(&region, &upload, &content).await.unwrap();
    assert!(uploads_of(&region, resource.id).await[0].complete, "after all of it once more");
}

#[tokio::test]
async fn known_content_is_complete_at_once_and_older_versions_go() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let content = good();
    let first = declared(&region, &declaration(&content)).await;
    put(&region, &first, &content).await.unwrap();
    let (resource, _) = declared(&region, &declaration(&content)).await;
    assert_eq!(resource.id, first.0.id);
    let uploads = uploads_of(&region, resource.id).await;
    assert_eq!(uploads.len(), 1, "{uploads:?}");
    assert!(uploads[0].complete && uploads[0].inspection.is_some());
    assert!(uploads[0].version.ends_with(".1"), "{}", uploads[0].version);
    let keep = Declaration { keep_old: true, ..declaration(&content) };
    declared(&region, &keep).await;
    assert_eq!(uploads_of(&region, resource.id).await.len(), 2);
    assert_eq!(region.images.current().0[0].version, uploads_of(&region, 1).await[1].version);
    let mut other = declaration(&content);
    other.arch = "arm64".to_owned();
    let (arm, _) = declared(&region, &other).await;
    assert_ne!(arm.id, resource.id, "name and architecture are the key");
    let wrong_size = Declaration { size: 3, ..declaration(&content) };
    assert!(declare(&region, &wrong_size).await.is_err());
}

#[tokio::test]
async fn what_is_wrongly_declared_is_put_right_without_sending_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let content = good();
    let wrong = Declaration { filetype: FileType::RootTxz, ..declaration(&content) };
    let upload = declared(&region, &wrong).await;
    put(&region, &upload, &content).await.unwrap();
    let defects = |region: &Region| match &region.images.current().0[0].origin {
        Origin::Custom { defects, .. } => defects.clone(),
        Origin::Standard { .. } => panic!(),
    };
    assert!(defects(&region)[0].ends_with("upload it with the file type tgz"));
    declare(&region, &declaration(&content)).await.unwrap();
    assert_eq!(defects(&region), [""; 0]);
}

#[tokio::test]
async fn names_of_images_from_boot_sources_are_reserved() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let document = ResourceDocument {
        boot_source_id: 1,
        completed: maas_core::time::Timestamp(0),
        resource: image("edgy"),
    };
    region.store.put(document).await.unwrap();
    for os in ["custom", "ubuntu"] {
        let taken = Declaration {
            os: os.to_owned(),
            name: "edgy".to_owned(),
            arch: "arm64".to_owned(),
            ..declaration(b"x")
        };
        let problem = declare(&region, &taken).await.unwrap_err();
        assert!(matches!(problem, Problem::Fields(_)), "{problem:?}");
    }
}

#[tokio::test]
async fn a_piece_that_says_where_it_belongs_can_be_sent_twice() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let content = noise(3000);
    let (resource, id) = declared(&region, &declaration(&content)).await;
    let send = async |start: usize, end: usize| {
        let piece = Some(Piece { start: start as u64 });
        receive(&region, &resource.value, id, piece, &mut whole(&content[start..end])).await
    };
    send(0, 1000).await.unwrap();
    send(0, 1000).await.unwrap();
    send(500, 2000).await.unwrap();
    assert_eq!(uploads_of(&region, resource.id).await[0].received, 2000);
    let problem = send(2500, 3000).await.unwrap_err();
    assert!(matches!(problem, Problem::Conflict(_)), "{problem:?}");
    assert!(problem.to_string().contains("from 2000 on"), "{problem}");
    send(1000, 3000).await.unwrap();
    assert!(uploads_of(&region, resource.id).await[0].complete);
}

#[tokio::test]
async fn an_upload_is_gone_on_with_only_by_those_who_ask_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let content = noise(3000);
    let upload = declared(&region, &declaration(&content)).await;
    put(&region, &upload, &content[..1000]).await.unwrap();
    let resume = Declaration { resume: true, ..declaration(&content) };
    let again = declared(&region, &resume).await;
    assert_eq!(again.1, upload.1);
    // A client that knows nothing of it starts from the beginning, and must be able to.
    let anew = declared(&region, &declaration(&content)).await;
    assert_ne!(anew.1, upload.1);
    put(&region, &anew, &content).await.unwrap();
    let uploads = uploads_of(&region, upload.0.id).await;
    assert_eq!(uploads.len(), 1, "the older one is gone: {uploads:?}");
    assert!(!region.images.uploads().part(upload.1).exists());
}

#[tokio::test]
async fn what_came_as_a_whole_before_a_crash_is_completed_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let content = good();
    let (resource, id) = declared(&region, &declaration(&content)).await;
    // Acknowledged, but not completed.
    std::fs::write(region.images.uploads().part(id), &content).unwrap();
    let mut upload = region.store.find::<UploadDocument>(id).await.unwrap().unwrap();
    upload.value.received = upload.value.size;
    region.store.update(upload).await.unwrap();
    let region = crashed(region, dir.path()).await;
    assert!(uploads_of(&region, resource.id).await[0].complete);
    // Completed, but the resource did not learn of it.
    let mut stored = region.store.find::<ResourceDocument>(resource.id).await.unwrap().unwrap();
    stored.value.resource.version.clear();
    stored.value.resource.files.clear();
    region.store.update(stored).await.unwrap();
    let region = crashed(region, dir.path()).await;
    assert!(region.images.current().0[0].root_file().is_some());
}

#[tokio::test]
async fn abandoned_uploads_and_nobodys_files_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let content = noise(3000);
    let upload = declared(&region, &declaration(&content)).await;
    put(&region, &upload, &content[..1000]).await.unwrap();
    let part = region.images.uploads().part(upload.1);
    let nobodys = region.images.uploads().part(999);
    std::fs::write(&nobodys, b"x").unwrap();
    tidy(&region, Duration::from_secs(60)).await.unwrap();
    assert!(part.exists() && !nobodys.exists());
    tidy(&region, Duration::ZERO).await.unwrap();
    assert!(!part.exists());
    assert!(uploads_of(&region, upload.0.id).await.is_empty());
    let resource = region.store.find::<ResourceDocument>(upload.0.id).await.unwrap();
    assert!(resource.is_none(), "it never had a version");
    let problem = put(&region, &upload, &content[1000..]).await.unwrap_err();
    assert_eq!(problem.status(), 404);
}

#[tokio::test]
async fn a_deleted_resource_takes_its_uploads_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let content = noise(3000);
    let upload = declared(&region, &declaration(&content)).await;
    put(&region, &upload, &content[..1000]).await.unwrap();
    let stored = region.store.find::<ResourceDocument>(upload.0.id).await.unwrap().unwrap();
    remove_resource(&region, stored).await.unwrap();
    assert!(!region.images.uploads().part(upload.1).exists());
    assert_eq!(put(&region, &upload, &content[1000..]).await.unwrap_err().status(), 404);
}

/// What happens to an upload.
#[derive(Debug, Clone)]
enum Happening {
    /// A piece arrives.
    Piece(usize),
    /// A piece arrives, and its answer is lost: the client sends it again and says where it belongs.
    Unanswered(usize),
    /// A piece breaks off in the middle.
    Broken(usize),
    /// The server is killed, with bytes in the file that were never acknowledged.
    Crash(usize),
    /// The upload was idle and is reopened.
    Idle,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let size = prop_oneof![1_usize..64, 1_usize..70_000, 1_usize..=(4 << 20)];
    let one = prop_oneof![
        4 => size.clone().prop_map(Happening::Piece),
        2 => size.clone().prop_map(Happening::Unanswered),
        2 => size.prop_map(Happening::Broken),
        1 => (0_usize..100_000).prop_map(Happening::Crash),
        1 => Just(Happening::Idle),
    ];
    proptest::collection::vec(one, 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_happens_on_the_way_the_image_arrives(
        length in prop_oneof![1_usize..5000, 100_000_usize..6_000_000],
        happenings in happenings(),
    ) {
        let content = noise(length);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let done: Result<(), TestCaseError> = runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let mut region = region(dir.path()).await;
            let upload = declared(&region, &declaration(&content)).await;
            let (resource, id) = &upload;
            let mut sent = 0;
            for happening in happenings {
                let rest = &content[sent..];
                if rest.is_empty() {
                    break;
                }
                match happening {
                    Happening::Piece(size) => {
                        let piece = &rest[..size.min(rest.len())];
                        put(&region, &upload, piece).await.unwrap();
                        sent += piece.len();
                    }
                    Happening::Unanswered(size) => {
                        let piece = &rest[..size.min(rest.len())];
                        put(&region, &upload, piece).await.unwrap();
                        let known = Some(Piece { start: sent as u64 });
                        let again =
                            receive(&region, &resource.value, *id, known, &mut whole(piece)).await;
                        sent += piece.len();
                        prop_assert_eq!(again.is_ok(), sent < content.len());
                    }
                    Happening::Broken(size) => {
                        let piece = &rest[..size.min(rest.len())];
                        let off =
                            receive(&region, &resource.value, *id, None, &mut broken(piece)).await;
                        prop_assert!(off.is_err());
                    }
                    Happening::Crash(torn) => {
                        let part = region.images.uploads().part(*id);
                        let mut file =
                            std::fs::OpenOptions::new().create(true).append(true).open(part).unwrap();
                        std::io::Write::write_all(&mut file, &vec![7; torn]).unwrap();
                        region = crashed(region, dir.path()).await;
                    }
                    Happening::Idle => region.images.uploads().forget(*id),
                }
                let known = uploads_of(&region, resource.id).await;
                prop_assert_eq!(known[0].received, sent as u64);
                prop_assert_eq!(known[0].complete, sent == content.len());
            }
            if sent < content.len() {
                put(&region, &upload, &content[sent..]).await.unwrap();
            }
            prop_assert!(uploads_of(&region, resource.id).await[0].complete);
            let blob = region.images.blob(&sha256(&content)).unwrap();
            prop_assert!(std::fs::read(blob.path).unwrap() == content);
            Ok(())
        });
        done?;
    }
}
