#![allow(clippy::unwrap_used)]

use maas_core::machine::hardware::Disk;
use proptest::prelude::*;

use super::*;
use crate::testing::{form, machine};

/// The networks that are there from the start.
fn networks() -> Snapshot {
    Snapshot::new(std::sync::Arc::default())
}

fn read(fields: &[(&str, &str)]) -> Result<Constraints, Problem> {
    Constraints::read(&form(fields), &networks())
}

fn disk(gigabytes: u64, tags: &[&str]) -> Disk {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    Disk { size: gigabytes * 1_000_000_000, tags, ..Disk::default() }
}

/// 4 CPUs at 2000 MHz, 8 GiB, an 20 GB SSD and a 1000 GB disk, two tags.
fn sample() -> Machine {
    let mut machine = machine(1);
    machine.hardware.cpu_count = 4;
    machine.hardware.cpu_speed = 2000;
    machine.hardware.memory = 8192;
    machine.hardware.disks = vec![disk(20, &["ssd"]), disk(1000, &["rotary"])];
    for (name, disk) in ["sda", "sdb"].iter().zip(&mut machine.hardware.disks) {
        disk.name = (*name).to_owned();
    }
    machine.tags = ["fast", "virtual"].map(str::to_owned).into();
    machine
}

#[test]
fn each_constraint_narrows_the_choice() {
    let machine = sample();
    let id = machine.system_id.to_string();
    for (name, fits, does_not) in [
        ("system_id", id.as_str(), "aaaaaa"),
        ("name", "NODE1", "node2"),
        ("name", "node1.maas", "node1.example"),
        ("not_system_id", "aaaaaa", id.as_str()),
        ("not_name", "node2", "node1.maas"),
        ("not_arch", "arm64,i386", "arm64,amd64"),
        ("domain", "maas", "elsewhere"),
        ("not_domain", "elsewhere", "elsewhere,MAAS"),
        ("power_state", "on,unknown", "on"),
        ("not_power_state", "on", "unknown"),
        ("arch", "amd64", "arm64"),
        ("arch", "amd64/generic", "amd64/xgene"),
        ("arch", "arm64,amd64", "arm"),
        ("cpu_count", "4", "5"),
        ("cpu_count", "3.2", "4.1"),
        ("mem", "8192.0", "8193"),
        ("cpu_speed", "2000", "2000.5"),
        ("tags", "fast, virtual", "fast,slow"),
        ("not_tags", "slow", "slow virtual"),
        ("zone", "default", "elsewhere"),
        ("not_in_zone", "elsewhere", "default"),
        ("pool", "default", "elsewhere"),
        ("not_in_pool", "elsewhere", "elsewhere,default"),
        ("storage", "20,1000", "20,1001"),
        ("storage", "root:5(ssd),big:500(rotary)", "root:5(nvme)"),
        ("storage", "1,1", "1,1,1"),
    ] {
        assert!(read(&[(name, fits)]).unwrap().matches(&machine, &networks()), "{name}={fits}");
        assert!(
            !read(&[(name, does_not)]).unwrap().matches(&machine, &networks()),
            "{name}={does_not}"
        );
    }
    assert!(read(&[]).unwrap().matches(&machine, &networks()));
    let (one, other) = (("cpu_count", "4"), ("mem", "9000"));
    assert!(!read(&[one, other]).unwrap().matches(&machine, &networks()), "all must be met");
}

#[test]
fn wanted_disks_are_named_by_their_labels() {
    let constraints = read(&[("storage", "root:5,600,1")]).unwrap();
    // The third one finds both disks taken.
    assert!(!constraints.matches(&sample(), &networks()));
    let constraints = read(&[("storage", "root:5,600")]).unwrap();
    assert_eq!(
        constraints.by_type(&sample(), &networks()),
        json!({"storage": {"root": [1], "1": [2]}})
    );
    assert_eq!(read(&[]).unwrap().by_type(&sample(), &networks()), json!({}));
    // The smallest disk that fits, unless the boot disk does for the first.
    let constraints = read(&[("storage", "root:50,1")]).unwrap();
    assert_eq!(
        constraints.by_type(&sample(), &networks()),
        json!({"storage": {"root": [2], "1": [1]}})
    );
}

