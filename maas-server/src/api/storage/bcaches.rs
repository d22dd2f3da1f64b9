//! bcaches.

use std::sync::Arc;

use maas_core::storage::{Bcache, CacheMode, Edit};

use super::super::view::bcache::{all, one};
use super::super::view::storage::StorageView;
use super::change::{When, edit, seen};
use super::filesystems::strip;
use super::members::Members;
use super::{cache_sets, forms};
use crate::http::{
    Access, FieldErrors, Fields, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::region::Region;

const BCACHES: &str = "/MAAS/api/2.0/nodes/{system_id}/bcaches/";
const BCACHE: &str = "/MAAS/api/2.0/nodes/{system_id}/bcache/{id}/";
const ALIAS: &str = "/MAAS/api/2.0/nodes/{system_id}/bcaches/{id}/";

const PARAMS: &[Param] = &[
    Param::optional("name", "Its name; the next free bcache number."),
    Param::optional("uuid", "Its UUID."),
    Param::optional("cache_set", "The number of the cache that it uses."),
    Param::optional("backing_device", "The block device that holds the data."),
    Param::optional("backing_partition", "The partition that holds the data."),
    Param::optional("cache_mode", "writeback, writethrough or writearound."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("BcachesHandler", BCACHES, "The bcaches of a machine.", list),
        post("BcachesHandler", BCACHES, "Makes a bcache.", create)
            .access(Access::Admin)
            .params(PARAMS),
        get("BcacheHandler", BCACHE, "One bcache.", read).alias(ALIAS),
        put("BcacheHandler", BCACHE, "Changes a bcache.", update)
            .access(Access::Admin)
            .alias(ALIAS)
            .params(PARAMS),
        delete("BcacheHandler", BCACHE, "Removes a bcache and its file system.", remove)
            .access(Access::Admin)
            .alias(ALIAS),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = seen(&region, &request).await?;
    Reply::json(&all(&StorageView::of(&machine)))
}

fn named<'a>(view: &'a StorageView<'_>, request: &Request) -> Result<&'a Bcache, Problem> {
    let find = |name: &str| view.storage().bcaches.iter().find(|bcache| bcache.name == name);
    let name = forms::group(view, request, "Bcache", |name| find(name).is_some())?;
    find(&name).ok_or_else(|| Problem::not_found("No Bcache matches the given query."))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = seen(&region, &request).await?;
    let view = StorageView::of(&machine);
    Reply::json(&one(&view, named(&view, &request)?))
}

fn mode(fields: &Fields) -> Result<Option<CacheMode>, Problem> {
    let Some(word) = fields.filled("cache_mode")? else { return Ok(None) };
    [CacheMode::Writeback, CacheMode::Writethrough, CacheMode::Writearound]
        .into_iter()
        .find(|mode| mode.as_str() == word.to_ascii_lowercase())
        .map(Some)
        .ok_or_else(|| {
            Problem::field("cache_mode", "Expected writeback, writethrough or writearound.")
        })
}

fn cache(view: &StorageView<'_>, fields: &Fields) -> Result<Option<String>, Problem> {
    let Some(text) = fields.filled("cache_set")? else { return Ok(None) };
    cache_sets::of_number(view, text).map(Some).ok_or_else(|| {
        let text: String = text.chars().take(32).collect();
        Problem::field(
            "cache_set",
            format!("Select a valid choice. {text} is not one of the available choices."),
        )
    })
}

fn free_name(view: &StorageView<'_>) -> String {
    let taken = |name: &String| view.register().device(name) != 0;
    (0_u32..).map(|number| format!("bcache{number}")).find(|name| !taken(name)).unwrap_or_default()
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let given = fields.filled("name")?;
    let uuid = fields.filled("uuid")?;
    let mode = mode(fields)?.unwrap_or_default();
    fields.required("cache_set")?;
    let made = std::sync::Mutex::new(String::new());
    let changed = edit(&region, &request, When::Ready, "create Bcache", |view| {
        let cache = cache(view, fields)?
            .ok_or_else(|| Problem::field("cache_set", "This field is required."))?;
        let backing = Members::one_of(view, fields, "backing_device", "backing_partition")?;
        let (backing, mut edits) = backing.ok_or_else(|| {
            let text = "Either backing_device or backing_partition must be specified.";
            Problem::field(FieldErrors::ALL, text)
        })?;
        let name = given.map_or_else(|| free_name(view), str::to_owned);
        edits.push(Edit::AddBcache { name: name.clone(), backing, cache, mode });
        edits.extend(uuid.map(|uuid| Edit::SetUuid { id: name.clone(), uuid: uuid.to_owned() }));
        if let Ok(mut made) = made.lock() {
            *made = name;
        }
        Ok(edits)
    })
    .await?;
    let made = made.into_inner().unwrap_or_default();
    let view = StorageView::of(&changed);
    let bcache = view.storage().bcaches.iter().find(|bcache| bcache.name == made);
    Reply::json(&bcache.map(|bcache| one(&view, bcache)))
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let new_name = fields.filled("name")?;
    let uuid = fields.filled("uuid")?;
    let mode = mode(fields)?;
    let changed = edit(&region, &request, When::Ready, "update Bcache", |view| {
        let bcache = named(view, &request)?;
        let backing = Members::one_of(view, fields, "backing_device", "backing_partition")?;
        let (backing, mut edits) = backing.unwrap_or_else(|| (bcache.backing.clone(), Vec::new()));
        let cache = cache(view, fields)?.unwrap_or_else(|| bcache.cache.clone());
        let name = bcache.name.clone();
        edits.push(Edit::ChangeBcache {
            name: name.clone(),
            backing,
            cache,
            mode: mode.unwrap_or(bcache.mode),
        });
        edits.extend(uuid.map(|uuid| Edit::SetUuid { id: name.clone(), uuid: uuid.to_owned() }));
        edits.extend(new_name.map(|new| Edit::Rename { volume: name, name: new.to_owned() }));
        Ok(edits)
    })
    .await?;
    let view = StorageView::of(&changed);
    let renamed =
        new_name.and_then(|new| view.storage().bcaches.iter().find(|bcache| bcache.name == new));
    match renamed {
        Some(bcache) => Reply::json(&one(&view, bcache)),
        None => Reply::json(&one(&view, named(&view, &request)?)),
    }
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    edit(&region, &request, When::Ready, "delete Bcache", |view| {
        let name = named(view, &request)?.name.clone();
        let mut edits = strip(view, &name);
        edits.push(Edit::RemoveCompound { name });
        Ok(edits)
    })
    .await?;
    Ok(Reply::no_content())
}
