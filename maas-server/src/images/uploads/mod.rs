//! Custom images on their way in: in pieces, looked into while they stream past, resumable.
//!
//! An image is declared first (`declare`), which makes a boot resource and an [`UploadDocument`];
//! its pieces are appended to a file of their own (`receive`); when the last one has come and the
//! digest is right, the file becomes a blob and the resource can be deployed (`complete`). What
//! was acknowledged survives a crash, what was not is cut off again, and what nobody goes on with
//! is removed ([`run`]).

mod complete;
mod declare;
mod document;
mod keep;
mod receive;
mod session;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use self::session::Session;

pub(crate) use self::complete::{default_base, file};
pub(crate) use self::declare::{Declaration, declare};
pub use self::document::UploadDocument;
pub use self::keep::run;
pub(crate) use self::keep::{of_resource, remove_resource};
pub(crate) use self::receive::{Piece, receive};

/// The most uploads that are kept open; more are reopened for each of their pieces.
const MOST_OPEN: usize = 64;

/// A session, or the place for one, that one caller at a time uses.
type Place = Arc<tokio::sync::Mutex<Option<Session>>>;

/// The uploads that are under way.
#[derive(Debug)]
pub struct Uploads {
    dir: PathBuf,
    open: Mutex<HashMap<u64, Place>>,
    keeping: tokio::sync::Mutex<()>,
}

impl Uploads {
    /// Keeps incomplete files in `dir`, which is made.
    pub(super) fn open(dir: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir, open: Mutex::default(), keeping: tokio::sync::Mutex::default() })
    }

    /// While this is held no blob is removed.
    pub(crate) async fn keep_blobs(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.keeping.lock().await
    }

    /// Where the pieces of an upload are put together.
    fn part(&self, id: u64) -> PathBuf {
        self.dir.join(format!("{id}.part"))
    }

    /// The place of an upload's session.
    fn place(&self, id: u64) -> Place {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MOST_OPEN && !open.contains_key(&id) {
            // What somebody uses right now stays.
            open.retain(|_, place| Arc::strong_count(place) > 1);
        }
        Arc::clone(open.entry(id).or_default())
    }

    /// Forgets an upload's session; its file stays.
    fn forget(&self, id: u64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

#[cfg(test)]
mod tests;
