//! What is committed: a machine with everything that must become true together with it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use maas_core::explain::Reported;
use maas_core::machine::{Effect, Machine, Record};
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

/// A machine that is added, with everything that belongs to its beginning.
#[derive(Debug, Clone)]
pub struct NewMachine {
    /// The machine; stored with version 1, whatever its `version` says.
    pub machine: Machine,
    /// Its first effects, in order; due from `machine.created` on.
    pub effects: Vec<Effect>,
    /// Its first history.
    pub records: Vec<Record>,
    /// Outputs that are there already.
    pub outputs: Vec<ScriptOutput>,
}

impl NewMachine {
    /// A machine without effects, history and outputs.
    #[must_use]
    pub const fn new(machine: Machine) -> Self {
        Self { machine, effects: Vec::new(), records: Vec::new(), outputs: Vec::new() }
    }
}

/// A change of one machine: all of it is committed, or nothing.
///
/// It is made from the version that `machine.version` names and refused when that is no longer
/// the stored one.
#[derive(Debug, Clone)]
pub struct Change {
    /// The machine as it shall be; its `version` is the one it was loaded with.
    pub machine: Machine,
    /// The machine as it was loaded, from whoever still has it: what is the same is not written
    /// again.
    pub loaded: Option<Arc<Machine>>,
    /// Now; becomes `machine.updated`, and effects are due from it on.
    pub now: Timestamp,
    /// What is to be performed afterwards, in order, behind what already waits.
    pub effects: Vec<Effect>,
    /// What happens to the effects that already wait.
    pub waiting_effects: WaitingEffects,
    /// What is added to the history.
    pub records: Vec<Record>,
    /// Outputs of script runs; each replaces an older one of the same run and stream.
    pub outputs: Vec<ScriptOutput>,
    /// What its software reported. The first of a run replaces those of every other run.
    pub reports: Vec<RunReport>,
    /// What happens to the deployment plan.
    pub plan: AttachmentChange,
    /// What happens to the user data.
    pub user_data: AttachmentChange,
}

impl Change {
    /// A change of nothing but the machine itself.
    #[must_use]
    pub const fn new(machine: Machine, now: Timestamp) -> Self {
        Self {
            machine,
            loaded: None,
            now,
            effects: Vec::new(),
            waiting_effects: WaitingEffects::Keep,
            records: Vec::new(),
            outputs: Vec::new(),
            reports: Vec::new(),
            plan: AttachmentChange::Keep,
            user_data: AttachmentChange::Keep,
        }
    }
}

/// A report of a machine's software, and which of its run's reports it is.
#[derive(Debug, Clone, PartialEq)]
pub struct RunReport {
    /// The run.
    pub run: String,
    /// Counts the run's reports from 0. One that is stored already is not stored again.
    pub number: u64,
    /// The report.
    pub reported: Reported,
}

/// How many reports of a run are kept: so many of the first, and at least so many of the last.
pub(crate) const KEPT_REPORTS: (u64, u64) = (100, 500);

impl RunReport {
    /// The numbers of its run's reports that are deleted when it comes: now and then those in the
    /// middle of a long run.
    pub(super) fn forgets(&self) -> Option<Range<u64>> {
        const BETWEEN_SWEEPS: u64 = 256;
        let (first, last) = KEPT_REPORTS;
        let sweeps = self.number >= first + last && self.number.is_multiple_of(BETWEEN_SWEEPS);
        sweeps.then(|| first..self.number - last)
    }
}

/// What a change does to the machine's effects that were not performed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitingEffects {
    /// They stay and come first.
    #[default]
    Keep,
    /// They are dropped: the change's own effects replace them.
    Supersede,
}

/// Bytes that belong to a machine and are too large for every list of machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attachment {
    /// The deployment plan.
    Plan,
    /// The user data that was given with the deployment.
    UserData,
}

impl Attachment {
    /// Its name in the database.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::UserData => "user_data",
        }
    }
}

/// What a change does to an attachment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AttachmentChange {
    /// It stays.
    #[default]
    Keep,
    /// It is replaced; secret as a whole, since it holds credentials.
    Set(Secret<Vec<u8>>),
    /// It is removed.
    Clear,
}

/// One stream of a script run's output.
#[derive(Clone, PartialEq, Eq)]
pub struct ScriptOutput {
    /// The run (`ScriptRun::id`).
    pub run_id: u64,
    /// Which stream.
    pub stream: Stream,
    /// What it wrote.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for ScriptOutput {
    /// Names the length only: outputs are long and may show passwords.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "ScriptOutput {{ run_id: {}, stream: {:?}, {} bytes }}",
            self.run_id,
            self.stream,
            self.bytes.len()
        )
    }
}

/// The streams of a script run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output and standard error in the order of writing.
    Combined,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The result document.
    Result,
}

impl Stream {
    /// All streams, in their stored order.
    pub(crate) const ALL: [Self; 4] = [Self::Combined, Self::Stdout, Self::Stderr, Self::Result];
}

/// An effect that waits to be performed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEffect {
    /// Its number in the outbox.
    pub id: u64,
    /// The machine.
    pub system_id: maas_core::id::SystemId,
    /// What is to be done.
    pub effect: Effect,
    /// From when on.
    pub due: Timestamp,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// Why it failed last, for people; empty when it did not.
    pub error: String,
}

/// Whether an effect was still waiting when its end was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was, and the report is stored.
    Stored,
    /// It was superseded meanwhile, or its machine deleted.
    Gone,
}

/// When an effect that is committed at `now` is due.
pub(crate) fn due(effect: &Effect, now: Timestamp) -> Timestamp {
    match effect {
        Effect::QueryPower { after } => now.plus(*after),
        _ => now,
    }
}
