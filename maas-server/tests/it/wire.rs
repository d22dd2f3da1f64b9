//! The traps of the wire protocol (boot-and-metadata §7), as bytes.

use std::time::{Duration, SystemTime};

use maas_core::machine::{Machine, Status, Step};
use maas_server::clock;

use super::support::client::{Call, Dialect, Key, nonce, now};
use super::support::server::{Running, node_key};

const MAC: &str = "52:54:00:aa:bb:01";
const MAC_DASHES: &str = "52-54-00-aa-bb-01";

/// Images, and one machine in this status with a MAC address, which has netbooted already: before
/// that, the server takes its words for echoes of an earlier run.
fn with_machine(status: Status) -> (Running, Machine) {
    let running = Running::with_images(|_| {});
    let machine = running.add_machine(|machine| {
        machine.status = status;
        machine.mac_addresses = [MAC.to_owned()].into();
        machine.last_step = Some(Step { at: clock::now(), what: "firmware: netboot".to_owned() });
        if status == Status::Deploying {
            machine.owner = Some("root".to_owned());
        }
    });
    (running, machine)
}

#[test]
fn a_loader_with_an_unknown_mac_is_answered_404_in_every_spelling() {
    let running = Running::with_images(|_| {});
    for path in [
        "/ipxe.cfg-52:54:00:00:00:01",
        "/ipxe.cfg-52%3A54%3A00%3A00%3A00%3A01",
        "/ipxe.cfg-52%3a54%3a00%3a00%3a00%3a01",
        "/grub/grub.cfg-52:54:00:00:00:01",
        "/grub/grub.cfg-52-54-00-00-00-01",
        "/grub/grub.cfg-52%3A54%3A00%3A00%3A00%3A01",
        "/pxelinux.cfg/01-52-54-00-00-00-01",
        "/pxelinux.cfg/b1d3aa11-4c26-4a4c-9d0b-0123456789ab",
        "//ipxe.cfg-52:54:00:00:00:01",
    ] {
        for call in [Call::get(path), Call::head(path)] {
            assert_eq!(call.send(running.rack).status, 404, "{path}");
        }
    }
    assert_eq!(running.machines().len(), 0);
    // The next name that a loader tries leads to enlistment.
    for path in ["/ipxe.cfg-default-amd64", "/grub/grub.cfg-default-amd64", "/pxelinux.cfg/default"]
    {
        let text = Call::get(path).send(running.rack).ok().text();
        assert!(text.contains("enlist-preseed"), "{path}: {text}");
    }
}

#[test]
fn a_known_mac_is_found_in_every_spelling() {
    let (running, machine) = with_machine(Status::Commissioning);
    let id = machine.system_id.to_string();
    for path in [
        format!("/ipxe.cfg-{MAC}"),
        format!("/ipxe.cfg-{}", MAC.replace(':', "%3A")),
        format!("/ipxe.cfg-{}", MAC.to_uppercase()),
        format!("/grub/grub.cfg-{MAC}"),
        format!("/grub/grub.cfg-{MAC_DASHES}"),
        format!("/pxelinux.cfg/01-{MAC_DASHES}"),
    ] {
        let answer = Call::get(&path).send(running.rack).ok();
        assert!(answer.text().contains(&format!("by-id/{id}")), "{path}: {}", answer.text());
        let head = Call::head(&path).send(running.rack);
        assert_eq!(head.status, 200, "{path}");
        assert_eq!(head.body, b"", "{path}");
        assert_eq!(head.header("content-length"), Some(&*answer.body.len().to_string()), "{path}");
    }
}

#[test]
fn urls_in_boot_files_have_the_racks_port_whatever_the_host_header_says() {
    let (running, _) = with_machine(Status::Commissioning);
    let bytes =
        format!("GET /grub/grub.cfg-{MAC} HTTP/1.1\r\nHost: 10.9.8.7\r\nConnection: close\r\n\r\n");
    let answer = super::support::client::exchange(running.rack, bytes.as_bytes()).unwrap().ok();
    let text = answer.text();
    assert!(!text.contains("10.9.8.7"), "{text}");
    assert!(text.contains(&running.rack.to_string()), "{text}");
}

