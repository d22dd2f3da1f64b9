//! Boot sources and their selections.

use std::sync::Arc;

use ::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maas_simplestreams::signature::Keyring;
use maas_simplestreams::transport::SourceUrl;
use serde_json::{Value, json};

use super::dates;
use crate::clock;
use crate::http::{
    Access, Fields, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::images::documents::{BootSource, Offers, Selection};
use crate::region::Region;
use crate::store::{DocumentError, Stored};

const SOURCES: &str = "/MAAS/api/2.0/boot-sources/";
const SOURCE: &str = "/MAAS/api/2.0/boot-sources/{id}/";
const SELECTIONS: &str = "/MAAS/api/2.0/boot-sources/{boot_source_id}/selections/";
const SELECTION: &str = "/MAAS/api/2.0/boot-sources/{boot_source_id}/selections/{id}/";

/// The largest keyring that is taken, in bytes.
const LARGEST_KEYRING: usize = 1 << 20;

const SOURCE_PARAMS: &[Param] = &[
    Param::required("url", "The mirror's root or its index."),
    Param::optional("keyring_filename", "A keyring file on the region's host."),
    Param::optional("keyring_data", "The keyring: a file, base64 or ASCII armour."),
    Param::optional("name", "What to call it."),
    Param::optional("priority", "Of several sources with an image the highest wins."),
    Param::optional("enabled", "Whether it is synchronised."),
    Param::optional("skip_keyring_verification", "Whether signatures are left unchecked."),
];

const SELECTION_PARAMS: &[Param] = &[
    Param::required("os", "The operating system, e.g. ubuntu."),
    Param::required("release", "The release, e.g. noble."),
    Param::repeated("arches", "Architectures, * for all."),
    Param::repeated("subarches", "Sub-architectures, * for all."),
    Param::repeated("labels", "Labels, * for all."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("BootSourcesHandler", SOURCES, "All boot sources.", list).access(Access::Admin),
        post("BootSourcesHandler", SOURCES, "Adds a boot source.", create)
            .access(Access::Admin)
            .params(SOURCE_PARAMS),
        get("BootSourceHandler", SOURCE, "One boot source.", read).access(Access::Admin),
        put("BootSourceHandler", SOURCE, "Changes a boot source.", update)
            .access(Access::Admin)
            .params(SOURCE_PARAMS),
        delete("BootSourceHandler", SOURCE, "Deletes a boot source.", remove).access(Access::Admin),
        get("BootSourceSelectionsHandler", SELECTIONS, "A source's selections.", selections)
            .access(Access::Admin),
        post("BootSourceSelectionsHandler", SELECTIONS, "Adds a selection.", select)
            .access(Access::Admin)
            .params(SELECTION_PARAMS),
        get("BootSourceSelectionHandler", SELECTION, "One selection.", selection)
            .access(Access::Admin),
        put("BootSourceSelectionHandler", SELECTION, "Changes a selection.", reselect)
            .access(Access::Admin)
            .params(SELECTION_PARAMS),
        delete("BootSourceSelectionHandler", SELECTION, "Deletes a selection.", unselect)
            .access(Access::Admin),
    ]
}

async fn list(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let sources = region.store.list::<BootSource>().await.map_err(Problem::internal)?;
    Reply::json(&sources.iter().map(view).collect::<Vec<_>>())
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let now = clock::now();
    let known = region.store.list::<BootSource>().await.map_err(Problem::internal)?;
    let highest = known.iter().map(|source| source.value.priority).max().unwrap_or(0);
    let url = url(fields.required("url")?)?;
    let mut source = BootSource {
        name: url.clone(),
        // A URL of unsigned metadata has nothing to verify; the API's own rule.
        skip_keyring_verification: url.ends_with(".json"),
        url,
        keyring_filename: String::new(),
        keyring_data: Vec::new(),
        priority: highest.saturating_add(1),
        enabled: true,
        created: now,
        updated: now,
    };
    apply(&mut source, fields)?;
    let stored = region.store.insert(source).await.map_err(duplicate_url)?;
    Ok(Reply::json(&view(&stored))?.status(StatusCode::CREATED))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    Reply::json(&view(&find(&region, &request).await?))
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let mut stored = find(&region, &request).await?;
    if let Some(text) = request.fields().filled("url")? {
        stored.value.url = url(text)?;
    }
    apply(&mut stored.value, request.fields())?;
    stored.value.updated = clock::now();
    Reply::json(&view(&region.store.update(stored).await.map_err(duplicate_url)?))
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let stored = find(&region, &request).await?;
    for selection in of(&region, stored.id).await? {
        region
            .store
            .remove::<Selection>(selection.id, selection.version)
            .await
            .map_err(Problem::internal)?;
    }
    region
        .store
        .remove::<BootSource>(stored.id, stored.version)
        .await
        .map_err(Problem::internal)?;
    Ok(Reply::no_content())
}

fn url(text: &str) -> Result<String, Problem> {
    SourceUrl::parse(text).map_err(|error| Problem::field("url", error.to_string()))?;
    Ok(text.to_owned())
}

fn apply(source: &mut BootSource, fields: &Fields) -> Result<(), Problem> {
    if let Some(name) = fields.filled("name")? {
        name.clone_into(&mut source.name);
    }
    if let Some(priority) = fields.number("priority")? {
        source.priority = priority;
    }
    if let Some(enabled) = fields.flag("enabled")? {
        source.enabled = enabled;
    }
    if let Some(skip) = fields.flag("skip_keyring_verification")? {
        source.skip_keyring_verification = skip;
    }
    if let Some(file) = fields.filled("keyring_filename")? {
        file.clone_into(&mut source.keyring_filename);
        source.keyring_data.clear();
    }
    if let Some(value) = fields.value("keyring_data").filter(|value| !value.content.is_empty()) {
        if fields.filled("keyring_filename")?.is_some() {
            return Err(Problem::field(
                "keyring_data",
                "Only one of keyring_filename and keyring_data can be given.",
            ));
        }
        source.keyring_data = keyring(&value.content)?;
        source.keyring_filename.clear();
    }
    Ok(())
}

/// A keyring as clients send it: the file itself, or base64 of it.
fn keyring(content: &[u8]) -> Result<Vec<u8>, Problem> {
    if content.len() > LARGEST_KEYRING {
        return Err(Problem::field("keyring_data", "Larger than 1 MiB."));
    }
    let text: Vec<u8> =
        content.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let decoded = BASE64_STANDARD.decode(text).ok();
    for candidate in decoded.iter().map(Vec::as_slice).chain([content]) {
        if Keyring::from_bytes(candidate).is_ok() {
            return Ok(candidate.to_vec());
        }
    }
    Err(Problem::field(
        "keyring_data",
        "Not an OpenPGP keyring: expected binary or armoured public keys, or base64 of them.",
    ))
}

fn duplicate_url(error: DocumentError) -> Problem {
    match error {
        DocumentError::DuplicateKey { .. } => {
            Problem::field("url", "Boot source with this Url already exists.")
        }
        other => Problem::internal(other),
    }
}

async fn find(region: &Region, request: &Request) -> Result<Stored<BootSource>, Problem> {
    let of_selection = !request.param("boot_source_id").is_empty();
    let id = request.parsed_param(if of_selection { "boot_source_id" } else { "id" })?;
    let found = region.store.find::<BootSource>(id).await.map_err(Problem::internal)?;
    found.ok_or_else(|| Problem::not_found("No BootSource matches the given query."))
}

fn view(stored: &Stored<BootSource>) -> Value {
    let source = &stored.value;
    json!({
        "id": stored.id, "name": source.name, "url": source.url, "priority": source.priority,
        "enabled": source.enabled, "keyring_filename": source.keyring_filename,
        "keyring_data": BASE64_STANDARD.encode(&source.keyring_data),
        "skip_keyring_verification": source.skip_keyring_verification,
        "created": dates::iso(source.created), "updated": dates::iso(source.updated),
        "resource_uri": format!("{SOURCES}{}/", stored.id),
    })
}

async fn of(region: &Region, boot_source_id: u64) -> Result<Vec<Stored<Selection>>, Problem> {
    let mut selections = region.store.list::<Selection>().await.map_err(Problem::internal)?;
    selections.retain(|selection| selection.value.boot_source_id == boot_source_id);
    Ok(selections)
}

async fn selections(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let source = find(&region, &request).await?;
    let selections = of(&region, source.id).await?;
    Reply::json(&selections.iter().map(selection_view).collect::<Vec<_>>())
}

async fn select(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let source = find(&region, &request).await?;
    let fields = request.fields();
    let selection = Selection {
        boot_source_id: source.id,
        os: fields.required("os")?.to_owned(),
        release: fields.required("release")?.to_owned(),
        arches: list_or_all(fields, "arches")?,
        subarches: list_or_all(fields, "subarches")?,
        labels: list_or_all(fields, "labels")?,
    };
    must_be_offered(&region, &source.value, &selection).await?;
    let stored = region.store.insert(selection).await.map_err(|error| match error {
        DocumentError::DuplicateKey { .. } => Problem::field(
            "__all__",
            "Boot source selection with this Boot source, Os and Release already exists.",
        ),
        other => Problem::internal(other),
    })?;
    Reply::json(&selection_view(&stored))
}

/// Refuses what the source is known not to publish. Before it was first seen nothing is known.
async fn must_be_offered(
    region: &Region,
    source: &BootSource,
    selection: &Selection,
) -> Result<(), Problem> {
    let offers = region.store.by_key::<Offers>(&source.url).await.map_err(Problem::internal)?;
    let Some(offers) = offers.map(|stored| stored.value) else { return Ok(()) };
    let Selection { os, release, arches, .. } = selection;
    if !offers.has_release(os, release) {
        return Err(Problem::field(
            "os",
            format!("OS {os} with release {release} has no available images for download"),
        ));
    }
    match arches.iter().find(|arch| !offers.has_arch(os, release, arch)) {
        None => Ok(()),
        Some(arch) => {
            Err(Problem::field("arches", format!("No available images to download for {arch}")))
        }
    }
}

async fn selection(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    Reply::json(&selection_view(&find_selection(&region, &request).await?))
}

async fn reselect(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let mut stored = find_selection(&region, &request).await?;
    let fields = request.fields();
    if let Some(os) = fields.filled("os")? {
        os.clone_into(&mut stored.value.os);
    }
    if let Some(release) = fields.filled("release")? {
        release.clone_into(&mut stored.value.release);
    }
    for (name, slot) in [
        ("arches", &mut stored.value.arches),
        ("subarches", &mut stored.value.subarches),
        ("labels", &mut stored.value.labels),
    ] {
        if fields.contains(name) {
            *slot = list_or_all(fields, name)?;
        }
    }
    Reply::json(&selection_view(&region.store.update(stored).await.map_err(Problem::internal)?))
}

async fn unselect(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let stored = find_selection(&region, &request).await?;
    region.store.remove::<Selection>(stored.id, stored.version).await.map_err(Problem::internal)?;
    Ok(Reply::no_content())
}

fn list_or_all(fields: &Fields, name: &str) -> Result<Vec<String>, Problem> {
    let words: Vec<String> = fields.words(name)?.into_iter().map(str::to_owned).collect();
    Ok(if words.is_empty() { vec!["*".to_owned()] } else { words })
}

async fn find_selection(region: &Region, request: &Request) -> Result<Stored<Selection>, Problem> {
    let source = find(region, request).await?;
    let id = request.parsed_param("id")?;
    let found = region.store.find::<Selection>(id).await.map_err(Problem::internal)?;
    found
        .filter(|selection| selection.value.boot_source_id == source.id)
        .ok_or_else(|| Problem::not_found("No BootSourceSelection matches the given query."))
}

fn selection_view(stored: &Stored<Selection>) -> Value {
    let Selection { boot_source_id, os, release, arches, subarches, labels } = &stored.value;
    json!({
        "id": stored.id, "boot_source_id": boot_source_id, "os": os, "release": release,
        "arches": arches, "subarches": subarches, "labels": labels,
        "resource_uri": format!("{SOURCES}{boot_source_id}/selections/{}/", stored.id),
    })
}
