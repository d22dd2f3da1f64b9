//! Zones and resource pools: named places that machines are in.

use std::sync::Arc;

use super::machines::choice_error;
use crate::http::{Access, Operation, Param, Problem, Reply, Request, delete, get, post, put};
use crate::places::{self, DEFAULT, Place, Pool, Zone};
use crate::region::Region;
use crate::store::{DocumentError, Stored};

const ZONES: &str = "/MAAS/api/2.0/zones/";
const ZONE: &str = "/MAAS/api/2.0/zones/{name}/";
const POOLS: &str = "/MAAS/api/2.0/resourcepools/";
const POOL: &str = "/MAAS/api/2.0/resourcepool/{id}/";

/// How often a change is tried again when somebody else was faster.
const ATTEMPTS: usize = 16;

const FIELDS: &[Param] = &[
    Param::required("name", "The unique name: letters, digits, spaces and . _ -."),
    Param::optional("description", "Free text."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    let named: &[Param] = &[
        Param::optional("name", "The new name; machines follow."),
        Param::optional("description", "Free text."),
    ];
    vec![
        get("ZonesHandler", ZONES, "All zones.", list::<Zone>),
        post("ZonesHandler", ZONES, "Adds a zone.", create::<Zone>)
            .access(Access::Admin)
            .params(FIELDS),
        get("ZoneHandler", ZONE, "One zone.", read::<Zone>),
        put("ZoneHandler", ZONE, "Renames or describes a zone.", update::<Zone>)
            .access(Access::Admin)
            .params(named),
        delete(
            "ZoneHandler",
            ZONE,
            "Deletes a zone; its machines go to the default.",
            remove::<Zone>,
        )
        .access(Access::Admin),
        get("ResourcePoolsHandler", POOLS, "All resource pools.", list::<Pool>)
            .alias("/MAAS/api/2.0/pools/"),
        post("ResourcePoolsHandler", POOLS, "Adds a resource pool.", create::<Pool>)
            .alias("/MAAS/api/2.0/pools/")
            .access(Access::Admin)
            .params(FIELDS),
        get("ResourcePoolHandler", POOL, "One resource pool, by number or name.", read::<Pool>),
        put("ResourcePoolHandler", POOL, "Renames or describes a resource pool.", update::<Pool>)
            .access(Access::Admin)
            .params(named),
        delete(
            "ResourcePoolHandler",
            POOL,
            "Deletes a resource pool; its machines go to the default.",
            remove::<Pool>,
        )
        .access(Access::Admin),
    ]
}

async fn list<P: Place>(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let stored = region.store.list::<P>().await.map_err(Problem::internal)?;
    let mut views: Vec<_> =
        stored.iter().map(|stored| places::view(Some(stored.id), &stored.value)).collect();
    if !stored.iter().any(|stored| stored.value.name() == DEFAULT) {
        views.insert(0, places::view(None, &places::default::<P>()));
    }
    Reply::json(&views)
}

async fn create<P: Place>(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let name = fields.required("name")?.trim();
    check_name::<P>(name)?;
    if name == DEFAULT {
        return Err(taken::<P>());
    }
    let description = fields.text("description")?.unwrap_or_default();
    let place = P::new(name.to_owned(), description.to_owned());
    let stored = region.store.insert(place).await.map_err(refused::<P>)?;
    Reply::json(&places::view(Some(stored.id), &stored.value))
}

async fn read<P: Place>(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    match find::<P>(&region, &request).await? {
        Found::Stored(stored) => Reply::json(&places::view(Some(stored.id), &stored.value)),
        Found::Default => Reply::json(&places::view(None, &places::default::<P>())),
    }
}

async fn update<P: Place>(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let name = fields.filled("name")?.map(str::trim);
    let description = fields.text("description")?;
    if let Some(name) = name {
        check_name::<P>(name)?;
    }
    for _ in 0..ATTEMPTS {
        let mut stored = match find::<P>(&region, &request).await? {
            Found::Stored(stored) => stored,
            Found::Default => match region.store.insert(places::default::<P>()).await {
                Ok(stored) => stored,
                Err(DocumentError::DuplicateKey { .. }) => continue,
                Err(error) => return Err(Problem::internal(error)),
            },
        };
        let before = stored.value.name().to_owned();
        let after = name.unwrap_or(&before).to_owned();
        if after != before && (before == DEFAULT || after == DEFAULT) {
            let word = if before == DEFAULT { "cannot be renamed" } else { "has this name" };
            return Err(Problem::field("name", format!("The default {} {word}.", word_of::<P>())));
        }
        let described = description.unwrap_or(stored.value.description()).to_owned();
        stored.value.set(after.clone(), described);
        if after != before {
            *stored.value.renamed_from() = Some(before.clone());
        }
        let mut stored = match region.store.update(stored).await {
            Ok(stored) => stored,
            Err(DocumentError::Conflict { .. }) => continue,
            Err(error) => return Err(refused::<P>(error)),
        };
        if after != before {
            places::move_machines::<P>(&region, &before, &after).await?;
            *stored.value.renamed_from() = None;
            stored = match region.store.update(stored.clone()).await {
                Ok(done) => done,
                // Somebody renamed it again; that one's end takes the mark away.
                Err(DocumentError::Conflict { .. }) => stored,
                Err(error) => return Err(refused::<P>(error)),
            };
        }
        return Reply::json(&places::view(Some(stored.id), &stored.value));
    }
    Err(busy())
}

async fn remove<P: Place>(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    for _ in 0..ATTEMPTS {
        let stored = match find::<P>(&region, &request).await? {
            Found::Stored(stored) if stored.value.name() != DEFAULT => stored,
            _ => {
                return Err(Problem::bad_request(format!(
                    "This {} is the default {}, it cannot be deleted.",
                    word_of::<P>(),
                    word_of::<P>()
                )));
            }
        };
        let name = stored.value.name().to_owned();
        match region.store.remove::<P>(stored.id, stored.version).await {
            Ok(()) | Err(DocumentError::Gone { .. }) => {}
            Err(DocumentError::Conflict { .. }) => continue,
            Err(error) => return Err(Problem::internal(error)),
        }
        // Machines in a place that is no longer there are shown in the default already.
        places::move_machines::<P>(&region, &name, DEFAULT).await?;
        return Ok(Reply::no_content());
    }
    Err(busy())
}

enum Found<P> {
    Stored(Stored<P>),
    /// The default that nobody has described yet.
    Default,
}

/// By name; pools also by number.
async fn find<P: Place>(region: &Region, request: &Request) -> Result<Found<P>, Problem> {
    // Clients fill in zones by their name and pools by their number.
    let wanted = Some(request.param("name")).filter(|name| !name.is_empty());
    let wanted = wanted.unwrap_or_else(|| request.param("id"));
    let by_name = region.store.by_key::<P>(wanted).await.map_err(Problem::internal)?;
    if let Some(stored) = by_name {
        return Ok(Found::Stored(stored));
    }
    if wanted == DEFAULT {
        return Ok(Found::Default);
    }
    let not_found = || Problem::not_found(format!("No {} matches the given query.", P::WORD));
    if P::WORD == "Zone" {
        return Err(not_found());
    }
    let number: u64 = wanted.parse().map_err(|_| not_found())?;
    if number == P::number(None, DEFAULT) {
        let default = region.store.by_key::<P>(DEFAULT).await.map_err(Problem::internal)?;
        return Ok(default.map_or(Found::Default, Found::Stored));
    }
    let found = region.store.find::<P>(number).await.map_err(Problem::internal)?;
    found.filter(|stored| stored.value.name() != DEFAULT).map(Found::Stored).ok_or_else(not_found)
}

fn word_of<P: Place>() -> &'static str {
    if P::WORD == "Zone" { "zone" } else { "pool" }
}