#[test]
fn head_has_the_length_and_no_body() {
    let running = Running::with_images(|_| {});
    let script = Call::get("/ipxe.cfg-default-amd64").send(running.rack).ok().text();
    let kernel = script
        .split_whitespace()
        .find(|word| word.ends_with("/boot-kernel"))
        .unwrap_or_else(|| panic!("no kernel in {script}"));
    let kernel = kernel.split_once("/images/").unwrap().1;
    let mut paths = vec![
        format!("/images/{kernel}"),
        "/ipxe.cfg".to_owned(),
        "/grub/grub.cfg".to_owned(),
        "/ipxe.cfg-default-amd64".to_owned(),
        "/bootx64.efi".to_owned(),
        "/MAAS/api/2.0/version/".to_owned(),
        "/MAAS/machine-resources/amd64".to_owned(),
    ];
    paths.push(format!("/images/{}", kernel.replace("boot-kernel", "any-other-name")));
    for path in paths {
        let whole = Call::get(&path).send(running.rack).ok();
        assert!(!whole.body.is_empty(), "{path}");
        let head = Call::head(&path).header("User-Agent", "UefiHttpBoot/1.0");
        // RFC 9110 14.2: a range has a meaning for GET alone.
        let head = head.header("Range", "bytes=0-0").send(running.rack);
        assert_eq!(head.status, 200, "{path}");
        assert_eq!(head.body, b"", "{path}");
        assert_eq!(head.header("content-length"), Some(&*whole.body.len().to_string()), "{path}");
        assert_eq!(head.header("content-type"), whole.header("content-type"), "{path}");
    }
}

#[test]
fn grub_module_lists_that_are_missing_are_empty() {
    let running = Running::with_images(|_| {});
    for name in ["command", "fs", "crypto", "terminal"] {
        for prefix in ["/grub/x86_64-efi", "//grub/x86_64-efi"] {
            let path = format!("{prefix}/{name}.lst");
            let answer = Call::get(&path).send(running.rack);
            assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
            assert_eq!(answer.header("content-length"), Some("0"), "{path}");
            assert_eq!(Call::head(&path).send(running.rack).status, 200, "{path}");
        }
    }
}

#[test]
fn paths_that_lead_out_are_not_there() {
    let running = Running::with_images(|_| {});
    for path in [
        "/../maas.sqlite",
        "/images/../maas.sqlite",
        "/images/%2e%2e/maas.sqlite",
        "/images/..%2fmaas.sqlite",
        "/..%2f..%2fetc/passwd",
        "/images/%00",
        "/images/",
        "/images/ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff/boot-kernel",
        "/%ff",
    ] {
        let answer = Call::get(path).send(running.rack);
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
    }
}

#[test]
fn metadata_paths_may_have_double_slashes() {
    let (running, machine) = with_machine(Status::Commissioning);
    let key = node_key(&machine);
    for path in [
        "/MAAS/metadata//2012-03-01/meta-data/instance-id",
        "//MAAS//metadata/2012-03-01//meta-data//instance-id",
        "/MAAS/metadata/latest/meta-data/instance-id",
        "/MAAS/metadata/curtin//2012-03-01/meta-data/instance-id",
    ] {
        for address in [running.region, running.rack] {
            let answer = Call::get(path).signed(&key).send(address).ok();
            assert_eq!(answer.text(), machine.system_id.to_string(), "{path}");
        }
    }
}

#[test]
fn an_unknown_version_is_told_so() {
    let (running, machine) = with_machine(Status::Commissioning);
    for path in ["/MAAS/metadata/2009-04-04/meta-data/instance-id", "/MAAS/metadata/2009-04-04/"] {
        let answer = Call::get(path).signed(&node_key(&machine)).send(running.region);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.text(), "Unknown metadata version: 2009-04-04", "{path}");
    }
}

#[test]
fn netboot_off_by_id_is_always_answered_ok() {
    let (running, machine) = with_machine(Status::Deploying);
    let path = format!("/MAAS/metadata/latest/by-id/{}/", machine.system_id);
    for _ in 0..3 {
        // As wget sends it: a form, no credentials.
        let answer = Call::post(&path, &[("op", "netboot_off")])
            .header("User-Agent", "Wget/1.21.3")
            .send(running.rack);
        assert_eq!((answer.status, answer.text().as_str()), (200, "OK"));
        assert!(!running.machine(&machine.system_id).netboot);
    }
    let version = running.machine(&machine.system_id).version;
    let answer = Call::post(&path, &[("op", "netboot_off")]).send(running.rack);
    assert_eq!(answer.status, 200);
    assert_eq!(running.machine(&machine.system_id).version, version, "nothing changes twice");
    // The next boot goes to the disk.
    let script = Call::get(format!("/ipxe.cfg-{MAC}")).send(running.rack).ok().text();
    assert!(!script.contains("kernel "), "{script}");

    for status in [Status::Ready, Status::Deployed, Status::FailedDeployment, Status::Commissioning]
    {
        let other = running.add_machine(|machine| machine.status = status);
        let path = format!("/MAAS/metadata/latest/by-id/{}/", other.system_id);
        let answer = Call::post(path, &[("op", "netboot_off")]).send(running.rack);
        assert_eq!((answer.status, answer.text().as_str()), (200, "OK"), "{status:?}");
        assert_eq!(
            running.machine(&other.system_id),
            other,
            "{status:?}: a stranger changes nothing"
        );
    }
}

