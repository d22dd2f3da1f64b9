#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::commission::builtin;
use crate::machine::hardware::{Disk, PciDevice};

const EVERYTHING: &str = r#"#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: check-raid
# title: RAID check
# description: Checks the RAID card
# script_type: testing
# hardware_type: storage
# parallel: instance
# timeout: 01:05:10
# tags: raid, slow
# destructive: true
# may_reboot: true
# recommission: yes
# apply_configured_networking: true
# for_hardware:
#   - pci:1000:005d
#   - modalias:pci:v00001000d*
# packages:
#   apt: [megacli, sg3-utils]
#   snap: tool
#   url: https://example.com/x.deb
# results:
#   speed: {title: Speed}
# parameters:
#   storage: {}
#   runtime: {default: 60}
#   depth: {type: string, argument_format: "-d {input}"}
# --- End MAAS 1.0 script metadata ---
echo hello
"#;

#[test]
fn every_key_of_the_metadata_block_is_read() {
    let script = Script::parse("other", EVERYTHING).unwrap();
    assert_eq!(script.name, "check-raid");
    assert_eq!(script.title, "RAID check");
    assert_eq!(script.script_type, ScriptType::Testing);
    assert_eq!(script.hardware_type, HardwareType::Storage);
    assert_eq!(script.parallel, Parallel::Instance);
    assert_eq!(script.timeout_seconds, 3910);
    assert_eq!(script.tags, ["raid", "slow"]);
    assert!(script.destructive && script.may_reboot && script.recommission);
    assert!(script.apply_configured_networking);
    assert_eq!(script.for_hardware.len(), 2);
    assert_eq!(script.packages.apt, ["megacli", "sg3-utils"]);
    assert_eq!(script.packages.snap, ["tool"]);
    assert_eq!(script.packages.url, ["https://example.com/x.deb"]);
    assert_eq!(script.results["speed"]["title"], "Speed");
    assert_eq!(script.parameters["storage"]["type"], "storage");
    assert!(!script.is_builtin);
    assert_eq!(script.body, EVERYTHING);
}

#[test]
fn a_script_without_a_block_is_a_plain_commissioning_script() {
    let script = Script::parse("mine", "#!/bin/sh\ntrue\n").unwrap();
    assert_eq!((script.name.as_str(), script.script_type), ("mine", ScriptType::Commissioning));
    assert_eq!(script.timeout_seconds, 0);
}

#[test]
fn what_is_wrong_with_a_script_is_said_by_key() {
    let with = |line: &str| {
        let body = format!(
            "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# {line}\n\
             # --- End MAAS 1.0 script metadata ---\n"
        );
        Script::parse("x", &body).unwrap_err().to_string()
    };
    assert_eq!(
        with("timeout: soon"),
        "script metadata, timeout: expected seconds or HH:MM:SS, found \"soon\""
    );
    assert_eq!(
        with("script_type: magic"),
        "script metadata, script_type: expected one of the known words, found \"magic\""
    );
    assert!(with("name: 12").contains("name"));
    assert!(with("name: '12'").contains("not digits alone"));
    assert!(matches!(Script::parse("x", "true"), Err(ScriptError::NoInterpreter)));
    assert!(matches!(Script::parse("a/b", "#!/bin/sh\n"), Err(ScriptError::Name { .. })));
    assert!(matches!(
        Script::parse("x", "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# name: y\n"),
        Err(ScriptError::NoEnd)
    ));
    assert!(matches!(
        Script::parse("x", "#!/bin/sh\n# --- Start MAAS 2.0 script metadata ---\n"),
        Err(ScriptError::Version { found }) if found == "2.0"
    ));
}

#[test]
fn a_storage_script_runs_once_for_each_disk() {
    let script = Script::parse("x", EVERYTHING).unwrap();
    let disk = |name: &str| Disk { name: name.to_owned(), size: 1, ..Disk::default() };
    let hardware = Hardware { disks: vec![disk("sda"), disk("sdb")], ..Hardware::default() };
    let mut ids = 100..;
    let runs = script.runs(&hardware, &BTreeMap::new(), || ids.next().unwrap_or(0));
    let seen: Vec<(u64, &str)> = runs
        .iter()
        .map(|run| (run.id, run.parameters["storage"]["value"]["name"].as_str().unwrap()))
        .collect();
    assert_eq!(seen, [(100, "sda"), (101, "sdb")]);
    assert_eq!(runs[0].timeout_seconds, 60, "the parameter runtime is the time limit");
    assert!(script.runs(&Hardware::default(), &BTreeMap::new(), || 1).is_empty());

    let values = BTreeMap::from([("storage".to_owned(), json!("sdb"))]);
    let runs = script.runs(&hardware, &values, || 1);
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].parameters["storage"]["value"], "sdb");
}

#[test]
fn scripts_are_chosen_by_name_and_tag() {
    let mut scripts = builtin::scripts().to_vec();
    scripts.push(Script::parse("x", EVERYTHING).unwrap());
    let names = |script_type, parameter: Option<&str>| {
        choose(&scripts, script_type, &Choice::from_parameter(parameter))
            .map(|found| found.iter().map(|script| script.name.clone()).collect::<Vec<_>>())
    };
    assert_eq!(names(ScriptType::Testing, None).unwrap(), ["smartctl-validate"]);
    assert_eq!(names(ScriptType::Testing, Some("none")).unwrap(), [] as [String; 0]);
    assert_eq!(names(ScriptType::Testing, Some("raid")).unwrap(), ["check-raid"]);
    assert_eq!(names(ScriptType::Deployment, None).unwrap(), ["50-curtin-install"]);
    assert_eq!(names(ScriptType::Release, Some("wipe-disks")).unwrap(), ["wipe-disks"]);
    assert_eq!(names(ScriptType::Commissioning, Some("none")).unwrap().len(), 8);
    assert_eq!(
        names(ScriptType::Testing, Some("nothing")).unwrap_err().to_string(),
        "no testing script has the name or the tag \"nothing\""
    );
}

#[test]
fn scripts_for_certain_hardware_are_found_by_what_the_machine_has() {
    let script = Script {
        script_type: ScriptType::Commissioning,
        ..Script::parse("x", EVERYTHING).unwrap()
    };
    let scripts = [script];
    let mut hardware = Hardware::default();
    assert!(matching_hardware(&scripts, &hardware, &["usb:v1"]).is_empty());
    assert_eq!(matching_hardware(&scripts, &hardware, &["pci:v00001000d0000005D"]).len(), 1);
    hardware.pci_devices.push(PciDevice {
        vendor_id: "1000".to_owned(),
        product_id: "005D".to_owned(),
        ..PciDevice::default()
    });
    assert_eq!(matching_hardware(&scripts, &hardware, &[]).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
        let body = format!(
            "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# {text}\n\
             # --- End MAAS 1.0 script metadata ---\n"
        );
        let _ = Script::parse("name", &body);
        let _ = Script::parse(&text, "#!/bin/sh\n");
    }
}
