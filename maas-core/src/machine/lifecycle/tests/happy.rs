//! The way that most machines go.

use super::*;
use crate::machine::Waiting;

#[test]
fn a_machine_goes_from_enlistment_to_deployed_and_back() {
    let mut new = NewMachine::new(SystemId::from_entropy(9), "new", "amd64", credentials("first"));
    new.power_driver = "webhook".into();
    let enlisted = Machine::enlisted(new, Enlistment::WithCommissioning, START).unwrap();
    let mut life = Life::of(enlisted);

    let scripts = vec![run(1, "50-maas-01-commissioning", ScriptType::Commissioning)];
    life.does(&Event::Signal {
        status: SignalStatus::Commissioning,
        error: String::new(),
        script: None,
        power: None,
        scripts,
    });
    assert_eq!(life.machine.status, Status::Commissioning);
    assert!(life.effects.is_empty(), "it is running: nothing must switch it");
    assert_eq!(life.machine.credentials, credentials("first"), "it is using them");
    let by_name =
        ScriptReport { name: Some("50-maas-01-commissioning".into()), ..of_script(0, Some(0)) };
    life.does(&script_signal(SignalStatus::Working, ScriptReport { id: None, ..by_name }));
    assert_eq!(life.machine.scripts[0].status, ScriptStatus::Passed);
    life.does(&signal(SignalStatus::Ok));
    assert_eq!((life.machine.status, life.machine.enlisting), (Status::New, false));

    life.does(&commission(vec![
        run(2, "50-maas-01-commissioning", ScriptType::Commissioning),
        run(3, "smartctl-validate", ScriptType::Testing),
    ]));
    assert_eq!(life.machine.owner.as_deref(), Some("admin"));
    assert_eq!(life.effects, [Effect::PowerCycle]);
    life.does(&boot()).does(&Event::EphemeralFetched).does(&result(2, 0));
    life.does(&signal(SignalStatus::Testing));
    assert_eq!(life.machine.status, Status::Testing);
    life.does(&result(3, 0)).does(&signal(SignalStatus::Ok));
    assert_eq!((life.machine.status, &life.machine.owner), (Status::Ready, &None));

    life.does(&allocate("ann"));
    assert_eq!(life.machine.status, Status::Allocated);
    assert_eq!(life.machine.agent_name, "juju");
    assert_eq!(life.records[1].description, "From 'Ready' to 'Allocated' (to ann)");
    let anns = life.machine.credentials.clone();

    life.does(&deploy("ann"));
    assert_eq!((life.machine.status, life.machine.netboot), (Status::Deploying, true));
    assert!(life.machine.waits_for(Waiting::NetworkBoot));
    life.does(&boot());
    assert_eq!(life.records[0].kind, "Performing PXE boot");
    assert!(life.machine.waits_for(Waiting::EphemeralOs));
    life.does(&report("cloudinit", "init-network", ReportPhase::Success));
    assert!(life.machine.waits_for(Waiting::Installer));
    life.does(&report("curtin", "cmd-install/stage-extract", ReportPhase::Start));
    assert_eq!(life.records[0].kind, "Installing OS");
    assert_eq!(life.machine.last_step.as_ref().unwrap().what, "curtin: cmd-install/stage-extract");
    life.does(&Event::NetbootOff);
    assert!(!life.machine.netboot);
    assert!(life.machine.waits_for(Waiting::InstalledSystem));
    life.does(&report("curtin", "cmd-install", ReportPhase::Success));
    life.does(&report("cloudinit", "modules-final", ReportPhase::Warn));
    life.does(&boot());
    assert_eq!(life.machine.status, Status::Deploying);
    life.does(&Event::UserDataFetched);
    assert_eq!(life.machine.status, Status::Deployed);
    assert!(
        life.records.iter().any(|record| record.kind == "Image Deployed"
            && record.description == "deployed ubuntu/noble")
    );
    assert_eq!(life.machine.credentials, anns, "the deployed system goes on using them");

    life.machine.owner_data.insert("purpose".into(), "ci".into());
    life.does(&release("ann", Erase::Keep, Vec::new()));
    assert_eq!(life.machine.status, Status::Releasing);
    assert_eq!(life.effects[0], Effect::PowerOff);
    life.does(&power(PowerState::Off));
    let machine = &life.machine;
    assert_eq!(
        (machine.status, &machine.owner, &machine.deployment),
        (Status::Ready, &None, &None)
    );
    assert!(machine.owner_data.is_empty() && machine.agent_name.is_empty() && machine.netboot);
    assert_ne!(machine.credentials, anns, "the user before must not reach it any more");
}

