//! Every cloud-config that is made here, against cloud-init's own schema and MIME reader.
//!
//! Takes the distribution's cloud-init, or the sources in the folder that `MAAS_CLOUD_INIT_SOURCE`
//! names (with `MAAS_CLOUD_INIT_PYTHON` for an interpreter of one's own). Says `SKIPPED: …` without
//! one, and fails instead when `MAAS_TEST_PEERS=require` is set.

#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, Stdio};

use maas_core::cloud_init::{
    DefaultUser, EphemeralPurpose, EphemeralSettings, HardwareSync, Part, VendorData,
    check_user_data, compose, preseed,
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
    // What curtin writes into the installed system.
    let written = maas_core::curtin::cloud_config(&machine, &credentials, &endpoints);
    let files = written.get("cloudconfig").and_then(Value::as_map).unwrap();
    assert!(!files.is_empty());
    for (name, file) in files.iter() {
        let content = file.get("content").and_then(Value::as_str).unwrap();
        let body = content.strip_prefix("#cloud-config\n").unwrap_or(content);
        documents.push((format!("installed {name}"), format!("#cloud-config\n{body}")));
    }
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
if sys.argv[1]:
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

/// An interpreter, and the folder from which it can import cloud-init; empty for its own.
fn cloud_init() -> Option<(OsString, OsString)> {
    if let Some(source) = std::env::var_os("MAAS_CLOUD_INIT_SOURCE") {
        let python = std::env::var_os("MAAS_CLOUD_INIT_PYTHON");
        return Some((python.unwrap_or_else(|| "python3".into()), source));
    }
    // The distribution's packages belong to its own interpreter, whatever comes first in PATH.
    for python in ["/usr/bin/python3", "python3"] {
        let imports = Command::new(python)
            .args(["-c", "import cloudinit.config.schema, jsonschema, yaml"])
            .stderr(Stdio::null())
            .status();
        if imports.is_ok_and(|status| status.success()) {
            return Some((python.into(), OsString::new()));
        }
    }
    let required = std::env::var_os("MAAS_TEST_PEERS").is_some_and(|value| value == "require");
    assert!(!required, "cloud-init is not here, and MAAS_TEST_PEERS=require");
    // Past the test harness's capture, so that it is seen.
    Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("SKIPPED: cloud-init is not here; its schema accepted nothing\n"),
    )
    .unwrap();
    None
}

#[test]
fn the_real_cloud_init_accepts_every_document() {
    let Some((python, source)) = cloud_init() else { return };
    let part = |content_type: &str, filename: &str, body: &[u8]| Part {
        content_type: content_type.into(),
        filename: filename.into(),
        body: body.to_vec(),
    };
    let mime = compose(&[
        part("text/x-shellscript", "run.sh", "#!/bin/sh\necho é\n".as_bytes()),
        part("text/cloud-config", "more.cfg", b"#cloud-config\npackages: [vim]\n"),
    ]);
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

const JUDGE: &str = "
import json, sys
if sys.argv[1]:
    sys.path.insert(0, sys.argv[1])
from cloudinit.config.schema import get_schema
import jsonschema
schema = get_schema()
names = set(schema.get('properties', {}))
for one in schema['allOf']:
    names.update(schema['$defs'][one['$ref'].rsplit('/', 1)[-1]].get('properties', {}))
validator = jsonschema.Draft4Validator(schema)
for name in sorted(names):
    for value in json.load(open(sys.argv[2])):
        errors = [error.message for error in validator.iter_errors({name: value})]
        print(json.dumps([name, value, errors]))
";

/// Values of every kind, some as they are right for one module or another.
fn values() -> serde_json::Value {
    serde_json::json!([
        null, true, "a", "reboot", 5, [], ["a"], [5], [null], [["a", "b"]], [{"name": "a"}],
        [{"path": "/a"}], [{"path": 5}], [{"content": "a"}], {}, {"a": "b"}, {"a": 5},
        {"mode": "reboot"}, {"mode": "auto"}, {"mode": 5}, {"servers": ["a"]}, {"servers": "a"},
        {"url": "http://a/"}, {"layout": "us"}, {"filename": "/swap", "size": "auto"},
        {"expire": true, "list": ["a:b"]}, {"enabled": true}, {"trusted": ["a"]},
        [{"filesystem": "ext4", "device": "/dev/vdb", "partition": "auto"}],
        [{"name": "a", "groups": ["b"], "sudo": false, "uid": 5}], [{"arches": ["default"]}],
    ])
}

/// No alarm about what cloud-init itself takes; what it would not take is mostly noticed.
#[test]
fn our_rules_never_refuse_what_the_real_schema_accepts() {
    let Some((python, source)) = cloud_init() else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), values().to_string()).unwrap();
    let output =
        Command::new(python).args(["-c", JUDGE]).arg(source).arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut judged, mut refused, mut noticed) = (0, 0, 0);
    let mut alarms = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (name, value, errors): (String, serde_json::Value, Vec<String>) =
            serde_json::from_str(line).unwrap();
        let text = format!("#cloud-config\n{}\n", serde_json::json!({ &name: value }));
        let warnings = check_user_data(text.as_bytes()).unwrap().warnings;
        // cloud-init 22.4 takes anything for groups, and fails of it when it makes them.
        if !warnings.is_empty() && errors.is_empty() && name != "groups" {
            alarms.push(format!("{}: {warnings:?}", text.trim_end()));
        }
        judged += 1;
        refused += usize::from(!errors.is_empty());
        noticed += usize::from(!errors.is_empty() && !warnings.is_empty());
    }
    assert!(alarms.is_empty(), "accepted by cloud-init:\n{}", alarms.join("\n"));
    println!("{judged} documents, {refused} refused by cloud-init, {noticed} of them noticed here");
    assert!(judged > 2000 && noticed * 10 > refused * 7, "{judged} {refused} {noticed}");
}
