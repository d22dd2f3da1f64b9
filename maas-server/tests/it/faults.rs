//! A machine on which something goes wrong ends in the right status with a message that says at
//! which step, and can be used again at once.

use std::time::Instant;

use maas_server::simulator::fault::FaultKind;

use super::support::eventually;
use super::support::play::{NODE_TIMEOUT, PATIENCE, Play};

#[test]
fn a_machine_that_never_boots_to_be_commissioned_fails_and_can_be_commissioned_again() {
    let (play, id) = Play::enlisted(11);
    play.faults(&[FaultKind::NeverBoots]);
    play.act(&id, "commission");
    let started = Instant::now();
    let machine = play.wait_for(&id, "Failed commissioning");
    assert!(started.elapsed() < NODE_TIMEOUT * 3, "{:?}", started.elapsed());
    let why = machine["error_description"].as_str().unwrap();
    assert!(why.contains("firmware to ask for a boot file"), "{why}");

    play.faults(&[]);
    play.act(&id, "commission");
    play.wait_for(&id, "Ready");
}

#[test]
fn a_machine_that_never_reports_while_it_is_commissioned_fails() {
    let (play, id) = Play::enlisted(12);
    play.faults(&[FaultKind::NeverReports]);
    play.act(&id, "commission");
    let started = Instant::now();
    let machine = play.wait_for(&id, "Failed commissioning");
    assert!(started.elapsed() < NODE_TIMEOUT * 4, "{:?}", started.elapsed());
    let why = machine["error_description"].as_str().unwrap();
    assert!(why.contains("ephemeral OS to ask the metadata service"), "{why}");

    play.faults(&[]);
    play.act(&id, "commission");
    play.wait_for(&id, "Ready");
}

#[test]
fn a_machine_whose_commissioning_script_fails_names_the_script() {
    let (play, id) = Play::enlisted(13);
    play.faults(&[FaultKind::CommissioningFails]);
    play.act(&id, "commission");
    let machine = play.wait_for(&id, "Failed commissioning");
    let why = play.why(&machine);
    let failed = play.running.machines()[0]
        .scripts
        .iter()
        .find(|run| run.status == maas_core::commission::result::ScriptStatus::Failed)
        .map(|run| run.name.clone());
    let failed = failed.expect("a script has failed");
    assert!(why.contains(&failed), "{failed}: {why}");
    assert!(!machine["error_description"].as_str().unwrap().is_empty(), "{why}");

    play.faults(&[]);
    play.act(&id, "commission");
    play.wait_for(&id, "Ready");
}

#[test]
fn a_machine_that_never_boots_to_be_deployed_fails_and_deploys_again_at_once() {
    let (play, id) = Play::ready(14);
    play.faults(&[FaultKind::NeverBoots]);
    play.act(&id, "deploy");
    let started = Instant::now();
    let machine = play.wait_for(&id, "Failed deployment");
    assert!(started.elapsed() < NODE_TIMEOUT * 4, "{:?}", started.elapsed());
    let why = machine["error_description"].as_str().unwrap();
    assert!(why.contains("firmware to ask for a boot file"), "{why}");
    play.deploys_again(&id);
}

#[test]
fn a_machine_whose_curtin_fails_says_so_at_once_and_deploys_again() {
    let (play, id) = Play::ready(15);
    play.faults(&[FaultKind::CurtinFails]);
    play.act(&id, "deploy");
    let machine = play.wait_for(&id, "Failed deployment");
    let why = machine["error_description"].as_str().unwrap();
    assert!(why.contains("cmd-install"), "{why}");
    assert!(!why.contains("timed out"), "{why}");
    // It netboots once more, to be switched off, which does not hide the reason.
    let off = eventually("it is switched off", PATIENCE, || {
        let machine = play.running.read(&format!("machines/{id}/"));
        (machine["power_state"] == "off").then_some(machine)
    });
    assert_eq!(off["status_message"], why);
    play.deploys_again(&id);
}

#[test]
fn a_machine_that_never_phones_home_fails_and_deploys_again_at_once() {
    let (play, id) = Play::ready(16);
    play.faults(&[FaultKind::NoPhoneHome]);
    play.act(&id, "deploy");
    let started = Instant::now();
    let machine = play.wait_for(&id, "Failed deployment");
    assert!(started.elapsed() < NODE_TIMEOUT * 4, "{:?}", started.elapsed());
    let why = machine["error_description"].as_str().unwrap();
    assert!(why.contains("the installed system never asked"), "{why}");
    play.deploys_again(&id);
}

#[test]
fn a_machine_that_loses_power_while_it_is_installed_fails_and_deploys_again() {
    let (play, id) = Play::ready(17);
    play.faults(&[FaultKind::LosesPower]);
    play.act(&id, "deploy");
    let started = Instant::now();
    let machine = play.wait_for(&id, "Failed deployment");
    assert!(started.elapsed() < NODE_TIMEOUT * 4, "{:?}", started.elapsed());
    let why = machine["error_description"].as_str().unwrap();
    assert!(why.contains("curtin") || why.contains("installer"), "{why}");
    play.deploys_again(&id);
}
