//! Zones, resource pools and tags as the database keeps them, and what a machine's view needs of
//! them.

use std::borrow::Cow;
use std::sync::Arc;

use maas_core::machine::Machine;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::view::json::{Json, Object};
use crate::devices::Device;
use crate::http::Problem;
use crate::networks::{Once, Snapshot};
use crate::region::{ApplyError, Region};
use crate::store::{Document, DocumentError, MachineFilter, Store, StoreError, Stored};

/// The name of the zone and of the pool that are always there.
pub(crate) const DEFAULT: &str = "default";

/// A physical zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Zone {
    /// The unique name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The name before, until every machine has followed a renaming.
    #[serde(default)]
    pub renamed_from: Option<String>,
}

/// A resource pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pool {
    /// The unique name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The name before, until every machine has followed a renaming.
    #[serde(default)]
    pub renamed_from: Option<String>,
}

/// A tag that machines can have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tag {
    /// The unique name.
    pub name: String,
    /// Free text.
    pub comment: String,
    /// Kernel parameters of every machine that has it.
    pub kernel_opts: String,
    /// The name before, until every machine has followed a renaming.
    #[serde(default)]
    pub renamed_from: Option<String>,
}

/// What zones and pools have in common.
pub(crate) trait Place: Document + Clone + 'static {
    /// `Zone`, as MAAS's sentences write it.
    const WORD: &'static str;
    fn new(name: String, description: String) -> Self;
    fn name(&self) -> &str;
    fn description(&self) -> &str;
    fn set(&mut self, name: String, description: String);
    fn renamed_from(&mut self) -> &mut Option<String>;
    /// The machines that are in it.
    fn filter(name: &str) -> MachineFilter;
    /// The machine's field.
    fn of(machine: &mut Machine) -> &mut String;
    /// The number of the place in the API; `None` for the default that nobody has described yet.
    fn number(stored: Option<u64>, name: &str) -> u64;
    fn uri(number: u64, name: &str) -> String;
}

macro_rules! keyed_by_name {
    ($type:ident, $kind:literal) => {
        impl Document for $type {
            const KIND: &'static str = $kind;

            fn key(&self) -> Option<Cow<'_, str>> {
                Some(Cow::Borrowed(&self.name))
            }
        }
    };
}
keyed_by_name!(Zone, "zone");
keyed_by_name!(Pool, "resource-pool");
keyed_by_name!(Tag, "tag");

impl Place for Zone {
    const WORD: &'static str = "Zone";

    fn new(name: String, description: String) -> Self {
        Self { name, description, renamed_from: None }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn description(&self) -> &str {
        &self.description
    }

    fn set(&mut self, name: String, description: String) {
        self.name = name;
        self.description = description;
    }

    fn renamed_from(&mut self) -> &mut Option<String> {
        &mut self.renamed_from
    }

    fn filter(name: &str) -> MachineFilter {
        MachineFilter { zones: vec![name.to_owned()], ..MachineFilter::all() }
    }

    fn of(machine: &mut Machine) -> &mut String {
        &mut machine.zone
    }

    /// MAAS's default zone is number 1.
    fn number(stored: Option<u64>, name: &str) -> u64 {
        if name == DEFAULT { 1 } else { stored.unwrap_or(0) + 1 }
    }

    fn uri(_: u64, name: &str) -> String {
        format!("/MAAS/api/2.0/zones/{}/", segment(name))
    }
}

impl Place for Pool {
    const WORD: &'static str = "ResourcePool";

    fn new(name: String, description: String) -> Self {
        Self { name, description, renamed_from: None }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn description(&self) -> &str {
        &self.description
    }

    fn set(&mut self, name: String, description: String) {
        self.name = name;
        self.description = description;
    }

    fn renamed_from(&mut self) -> &mut Option<String> {
        &mut self.renamed_from
    }

    fn filter(name: &str) -> MachineFilter {
        MachineFilter { pools: vec![name.to_owned()], ..MachineFilter::all() }
    }

    fn of(machine: &mut Machine) -> &mut String {
        &mut machine.pool
    }

    /// MAAS's default pool is number 0.
    fn number(stored: Option<u64>, name: &str) -> u64 {
        if name == DEFAULT { 0 } else { stored.unwrap_or(0) }
    }

    fn uri(number: u64, _: &str) -> String {
        format!("/MAAS/api/2.0/resourcepool/{number}/")
    }
}

/// Zones and pools as one answer needs them.
#[derive(Debug, Clone)]
pub(crate) struct Catalogue {
    zones: Vec<Stored<Zone>>,
    pools: Vec<Stored<Pool>>,
    networks: Snapshot,
    written: Arc<Written>,
}

/// Places that were shown before: machines share them.
#[derive(Debug, Default)]
struct Written {
    zones: Once<String>,
    pools: Once<String>,
}

impl Catalogue {
    /// A fixed number of queries, however many machines are shown.
    pub(crate) async fn load(region: &Region) -> Result<Self, Problem> {
        Ok(Self {
            zones: region.store.list().await.map_err(Problem::internal)?,
            pools: region.store.list().await.map_err(Problem::internal)?,
            networks: region.networks().await?,
            written: Arc::default(),
        })
    }

    /// A device as the API shows it.
    pub(crate) fn show_device(&self, device: &Device) -> Value {
        crate::api::view::device::full(device, self)
    }

    /// Without any place but the defaults.
    #[cfg(test)]
    pub(crate) fn empty() -> Self {
        let networks = Snapshot::new(std::sync::Arc::default());
        Self { zones: Vec::new(), pools: Vec::new(), networks, written: Arc::default() }
    }

    /// The networks.
    pub(crate) const fn networks(&self) -> &Snapshot {
        &self.networks
    }

