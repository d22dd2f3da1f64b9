//! Every cloud-config that is made here, against cloud-init's own schema and MIME reader.
//!
//! Needs `MAAS_CLOUD_INIT_SOURCE` to name a folder that holds cloud-init's sources (and its
//! Python dependencies installed, `MAAS_CLOUD_INIT_PYTHON` for an interpreter of one's own).

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Stdio};

use maas_core::cloud_init::{
    DefaultUser, EphemeralPurpose, EphemeralSettings, HardwareSync, Part, VendorData, compose,
    preseed,
};
use maas_core::deploy::{AptSettings, Endpoints, Repository};
use maas_core::id::SystemId;
use maas_core::machine::NodeCredentials;
use maas_core::secret::Secret;
use maas_netconfig::yaml::{self, Value};

const PURPOSES: [EphemeralPurpose; 11] = [
    EphemeralPurpose::Enlistment,
    EphemeralPurpose::Commissioning { enable_ssh: false },
    EphemeralPurpose::Commissioning { enable_ssh: true },
    EphemeralPurpose::Testing { enable_ssh: false, was_on: true },
    EphemeralPurpose::Testing { enable_ssh: false, was_on: false },
    EphemeralPurpose::Rescue,
    EphemeralPurpose::Erasing,
    EphemeralPurpose::Releasing,
    EphemeralPurpose::Deployment,
    EphemeralPurpose::EphemeralDeployment,
    EphemeralPurpose::PowerOff,
];

fn credentials() -> NodeCredentials {
    NodeCredentials {
        consumer_key: "ck".into(),
        token_key: "tk".into(),
        token_secret: Secret::new("ts".into()),
    }
}

/// Every document with its name.
fn documents() -> Vec<(String, String)> {
    let machine = SystemId::from_entropy(1);
    let credentials = credentials();
    let endpoints = Endpoints::new("10.0.0.1");
    let apt = AptSettings {
        http_proxy: Some("http://10.0.0.1:8000/".into()),
        repositories: vec![Repository {
            name: "extra".into(),
            url: "http://example.com/debian".into(),
            distributions: vec![],
            components: vec![],
            key: None,
        }],
        ..Default::default()
    };
    let mut documents = Vec::new();
    for purpose in PURPOSES {
        for (os, release) in [("ubuntu", "jammy"), ("ubuntu", "noble"), ("debian", "bookworm")] {
            let settings = EphemeralSettings {
                os: os.into(),
                release: release.into(),
                arch: "amd64".into(),
                apt: apt.clone(),
                packages: vec!["python3-yaml".into()],
            };
            let known =
                (purpose != EphemeralPurpose::Enlistment).then_some((&machine, &credentials));
            let text = preseed(purpose, known, &settings, &endpoints).into_inner();
            documents.push((format!("{purpose:?} {release}"), text));
        }
    }
    let mut vendor = VendorData {
        default_user: Some(DefaultUser { name: "admin".into(), gecos: "The admin".into() }),
        ntp: vec!["10.0.0.1".into(), "ntp.example".into()],
        packages: vec!["openvswitch-switch".into()],
        snap_commands: vec!["snap set system proxy.http=x".into()],
        ..Default::default()
    };
    vendor.add_hardware_sync(
        HardwareSync { interval_seconds: 900 },
        &machine,
        &credentials,
        &endpoints,
    );
    let item: Value = yaml::from_str(vendor.item().expose()).unwrap();
    let text = item.get("cloud-init").unwrap().as_str().unwrap().to_owned();
    documents.push(("vendor data".into(), text));
    documents
}

#[test]
fn every_document_is_a_cloud_config_whose_yaml_is_read_back() {
    for (name, text) in documents() {
        let body = text.strip_prefix("#cloud-config\n").unwrap_or_else(|| panic!("{name}"));
        let value: Value = yaml::from_str(body).unwrap();
        assert!(value.as_map().is_some(), "{name}");
    }
}

const VALIDATE: &str = "
import json, sys
sys.path.insert(0, sys.argv[1])
import yaml
from cloudinit.config.schema import validate_cloudconfig_schema
from cloudinit.user_data import UserDataProcessor
job = json.load(sys.stdin)
for name, text in job['documents']:
    config = yaml.safe_load(text)
    # Not of user data's schema: the datasource's own settings.
    config.pop('datasource', None)
    config.pop('system_info', None)
    try:
        validate_cloudconfig_schema(config, strict=True, log_deprecations=False)
    except Exception as error:
        print(name, error)
message = UserDataProcessor({}).process(job['mime'].encode())
for part in message.walk():
    if part.get_content_maintype() != 'multipart':
        print('part', part.get_content_type(), part.get_filename(), len(part.get_payload(decode=True)))
";

#[test]
fn the_real_cloud_init_accepts_every_document() {
    let Some(source) = std::env::var_os("MAAS_CLOUD_INIT_SOURCE") else {
        println!(
            "SKIPPED: MAAS_CLOUD_INIT_SOURCE does not name a folder with cloud-init's sources"
        );
        return;
    };
    let part = |content_type: &str, filename: &str, body: &[u8]| Part {
        content_type: content_type.into(),
        filename: filename.into(),
        body: body.to_vec(),
    };
    let mime = compose(&[
        part("text/x-shellscript", "run.sh", "#!/bin/sh\necho é\n".as_bytes()),
        part("text/cloud-config", "more.cfg", b"#cloud-config\npackages: [vim]\n"),
    ]);
    let python = std::env::var_os("MAAS_CLOUD_INIT_PYTHON").unwrap_or_else(|| "python3".into());
    let mut child = Command::new(python)
        .args(["-c", VALIDATE])
        .arg(source)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let job = serde_json::json!({"documents": documents(), "mime": mime});
    child.stdin.take().unwrap().write_all(job.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "part text/x-shellscript run.sh 18\npart text/cloud-config more.cfg 30\n"
    );
    assert!(output.status.success());
}
