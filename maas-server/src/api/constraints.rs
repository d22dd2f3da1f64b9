//! Constraints on the machine that is allocated (`api.md` §2.6): read, matched, explained.

mod network;

use maas_core::machine::Machine;
use serde_json::{Value, json};

use self::network::NetworkConstraints;
use super::view::machine::{architecture, fqdn};
use crate::http::{Fields, Problem};
use crate::networks::Snapshot;

/// The constraints that are matched.
const KNOWN: [&str; 22] = [
    "system_id",
    "not_system_id",
    "name",
    "arch",
    "not_arch",
    "domain",
    "not_domain",
    "owner",
    "not_owner",
    "power_state",
    "not_power_state",
    "not_name",
    "cpu_count",
    "mem",
    "cpu_speed",
    "tags",
    "not_tags",
    "zone",
    "not_in_zone",
    "pool",
    "not_in_pool",
    "storage",
];

/// Parameters that are no constraints.
const OTHERS: [&str; 8] = [
    "agent_name",
    "comment",
    "bridge_all",
    "bridge_type",
    "bridge_stp",
    "bridge_fd",
    "dry_run",
    "verbose",
];

/// Constraints that only older clients send, and one client's misspelling: without effect in MAAS
/// as well.
const OLD: [&str; 5] = ["pod", "not_pod", "pod_type", "not_pod_type", "not_in_zones"];

/// What the caller asks of a machine; an empty list asks nothing.
#[derive(Debug, Default)]
pub(super) struct Constraints {
    system_id: Option<String>,
    name: Option<String>,
    architectures: Vec<String>,
    /// One of the values of each of these, or none.
    among: Vec<Among>,
    cpu_count: u32,
    memory: u64,
    cpu_speed: u32,
    tags: Vec<String>,
    not_tags: Vec<String>,
    zone: Option<String>,
    not_in_zone: Vec<String>,
    pool: Option<String>,
    not_in_pool: Vec<String>,
    storage: Vec<Storage>,
    networks: NetworkConstraints,
    /// As given, for the sentence that says that nothing matches.
    given: Vec<(String, Vec<String>)>,
}

/// A property that must, or must not, have one of some values.
#[derive(Debug)]
struct Among {
    of: fn(&Machine, &str) -> bool,
    wanted: bool,
    values: Vec<String>,
}

/// The properties that are compared with a list of values: the words for what must and for what
/// must not be.
type Property = (Option<&'static str>, &'static str, fn(&Machine, &str) -> bool);

const PROPERTIES: [Property; 6] = [
    (None, "not_system_id", |machine, value| machine.system_id.as_str() == value),
    (None, "not_name", |machine, value| is_named(machine, value)),
    (None, "not_arch", |machine, value| has_architecture(machine, value)),
    (Some("domain"), "not_domain", |machine, value| machine.domain.eq_ignore_ascii_case(value)),
    // Whoever is allocated a machine has it then; before, nobody has.
    (Some("owner"), "not_owner", |machine, value| machine.owner.as_deref() == Some(value)),
    (Some("power_state"), "not_power_state", |machine, value| {
        super::view::machine::power_state(machine.power.state) == value
    }),
];

fn is_named(machine: &Machine, name: &str) -> bool {
    name.eq_ignore_ascii_case(&machine.hostname) || name.eq_ignore_ascii_case(&fqdn(machine))
}

fn has_architecture(machine: &Machine, wanted: &str) -> bool {
    let wanted = if wanted == "arm" { "armhf" } else { wanted };
    *wanted == architecture(machine) || wanted.trim_end_matches("/*") == machine.architecture.arch
}

/// One wanted disk.
#[derive(Debug, PartialEq, Eq)]
struct Storage {
    label: String,
    bytes: u64,
    tags: Vec<String>,
}

