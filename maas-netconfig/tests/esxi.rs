//! ESXi plans against the recorded sequences of the reference script and the strict stand-in for
//! `esxcli`.
#![allow(clippy::unwrap_used, missing_docs)]

mod shared;

use std::path::{Path, PathBuf};
use std::process::Command;

use maas_netconfig::esxi::{Nic, Nics, compat, plan};
use maas_netconfig::{v1, yaml};
use serde_json::Value as Json;

fn configurations(folder: &Path) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = std::fs::read_dir(folder.join("cfg"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn nics(folder: &Path) -> (String, Vec<Nic>) {
    let text = std::fs::read_to_string(folder.join("nics.json")).unwrap();
    let nics = Nic::list_from_json(&text).unwrap();
    (text, nics)
}

#[test]
fn compat_is_the_recorded_sequence_of_the_reference() {
    let Some(folder) = shared::data("data/esxi") else { return };
    let (_, nics) = nics(&folder);
    for (name, text) in configurations(&folder) {
        let recorded =
            std::fs::read_to_string(folder.join("expected").join(format!("{name}.cmds"))).unwrap();
        let (_, after_wipe) = recorded.split_once("esxcli network nic list\n").unwrap();
        let document: yaml::Value = yaml::from_str(&text).unwrap();
        let network = document.get("network").unwrap_or(&document);
        let commands: String =
            compat(network, &nics).unwrap().commands.iter().map(|c| format!("{c}\n")).collect();
        assert_eq!(commands, after_wipe, "{name}");
    }
}

/// A host on which commands are replayed.
struct Host {
    folder: tempfile::TempDir,
    esxcli: PathBuf,
    nics: String,
    initial: &'static str,
}

impl Host {
    fn new(esxcli: PathBuf, nics: String, initial: &'static str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), esxcli, nics, initial }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("ESXCLI_LOG", self.folder.path().join("log"))
            .env("ESXCLI_STATE", self.folder.path().join("state.json"))
            .env("ESXCLI_NICS", &self.nics)
            .env("ESXCLI_STRICT", "1")
            .env("ESXCLI_INITIAL", self.initial);
        command
    }

    #[track_caller]
    fn run(&self, mut command: Command, what: &str) {
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {stderr}");
        assert!(!stderr.contains("LINT"), "{what}: {stderr}");
    }

    fn state(&self) -> Json {
        let text = std::fs::read_to_string(self.folder.path().join("state.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

fn replay_argv(host: &Host, plan: &maas_netconfig::esxi::Plan, name: &str) -> Json {
    for command in plan.commands().unwrap() {
        let mut process = host.command(&host.esxcli);
        process.args(command.arguments());
        host.run(process, &format!("{name}: {command}"));
    }
    host.state()
}

fn replay_script(host: &Host, plan: &maas_netconfig::esxi::Plan, name: &str) -> Json {
    let bin = host.folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(&host.esxcli, bin.join("esxcli")).unwrap();
    let script = host.folder.path().join("network.sh");
    std::fs::write(&script, plan.shell()).unwrap();
    let mut process = host.command(Path::new("sh"));
    let path = std::env::var("PATH").unwrap();
    process.arg(&script).env("PATH", format!("{}:{path}", bin.display()));
    host.run(process, name);
    host.state()
}

#[test]
fn correct_plans_run_without_complaint_and_end_in_the_wanted_state() {
    let (Some(folder), Some(esxcli)) = (shared::data("data/esxi"), shared::data("tools/esxcli"))
    else {
        return;
    };
    let (text, nics) = nics(&folder);
    let mut refused = Vec::new();
    for (name, config) in configurations(&folder) {
        let parsed = v1::parse(&config).unwrap();
        let plan = match plan(&parsed.topology, &Nics::Known(nics.clone())) {
            Ok(plan) => plan,
            Err(error) => {
                refused.push(format!("{name}: {error}"));
                continue;
            }
        };
        for initial in ["0", "1"] {
            let host = Host::new(esxcli.clone(), text.clone(), initial);
            check(&plan, &replay_argv(&host, &plan, &name), &name);
            let host = Host::new(esxcli.clone(), text.clone(), initial);
            let state = replay_script(&host, &plan, &name);
            check(&plan, &state, &name);
            assert_eq!(state["search"].as_array().unwrap().len(), plan.dns.search.len(), "{name}");
        }
    }
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("the bond mode balance-xor has no counterpart"), "{refused:?}");
}

/// Compares the state of the stand-in with the plan, field by field.
#[track_caller]
fn check(plan: &maas_netconfig::esxi::Plan, state: &Json, name: &str) {
    let switches = state["vs"].as_object().unwrap();
    assert_eq!(switches.len(), plan.switches.len(), "{name}: {state}");
    let mut vmks = 0;
    for wanted in &plan.switches {
        let nics: Vec<&str> = wanted.uplinks.iter().map(|up| up.nic.as_deref().unwrap()).collect();
        let (real, switch) = switches
            .iter()
            .find(|(_, switch)| switch["uplinks"] == serde_json::json!(nics))
            .unwrap_or_else(|| panic!("{name}: no switch with {nics:?} in {state}"));
        assert_eq!(switch["mtu"], wanted.mtu, "{name}");
        if let Some(teaming) = &wanted.teaming {
            assert_eq!(switch["lb"], teaming.policy(), "{name}");
            assert_eq!(switch["active"], serde_json::json!(nics), "{name}");
        }
        for group in &wanted.port_groups {
            let have = &state["pg"][&group.name];
            assert_eq!(have["vs"], **real, "{name}: {}", group.name);
            assert_eq!(have["vlan"], group.vlan.unwrap_or(0), "{name}: {}", group.name);
            let on: Vec<&Json> = state["vmk"]
                .as_object()
                .unwrap()
                .values()
                .filter(|vmk| vmk["pg"] == group.name)
                .collect();
            assert_eq!(on.len(), usize::from(group.vmk.is_some()), "{name}: {}", group.name);
            if let Some(wanted) = &group.vmk {
                vmks += 1;
                use maas_netconfig::esxi::Ipv4;
                match wanted.ipv4.as_ref() {
                    Some(Ipv4::Dhcp) => assert_eq!(on[0]["ipv4"]["type"], "dhcp", "{name}"),
                    Some(Ipv4::Static { address, netmask }) => {
                        assert_eq!(on[0]["ipv4"]["ipv4"], address.to_string(), "{name}");
                        assert_eq!(on[0]["ipv4"]["netmask"], netmask.to_string(), "{name}");
                    }
                    None => assert!(on[0]["ipv4"].is_null(), "{name}"),
                }
                let have = on[0]["ipv6"].as_array().map_or(0, Vec::len);
                assert_eq!(have, wanted.ipv6_addresses.len(), "{name}");
            }
        }
    }
    assert_eq!(state["vmk"].as_object().unwrap().len(), vmks, "{name}: {state}");
    let servers: Vec<String> = plan.dns.servers.iter().map(ToString::to_string).collect();
    assert_eq!(state["dns"], serde_json::json!(servers), "{name}");
    let in_table = plan.routes.iter().filter(|route| route.vmk.is_none()).count();
    assert_eq!(state["routes"].as_array().unwrap().len(), in_table, "{name}: {state}");
}
