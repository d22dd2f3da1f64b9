//! Machines as they are stored, not yet read: a list of thousands takes a third of the memory.

use maas_core::id::SystemId;
use maas_core::machine::Machine;
use maas_core::machine::interface::NetworkFacts;

use super::progress::Progress;

/// A machine that is read when it is needed.
#[derive(Clone)]
pub struct PackedMachine {
    system_id: SystemId,
    contents: Contents,
}

#[derive(Clone)]
enum Contents {
    Machine(Box<Machine>),
    Stored(Stored),
}

/// A machine as it stands in a database.
#[derive(Clone)]
pub(super) struct Stored<S = String> {
    /// Its version.
    pub(super) version: u64,
    /// The machine as JSON, as it was when more than its progress changed.
    pub(super) body: S,
    /// The progress since then as JSON; empty for none.
    pub(super) progress: S,
}

impl PackedMachine {
    /// From what is stored.
    pub(super) const fn stored(system_id: SystemId, stored: Stored) -> Self {
        Self { system_id, contents: Contents::Stored(stored) }
    }

    /// The identifier.
    #[must_use]
    pub const fn system_id(&self) -> &SystemId {
        &self.system_id
    }

    /// The machine.
    ///
    /// # Errors
    ///
    /// When what is stored is no machine.
    pub fn unpack(self) -> Result<Machine, serde_json::Error> {
        match self.contents {
            Contents::Machine(machine) => Ok(*machine),
            Contents::Stored(stored) => stored.read(),
        }
    }
}

impl From<Machine> for PackedMachine {
    fn from(machine: Machine) -> Self {
        let system_id = machine.system_id.clone();
        Self { system_id, contents: Contents::Machine(Box::new(machine)) }
    }
}

impl std::fmt::Debug for PackedMachine {
    /// Names it only: what is stored holds secrets.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("PackedMachine").field(&self.system_id).finish()
    }
}

impl<S: AsRef<str>> Stored<S> {
    /// The machine.
    pub(super) fn read(&self) -> Result<Machine, serde_json::Error> {
        let mut machine: Machine = serde_json::from_str(self.body.as_ref())?;
        // One that was stored before interfaces were kept.
        machine.ensure_interfaces(&NetworkFacts::default());
        if !self.progress.as_ref().is_empty() {
            serde_json::from_str::<Progress>(self.progress.as_ref())?.swap(&mut machine);
        }
        machine.version = self.version;
        Ok(machine)
    }
}
