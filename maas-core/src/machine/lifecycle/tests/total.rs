//! What holds for every machine and every event.

use proptest::prelude::*;

use super::*;
use crate::machine::{Deadline, Step, Waiting};

/// Every kind of event, each command by an administrator, the owner and a stranger.
fn events() -> Vec<Event> {
    let text = String::new;
    let mut events = Vec::new();
    for actor in [admin(), user("ann"), user("bob")] {
        let who = || actor.clone();
        let runs = |script_type| vec![run(20, "wipe-disks", script_type)];
        events.extend([
            Event::Commission {
                actor: who(),
                enable_ssh: false,
                skip_networking: false,
                scripts: runs(ScriptType::Commissioning),
            },
            Event::Test { actor: who(), enable_ssh: true, scripts: runs(ScriptType::Testing) },
            Event::Allocate { actor: who(), agent_name: text(), comment: text() },
            Event::Deploy {
                actor: who(),
                deployment: Box::new(summary(false)),
                scripts: Vec::new(),
                comment: text(),
            },
            Event::Deploy {
                actor: who(),
                deployment: Box::new(summary(true)),
                scripts: runs(ScriptType::Deployment),
                comment: text(),
            },
            Event::Release {
                actor: who(),
                erase: Erase::Keep,
                scripts: Vec::new(),
                comment: text(),
            },
            Event::Release {
                actor: who(),
                erase: Erase::Full,
                scripts: runs(ScriptType::Release),
                comment: text(),
            },
            Event::Release {
                actor: who(),
                erase: Erase::Keep,
                scripts: vec![run(21, "goodbye", ScriptType::Release)],
                comment: text(),
            },
            Event::Abort { actor: who(), comment: text() },
            Event::MarkBroken { actor: who(), comment: text() },
            Event::MarkFixed { actor: who(), comment: text() },
            Event::OverrideFailedTesting { actor: who(), comment: text() },
            Event::EnterRescueMode { actor: who() },
            Event::ExitRescueMode { actor: who() },
            Event::Transfer { actor: who(), to: "eve".into() },
            Event::Lock { actor: who(), comment: text() },
            Event::Unlock { actor: who(), comment: text() },
            Event::PowerOn { actor: who() },
            Event::PowerOff { actor: who() },
        ]);
    }
    let words = [
        SignalStatus::Ok,
        SignalStatus::Failed,
        SignalStatus::Working,
        SignalStatus::Commissioning,
        SignalStatus::Testing,
        SignalStatus::Timedout,
        SignalStatus::Installing,
        SignalStatus::ApplyingNetconf,
        SignalStatus::Releasing,
        SignalStatus::Deploying,
    ];
    for word in words {
        events.push(signal(word));
        events.push(script_signal(word, of_script(20, Some(0))));
    }
    events.push(script_signal(SignalStatus::Working, of_script(20, Some(1))));
    events.push(script_signal(SignalStatus::Working, of_script(20, None)));
    events.push(script_signal(SignalStatus::Working, of_script(999, Some(0))));
    for phase in [ReportPhase::Start, ReportPhase::Success, ReportPhase::Warn, ReportPhase::Fail] {
        for (origin, name) in [
            ("cloudinit", "modules-final"),
            ("cloudinit", "init-network/search-MAAS"),
            ("curtin", "cmd-install"),
            ("curtin", "cmd-install/stage-late"),
        ] {
            events.push(report(origin, name, phase));
        }
    }
    for state in [PowerState::On, PowerState::Off, PowerState::Unknown, PowerState::Error] {
        events.push(power(state));
    }
    for action in ["on", "off", "cycle", "query", "?"] {
        events.push(Event::PowerFailed { action: action.into(), message: "no".into() });
    }
    events.extend([
        boot(),
        Event::EphemeralFetched,
        Event::DhcpRefused { reason: "no".into() },
        Event::AddressLeased {
            mac: "52:54:00:00:00:07".into(),
            address: std::net::IpAddr::from([10, 0, 0, 7]),
        },
        Event::LeaseEnded {
            mac: "52:54:00:00:00:07".into(),
            address: std::net::IpAddr::from([10, 0, 0, 7]),
        },
        Event::NetbootOff,
        Event::NetbootOn,
        Event::UserDataFetched,
        Event::DeadlineReached,
        Event::Failed { message: "no".into() },
    ]);
    events
}