#[test]
fn an_event_without_a_content_type_is_answered_204() {
    let (running, machine) = with_machine(Status::Commissioning);
    let event = r#"{"name":"init-network/search-MAAS","description":"searching","event_type":"start","origin":"cloudinit","timestamp":1795356549.5}"#;
    let path = format!("/MAAS/metadata/status/{}", machine.system_id);
    for address in [running.region, running.rack] {
        for path in [path.clone(), format!("{path}/")] {
            let call = Call::new("POST", path).signed(&node_key(&machine)).body(event);
            let answer = call.send(address);
            assert_eq!((answer.status, answer.body.len()), (204, 0), "{}", answer.text());
        }
    }
    let machine = running.machine(&machine.system_id);
    assert!(machine.last_step.is_some_and(|step| step.what.contains("init-network")), "it counts");
}

#[test]
fn a_signal_is_answered_ok_and_says_what_it_does_not_know() {
    let (running, machine) = with_machine(Status::Commissioning);
    let key = node_key(&machine);
    let path = "/MAAS/metadata/2012-03-01/";
    let signal = |status: &[u8]| {
        Call::multipart(path, &[("op", None, b"signal"), ("status", None, status)])
            .signed(&key)
            .send(running.rack)
    };
    let answer = signal(b"WORKING");
    assert_eq!((answer.status, answer.text().as_str()), (200, "OK"));
    let answer = signal(b"DANCING");
    assert_eq!((answer.status, answer.text().as_str()), (400, "Unknown status: 'DANCING'"));
    let answer = signal(b"OK");
    assert_eq!((answer.status, answer.text().as_str()), (200, "OK"));
    assert_eq!(running.machine(&machine.system_id).status, Status::Ready);
    // A late word of a runner that is still up is no error.
    assert_eq!(signal(b"OK").status, 200);
}

#[test]
fn no_scripts_are_a_204() {
    let (running, machine) = with_machine(Status::Deployed);
    let path = "/MAAS/metadata/2012-03-01/maas-scripts";
    let answer = Call::get(path).signed(&node_key(&machine)).send(running.rack);
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    // A machine that enlists has some.
    let answer = Call::get(path).send(running.rack);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/x-tar"));
    let mut archive = tar::Archive::new(answer.body.as_slice());
    assert!(archive.entries().unwrap().count() > 1);
}

#[test]
fn a_stranger_gets_the_metadata_of_enlistment() {
    let running = Running::with_images(|_| {});
    let base = "/MAAS/metadata/2012-03-01";
    let text = |path: &str| Call::get(path).send(running.rack).ok().text();
    for prefix in [base, "/MAAS/metadata/enlist/2012-03-01"] {
        assert_eq!(text(&format!("{prefix}/meta-data/instance-id")), "i-maas-enlistment");
        assert_eq!(text(&format!("{prefix}/meta-data/local-hostname")), "maas-enlisting-node");
        assert!(!text(&format!("{prefix}/user-data")).is_empty());
        let listing = text(&format!("{prefix}/meta-data/"));
        assert!(listing.contains("instance-id") && !listing.contains("public-keys"), "{listing}");
    }
    assert_eq!(text(&format!("{base}/")), "meta-data\nuser-data");
    // The index and what only a machine may do need a machine.
    let index = Call::get("/MAAS/metadata/").send(running.rack);
    assert_eq!(index.status, 401);
    assert_eq!(index.header("www-authenticate"), Some("OAuth realm=\"OAuth\""));
    assert!(index.header("date").is_some(), "clients read their clock's error from it");
    assert_eq!(text("/MAAS/metadata/enlist/"), "2012-03-01\nlatest");
    let signal = Call::post(format!("{base}/"), &[("op", "signal"), ("status", "OK")]);
    assert_eq!(signal.send(running.rack).status, 401);
    let by_mac = Call::get(format!("{base}/by-mac/{MAC}/meta-data/instance-id"));
    assert_eq!(by_mac.send(running.rack).status, 403);
}