#[test]
fn a_deployment_in_memory_is_deployed_without_an_installer() {
    let mut life = Life::ready();
    life.does(&allocate("ann"));
    life.does(&Event::Deploy {
        actor: user("ann"),
        deployment: Box::new(summary(true)),
        scripts: Vec::new(),
        comment: String::new(),
    });
    life.ignores(&Event::UserDataFetched);
    life.does(&boot()).does(&Event::UserDataFetched);
    assert_eq!(life.machine.status, Status::Deployed);
}

#[test]
fn deploying_a_ready_machine_takes_it_first() {
    let mut life = Life::ready();
    life.does(&deploy("ann"));
    assert_eq!(life.machine.owner.as_deref(), Some("ann"));
    assert_eq!(life.machine.previous_status, Status::Allocated);
    let kinds: Vec<&str> = life.records.iter().map(|record| record.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "User acquiring node",
            "Node changed status",
            "User starting deployment",
            "Node changed status"
        ]
    );
}

#[test]
fn a_machine_switched_by_hand_is_released_at_once() {
    let mut life = Life::deployed();
    life.machine.power.driver = "manual".into();
    life.does(&release("ann", Erase::Keep, Vec::new()));
    assert_eq!(life.machine.status, Status::Ready);
    assert!(life.effects.is_empty());
}

#[test]
fn an_erased_machine_is_ready_when_its_disks_are_proven_wiped() {
    let mut life = Life::deployed();
    life.does(&power(PowerState::On));
    let wipe = || vec![run(9, "wipe-disks", ScriptType::Release)];
    life.does(&release("ann", Erase::Quick, wipe()));
    assert_eq!(life.machine.status, Status::DiskErasing);
    assert_eq!(life.effects, [Effect::PowerCycle]);
    life.does(&boot()).does(&result(9, 0)).does(&signal(SignalStatus::Ok));
    assert_eq!(life.machine.status, Status::DiskErasing);
    life.does(&report("cloudinit", "modules-final", ReportPhase::Success));
    assert_eq!(life.machine.status, Status::Releasing);
    life.does(&power(PowerState::Off));
    assert_eq!(life.machine.status, Status::Ready);

    let mut unproven = Life::deployed();
    unproven.does(&release("ann", Erase::Quick, wipe())).does(&boot());
    unproven.does(&report("cloudinit", "modules-final", ReportPhase::Success));
    assert_eq!(unproven.machine.status, Status::FailedDiskErasing);
    assert!(unproven.machine.error_description.contains("wipe-disks"));
}

#[test]
fn rescue_mode_leads_back_to_the_owners_deployed_machine() {
    let mut life = Life::deployed();
    life.does(&Event::EnterRescueMode { actor: admin() });
    life.does(&boot()).does(&signal(SignalStatus::Working));
    assert_eq!(life.machine.status, Status::RescueMode);
    life.does(&Event::ExitRescueMode { actor: admin() });
    assert_eq!(life.machine.status, Status::ExitingRescueMode);
    assert_eq!(life.machine.purpose().template(), "local");
    life.does(&power(PowerState::On));
    assert_eq!(life.machine.status, Status::Deployed);
    assert_eq!(life.machine.owner.as_deref(), Some("ann"));
}

#[test]
fn tests_lead_back_to_where_they_began() {
    let test = || Event::Test {
        actor: admin(),
        enable_ssh: false,
        scripts: vec![run(5, "memtester", ScriptType::Testing)],
    };
    let mut life = Life::deployed();
    life.does(&test()).does(&boot()).does(&result(5, 1)).does(&signal(SignalStatus::Ok));
    assert_eq!(life.machine.status, Status::FailedTesting);
    life.does(&test()).does(&boot()).does(&result(5, 0)).does(&signal(SignalStatus::Ok));
    assert_eq!(life.machine.status, Status::Deployed);

    let mut new = Life::of(machine());
    new.does(&test()).does(&boot()).does(&result(5, 0)).does(&signal(SignalStatus::Ok));
    assert_eq!(new.machine.status, Status::New, "testing does not replace commissioning");

    let mut overridden = Life::ready();
    overridden.does(&test()).does(&boot()).does(&failing_signal("1 testing script failed to run"));
    overridden.does(&Event::OverrideFailedTesting { actor: admin(), comment: String::new() });
    assert_eq!((overridden.machine.status, overridden.machine.owner), (Status::Ready, None));
}