impl Constraints {
    pub(super) fn read(fields: &Fields, networks: &Snapshot) -> Result<Self, Problem> {
        let words = |name: &str| -> Result<Vec<String>, Problem> {
            Ok(fields.words(name)?.into_iter().map(str::to_owned).collect())
        };
        let text = |name: &str| -> Result<Option<String>, Problem> {
            Ok(fields.filled(name)?.map(str::to_owned))
        };
        let storage = match fields.filled("storage")? {
            Some(text) => parse_storage(text).ok_or_else(|| {
                Problem::field("storage", format!("Malformed storage constraint, \"{text}\"."))
            })?,
            None => Vec::new(),
        };
        let mut constraints = Self {
            system_id: text("system_id")?,
            name: text("name")?,
            architectures: words("arch")?,
            cpu_count: ceiling(fields.filled("cpu_count")?, "cpu_count")?,
            memory: u64::from(ceiling(fields.filled("mem")?, "mem")?),
            cpu_speed: ceiling(fields.filled("cpu_speed")?, "cpu_speed")?,
            tags: words("tags")?,
            not_tags: words("not_tags")?,
            zone: text("zone")?,
            not_in_zone: words("not_in_zone")?,
            pool: text("pool")?,
            not_in_pool: words("not_in_pool")?,
            storage,
            networks: NetworkConstraints::read(fields, networks)?,
            among: Vec::new(),
            given: Vec::new(),
        };
        for (name, not_name, of) in PROPERTIES {
            for (name, wanted) in [(name, true), (Some(not_name), false)] {
                let Some(name) = name else { continue };
                let values = words(name)?;
                if !values.is_empty() {
                    constraints.among.push(Among { of, wanted, values });
                }
            }
        }
        for name in fields.names() {
            if KNOWN.contains(&name) || network::NAMES.contains(&name) {
                let values = fields.texts(name)?.into_iter().map(str::to_owned).collect();
                constraints.given.push((name.to_owned(), values));
            } else if OLD.contains(&name) {
                tracing::debug!(name, "a constraint of older clients has no effect");
            } else if !OTHERS.contains(&name) {
                return Err(Problem::field(name, "No such constraint."));
            }
        }
        Ok(constraints)
    }

    pub(super) fn matches(&self, machine: &Machine, networks: &Snapshot) -> bool {
        let hardware = &machine.hardware;
        let named = self.name.as_ref().is_none_or(|name| is_named(machine, name));
        let arch = self.architectures.is_empty()
            || self.architectures.iter().any(|wanted| has_architecture(machine, wanted));
        self.system_id.as_ref().is_none_or(|id| id == machine.system_id.as_str())
            && named
            && arch
            && hardware.cpu_count >= self.cpu_count
            && hardware.memory >= self.memory
            && hardware.cpu_speed >= self.cpu_speed
            && self.tags.iter().all(|tag| machine.tags.contains(tag))
            && !self.not_tags.iter().any(|tag| machine.tags.contains(tag))
            && self.zone.as_ref().is_none_or(|zone| *zone == machine.zone)
            && !self.not_in_zone.contains(&machine.zone)
            && self.pool.as_ref().is_none_or(|pool| *pool == machine.pool)
            && !self.not_in_pool.contains(&machine.pool)
            && self
                .among
                .iter()
                .all(|one| one.values.iter().any(|value| (one.of)(machine, value)) == one.wanted)
            && self.disks(machine).is_some()
            && self.networks.matches(machine, networks)
    }

    /// A disk for each wanted one, by index; the first is the boot disk. `None` when they do not
    /// fit.
    fn disks(&self, machine: &Machine) -> Option<Vec<(String, usize)>> {
        let mut taken: Vec<(String, usize)> = Vec::new();
        let chosen = machine.configuration.boot_disk.as_ref();
        let boot = machine.hardware.disks.iter().position(|disk| Some(&disk.name) == chosen);
        let boot = boot.unwrap_or(0);
        for (position, wanted) in self.storage.iter().enumerate() {
            let fits = |index: usize| {
                let disk = &machine.hardware.disks[index];
                disk.size >= wanted.bytes && wanted.tags.iter().all(|tag| disk.tags.contains(tag))
            };
            let free = |index: &usize| !taken.iter().any(|(_, used)| used == index);
            let index = if position == 0 && boot < machine.hardware.disks.len() && fits(boot) {
                boot
            } else {
                (0..machine.hardware.disks.len())
                    .filter(free)
                    .filter(|index| fits(*index))
                    .min_by_key(|index| machine.hardware.disks[*index].size)?
            };
            taken.push((wanted.label.clone(), index));
        }
        Some(taken)
    }

