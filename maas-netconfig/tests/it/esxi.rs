//! ESXi plans against the recorded sequences of the reference script and the strict stand-in for
//! `esxcli`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use maas_netconfig::esxi::{Nic, Nics, Plan, compat, plan};
use maas_netconfig::testing::{Flavour, MOST, network};
use maas_netconfig::{SourceRouting, v1, yaml};

use crate::shared;
use serde_json::Value as Json;

fn configurations(folder: &Path) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = fs::read_dir(folder.join("cfg"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn nics(folder: &Path) -> (String, Vec<Nic>) {
    let text = fs::read_to_string(folder.join("nics.json")).unwrap();
    let nics = Nic::list_from_json(&text).unwrap();
    (text, nics)
}

#[test]
fn compat_is_the_recorded_sequence_of_the_reference() {
    let Some(folder) = shared::data("data/esxi") else { return };
    let (_, nics) = nics(&folder);
    for (name, text) in configurations(&folder) {
        let recorded =
            fs::read_to_string(folder.join("expected").join(format!("{name}.cmds"))).unwrap();
        let (_, after_wipe) = recorded.split_once("esxcli network nic list\n").unwrap();
        let document: yaml::Value = yaml::from_str(&text).unwrap();
        let network = document.get("network").unwrap_or(&document);
        let commands: String =
            compat(network, &nics).unwrap().commands.iter().map(|c| format!("{c}\n")).collect();
        assert_eq!(commands, after_wipe, "{name}");
    }
}

/// Runs many command lists through the strict stand-in, in one process of Python.
///
/// Returns for each list the exit status, what was said on standard error, and the state.
fn replay(esxcli: &Path, nics: &str, initial: &str, lists: &[Vec<Vec<String>>]) -> Vec<Json> {
    let python = shared::python("json").expect("the stand-in is a Python program");
    let esxcli = esxcli.to_str().unwrap();
    let mut input = vec![serde_json::json!([esxcli, nics, initial])];
    input.extend(lists.iter().map(|list| serde_json::json!(list)));
    shared::run_python(&python, REPLAY, &input)
}

const REPLAY: &str = r#"
import contextlib, io, json, os, shutil, sys, tempfile
(path, nics, initial), *lists = json.load(sys.stdin)
program = compile(open(path).read(), path, "exec")
# A state is written for each of many thousand commands: in memory where that can be had.
folder = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
os.environ.update(ESXCLI_LOG=os.devnull, ESXCLI_STATE=folder + "/state", ESXCLI_NICS=nics,
                  ESXCLI_STRICT="1", ESXCLI_INITIAL=initial)
out = []
for commands in lists:
    with contextlib.suppress(FileNotFoundError):
        os.remove(folder + "/state")
    said, status = io.StringIO(), 0
    for argv in commands:
        sys.argv = ["esxcli"] + argv
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            try:
                exec(program, {"__name__": "__main__"})
            except SystemExit as end:
                status = end.code or 0
        if status:
            said.write(" at " + " ".join(argv))
            break
    state = json.load(open(folder + "/state")) if os.path.exists(folder + "/state") else None
    out.append([status, said.getvalue(), state])
shutil.rmtree(folder)
json.dump(out, sys.stdout)
"#;

fn argv(plan: &Plan) -> Vec<Vec<String>> {
    plan.commands()
        .unwrap()
        .iter()
        .map(|command| command.arguments().map(str::to_owned).collect())
        .collect()
}

#[track_caller]
fn check_run(plan: &Plan, result: &Json, name: &str) {
    assert_eq!((&result[0], result[1].as_str()), (&serde_json::json!(0), Some("")), "{name}");
    check(plan, &result[2], name);
}

/// Runs the script of a plan with the stand-in in its path; returns the final state.
fn run_script(esxcli: &Path, nics: &str, initial: &str, plan: &Plan, name: &str) -> Json {
    let python = shared::python("json").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let wrapper = folder.path().join("esxcli");
    let text = format!("#!/bin/sh\nexec {} {} \"$@\"\n", python.display(), esxcli.display());
    fs::write(&wrapper, text).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o700)).unwrap();
    let script = folder.path().join("network.sh");
    fs::write(&script, plan.shell()).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .arg(&script)
        .env("PATH", path)
        .env("ESXCLI_LOG", folder.path().join("log"))
        .env("ESXCLI_STATE", folder.path().join("state"))
        .env("ESXCLI_NICS", nics)
        .env("ESXCLI_STRICT", "1")
        .env("ESXCLI_INITIAL", initial)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{name}: {stderr}");
    serde_json::from_str(&fs::read_to_string(folder.path().join("state")).unwrap()).unwrap()
}

