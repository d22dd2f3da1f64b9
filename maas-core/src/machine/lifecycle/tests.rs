//! What the lifecycle promises, and the machines that its tests begin with.
#![allow(clippy::unwrap_used)]

mod failures;
mod happy;
mod late;
mod total;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::commission::result::{ScriptReport, ScriptRun, ScriptStatus, ScriptType};
use crate::id::SystemId;
use crate::machine::{
    Actor, DeploymentSummary, Enlistment, Erase, NewMachine, NodeCredentials, PowerState, Report,
    ReportPhase, Role, SignalStatus, Status,
};
use crate::secret::Secret;

pub(in crate::machine) const START: Timestamp = Timestamp::from_seconds(1_795_366_800);
const MINUTE: Duration = Duration::from_secs(60);

pub(in crate::machine) fn credentials(key: &str) -> NodeCredentials {
    NodeCredentials {
        consumer_key: format!("consumer-{key}"),
        token_key: format!("token-{key}"),
        token_secret: Secret::new(format!("secret-{key}")),
    }
}

/// A machine with a webhook power driver, just added.
pub(in crate::machine) fn machine() -> Machine {
    let mut new =
        NewMachine::new(SystemId::from_entropy(7), "node-7", "amd64", credentials("first"));
    new.mac_addresses = vec!["52:54:00:00:00:07".into()];
    new.power_driver = "webhook".into();
    Machine::added(new, START).unwrap()
}

pub(in crate::machine) fn admin() -> Actor {
    Actor { username: "admin".into(), role: Role::Admin }
}

pub(in crate::machine) fn user(name: &str) -> Actor {
    Actor { username: name.into(), role: Role::User }
}

/// A machine and a clock: each event happens a second after the one before.
struct Life {
    machine: Machine,
    now: Timestamp,
    effects: Vec<Effect>,
    records: Vec<Record>,
    drawn: u32,
}

impl Life {
    fn of(machine: Machine) -> Self {
        Self { machine, now: START, effects: Vec::new(), records: Vec::new(), drawn: 0 }
    }

    /// A machine that was commissioned with one script.
    fn ready() -> Self {
        let mut life = Self::of(machine());
        life.does(&commission(vec![run(1, "50-maas-01-commissioning", ScriptType::Commissioning)]));
        life.does(&boot());
        life.does(&result(1, 0));
        life.does(&signal(SignalStatus::Ok));
        assert_eq!(life.machine.status, Status::Ready);
        life
    }

    /// A machine that ann has and deploys.
    fn deploying() -> Self {
        let mut life = Self::ready();
        life.does(&allocate("ann"));
        life.does(&deploy("ann"));
        assert_eq!(life.machine.status, Status::Deploying);
        life
    }

    fn deployed() -> Self {
        let mut life = Self::deploying();
        life.does(&boot());
        life.does(&Event::NetbootOff);
        life.does(&Event::UserDataFetched);
        assert_eq!(life.machine.status, Status::Deployed);
        life
    }

    fn tries(&mut self, event: &Event) -> Result<Outcome, Refusal> {
        self.now = self.now.plus(Duration::from_secs(1));
        self.drawn += 1;
        apply(&self.machine, event, &context(self.now, &self.drawn.to_string()))
    }

    fn does(&mut self, event: &Event) -> &mut Self {
        let outcome = self.tries(event).unwrap();
        self.machine = outcome.machine;
        self.effects = outcome.effects;
        self.records = outcome.records;
        self
    }

    /// The event is accepted and changes nothing at all.
    fn ignores(&mut self, event: &Event) {
        let before = self.machine.clone();
        let outcome = self.tries(event).unwrap();
        assert!(outcome.is_unchanged(&before), "{event:?} changed something");
    }

    fn refuses(&mut self, event: &Event) -> Refusal {
        self.tries(event).unwrap_err()
    }

    fn waits(&mut self, duration: Duration) -> &mut Self {
        self.now = self.now.plus(duration);
        self
    }

    fn time_passes_until_it_fails(&mut self) -> &str {
        for _ in 0..4 {
            if let Some(deadline) = self.machine.deadline.clone() {
                self.now = deadline.at;
                self.does(&Event::DeadlineReached);
            }
        }
        assert!(self.machine.status.is_failed());
        &self.machine.error_description
    }
}

fn context(now: Timestamp, key: &str) -> Context {
    Context { now, fresh_credentials: credentials(key), node_timeout: 30 * MINUTE }
}

fn run(id: u64, name: &str, script_type: ScriptType) -> ScriptRun {
    ScriptRun {
        id,
        name: name.into(),
        script_type,
        status: ScriptStatus::Pending,
        exit_status: None,
        started: None,
        ended: None,
        parameters: BTreeMap::new(),
        timeout_seconds: 0,
        may_reboot: false,
        hardware_type: crate::commission::script::HardwareType::Node,
    }
}

fn commission(scripts: Vec<ScriptRun>) -> Event {
    Event::Commission { actor: admin(), enable_ssh: false, skip_networking: false, scripts }
}

fn allocate(name: &str) -> Event {
    Event::Allocate { actor: user(name), agent_name: "juju".into(), comment: String::new() }
}

fn summary(ephemeral: bool) -> DeploymentSummary {
    DeploymentSummary {
        osystem: "ubuntu".into(),
        distro_series: "noble".into(),
        hwe_kernel: String::new(),
        ephemeral,
        plan_digest: "0".repeat(64),
        arrival: crate::machine::Arrival::UserData,
    }
}

fn deploy(name: &str) -> Event {
    Event::Deploy {
        actor: user(name),
        deployment: Box::new(summary(false)),
        scripts: Vec::new(),
        comment: String::new(),
    }
}

fn release(name: &str, erase: Erase, scripts: Vec<ScriptRun>) -> Event {
    Event::Release { actor: user(name), erase, scripts, comment: "done".into() }
}

fn boot() -> Event {
    Event::BootRequested {
        boot_method: "uefi".into(),
        mac: Some("52:54:00:00:00:07".into()),
        rack: "10.0.0.2".into(),
    }
}

fn signal(status: SignalStatus) -> Event {
    Event::Signal { status, error: String::new(), script: None, power: None, scripts: Vec::new() }
}

fn failing_signal(error: &str) -> Event {
    Event::Signal {
        status: SignalStatus::Failed,
        error: error.into(),
        script: None,
        power: None,
        scripts: Vec::new(),
    }
}

fn script_signal(status: SignalStatus, report: ScriptReport) -> Event {
    Event::Signal {
        status,
        error: String::new(),
        script: Some(report),
        power: None,
        scripts: Vec::new(),
    }
}

fn of_script(id: u64, exit_status: Option<i32>) -> ScriptReport {
    ScriptReport { id: Some(id), name: None, exit_status, timed_out: false, stated: None }
}

fn result(id: u64, exit_status: i32) -> Event {
    script_signal(SignalStatus::Working, of_script(id, Some(exit_status)))
}

fn report(origin: &str, name: &str, phase: ReportPhase) -> Event {
    Event::Report(Report {
        origin: origin.into(),
        name: name.into(),
        description: format!("doing {name}"),
        phase,
    })
}

fn power(state: PowerState) -> Event {
    Event::PowerReported { state }
}