const fn actor_of(event: &Event) -> Option<&Actor> {
    match event {
        Event::Commission { actor, .. }
        | Event::Test { actor, .. }
        | Event::Allocate { actor, .. }
        | Event::Deploy { actor, .. }
        | Event::Release { actor, .. }
        | Event::Abort { actor, .. }
        | Event::MarkBroken { actor, .. }
        | Event::MarkFixed { actor, .. }
        | Event::OverrideFailedTesting { actor, .. }
        | Event::EnterRescueMode { actor }
        | Event::ExitRescueMode { actor }
        | Event::Transfer { actor, .. }
        | Event::Lock { actor, .. }
        | Event::Unlock { actor, .. }
        | Event::PowerOn { actor }
        | Event::PowerOff { actor } => Some(actor),
        _ => None,
    }
}

/// The statuses that nobody's machine cannot have.
const OWNED: [Status; 4] =
    [Status::Allocated, Status::Deploying, Status::Deployed, Status::FailedDeployment];

/// Events that may take two steps of the table at once.
fn may_take_two_steps(event: &Event) -> bool {
    matches!(
        event,
        Event::Deploy { .. }
            | Event::Release { .. }
            | Event::ExitRescueMode { .. }
            | Event::Report(_)
            | Event::PowerReported { .. }
    ) || matches!(event, Event::Signal { status: SignalStatus::Testing, .. })
}

/// Everything that must hold after an event.
fn check(before: &Machine, event: &Event, now: Timestamp, outcome: &Outcome) {
    let after = &outcome.machine;
    let told = || {
        format!("{} ({}) + {event:?} -> {}", before.status, before.previous_status, after.status)
    };
    let reachable = before.status.can_become(after.status)
        || may_take_two_steps(event)
            && before.status.next().iter().any(|middle| middle.can_become(after.status));
    assert!(reachable, "{}", told());

    assert_eq!(after.status.is_transient(), after.deadline.is_some(), "{}", told());
    if let Some(deadline) = &after.deadline {
        let fresh = before.status != after.status || matches!(event, Event::DeadlineReached);
        assert!(!fresh || deadline.at > now, "{}", told());
        assert!(deadline.since <= now);
    }
    if OWNED.contains(&after.status) {
        assert!(after.owner.is_some(), "{}", told());
    }
    if matches!(after.status, Status::New | Status::Ready) {
        let free = after.owner.is_none()
            && after.deployment.is_none()
            && (before.status == after.status || after.owner_data.is_empty())
            && after.agent_name.is_empty();
        assert!(free && after.netboot, "{}", told());
    }
    if after.status == Status::Deployed {
        assert!(after.deployment.is_some(), "{}", told());
    }
    // The examination of a machine that nobody uses ends without new credentials, so that the
    // ephemeral OS can finish its reports.
    let examined = matches!(before.status, Status::Commissioning | Status::Testing)
        && before.deployment.is_none()
        && matches!(after.status, Status::New | Status::Ready);
    // What is deployed goes on under its new holder.
    let transferred = matches!(event, Event::Transfer { .. });
    let kept = examined || transferred || before.owner == after.owner;
    let rotated = if kept && !matches!(event, Event::Commission { .. }) {
        before.credentials.clone()
    } else {
        context(now, "fresh").fresh_credentials
    };
    assert_eq!(after.credentials, rotated, "{}", told());
    if before.status != after.status {
        assert!(!outcome.records.is_empty(), "{}", told());
        if after.status.is_failed() && !matches!(event, Event::ExitRescueMode { .. }) {
            assert!(
                after.error_description.contains("Node operation")
                    || before.status == Status::ExitingRescueMode
                    || before.status == Status::Testing,
                "{}: {}",
                told(),
                after.error_description
            );
        }
    }
    if before.status == Status::Deploying && after.status == Status::Deployed {
        assert_eq!(*event, Event::UserDataFetched);
        assert!(!before.netboot || before.deployment.as_ref().unwrap().ephemeral);
    }
    if before.status == Status::Deploying && after.status == Status::Deploying && !before.netboot {
        assert!(!after.netboot, "{}", told());
    }
    assert!(outcome.is_unchanged(before) || after.updated == now, "{}", told());
    assert_eq!(after.version, before.version);
}

/// Refusals that must come.
fn check_refused(before: &Machine, event: &Event, refused: bool) {
    let Some(actor) = actor_of(event) else { return };
    let is_lock =
        matches!(event, Event::Lock { .. } | Event::Unlock { .. } | Event::Transfer { .. });
    if before.locked && !is_lock {
        assert!(refused, "locked, and yet {event:?}");
    }
    let stranger = before.owner.as_ref().is_some_and(|owner| *owner != actor.username);
    if stranger && actor.role == Role::User {
        assert!(refused, "somebody else's, and yet {event:?}");
    }
}

/// Only time passes: the machine must come to rest.
fn check_comes_to_rest(mut machine: Machine) {
    let mut steps = 0;
    while machine.status.is_transient() {
        let now = machine.deadline.as_ref().unwrap().at;
        machine = apply(&machine, &Event::DeadlineReached, &context(now, "fresh")).unwrap().machine;
        steps += 1;
        assert!(steps <= 3, "stuck in {}", machine.status);
    }
}