    /// Which disk and which interface fulfils which wanted one, as the answer's
    /// `constraints_by_type`.
    pub(super) fn by_type(&self, machine: &Machine, networks: &Snapshot) -> Value {
        let mut by_type = serde_json::Map::new();
        let interfaces = self.networks.by_label(machine, networks);
        if !interfaces.is_empty() {
            by_type.insert("interfaces".to_owned(), Value::Object(interfaces));
        }
        let disks = self.disks(machine).unwrap_or_default();
        let register = machine.storage().register;
        let number = |index: usize| {
            machine.hardware.disks.get(index).map_or(0, |disk| register.device(&disk.name))
        };
        let storage: serde_json::Map<String, Value> = disks
            .into_iter()
            .enumerate()
            .map(|(position, (label, index))| {
                let label = if label.is_empty() { position.to_string() } else { label };
                (label, json!([number(index)]))
            })
            .collect();
        if !storage.is_empty() {
            by_type.insert("storage".to_owned(), Value::Object(storage));
        }
        Value::Object(by_type)
    }

    /// MAAS's sentence; clients look for it.
    pub(super) fn no_match(&self) -> String {
        if self.given.is_empty() {
            return "No machine available.".to_owned();
        }
        if let (Some(id), 1) = (&self.system_id, self.given.len()) {
            return format!("No machine with system ID {id} available.");
        }
        let list: Vec<String> = self
            .given
            .iter()
            .map(|(name, values)| {
                let values: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
                format!("('{name}', [{}])", values.join(", "))
            })
            .collect();
        let resolved: Vec<String> = self
            .given
            .iter()
            .map(|(name, values)| format!("{name}={}", values.join(",")))
            .collect();
        format!(
            "No available machine matches constraints: [{}] (resolved to \"{}\")",
            list.join(", "),
            resolved.join(" ")
        )
    }
}

/// A number of which clients also send fractions (`mem=1024.0`), rounded up.
fn ceiling(text: Option<&str>, name: &str) -> Result<u32, Problem> {
    let Some(text) = text else { return Ok(0) };
    let number: f64 = text
        .trim()
        .parse()
        .map_err(|_| Problem::field(name, format!("Invalid {name}: {name} must be a number.")))?;
    if !(0.0..=f64::from(u32::MAX)).contains(&number) {
        return Err(Problem::field(name, "Out of range."));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(number.ceil() as u32)
}

/// `[label:]GB[(tag,…)],…`
fn parse_storage(text: &str) -> Option<Vec<Storage>> {
    let mut wanted = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = match (rest.find(','), rest.find('(')) {
            (Some(comma), Some(open)) if open < comma => rest.find(')')? + 1,
            (Some(comma), _) => comma,
            (None, Some(_)) => rest.find(')')? + 1,
            (None, None) => rest.len(),
        };
        let (one, after) = rest.split_at(end);
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
        let (label, one) = one.split_once(':').unwrap_or(("", one));
        let (size, tags) = match one.split_once('(') {
            Some((size, tags)) => (size, tags.strip_suffix(')')?),
            None => (one, ""),
        };
        let gigabytes: u64 = size.trim().parse().ok()?;
        wanted.push(Storage {
            label: label.trim().to_owned(),
            bytes: gigabytes.checked_mul(1_000_000_000)?,
            tags: tags
                .split(',')
                .map(str::trim)
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned)
                .collect(),
        });
    }
    (!wanted.is_empty()).then_some(wanted)
}

#[cfg(test)]
mod tests;
