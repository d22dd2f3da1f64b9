//! From an unknown machine to a deployed one.

use base64::Engine;
use serde_json::Value;

use super::machine::{BootScript, Machine};
use crate::api::{Api, encoded};
use crate::region::Region;

/// What the deployed machine's owner asks of cloud-init.
const USER_DATA: &str =
    "#cloud-config\nwrite_files:\n- path: /etc/written-by-user-data\n  content: it is mine\n";

/// Enlists, commissions, allocates and deploys one machine; then the datasource's own checks.
///
/// The region must have the boot images of one Ubuntu release for amd64, and must not know the
/// host's MAC address yet.
pub(super) async fn whole_life(region: &Region) {
    let Some(machine) = Machine::new(region).await else { return };
    let api = Api::new(region);

    // An unknown machine is sent on from its own script to the default one, and enlists.
    let own = machine.own_boot_script().await;
    assert!(matches!(own, BootScript::Unknown), "{own:?}");
    let boot = machine.boot_ephemeral(machine.default_boot_script().await).await;
    boot.assert_clean();
    assert_eq!(boot.power(), "poweroff", "{}", boot.console());
    let found = api.fetch(&format!("machines/?mac_address={}", encoded(&machine.mac))).await;
    let system_id = match found.as_array().map(Vec::as_slice) {
        Some([one]) => one["system_id"].as_str().unwrap().to_owned(),
        _ => panic!("expected one enlisted machine, found {found}\n{}", boot.console()),
    };
    let enlisted = api.machine_in_status(&system_id, "New").await;
    assert_eq!(enlisted["architecture"], "amd64/generic");
    assert_hardware(&enlisted, &machine.mac);
    // Booting it once more does not make a second machine of it.
    let again = machine.boot_ephemeral(machine.default_boot_script().await).await;
    assert!(again.console().contains("known to the region already"), "{}", again.console());

    commission(&api, &machine, &system_id).await;

    allocate(&api, &system_id).await;
    deploy(&api, &machine, &system_id).await;

    // What cloud-init's developers check a datasource with.
    let config = machine.disk().join("etc/cloud/cloud.cfg.d/95-cloudconfig-maas-cloud-config.cfg");
    let keys = keys_of(&std::fs::read_to_string(config).unwrap());
    check_datasource(region, &machine, &keys, &system_id).await;

    release(&api, &system_id).await;
    fail_to_deploy(&api, &machine, &system_id).await;
    release(&api, &system_id).await;
    allocate(&api, &system_id).await;
    deploy(&api, &machine, &system_id).await;
}

async fn allocate(api: &Api, system_id: &str) {
    let allocated = api.post("machines/?op=allocate", &[("system_id", system_id)]).await;
    assert_eq!(allocated["status_name"], "Allocated");
}

async fn release(api: &Api, system_id: &str) {
    api.post(&format!("machines/{system_id}/?op=release"), &[]).await;
    api.wait_for_status(system_id, "Ready").await;
}

/// A disk that breaks during the installation ends it with a sentence that says where.
async fn fail_to_deploy(api: &Api, machine: &Machine, system_id: &str) {
    machine.replace_disk();
    std::fs::write(machine.disk().join("broken"), "").unwrap();
    allocate(api, system_id).await;
    api.post(&format!("machines/{system_id}/?op=deploy"), &[]).await;
    let boot = machine.boot_ephemeral(machine.own_boot_script().await).await;
    boot.assert_clean();
    let failed = api.machine_in_status(system_id, "Failed deployment").await;
    let why = failed["error_description"].as_str().unwrap();
    assert!(why.contains("the disk is broken"), "{why}");
    // Another boot gets it switched off.
    let boot = machine.boot_ephemeral(machine.own_boot_script().await).await;
    assert!(boot.console().contains("switching off"), "{}", boot.console());
    machine.replace_disk();
}

