//! Boot resources: the images that machines can be given.

mod create;
mod view;

use std::sync::Arc;

use http::header;
use maas_core::image_pack::Finding;
use serde_json::Value;

use crate::http::{
    Access, BodyRule, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::images::documents::ResourceDocument;
use crate::images::uploads::{self, Piece};
use crate::region::Region;
use crate::store::Stored;

const RESOURCES: &str = "/MAAS/api/2.0/boot-resources/";
const RESOURCE: &str = "/MAAS/api/2.0/boot-resources/{id}/";
const UPLOAD: &str = "/MAAS/api/2.0/boot-resources/{id}/upload/{file_id}/";

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("BootResourcesHandler", RESOURCES, "All boot resources.", list)
            .params(&[Param::optional("type", "synced, uploaded or all (default).")]),
        post(
            "BootResourcesHandler",
            RESOURCES,
            "Declares a custom image; its content follows by PUT to the `upload_uri` of the answer, \
             in pieces of any size. With content that is known by its SHA-256 the image is \
             complete at once.",
            create::create,
        )
        .params(create::PARAMS)
        .access(Access::Admin),
        post("BootResourcesHandler", RESOURCES, "Synchronises the boot sources.", import)
            .op("import")
            .access(Access::Admin),
        get("BootResourcesHandler", RESOURCES, "Whether an import is going on.", is_importing)
            .op("is_importing"),
        post("BootResourcesHandler", RESOURCES, "Breaks an import off.", stop_import)
            .op("stop_import")
            .access(Access::Admin),
        get("BootResourceHandler", RESOURCE, "One boot resource with its files.", read),
        delete("BootResourceHandler", RESOURCE, "Deletes a boot resource.", remove)
            .access(Access::Admin),
        put(
            "BootResourceFileUploadHandler",
            UPLOAD,
            "Appends a piece of an image. `Content-Range: bytes START-END/SIZE`, an extension, says \
             where it belongs: what is there already is skipped, a gap is a 409.",
            upload,
        )
        .body(BodyRule::Stream)
        .access(Access::Admin),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let wanted = request.fields().filled("type")?.map(str::to_ascii_lowercase);
    let wanted = match wanted.as_deref() {
        None | Some("all") => None,
        Some("synced") => Some("Synced"),
        Some("uploaded") => Some("Uploaded"),
        Some(_) => return Err(Problem::field("type", "Expected synced, uploaded or all.")),
    };
    let resources = region.store.list::<ResourceDocument>().await.map_err(Problem::internal)?;
    let views: Vec<Value> = resources
        .iter()
        .filter(|stored| wanted.is_none_or(|kind| kind == view::kind(stored)))
        .map(|stored| Value::Object(view::resource(stored)))
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

async fn stop_import(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    region.images.stop_import();
    Ok(Reply::text("Import of boot resources is being stopped"))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let stored = find(&region, &request).await?;
    Reply::json(&view::detail(&region, &stored).await?)
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let stored = find(&region, &request).await?;
    uploads::remove_resource(&region, stored).await?;
    region.images.reload(&*region.store).await.map_err(Problem::internal)?;
    // An import that is going on removes what nobody needs at its end.
    if !region.images.is_importing()
        && let Err(error) =
            crate::images::collect_garbage(&region, &std::collections::BTreeSet::new()).await
    {
        tracing::warn!(error = %crate::with_causes(&error), "image files not removed");
    }
    Ok(Reply::no_content())
}

async fn upload(region: Arc<Region>, mut request: Request) -> Result<Reply, Problem> {
    let stored = find(&region, &request).await?;
    if !stored.value.resource.is_custom() {
        return Err(Problem::Forbidden(
            "The files of an image from a boot source cannot be uploaded.".to_owned(),
        ));
    }
    let file_id = request.parsed_param("file_id")?;
    let known = uploads::of_resource(&region, stored.id).await?;
    if known.iter().all(|upload| upload.id != file_id) {
        return Err(Problem::not_found("No BootResourceFile matches the given query."));
    }
    let piece = match request.header(&header::CONTENT_RANGE) {
        None => None,
        Some(text) => Some(Piece::parse(text).ok_or_else(|| {
            Problem::bad_request("Content-Range is not of the form `bytes START-END/SIZE`.")
        })?),
    };
    let mut body = request.take_stream();
    uploads::receive(&region, &stored.value, file_id, piece, &mut body).await?;
    Ok(Reply::ok())
}

async fn find(region: &Region, request: &Request) -> Result<Stored<ResourceDocument>, Problem> {
    let id = request.parsed_param("id")?;
    let found = region.store.find::<ResourceDocument>(id).await.map_err(Problem::internal)?;
    found.ok_or_else(|| Problem::not_found("No BootResource matches the given query."))
}

/// A finding for programs and people.
fn finding(finding: &Finding) -> Value {
    serde_json::json!({
        "code": finding.code(), "severity": finding.severity(), "message": finding.to_string(),
    })
}
