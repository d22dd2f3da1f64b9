//! The list of machines: heads first, so that an unchanged list costs one query and no bytes;
//! then the machines, rendered while they are sent.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use ::http::{HeaderValue, StatusCode, header};
use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use maas_core::id::SystemId;
use maas_core::machine::{Actor, Machine, Status};
use serde_json::{Map, Value};

use super::actor;
use super::machines::{MACHINES, mac_or_no_machines};
use super::view::machine::{architecture, power_state};
use crate::devices::Device;
use crate::http::{
    BoxError, Fields, Operation, Param, Problem, Reply, Request, get, if_none_match,
};
use crate::places::Catalogue;
use crate::region::Region;
use crate::region::shown::PackedView;
use crate::store::{MachineFilter, MachineHead, PackedMachine, StoreError, Stored};

/// How many machines one query loads.
const PAGE: usize = 1024;
/// How many machines are answered with a `Content-Length` rather than in chunks.
const SHORT: usize = 64;
/// How many bytes of JSON are sent at once.
const CHUNK: usize = 64 << 10;

const FILTERS: &[Param] = &[
    Param::repeated("id", "System ids."),
    Param::repeated("hostname", "Host names."),
    Param::repeated("mac_address", "MAC addresses."),
    Param::repeated("status", "Statuses, such as failed_deployment."),
    Param::repeated("owner", "Owners."),
    Param::repeated("pool", "Resource pools."),
    Param::repeated("zone", "Zones."),
    Param::repeated("domain", "DNS domains."),
    Param::repeated("arch", "Architectures."),
    Param::repeated("tags", "Tags, all of them."),
    Param::repeated("agent_name", "Agent names."),
    Param::repeated("simple_status", "Groups of statuses, such as failed."),
    Param::repeated("power_state", "on, off, unknown or error."),
    Param::repeated("not_FILTER", "Each filter also as what it must not be."),
    Param::optional("limit", "At most so many; an extension."),
    Param::optional("offset", "How many are left out at the beginning; an extension."),
    Param::repeated("fields", "Only these keys of each machine; an extension."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("MachinesHandler", MACHINES, "The machines that match every filter.", list)
            .params(FILTERS),
        get("MachinesHandler", MACHINES, "The caller's machines.", list_allocated)
            .op("list_allocated")
            .params(FILTERS),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let wanted = Wanted::read(request.fields())?;
    answer(region, request, wanted).await
}

async fn list_allocated(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let mut wanted = Wanted::read(request.fields())?;
    wanted.filter.owners = vec![actor(&request)?.username];
    answer(region, request, wanted).await
}

async fn answer(region: Arc<Region>, request: Request, wanted: Wanted) -> Result<Reply, Problem> {
    let stamp = region.store.documents_stamp().await.map_err(Problem::internal)?;
    let heads = wanted.heads(&region, &actor(&request)?).await?;
    let heads = wanted.cut(heads);
    send(region, &request, stamp, Contents { heads, devices: Vec::new(), fields: wanted.fields })
        .await
}

/// The machines and then these devices, all of which the caller may see.
pub(super) async fn with_devices(
    region: Arc<Region>,
    request: &Request,
    devices: Vec<Stored<Device>>,
) -> Result<Reply, Problem> {
    let wanted = Wanted::read(request.fields())?;
    let stamp = region.store.documents_stamp().await.map_err(Problem::internal)?;
    let heads = wanted.heads(&region, &actor(request)?).await?;
    let before = heads.len();
    let heads = wanted.cut(heads);
    let left = wanted.limit.unwrap_or(usize::MAX) - heads.len();
    let past = wanted.offset.saturating_sub(before);
    let devices = devices.into_iter().skip(past).take(left).collect();
    send(region, request, stamp, Contents { heads, devices, fields: wanted.fields }).await
}

/// The machines with a tag that the caller may see.
pub(super) async fn with_tag(
    region: Arc<Region>,
    request: &Request,
    tag: String,
) -> Result<Reply, Problem> {
    let mut wanted = Wanted::read(request.fields())?;
    wanted.filter.tags.push(tag);
    let stamp = region.store.documents_stamp().await.map_err(Problem::internal)?;
    let heads = wanted.heads(&region, &actor(request)?).await?;
    let heads = wanted.cut(heads);
    send(region, request, stamp, Contents { heads, devices: Vec::new(), fields: wanted.fields })
        .await
}

/// What an answer holds.
struct Contents {
    heads: Vec<MachineHead>,
    devices: Vec<Stored<Device>>,
    fields: Vec<String>,
}

async fn send(
    region: Arc<Region>,
    request: &Request,
    stamp: String,
    contents: Contents,
) -> Result<Reply, Problem> {
    let Contents { heads, devices, fields } = contents;
    let mut world = stamp.clone();
    for device in &devices {
        let _ = write!(world, "/{}:{}", device.id, device.version);
    }
    let tag = region.shown.tag(&world, &heads, &fields);
    let tag_value = HeaderValue::from_str(&tag).map_err(Problem::internal)?;
    if request.header(&header::IF_NONE_MATCH).is_some_and(|sent| if_none_match(sent, &tag)) {
        return Ok(Reply::empty(StatusCode::NOT_MODIFIED).header(header::ETAG, tag_value));
    }
    let catalogue = Catalogue::load(&region).await?;
    let short = heads.len() + devices.len() <= SHORT;
    let mut listing = Listing {
        region: Arc::clone(&region),
        catalogue,
        fields,
        stamp,
        heads: heads.into_iter(),
        devices: devices.into_iter(),
        page: Vec::new().into_iter(),
        state: State::Begins,
    };
    // Loaded before the answer begins: what fails here is a 500, not a torn answer.
    listing.fill().await.map_err(Problem::internal)?;
    const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");
    let reply = if short {
        let mut whole = Vec::new();
        while let Some(chunk) = listing.next().await.map_err(Problem::internal)? {
            whole.extend_from_slice(&chunk);
        }
        Reply::json_bytes(whole)
    } else {
        let chunks = stream::try_unfold(listing, |mut listing| async move {
            let chunk = listing.next().await?;
            Ok::<_, BoxError>(chunk.map(|chunk| (Frame::data(chunk), listing)))
        });
        Reply::stream("application/json; charset=utf-8", None, StreamBody::new(chunks))
    };
    Ok(reply.header(header::ETAG, tag_value).header(header::CACHE_CONTROL, PRIVATE))
}

/// What [`maas_core::machine::Permission::View`] says, by the head alone.
pub(super) fn may_see(actor: &Actor, head: &MachineHead) -> bool {
    actor.role == maas_core::machine::Role::Admin
        || head.owner.as_ref().is_none_or(|owner| *owner == actor.username)
}

/// The heads of machines that also match what no query can ask.
async fn narrowed(
    region: &Region,
    heads: Vec<MachineHead>,
    rest: &[Rest],
) -> Result<Vec<MachineHead>, Problem> {
    let mut kept = Vec::new();
    for page in heads.chunks(PAGE) {
        let ids = page.iter().map(|head| head.system_id.clone()).collect();
        let filter = MachineFilter { ids, ..MachineFilter::all() };
        let machines = region.store.machines(&filter).await.map_err(Problem::internal)?;
        for machine in machines.iter().filter(|machine| rest.iter().all(|one| one.holds(machine))) {
            kept.push(MachineHead {
                system_id: machine.system_id.clone(),
                version: machine.version,
                owner: machine.owner.clone(),
            });
        }
    }
    Ok(kept)
}

/// An answer under way.
struct Listing {
    region: Arc<Region>,
    catalogue: Catalogue,
    fields: Vec<String>,
    stamp: String,
    heads: std::vec::IntoIter<MachineHead>,
    devices: std::vec::IntoIter<Stored<Device>>,
    page: std::vec::IntoIter<Item>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Begins,
    /// One machine was written.
    GoesOn,
    Ended,
}

/// A machine that is about to be written.
enum Item {
    Rendered(PackedView),
    Loaded(PackedMachine),
    Device(Box<Device>),
}

impl Listing {
    /// Loads the next page when the last one is used up.
    async fn fill(&mut self) -> Result<(), StoreError> {
        while self.page.len() == 0 && self.heads.len() > 0 {
            let heads: Vec<MachineHead> = self.heads.by_ref().take(PAGE).collect();
            let known = |head: &MachineHead| {
                let whole = self.fields.is_empty();
                whole.then(|| self.region.shown.known(head, &self.stamp)).flatten()
            };
            let rendered: Vec<Option<PackedView>> = heads.iter().map(known).collect();
            let missing: Vec<SystemId> = heads
                .iter()
                .zip(&rendered)
                .filter(|(_, rendered)| rendered.is_none())
                .map(|(head, _)| head.system_id.clone())
                .collect();
            let mut loaded: HashMap<SystemId, PackedMachine> = HashMap::new();
            if !missing.is_empty() {
                let filter = MachineFilter { ids: missing, ..MachineFilter::all() };
                let machines = self.region.store.packed_machines(&filter).await?;
                loaded.extend(machines.into_iter().map(|one| (one.system_id().clone(), one)));
            }
            // A machine that was deleted meanwhile is left out.
            let items: Vec<Item> = heads
                .into_iter()
                .zip(rendered)
                .filter_map(|(head, rendered)| match rendered {
                    Some(view) => Some(Item::Rendered(view)),
                    None => loaded.remove(&head.system_id).map(Item::Loaded),
                })
                .collect();
            self.page = items.into_iter();
        }
        if self.page.len() == 0 {
            let rest = self.devices.by_ref().take(PAGE);
            let items: Vec<Item> = rest.map(|one| Item::Device(Box::new(one.value))).collect();
            self.page = items.into_iter();
        }
        Ok(())
    }

    /// The next bytes of the JSON list.
    async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        if self.state == State::Ended {
            return Ok(None);
        }
        let mut chunk = Vec::with_capacity(CHUNK + CHUNK / 2);
        if self.state == State::Begins {
            chunk.push(b'[');
        }
        while chunk.len() < CHUNK {
            self.fill().await?;
            let Some(item) = self.page.next() else {
                chunk.push(b']');
                self.state = State::Ended;
                break;
            };
            if self.state == State::GoesOn {
                chunk.push(b',');
            }
            self.state = State::GoesOn;
            match item {
                Item::Rendered(view) => view.write(&mut chunk)?,
                Item::Loaded(machine) => {
                    let machine = machine.unpack()?;
                    let view = self.catalogue.write(&machine);
                    if self.fields.is_empty() {
                        let view = view.end();
                        chunk.extend_from_slice(view.bytes());
                        self.region.shown.keep(&machine, &self.stamp, view.bytes());
                    } else {
                        chunk.extend_from_slice(view.only(&self.fields).bytes());
                    }
                }
                Item::Device(device) => {
                    let view = self.catalogue.show_device(&device);
                    let view = if self.fields.is_empty() { view } else { only(view, &self.fields) };
                    serde_json::to_writer(&mut chunk, &view)?;
                }
            }
        }
        // Others get their turn on the thread between two chunks.
        tokio::task::yield_now().await;
        Ok(Some(Bytes::from(chunk)))
    }
}