async fn commission(api: &Api, machine: &Machine, system_id: &str) {
    let path = format!("machines/{system_id}/");
    // Nobody switches this machine but this test.
    api.put(&path, &[("power_type", "manual")]).await;
    let begun = api.post(&format!("{path}?op=commission"), &[]).await;
    assert_eq!(begun["status_name"], "Commissioning");
    let boot = machine.boot_ephemeral(machine.own_boot_script().await).await;
    boot.assert_clean();
    assert_eq!(boot.power(), "poweroff", "{}", boot.console());
    let ready = api.machine_in_status(system_id, "Ready").await;
    assert_hardware(&ready, &machine.mac);
    assert_eq!(ready["commissioning_status_name"], "Passed");
    let results = api.fetch(&format!("nodes/{system_id}/results/?type=0")).await;
    let names: Vec<&str> = results[0]["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|result| result["name"].as_str())
        .collect();
    assert!(names.contains(&"50-maas-01-commissioning"), "{names:?}");
}

async fn deploy(api: &Api, machine: &Machine, system_id: &str) {
    let path = format!("machines/{system_id}/");
    let user_data = base64::engine::general_purpose::STANDARD.encode(USER_DATA);
    let begun = api.post(&format!("{path}?op=deploy"), &[("user_data", &user_data)]).await;
    assert_eq!(begun["status_name"], "Deploying");

    // The ephemeral system installs, and switches netbooting off.
    let boot = machine.boot_ephemeral(machine.own_boot_script().await).await;
    boot.assert_clean();
    assert_eq!(boot.power(), "reboot", "{}", boot.console());
    let installed = api.machine_in_status(system_id, "Deploying").await;
    assert_eq!(installed["netboot"], false, "{}", boot.console());
    let own = machine.own_boot_script().await;
    assert!(matches!(own, BootScript::LocalDisk), "{own:?}");

    // The installed system asks for its user data.
    let boot = machine.boot_installed().await;
    boot.assert_clean();
    assert_eq!(boot.power(), "none", "{}", boot.console());
    let deployed = api.machine_in_status(system_id, "Deployed").await;
    assert_eq!(deployed["netboot"], false);
    let written = std::fs::read_to_string(machine.disk().join("etc/written-by-user-data"));
    assert_eq!(written.unwrap(), "it is mine\n".trim_end(), "{}", boot.console());
    let hostname = deployed["hostname"].as_str().unwrap();
    let named = std::fs::read_to_string(machine.disk().join("etc/hostname")).unwrap();
    assert_eq!(named.trim().split('.').next(), Some(hostname));
    let own = machine.own_boot_script().await;
    assert!(matches!(own, BootScript::LocalDisk), "{own:?}");
}

/// What our resources program found on this host is in the machine.
fn assert_hardware(machine: &Value, mac: &str) {
    assert!(machine["cpu_count"].as_u64().unwrap() > 0, "{machine:#}");
    assert!(machine["memory"].as_u64().unwrap() > 0, "{machine:#}");
    let interfaces = machine["interface_set"].as_array().unwrap();
    assert!(interfaces.iter().any(|interface| interface["mac_address"] == mac), "{machine:#}");
    assert!(!machine["physicalblockdevice_set"].as_array().unwrap().is_empty(), "{machine:#}");
    let cores = machine["numanode_set"][0]["cores"].as_array().map_or(0, Vec::len);
    assert!(cores > 0, "{machine:#}");
}

/// Consumer key, token key and token secret out of a one-level YAML text.
fn keys_of(config: &str) -> [String; 3] {
    ["consumer_key", "token_key", "token_secret"].map(|key| {
        let (_, after) = config.split_once(&format!("{key}:")).unwrap();
        after
            .trim_start()
            .trim_start_matches(['"', '\''])
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect()
    })
}

async fn check_datasource(
    region: &Region,
    machine: &Machine,
    [consumer_key, token_key, token_secret]: &[String; 3],
    system_id: &str,
) {
    let keys = ["--ckey", consumer_key, "--tkey", token_key, "--csec", "", "--tsec", token_secret];
    let base = format!("{}/MAAS/metadata/", region.rack_url);
    let check = machine.datasource(&[&keys[..], &["check-seed", &base]].concat()).await;
    let printed = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success(), "{printed}{}", String::from_utf8_lossy(&check.stderr));
    assert!(printed.contains(system_id), "{printed}");
    assert!(printed.contains("it is mine"), "{printed}");

    // `crawl` gets every name that is listed; one that is not there ends it with an error.
    let versioned = format!("{base}2012-03-01/");
    let crawl = machine.datasource(&[&keys[..], &["crawl", &versioned]].concat()).await;
    let printed = String::from_utf8_lossy(&crawl.stdout).into_owned();
    assert!(crawl.status.success(), "{printed}{}", String::from_utf8_lossy(&crawl.stderr));
    for name in ["meta-data/instance-id", "meta-data/local-hostname", "user-data"] {
        assert!(printed.contains(name), "{name} in {printed}");
    }
}

/// The datasource's own check fails with keys that are nobody's.
pub(super) async fn wrong_credentials_are_refused(region: &Region) {
    let Some(machine) = Machine::new(region).await else { return };
    let base = format!("{}/MAAS/metadata/", region.rack_url);
    let check = machine
        .datasource(&[
            "--ckey",
            "nobody",
            "--tkey",
            "nobody",
            "--csec",
            "",
            "--tsec",
            "nothing",
            "check-seed",
            &base,
        ])
        .await;
    assert!(!check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}
