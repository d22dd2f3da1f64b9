#![allow(clippy::unwrap_used)]

mod peer;
mod programs;
mod scripts;

use std::collections::BTreeMap;

use super::*;

/// The script that cloud-init would find in the message.
fn script(message: &[u8]) -> String {
    let text = std::str::from_utf8(message).unwrap();
    let (_, part) = text.split_once("filename=\"user_data.sh\"\n\n").unwrap();
    let (body, rest) = part.split_once("\n--").unwrap();
    assert_eq!(rest, format!("{BOUNDARY}--\n"));
    String::from_utf8(STANDARD.decode(body.replace('\n', "")).unwrap()).unwrap()
}

/// The files that a shell script would unpack.
fn unpacked(script: &str) -> BTreeMap<String, String> {
    assert!(script.starts_with("#!/bin/sh\n"));
    let (_, packed) = script.split_once("'END_OF_PROGRAMS' | tar -xz -C \"$folder\"\n").unwrap();
    let (packed, _) = packed.split_once("\nEND_OF_PROGRAMS\n").unwrap();
    let gzip = STANDARD.decode(packed.replace('\n', "")).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(gzip.as_slice()));
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut text = String::new();
        io::Read::read_to_string(&mut entry, &mut text).unwrap();
        found.insert(name, text);
    }
    found
}

#[test]
fn the_user_data_carries_all_programs_unchanged() {
    let script = script(&user_data());
    let expected: BTreeMap<String, String> = RUNNER
        .iter()
        .chain(&MACHINE_RESOURCES)
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    assert_eq!(unpacked(&script), expected);
    assert!(script.ends_with("/maas_runner.py\" run \"$folder/work\"\n"));
    assert_eq!(pack(&RUNNER).unwrap(), pack(&RUNNER).unwrap());
}

#[test]
fn the_poweroff_variant_runs_nothing_of_ours() {
    let script = script(&poweroff_user_data());
    assert!(script.starts_with("#!/bin/sh\n") && !script.contains("maas_runner"));
}
