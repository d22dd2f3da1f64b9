//! The `netconfig` binary: flags, outputs, exit statuses.

use std::path::PathBuf;
use std::process::{Command, Output};

const MODEL: &str = r#"
interfaces:
- {name: eno1, type: physical, mac: "52:54:00:aa:00:01"}
- {name: eno2, type: physical, mac: "52:54:00:aa:00:02"}
- name: bond0
  type: bond
  members: [eno1, eno2]
  params: {mode: 802.3ad, lacp_rate: fast, xmit_hash_policy: layer3+4}
  links: [{mode: static, subnet: lab, ip: 10.20.0.11}]
subnets: {lab: {cidr: 10.20.0.0/22, gateway: 10.20.0.1, dns_servers: [10.20.0.2]}}
"#;
const CURTIN: &str = r#"
network_commands: {builtin: [curtin, net-meta, custom]}
network:
  version: 1
  config:
  - {id: eno1, type: physical, name: eno1, mac_address: "52:54:00:aa:00:01", mtu: 1500, subnets: [{type: dhcp4}]}
"#;
const NICS: &str = r#"[["vmnic0","52:54:00:AA:00:01"],["vmnic1","52:54:00:aa:00:02"]]"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn netconfig(arguments: &[&str], file: &PathBuf) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netconfig")).args(arguments).arg(file).output().unwrap()
}

#[track_caller]
fn out(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> Vec<&str> {
    std::str::from_utf8(&output.stderr).unwrap().lines().collect()
}

#[test]
fn a_model_renders_to_netplan_and_back_to_the_same_network() {
    let folder = Folder::new();
    let model = folder.file("model.yaml", MODEL);
    let rendered = netconfig(&["render", "--from", "model", "--to", "netplan"], &model);
    assert!(rendered.stderr.is_empty(), "{:?}", err(&rendered));
    let netplan = folder.file("netplan.yaml", out(&rendered));
    let v1 = netconfig(&["render", "--from", "netplan", "--to", "v1"], &netplan);
    let v1 = folder.file("v1.yaml", out(&v1));
    let same = Command::new(env!("CARGO_BIN_EXE_netconfig"))
        .arg("diff")
        .args([&model, &v1])
        .output()
        .unwrap();
    assert_eq!(out(&same), "");
}

#[test]
fn differences_are_printed_and_give_exit_status_1() {
    let folder = Folder::new();
    let a = folder.file("a.yaml", MODEL);
    let b = folder.file("b.yaml", &MODEL.replace("10.20.0.11", "10.20.0.12"));
    let output =
        Command::new(env!("CARGO_BIN_EXE_netconfig")).arg("diff").args([&a, &b]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        std::str::from_utf8(&output.stdout).unwrap(),
        "bond0.addresses: 10.20.0.11/22 | 10.20.0.12/22\n"
    );
}

#[test]
fn a_whole_curtin_configuration_is_accepted_for_esxi() {
    let folder = Folder::new();
    let curtin = folder.file("curtin.yaml", CURTIN);
    let nics = folder.file("nics.json", NICS);
    let nics = nics.to_str().unwrap();
    let compat = netconfig(
        &[
            "render", "--from", "v1", "--to", "esxi", "--mode", "compat", "--format", "argv",
            "--nics", nics,
        ],
        &curtin,
    );
    assert_eq!(
        out(&compat),
        "esxcli network vswitch standard add -v vSwitch0\n\
         esxcli network vswitch standard set -m 1500 -v vSwitch0\n\
         esxcli network vswitch standard uplink add -u vmnic0 -v vSwitch0\n\
         esxcli network vswitch standard portgroup add -p eno1 -v vSwitch0\n\
         esxcli network ip interface add -i vmk0 -p eno1 -m 1500 -M 52:54:00:aa:00:01\n\
         esxcli network ip interface ipv4 set -i vmk0 -t dhcp\n"
    );
    let script = netconfig(&["render", "--from", "v1", "--to", "esxi", "--format", "sh"], &curtin);
    assert!(out(&script).starts_with("#!/bin/sh\n"));
    let json = netconfig(&["render", "--from", "v1", "--to", "esxi", "--format", "json"], &curtin);
    let plan: serde_json::Value = serde_json::from_str(out(&json)).unwrap();
    assert_eq!(plan["switches"][0]["port_groups"][0]["vmk"]["ipv4"], "dhcp");
}

#[test]
fn every_loss_is_one_line_on_standard_error() {
    let folder = Folder::new();
    let model = folder.file("model.yaml", MODEL);
    let nics = folder.file("nics.json", NICS);
    let output = netconfig(
        &["render", "--from", "model", "--to", "esxi", "--nics", nics.to_str().unwrap()],
        &model,
    );
    assert!(out(&output).contains("-l iphash"));
    let lines = err(&output);
    for part in ["params.lacp_rate", "params.xmit_hash_policy", "static EtherChannel"] {
        assert_eq!(lines.iter().filter(|line| line.contains(part)).count(), 1, "{lines:?}");
    }
}

#[test]
fn a_refusal_lists_every_problem_and_gives_exit_status_1() {
    let folder = Folder::new();
    let text = MODEL.replace("10.20.0.11", "10.99.0.11").replace("802.3ad", "balance-tlb");
    let model = folder.file("model.yaml", &text);
    let output = netconfig(&["render", "--from", "model", "--to", "netplan"], &model);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(err(&output)[0].contains("address-outside-subnet") || err(&output).len() > 1);
    let model = folder.file("model.yaml", &MODEL.replace("802.3ad", "balance-tlb"));
    let output = netconfig(&["check", "--for", "esxi"], &model);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("balance-tlb has no counterpart"));
    let output = netconfig(&["check", "--for", "ubuntu"], &model);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn wrong_calls_give_exit_status_2() {
    let folder = Folder::new();
    let model = folder.file("model.yaml", MODEL);
    for arguments in [
        &["render", "--from", "model", "--to", "nonsense"][..],
        &["render", "--from", "model", "--to", "v1", "--dialect", "nonsense"],
        &["render", "--from", "model", "--to", "v1", "--format", "argv"],
        &["render", "--from", "model", "--to", "esxi", "--format", "argv"],
        &["render", "--from", "v1", "--to", "v1", "--maas-exact"],
        &["check", "--for", "plan9"],
        &["nonsense"],
    ] {
        assert_eq!(netconfig(arguments, &model).status.code(), Some(2), "{arguments:?}");
    }
    let missing = folder.0.path().join("missing");
    let output = netconfig(&["check", "--for", "ubuntu"], &missing);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn maas_exact_writes_what_maas_writes() {
    let folder = Folder::new();
    let model = folder.file("model.yaml", MODEL);
    let output =
        netconfig(&["render", "--from", "model", "--to", "netplan", "--maas-exact"], &model);
    assert!(out(&output).contains("gateway4: "));
}
