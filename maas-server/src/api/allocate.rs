//! Allocation: a machine that is ready and matches, for exactly one user.

use std::sync::Arc;

use maas_core::machine::{Machine, Status};
use serde_json::{Value, json};

use super::actor;
use super::machines::MACHINES;
use super::view::machine::{architecture, fqdn, full};
use crate::http::{Operation, Param, Problem, Reply, Request, post};
use crate::problems::applied;
use crate::region::{AllocateError, Extras, Region};

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

/// Constraints of older clients, accepted without effect (api.md §2.6).
const ACCEPTED: [&str; 7] =
    ["pod", "not_pod", "pod_type", "not_pod_type", "not_in_zones", "not_subnets", "interfaces"];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        post("MachinesHandler", MACHINES, "Allocates a machine to the caller.", allocate)
            .op("allocate")
            .params(&[
                Param::optional("system_id", "This machine."),
                Param::optional("name", "The machine of this name."),
                Param::repeated("arch", "One of these architectures."),
                Param::optional("cpu_count", "At least so many CPUs."),
                Param::optional("mem", "At least so much memory, in MiB."),
                Param::optional("cpu_speed", "At least this speed, in MHz."),
                Param::repeated("tags", "All of these tags."),
                Param::repeated("not_tags", "None of these tags."),
                Param::optional("zone", "In this zone."),
                Param::repeated("not_in_zone", "In none of these zones."),
                Param::optional("pool", "In this pool."),
                Param::repeated("not_in_pool", "In none of these pools."),
                Param::optional("storage", "Disks: [label:]GB[(tag,…)],…"),
                Param::optional("agent_name", "The calling program's own name."),
                Param::optional("comment", "Free text for the history."),
                Param::optional("dry_run", "Only tell which machine it would be."),
            ]),
        post("MachinesHandler", MACHINES, "Releases several machines.", release)
            .op("release")
            .params(&[
                Param::repeated("machines", "System ids."),
                Param::optional("comment", "Free text for the history."),
            ]),
    ]
}

async fn allocate(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let constraints = Constraints::read(&request)?;
    let fields = request.fields();
    let actor = actor(&request)?;
    let agent_name = fields.text("agent_name")?.unwrap_or_default();
    let comment = fields.text("comment")?.unwrap_or_default();
    let matches = |machine: &Machine| constraints.matches(machine);
    let machine = if fields.flag("dry_run")?.unwrap_or(false) {
        let candidates = region.candidates(matches).await?;
        candidates.into_iter().next().ok_or(AllocateError::NoMatch)
    } else {
        region.allocate(&actor, agent_name, comment, matches).await
    };
    let machine = machine.map_err(|error| match error {
        AllocateError::NoMatch => Problem::Conflict(constraints.no_match()),
        other => other.into(),
    })?;
    let mut view = full(&machine);
    view["constraints_by_type"] = constraints.by_type(&machine);
    Reply::json(&view)
}

async fn release(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let ids = request.fields().words("machines")?;
    let actor = actor(&request)?;
    let comment = request.fields().text("comment")?.unwrap_or_default();
    let (mut machines, mut unknown) = (Vec::new(), Vec::new());
    for id in ids {
        let machine = match id.parse() {
            Ok(parsed) => region.store.machine(&parsed).await.map_err(Problem::internal)?,
            Err(_) => None,
        };
        match machine {
            Some(machine) => machines.push(machine),
            None => unknown.push(id),
        }
    }
    if !unknown.is_empty() {
        return Err(Problem::bad_request(format!("Unknown machine(s): {}.", unknown.join(", "))));
    }
    let allowed = maas_core::machine::permission::Permission::Edit;
    if machines
        .iter()
        .any(|machine| !maas_core::machine::permission::allows(&actor, machine, allowed))
    {
        return Err(Problem::Forbidden(
            "You don't have the required permission to release these machines.".to_owned(),
        ));
    }
    let released = |status| matches!(status, Status::Ready | Status::Releasing);
    let stuck: Vec<String> = machines
        .iter()
        .filter(|machine| !machine.status.is_releasable() && !released(machine.status))
        .map(|machine| format!("{} ('{}')", machine.system_id, machine.status.display_name()))
        .collect();
    if !stuck.is_empty() {
        return Err(Problem::Conflict(format!(
            "Machine(s) cannot be released in their current state: {}.",
            stuck.join(", ")
        )));
    }
    let mut done = Vec::new();
    for machine in machines.iter().filter(|machine| !released(machine.status)) {
        let event = maas_core::machine::Event::Release {
            actor: actor.clone(),
            erase: maas_core::machine::Erase::Keep,
            scripts: Vec::new(),
            comment: comment.to_owned(),
        };
        applied(region.apply(&machine.system_id, &event, Extras::default()).await)?;
        done.push(machine.system_id.clone());
    }
    Reply::json(&done)
}

