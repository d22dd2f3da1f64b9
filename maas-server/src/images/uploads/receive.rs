//! One piece of an upload: appended as it comes, acknowledged when it is durable.

use std::io;

use maas_core::image_pack::Declared;

use super::complete::complete_from_part;
use super::document::UploadDocument;
use super::session::Session;
use crate::clock;
use crate::http::{BodyError, Problem, RequestBody};
use crate::images::documents::ResourceDocument;
use crate::region::Region;
use crate::store::{DocumentError, Stored};

/// Where a piece belongs, when the client says so (`Content-Range`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The first byte's place in the whole.
    pub(crate) start: u64,
}

impl Piece {
    /// Reads `bytes START-END/SIZE`; the end and the whole are not looked at, because the body
    /// and the declaration tell them.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (start, _) = header.trim().strip_prefix("bytes ")?.split_once('-')?;
        Some(Self { start: start.trim().parse().ok()? })
    }
}

/// Appends a piece; the last one completes the upload.
///
/// A piece counts as a whole or not at all: when its request breaks off, the client sends it again.
pub(crate) async fn receive(
    region: &Region,
    resource: &ResourceDocument,
    id: u64,
    piece: Option<Piece>,
    body: &mut RequestBody,
) -> Result<(), Problem> {
    let uploads = region.images.uploads();
    let place = uploads.place(id);
    let mut place = place.lock().await;
    let mut upload = find(region, id).await?;
    let session = match &mut *place {
        Some(session) => session,
        none => {
            let declared = declared(resource, &upload.value);
            let opened = Session::open(&uploads.part(id), upload.value.received, declared).await;
            none.insert(opened.map_err(written)?)
        }
    };
    let missing = upload.value.size.saturating_sub(session.received);
    let mut skip = match piece {
        None => 0,
        Some(Piece { start }) => session.received.checked_sub(start).ok_or_else(|| {
            let next = session.received;
            Problem::Conflict(format!(
                "Expected the bytes from {next} on, found those from {start} on."
            ))
        })?,
    };
    session.begin().await.map_err(written)?;
    let (mut seen, mut taken) = (0_u64, 0_u64);
    loop {
        let mut bytes = match body.chunk().await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            Err(BodyError::Broken { .. }) => {
                return Err(Problem::bad_request(
                    "Content-Length doesn't equal size of received data.",
                ));
            }
            Err(error) => return Err(error.into()),
        };
        seen += bytes.len() as u64;
        // What was acknowledged before, but the client did not learn of it.
        let known = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
        skip -= known as u64;
        let bytes = bytes.split_off(known);
        taken += bytes.len() as u64;
        if taken > missing {
            return Err(Problem::bad_request("Too much data received."));
        }
        session.write(&bytes).await.map_err(written)?;
    }
    if seen == 0 && upload.value.size > session.received {
        return Err(Problem::bad_request("Missing data."));
    }
    if body.declared_len().is_some_and(|declared| declared != seen) {
        return Err(Problem::bad_request("Content-Length doesn't equal size of received data."));
    }
    session.keep(taken).await.map_err(written)?;
    upload.value.received = session.received;
    upload.value.touched = clock::now();
    let acknowledged = acknowledge(region, upload).await;
    let upload = match acknowledged {
        Ok(upload) => upload,
        Err(problem) => {
            // The session is ahead of the database: the next piece starts from what that says.
            *place = None;
            return Err(problem);
        }
    };
    if upload.value.received < upload.value.size {
        return Ok(());
    }
    let Some(session) = place.take() else { return Ok(()) };
    let completed = complete_from_part(region, upload, session).await;
    uploads.forget(id);
    completed
}

/// The upload, while it takes bytes.
async fn find(region: &Region, id: u64) -> Result<Stored<UploadDocument>, Problem> {
    let upload = region.store.find::<UploadDocument>(id).await.map_err(Problem::internal)?;
    let gone = || Problem::not_found("No BootResourceFile matches the given query.");
    let upload = upload.ok_or_else(gone)?;
    if upload.value.complete {
        return Err(Problem::bad_request("Cannot upload to a complete file."));
    }
    Ok(upload)
}

async fn acknowledge(
    region: &Region,
    upload: Stored<UploadDocument>,
) -> Result<Stored<UploadDocument>, Problem> {
    region.store.update(upload).await.map_err(|error| match error {
        DocumentError::Gone { .. } => {
            Problem::not_found("No BootResourceFile matches the given query.")
        }
        error => Problem::internal(error),
    })
}

/// What an upload is declared to be.
pub(super) fn declared(resource: &ResourceDocument, upload: &UploadDocument) -> Declared {
    Declared { filetype: Some(upload.filetype.clone()), arch: Some(resource.resource.arch.clone()) }
}

/// A full disk is the operator's to know, anything else the log's.
pub(super) fn written(error: io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Problem::bad_request("No space left on device")
        }
        _ => Problem::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_tells_where_a_piece_begins() {
        assert_eq!(
            Piece::parse("bytes 4194304-8388607/10240000"),
            Some(Piece { start: 4_194_304 })
        );
        assert_eq!(Piece::parse("bytes 0-0/1"), Some(Piece { start: 0 }));
        for wrong in ["", "bytes", "bytes x-1/2", "items 0-1/2", "bytes */5"] {
            assert_eq!(Piece::parse(wrong), None, "{wrong}");
        }
    }
}
