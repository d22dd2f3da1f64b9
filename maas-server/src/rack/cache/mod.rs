//! The rack's own copies of image files, by their SHA-256.
//!
//! However many machines ask for a file that is not here yet, it is fetched once, and all of them
//! read it as it grows. What is stored under a final name was verified and synced before, so a
//! rack that is killed at any moment has whole files or none. A client sees a file's last byte
//! only after its hash was found right: until then a bad or broken transfer ends as a connection
//! that was cut.

mod fill;
mod index;
mod open;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::HeaderMap;

use self::fill::Fill;
use self::index::Index;
use self::open::OpenFiles;
use crate::http::{BoxError, FileContent, FileError, Reach, Reply, growing_reply};

/// The pause before a broken transfer is taken up for the first time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Where the cache gets what it has not.
pub trait Upstream: fmt::Debug + Send + Sync {
    /// The bytes of the file at `path`, from `from` on.
    fn fetch<'a>(&'a self, path: &'a str, from: u64) -> BoxFuture<'a, Fetched>;
}

/// The beginning of a transfer.
pub type Fetched = Result<BoxStream<'static, Result<Bytes, BoxError>>, BoxError>;

/// A file that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its SHA-256, 64 lower-case hex digits.
    pub sha256: String,
    /// Its length in bytes.
    pub size: u64,
    /// Where the upstream has it.
    pub path: String,
}

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The disk.
    #[error("{path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The file in the cache.
    #[error(transparent)]
    File(#[from] FileError),
    /// A hash that is none.
    #[error("{0:?} is no SHA-256")]
    NotAHash(String),
    /// The upstream does not have it, breaks off or sends something else.
    #[error("{sha256} could not be fetched")]
    Upstream {
        /// The file.
        sha256: String,
    },
}

/// The cache.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    upstream: Arc<dyn Upstream>,
    first_pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    index: Index,
    open: OpenFiles,
    filling: HashMap<String, Arc<Fill>>,
}

/// A file as it stands.
#[derive(Debug, Clone)]
pub enum Entry {
    /// All of it is here.
    Whole(FileContent),
    /// It is being fetched.
    Growing(Growing),
}

/// A file that is being fetched.
#[derive(Debug, Clone)]
pub struct Growing {
    fill: Arc<Fill>,
    sha256: String,
}

impl Entry {
    /// The answer to a request with these headers; bytes go out as they come in.
    #[must_use]
    pub fn reply(self, request: &HeaderMap) -> Reply {
        match self {
            Self::Whole(content) => content.reply(request),
            Self::Growing(Growing { fill, sha256 }) => {
                growing_reply(request, Arc::clone(&fill.file), fill.size, &sha256, fill.growth())
            }
        }
    }
}

