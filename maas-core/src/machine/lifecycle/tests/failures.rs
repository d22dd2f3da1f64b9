//! How things end that do not go well: named, with the step, and free to start again.

use super::*;
use crate::machine::{Precondition, RefusalKind, Waiting};

#[test]
fn a_machine_that_never_boots_fails_with_what_was_waited_for() {
    let mut life = Life::deploying();
    let error = life.time_passes_until_it_fails();
    assert_eq!(
        error,
        "Node operation 'Deploying' timed out after 30 minutes: nothing was seen of the machine \
         since the start; waited for the machine's firmware to ask for a boot file"
    );
    assert_eq!(life.machine.status, Status::FailedDeployment);
    assert!(life.records.iter().any(|record| record.level == crate::machine::Level::Error));
}

#[test]
fn a_silent_installer_fails_with_the_last_stage() {
    let mut life = Life::deploying();
    life.does(&boot());
    life.does(&report("curtin", "cmd-install/stage-extract", ReportPhase::Start));
    let error = life.time_passes_until_it_fails();
    assert!(
        error.starts_with(
            "Node operation 'Deploying' timed out after 30 minutes: the last thing seen was \
             'curtin: cmd-install/stage-extract' at 2026-11-22 17:00:"
        ),
        "{error}"
    );
    assert!(error.ends_with("waited for the installer"), "{error}");
}

#[test]
fn an_installed_system_that_never_asks_is_named_as_the_reason() {
    let mut life = Life::deploying();
    life.does(&boot()).does(&Event::NetbootOff);
    life.does(&report("curtin", "cmd-install", ReportPhase::Success)).does(&boot());
    let error = life.time_passes_until_it_fails();
    assert!(error.contains("the installed system never asked"), "{error}");
    assert!(error.contains("'firmware: local boot (uefi)'"), "{error}");
}

#[test]
fn signs_of_life_prolong_a_deployment_only_to_its_hard_stop() {
    let mut life = Life::deploying();
    let began = life.machine.deadline.as_ref().unwrap().since;
    life.does(&boot());
    for _ in 0..5 {
        life.waits(11 * MINUTE);
        life.does(&report("curtin", "cmd-install/stage-late", ReportPhase::Start));
    }
    assert_eq!(life.machine.deadline.as_ref().unwrap().at, began.plus(60 * MINUTE));
    assert!(life.time_passes_until_it_fails().contains("timed out after 60 minutes"));
}

#[test]
fn a_failing_installation_names_the_innermost_step() {
    let mut life = Life::deploying();
    life.does(&boot()).does(&Event::NetbootOff);
    life.does(&report("curtin", "cmd-install/stage-late/cmd-in-target", ReportPhase::Fail));
    life.does(&report("curtin", "cmd-install/stage-late", ReportPhase::Fail));
    assert_eq!(life.machine.status, Status::Deploying);
    life.does(&report("curtin", "cmd-install", ReportPhase::Fail));
    assert_eq!(life.machine.status, Status::FailedDeployment);
    assert_eq!(
        life.machine.error_description,
        "Node operation 'Deploying' failed at 'curtin: cmd-install/stage-late/cmd-in-target \
         failed': doing cmd-install"
    );
}

#[test]
fn a_warning_never_fails_anything() {
    for status in [Life::deploying(), commissioning()].iter_mut() {
        let before = status.machine.status;
        status.does(&boot());
        status.does(&report("cloudinit", "init-network", ReportPhase::Warn));
        assert_eq!(status.machine.status, before);
    }
}

fn commissioning() -> Life {
    let mut life = Life::of(machine());
    life.does(&commission(vec![run(1, "50-maas-01-commissioning", ScriptType::Commissioning)]));
    life
}