fn check_name<P: Place>(name: &str) -> Result<(), Problem> {
    let fits = |letter: char| letter.is_alphanumeric() || " ._-".contains(letter);
    // A pool is also found by its number.
    let number = P::WORD != "Zone" && name.bytes().all(|byte| byte.is_ascii_digit());
    if (1..=256).contains(&name.len()) && name.chars().all(fits) && !number {
        return Ok(());
    }
    Err(Problem::field("name", "Invalid name: expected letters, digits, spaces and . _ -."))
}

fn taken<P: Place>() -> Problem {
    let word = if P::WORD == "Zone" { "Physical zone" } else { "Resource pool" };
    Problem::field("name", format!("{word} with this Name already exists."))
}

fn refused<P: Place>(error: DocumentError) -> Problem {
    match error {
        DocumentError::DuplicateKey { .. } => taken::<P>(),
        DocumentError::Gone { .. } => {
            Problem::not_found(format!("No {} matches the given query.", P::WORD))
        }
        other => Problem::internal(other),
    }
}

pub(super) fn busy() -> Problem {
    Problem::Unavailable {
        text: "Others changed it again and again; try again.".to_owned(),
        retry_after: std::time::Duration::from_secs(1),
    }
}

/// Refuses a zone or pool that is not there.
pub(super) async fn check(
    region: &Region,
    zone: Option<&str>,
    pool: Option<&str>,
) -> Result<(), Problem> {
    if let Some(zone) = zone
        && !places::exists::<Zone>(&*region.store, zone).await.map_err(Problem::internal)?
    {
        return Err(choice_error("zone", zone));
    }
    if let Some(pool) = pool
        && !places::exists::<Pool>(&*region.store, pool).await.map_err(Problem::internal)?
    {
        return Err(choice_error("pool", pool));
    }
    Ok(())
}