#[test]
fn correct_plans_run_without_complaint_and_end_in_the_wanted_state() {
    let (Some(folder), Some(esxcli)) = (shared::data("data/esxi"), shared::data("tools/esxcli"))
    else {
        return;
    };
    let (text, nics) = nics(&folder);
    let mut refused = Vec::new();
    let mut plans = Vec::new();
    for (name, config) in configurations(&folder) {
        let parsed = v1::parse(&config).unwrap();
        match plan(&parsed.topology, &Nics::Known(nics.clone())) {
            Ok(plan) => plans.push((name, plan)),
            Err(error) => refused.push(format!("{name}: {error}")),
        }
    }
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("the bond mode balance-xor has no counterpart"), "{refused:?}");
    for initial in ["0", "1"] {
        let lists: Vec<_> = plans.iter().map(|(_, plan)| argv(plan)).collect();
        for ((name, plan), result) in plans.iter().zip(replay(&esxcli, &text, initial, &lists)) {
            check_run(plan, &result, name);
        }
    }
    for (name, plan) in &plans {
        let state = run_script(&esxcli, &text, "1", plan, name);
        check(plan, &state, name);
        assert_eq!(state["search"].as_array().unwrap().len(), plan.dns.search.len(), "{name}");
    }
}

#[test]
fn generated_networks_run_without_complaint_and_end_in_the_wanted_state() {
    let Some(esxcli) = shared::data("tools/esxcli") else { return };
    // Every card that a generated network can have, in an order that is not theirs.
    let cards: Vec<(String, String)> = (0..=MOST)
        .rev()
        .map(|at| (format!("vmnic{}", 10 - at), format!("52:54:00:0a:00:{at:02x}")))
        .collect();
    let text = serde_json::to_string(&cards).unwrap();
    let nics = Nics::Known(Nic::list_from_json(&text).unwrap());
    let mut plans = Vec::new();
    for seed in 0..shared::models() {
        let size = u8::try_from(seed % (u64::from(MOST) + 1)).unwrap();
        let network = network(seed, size, Flavour::Esxi);
        let topology = network.resolve(SourceRouting::Off).unwrap();
        if let Ok(plan) = plan(&topology, &nics) {
            plans.push((format!("model {seed}"), plan));
        }
    }
    let planned = u64::try_from(plans.len()).unwrap();
    assert!(planned * 10 > shared::models() * 6, "only {planned} plans");
    let lists: Vec<_> = plans.iter().map(|(_, plan)| argv(plan)).collect();
    for ((name, plan), result) in plans.iter().zip(replay(&esxcli, &text, "1", &lists)) {
        check_run(plan, &result, name);
    }
    for (name, plan) in plans.iter().step_by(plans.len() / 3 + 1) {
        let state = run_script(&esxcli, &text, "1", plan, name);
        check(plan, &state, name);
    }
    println!("{planned} of {} generated networks planned and replayed", shared::models());
}

#[test]
fn a_script_stops_before_any_change_when_a_card_is_missing() {
    let Some(esxcli) = shared::data("tools/esxcli") else { return };
    let parsed = v1::parse(
        "version: 1\nconfig: [{type: physical, name: eno1, mac_address: '52:54:00:00:00:77', subnets: [{type: dhcp4}]}]",
    )
    .unwrap();
    let script = plan(&parsed.topology, &Nics::AtRunTime).unwrap().shell();
    let python = shared::python("json").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let wrapper = folder.path().join("esxcli");
    let text = format!("#!/bin/sh\nexec {} {} \"$@\"\n", python.display(), esxcli.display());
    fs::write(&wrapper, text).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o700)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("PATH", path)
        .env("ESXCLI_LOG", folder.path().join("log"))
        .env("ESXCLI_STATE", folder.path().join("state"))
        .env("ESXCLI_NICS", r#"[["vmnic0","52:54:00:aa:00:01"]]"#)
        .env("ESXCLI_INITIAL", "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("finding the card 52:54:00:00:00:77"));
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.lines().all(|line| line.contains("\"list\"")), "{log}");
}

/// Compares the state of the stand-in with the plan, field by field.
#[track_caller]
fn check(plan: &Plan, state: &Json, name: &str) {
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