/// A machine that stands in a status as one can that got there.
fn standing(status: Status, previous: Status, flags: u32) -> Machine {
    let flag = |bit: u32| flags & (1 << bit) != 0;
    let mut machine = machine();
    machine.status = status;
    machine.previous_status = previous;
    let free = matches!(status, Status::New | Status::Ready | Status::Missing | Status::Retired);
    let fixed = OWNED.contains(&status);
    let deployed = fixed && status != Status::Allocated || (!fixed && !free && flag(0));
    if fixed || deployed || (!free && flag(1)) {
        machine.owner = Some("ann".into());
        machine.owner_data.insert("key".into(), "value".into());
    }
    machine.netboot = free || flag(2);
    if deployed {
        machine.deployment = Some(summary(flag(3) && flag(2)));
    }
    machine.locked = flag(4) && flag(1);
    machine.enlisting = status.is_transient() && machine.owner.is_none() && flag(3);
    if flag(3) {
        machine.power.driver = if flag(0) { "manual" } else { "" }.into();
    }
    if flag(1) {
        machine.power.state = PowerState::Off;
    }
    for (id, script_type) in
        [(20, ScriptType::Release), (20, ScriptType::Commissioning), (20, ScriptType::Testing)]
            .into_iter()
            .skip(usize::from(flag(4)))
    {
        let mut run = run(id, "wipe-disks", script_type);
        run.may_reboot = flag(0);
        run.timeout_seconds = u64::from(flag(1)) * 60;
        machine.scripts.push(run);
    }
    if status.is_transient() {
        if flag(2) || flag(4) {
            machine.last_step = Some(Step { at: START, what: "seen".into() });
        }
        let waiting_for = match status {
            Status::Releasing if flag(0) => Waiting::PowerOff,
            Status::ExitingRescueMode => Waiting::PowerOff,
            _ if flag(4) => Waiting::Scripts,
            _ => Waiting::NetworkBoot,
        };
        machine.deadline = Some(Deadline { at: START.plus(5 * MINUTE), waiting_for, since: START });
    }
    machine
}

#[test]
fn every_event_in_every_status_keeps_every_promise() {
    let events = events();
    let previous = [
        Status::New,
        Status::FailedCommissioning,
        Status::Ready,
        Status::Allocated,
        Status::Deployed,
        Status::Broken,
        Status::FailedTesting,
    ];
    let mut applied = 0_u32;
    for status in Status::ALL {
        for before in previous {
            for flags in 0..32 {
                let machine = standing(status, before, flags);
                for event in &events {
                    // Before and after the deadline.
                    for now in [START.plus(MINUTE), START.plus(6 * MINUTE)] {
                        if now > START.plus(5 * MINUTE) && !matches!(event, Event::DeadlineReached)
                        {
                            continue;
                        }
                        let result = apply(&machine, event, &context(now, "fresh"));
                        check_refused(&machine, event, result.is_err());
                        if let Ok(outcome) = result {
                            check(&machine, event, now, &outcome);
                            applied += 1;
                            if outcome.machine.status != machine.status {
                                check_comes_to_rest(outcome.machine);
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(applied > 50_000, "only {applied} events were accepted");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_sequence_of_events_breaks_a_promise(
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0u64..3000), 1..120)
    ) {
        let events = events();
        let mut machine = machine();
        let mut now = START;
        for (index, seconds) in steps {
            now = now.plus(Duration::from_secs(seconds));
            let event = index.get(&events);
            let result = apply(&machine, event, &context(now, "fresh"));
            check_refused(&machine, event, result.is_err());
            if let Ok(outcome) = result {
                // Drawn anew each time, as a shell does.
                check(&machine, event, now, &outcome);
                machine = outcome.machine;
                machine.credentials = credentials("held");
            }
            check_comes_to_rest(machine.clone());
        }
    }

    #[test]
    fn texts_from_outside_are_bounded_and_never_panic(text in "\\PC{0,80}", repeat in 1usize..200) {
        let text = text.repeat(repeat);
        let mut life = Life::deploying();
        life.does(&Event::BootRequested {
            boot_method: text.clone(),
            mac: Some(text.clone()),
            rack: text.clone(),
        });
        life.does(&report(&text, &text, ReportPhase::Start));
        life.does(&report(&text, &text, ReportPhase::Fail));
        life.does(&Event::PowerFailed { action: text.clone(), message: text.clone() });
        prop_assert!(life.machine.error_description.chars().count() < 6000);
        prop_assert!(life.records.iter().all(|record| record.description.chars().count() < 6000));
    }
}
