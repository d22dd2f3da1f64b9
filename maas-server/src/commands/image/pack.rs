//! `maas-server image pack`: a directory as an image.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use maas_core::image_pack::{Compression, Declared, EntryFacts, Limits, Packer, inspect};
use sha2::Digest;

use super::lint;
use super::{Failure, say, say_findings};

/// The extended attribute without which `ping` and others do not work.
const CAPABILITY: &str = "security.capability";

/// Whose the packed files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Whose they are in the directory.
    Kept,
    /// Root's, all of them.
    Root,
}

pub(super) fn run(dir: &Path, out: &Path, owner: Owner) -> Result<ExitCode, Failure> {
    let compression = compression(out)?;
    let root = dir
        .canonicalize()
        .map_err(|error| format!("{}: cannot be read: {error}", dir.display()))?;
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new(".")).canonicalize();
    let folder = folder.map_err(|error| format!("{}: no folder for it: {error}", out.display()))?;
    if folder.starts_with(&root) {
        return Err(format!(
            "{} lies inside {}: the image would contain itself",
            out.display(),
            dir.display()
        )
        .into());
    }
    let mut part = out.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let packed = write(&root, &part, compression, owner).inspect_err(|_| {
        fs::remove_file(&part).ok();
    })?;
    fs::rename(&part, out).map_err(|error| format!("{}: {error}", out.display()))?;
    for path in &packed.left_out {
        say(&format!("left out: /{path} is no file, directory or link"))?;
    }
    say(&format!(
        "{}: {} members, {} MiB, sha256 {}",
        out.display(),
        packed.members,
        packed.size >> 20,
        packed.sha256
    ))?;
    let declared = Declared { filetype: lint::filetype(out, None)?, arch: None };
    let inspection = inspect(File::open(out)?, &declared, &Limits::default())?;
    say_findings(&inspection)?;
    Ok(if inspection.errors().next().is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn compression(out: &Path) -> Result<Compression, Failure> {
    const ENDINGS: [(&[&str], Compression); 4] = [
        (&[".tgz", ".tar.gz"], Compression::Gzip),
        (&[".txz", ".tar.xz"], Compression::Xz),
        (&[".tbz", ".tbz2", ".tar.bz2"], Compression::Bzip2),
        (&[".tar.zst"], Compression::Zstd),
    ];
    let name = out.to_string_lossy().to_ascii_lowercase();
    let found = ENDINGS.iter().find(|(ends, _)| ends.iter().any(|end| name.ends_with(end)));
    found.map(|(_, compression)| *compression).ok_or_else(|| {
        format!(
            "{}: the ending says nothing: expected .tgz, .tar.gz, .txz, .tar.xz, .tbz, .tar.bz2 \
             or .tar.zst",
            out.display()
        )
        .into()
    })
}

/// What was packed.
#[derive(Debug, Default)]
struct Packed {
    members: u64,
    size: u64,
    sha256: String,
    left_out: Vec<String>,
}

fn write(
    root: &Path,
    part: &Path,
    compression: Compression,
    owner: Owner,
) -> Result<Packed, Failure> {
    let file = File::create(part).map_err(|error| format!("{}: {error}", part.display()))?;
    let hashing = Hashing { out: BufWriter::new(file), hasher: sha2::Sha256::new(), size: 0 };
    let mut walk = Walk {
        packer: Packer::new(hashing, compression)?,
        owner,
        links: HashMap::new(),
        packed: Packed::default(),
    };
    walk.folder(root, "")?;
    let Walk { packer, mut packed, .. } = walk;
    let Hashing { mut out, hasher, size } = packer.finish()?;
    out.flush()?;
    out.get_ref().sync_all()?;
    packed.size = size;
    packed.sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(packed)
}

struct Walk {
    packer: Packer<Hashing>,
    owner: Owner,
    /// Files with several names, by device and number: the first name.
    links: HashMap<(u64, u64), String>,
    packed: Packed,
}

impl Walk {
    /// Everything in a folder, in the order of the names; never through a symbolic link.
    fn folder(&mut self, folder: &Path, inside: &str) -> Result<(), Failure> {
        let failed = |error: io::Error| format!("{}: {error}", folder.display());
        let mut entries: Vec<fs::DirEntry> =
            fs::read_dir(folder).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| {
                format!("{}: a name that is not UTF-8 cannot be packed", path.display())
            })?;
            let inside =
                if inside.is_empty() { name.to_owned() } else { format!("{inside}/{name}") };
            self.member(&path, &inside)
                .map_err(|error| format!("{}: {}", path.display(), crate::with_causes(&*error)))?;
        }
        Ok(())
    }

    fn member(&mut self, path: &Path, inside: &str) -> Result<(), Failure> {
        let metadata = fs::symlink_metadata(path)?;
        let facts = self.facts(&metadata);
        let kind = metadata.file_type();
        if kind.is_dir() {
            self.packer.directory(inside, facts)?;
            self.packed.members += 1;
            return self.folder(path, inside);
        }
        if kind.is_symlink() {
            let target = fs::read_link(path)?;
            let target = target.to_str().ok_or("a link's target that is not UTF-8")?;
            self.packer.symlink(inside, facts, target)?;
        } else if kind.is_file() {
            let number = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&number) {
                self.packer.hard_link(inside, facts, first)?;
            } else {
                if metadata.nlink() > 1 {
                    self.links.insert(number, inside.to_owned());
                }
                let attributes: Vec<(&str, Vec<u8>)> =
                    capability(path).map(|value| (CAPABILITY, value)).into_iter().collect();
                let content = File::open(path)?;
                self.packer.file(inside, facts, metadata.len(), &attributes, content)?;
            }
        } else {
            self.packed.left_out.push(inside.to_owned());
            return Ok(());
        }
        self.packed.members += 1;
        Ok(())
    }

    fn facts(&self, metadata: &Metadata) -> EntryFacts {
        let (uid, gid) = match self.owner {
            Owner::Kept => (u64::from(metadata.uid()), u64::from(metadata.gid())),
            Owner::Root => (0, 0),
        };
        let mtime = u64::try_from(metadata.mtime()).unwrap_or(0);
        EntryFacts { mode: metadata.mode(), uid, gid, mtime }
    }
}

/// The file's capabilities; file systems without extended attributes have none.
fn capability(path: &Path) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let length = rustix::fs::lgetxattr(path, CAPABILITY, value.as_mut_slice()).ok()?;
    value.truncate(length);
    (!value.is_empty()).then_some(value)
}

/// Hashes and counts what is written through it.
struct Hashing {
    out: BufWriter<File>,
    hasher: sha2::Sha256,
    size: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
