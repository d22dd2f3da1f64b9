#![allow(clippy::unwrap_used)]

mod service;

use std::net::SocketAddr;
use std::process::Command;

use maas_core::id::SystemId;
use maas_core::machine::{Power, PowerState};

use self::service::{Answer, Service};
use super::super::testing::{Peer, are_here, free_port, power};
use super::*;
use crate::power::Drivers;

fn id() -> SystemId {
    SystemId::from_entropy(7)
}

fn at(address: &str, more: &[(&str, &str)]) -> Power {
    let mut all =
        vec![("power_address", address), ("power_user", "maas"), ("power_pass", "s3cret")];
    for (name, value) in more {
        all.retain(|(known, _)| known != name);
        all.push((name, value));
    }
    power("redfish", &all)
}

/// OpenStack's sushy-emulator with two systems of its own fake driver.
fn emulator(dir: &std::path::Path, scheme: &str) -> Option<(Peer, String)> {
    if !are_here(&["sushy-emulator"], "the Redfish driver against sushy-emulator") {
        return None;
    }
    let port = free_port();
    // The password is s3cret.
    let users = "maas:$2b$04$Q.q2aU7JQeu24cVkgqXOUevSoi17eZPwvj8HoSVCpwFFutmXjQpQa\n";
    std::fs::write(dir.join("users"), users).unwrap();
    let path = dir.to_str().unwrap();
    let config = format!(
        "SUSHY_EMULATOR_FAKE_DRIVER = True\n\
         SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'\n\
         SUSHY_EMULATOR_LISTEN_PORT = {port}\n\
         SUSHY_EMULATOR_STATE_DIR = '{path}'\n\
         SUSHY_EMULATOR_AUTH_FILE = '{path}/users'\n\
         SUSHY_EMULATOR_FAKE_SYSTEMS = [{{'uuid': '{ONE}', 'name': 'one', 'power_state': 'Off', \
         'nics': []}}]\n"
    );
    let tls = if scheme == "https" {
        certificate(dir);
        format!("SUSHY_EMULATOR_SSL_CERT = '{path}/cert'\nSUSHY_EMULATOR_SSL_KEY = '{path}/key'\n")
    } else {
        String::new()
    };
    std::fs::write(dir.join("config"), config + &tls).unwrap();
    let mut command = Command::new("sushy-emulator");
    command.args(["--config", "config"]).current_dir(dir);
    let peer = Peer::start(&mut command, &dir.join("emulator.log"));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    Some((peer.listens(address), format!("{scheme}://{address}")))
}

/// A certificate that a controller comes with: signed by itself.
fn certificate(dir: &std::path::Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bmc"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key", "-out", "cert"])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

const ONE: &str = "da69abcc-dae0-4913-9a7b-d344043097c0";

#[tokio::test]
async fn an_emulated_machine_is_switched_and_told_to_boot_from_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_peer, url)) = emulator(dir.path(), "http") else { return };
    let drivers = Drivers::default();
    let by_id = at(&url, &[("node_id", ONE)]);
    assert_eq!(drivers.query(&id(), &by_id).await.unwrap(), PowerState::Off);
    assert_eq!(drivers.on(&id(), &by_id).await.unwrap(), PowerState::On);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let system = format!("{url}/redfish/v1/Systems/{ONE}");
    let system = http.get(system).basic_auth("maas", Some("s3cret")).send().await.unwrap();
    let system = system.bytes().await.unwrap();
    let system: serde_json::Value = serde_json::from_slice(&system).unwrap();
    assert_eq!(system["Boot"]["BootSourceOverrideTarget"], "Pxe");
    // Discovered: it is the only one.
    let found = at(&url, &[]);
    assert_eq!(drivers.off(&id(), &found).await.unwrap(), PowerState::Off);
    let wrong = at(&url, &[("power_pass", "hunter2")]);
    let error = drivers.query(&id(), &wrong).await.unwrap_err();
    assert!(matches!(error, PowerError::Auth { .. }) && !error.is_retryable(), "{error}");
    assert!(!format!("{error} {error:?} {wrong:?}").contains("hunter2"));
    let unknown = at(&url, &[("node_id", "nobody")]);
    let error = drivers.query(&id(), &unknown).await.unwrap_err();
    assert!(matches!(error, PowerError::Action { .. }), "{error}");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_unless_the_operator_says_otherwise() {
    if !are_here(&["openssl"], "the Redfish driver against a certificate of its own") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some((_peer, url)) = emulator(dir.path(), "https") else { return };
    let drivers = Drivers::default();
    for more in [&[][..], &[("power_verify_ssl", "y")]] {
        let error = drivers.query(&id(), &at(&url, more)).await.unwrap_err();
        assert!(matches!(error, PowerError::Connection { .. }), "{error}");
        assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
    }
    let trusting = at(&url, &[("power_verify_ssl", "n")]);
    assert_eq!(drivers.query(&id(), &trusting).await.unwrap(), PowerState::Off);
}

fn system(state: &str) -> String {
    let reset = "#ComputerSystem.Reset";
    serde_json::json!({
        "PowerState": state,
        "@Redfish.Settings": {
            "SettingsObject": {"@odata.id": "/redfish/v1/Systems/1/Settings"}
        },
        "Actions": {reset: {
            "target": "/redfish/v1/Systems/1/Actions/Reset",
            "ResetType@Redfish.AllowableValues": ["ForceOn", "ForceOff", "GracefulShutdown"],
        }},
    })
    .to_string()
}

