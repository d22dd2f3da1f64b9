//! The bytes of a transfer, read ahead of its windows.

use std::io;

use bytes::Bytes;
use maas_core::tftp::Mode;

use super::netascii::netascii;
use crate::http::{CHUNK_LEN, FileContent};
use crate::rack::files::BootFile;

/// The largest file that is sent as text: it has to be converted as a whole.
const LARGEST_TEXT: u64 = 1 << 20;

/// What is sent.
#[derive(Debug)]
pub(super) enum Source {
    /// From memory.
    Memory(Bytes),
    /// From a file, with what was read last and where it stands.
    File { content: FileContent, chunk: Bytes, at: u64 },
}

impl Source {
    /// `None` for a file that is too large to be sent as text.
    pub(super) async fn open(file: BootFile, mode: Mode) -> io::Result<Option<Self>> {
        let source = match (file, mode) {
            (BootFile::Text(text), Mode::Octet) => Self::Memory(Bytes::from(text)),
            (BootFile::Text(text), Mode::Netascii) => {
                Self::Memory(Bytes::from(netascii(text.as_bytes())))
            }
            (BootFile::File(content), Mode::Octet) => {
                Self::File { content, chunk: Bytes::new(), at: 0 }
            }
            (BootFile::File(content), Mode::Netascii) => {
                if content.length() > LARGEST_TEXT {
                    return Ok(None);
                }
                let length = usize::try_from(content.length()).map_err(io::Error::other)?;
                Self::Memory(Bytes::from(netascii(&content.read_at(0, length).await?)))
            }
        };
        Ok(Some(source))
    }

    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { content, .. } => content.length(),
        }
    }

    /// The bytes from `from` up to, not including, `to`, which lie within the file.
    pub(super) async fn slice(&mut self, from: u64, to: u64) -> io::Result<&[u8]> {
        if let Self::File { content, chunk, at } = self
            && !holds(chunk, *at, from, to)
        {
            *chunk = content.read_at(from, index(to - from)?.max(CHUNK_LEN)).await?;
            *at = from;
        }
        self.held(from, to)
    }

    /// The same on this thread, which may wait for the disk.
    pub(super) fn slice_here(&mut self, from: u64, to: u64) -> io::Result<&[u8]> {
        if let Self::File { content, chunk, at } = self
            && !holds(chunk, *at, from, to)
        {
            *chunk = content.read_here(from, index(to - from)?.max(CHUNK_LEN))?;
            *at = from;
        }
        self.held(from, to)
    }

    fn held(&self, from: u64, to: u64) -> io::Result<&[u8]> {
        let (bytes, start) = match self {
            Self::Memory(bytes) => (bytes, 0),
            Self::File { chunk, at, .. } => (chunk, *at),
        };
        let within = index(from.saturating_sub(start))?..index(to.saturating_sub(start))?;
        bytes.get(within).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

fn holds(chunk: &Bytes, at: u64, from: u64, to: u64) -> bool {
    from >= at && to <= at + chunk.len() as u64
}

fn index(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(io::Error::other)
}