#[test]
fn what_names_a_network_is_accepted_and_what_names_none_is_refused() {
    let machine = sample();
    for (name, value) in [
        ("interfaces", "0:space=undefined"),
        ("interfaces", "0:space=undefined;eth1:space=undefined"),
        ("interfaces", ""),
        ("subnets", "space:undefined"),
        ("not_subnets", "space:dmz"),
        ("not_subnets", "10.0.0.0/24"),
        ("vlans", "vid:0"),
        ("vlans", "5001"),
        ("fabrics", "fabric-0"),
        ("not_fabric_classes", "10g"),
        ("pod", "x"),
        ("not_in_zones", "x"),
        ("agent_name", "juju"),
        ("bridge_all", "true"),
    ] {
        let read = read(&[(name, value)]).unwrap();
        assert!(read.matches(&machine, &networks()), "{name}={value}");
    }
    for (name, value) in [
        ("interfaces", "0:space=dmz"),
        ("interfaces", "space=undefined"),
        ("interfaces", "0:space=undefined;1:fabric=2"),
        ("subnets", "space:dmz"),
        ("subnets", "10.0.0.0/24"),
        ("vlans", "6000"),
        ("interfaces", "0:colour=blue"),
        ("link_speed", "fast"),
        ("color", "blue"),
    ] {
        let problem = read(&[(name, value)]).unwrap_err();
        assert!(matches!(problem, Problem::Fields(_)), "{name}={value}: {problem:?}");
    }
    for (name, value) in [
        ("interfaces", "0:space=undefined,vid=40"),
        ("not_subnets", "space:undefined"),
        ("vlans", "vid:40"),
        ("not_fabrics", "fabric-0"),
        ("fabric_classes", "10g"),
        ("link_speed", "1"),
    ] {
        let read = read(&[(name, value)]).unwrap();
        assert!(!read.matches(&machine, &networks()), "{name}={value}");
    }
    let labels = read(&[("interfaces", "0:space=undefined;eth1:name=eth0")]).unwrap();
    let id = machine.interfaces.iter().next().unwrap().id;
    assert_eq!(
        labels.by_type(&machine, &networks()),
        json!({"interfaces": {"0": [id], "eth1": [id]}})
    );
}

#[test]
fn numbers_that_are_none_are_refused_by_name() {
    for (name, value) in
        [("mem", "much"), ("cpu_count", "-1"), ("cpu_speed", "1e99"), ("mem", "NaN")]
    {
        let Problem::Fields(errors) = read(&[(name, value)]).unwrap_err() else { panic!("{name}") };
        assert_eq!(errors.iter().next().unwrap().0, name, "{value}");
    }
}

#[test]
fn the_sentence_that_nothing_matches_is_the_one_that_clients_look_for() {
    assert_eq!(read(&[]).unwrap().no_match(), "No machine available.");
    assert_eq!(
        read(&[("system_id", "abc123")]).unwrap().no_match(),
        "No machine with system ID abc123 available."
    );
    assert_eq!(
        read(&[("mem", "9000"), ("tags", "a"), ("tags", "b")]).unwrap().no_match(),
        "No available machine matches constraints: [('mem', ['9000']), ('tags', ['a', 'b'])] \
         (resolved to \"mem=9000 tags=a,b\")"
    );
}

#[test]
fn storage_constraints_are_read_as_juju_sends_them() {
    let read = parse_storage("root:5(ssd, fast),1:1,20").unwrap();
    assert_eq!(read.len(), 3);
    assert_eq!(
        read[0],
        Storage {
            label: "root".into(),
            bytes: 5_000_000_000,
            tags: vec!["ssd".into(), "fast".into()]
        }
    );
    assert_eq!((read[1].label.as_str(), read[1].bytes), ("1", 1_000_000_000));
    assert_eq!(read[2].label, "");
    for wrong in ["", "x", "root:", "5(ssd", "5)", "5(ssd)6", "99999999999999999999"] {
        assert_eq!(parse_storage(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn any_form_is_read_or_refused_and_never_panics(
        name in prop_oneof![
            Just("storage"), Just("interfaces"), Just("not_subnets"), Just("mem"), Just("tags"),
            Just("subnets"), Just("vlans"), Just("not_fabrics"), Just("link_speed"),
        ],
        text in prop_oneof!["\\PC{0,40}", "[a-z0-9:(),;= ]{0,24}"],
    ) {
        if let Ok(constraints) = read(&[(name, &text)]) {
            let machine = sample();
            // Whoever matches has a disk for each wanted one, and no disk twice.
            if constraints.matches(&machine, &networks()) {
                let mut disks: Vec<usize> =
                    constraints.disks(&machine).unwrap().into_iter().map(|(_, disk)| disk).collect();
                prop_assert_eq!(disks.len(), constraints.storage.len());
                disks.sort_unstable();
                disks.dedup();
                prop_assert_eq!(disks.len(), constraints.storage.len());
            }
        }
    }
}