#[tokio::test]
async fn settings_are_changed_by_their_tag_and_resets_are_those_that_are_known() {
    let mut on = false;
    let mut tag = 1;
    let service = Service::start(move |request| {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/redfish/v1/Systems/1") => {
                Answer::json(&system(if on { "On" } else { "Off" }))
            }
            ("GET", "/redfish/v1/Systems/1/Settings") => {
                Answer::json("{}").header(format!("ETag: \"{tag}\""))
            }
            // Somebody else was faster, once.
            ("PATCH", "/redfish/v1/Systems/1/Settings") if tag == 1 => {
                tag = 2;
                Answer::status(412)
            }
            ("PATCH", _) if request.head.contains("if-match: \"2\"") => Answer::status(204),
            ("POST", "/redfish/v1/Systems/1/Actions/Reset") => {
                on = request.body.contains("ForceOn");
                Answer::status(202)
            }
            _ => Answer::status(400),
        }
    });
    let power = at(&service.url, &[("node_id", "1"), ("power_off_mode", "soft")]);
    let drivers = Drivers::default();
    assert_eq!(drivers.on(&id(), &power).await.unwrap(), PowerState::On);
    assert_eq!(drivers.off(&id(), &power).await.unwrap(), PowerState::Off);
    let bodies: Vec<String> = service.bodies();
    assert!(bodies.iter().any(|body| body.contains(r#""BootSourceOverrideTarget":"Pxe""#)));
    assert_eq!(bodies.last().unwrap(), r#"{"ResetType":"GracefulShutdown"}"#);
}

#[tokio::test]
async fn one_of_several_systems_is_not_guessed() {
    let service = Service::start(|_| {
        Answer::json(
            r#"{"Members": [{"@odata.id": "/redfish/v1/Systems/blade-1"},
                            {"@odata.id": "/redfish/v1/Systems/blade-2"}]}"#,
        )
    });
    let error = Drivers::default().query(&id(), &at(&service.url, &[])).await.unwrap_err();
    assert!(error.to_string().ends_with("`node_id`: must be one of blade-1, blade-2"), "{error}");
}

#[tokio::test]
async fn credentials_follow_redirects_on_the_same_host_only() {
    let elsewhere = Service::start(|_| Answer::json(&system("On")));
    let to = elsewhere.url.clone();
    let service = Service::start(move |request| match request.path.as_str() {
        "/redfish/v1/Systems/1" => Answer::redirect("/redfish/v1/Systems/one"),
        "/redfish/v1/Systems/one" => Answer::json(&system("On")),
        "/redfish/v1/Systems/2" => Answer::redirect(&format!("{to}/redfish/v1/Systems/2")),
        _ => Answer::redirect("/redfish/v1/Systems/round"),
    });
    let drivers = Drivers::default();
    let query = |node: &'static str| at(&service.url, &[("node_id", node)]);
    assert_eq!(drivers.query(&id(), &query("1")).await.unwrap(), PowerState::On);
    let error = drivers.query(&id(), &query("2")).await.unwrap_err();
    assert!(error.to_string().contains("another host"), "{error}");
    assert!(elsewhere.bodies().is_empty(), "nothing was sent there");
    let error = drivers.query(&id(), &query("round")).await.unwrap_err();
    assert!(error.to_string().contains("redirects"), "{error}");
}

#[tokio::test]
async fn what_is_no_redfish_is_an_error_of_its_kind() {
    let service = Service::start(|request| match request.path.as_str() {
        "/redfish/v1/Systems" => Answer::json("<html>"),
        "/redfish/v1/Systems/denied" => Answer::status(403),
        "/redfish/v1/Systems/broken" => Answer {
            status: 500,
            headers: Vec::new(),
            body: r#"{"error": {"message": "out of order"}}"#.to_owned(),
        },
        "/redfish/v1/Systems/large" => Answer::json(&"x".repeat(2 << 20)),
        // With a slash only.
        "/redfish/v1/Systems/slash/" => Answer::json(&system("PoweringOff")),
        _ => Answer::status(404),
    });
    let drivers = Drivers::default();
    let query =
        async |node: &str| drivers.query(&id(), &at(&service.url, &[("node_id", node)])).await;
    assert!(matches!(query("").await, Err(PowerError::Action { .. })));
    assert!(matches!(query("denied").await, Err(PowerError::Auth { .. })));
    let error = query("broken").await.unwrap_err();
    assert!(error.to_string().contains("out of order") && error.is_retryable(), "{error}");
    assert!(matches!(query("large").await, Err(PowerError::Action { .. })));
    assert_eq!(query("slash").await.unwrap(), PowerState::On);
    for wrong in ["../Managers/1", "a/b", "..", "a?b"] {
        assert!(matches!(query(wrong).await, Err(PowerError::Setting { name: "node_id", .. })));
    }
    let nowhere = drivers.query(&id(), &at("http://127.0.0.1:1", &[])).await;
    assert!(matches!(nowhere, Err(PowerError::Connection { .. })));
    let wrong = drivers.query(&id(), &at("ftp://h", &[])).await;
    assert!(matches!(wrong, Err(PowerError::Setting { name: "power_address", .. })));
}