/// The keys that were asked for.
pub(super) fn only(view: Value, fields: &[String]) -> Value {
    let Value::Object(mut members) = view else { return view };
    let kept: Map<String, Value> =
        fields.iter().filter_map(|name| members.remove_entry(name)).collect();
    Value::Object(kept)
}

/// What a list is to hold.
#[derive(Debug, Default)]
struct Wanted {
    filter: MachineFilter,
    rest: Vec<Rest>,
    /// A filter that nothing can match.
    nothing: bool,
    limit: Option<usize>,
    offset: usize,
    fields: Vec<String>,
}

/// A filter that is compared after loading.
#[derive(Debug)]
struct Rest {
    key: Key,
    wanted: bool,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Id,
    Hostname,
    Mac,
    Status,
    SimpleStatus,
    Owner,
    Pool,
    Zone,
    Domain,
    Arch,
    Tags,
    AgentName,
    PowerState,
}

/// The names under which a machine must not match.
const NEGATED: [(&str, Key); 16] = [
    ("not_id", Key::Id),
    ("not_hostname", Key::Hostname),
    ("not_mac_address", Key::Mac),
    ("not_status", Key::Status),
    ("not_simple_status", Key::SimpleStatus),
    ("not_owner", Key::Owner),
    ("not_pool", Key::Pool),
    ("not_in_pool", Key::Pool),
    ("not_zone", Key::Zone),
    ("not_in_zone", Key::Zone),
    ("not_domain", Key::Domain),
    ("not_arch", Key::Arch),
    ("not_tags", Key::Tags),
    ("not_agent_name", Key::AgentName),
    ("not_power_state", Key::PowerState),
    ("not_system_id", Key::Id),
];

