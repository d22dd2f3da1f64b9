//! A decision under construction: the rules that hold for every change of status and owner.

use std::time::Duration;

use super::{Context, Outcome, words};
use crate::commission::result::{ScriptRun, ScriptType};
use crate::machine::{
    Actor, Deadline, Effect, Level, Machine, PowerState, Record, Refusal, Status, Step, Waiting,
};
use crate::time::Timestamp;

/// How long after some changes the power state is asked for again (`api.md` §1.2).
const QUERY_AFTER: Duration = Duration::from_secs(20);

/// The machine as it becomes, with what follows from it.
pub(super) struct Change<'a> {
    pub(super) machine: Machine,
    pub(super) context: &'a Context,
    effects: Vec<Effect>,
    records: Vec<Record>,
    username: Option<String>,
}

impl<'a> Change<'a> {
    pub(super) fn new(machine: &Machine, context: &'a Context) -> Self {
        Self {
            machine: machine.clone(),
            context,
            effects: Vec::new(),
            records: Vec::new(),
            username: None,
        }
    }

    pub(super) fn finish(mut self, before: &Machine) -> Outcome {
        // A machine stored by something else may lack what every change here keeps up.
        if self.machine.status.is_transient() && self.machine.deadline.is_none() {
            self.begin_wait();
        }
        let mut outcome =
            Outcome { machine: self.machine, effects: self.effects, records: self.records };
        if !outcome.is_unchanged(before) {
            outcome.machine.updated = self.context.now;
        }
        outcome
    }

    pub(super) const fn now(&self) -> Timestamp {
        self.context.now
    }

    /// Refuses the command unless the machine stands in one of these.
    pub(super) fn require_status(&self, action: &str, allowed: &[Status]) -> Result<(), Refusal> {
        if allowed.contains(&self.machine.status) { Ok(()) } else { Err(self.wrong_status(action)) }
    }

    pub(super) fn wrong_status(&self, action: &str) -> Refusal {
        Refusal::WrongStatus { action: action.to_owned(), status: self.machine.status }
    }

    /// Refuses what needs the machine to boot when it has no power driver at all.
    pub(super) fn require_power_driver(&self) -> Result<(), Refusal> {
        if self.machine.power.driver.is_empty() { Err(Refusal::NoPowerDriver) } else { Ok(()) }
    }

    // --- history ---

    /// Writes down a user's command; what follows is written in that user's name.
    pub(super) fn command(&mut self, kind: &str, actor: &Actor, comment: &str) {
        self.username = Some(actor.username.clone());
        let comment = words::clip(comment, words::SENTENCE);
        let description = if comment.is_empty() {
            format!("({})", actor.username)
        } else {
            format!("({}) - {comment}", actor.username)
        };
        self.note(Level::Info, kind, description);
    }

    pub(super) fn note(&mut self, level: Level, kind: &str, description: impl Into<String>) {
        let description = description.into();
        if level >= Level::Info {
            self.machine.status_message.clone_from(&description);
        }
        self.records.push(Record {
            at: self.context.now,
            level,
            kind: kind.to_owned(),
            description,
            username: self.username.clone(),
        });
    }

    /// Writes down what a machine does whatever its status. A failed one netboots once more to be
    /// switched off, and its cloud-init ends after its curtin: neither hides why it failed.
    pub(super) fn aside(&mut self, level: Level, kind: &str, description: impl Into<String>) {
        let failed = self.machine.status.is_failed() || self.machine.status == Status::Broken;
        let reason = failed.then(|| self.machine.status_message.clone());
        self.note(level, kind, description);
        if let Some(reason) = reason {
            self.machine.status_message = reason;
        }
    }

    /// Notes what the machine was seen doing.
    pub(super) fn saw(&mut self, what: impl Into<String>) {
        self.machine.last_step = Some(Step { at: self.context.now, what: what.into() });
    }

    /// Whether the machine was seen at all in its current status.
    pub(super) const fn was_seen(&self) -> bool {
        self.machine.last_step.is_some()
    }

    // --- status ---

    /// Goes to another status (or restarts the present one) with everything that always follows:
    /// history, previous status, deadline, owner, credentials, the later power query.
    pub(super) fn move_to(&mut self, to: Status) -> Result<(), Refusal> {
        let from = self.machine.status;
        if !from.can_become(to) {
            return Err(Refusal::Transition { from, to });
        }
        if from != to {
            let whom = match &self.machine.owner {
                Some(owner) if to == Status::Allocated => format!(" (to {owner})"),
                _ => String::new(),
            };
            self.note(Level::Info, "Node changed status", format!("From '{from}' to '{to}'{whom}"));
        }
        self.machine.status = to;
        if from != to && !from.is_rescue() && from != Status::Testing {
            self.machine.previous_status = from;
        }
        // A rescue leads back to the same trouble, so the reason is kept.
        let keeps_reason =
            to.is_rescue() || (from.is_rescue() && (to.is_failed() || to == Status::Broken));
        if !keeps_reason {
            self.machine.error_description.clear();
        }
        self.machine.last_step = None;
        self.machine.last_ping = None;
        self.machine.deadline = None;
        if to.is_transient() {
            self.begin_wait();
        }
        match to {
            // Nobody had it meanwhile but the administrator who had it examined: the ephemeral
            // OS may finish its reports.
            Status::New | Status::Ready
                if matches!(from, Status::Commissioning | Status::Testing)
                    && self.machine.deployment.is_none() =>
            {
                self.machine.owner = None;
                self.clear_use();
            }
            Status::New | Status::Ready => self.clear_use(),
            Status::Missing | Status::Retired => self.set_owner(None),
            // It keeps an owner only with a deployment to come back to.
            Status::Broken if self.machine.deployment.is_none() => self.clear_use(),
            _ => {}
        }
        if asks_for_power_after(from, to) {
            self.query_power_soon();
        }
        Ok(())
    }