#[test]
fn both_dialects_of_oauth_are_understood_on_both_ports() {
    let (running, machine) = with_machine(Status::Commissioning);
    let key = node_key(&machine);
    for address in [running.region, running.rack] {
        for dialect in [Dialect::Quoted, Dialect::Bare] {
            let header = key.sign_as(dialect, now(), &nonce());
            let call = Call::get("/MAAS/metadata/latest/meta-data/instance-id");
            let answer = call.header("Authorization", header).send(address).ok();
            assert_eq!(answer.text(), machine.system_id.to_string(), "{dialect:?}");
            let header = running.admin.sign_as(dialect, now(), &nonce());
            let call = Call::get("/MAAS/api/2.0/users/?op=whoami");
            let answer = call.header("Authorization", header).send(address).ok();
            assert_eq!(answer.json()["username"], "root", "{dialect:?}");
        }
    }
}

#[test]
fn strangers_may_ask_for_versions_at_both_ports() {
    let running = Running::empty();
    for address in [running.region, running.rack] {
        let answer = Call::get("/MAAS/api/version/").send(address).ok();
        assert_eq!(answer.text(), "2.0");
        let version = Call::get("/MAAS/api/2.0/version/").send(address).ok().json();
        assert!(version["version"].is_string() && version["capabilities"].is_array(), "{version}");
    }
    assert_eq!(Call::get("/MAAS/api/1.0/version/").send(running.region).status, 410);
}

#[test]
fn the_user_data_of_a_deploying_machine_make_it_deployed_even_when_there_are_none() {
    let (running, machine) = with_machine(Status::Deploying);
    let key = node_key(&machine);
    let curtin = Call::get("/MAAS/metadata/curtin/2012-03-01/user-data").signed(&key);
    curtin.send(running.rack).ok();
    let path = "/MAAS/metadata/2012-03-01/user-data";
    assert_eq!(Call::head(path).signed(&key).send(running.rack).status, 404);
    assert_eq!(Call::get(path).signed(&key).send(running.rack).status, 404);
    let status = running.machine(&machine.system_id).status;
    assert_eq!(status, Status::Deploying, "not by the ephemeral OS, nor by HEAD");
    let by_id = format!("/MAAS/metadata/latest/by-id/{}/", machine.system_id);
    Call::post(by_id, &[("op", "netboot_off")]).send(running.rack).ok();
    assert_eq!(Call::head(path).signed(&key).send(running.rack).status, 404);
    assert_eq!(running.machine(&machine.system_id).status, Status::Deploying);
    assert_eq!(Call::get(path).signed(&key).send(running.rack).status, 404);
    assert_eq!(running.machine(&machine.system_id).status, Status::Deployed);
}

#[test]
fn a_warning_is_no_failure_and_a_failure_is_one() {
    let (running, machine) = with_machine(Status::Deploying);
    let key = node_key(&machine);
    let send = |name: &str, result: &str| {
        let event = serde_json::json!({"name": name, "description": "d", "event_type": "finish",
            "origin": "curtin", "timestamp": 1.0, "result": result});
        let path = format!("/MAAS/metadata/status/{}", machine.system_id);
        let call = Call::new("POST", path).signed(&key).body(event.to_string());
        assert_eq!(call.send(running.rack).status, 204);
        running.machine(&machine.system_id).status
    };
    assert_eq!(send("cmd-install", "WARN"), Status::Deploying);
    assert_eq!(send("cmd-install/stage-extract", "FAIL"), Status::Deploying);
    assert_eq!(send("cmd-install", "FAIL"), Status::FailedDeployment);
}

#[test]
fn every_answer_has_a_date_by_which_clients_set_their_clocks() {
    let (running, machine) = with_machine(Status::Commissioning);
    let header = node_key(&machine).sign_as(Dialect::Quoted, now() - 3600, &nonce());
    let call = Call::get("/MAAS/metadata/2012-03-01/meta-data/instance-id");
    let answer = call.header("Authorization", header).send(running.rack);
    assert_eq!(answer.status, 401);
    let date = answer.header("date").expect("a Date header");
    let parsed = jiff::fmt::rfc2822::parse(date).unwrap().timestamp();
    let age = SystemTime::from(parsed).elapsed().unwrap_or_default();
    assert!(age < Duration::from_secs(60), "{date}");
    let unknown = Key { token: "nobody".to_owned(), ..node_key(&machine) };
    let answer = Call::get("/MAAS/metadata/2012-03-01/meta-data/instance-id")
        .signed(&unknown)
        .send(running.rack);
    assert_eq!(answer.status, 403);
    assert_eq!(answer.text(), "Not authenticated as a known node.");
}