impl Rest {
    fn holds(&self, machine: &Machine) -> bool {
        let among = |value: &str| self.values.iter().any(|one| one.eq_ignore_ascii_case(value));
        let matches = match self.key {
            Key::Id => among(machine.system_id.as_str()),
            Key::Hostname => {
                among(&machine.hostname) || among(&super::view::machine::fqdn(machine))
            }
            Key::Mac => machine.mac_addresses.iter().any(|mac| among(mac)),
            Key::Status => among(machine.status.name()),
            Key::SimpleStatus => among(simple_word(machine.status)),
            Key::Owner => machine.owner.as_ref().is_some_and(|owner| self.values.contains(owner)),
            Key::Pool => self.values.contains(&machine.pool),
            Key::Zone => self.values.contains(&machine.zone),
            Key::Domain => self.values.contains(&machine.domain),
            Key::Arch => among(&architecture(machine)) || among(&machine.architecture.arch),
            Key::Tags => self.values.iter().any(|tag| machine.tags.contains(tag)),
            Key::AgentName => self.values.contains(&machine.agent_name),
            Key::PowerState => among(power_state(machine.power.state)),
        };
        matches == self.wanted
    }
}

/// `api.md` §1.1's groups, as a filter names them.
fn simple_word(status: Status) -> &'static str {
    match status {
        Status::Allocated => "allocated",
        Status::Broken => "broken",
        Status::Commissioning => "commissioning",
        Status::Deployed => "deployed",
        Status::Deploying => "deploying",
        Status::New => "new",
        Status::Ready => "ready",
        Status::Releasing | Status::DiskErasing => "releasing",
        Status::RescueMode | Status::EnteringRescueMode | Status::ExitingRescueMode => {
            "rescue_mode"
        }
        Status::Testing => "testing",
        Status::Missing | Status::Reserved | Status::Retired => "other",
        _ => "failed",
    }
}