#[test]
fn a_failed_machine_is_released_and_deployed_again_at_once() {
    let mut life = Life::deploying();
    life.time_passes_until_it_fails();
    assert_eq!(
        life.refuses(&deploy("ann")).sentence(),
        "Can't deploy a machine that is in the 'Failed deployment' state"
    );
    life.does(&power(PowerState::Off));
    life.does(&release("ann", Erase::Keep, Vec::new()));
    assert_eq!(life.machine.status, Status::Ready);
    life.does(&deploy("bob")).does(&boot()).does(&Event::NetbootOff).does(&Event::UserDataFetched);
    assert_eq!(life.machine.status, Status::Deployed);
}

#[test]
fn an_aborted_deployment_is_started_again_at_once() {
    let mut life = Life::deploying();
    life.does(&boot()).does(&Event::NetbootOff);
    life.does(&Event::Abort { actor: user("ann"), comment: String::new() });
    assert_eq!((life.machine.status, life.machine.netboot), (Status::Allocated, true));
    assert_eq!(life.effects, [Effect::PowerOff]);
    life.does(&deploy("ann"));
    assert_eq!((life.machine.status, life.machine.netboot), (Status::Deploying, true));
}

#[test]
fn a_power_driver_that_gives_up_ends_the_wait_that_needs_it() {
    let failed = |action: &str| Event::PowerFailed {
        action: action.into(),
        message: "the BMC refused the password".into(),
    };
    let mut life = Life::deploying();
    life.does(&failed("cycle"));
    assert_eq!(life.machine.status, Status::FailedDeployment);
    assert!(life.machine.error_description.contains("the BMC refused the password"));
    assert!(life.machine.error_description.contains("firmware to ask for a boot file"));

    let mut late = Life::deploying();
    late.does(&boot()).does(&failed("cycle"));
    assert_eq!(late.machine.status, Status::Deploying, "it is up all the same");

    let mut release_fails = Life::deployed();
    release_fails.does(&release("ann", Erase::Keep, Vec::new())).does(&failed("query"));
    assert_eq!(release_fails.machine.status, Status::Releasing);
    release_fails.does(&failed("off"));
    assert_eq!(release_fails.machine.status, Status::FailedReleasing);
}

#[test]
fn failing_scripts_fail_commissioning_by_name() {
    let mut life = commissioning();
    life.does(&boot())
        .does(&result(1, 2))
        .does(&failing_signal("1 commissioning scripts failed to run"));
    assert_eq!(life.machine.status, Status::FailedCommissioning);
    assert!(life.machine.error_description.contains("50-maas-01-commissioning"));

    let mut said_ok = commissioning();
    said_ok.does(&boot()).does(&result(1, 2)).does(&signal(SignalStatus::Ok));
    assert_eq!(said_ok.machine.status, Status::FailedCommissioning);
}

#[test]
fn silence_during_scripts_ends_commissioning_and_switches_off() {
    let mut life = commissioning();
    life.does(&boot()).does(&script_signal(SignalStatus::Working, of_script(1, None)));
    for _ in 0..100 {
        life.waits(20 * MINUTE).does(&signal(SignalStatus::Working));
    }
    assert_eq!(life.machine.status, Status::Commissioning, "heartbeats keep it alive");
    let at = life.machine.deadline.as_ref().unwrap().at;
    assert_eq!(at, life.machine.last_ping.unwrap().plus(30 * MINUTE));
    let error = life.time_passes_until_it_fails();
    assert!(error.contains("'runner: script 50-maas-01-commissioning running'"), "{error}");
    assert!(error.contains("the last heartbeat came at"), "{error}");
    assert!(life.effects.contains(&Effect::PowerOff));
    assert_eq!(life.machine.scripts[0].status, ScriptStatus::TimedOut);
}

#[test]
fn a_script_that_outlives_its_own_limit_is_named() {
    let mut life = commissioning();
    life.machine.scripts[0].timeout_seconds = 60;
    life.does(&boot()).does(&script_signal(SignalStatus::Working, of_script(1, None)));
    for _ in 0..10 {
        life.waits(MINUTE).does(&signal(SignalStatus::Working));
    }
    let error = life.time_passes_until_it_fails();
    assert!(error.contains("script '50-maas-01-commissioning' ran longer"), "{error}");
}