#[test]
fn broken_machines_come_back_ready_and_free() {
    let mut life = Life::deployed();
    let broken = |name| Event::MarkBroken { actor: user(name), comment: "fan is dead".into() };
    assert_eq!(life.refuses(&broken("bob")).kind(), crate::machine::RefusalKind::Forbidden);
    life.does(&broken("ann"));
    assert_eq!((life.machine.status, &life.machine.owner), (Status::Broken, &None));
    assert_eq!(life.machine.error_description, "fan is dead");
    life.does(&Event::MarkFixed { actor: admin(), comment: String::new() });
    assert_eq!(life.machine.status, Status::Ready);
    assert_eq!(life.machine.error_description, "");
}

#[test]
fn a_machine_that_was_last_seen_off_and_then_switched_on_is_switched_off_at_release() {
    let mut life = Life::ready();
    life.does(&power(PowerState::Off)).does(&allocate("ann")).does(&deploy("ann"));
    life.time_passes_until_it_fails();
    life.does(&release("ann", Erase::Keep, Vec::new()));
    assert_eq!(life.machine.status, Status::Releasing);
    assert!(life.effects.contains(&Effect::PowerOff));
}

#[test]
fn a_repeated_test_leads_to_where_the_first_one_would_have_led() {
    let test = || Event::Test {
        actor: admin(),
        enable_ssh: false,
        scripts: vec![run(5, "memtester", ScriptType::Testing)],
    };
    let mut life = Life::ready();
    life.does(&allocate("ann"));
    life.does(&test()).does(&boot()).does(&result(5, 1)).does(&signal(SignalStatus::Ok));
    life.does(&test()).does(&boot()).does(&result(5, 0)).does(&signal(SignalStatus::Ok));
    assert_eq!(life.machine.status, Status::Allocated);
    assert_eq!(life.machine.owner.as_deref(), Some("ann"));
}

#[test]
fn a_system_with_packed_configuration_is_deployed_by_its_own_last_report() {
    let mut life = Life::ready();
    life.does(&allocate("ann"));
    let deployment =
        DeploymentSummary { arrival: crate::machine::Arrival::Report, ..summary(false) };
    life.does(&Event::Deploy {
        actor: user("ann"),
        deployment: Box::new(deployment),
        scripts: Vec::new(),
        comment: String::new(),
    });
    let last = report("cloudinit", "modules-final", ReportPhase::Success);
    life.does(&boot()).does(&report("cloudinit", "init-network", ReportPhase::Success));
    life.does(&report("curtin", "cmd-install", ReportPhase::Start));
    life.does(&Event::NetbootOff);
    life.does(&report("curtin", "cmd-install", ReportPhase::Success));
    life.does(&last);
    assert_eq!(life.machine.status, Status::Deploying, "that was the ephemeral OS's end");
    life.does(&boot());
    life.does(&last);
    assert_eq!(life.machine.status, Status::Deploying, "the same report once more");
    life.does(&report("cloudinit", "init-local", ReportPhase::Success));
    assert_eq!(life.machine.status, Status::Deploying);
    life.does(&last);
    assert_eq!(life.machine.status, Status::Deployed);
    assert!(life.records.iter().any(|record| record.kind == "Image Deployed"));
}

#[test]
fn a_system_that_uses_the_metadata_service_is_not_deployed_by_a_report() {
    let mut life = Life::deploying();
    life.does(&boot()).does(&Event::NetbootOff);
    for name in ["modules-final", "init-local", "modules-final"] {
        life.does(&report("cloudinit", name, ReportPhase::Success));
        assert_eq!(life.machine.status, Status::Deploying, "{name}");
    }
    life.does(&Event::UserDataFetched);
    assert_eq!(life.machine.status, Status::Deployed);
}

#[test]
fn a_lease_is_known_and_told_once_until_it_ends() {
    let mut life = Life::ready();
    let leased = |mac: &str, last| Event::AddressLeased {
        mac: mac.into(),
        address: std::net::IpAddr::from([10, 0, 0, last]),
    };
    let mac = "52:54:00:00:00:07";
    life.does(&leased(mac, 5));
    assert_eq!(life.records[0].kind, "DHCP lease");
    for again in [leased(&mac.to_uppercase(), 5), leased("no", 5)] {
        life.does(&again);
        assert!(life.records.is_empty());
    }
    assert_eq!(life.machine.boot.leases.get(mac), Some(&std::net::IpAddr::from([10, 0, 0, 5])));
    life.does(&leased(mac, 6));
    let ended = |last| Event::LeaseEnded {
        mac: mac.into(),
        address: std::net::IpAddr::from([10, 0, 0, last]),
    };
    life.does(&ended(5));
    assert!(!life.machine.boot.leases.is_empty(), "that one was given up before");
    life.does(&ended(6));
    assert!(life.machine.boot.leases.is_empty());
}
