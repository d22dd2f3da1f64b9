//! Machines as they are stored, not yet read: a list of thousands takes a third of the memory.

use maas_core::id::SystemId;
use maas_core::machine::Machine;
use maas_core::machine::interface::NetworkFacts;

/// A machine that is read when it is needed.
#[derive(Clone)]
pub struct PackedMachine {
    system_id: SystemId,
    contents: Contents,
}

#[derive(Clone)]
enum Contents {
    Machine(Box<Machine>),
    Stored { version: u64, body: String },
}

impl PackedMachine {
    /// From a version and its JSON.
    pub(super) const fn stored(system_id: SystemId, version: u64, body: String) -> Self {
        Self { system_id, contents: Contents::Stored { version, body } }
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
            Contents::Stored { version, body } => read(version, &body),
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

/// The machine in a version's JSON.
pub(super) fn read(version: u64, body: &str) -> Result<Machine, serde_json::Error> {
    let mut machine: Machine = serde_json::from_str(body)?;
    // One that was stored before interfaces were kept.
    machine.ensure_interfaces(&NetworkFacts::default());
    machine.version = version;
    Ok(machine)
}
