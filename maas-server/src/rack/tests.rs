#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use maas_core::machine::Status;
use maas_core::time::Timestamp;

use super::*;
use crate::http::{Api, ApiTitle, Connection, Limits};
use crate::images::documents::ResourceDocument;
use crate::region::OauthAuthenticator;
use crate::store::NewMachine;
use crate::testing::{image, machine, region};

struct Rack {
    api: Api<Region>,
    _dir: tempfile::TempDir,
}

impl Rack {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let region = Arc::new(region(dir.path()).await);
        let title =
            ApiTitle { title: "T".to_owned(), version: "1".to_owned(), doc: "D".to_owned() };
        let authenticator = OauthAuthenticator::default();
        let api = Api::new(region, operations(), authenticator, title, Limits::default()).unwrap();
        Self { api, _dir: dir }
    }

    fn region(&self) -> &Region {
        self.api.state()
    }

    async fn with_noble(self) -> Self {
        let mut resource = image("noble");
        for file in &mut resource.files {
            let content = format!("the {}", file.filename);
            let blob = self.region().images.blobs().import_bytes(content.as_bytes()).await.unwrap();
            file.sha256 = blob.sha256.to_string();
            file.size = blob.size;
        }
        let document = ResourceDocument { boot_source_id: 1, completed: Timestamp(0), resource };
        self.region().store.put(document).await.unwrap();
        self.region().images.reload(&*self.region().store).await.unwrap();
        self
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
        let answer = self.api.call(request, Connection::default()).await;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }
}

const NOT_FOUND: StatusCode = StatusCode::NOT_FOUND;

#[tokio::test]
async fn a_file_is_found_by_its_hash_or_an_unambiguous_beginning_of_it() {
    let rack = Rack::new().await.with_noble().await;
    let kernel = rack.region().images.current().0[0].files[0].sha256.clone();
    for path in [
        format!("/images/{kernel}/ubuntu/amd64/ga-24.04/noble/stable/boot-kernel"),
        format!("/images/{kernel}/whatever"),
        format!("/images/{}/x", &kernel[..7]),
        format!("/images/{}/x", kernel.to_uppercase()),
    ] {
        assert_eq!(rack.get(&path).await, (StatusCode::OK, "the boot-kernel".to_owned()), "{path}");
    }
    for path in [
        format!("/images/{}/x", &kernel[..6]),
        format!("/images/{}/x", "0".repeat(64)),
        "/images/../../etc/passwd".to_owned(),
        "/images/%2e%2e/%2e%2e/etc/passwd".to_owned(),
        "/images/".to_owned(),
    ] {
        assert_eq!(rack.get(&path).await.0, NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn boot_loaders_are_served_from_where_they_were_unpacked_and_nothing_else_is() {
    let rack = Rack::new().await;
    let folder = rack.region().images.bootloader_dir("uefi", "amd64");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("bootx64.efi"), b"MZ").unwrap();
    std::fs::write(rack.region().images.dir().join("secret"), b"x").unwrap();
    assert_eq!(rack.get("/bootx64.efi").await, (StatusCode::OK, "MZ".to_owned()));
    for path in ["/secret", "/bootloaders/../secret", "/grubaa64.efi", "/maas.sqlite"] {
        assert_eq!(rack.get(path).await.0, NOT_FOUND, "{path}");
    }
    let (status, text) = rack.get("/grub/x86_64-efi/command.lst").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, ""), "an empty list, not 404");
}

#[tokio::test]
async fn an_unknown_machine_is_sent_to_enlistment_by_the_last_name_it_tries() {
    let rack = Rack::new().await.with_noble().await;
    assert_eq!(rack.get("/ipxe.cfg-52:54:00:00:00:01").await.0, NOT_FOUND);
    let (status, script) = rack.get("/ipxe.cfg-default-amd64").await;
    assert_eq!(status, StatusCode::OK);
    assert!(script.contains("boot-kernel") && script.contains("enlist"), "{script}");
}

#[tokio::test]
async fn without_an_image_an_unknown_machine_is_told_what_is_missing() {
    let rack = Rack::new().await;
    let (status, text) = rack.get("/ipxe.cfg-default-amd64").await;
    assert_eq!(status, NOT_FOUND);
    assert!(text.contains("ephemeral image"), "{text}");
}

#[tokio::test]
async fn a_known_machine_is_told_by_its_status_and_remembered_by_its_boot() {
    let rack = Rack::new().await.with_noble().await;
    let mut known = machine(1);
    known.status = Status::Commissioning;
    known.netboot = true;
    let id = known.system_id.clone();
    rack.region().store.add(NewMachine::new(known)).await.unwrap();
    let (status, script) = rack.get("/ipxe.cfg-52%3A54%3A00%3A00%3A00%3A01").await;
    assert_eq!(status, StatusCode::OK);
    assert!(script.contains(id.as_str()), "its own pre-seed: {script}");
    let seen = rack.region().store.machine(&id).await.unwrap().unwrap();
    assert_eq!(seen.boot.bios_boot_method, "ipxe");
    assert_eq!(seen.boot.boot_mac.as_deref(), Some("52:54:00:00:00:01"));
}

#[tokio::test]
async fn a_machine_whose_image_is_missing_fails_with_the_remedy() {
    let rack = Rack::new().await;
    let mut known = machine(1);
    known.status = Status::Commissioning;
    let id = known.system_id.clone();
    rack.region().store.add(NewMachine::new(known)).await.unwrap();
    assert_eq!(rack.get("/ipxe.cfg-52:54:00:00:00:01").await.0, NOT_FOUND);
    let failed = rack.region().store.machine(&id).await.unwrap().unwrap();
    assert_eq!(failed.status, Status::FailedCommissioning);
    assert!(failed.error_description.contains("ephemeral image"), "{}", failed.error_description);
}