    /// A zone by name.
    pub(crate) fn zone(&self, name: &str) -> Value {
        named(&self.zones, name)
    }

    /// A zone by name, written.
    pub(crate) fn zone_written(&self, name: &str) -> Arc<Json> {
        self.written.zones.written(name, || self.zone(name))
    }

    /// A resource pool by name, written.
    pub(crate) fn pool_written(&self, name: &str) -> Arc<Json> {
        self.written.pools.written(name, || named(&self.pools, name))
    }

    /// A machine as the API shows it.
    pub(crate) fn show(&self, machine: &Machine) -> Value {
        crate::api::view::machine::full(machine, self)
    }

    /// A machine as the API shows it, written.
    pub(crate) fn write(&self, machine: &Machine) -> Object {
        crate::api::view::machine::written(machine, self)
    }
}

/// A place by name as the API shows it; one that is no longer there is the default.
fn named<P: Place>(places: &[Stored<P>], name: &str) -> Value {
    let is_it = |stored: &&Stored<P>| {
        let mut place = stored.value.clone();
        stored.value.name() == name || place.renamed_from().as_deref() == Some(name)
    };
    match places.iter().find(is_it) {
        Some(stored) => view(Some(stored.id), &stored.value),
        None => match places.iter().find(|stored| stored.value.name() == DEFAULT) {
            Some(stored) => view(Some(stored.id), &stored.value),
            None => view(None, &default::<P>()),
        },
    }
}

/// The place that is there without having been made.
pub(crate) fn default<P: Place>() -> P {
    let description = if P::WORD == "ResourcePool" { "Default pool" } else { "" };
    P::new(DEFAULT.to_owned(), description.to_owned())
}

/// A place as the API shows it.
pub(crate) fn view<P: Place>(id: Option<u64>, place: &P) -> Value {
    let number = P::number(id, place.name());
    json!({
        "id": number, "name": place.name(), "description": place.description(),
        "resource_uri": P::uri(number, place.name()),
    })
}

/// Whether there is such a place.
pub(crate) async fn exists<P: Place>(store: &dyn Store, name: &str) -> Result<bool, StoreError> {
    Ok(name == DEFAULT || store.by_key::<P>(name).await?.is_some())
}

/// Moves every machine from one place to another.
pub(crate) async fn move_machines<P: Place>(
    region: &Region,
    from: &str,
    to: &str,
) -> Result<(), ApplyError> {
    for machine in region.store.machines(&P::filter(from)).await? {
        let moved = region
            .edit::<ApplyError>(&machine.system_id, |machine| {
                let place = P::of(machine);
                if place == from {
                    to.clone_into(place);
                }
                Ok(Vec::new())
            })
            .await;
        match moved {
            // Deleted in between: it is nowhere now.
            Ok(_) | Err(ApplyError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives every machine that has one tag another one instead; with `None`, takes it away.
pub(crate) async fn retag(region: &Region, from: &str, to: Option<&str>) -> Result<(), ApplyError> {
    let filter = MachineFilter { tags: vec![from.to_owned()], ..MachineFilter::all() };
    for machine in region.store.machines(&filter).await? {
        let edited = region
            .edit::<ApplyError>(&machine.system_id, |machine| {
                if machine.tags.remove(from)
                    && let Some(to) = to
                {
                    machine.tags.insert(to.to_owned());
                }
                Ok(Vec::new())
            })
            .await;
        match edited {
            Ok(_) | Err(ApplyError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Finishes renamings that a power cut interrupted.
///
/// # Errors
///
/// The database's failure.
pub(crate) async fn settle(region: &Region) -> Result<(), StoreError> {
    settle_places::<Zone>(region).await?;
    settle_places::<Pool>(region).await?;
    for mut stored in region.store.list::<Tag>().await? {
        let Some(from) = stored.value.renamed_from.take() else { continue };
        retag(region, &from, Some(&stored.value.name)).await.map_err(failure)?;
        finished(region.store.update(stored).await)?;
    }
    Ok(())
}

async fn settle_places<P: Place>(region: &Region) -> Result<(), StoreError> {
    for mut stored in region.store.list::<P>().await? {
        let Some(from) = stored.value.renamed_from().take() else { continue };
        move_machines::<P>(region, &from, stored.value.name()).await.map_err(failure)?;
        finished(region.store.update(stored).await)?;
    }
    Ok(())
}

fn failure(error: ApplyError) -> StoreError {
    match error {
        ApplyError::Store(error) => error,
        other => StoreError::Body { kind: "machine", source: crate::store::Cause::of(&other) },
    }
}

fn finished<T>(updated: Result<T, DocumentError>) -> Result<(), StoreError> {
    match updated {
        Err(DocumentError::Backend(error)) => Err(error),
        // Whoever changed it in between keeps the mark, and the next start looks again.
        _ => Ok(()),
    }
}

/// The kernel parameters that the settings and the machine's tags ask for, in the order of the
/// tags' names.
pub(crate) async fn kernel_options(
    region: &Region,
    machine: Option<&Machine>,
) -> Result<String, StoreError> {
    let mut options = vec![region.settings().text("kernel_opts")];
    if let Some(machine) = machine
        && !machine.tags.is_empty()
    {
        let mut tags: Vec<Tag> =
            region.store.list::<Tag>().await?.into_iter().map(|stored| stored.value).collect();
        tags.retain(|tag| machine.tags.contains(&tag.name));
        tags.sort_by(|left, right| left.name.cmp(&right.name));
        options.extend(tags.into_iter().map(|tag| tag.kernel_opts));
    }
    options.retain(|option| !option.trim().is_empty());
    Ok(options.join(" "))
}

/// A name as a segment of a path.
pub(crate) fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2D", "-")
        .replace("%2E", ".")
        .replace("%5F", "_")
        .replace("%7E", "~")
}
