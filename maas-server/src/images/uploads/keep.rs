//! What becomes of uploads with time: gone on with after a crash, closed when idle, removed when
//! nobody goes on with them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::complete::{complete_from_blob, complete_from_part, present};
use super::document::UploadDocument;
use super::receive::declared;
use super::session::Session;
use crate::clock;
use crate::http::Problem;
use crate::images::documents::ResourceDocument;
use crate::region::Region;
use crate::store::{DocumentError, Stored};

/// How long nothing may come before an upload is removed.
const ABANDONED: Duration = Duration::from_secs(3 * 24 * 3600);
/// How long an upload is kept open between two pieces; afterwards its file is read again.
const IDLE: Duration = Duration::from_secs(600);
/// How often is looked.
const PAUSE: Duration = Duration::from_secs(300);

/// Finishes what a crash interrupted, and then looks after uploads until `stop`.
pub async fn run(region: Arc<Region>, stop: CancellationToken) {
    if let Err(problem) = recover(&region).await {
        tracing::error!(error = %crate::with_causes(&problem), "uploads not recovered");
    }
    loop {
        if let Err(problem) = tidy(&region, ABANDONED).await {
            tracing::error!(error = %crate::with_causes(&problem), "uploads not tidied");
        }
        region.images.uploads().close_idle(IDLE);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Completes uploads that had come as a whole, and resources that did not learn of theirs.
pub(super) async fn recover(region: &Region) -> Result<(), Problem> {
    let uploads = region.store.list::<UploadDocument>().await.map_err(Problem::internal)?;
    for upload in uploads {
        let (id, resource_id) = (upload.id, upload.value.resource_id);
        let found = region.store.find::<ResourceDocument>(resource_id).await;
        let Some(resource) = found.map_err(Problem::internal)? else {
            remove_upload(region, &upload).await?;
            continue;
        };
        let recovered = if upload.value.complete {
            present(region, resource_id).await
        } else if upload.value.received < upload.value.size {
            continue;
        } else {
            let place = region.images.uploads().place(id);
            let mut place = place.lock().await;
            *place = None;
            let part = region.images.uploads().part(id);
            if tokio::fs::try_exists(&part).await.unwrap_or(false) {
                let declared = declared(&resource.value, &upload.value);
                match Session::open(&part, upload.value.received, declared).await {
                    Ok(session) => complete_from_part(region, upload, session).await,
                    Err(error) => Err(Problem::internal(error)),
                }
            } else {
                complete_from_blob(region, upload).await
            }
        };
        // One that cannot be completed does not keep the others back.
        if let Err(problem) = recovered {
            tracing::warn!(upload = id, error = %crate::with_causes(&problem), "upload not completed");
        }
    }
    Ok(())
}

/// Removes uploads to which nothing came for `abandoned`, resources that have no upload any more,
/// and files that are nobody's.
pub(super) async fn tidy(region: &Region, abandoned: Duration) -> Result<(), Problem> {
    let now = clock::now();
    let uploads = region.store.list::<UploadDocument>().await.map_err(Problem::internal)?;
    let mut kept = BTreeSet::new();
    for upload in &uploads {
        if upload.value.complete || now.since(upload.value.touched) < abandoned {
            kept.insert(upload.id);
            continue;
        }
        tracing::info!(upload = upload.id, "an abandoned upload is removed");
        remove_upload(region, upload).await?;
        remove_if_empty(region, upload.value.resource_id).await?;
    }
    let uploads = region.images.uploads();
    let mut entries = tokio::fs::read_dir(&uploads.dir).await.map_err(Problem::internal)?;
    while let Some(entry) = entries.next_entry().await.map_err(Problem::internal)? {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".part")?.parse::<u64>().ok());
        let Some(id) = id.filter(|id| !kept.contains(id)) else { continue };
        // Declared after the list was read, perhaps.
        let known = region.store.find::<UploadDocument>(id).await.map_err(Problem::internal)?;
        if known.is_none() {
            tokio::fs::remove_file(entry.path()).await.ok();
        }
    }
    Ok(())
}

/// The uploads of one resource, oldest first.
pub(crate) async fn of_resource(
    region: &Region,
    resource_id: u64,
) -> Result<Vec<Stored<UploadDocument>>, Problem> {
    let mut uploads = region.store.list::<UploadDocument>().await.map_err(Problem::internal)?;
    uploads.retain(|upload| upload.value.resource_id == resource_id);
    uploads.sort_by(|a, b| a.value.version.cmp(&b.value.version));
    Ok(uploads)
}

/// Removes a resource with all its uploads.
pub(crate) async fn remove_resource(
    region: &Region,
    stored: Stored<ResourceDocument>,
) -> Result<(), Problem> {
    let id = stored.id;
    let removed = region.store.remove::<ResourceDocument>(id, stored.version).await;
    match removed {
        Ok(()) | Err(DocumentError::Gone { .. }) => {}
        Err(error @ DocumentError::Conflict { .. }) => {
            return Err(Problem::Conflict(error.to_string()));
        }
        Err(error) => return Err(Problem::internal(error)),
    }
    for upload in of_resource(region, id).await? {
        remove_upload(region, &upload).await?;
    }
    Ok(())
}

/// Removes one upload: the document first, so that nothing is appended to it any more.
pub(super) async fn remove_upload(
    region: &Region,
    upload: &Stored<UploadDocument>,
) -> Result<(), Problem> {
    let mut version = upload.version;
    loop {
        match region.store.remove::<UploadDocument>(upload.id, version).await {
            Ok(()) | Err(DocumentError::Gone { .. }) => break,
            Err(DocumentError::Conflict { .. }) => {
                let found = region.store.find::<UploadDocument>(upload.id).await;
                match found.map_err(Problem::internal)? {
                    Some(newer) => version = newer.version,
                    None => break,
                }
            }
            Err(error) => return Err(Problem::internal(error)),
        }
    }
    let uploads = region.images.uploads();
    uploads.forget(upload.id);
    match tokio::fs::remove_file(uploads.part(upload.id)).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Problem::internal(error)),
        _ => Ok(()),
    }
}

/// A resource that never had a version, and has no upload any more, is of no use.
async fn remove_if_empty(region: &Region, resource_id: u64) -> Result<(), Problem> {
    let found = region.store.find::<ResourceDocument>(resource_id).await;
    let Some(stored) = found.map_err(Problem::internal)? else { return Ok(()) };
    let resource = &stored.value.resource;
    if resource.is_custom()
        && resource.files.is_empty()
        && of_resource(region, resource_id).await?.is_empty()
    {
        remove_resource(region, stored).await?;
    }
    Ok(())
}

impl super::Uploads {
    /// Closes uploads to which nothing came for `idle`.
    fn close_idle(&self, idle: Duration) {
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        open.retain(|_, place| {
            Arc::strong_count(place) > 1
                || place.try_lock().is_ok_and(|session| {
                    session.as_ref().is_some_and(|session| session.used.elapsed() < idle)
                })
        });
    }
}
