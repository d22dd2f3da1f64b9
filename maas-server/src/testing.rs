//! What several modules' tests start from: a region over empty stores, a machine, an image.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use maas_core::commission::result::{ScriptRun, ScriptStatus, ScriptType};
use maas_core::deploy::{DeploymentOptions, DeploymentPlan, Endpoints, Facts};
use maas_core::id::SystemId;
use maas_core::image::{BootResource, FileType, ImageFile, Images as Resources, Origin};
use maas_core::machine::{Machine, NewMachine, NodeCredentials};
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

use crate::config::Config;
use crate::http::Fields;
use crate::images::Images;
use crate::region::Region;
use crate::store::{MemoryStore, Store};

/// A region over empty stores; images lie below `dir`.
pub(crate) async fn region(dir: &Path) -> Region {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let images = Images::open(dir.join("images"), &*store).await.unwrap();
    Region::new(store, images, Config::default(), ([127, 0, 0, 1], 5248).into(), None)
}

/// A machine of which nothing is known but its architecture and one MAC address; `number` tells
/// it from others.
pub(crate) fn machine(number: u8) -> Machine {
    let credentials = NodeCredentials {
        consumer_key: format!("consumer{number}"),
        token_key: format!("token{number}"),
        token_secret: Secret::new("secret".to_owned()),
    };
    let id = SystemId::from_entropy(u64::from(number));
    let mut new = NewMachine::new(id, format!("node{number}"), "amd64", credentials);
    new.mac_addresses = vec![format!("52:54:00:00:00:{number:02x}")];
    Machine::added(new, Timestamp(1_000_000)).unwrap()
}

/// An Ubuntu image with kernel, initial RAM disk and root file system.
pub(crate) fn image(release: &str) -> BootResource {
    let file = |filetype: FileType, digit: &str| ImageFile {
        filename: filetype.as_str().to_owned(),
        filetype,
        sha256: digit.repeat(64),
        size: 1,
    };
    BootResource {
        os: "ubuntu".to_owned(),
        release: release.to_owned(),
        arch: "amd64".to_owned(),
        subarch: "ga-24.04".to_owned(),
        kflavor: "generic".to_owned(),
        label: "stable".to_owned(),
        version: "1".to_owned(),
        subarches: vec!["generic".to_owned()],
        kpackage: Some("linux-generic".to_owned()),
        kparams: None,
        title: "24.04 LTS".to_owned(),
        files: vec![
            file(FileType::BootKernel, "1"),
            file(FileType::BootInitrd, "2"),
            file(FileType::Squashfs, "3"),
        ],
        origin: Origin::Standard { boot_source: "http://images.example/".to_owned() },
    }
}

/// A plan that runs noble from memory: it needs no disk.
pub(crate) fn plan(images: &Resources) -> DeploymentPlan {
    let options = DeploymentOptions {
        osystem: "ubuntu".to_owned(),
        distro_series: "noble".to_owned(),
        ephemeral: true,
        ..DeploymentOptions::default()
    };
    let mut machine = machine(1);
    machine.status = maas_core::machine::Status::Allocated;
    machine.owner = Some("alice".to_owned());
    let facts = Facts::from(&*machine.hardware);
    let endpoints = Endpoints::new("127.0.0.1".to_owned());
    DeploymentPlan::new(&machine, &facts, images, &options, &endpoints).unwrap()
}

/// A boot loader's archive (`tar.xz`) with these members.
pub(crate) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 0);
    packed.write_all(&tar.into_inner().unwrap()).unwrap();
    packed.finish().unwrap()
}

/// A pending run of a script on a machine.
pub(crate) fn run(id: u64, name: &str, script_type: ScriptType) -> ScriptRun {
    ScriptRun {
        id,
        name: name.to_owned(),
        script_type,
        status: ScriptStatus::Running,
        exit_status: None,
        started: None,
        ended: None,
        parameters: std::collections::BTreeMap::new(),
        timeout_seconds: 0,
        may_reboot: false,
        hardware_type: maas_core::commission::script::HardwareType::Node,
    }
}

/// A form with these fields.
pub(crate) fn form(fields: &[(&str, &str)]) -> Fields {
    fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}
