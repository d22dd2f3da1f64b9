//! Caches that bcaches use.

use std::sync::Arc;

use maas_core::machine::Machine;
use maas_core::storage::Edit;

use super::super::view::bcache::{cache_set, cache_sets};
use super::super::view::storage::StorageView;
use super::change::{When, edit, seen};
use super::members::Members;
use crate::http::{
    Access, FieldErrors, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::region::Region;

const SETS: &str = "/MAAS/api/2.0/nodes/{system_id}/bcache-cache-sets/";
const SET: &str = "/MAAS/api/2.0/nodes/{system_id}/bcache-cache-set/{id}/";
const ALIAS: &str = "/MAAS/api/2.0/nodes/{system_id}/bcache-cache-sets/{id}/";

const DEVICE: &[Param] = &[
    Param::optional("cache_device", "The block device that caches."),
    Param::optional("cache_partition", "The partition that caches."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("BcacheCacheSetsHandler", SETS, "The caches of a machine.", list),
        post("BcacheCacheSetsHandler", SETS, "Sets a volume aside as a cache.", create)
            .access(Access::Admin)
            .params(DEVICE),
        get("BcacheCacheSetHandler", SET, "One cache.", read).alias(ALIAS),
        put("BcacheCacheSetHandler", SET, "Puts a cache on another volume.", update)
            .access(Access::Admin)
            .alias(ALIAS)
            .params(DEVICE),
        delete("BcacheCacheSetHandler", SET, "Gives a cache up.", remove)
            .access(Access::Admin)
            .alias(ALIAS),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = seen(&region, &request).await?;
    Reply::json(&cache_sets(&StorageView::of(&machine)))
}

/// The volume that the cache of this number lies on.
pub(super) fn of_number(view: &StorageView<'_>, text: &str) -> Option<String> {
    let number: u32 = text.strip_prefix("cache").unwrap_or(text).parse().ok()?;
    view.register().cache_of(number).map(str::to_owned)
}

fn named(view: &StorageView<'_>, request: &Request) -> Result<String, Problem> {
    of_number(view, request.param("id"))
        .ok_or_else(|| Problem::not_found("No CacheSet matches the given query."))
}

fn reply(machine: &Machine, request: &Request) -> Result<Reply, Problem> {
    let view = StorageView::of(machine);
    Reply::json(&cache_set(&view, &named(&view, request)?))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    reply(&*seen(&region, &request).await?, &request)
}

/// The volume of the form.
fn device(view: &StorageView<'_>, request: &Request) -> Result<(String, Vec<Edit>), Problem> {
    Members::one_of(view, request.fields(), "cache_device", "cache_partition")?.ok_or_else(|| {
        Problem::field(
            FieldErrors::ALL,
            "Either cache_device or cache_partition must be specified.",
        )
    })
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let made = std::sync::Mutex::new(String::new());
    let changed = edit(&region, &request, When::Ready, "create cache set", |view| {
        let (device, mut edits) = device(view, &request)?;
        if let Ok(mut made) = made.lock() {
            made.clone_from(&device);
        }
        edits.push(Edit::AddCacheSet { device });
        Ok(edits)
    })
    .await?;
    let made = made.into_inner().unwrap_or_default();
    Reply::json(&cache_set(&StorageView::of(&changed), &made))
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let changed = edit(&region, &request, When::Ready, "update cache set", |view| {
        let from = named(view, &request)?;
        let (to, mut edits) = device(view, &request)?;
        edits.push(Edit::MoveCacheSet { from, to });
        Ok(edits)
    })
    .await?;
    reply(&changed, &request)
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    edit(&region, &request, When::Ready, "delete cache set", |view| {
        let device = named(view, &request)?;
        if view.storage().bcaches.iter().any(|bcache| bcache.cache == device) {
            return Err(Problem::bad_request("Cannot delete cache set; it's currently in use."));
        }
        Ok(vec![Edit::RemoveCacheSet { device }])
    })
    .await?;
    Ok(Reply::no_content())
}