#[test]
fn a_script_that_may_reboot_gets_one_more_wait() {
    let mut life = commissioning();
    life.machine.scripts[0].may_reboot = true;
    life.does(&boot()).does(&script_signal(SignalStatus::Working, of_script(1, None)));
    life.waits(31 * MINUTE).does(&Event::DeadlineReached);
    assert_eq!(life.machine.status, Status::Commissioning);
    assert!(life.machine.waits_for(Waiting::NetworkBoot));
    life.time_passes_until_it_fails();
}

#[test]
fn a_machine_that_only_ever_boots_is_not_alive() {
    let mut life = commissioning();
    for _ in 0..10 {
        life.waits(10 * MINUTE).does(&boot()).does(&Event::DeadlineReached);
    }
    assert_eq!(life.machine.status, Status::FailedCommissioning);
}

#[test]
fn an_ephemeral_os_that_ends_without_an_installer_fails_the_deployment() {
    let mut life = Life::deploying();
    life.does(&boot()).does(&report("cloudinit", "modules-final", ReportPhase::Success));
    assert_eq!(life.machine.status, Status::FailedDeployment);
    assert!(life.machine.error_description.contains("switched netboot off"));
}

#[test]
fn a_missing_boot_image_fails_what_is_under_way_and_nothing_else() {
    let missing =
        Event::Failed { message: "Missing boot image ubuntu/amd64/ga-24.04/noble".into() };
    let mut life = commissioning();
    life.does(&missing);
    assert_eq!(life.machine.status, Status::FailedCommissioning);
    assert!(life.machine.error_description.contains("Missing boot image"));
    life.ignores(&missing);
    Life::of(machine()).ignores(&missing);
    assert_eq!(Life::deployed().refuses(&missing).kind(), RefusalKind::Conflict);
}

#[test]
fn deploying_needs_a_commissioned_machine_of_ones_own() {
    let mut new = Life::of(machine());
    assert_eq!(
        new.refuses(&deploy("ann")),
        Refusal::Precondition(Precondition::Commissioned { status: Status::New })
    );
    let mut life = Life::ready();
    life.does(&allocate("ann"));
    assert_eq!(
        life.refuses(&deploy("bob")),
        Refusal::Precondition(Precondition::Allocated { owner: Some("ann".into()) })
    );
    assert_eq!(life.refuses(&allocate("bob")).kind(), RefusalKind::Forbidden);
    assert_eq!(life.refuses(&allocate("ann")).kind(), RefusalKind::Conflict);
}

#[test]
fn a_machine_without_a_power_driver_is_told_so() {
    let mut life = Life::of(machine());
    life.machine.power.driver.clear();
    assert_eq!(life.refuses(&commission(Vec::new())), Refusal::NoPowerDriver);
}

#[test]
fn locks_hold_until_they_are_opened() {
    let mut life = Life::deployed();
    let lock = Event::Lock { actor: user("ann"), comment: String::new() };
    let unlock = Event::Unlock { actor: user("ann"), comment: String::new() };
    assert_eq!(life.refuses(&unlock), Refusal::NotLocked);
    life.does(&lock);
    assert_eq!(life.refuses(&lock), Refusal::AlreadyLocked);
    assert!(matches!(
        life.refuses(&release("ann", Erase::Keep, Vec::new())),
        Refusal::Locked { .. }
    ));
    life.does(&unlock).does(&release("ann", Erase::Keep, Vec::new()));
    assert_eq!(
        Life::ready().refuses(&Event::Lock { actor: admin(), comment: String::new() }).kind(),
        RefusalKind::Conflict
    );
}

#[test]
fn nobodys_machine_is_not_switched_on() {
    let mut life = Life::ready();
    let on = Event::PowerOn { actor: user("ann") };
    assert_eq!(life.refuses(&on).sentence(), "Can't start node: it hasn't been allocated.");
    life.does(&allocate("ann")).does(&on);
    assert_eq!(life.effects, [Effect::PowerOn]);
}
