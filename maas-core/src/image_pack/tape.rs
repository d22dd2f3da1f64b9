//! A tar archive read member by member, with every length bounded; nothing is kept but names.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::limits::{Exceeded, Limits};

const BLOCK: usize = 512;
/// The longest name, in bytes, and the longest set of extended attributes.
const LONGEST_NAME: u64 = 64 << 10;
const LONGEST_PAX: u64 = 4 << 20;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// A symbolic or hard link.
    Link,
    Other,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its path without `./` and `/` in front.
    pub(super) path: String,
    /// Whether its name is absolute or leads upwards.
    pub(super) is_unsafe: bool,
    pub(super) kind: Kind,
    pub(super) mode: u32,
}

/// Whether a block is a member's header: its checksum is right.
pub(super) fn has_checksum(block: &[u8]) -> bool {
    let Some(stated) = block.get(148..156) else { return false };
    let digits: String = stated
        .iter()
        .map(|byte| char::from(*byte))
        .skip_while(|c| *c == ' ')
        .take_while(|c| c.is_digit(8))
        .collect();
    let Ok(stated) = u64::from_str_radix(&digits, 8) else { return false };
    let sum: u64 = block
        .iter()
        .take(BLOCK)
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
        .sum();
    block.len() >= BLOCK && sum == stated
}

/// Calls `visit` for each member with a reader of its content, of which it may leave what it likes.
pub(super) fn walk<R: Read>(
    mut reader: R,
    limits: &Limits,
    mut visit: impl FnMut(&Member, &mut dyn Read) -> io::Result<()>,
) -> io::Result<u64> {
    let mut long_name: Option<Vec<u8>> = None;
    let mut pax_size: Option<u64> = None;
    let mut members = 0;
    loop {
        let mut block = [0; BLOCK];
        match fill(&mut reader, &mut block)? {
            // Some writers leave the two empty blocks at the end out.
            0 => return Ok(members),
            BLOCK if block.iter().all(|byte| *byte == 0) => return Ok(members),
            BLOCK if has_checksum(&block) => {}
            BLOCK => return Err(damaged("a member's header has a wrong checksum")),
            _ => return Err(damaged("it ends within a member's header")),
        }
        let header = Header::from_byte_slice(&block);
        let stated = header.entry_size().map_err(|_| damaged("a member's size is no number"))?;
        let entry_type = header.entry_type();
        match entry_type {
            EntryType::GNULongName => {
                long_name = Some(take(&mut reader, stated, LONGEST_NAME, "bytes of a name")?);
                continue;
            }
            EntryType::XHeader => {
                let records = take(&mut reader, stated, LONGEST_PAX, "bytes of attributes")?;
                for (key, value) in pax(&records) {
                    match key {
                        b"path" => long_name = Some(value.to_vec()),
                        b"size" => {
                            pax_size = std::str::from_utf8(value).ok().and_then(|s| s.parse().ok());
                        }
                        _ => {}
                    }
                }
                continue;
            }
            EntryType::XGlobalHeader | EntryType::GNULongLink => {
                skip(&mut reader, padded(stated)?)?;
                continue;
            }
            EntryType::GNUSparse => skip_sparse_map(&mut reader, header)?,
            _ => {}
        }
        members += 1;
        if members > limits.members {
            return Err(Exceeded::error("members", limits.members));
        }
        let name = long_name.take().unwrap_or_else(|| header.path_bytes().into_owned());
        // Links have a size in old archives, but no content.
        let kind = kind(entry_type, &name);
        let size = match kind {
            Kind::Link => 0,
            _ => pax_size.take().unwrap_or(stated),
        };
        pax_size = None;
        let member = member(&name, kind, header.mode().unwrap_or(0));
        let mut content = (&mut reader).take(size);
        visit(&member, &mut content)?;
        let left = content.limit();
        skip(&mut reader, left + (padded(size)? - size))?;
    }
}

fn kind(entry_type: EntryType, name: &[u8]) -> Kind {
    match entry_type {
        EntryType::Directory => Kind::Directory,
        // As tar wrote directories before POSIX.
        EntryType::Regular if name.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
        EntryType::Symlink | EntryType::Link => Kind::Link,
        _ => Kind::Other,
    }
}

fn member(name: &[u8], kind: Kind, mode: u32) -> Member {
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    let is_unsafe = name.starts_with('/') || name.split('/').any(|part| part == "..");
    let parts: Vec<&str> =
        name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    Member { path: parts.join("/"), is_unsafe, kind, mode }
}

/// The records `LENGTH KEY=VALUE\n`.
fn pax(mut records: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut found = Vec::new();
    while let Some(blank) = records.iter().position(|byte| *byte == b' ') {
        let length = records
            .get(..blank)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse::<usize>().ok());
        let Some(record) = length.and_then(|length| records.get(blank + 1..length)) else { break };
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        if let Some(equals) = record.iter().position(|byte| *byte == b'=')
            && let (Some(key), Some(value)) = (record.get(..equals), record.get(equals + 1..))
        {
            found.push((key, value));
        }
        records = length.and_then(|length| records.get(length..)).unwrap_or_default();
    }
    found
}

/// The further blocks of a sparse file's map, which come before its content.
fn skip_sparse_map(reader: &mut impl Read, header: &Header) -> io::Result<()> {
    let mut more = header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
    while more {
        let mut block = [0; BLOCK];
        if fill(reader, &mut block)? != BLOCK {
            return Err(damaged("it ends within a sparse file's map"));
        }
        more = block[504] != 0;
    }
    Ok(())
}

fn take(reader: &mut impl Read, size: u64, limit: u64, what: &'static str) -> io::Result<Vec<u8>> {
    if size > limit {
        return Err(Exceeded::error(what, limit));
    }
    let mut bytes = Vec::new();
    reader.by_ref().take(size).read_to_end(&mut bytes)?;
    skip(reader, padded(size)? - size)?;
    Ok(bytes)
}

fn padded(size: u64) -> io::Result<u64> {
    size.checked_next_multiple_of(BLOCK as u64).ok_or_else(|| damaged("a member has no end"))
}

fn skip(reader: &mut impl Read, bytes: u64) -> io::Result<()> {
    if io::copy(&mut reader.by_ref().take(bytes), &mut io::sink())? < bytes {
        return Err(damaged("it ends within a member"));
    }
    Ok(())
}

/// Reads until the buffer is full or nothing more comes.
pub(super) fn fill(reader: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
