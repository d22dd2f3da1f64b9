//! Which bytes of a file are to be sent, and whether they are there yet.

use std::fs::File;
use std::io;
use std::sync::Arc;

use http_body_util::BodyExt;
use tokio::sync::watch;

use super::body::{self, FileBody};
use crate::http::ReplyBody;
use crate::http::splice::{PieceBody, Pieces};

/// How far a file can be read that is still being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// So many bytes from its beginning on; more will follow.
    Bytes(u64),
    /// All of it.
    Whole,
    /// It will never be whole.
    Broken,
}

/// The bytes of a file from `start` to, not including, `end`.
#[derive(Clone, Debug)]
pub(in crate::http) struct FilePart {
    file: Arc<File>,
    start: u64,
    end: u64,
    growth: Option<watch::Receiver<Reach>>,
}

impl FilePart {
    pub(in crate::http) const fn new(file: Arc<File>, start: u64, end: u64) -> Self {
        Self { file, start, end, growth: None }
    }

    /// The same of a file that is still being written.
    pub(in crate::http) fn growing(self, growth: watch::Receiver<Reach>) -> Self {
        Self { growth: Some(growth), ..self }
    }

    pub(in crate::http) const fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(in crate::http) const fn start(&self) -> u64 {
        self.start
    }

    pub(in crate::http) const fn length(&self) -> u64 {
        self.end - self.start
    }

    /// Cuts the first bytes off, at most so many.
    pub(in crate::http) fn split_to(&mut self, length: u64) -> Self {
        let middle = self.start.saturating_add(length).min(self.end);
        let first = Self { end: middle, ..self.clone() };
        self.start = middle;
        first
    }

    /// The number of its first bytes that can be read, at least one unless it is empty; waits for
    /// a file that is still being written.
    ///
    /// # Errors
    ///
    /// When that file breaks off.
    pub(in crate::http) async fn readable(&mut self) -> io::Result<u64> {
        let (start, length) = (self.start, self.length());
        let Some(growth) = &mut self.growth else { return Ok(length) };
        let reached = growth.wait_for(|reach| match reach {
            Reach::Bytes(bytes) => *bytes > start,
            Reach::Whole | Reach::Broken => true,
        });
        match reached.await.map(|reach| *reach) {
            Ok(Reach::Bytes(bytes)) => Ok(length.min(bytes - start)),
            Ok(Reach::Whole) => {
                self.growth = None;
                Ok(length)
            }
            Ok(Reach::Broken) | Err(_) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file broke off"))
            }
        }
    }

    /// Whether all of it can be read without waiting for anybody who writes it.
    pub(in crate::http) const fn is_written(&self) -> bool {
        self.growth.is_none()
    }

    /// A body that reads them.
    pub(in crate::http) fn read(self) -> ReplyBody {
        if self.is_written() {
            return FileBody::new(self).map_err(Into::into).boxed_unsync();
        }
        body::growing(self).map_err(Into::into).boxed_unsync()
    }

    /// A body for a connection that can send pieces of files itself.
    pub(in crate::http) fn spliced(self, pieces: Pieces) -> ReplyBody {
        PieceBody::new(self, pieces).map_err(Into::into).boxed_unsync()
    }
}
