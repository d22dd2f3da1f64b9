//! Publishing whole generations: each a tree of its own, one of them current, and a way back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{PublishError, Published, Signing, Stream};
use crate::store::sync_directory;

/// A directory of generations: `generations/<number>` holds each tree, the symbolic link `current`
/// names the one that is served.
///
/// Items that a generation shares with the one before are links to the same file.
#[derive(Clone, Debug)]
pub struct Generations {
    root: PathBuf,
}

/// Why generations cannot be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerationError {
    /// The disk.
    #[error("`{path}` cannot be accessed")]
    Io {
        /// What was accessed.
        path: PathBuf,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
    /// The tree cannot be written.
    #[error("the stream cannot be published")]
    Publish(#[source] Box<PublishError>),
    /// There is no such generation.
    #[error("there is no generation {0}")]
    Unknown(u64),
    /// There is no generation before the current one.
    #[error("there is no generation before the current one")]
    NoEarlier,
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> GenerationError {
    let path = path.to_path_buf();
    move |cause| GenerationError::Io { path, cause }
}

impl Generations {
    /// The generations below `root`; makes the directory.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, GenerationError> {
        let this = Self { root: root.into() };
        let directory = this.directory();
        fs::create_dir_all(&directory).map_err(io_error(&directory))?;
        Ok(this)
    }

    fn directory(&self) -> PathBuf {
        self.root.join("generations")
    }

    /// The tree of a generation.
    pub fn path(&self, number: u64) -> PathBuf {
        self.directory().join(number.to_string())
    }

    /// What is served: a symbolic link.
    pub fn current_path(&self) -> PathBuf {
        self.root.join("current")
    }

    /// The number of the generation that is served.
    pub fn current(&self) -> Option<u64> {
        fs::read_link(self.current_path()).ok()?.file_name()?.to_str()?.parse().ok()
    }

    /// Every generation that is whole, oldest first.
    pub fn list(&self) -> Result<Vec<u64>, GenerationError> {
        let directory = self.directory();
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&directory).map_err(io_error(&directory))? {
            let name = entry.map_err(io_error(&directory))?.file_name();
            numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Writes a stream as a new generation and makes it the current one.
    ///
    /// Until the last step readers see the generation before; a failure leaves it in place.
    pub fn publish(
        &self,
        stream: Stream,
        signing: Signing<'_>,
    ) -> Result<(u64, Published), GenerationError> {
        let number = self.list()?.last().map_or(1, |last| last + 1);
        let new = self.directory().join(format!(".{number}.new"));
        if new.exists() {
            fs::remove_dir_all(&new).map_err(io_error(&new))?;
        }
        fs::create_dir_all(&new).map_err(io_error(&new))?;
        if let Some(before) = self.current() {
            link_items(&self.path(before), &new)?;
        }
        let published = stream
            .write(&new, signing)
            .map_err(|cause| GenerationError::Publish(Box::new(cause)))?;
        drop_unnamed(&new, &published)?;
        let target = self.path(number);
        fs::rename(&new, &target).map_err(io_error(&target))?;
        let directory = self.directory();
        sync_directory(&directory).map_err(io_error(&directory))?;
        self.switch(number)?;
        Ok((number, published))
    }

    /// Makes a generation the current one, in one step.
    pub fn switch(&self, number: u64) -> Result<(), GenerationError> {
        if !self.path(number).is_dir() {
            return Err(GenerationError::Unknown(number));
        }
        let new = self.root.join(".current.new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(&new)(error));
            }
            _ => {}
        }
        let to = Path::new("generations").join(number.to_string());
        symlink(&to, &new).map_err(io_error(&new))?;
        let current = self.current_path();
        fs::rename(&new, &current).map_err(io_error(&current))?;
        sync_directory(&self.root).map_err(io_error(&self.root))
    }

    /// Goes back to the generation before the current one; answers with its number.
    pub fn roll_back(&self) -> Result<u64, GenerationError> {
        let current = self.current().ok_or(GenerationError::NoEarlier)?;
        let numbers = self.list()?;
        let earlier = numbers.into_iter().rev().find(|number| *number < current);
        let earlier = earlier.ok_or(GenerationError::NoEarlier)?;
        self.switch(earlier)?;
        Ok(earlier)
    }

    /// Removes all but the newest `count` generations and the current one; answers with the
    /// numbers of those removed.
    pub fn prune(&self, count: usize) -> Result<Vec<u64>, GenerationError> {
        let current = self.current();
        let numbers = self.list()?;
        let surplus = numbers.len().saturating_sub(count);
        let mut removed = Vec::new();
        for number in numbers.into_iter().take(surplus) {
            if Some(number) == current {
                continue;
            }
            let path = self.path(number);
            fs::remove_dir_all(&path).map_err(io_error(&path))?;
            removed.push(number);
        }
        Ok(removed)
    }
}

#[cfg(unix)]
fn symlink(to: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Links every item of one tree into another; metadata stays behind.
fn link_items(from: &Path, to: &Path) -> Result<(), GenerationError> {
    for (name, path) in files(from)? {
        if name.starts_with("streams/v1") {
            continue;
        }
        let target = to.join(&name);
        let directory = target.parent().unwrap_or(to);
        fs::create_dir_all(directory).map_err(io_error(directory))?;
        fs::hard_link(&path, &target).map_err(io_error(&target))?;
    }
    Ok(())
}

/// Removes what came from the generation before and is no longer named.
fn drop_unnamed(root: &Path, published: &Published) -> Result<(), GenerationError> {
    let items = published.products.iter().flat_map(crate::products::Products::items);
    let named: std::collections::HashSet<PathBuf> =
        items.filter_map(|item| Some(PathBuf::from(item.file().ok()?.path.as_str()))).collect();
    for (name, path) in files(root)? {
        if !name.starts_with("streams/v1") && !named.contains(&name) {
            fs::remove_file(&path).map_err(io_error(&path))?;
            for directory in path.ancestors().skip(1).take_while(|directory| *directory != root) {
                if fs::remove_dir(directory).is_err() {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Every file below a directory: its relative name and its path.
fn files(root: &Path) -> Result<Vec<(PathBuf, PathBuf)>, GenerationError> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).map_err(io_error(&directory))? {
            let entry = entry.map_err(io_error(&directory))?;
            let path = entry.path();
            if entry.file_type().map_err(io_error(&path))?.is_dir() {
                directories.push(path);
            } else if let Ok(name) = path.strip_prefix(root) {
                found.push((name.to_path_buf(), path));
            }
        }
    }
    Ok(found)
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::date::Timestamp;
    use crate::publish::{Content, NewItem, NewProduct, NewVersion};

    fn stream(versions: &[&str]) -> Stream {
        let mut product = NewProduct::new("p");
        for version in versions {
            let item = NewItem::from_bytes(format!("d/{version}/f"), version.as_bytes().to_vec());
            product = product.version(NewVersion::new(*version).item("i", item));
        }
        let content = Content::new("c", "image-ids").product(product);
        Stream::new(Timestamp::from_seconds(1_780_000_000)).content(content)
    }

    fn publish(generations: &Generations, versions: &[&str]) -> u64 {
        generations.publish(stream(versions), Signing::Unsigned).unwrap().0
    }

    #[test]
    fn generations_follow_each_other_share_files_and_can_be_taken_back() {
        let root = tempfile::tempdir().unwrap();
        let generations = Generations::open(root.path()).unwrap();
        assert_eq!(publish(&generations, &["1", "2"]), 1);
        assert_eq!(publish(&generations, &["2", "3"]), 2);
        let current = generations.current_path();
        assert!(current.join("d/3/f").is_file() && !current.join("d/1").exists());
        let inode =
            |number: u64| fs::metadata(generations.path(number).join("d/2/f")).unwrap().ino();
        assert_eq!(inode(1), inode(2));
        assert_eq!(generations.roll_back().unwrap(), 1);
        assert!(current.join("d/1/f").is_file() && !current.join("d/3").exists());
        assert!(matches!(generations.roll_back(), Err(GenerationError::NoEarlier)));
        assert!(matches!(generations.switch(9), Err(GenerationError::Unknown(9))));
        assert_eq!(publish(&generations, &["4"]), 3);
        assert_eq!(generations.prune(1).unwrap(), [1, 2]);
        assert_eq!((generations.list().unwrap(), generations.current()), (vec![3], Some(3)));
    }

    #[test]
    fn a_failure_leaves_the_current_generation_in_place() {
        let root = tempfile::tempdir().unwrap();
        let generations = Generations::open(root.path()).unwrap();
        publish(&generations, &["1"]);
        let broken = Stream::new(Timestamp::from_seconds(0)).content(Content::new("../c", "x"));
        assert!(generations.publish(broken, Signing::Unsigned).is_err());
        assert_eq!((generations.current(), generations.list().unwrap()), (Some(1), vec![1]));
        assert_eq!(publish(&generations, &["1"]), 2);
    }
}
