#![allow(clippy::unwrap_used)]

use maas_core::commission::result::ScriptType;
use proptest::prelude::*;

use super::*;
use crate::http::Value;
use crate::testing::{form, machine, run};

/// A form with files, as the runner uploads outputs.
fn files(files: &[(&str, &[u8])]) -> Fields {
    let mut fields = Fields::new();
    for (name, content) in files {
        let value = Value {
            content: content.to_vec().into(),
            file_name: Some((*name).to_owned()),
            ..Value::default()
        };
        fields.push(*name, value);
    }
    fields
}

fn report(exit_status: i32) -> ScriptReport {
    ScriptReport {
        id: Some(7),
        name: None,
        exit_status: Some(exit_status),
        timed_out: false,
        stated: None,
    }
}

#[tokio::test]
async fn the_subnets_of_a_commissioned_machine_become_known_once() {
    use maas_core::machine::hardware::{Interface, InterfaceAddress};
    let dir = tempfile::tempdir().unwrap();
    let region = crate::testing::region(dir.path()).await;
    let address = InterfaceAddress { address: "10.0.0.5".parse().unwrap(), prefix: 24 };
    let interface =
        Interface { name: "eth0".to_owned(), addresses: vec![address], ..Interface::default() };
    let hardware = Hardware { interfaces: vec![interface], ..Hardware::default() };
    for number in [1, 2] {
        learn_networks(&region, &machine(number), &hardware).await;
        let networks = region.ipam.networks(&*region.store).await.unwrap();
        let subnets: Vec<String> =
            networks.subnets().iter().map(|(_, subnet)| subnet.cidr.to_string()).collect();
        assert_eq!(subnets, ["10.0.0.0/24"]);
    }
}

#[test]
fn outputs_are_told_apart_by_suffix() {
    let run = run(7, "s", ScriptType::Commissioning);
    let uploaded = files(&[
        ("s.out", b"out"),
        ("s.err", b"err"),
        ("s.yaml", b"{}"),
        ("s", b"both"),
        ("s.out", b"2"),
    ]);
    let outputs = outputs(&uploaded, Some(&run)).unwrap();
    let of = |stream| {
        let found: Vec<_> = outputs.iter().filter(|output| output.stream == stream).collect();
        assert_eq!(found.len(), 1, "{stream:?}");
        found[0].bytes.clone()
    };
    assert_eq!(of(Stream::Combined), b"both");
    assert_eq!(of(Stream::Stdout), b"2", "the last one counts");
    assert_eq!((of(Stream::Stderr), of(Stream::Result)), (b"err".to_vec(), b"{}".to_vec()));
    assert!(outputs.iter().all(|output| output.run_id == 7));
    assert!(super::outputs(&uploaded, None).unwrap().is_empty(), "nobody's outputs");
}

#[test]
fn an_output_without_end_is_refused() {
    let run = run(7, "s", ScriptType::Commissioning);
    let long = vec![b'x'; maas_core::commission::OUTPUT_LIMIT + 1];
    assert!(outputs(&files(&[("s", &long)]), Some(&run)).is_err());
}

#[test]
fn a_resources_document_becomes_the_hardware() {
    let run = run(7, COMMISSIONING_SCRIPT, ScriptType::Commissioning);
    let document = serde_json::json!({
        "api_version": "1.0",
        "api_extensions":
            ["resources", "resources_v2", "api_os", "resources_system", "resources_usb_pci"],
        "environment": {"kernel_architecture": "x86_64"},
        "resources": {
            "cpu": {"architecture": "x86_64", "total": 1, "sockets": [{
                "name": "CPU", "socket": 0, "cores": [{"core": 0, "threads": [
                    {"id": 0, "numa_node": 0, "thread": 0, "online": true},
                ]}],
            }]},
            "memory": {"total": 4_294_967_296_u64, "hugepages_size": 2_097_152, "nodes": []},
            "network": {"cards": [], "total": 0},
            "storage": {"disks": [], "total": 0},
            "gpu": {"cards": [], "total": 0},
            "usb": {"devices": [], "total": 0},
            "pci": {"devices": [], "total": 0},
            "system": {"uuid": "6f8e2a10-0000-4000-8000-000000000001", "vendor": "QEMU",
                       "product": "PC", "type": "virtual-machine", "firmware": null,
                       "chassis": null, "motherboard": null},
        },
        "networks": {},
    });
    let uploaded = files(&[("x.out", document.to_string().as_bytes())]);
    let mut extras =
        Extras { outputs: outputs(&uploaded, Some(&run)).unwrap(), ..Extras::default() };
    let mut passed = report(0);
    read_hardware(&run, &mut passed, &mut extras);
    assert_eq!(passed.stated, None, "{:?}", extras.outputs);
    assert_eq!(extras.hardware.unwrap().memory, 4096);
}