    /// Ends the transient status in its failed one, with the sentence as the reason.
    pub(super) fn fail(&mut self, sentence: String) -> Result<(), Refusal> {
        let Some(failure) = self.machine.status.failure() else {
            return Err(self.wrong_status("fail"));
        };
        self.move_to(failure)?;
        self.note(Level::Error, "Marking node failed", sentence.clone());
        self.machine.error_description = sentence;
        Ok(())
    }

    /// Hands the machine to somebody or to nobody; new credentials lock out the one before.
    pub(super) fn set_owner(&mut self, owner: Option<&str>) {
        if self.machine.owner.as_deref() != owner {
            self.machine.owner = owner.map(str::to_owned);
            self.machine.credentials = self.context.fresh_credentials.clone();
        }
    }

    /// Forgets everything that belonged to its use.
    pub(super) fn clear_use(&mut self) {
        self.set_owner(None);
        self.machine.owner_data.clear();
        self.machine.agent_name.clear();
        self.machine.configuration.acquired_storage = None;
        self.machine.deployment = None;
        self.machine.interfaces.end_use();
        self.machine.netboot = true;
        self.machine.enlisting = false;
    }

    /// Replaces the sets of these types by fresh runs.
    pub(super) fn replace_scripts(&mut self, types: &[ScriptType], fresh: &[ScriptRun]) {
        self.machine.scripts.retain(|run| !types.contains(&run.script_type));
        self.machine.scripts.extend(fresh.iter().cloned());
    }

    // --- waiting ---

    fn begin_wait(&mut self) {
        let waiting_for = match self.machine.status {
            Status::Releasing => Waiting::PowerOff,
            Status::ExitingRescueMode if self.machine.previous_status == Status::Deployed => {
                Waiting::PowerOn
            }
            Status::ExitingRescueMode => Waiting::PowerOff,
            _ => Waiting::NetworkBoot,
        };
        self.machine.deadline = Some(Deadline { at: self.now(), waiting_for, since: self.now() });
        self.wait_for(waiting_for);
    }

    /// Waits for this from now on: a sign of life was seen. Nothing for a resting status.
    pub(super) fn wait_for(&mut self, waiting_for: Waiting) {
        let Some(since) = self.machine.deadline.as_ref().map(|deadline| deadline.since) else {
            return;
        };
        let at = super::deadline::due(&self.machine, waiting_for, since, self.context);
        self.machine.deadline = Some(Deadline { at, waiting_for, since });
    }

    /// Whether it only waits for the power to change, which no other sign of life prolongs.
    pub(super) fn waits_for_power(&self) -> bool {
        self.machine.waits_for(Waiting::PowerOff) || self.machine.waits_for(Waiting::PowerOn)
    }

    // --- power ---

    /// Boots the machine anew; a machine without a remote switch is switched by hand.
    pub(super) fn power_cycle(&mut self) {
        self.power(Effect::PowerCycle);
    }

    pub(super) fn power_off(&mut self) {
        self.power(Effect::PowerOff);
    }

    pub(super) fn power(&mut self, effect: Effect) {
        if !self.machine.power.is_queryable() || self.effects.contains(&effect) {
            return;
        }
        let switches_on = matches!(effect, Effect::PowerCycle | Effect::PowerOn);
        if switches_on && self.machine.power.state == PowerState::Off {
            // A release must not take it for switched off until the driver says so again.
            self.machine.power.state = PowerState::Unknown;
        }
        self.effects.push(effect);
    }

    pub(super) fn query_power_soon(&mut self) {
        self.power(Effect::QueryPower { after: QUERY_AFTER });
    }
}

/// After these changes the machine has probably switched itself off or on (`api.md` §1.2).
const fn asks_for_power_after(from: Status, to: Status) -> bool {
    use Status::{
        Allocated, Commissioning, Deployed, Deploying, DiskErasing, FailedCommissioning,
        FailedDeployment, FailedDiskErasing, FailedTesting, New, Ready, Reserved, Testing,
    };
    matches!(
        (from, to),
        (Commissioning, FailedCommissioning | New | Ready)
            | (Deploying, FailedDeployment | Deployed)
            | (DiskErasing, FailedDiskErasing)
            | (Testing, FailedTesting | Ready | Reserved | Allocated | Deployed)
    )
}
