//! The end of an upload: verified, kept as a blob, and what machines are given from now on.

use std::fs::File;

use maas_core::image::{ImageFile, Origin, Series};
use maas_core::image_pack::{Finding, Inspection};
use maas_simplestreams::digest::Sha256;

use super::document::UploadDocument;
use super::keep::{of_resource, remove_upload};
use super::receive::{declared, written};
use super::session::{Session, Whole, read_whole};
use crate::clock;
use crate::http::Problem;
use crate::images::documents::ResourceDocument;
use crate::plan;
use crate::region::Region;
use crate::store::{DocumentError, Stored};

/// Completes an upload whose last byte has come.
pub(super) async fn complete_from_part(
    region: &Region,
    mut upload: Stored<UploadDocument>,
    session: Session,
) -> Result<(), Problem> {
    let whole = session.finish().await.map_err(Problem::internal)?;
    let part = region.images.uploads().part(upload.id);
    if whole.sha256 != upload.value.sha256 {
        // The client may send everything once more.
        upload.value.received = 0;
        region.store.update(upload).await.map_err(Problem::internal)?;
        tokio::fs::remove_file(&part).await.map_err(written)?;
        return Err(Problem::bad_request("Saved content does not match given SHA256 value."));
    }
    let digest = digest(&upload.value)?;
    region.images.blobs().adopt(&part, &digest).await.map_err(Problem::internal)?;
    publish(region, upload, whole.inspection).await
}

/// Completes an upload whose content is in the image store already; otherwise nothing happens.
pub(super) async fn complete_from_blob(
    region: &Region,
    upload: Stored<UploadDocument>,
) -> Result<(), Problem> {
    let (blobs, digest) = (region.images.blobs(), digest(&upload.value)?);
    let size = blobs.size(&digest).await.map_err(Problem::internal)?;
    let Some(size) = size else { return Ok(()) };
    if size != upload.value.size {
        return Err(Problem::field(
            "size",
            format!("The content with this SHA256 has {size} bytes."),
        ));
    }
    let Some(resource) = resource(region, &upload.value).await? else { return Ok(()) };
    let path = blobs.path(&digest);
    let declared = declared(&resource.value, &upload.value);
    let whole = tokio::task::spawn_blocking(move || -> std::io::Result<Whole> {
        read_whole(File::open(path)?, &declared)
    })
    .await
    .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    .map_err(Problem::internal)?;
    if whole.sha256 != upload.value.sha256 {
        tracing::error!(sha256 = upload.value.sha256, "a file in the image store is damaged");
        return Ok(());
    }
    publish(region, upload, whole.inspection).await
}

fn digest(upload: &UploadDocument) -> Result<Sha256, Problem> {
    upload.sha256.parse().map_err(|_| Problem::internal("a stored SHA-256 is none"))
}

async fn resource(
    region: &Region,
    upload: &UploadDocument,
) -> Result<Option<Stored<ResourceDocument>>, Problem> {
    region.store.find(upload.resource_id).await.map_err(Problem::internal)
}

/// The content is a blob: the upload is complete, the resource has it, older versions go.
async fn publish(
    region: &Region,
    mut upload: Stored<UploadDocument>,
    inspection: Inspection,
) -> Result<(), Problem> {
    upload.value.complete = true;
    upload.value.received = upload.value.size;
    upload.value.touched = clock::now();
    upload.value.inspection = Some(inspection);
    let upload = match region.store.update(upload).await {
        Ok(upload) => upload,
        // Deleted meanwhile: the next collection of garbage takes the blob.
        Err(DocumentError::Gone { .. }) => return Ok(()),
        Err(error) => return Err(Problem::internal(error)),
    };
    present(region, upload.value.resource_id).await?;
    if !upload.value.keep_old {
        for older in of_resource(region, upload.value.resource_id).await? {
            if older.value.version < upload.value.version {
                remove_upload(region, &older).await?;
            }
        }
    }
    Ok(())
}

/// Makes the newest complete version of a resource what machines are given.
pub(super) async fn present(region: &Region, resource_id: u64) -> Result<(), Problem> {
    loop {
        let found = region.store.find::<ResourceDocument>(resource_id).await;
        let Some(mut stored) = found.map_err(Problem::internal)? else { return Ok(()) };
        let uploads = of_resource(region, resource_id).await?;
        let complete = uploads.into_iter().map(|it| it.value).filter(|it| it.complete);
        let Some(newest) = complete.max_by(|a, b| a.version.cmp(&b.version)) else { return Ok(()) };
        if stored.value.resource.version == newest.version {
            return Ok(());
        }
        take(&mut stored.value, &newest, || default_base(region));
        match region.store.update(stored).await {
            Ok(_) => break,
            Err(DocumentError::Conflict { .. } | DocumentError::Gone { .. }) => {}
            Err(error) => return Err(Problem::internal(error)),
        }
    }
    region.images.reload(&*region.store).await.map_err(Problem::internal)
}

/// What a custom image is taken to be built from when nobody and nothing tells.
pub(crate) fn default_base(region: &Region) -> String {
    let defaults = plan::defaults(region);
    format!("{}/{}", defaults.osystem, defaults.release)
}

fn take(
    document: &mut ResourceDocument,
    upload: &UploadDocument,
    default_base: impl FnOnce() -> String,
) {
    document.completed = upload.touched;
    let resource = &mut document.resource;
    resource.version.clone_from(&upload.version);
    resource.files = vec![file(upload)];
    let inspection = upload.inspection.as_ref();
    let base_image = match (upload.base_image.as_str(), resource.os.as_str()) {
        ("", "custom") => inspection.and_then(packed_base).unwrap_or_else(default_base),
        (told, _) => told.to_owned(),
    };
    resource.origin = Origin::Custom {
        base_image,
        packed_seed: inspection.and_then(Inspection::packed_seed).cloned(),
        defects: inspection
            .map(|it| it.errors().map(Finding::to_string).collect())
            .unwrap_or_default(),
    };
}

/// An uploaded file as a deployment sees it.
pub(crate) fn file(upload: &UploadDocument) -> ImageFile {
    ImageFile {
        filetype: upload.filetype.clone(),
        filename: upload.filetype.upload_filename().unwrap_or("root").to_owned(),
        sha256: upload.sha256.clone(),
        size: upload.size,
    }
}

/// What an image is based on by its own `os-release`, when the uploader did not tell.
fn packed_base(inspection: &Inspection) -> Option<String> {
    let release = inspection.root.as_ref()?.os_release.as_ref()?;
    if release.id.is_empty() {
        return None;
    }
    let version = match release.id.as_str() {
        "ubuntu" => Series::find(&release.version_id)?.codename,
        _ => release.version_id.as_str(),
    };
    Some(format!("{}/{version}", release.id))
}
