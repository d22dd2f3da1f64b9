//! A tree of files as the archive that can be uploaded.

use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use super::compression::Compression;

/// Owner, permissions and time of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EntryFacts {
    /// Permissions with the bits for set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// The owner's number.
    pub uid: u64,
    /// The group's number.
    pub gid: u64,
    /// Seconds of Unix time.
    pub mtime: u64,
}

/// Writes a root file system as a compressed tar archive, member by member.
///
/// The same members in the same order give the same bytes. Paths are relative, without `./`.
#[allow(missing_debug_implementations, reason = "the encoders have none")]
pub struct Packer<W: Write> {
    archive: Builder<Encoder<W>>,
}

enum Encoder<W: Write> {
    None(W),
    Gzip(flate2::write::GzEncoder<W>),
    Bzip2(bzip2::write::BzEncoder<W>),
    Xz(liblzma::write::XzEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Packer<W> {
    /// Starts an archive.
    ///
    /// # Errors
    ///
    /// When the compressor cannot be set up.
    pub fn new(out: W, compression: Compression) -> io::Result<Self> {
        let encoder = match compression {
            Compression::None => Encoder::None(out),
            Compression::Gzip => {
                Encoder::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::default()))
            }
            Compression::Bzip2 => {
                Encoder::Bzip2(bzip2::write::BzEncoder::new(out, bzip2::Compression::best()))
            }
            Compression::Xz => Encoder::Xz(liblzma::write::XzEncoder::new(out, 6)),
            Compression::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(out, 10)?),
        };
        Ok(Self { archive: Builder::new(encoder) })
    }

    /// Adds a directory.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn directory(&mut self, path: &str, facts: EntryFacts) -> io::Result<()> {
        let mut header = header(facts, EntryType::Directory, 0);
        self.archive.append_data(&mut header, format!("{path}/"), io::empty())
    }

    /// Adds a file of `size` bytes; `attributes` are extended ones, e.g. `security.capability`.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written, or has another size.
    pub fn file(
        &mut self,
        path: &str,
        facts: EntryFacts,
        size: u64,
        attributes: &[(&str, Vec<u8>)],
        content: impl Read,
    ) -> io::Result<()> {
        let named: Vec<(String, &[u8])> = attributes
            .iter()
            .map(|(name, value)| (format!("SCHILY.xattr.{name}"), value.as_slice()))
            .collect();
        if !named.is_empty() {
            self.archive
                .append_pax_extensions(named.iter().map(|(name, value)| (name.as_str(), *value)))?;
        }
        let mut header = header(facts, EntryType::Regular, size);
        let mut content = Exactly { reader: content.take(size), missing: size };
        self.archive.append_data(&mut header, path, &mut content)
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn symlink(&mut self, path: &str, facts: EntryFacts, target: &str) -> io::Result<()> {
        let mut header = header(facts, EntryType::Symlink, 0);
        self.archive.append_link(&mut header, path, target)
    }

    /// Adds another name of a file that was added before.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn hard_link(&mut self, path: &str, facts: EntryFacts, target: &str) -> io::Result<()> {
        let mut header = header(facts, EntryType::Link, 0);
        self.archive.append_link(&mut header, path, target)
    }

    /// Ends the archive and gives back what it was written to, not flushed.
    ///
    /// # Errors
    ///
    /// When the end cannot be written.
    pub fn finish(self) -> io::Result<W> {
        match self.archive.into_inner()? {
            Encoder::None(out) => Ok(out),
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Bzip2(encoder) => encoder.finish(),
            Encoder::Xz(encoder) => encoder.finish(),
            Encoder::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Bzip2(encoder) => encoder.write(bytes),
            Self::Xz(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(out) => out.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Bzip2(encoder) => encoder.flush(),
            Self::Xz(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// A file that shrinks while it is read would shift every member after it.
struct Exactly<R> {
    reader: io::Take<R>,
    missing: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.missing -= (read as u64).min(self.missing);
        if read == 0 && self.missing > 0 && !buffer.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the file became {} bytes shorter while it was read", self.missing),
            ));
        }
        Ok(read)
    }
}

fn header(facts: EntryFacts, entry_type: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(entry_type);
    header.set_size(size);
    header.set_mode(facts.mode & 0o7777);
    header.set_uid(facts.uid);
    header.set_gid(facts.gid);
    header.set_mtime(facts.mtime);
    header
}