impl Cache {
    /// Opens the cache in `dir`, which is made; half-fetched files of a run before are removed.
    /// `limit` is in bytes.
    ///
    /// # Errors
    ///
    /// [`CacheError::Io`].
    pub fn open(dir: &Path, limit: u64, upstream: Arc<dyn Upstream>) -> Result<Self, CacheError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| CacheError::Io { path, source }
        };
        let cache = Self {
            dir: dir.to_owned(),
            upstream,
            first_pause: FIRST_PAUSE,
            state: Mutex::new(State {
                index: Index::new(limit),
                open: OpenFiles::default(),
                filling: HashMap::new(),
            }),
        };
        for folder in [cache.whole_dir(), cache.part_dir()] {
            std::fs::create_dir_all(&folder).map_err(io(&folder))?;
        }
        for entry in std::fs::read_dir(cache.part_dir()).map_err(io(&cache.part_dir()))? {
            let path = entry.map_err(io(&cache.part_dir()))?.path();
            std::fs::remove_file(&path).map_err(io(&path))?;
        }
        // The order in which they were used last.
        let mut found: Vec<(SystemTime, String, u64)> = Vec::new();
        for entry in std::fs::read_dir(cache.whole_dir()).map_err(io(&cache.whole_dir()))? {
            let entry = entry.map_err(io(&cache.whole_dir()))?;
            let metadata = entry.metadata().map_err(io(&entry.path()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_sha256(&name) && metadata.is_file() {
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((used, name, metadata.len()));
            }
        }
        found.sort();
        let evicted: Vec<String> = {
            let mut state = cache.state();
            let added = found.into_iter().flat_map(|(_, name, size)| state.index.add(name, size));
            added.collect()
        };
        cache.remove(&evicted);
        Ok(cache)
    }

    /// With another pause before a broken transfer is taken up for the first time; it doubles.
    #[must_use]
    pub fn with_first_pause(mut self, pause: Duration) -> Self {
        self.first_pause = pause;
        self
    }

    /// Files that are kept as long as anything else can go.
    pub fn pin(&self, files: BTreeSet<String>) {
        self.state().index.pin(files);
    }

    /// Bytes of all whole files.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.state().index.total()
    }

    /// The file, whole or growing; a file that is not here is fetched from now on, whoever waits
    /// for it or not.
    ///
    /// # Errors
    ///
    /// [`CacheError`].
    pub async fn find(self: &Arc<Self>, wanted: &Wanted) -> Result<Entry, CacheError> {
        if !is_sha256(&wanted.sha256) {
            return Err(CacheError::NotAHash(wanted.sha256.chars().take(80).collect()));
        }
        {
            let mut state = self.state();
            if !state.index.touch(&wanted.sha256) {
                return self.join(&mut state, wanted);
            }
            if let Some(content) = state.open.find(&wanted.sha256)
                && content.length() == wanted.size
            {
                return Ok(Entry::Whole(content));
            }
        }
        let opened = FileContent::open(&self.whole_path(&wanted.sha256), Some(wanted.size)).await;
        let mut state = self.state();
        match opened {
            Ok(content) => {
                let content = content.digest(&wanted.sha256);
                if state.index.has(&wanted.sha256) {
                    state.open.hold(&wanted.sha256, content.clone());
                }
                Ok(Entry::Whole(content))
            }
            // Somebody took it away or the disk lost some of it: it is fetched again.
            Err(error) => {
                tracing::warn!(%error, "a cached file is fetched again");
                state.index.remove(&wanted.sha256);
                self.join(&mut state, wanted)
            }
        }
    }

    /// The transfer of a file that is under way, or a new one.
    fn join(self: &Arc<Self>, state: &mut State, wanted: &Wanted) -> Result<Entry, CacheError> {
        if let Some(fill) = state.filling.get(&wanted.sha256) {
            return Ok(growing(fill, wanted));
        }
        let part = self.part_dir().join(&wanted.sha256);
        let fill = Fill::create(&part, wanted.size)
            .map_err(|source| CacheError::Io { path: part.clone(), source })?;
        let fill = Arc::new(fill);
        state.filling.insert(wanted.sha256.clone(), Arc::clone(&fill));
        let entry = growing(&fill, wanted);
        tokio::spawn(Arc::clone(self).fill(wanted.clone(), fill, part));
        Ok(entry)
    }

    /// The file when all of it is here.
    ///
    /// # Errors
    ///
    /// [`CacheError`].
    pub async fn whole(self: &Arc<Self>, wanted: &Wanted) -> Result<FileContent, CacheError> {
        let entry = self.find(wanted).await?;
        self.settled(entry).await
    }

    /// The file of an entry when all of it is here.
    ///
    /// # Errors
    ///
    /// [`CacheError`].
    pub async fn settled(&self, entry: Entry) -> Result<FileContent, CacheError> {
        let growing = match entry {
            Entry::Whole(content) => return Ok(content),
            Entry::Growing(growing) => growing,
        };
        match growing.fill.settled().await {
            Reach::Whole => Ok(growing.fill.content().await?.digest(&growing.sha256)),
            _ => Err(CacheError::Upstream { sha256: growing.sha256 }),
        }
    }

    /// Whether all of a file is here.
    #[must_use]
    pub fn has(&self, sha256: &str) -> bool {
        self.state().index.has(sha256)
    }

    async fn fill(self: Arc<Self>, wanted: Wanted, fill: Arc<Fill>, part: PathBuf) {
        let fetched = fill.fetch(&*self.upstream, &wanted, self.first_pause).await;
        let kept = match fetched {
            Ok(()) => self.keep(&wanted, &part).await,
            Err(error) => Err(error),
        };
        let end = match kept {
            Ok(()) => Reach::Whole,
            Err(error) => {
                tracing::error!(
                    sha256 = wanted.sha256,
                    error = crate::with_causes(&*error),
                    "a file could not be fetched"
                );
                if let Err(error) = std::fs::remove_file(&part) {
                    tracing::debug!(%error, "no half-fetched file to remove");
                }
                Reach::Broken
            }
        };
        self.state().filling.remove(&wanted.sha256);
        fill.settle(end);
    }

    /// Gives a verified file its name, for good.
    async fn keep(&self, wanted: &Wanted, part: &Path) -> Result<(), BoxError> {
        let (part, folder) = (part.to_owned(), self.whole_dir());
        let path = self.whole_path(&wanted.sha256);
        let kept = tokio::task::spawn_blocking(move || -> io::Result<()> {
            std::fs::File::open(&part)?.sync_all()?;
            std::fs::rename(&part, &path)?;
            std::fs::File::open(folder)?.sync_all()
        });
        kept.await??;
        let evicted = self.state().index.add(wanted.sha256.clone(), wanted.size);
        self.remove(&evicted);
        Ok(())
    }

    /// Removes evicted files; who reads one reads on.
    fn remove(&self, evicted: &[String]) {
        for sha256 in evicted {
            tracing::info!(sha256, "evicted from the cache");
            self.state().open.close(sha256);
            if let Err(error) = std::fs::remove_file(self.whole_path(sha256)) {
                tracing::warn!(sha256, %error, "an evicted file cannot be removed");
            }
        }
    }

    fn whole_dir(&self) -> PathBuf {
        self.dir.join("sha256")
    }

    fn whole_path(&self, sha256: &str) -> PathBuf {
        self.whole_dir().join(sha256)
    }

    fn part_dir(&self) -> PathBuf {
        self.dir.join("part")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn growing(fill: &Arc<Fill>, wanted: &Wanted) -> Entry {
    Entry::Growing(Growing { fill: Arc::clone(fill), sha256: wanted.sha256.clone() })
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