#[test]
fn a_refused_resources_document_fails_the_script_and_says_why() {
    let run = run(7, COMMISSIONING_SCRIPT, ScriptType::Commissioning);
    for uploaded in [
        files(&[("x.out", b"no document")]),
        files(&[("x.out", b"no document"), ("x.err", b"before\n")]),
    ] {
        let mut extras =
            Extras { outputs: outputs(&uploaded, Some(&run)).unwrap(), ..Extras::default() };
        let mut passed = report(0);
        read_hardware(&run, &mut passed, &mut extras);
        assert_eq!(run.status_after(&passed), ScriptStatus::Failed);
        assert!(extras.hardware.is_none());
        let errors: Vec<_> =
            extras.outputs.iter().filter(|output| output.stream == Stream::Stderr).collect();
        assert_eq!(errors.len(), 1);
        assert!(errors[0].bytes.len() > "before\n".len());
    }
    // A script that failed by itself, or another script, is not read at all.
    let mut failed = report(1);
    let mut extras = Extras {
        outputs: outputs(&files(&[("x.out", b"no document")]), Some(&run)).unwrap(),
        ..Extras::default()
    };
    read_hardware(&run, &mut failed, &mut extras);
    assert_eq!((failed.stated, extras.outputs.len()), (None, 1));
}

#[test]
fn the_script_is_found_by_number_by_name_or_by_its_file() {
    let mut machine = machine(1);
    machine.scripts =
        vec![run(7, "one", ScriptType::Testing), run(8, "two", ScriptType::Testing)].into();
    let found = |fields: &Fields| {
        let about = about(fields, SignalStatus::Working, &machine).unwrap()?;
        run_of(&machine, &about).map(|run| run.id)
    };
    assert_eq!(found(&form(&[("script_result_id", "8")])), Some(8));
    assert_eq!(found(&form(&[("name", "one")])), Some(7));
    assert_eq!(found(&files(&[("two.err", b"")])), Some(8));
    assert_eq!(found(&files(&[("three.out", b"")])), None);
    assert_eq!(found(&form(&[])), None);
    assert!(about(&form(&[("script_result_id", "x")]), SignalStatus::Ok, &machine).is_err());
    let timed_out = about(&form(&[("name", "one")]), SignalStatus::Timedout, &machine).unwrap();
    assert!(timed_out.unwrap().timed_out);
}

#[test]
fn the_runner_states_its_result_in_a_document() {
    let machine = machine(1);
    let mut fields = files(&[("one.yaml", b"status: degraded\n")]);
    fields.push_text("name", "one");
    let about = about(&fields, SignalStatus::Working, &machine).unwrap().unwrap();
    assert_eq!(about.stated, Some(ScriptStatus::Degraded));
}

#[test]
fn power_parameters_are_never_repeated_in_the_answer() {
    let refused =
        power(&form(&[("power_type", "ipmi"), ("power_parameters", "hunter2")])).unwrap_err();
    assert!(!format!("{refused:?}").contains("hunter2"));
    let (driver, parameters) =
        power(&form(&[("power_type", "ipmi"), ("power_parameters", r#"{"a": 1}"#)]))
            .unwrap()
            .unwrap();
    assert_eq!((driver.as_str(), parameters["a"].as_str()), ("ipmi", "1"));
    assert_eq!(power(&form(&[])).unwrap(), None);
}

#[test]
fn every_word_of_the_protocol_is_known() {
    for word in [
        "OK",
        "FAILED",
        "WORKING",
        "COMMISSIONING",
        "TESTING",
        "TIMEDOUT",
        "INSTALLING",
        "APPLYING_NETCONF",
        "RELEASING",
        "DEPLOYING",
    ] {
        assert!(signal_status(word).is_some(), "{word}");
    }
    assert_eq!(signal_status("HAPPY"), None);
}

proptest! {
    #[test]
    fn no_signal_makes_it_panic(name in "[a-z.]{0,8}", content in "\\PC{0,40}", exit in "[0-9-]{0,12}") {
        let mut machine = machine(1);
        machine.scripts = vec![run(7, "one", ScriptType::Testing)].into();
        let mut fields = files(&[(&name, content.as_bytes())]);
        fields.push_text("exit_status", exit);
        fields.push_text("power_type", content.clone());
        fields.push_text("power_parameters", content);
        drop(about(&fields, SignalStatus::Working, &machine));
        drop(power(&fields));
    }
}
