#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Read;

use super::*;
use crate::commission::builtin;
use crate::commission::script::{Choice, choose};

fn unpack(archive: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mode = entry.header().mode().unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        found.insert(path, (mode, bytes));
    }
    found
}

fn index(files: &BTreeMap<String, (u32, Vec<u8>)>) -> Value {
    serde_json::from_slice(&files["index.json"].1).unwrap()
}

#[test]
fn a_machine_gets_its_pending_scripts_with_their_run_ids() {
    let scripts =
        choose(builtin::scripts(), ScriptType::Commissioning, &Choice::Automatic).unwrap();
    let runs: Vec<ScriptRun> =
        scripts.iter().zip(40..).map(|(script, id)| script.run(id, &BTreeMap::new())).collect();
    let entries: Vec<Entry<'_>> = scripts
        .iter()
        .zip(&runs)
        .map(|(script, run)| Entry { script, run: Some(run), outputs: Outputs::default() })
        .collect();
    let bytes = archive(&entries, Include::Unfinished).unwrap().unwrap();
    let files = unpack(&bytes);
    let listed = index(&files)["1.0"]["commissioning_scripts"].clone();
    assert_eq!(listed.as_array().unwrap().len(), scripts.len());
    for item in listed.as_array().unwrap() {
        let (mode, body) = &files[item["path"].as_str().unwrap()];
        assert_eq!(*mode, 0o755);
        assert!(body.starts_with(b"#!"));
        assert!(item["script_result_id"].as_u64().unwrap() >= 40);
        assert_eq!(item["has_started"], false);
        assert!(item["timeout_seconds"].is_f64());
    }
    assert_eq!(bytes, archive(&entries, Include::Unfinished).unwrap().unwrap());
}

#[test]
fn a_started_script_brings_its_earlier_output_and_a_finished_one_is_left_out() {
    let lshw = builtin::script("maas-lshw").unwrap();
    let cmdline = builtin::script("maas-kernel-cmdline").unwrap();
    let mut started = lshw.run(7, &BTreeMap::new());
    started.status = ScriptStatus::Running;
    let mut finished = cmdline.run(8, &BTreeMap::new());
    finished.status = ScriptStatus::Passed;
    let outputs = Outputs { combined: b"half", stdout: b"half", ..Outputs::default() };
    let entries = [
        Entry { script: lshw, run: Some(&started), outputs },
        Entry { script: cmdline, run: Some(&finished), outputs: Outputs::default() },
    ];
    let files = unpack(&archive(&entries, Include::Unfinished).unwrap().unwrap());
    assert_eq!(files["out/maas-lshw.7"].1, b"half");
    assert!(files.contains_key("out/maas-lshw.7.out"));
    assert!(!files.contains_key("out/maas-lshw.7.err"));
    let listed = index(&files)["1.0"]["commissioning_scripts"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["has_started"], true);

    assert!(archive(&entries[1..], Include::Unfinished).unwrap().is_none());
    assert!(archive(&entries[1..], Include::All).unwrap().is_some());
    assert!(archive(&[], Include::All).unwrap().is_none());
}

#[test]
fn an_unknown_machine_gets_scripts_without_run_ids() {
    for (commission, expected) in [(EnlistCommissioning::Yes, 8), (EnlistCommissioning::No, 1)] {
        let scripts = enlistment_scripts(builtin::scripts(), commission);
        assert_eq!(scripts.len(), expected);
        let entries: Vec<Entry<'_>> = scripts
            .iter()
            .map(|script| Entry { script, run: None, outputs: Outputs::default() })
            .collect();
        let files = unpack(&archive(&entries, Include::Unfinished).unwrap().unwrap());
        for item in index(&files)["1.0"]["commissioning_scripts"].as_array().unwrap() {
            assert!(item.get("script_result_id").is_none());
        }
    }
}

#[test]
fn several_runs_of_one_script_share_its_file() {
    let script = builtin::script("smartctl-validate").unwrap();
    let runs = [script.run(1, &BTreeMap::new()), script.run(2, &BTreeMap::new())];
    let entries: Vec<Entry<'_>> = runs
        .iter()
        .map(|run| Entry { script, run: Some(run), outputs: Outputs::default() })
        .collect();
    let bytes = archive(&entries, Include::Unfinished).unwrap().unwrap();
    let names: Vec<String> = tar::Archive::new(bytes.as_slice())
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["testing/smartctl-validate", "index.json"]);
}

#[test]
fn the_older_archive_holds_the_commissioning_scripts_alone_and_is_text() {
    let bytes = commissioning_archive(builtin::scripts()).unwrap();
    let files = unpack(&bytes);
    assert_eq!(files.len(), 8);
    assert!(files.keys().all(|path| path.starts_with("commissioning.d/")));
    // cloud-init's `crawl` decodes it.
    assert!(String::from_utf8(bytes).is_ok());
}
