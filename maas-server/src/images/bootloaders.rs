//! Boot loaders out of their archives, under strict rules: plain names, plain files, bounded.

use std::io::Read;
use std::path::{Path, PathBuf};

use liblzma::read::XzDecoder;

/// The largest archive when unpacked, in bytes.
const LARGEST: u64 = 256 << 20;

/// The most members of an archive.
const MOST_MEMBERS: usize = 1024;

/// Why an archive was not unpacked; nothing of it was put in place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// It cannot be read or the files cannot be written.
    #[error("{path}: cannot be unpacked")]
    Io {
        /// The archive or the file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A member is no plain file with a plain name.
    #[error("{archive}: member {member:?} is no plain file with a plain name")]
    Member {
        /// The archive.
        archive: PathBuf,
        /// The member.
        member: String,
    },
    /// It has too many members or bytes.
    #[error("{archive}: too large: expected at most {MOST_MEMBERS} members and {LARGEST} bytes")]
    TooLarge {
        /// The archive.
        archive: PathBuf,
    },
}

/// Unpacks a `tar.xz` archive into `folder`; each file appears there as a whole.
///
/// # Errors
///
/// [`UnpackError`].
pub fn unpack(archive: &Path, folder: &Path) -> Result<Vec<String>, UnpackError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| UnpackError::Io { path, source }
    };
    let file = std::fs::File::open(archive).map_err(io(archive))?;
    let limited = XzDecoder::new(file).take(LARGEST + 1);
    let mut tar = tar::Archive::new(limited);
    // All members are read before the first is put in place.
    let mut members: Vec<(String, Vec<u8>)> = Vec::new();
    let mut total = 0;
    for entry in tar.entries().map_err(io(archive))? {
        let mut entry = entry.map_err(io(archive))?;
        let name = entry.path().map_err(io(archive))?.to_string_lossy().into_owned();
        if entry.header().entry_type().is_dir() {
            continue;
        }
        let plain = name.strip_prefix("./").unwrap_or(&name).to_owned();
        let base = plain.rsplit('/').next().unwrap_or_default().to_owned();
        if !entry.header().entry_type().is_file() || !plain.split('/').all(is_plain_name) {
            return Err(UnpackError::Member { archive: archive.to_owned(), member: name });
        }
        let too_large = || UnpackError::TooLarge { archive: archive.to_owned() };
        total += entry.size();
        if total > LARGEST || members.len() == MOST_MEMBERS {
            return Err(too_large());
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(io(archive))?;
        members.push((base, content));
    }
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    let mut names = Vec::new();
    for (name, content) in members {
        let path = folder.join(&name);
        put(&path, &content).map_err(io(&path))?;
        names.push(name);
    }
    Ok(names)
}

/// Whether a text can be the name of a file or folder that a boot source decides on: no separator,
/// nothing hidden, nothing that a shell or a boot loader reads as something else.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn put(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("part-{}", std::process::id()));
    let mut file = std::fs::File::create(&temporary)?;
    std::io::Write::write_all(&mut file, content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    use super::*;

    fn archive(dir: &Path, members: &[(&str, tar::EntryType, &[u8])]) -> PathBuf {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, kind, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            // Written by hand: the builder refuses hostile names.
            let bytes = name.as_bytes();
            header.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
            header.set_cksum();
            tar.append(&header, *content).unwrap();
        }
        let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 0);
        packed.write_all(&tar.into_inner().unwrap()).unwrap();
        let path = dir.join("archive.tar.xz");
        std::fs::write(&path, packed.finish().unwrap()).unwrap();
        path
    }

    #[test]
    fn files_are_put_in_place_by_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let file = tar::EntryType::Regular;
        let path =
            archive(dir.path(), &[("./bootx64.efi", file, b"MZ"), ("a/grubx64.efi", file, b"g")]);
        let names = unpack(&path, &dir.path().join("out")).unwrap();
        assert_eq!(names, ["bootx64.efi", "grubx64.efi"]);
        assert_eq!(std::fs::read(dir.path().join("out/bootx64.efi")).unwrap(), b"MZ");
    }

    #[test]
    fn hostile_members_are_refused_and_nothing_is_left() {
        for (name, kind) in [
            ("../evil", tar::EntryType::Regular),
            ("/etc/passwd", tar::EntryType::Regular),
            ("link", tar::EntryType::Symlink),
            ("hard", tar::EntryType::Link),
            ("node", tar::EntryType::Char),
            (".hidden", tar::EntryType::Regular),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let good = ("good", tar::EntryType::Regular, b"x".as_slice());
            let path = archive(dir.path(), &[good, (name, kind, b"")]);
            let out = dir.path().join("out");
            assert!(unpack(&path, &out).is_err(), "{name}");
            assert!(!out.exists(), "{name}");
        }
    }
}
