//! What comes late, twice or from an earlier run.

use super::*;

#[test]
fn netboot_is_switched_off_exactly_once() {
    let mut life = Life::deploying();
    life.does(&boot()).does(&Event::NetbootOff);
    let before = life.machine.clone();
    life.ignores(&Event::NetbootOff);
    life.ignores(&Event::NetbootOn);
    assert_eq!(life.machine, before);
    Life::deployed().ignores(&Event::NetbootOff);
    Life::ready().ignores(&Event::NetbootOff);
}

#[test]
fn user_data_asked_for_before_the_installation_ended_deploys_nothing() {
    let mut life = Life::deploying();
    life.ignores(&Event::UserDataFetched);
    life.does(&boot());
    life.ignores(&Event::UserDataFetched);
    assert_eq!(life.machine.status, Status::Deploying);
    Life::deployed().ignores(&Event::UserDataFetched);
}

#[test]
fn an_installer_of_an_earlier_run_cannot_end_this_one() {
    let mut life = Life::deploying();
    life.does(&Event::Abort { actor: user("ann"), comment: String::new() }).does(&deploy("ann"));
    life.ignores(&Event::NetbootOff);
    life.ignores(&Event::UserDataFetched);
    life.does(&report("curtin", "cmd-install", ReportPhase::Fail));
    assert_eq!(life.machine.status, Status::Deploying);
}

#[test]
fn a_runner_of_an_earlier_run_cannot_end_this_one() {
    let mut life = Life::of(machine());
    let script = |id| vec![run(id, "50-maas-01-commissioning", ScriptType::Commissioning)];
    life.does(&commission(script(1))).does(&boot()).does(&failing_signal("no"));
    life.does(&commission(script(2)));
    life.does(&signal(SignalStatus::Ok));
    assert_eq!(life.machine.status, Status::Commissioning);
    assert_eq!(life.refuses(&result(1, 0)), Refusal::UnknownScript { found: "1".into() });
    assert_eq!(life.machine.scripts[0].status, ScriptStatus::Pending);
}

#[test]
fn a_result_told_twice_counts_once() {
    let mut life = Life::of(machine());
    life.does(&commission(vec![run(1, "a", ScriptType::Commissioning)])).does(&boot());
    life.does(&result(1, 0));
    let ended = life.machine.scripts[0].clone();
    life.does(&result(1, 0)).does(&script_signal(SignalStatus::Working, of_script(1, None)));
    assert_eq!(life.machine.scripts[0], ended);
}

#[test]
fn signals_after_the_end_are_ignored_or_refused_as_the_reference_does() {
    for word in [SignalStatus::Ok, SignalStatus::Failed, SignalStatus::Working] {
        Life::ready().ignores(&signal(word));
        Life::deployed().ignores(&signal(word));
        let mut allocated = Life::ready();
        allocated.does(&allocate("ann"));
        assert!(matches!(allocated.refuses(&signal(word)), Refusal::WrongStatus { .. }));
    }
}

#[test]
fn small_steps_of_cloud_init_need_no_write() {
    let mut life = Life::deploying();
    life.does(&boot());
    life.ignores(&report("cloudinit", "init-network/check-cache", ReportPhase::Success));
    life.does(&report("cloudinit", "modules-final/config-scripts-user", ReportPhase::Start));
    Life::ready().ignores(&report("cloudinit", "modules-final", ReportPhase::Success));
}

#[test]
fn a_failure_after_deployment_is_only_written_down() {
    let mut life = Life::deployed();
    life.does(&report("cloudinit", "modules-final", ReportPhase::Fail));
    assert_eq!(life.machine.status, Status::Deployed);
    assert_eq!(life.records[0].kind, "Node post-installation failure");
}

#[test]
fn a_deadline_that_is_not_reached_does_nothing() {
    let mut life = Life::deploying();
    life.ignores(&Event::DeadlineReached);
    Life::ready().ignores(&Event::DeadlineReached);
}

#[test]
fn releasing_twice_is_no_error() {
    let mut life = Life::deployed();
    life.does(&release("ann", Erase::Keep, Vec::new()));
    life.ignores(&release("ann", Erase::Keep, Vec::new()));
    life.does(&power(PowerState::Off));
    life.ignores(&release("ann", Erase::Keep, Vec::new()));
}

#[test]
fn the_bmc_that_was_found_never_replaces_the_operators() {
    let found = |driver: &str| Event::Signal {
        status: SignalStatus::Working,
        error: String::new(),
        script: None,
        power: Some((driver.into(), BTreeMap::from([("power_address".into(), "10.1.1.1".into())]))),
        scripts: Vec::new(),
    };
    let mut life = Life::of(machine());
    life.does(&commission(Vec::new())).does(&boot()).does(&found("ipmi"));
    assert_eq!(life.machine.power.driver, "webhook");
    life.machine.power.driver = "ipmi".into();
    life.does(&found("redfish"));
    assert_eq!(life.machine.power.driver, "redfish");
    life.does(&found("ipmi"));
    assert_eq!(life.machine.power.driver, "redfish");
}

#[test]
fn a_stored_machine_is_the_same_when_it_is_loaded() {
    let mut life = Life::deploying();
    life.does(&boot()).does(&report("curtin", "cmd-install/stage-late", ReportPhase::Start));
    let stored = serde_json::to_string(&life.machine).unwrap();
    let loaded: Machine = serde_json::from_str(&stored).unwrap();
    assert_eq!(loaded, life.machine);
    let effects = serde_json::to_string(&[Effect::PowerCycle]).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Effect>>(&effects).unwrap(), [Effect::PowerCycle]);
    for event in [boot(), deploy("ann"), result(1, 0), Event::DeadlineReached] {
        let stored = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&stored).unwrap(), event);
    }
    let refusal = Life::of(machine()).refuses(&deploy("ann"));
    let stored = serde_json::to_string(&refusal).unwrap();
    assert_eq!(serde_json::from_str::<Refusal>(&stored).unwrap(), refusal);
}
