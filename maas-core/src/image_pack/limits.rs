//! What looking into an image may cost.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;

/// What looking into an image may cost; beyond it, the inspection ends with a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most bytes after decompression.
    pub unpacked: u64,
    /// The most unpacked bytes for each packed one, once [`Limits::ratio_from`] is passed.
    pub ratio: u64,
    /// Unpacked bytes below which the ratio does not matter: small images may be all zeros.
    pub ratio_from: u64,
    /// The most members of an archive.
    pub members: u64,
    /// The most bytes that are kept of one text file.
    pub text: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpacked: 4 << 40,
            ratio: 1000,
            ratio_from: 4 << 30,
            members: 10_000_000,
            text: 64 << 10,
        }
    }
}

/// A limit that was passed; travels inside an [`io::Error`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: more than {limit}")]
pub(super) struct Exceeded {
    pub(super) what: &'static str,
    pub(super) limit: u64,
}

impl Exceeded {
    pub(super) fn error(what: &'static str, limit: u64) -> io::Error {
        io::Error::other(Self { what, limit })
    }
}

/// The packed bytes: counted, and an error of the reader itself is told from one of the content.
pub(super) struct Packed<R> {
    reader: R,
    pub(super) count: Rc<Cell<u64>>,
    pub(super) failure: Rc<RefCell<Option<io::Error>>>,
}

impl<R: Read> Packed<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, count: Rc::default(), failure: Rc::default() }
    }
}

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer) {
            Ok(read) => {
                self.count.set(self.count.get() + read as u64);
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let shown = io::Error::new(error.kind(), error.to_string());
                *self.failure.borrow_mut() = Some(error);
                Err(shown)
            }
        }
    }
}

/// The unpacked bytes, held within the limits.
pub(super) struct Unpacked<'a> {
    reader: Box<dyn Read + 'a>,
    packed: Rc<Cell<u64>>,
    pub(super) count: Rc<Cell<u64>>,
    limits: Limits,
}

impl<'a> Unpacked<'a> {
    pub(super) fn new(
        reader: Box<dyn Read + 'a>,
        packed: Rc<Cell<u64>>,
        count: Rc<Cell<u64>>,
        limits: Limits,
    ) -> Self {
        Self { reader, packed, count, limits }
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let count = self.count.get() + read as u64;
        self.count.set(count);
        if count > self.limits.unpacked {
            return Err(Exceeded::error("bytes unpacked", self.limits.unpacked));
        }
        let Limits { ratio, ratio_from, .. } = self.limits;
        if count > ratio_from && count / self.packed.get().max(1) > ratio {
            return Err(Exceeded::error("bytes unpacked for each byte packed", ratio));
        }
        Ok(read)
    }
}
