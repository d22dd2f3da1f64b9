//! Boot resources: the images that machines can be given.

use std::sync::Arc;

use maas_core::image::ImageFile;
use serde_json::{Map, Value, json};

use super::dates;
use crate::http::{Access, Operation, Param, Problem, Reply, Request, delete, get, post};
use crate::images::documents::ResourceDocument;
use crate::region::Region;
use crate::store::Stored;

const RESOURCES: &str = "/MAAS/api/2.0/boot-resources/";
const RESOURCE: &str = "/MAAS/api/2.0/boot-resources/{id}/";

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("BootResourcesHandler", RESOURCES, "All boot resources.", list)
            .params(&[Param::optional("type", "synced or uploaded.")]),
        post("BootResourcesHandler", RESOURCES, "Synchronises the boot sources.", import)
            .op("import")
            .access(Access::Admin),
        get("BootResourcesHandler", RESOURCES, "Whether an import is going on.", is_importing)
            .op("is_importing"),
        get("BootResourceHandler", RESOURCE, "One boot resource with its files.", read),
        delete("BootResourceHandler", RESOURCE, "Deletes a boot resource.", remove)
            .access(Access::Admin),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let wanted = request.fields().filled("type")?.map(str::to_ascii_lowercase);
    let resources = region.store.list::<ResourceDocument>().await.map_err(Problem::internal)?;
    let views: Vec<Value> = resources
        .iter()
        .filter(|stored| {
            wanted.as_deref().is_none_or(|kind| kind == kind_of(stored).to_lowercase())
        })
        .map(|stored| Value::Object(view(stored)))
        .collect();
    Reply::json(&views)
}

async fn import(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    region.images.request_import();
    Ok(Reply::text("Import of boot resources started"))
}

async fn is_importing(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Reply::json(&region.images.is_importing())
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let stored = find(&region, &request).await?;
    let resource = &stored.value.resource;
    let files: Map<String, Value> = resource
        .files
        .iter()
        .map(|file| (file.filename.clone(), file_view(file, resource.kpackage.as_deref())))
        .collect();
    let size: u64 = resource.files.iter().map(|file| file.size).sum();
    let mut object = view(&stored);
    object.insert(
        "sets".to_owned(),
        json!({resource.version.as_str(): {
            "version": resource.version, "label": resource.label, "size": size,
            "complete": true, "files": files,
        }}),
    );
    Reply::json(&Value::Object(object))
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let stored = find(&region, &request).await?;
    region
        .store
        .remove::<ResourceDocument>(stored.id, stored.version)
        .await
        .map_err(Problem::internal)?;
    region.images.reload(&*region.store).await.map_err(Problem::internal)?;
    Ok(Reply::no_content())
}

async fn find(region: &Region, request: &Request) -> Result<Stored<ResourceDocument>, Problem> {
    let id = request.parsed_param("id")?;
    let found = region.store.find::<ResourceDocument>(id).await.map_err(Problem::internal)?;
    found.ok_or_else(|| Problem::not_found("No BootResource matches the given query."))
}

fn kind_of(stored: &Stored<ResourceDocument>) -> &'static str {
    if stored.value.resource.is_custom() { "Uploaded" } else { "Synced" }
}

fn view(stored: &Stored<ResourceDocument>) -> Map<String, Value> {
    let resource = &stored.value.resource;
    let mut object = Map::new();
    for (name, value) in [
        ("id", json!(stored.id)),
        ("name", json!(resource.name())),
        ("title", json!(resource.title)),
        ("type", json!(kind_of(stored))),
        ("architecture", json!(format!("{}/{}", resource.arch, resource.full_subarch()))),
        ("subarches", json!(resource.subarches.join(","))),
        ("kflavor", json!(resource.kflavor)),
        ("last_deployed", Value::Null),
        ("completed", json!(dates::iso(stored.value.completed))),
        ("resource_uri", json!(format!("{RESOURCES}{}/", stored.id))),
    ] {
        object.insert(name.to_owned(), value);
    }
    object
}

fn file_view(file: &ImageFile, kpackage: Option<&str>) -> Value {
    let mut view = json!({
        "filename": file.filename, "filetype": file.filetype.as_str(), "sha256": file.sha256,
        "size": file.size, "complete": true,
    });
    if let Some(kpackage) = kpackage.filter(|_| file.filetype.as_str() == "boot-kernel") {
        view["kpackage"] = json!(kpackage);
    }
    view
}