/// What the caller asks of a machine; an empty list asks nothing.
#[derive(Debug, Default)]
struct Constraints {
    system_id: Option<String>,
    name: Option<String>,
    architectures: Vec<String>,
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
    /// As given, for the sentence that says that nothing matches.
    given: Vec<(String, Vec<String>)>,
}

/// One wanted disk.
#[derive(Debug, PartialEq, Eq)]
struct Storage {
    label: String,
    bytes: u64,
    tags: Vec<String>,
}

impl Constraints {
    fn read(request: &Request) -> Result<Self, Problem> {
        let fields = request.fields();
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
            given: Vec::new(),
        };
        const KNOWN: [&str; 13] = [
            "system_id",
            "name",
            "arch",
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
        for name in fields.names() {
            if KNOWN.contains(&name) {
                let values = fields.texts(name)?.into_iter().map(str::to_owned).collect();
                constraints.given.push((name.to_owned(), values));
            } else if !OTHERS.contains(&name) && !ACCEPTED.contains(&name) {
                return Err(Problem::field(name, "No such constraint."));
            }
        }
        Ok(constraints)
    }

    fn matches(&self, machine: &Machine) -> bool {
        let hardware = &machine.hardware;
        let named = self.name.as_ref().is_none_or(|name| {
            name.eq_ignore_ascii_case(&machine.hostname)
                || name.eq_ignore_ascii_case(&fqdn(machine))
        });
        let whole = architecture(machine);
        let arch = self.architectures.is_empty()
            || self.architectures.iter().any(|wanted| {
                let wanted = if wanted == "arm" { "armhf" } else { wanted };
                *wanted == whole || wanted.trim_end_matches("/*") == machine.architecture.arch
            });
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
            && self.disks(machine).is_some()
    }

    /// A disk for each wanted one, by index; the first is the boot disk. `None` when they do not
    /// fit.
    fn disks(&self, machine: &Machine) -> Option<Vec<(String, usize)>> {
        let mut taken: Vec<(String, usize)> = Vec::new();
        for (position, wanted) in self.storage.iter().enumerate() {
            let fits = |index: usize| {
                let disk = &machine.hardware.disks[index];
                disk.size >= wanted.bytes && wanted.tags.iter().all(|tag| disk.tags.contains(tag))
            };
            let free = |index: &usize| !taken.iter().any(|(_, used)| used == index);
            let index = if position == 0 && !machine.hardware.disks.is_empty() && fits(0) {
                0
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

    fn by_type(&self, machine: &Machine) -> Value {
        let disks = self.disks(machine).unwrap_or_default();
        if disks.is_empty() {
            return json!({});
        }
        let storage: serde_json::Map<String, Value> = disks
            .into_iter()
            .enumerate()
            .map(|(position, (label, index))| {
                let label = if label.is_empty() { position.to_string() } else { label };
                (label, json!([index + 1]))
            })
            .collect();
        json!({"storage": storage})
    }

    /// MAAS's sentence; clients look for it.
    fn no_match(&self) -> String {
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
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn storage_constraints_are_read_as_juju_sends_them() {
        let read = parse_storage("root:5(ssd, fast),1:1,20").unwrap();
        assert_eq!(read.len(), 3);
        assert_eq!(
            read[0],
            Storage {
                label: "root".into(),
                bytes: 5_000_000_000,
                tags: vec!["ssd".into(), "fast".into()]
            }
        );
        assert_eq!((read[1].label.as_str(), read[1].bytes), ("1", 1_000_000_000));
        assert_eq!(read[2].label, "");
        for wrong in ["", "x", "root:", "5(ssd", "5)", "5(ssd)6", "99999999999999999999"] {
            assert_eq!(parse_storage(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn storage_never_panics(text in "\\PC{0,40}") {
            let _ = parse_storage(&text);
        }
    }
}
