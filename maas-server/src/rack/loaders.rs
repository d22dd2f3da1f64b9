//! Which boot loaders are there, whole and for the right machines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use maas_core::boot::{bootloader_names, check_bootloader};

use super::files::places;

/// The largest file that can be a boot loader, in bytes.
const LARGEST: u64 = 64 << 20;

/// The boot loaders of a rack, looked at once in a while.
#[derive(Debug)]
pub struct Loaders {
    images: PathBuf,
    named: Option<PathBuf>,
    /// What was found in a file, by what tells that it has changed.
    seen: BTreeMap<PathBuf, (u64, Option<SystemTime>, Verdict)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Usable,
    Unusable,
}

impl Loaders {
    /// Loaders below the image directory and in the operator's own.
    #[must_use]
    pub fn new(images: &Path, named: Option<&Path>) -> Self {
        let (images, named) = (images.to_owned(), named.map(Path::to_owned));
        Self { images, named, seen: BTreeMap::new() }
    }

    /// The names that can be advertised now. The file that would be served is the one that is
    /// looked at; one that cannot be a loader is logged once. Reads files: not for async tasks.
    pub fn usable(&mut self) -> BTreeSet<String> {
        let mut usable = BTreeSet::new();
        for (name, stored_at) in bootloader_names() {
            let places = places(&self.images, self.named.as_deref(), &stored_at);
            let served = places.into_iter().find(|path| path.is_file());
            if served.is_some_and(|path| self.verdict(name, path) == Verdict::Usable) {
                usable.insert(name.to_owned());
            }
        }
        usable
    }

    fn verdict(&mut self, name: &str, path: PathBuf) -> Verdict {
        let Ok(metadata) = path.metadata() else { return Verdict::Unusable };
        let (length, modified) = (metadata.len(), metadata.modified().ok());
        if let Some((seen_length, seen_modified, verdict)) = self.seen.get(&path)
            && (*seen_length, *seen_modified) == (length, modified)
        {
            return *verdict;
        }
        let verdict = look(name, &path, length);
        self.seen.insert(path, (length, modified, verdict));
        verdict
    }
}

fn look(name: &str, path: &Path, length: u64) -> Verdict {
    let path_shown = path.display();
    if length > LARGEST {
        tracing::warn!(path = %path_shown, length, "a boot loader is left out: it is too large");
        return Verdict::Unusable;
    }
    let content = match std::fs::read(path) {
        Ok(content) => content,
        Err(error) => {
            tracing::warn!(path = %path_shown, %error, "a boot loader cannot be read");
            return Verdict::Unusable;
        }
    };
    match check_bootloader(name, &content) {
        Ok(()) => {
            tracing::info!(name, path = %path_shown, length, "boot loader");
            Verdict::Usable
        }
        Err(error) => {
            tracing::warn!(path = %path_shown, %error, "a boot loader is left out");
            Verdict::Unusable
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_what_can_be_a_loader_is_advertised_and_a_change_is_seen() {
        let (images, named) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut loaders = Loaders::new(images.path(), Some(named.path()));
        assert_eq!(loaders.usable(), BTreeSet::new());
        std::fs::write(named.path().join("undionly.kpxe"), [7; 4096]).unwrap();
        std::fs::write(named.path().join("bootx64.efi"), [7; 4096]).unwrap();
        std::fs::create_dir_all(images.path().join("bootloaders/pxe/i386")).unwrap();
        std::fs::write(images.path().join("bootloaders/pxe/i386/lpxelinux.0"), [7; 9]).unwrap();
        assert_eq!(loaders.usable(), ["undionly.kpxe".to_owned()].into());
        std::fs::write(images.path().join("bootloaders/pxe/i386/lpxelinux.0"), [7; 900]).unwrap();
        assert_eq!(loaders.usable().len(), 2);
        std::fs::remove_file(named.path().join("undionly.kpxe")).unwrap();
        assert_eq!(loaders.usable(), ["lpxelinux.0".to_owned()].into());
    }
}
