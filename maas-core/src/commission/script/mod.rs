//! A script that the ephemeral OS runs: its body and what its metadata block says of it.

mod choose;
mod metadata;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::result::{ScriptRun, ScriptStatus, ScriptType};
use crate::machine::hardware::Hardware;

pub use choose::{Choice, UnknownScript, choose, matching_hardware};
pub use metadata::ScriptError;

/// The largest script in bytes.
pub const SCRIPT_LIMIT: usize = 2 * 1024 * 1024;

/// A script with its properties; the API's `scripts/` endpoint shows and takes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// The unique name: letters, digits and `._+-`, not digits alone, at most 255 bytes.
    pub name: String,
    /// A short title for people.
    pub title: String,
    /// What it does.
    pub description: String,
    /// Free words; `commissioning`, `enlisting`, `bmc-config` and `noauto` have a meaning.
    pub tags: Vec<String>,
    /// What it is for.
    pub script_type: ScriptType,
    /// The part of the machine that it concerns.
    pub hardware_type: HardwareType,
    /// Which scripts may run at the same time.
    pub parallel: Parallel,
    /// Its time limit in seconds; 0 for none.
    pub timeout_seconds: u64,
    /// Declared parameters: name → `{"type", "default", "min", "max", "argument_format"…}`.
    pub parameters: BTreeMap<String, Value>,
    /// What must be installed before it runs.
    pub packages: Packages,
    /// Declared results: name → `{"title", "description"}`.
    pub results: BTreeMap<String, Value>,
    /// Whether it destroys data on the machine.
    pub destructive: bool,
    /// Whether it may reboot the machine.
    pub may_reboot: bool,
    /// Whether the machine is commissioned again after it (a BIOS setting was changed, say).
    pub recommission: bool,
    /// Runs only on machines with one of these: `modalias:…`, `pci:8086:1528`, `usb:…`,
    /// `system_vendor:…`, `system_product:…`, `mainboard_vendor:…`…
    pub for_hardware: Vec<String>,
    /// Whether the machine's own network configuration is applied while it runs.
    pub apply_configured_networking: bool,
    /// Whether it is one of [`builtin`](super::builtin), which nobody can change or delete.
    pub is_builtin: bool,
    /// The script itself, beginning with `#!`.
    pub body: String,
}

/// The part of a machine that a script concerns (the numbers are the wire's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are MAAS's own")]
pub enum HardwareType {
    #[default]
    Node = 0,
    Cpu = 1,
    Memory = 2,
    Storage = 3,
    Network = 4,
    Gpu = 5,
}

/// Which scripts may run at the same time (the numbers are the wire's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Parallel {
    /// None: it runs alone.
    #[default]
    Disabled = 0,
    /// Other runs of the same script, e.g. for other disks.
    Instance = 1,
    /// Any other of this kind.
    Any = 2,
}

/// What the runner installs before a script.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Packages {
    /// Debian packages by name.
    pub apt: Vec<String>,
    /// Snaps: a name, or `{"name", "channel", "mode"}`.
    pub snap: Vec<Value>,
    /// Files to download; `.deb` files are installed, archives unpacked.
    pub url: Vec<String>,
}

impl HardwareType {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name that the API shows.
    #[must_use]
    pub const fn display_name(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::Cpu => "CPU",
            Self::Memory => "Memory",
            Self::Storage => "Storage",
            Self::Network => "Network",
            Self::Gpu => "GPU",
        }
    }
}

impl Parallel {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name that the API shows.
    #[must_use]
    pub const fn display_name(self) -> &'static str {
        match self {
            Self::Disabled => "Disabled",
            Self::Instance => "Run along other instances of this script",
            Self::Any => "Run along any other script",
        }
    }
}

impl Script {
    /// Reads a script with the properties that its metadata block gives; a script without a block
    /// is a commissioning script with defaults.
    ///
    /// `name` is used when the block has none. The block is the comment lines between
    /// `# --- Start MAAS 1.0 script metadata ---` and `# --- End MAAS 1.0 script metadata ---`.
    ///
    /// # Errors
    /// [`ScriptError`] names the line or the key that is wrong.
    pub fn parse(name: &str, body: &str) -> Result<Self, ScriptError> {
        metadata::parse(name, body)
    }

    /// Whether the script has this tag.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    /// One pending run with the given id and parameter values.
    ///
    /// A parameter `runtime` (seconds) sets the run's time limit.
    #[must_use]
    pub fn run(&self, id: u64, values: &BTreeMap<String, Value>) -> ScriptRun {
        let mut parameters = BTreeMap::new();
        for (key, declared) in &self.parameters {
            let value = values.get(key).or_else(|| declared.get("default"));
            let mut parameter = declared.clone();
            if let (Value::Object(members), Some(value)) = (&mut parameter, value) {
                members.insert("value".to_owned(), value.clone());
            }
            parameters.insert(key.clone(), parameter);
        }
        let timeout_seconds = parameters
            .get("runtime")
            .and_then(|runtime| runtime.get("value"))
            .and_then(Value::as_u64)
            .unwrap_or(self.timeout_seconds);
        ScriptRun {
            id,
            name: self.name.clone(),
            script_type: self.script_type,
            status: ScriptStatus::Pending,
            exit_status: None,
            started: None,
            ended: None,
            parameters,
            timeout_seconds,
            may_reboot: self.may_reboot,
            hardware_type: self.hardware_type,
        }
    }

    /// The pending runs of this script on a machine: one for each disk or interface when it
    /// declares a parameter of that type without a value given, otherwise one.
    ///
    /// A disk's value is `{"name", "model", "serial", "id_path"}`, an interface's
    /// `{"name", "mac_address"}`. Without hardware of that type there is no run.
    pub fn runs(
        &self,
        hardware: &Hardware,
        values: &BTreeMap<String, Value>,
        mut next_id: impl FnMut() -> u64,
    ) -> Vec<ScriptRun> {
        let repeated = self.parameters.iter().find_map(|(key, declared)| {
            let kind = declared.get("type").and_then(Value::as_str)?;
            (matches!(kind, "storage" | "interface") && !values.contains_key(key))
                .then_some((key, kind))
        });
        let Some((key, kind)) = repeated else { return vec![self.run(next_id(), values)] };
        let each: Vec<Value> = if kind == "storage" {
            hardware
                .disks
                .iter()
                .map(|disk| {
                    json!({
                        "name": disk.name, "model": disk.model, "serial": disk.serial,
                        "id_path": disk.id_path,
                    })
                })
                .collect()
        } else {
            hardware
                .interfaces
                .iter()
                .map(|interface| {
                    json!({"name": interface.name, "mac_address": interface.mac_address})
                })
                .collect()
        };
        each.into_iter()
            .map(|value| {
                let mut values = values.clone();
                values.insert(key.clone(), value);
                self.run(next_id(), &values)
            })
            .collect()
    }
}
