//! Boot resources as clients see them (`api.md` §4.6); additive: `received`, `inspection`,
//! `findings`, `defects`, `packed_seed`.

use maas_core::image::{ImageFile, Origin};
use serde_json::{Map, Value, json};

use super::{RESOURCES, finding};
use crate::api::dates;
use crate::http::Problem;
use crate::images::documents::ResourceDocument;
use crate::images::uploads::{self, UploadDocument};
use crate::region::Region;
use crate::store::Stored;

/// How many digits of a digest name a file for people.
const SHORT: usize = 7;

pub(super) fn kind(stored: &Stored<ResourceDocument>) -> &'static str {
    if stored.value.resource.is_custom() { "Uploaded" } else { "Synced" }
}

/// Without the files.
pub(super) fn resource(stored: &Stored<ResourceDocument>) -> Map<String, Value> {
    let resource = &stored.value.resource;
    let (base_image, packed_seed, defects) = match &resource.origin {
        Origin::Custom { base_image, packed_seed, defects } => {
            (base_image.as_str(), packed_seed.as_ref(), defects.as_slice())
        }
        Origin::Standard { .. } => ("", None, &[] as &[String]),
    };
    let mut object = Map::new();
    for (name, value) in [
        ("id", json!(stored.id)),
        ("name", json!(resource.name())),
        ("title", json!(resource.title)),
        ("type", json!(kind(stored))),
        ("architecture", json!(format!("{}/{}", resource.arch, resource.full_subarch()))),
        ("subarches", json!(resource.subarches.join(","))),
        ("kflavor", json!(resource.kflavor)),
        ("base_image", json!(base_image)),
        ("last_deployed", Value::Null),
        ("completed", json!(dates::iso(stored.value.completed))),
        ("resource_uri", json!(format!("{RESOURCES}{}/", stored.id))),
    ] {
        object.insert(name.to_owned(), value);
    }
    if resource.is_custom() {
        object.insert("packed_seed".to_owned(), json!(packed_seed));
        object.insert("defects".to_owned(), json!(defects));
    }
    object
}

/// With every version and its files.
pub(super) async fn detail(
    region: &Region,
    stored: &Stored<ResourceDocument>,
) -> Result<Value, Problem> {
    let resource = &stored.value.resource;
    let mut object = self::resource(stored);
    let mut sets = Map::new();
    if resource.is_custom() {
        let uploads = uploads::of_resource(region, stored.id).await?;
        if let Some(newest) = uploads.last()
            && object.get("base_image").is_some_and(|known| known == "")
        {
            let shown = match (newest.value.base_image.as_str(), resource.os.as_str()) {
                ("", "custom") => uploads::default_base(region),
                (told, _) => told.to_owned(),
            };
            object.insert("base_image".to_owned(), json!(shown));
        }
        for upload in &uploads {
            sets.insert(upload.value.version.clone(), upload_set(stored.id, upload));
        }
    }
    if !resource.files.is_empty() && !sets.contains_key(&resource.version) {
        let files: Map<String, Value> = resource
            .files
            .iter()
            .map(|file| (file.filename.clone(), file_view(file, resource.kpackage.as_deref())))
            .collect();
        let size: u64 = resource.files.iter().map(|file| file.size).sum();
        sets.insert(
            resource.version.clone(),
            json!({
                "version": resource.version, "label": resource.label, "size": size,
                "complete": true, "progress": 100, "files": files,
            }),
        );
    }
    object.insert("sets".to_owned(), Value::Object(sets));
    Ok(Value::Object(object))
}

fn upload_set(resource_id: u64, upload: &Stored<UploadDocument>) -> Value {
    let value = &upload.value;
    let file = uploads::file(value);
    let mut shown = file_view(&file, None);
    shown["complete"] = json!(value.complete);
    shown["progress"] = json!(value.progress());
    shown["received"] = json!(value.received);
    if !value.complete {
        let uri = format!("{RESOURCES}{resource_id}/upload/{}/", upload.id);
        shown["upload_uri"] = json!(uri);
    }
    if let Some(inspection) = &value.inspection {
        let findings: Vec<Value> = inspection.findings.iter().map(finding).collect();
        shown["findings"] = json!(findings);
        let mut facts = json!(inspection);
        if let Value::Object(facts) = &mut facts {
            facts.remove("findings");
        }
        shown["inspection"] = facts;
    }
    let mut files = Map::new();
    files.insert(file.filename, shown);
    json!({
        "version": value.version, "label": "uploaded", "size": value.size,
        "complete": value.complete, "progress": value.progress(), "files": files,
    })
}

fn file_view(file: &ImageFile, kpackage: Option<&str>) -> Value {
    let mut view = json!({
        "filename": file.filename, "filetype": file.filetype.as_str(), "sha256": file.sha256,
        "filename_on_disk": file.sha256.get(..SHORT), "size": file.size, "complete": true,
        "progress": 100,
    });
    if let Some(kpackage) = kpackage.filter(|_| file.filetype.as_str() == "boot-kernel") {
        view["kpackage"] = json!(kpackage);
    }
    view
}