impl Wanted {
    /// The heads of the machines that match and that the actor may see.
    async fn heads(&self, region: &Region, actor: &Actor) -> Result<Vec<MachineHead>, Problem> {
        if self.nothing {
            return Ok(Vec::new());
        }
        let heads = region.store.machine_heads(&self.filter).await;
        let mut heads = heads.map_err(Problem::internal)?;
        heads.retain(|head| may_see(actor, head));
        if self.rest.is_empty() {
            return Ok(heads);
        }
        narrowed(region, heads, &self.rest).await
    }

    /// The part of the list that was asked for.
    fn cut(&self, heads: Vec<MachineHead>) -> Vec<MachineHead> {
        let most = self.limit.unwrap_or(usize::MAX);
        heads.into_iter().skip(self.offset).take(most).collect()
    }

    fn read(fields: &Fields) -> Result<Self, Problem> {
        let words = |name: &str| -> Result<Vec<String>, Problem> {
            Ok(fields.words(name)?.into_iter().map(str::to_owned).collect())
        };
        let named = words("id")?;
        // What is no id is no machine's.
        let ids: Vec<SystemId> = named.iter().filter_map(|id| id.parse().ok()).collect();
        let nothing = ids.is_empty() && !named.is_empty();
        let mut statuses = Vec::new();
        for word in words("status")? {
            let status = word
                .parse::<Status>()
                .map_err(|error| Problem::field("status", error.to_string()))?;
            statuses.push(status);
        }
        let hostnames = words("hostname")?
            .into_iter()
            .map(|name| name.split('.').next().unwrap_or_default().to_owned())
            .collect();
        let filter = MachineFilter {
            ids,
            statuses,
            owners: words("owner")?,
            hostnames,
            macs: words("mac_address")?.into_iter().map(mac_or_no_machines).collect(),
            pools: texts(fields, "pool")?,
            zones: texts(fields, "zone")?,
            architectures: words("arch")?,
            agent_names: words("agent_name")?,
            tags: words("tags")?,
        };
        let mut rest = Vec::new();
        for (name, key) in [
            ("domain", Key::Domain),
            ("simple_status", Key::SimpleStatus),
            ("power_state", Key::PowerState),
        ] {
            let values = words(name)?;
            if !values.is_empty() {
                rest.push(Rest { key, wanted: true, values });
            }
        }
        for (name, key) in NEGATED {
            let values = match key {
                Key::Pool | Key::Zone => texts(fields, name)?,
                Key::Mac => words(name)?.into_iter().map(mac_or_no_machines).collect(),
                _ => words(name)?,
            };
            if !values.is_empty() {
                rest.push(Rest { key, wanted: false, values });
            }
        }
        Ok(Self {
            filter,
            rest,
            nothing,
            limit: fields.number("limit")?,
            offset: fields.number("offset")?.unwrap_or(0),
            fields: words("fields")?,
        })
    }
}

/// Values with spaces in them: names of zones and pools.
fn texts(fields: &Fields, name: &str) -> Result<Vec<String>, Problem> {
    let texts = fields.texts(name)?;
    let parts = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    Ok(parts.filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests;
