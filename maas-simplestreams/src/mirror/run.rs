//! Carrying out a plan.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;
use url::Url;

use super::plan::Plan;
use super::state::{Held, Inventory, Metadata, State};
use super::{MirrorError, MirrorOptions, STATE_DIRECTORY};
use crate::date::Timestamp;
use crate::digest::Sha256;
use crate::document::Problem;
use crate::fetch::{FetchError, Fetched, Transfers, fetch_among, fetch_proved};
use crate::path::SafePath;
use crate::publish::write_file;
use crate::report::{Event, Reporter};
use crate::repository::{CachedDocument, Repository, Source};
use crate::select::Wanted;
use crate::store::{BlobStore, Missing, Staged, sync_directory};
use crate::transport::{SourceUrl, Transport};
use crate::trust::Alarm;

/// Most items that are named as left out.
const PROBLEMS: usize = 1000;

/// A mirror in a local directory, locked for one writer.
#[derive(Debug)]
pub struct Mirror {
    pub(super) root: PathBuf,
    pub(super) store: BlobStore,
    pub(super) state: State,
    _lock: File,
}

/// What a sync did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// Versions that came in.
    pub added: usize,
    /// Versions that went; their files stay for the grace period.
    pub removed: usize,
    /// Bytes that came over the network for items.
    pub bytes: u64,
    /// Metadata documents that were published because they had changed.
    pub published: usize,
    /// Files that were deleted because their grace period was over.
    pub deleted: usize,
    /// Items that were left out because nothing proves their content.
    pub skipped: usize,
    /// Which items were left out and why, at most a thousand of them.
    pub problems: Vec<Problem>,
    /// What an operator should know.
    pub alarms: Vec<Alarm>,
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> MirrorError {
    let path = path.to_path_buf();
    move |cause| MirrorError::Io { path, cause }
}

impl Mirror {
    /// Opens a mirror and locks it; makes the directory when it is not there.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self, MirrorError> {
        let root = root.into();
        let state_directory = root.join(STATE_DIRECTORY);
        fs::create_dir_all(&state_directory).map_err(io_error(&state_directory))?;
        let lock_path = state_directory.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(io_error(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(MirrorError::Locked { root }),
            Err(TryLockError::Error(error)) => return Err(io_error(&lock_path)(error)),
        }
        let store = BlobStore::open(&state_directory).await?;
        let state = State::load(&root)?;
        Ok(Self { root, store, state, _lock: lock })
    }

    /// Where the mirror is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the mirror holds.
    pub fn inventory(&self) -> &Inventory {
        &self.state.inventory
    }

    /// Works out what a sync would do, and changes nothing.
    pub async fn plan(
        &self,
        source: Source,
        transport: Arc<dyn Transport>,
        options: &MirrorOptions,
        now: Timestamp,
    ) -> Result<Plan, MirrorError> {
        let mut repository =
            open_repository(&self.root, &self.state, source, transport, now).await?;
        Plan::make(&mut repository, &self.state, options).await
    }

    /// Like [`Self::plan`] for a directory that is not opened and need not be there: nothing is
    /// made or locked in it.
    pub async fn plan_for(
        root: &Path,
        source: Source,
        transport: Arc<dyn Transport>,
        options: &MirrorOptions,
        now: Timestamp,
    ) -> Result<Plan, MirrorError> {
        let state = State::load(root)?;
        let mut repository = open_repository(root, &state, source, transport, now).await?;
        Plan::make(&mut repository, &state, options).await
    }

    /// Brings the mirror up to date.
    ///
    /// Cancellation-safe, and safe against being killed: the tree that is served stays whole, and
    /// the next sync goes on where this one stopped.
    pub async fn sync(
        &mut self,
        source: Source,
        transport: Arc<dyn Transport>,
        options: &MirrorOptions,
        reporter: &dyn Reporter,
        now: Timestamp,
    ) -> Result<Outcome, MirrorError> {
        let url = source.url().clone();
        let mut repository =
            open_repository(&self.root, &self.state, source, Arc::clone(&transport), now).await?;
        let mut plan = Plan::make(&mut repository, &self.state, options).await?;
        let mut outcome = Outcome {
            added: plan.added.len(),
            removed: plan.removed.len(),
            skipped: plan.skipped.len(),
            problems: plan.skipped.iter().take(PROBLEMS).cloned().collect(),
            alarms: repository.alarms().to_vec(),
            ..Outcome::default()
        };
        let before = self.state.clone();
        let missing = self.check_space(&plan, options).await?;
        let files = plan.wanted.len();
        reporter.report(Event::Planned { files, bytes: plan.bytes(), missing: missing.bytes });
        let staged = Staged::for_absent(missing.absent);
        let (bytes, names) =
            self.fetch(&plan, &*transport, (&url, &staged), options, reporter).await?;
        outcome.bytes = bytes;
        for (stand_in, sha256) in &names {
            if let Some(sha512) = plan.proofs.get(stand_in) {
                self.state.named.insert(*sha512, *sha256);
            }
        }
        plan.rename(&names);
        self.link(&plan)?;
        self.remember(&plan, now);
        if self.state != before {
            self.state.save(&self.root)?;
        }
        let saved = self.state.clone();
        outcome.published = self.publish(&plan)?;
        self.state.memory = repository.into_memory();
        outcome.deleted = self.delete_doomed(options, now)?;
        if self.state != saved {
            self.state.save(&self.root)?;
        }
        if self.state.inventory != before.inventory || outcome.deleted > 0 {
            self.collect_garbage().await?;
        }
        Ok(outcome)
    }

    /// What is to come; refuses when the disk has no room for them.
    async fn check_space(
        &self,
        plan: &Plan,
        options: &MirrorOptions,
    ) -> Result<Missing, MirrorError> {
        // The mirror is locked: nobody else stages blobs in its store.
        self.store.take_up_staged().await?;
        let wanted = plan.wanted.iter().map(|file| (file.sha256, file.size)).collect();
        let missing = self.store.missing(wanted).await?;
        if missing.bytes == 0 {
            return Ok(missing);
        }
        let needed = missing.bytes.saturating_add(options.space_margin);
        match available_bytes(&self.root) {
            Some(available) if available < needed => {
                Err(MirrorError::NoSpace { needed, available })
            }
            _ => Ok(missing),
        }
    }

    async fn fetch(
        &self,
        plan: &Plan,
        transport: &dyn Transport,
        (source, staged): (&SourceUrl, &Staged),
        options: &MirrorOptions,
        reporter: &dyn Reporter,
    ) -> Result<(u64, BTreeMap<Sha256, Sha256>), MirrorError> {
        let among = (&Transfers::new(options.fetch.jobs.get()), Some(staged));
        // The largest first: they take longest, and the small ones fill the gaps at the end.
        let mut wanted: Vec<&Wanted> = plan.wanted.iter().collect();
        wanted.sort_by_key(|file| std::cmp::Reverse(file.size));
        let fetches = wanted.into_iter().map(|file| async move {
            let roots = std::iter::once(source).chain(&options.alternatives);
            let urls: Vec<Url> =
                roots.flat_map(|root| file.paths.iter().map(|path| root.join(path))).collect();
            let (store, how) = (&self.store, &options.fetch);
            let answer = if let Some(proof) = plan.proofs.get(&file.sha256) {
                let blob = (file.sha256, *proof, file.size);
                fetch_proved(transport, store, blob, &urls, how, among, reporter).await
            } else {
                let blob = (file.sha256, file.size);
                fetch_among(transport, store, blob, &urls, how, among, reporter)
                    .await
                    .map(|fetched| (fetched, file.sha256))
            };
            (file, answer)
        });
        let mut answers =
            futures_util::stream::iter(fetches).buffer_unordered(options.fetch.jobs.get());
        let mut bytes = 0;
        let mut names = BTreeMap::new();
        let mut failed: Vec<(SafePath, FetchError)> = Vec::new();
        while let Some((file, answer)) = answers.next().await {
            match answer {
                Ok((fetched, name)) => {
                    if let Fetched::Transferred { bytes: came } = fetched {
                        bytes += came;
                    }
                    if name != file.sha256 {
                        names.insert(file.sha256, name);
                    }
                }
                Err(error) => failed.extend(file.paths.first().map(|path| (path.clone(), error))),
            }
        }
        drop(answers);
        // Also when others failed: nothing is fetched twice.
        staged.keep(&self.store).await?;
        if failed.is_empty() { Ok((bytes, names)) } else { Err(MirrorError::Incomplete { failed }) }
    }

    /// Gives content its paths.
    fn link(&self, plan: &Plan) -> Result<(), MirrorError> {
        let mut directories: HashSet<PathBuf> = HashSet::new();
        for file in &plan.wanted {
            for path in &file.paths {
                let target = path.below(&self.root);
                let directory = target.parent().unwrap_or(&self.root);
                if !directories.contains(directory) {
                    fs::create_dir_all(directory).map_err(io_error(directory))?;
                    directories.insert(directory.to_owned());
                }
                self.link_one(&file.sha256, &target)?;
            }
        }
        for directory in directories {
            sync_directory(&directory).map_err(io_error(&directory))?;
        }
        Ok(())
    }

    /// Gives content one path.
    #[cfg(feature = "archive")]
    pub(super) fn link_path(&self, sha256: &Sha256, path: &SafePath) -> Result<(), MirrorError> {
        let target = path.below(&self.root);
        let directory = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(directory).map_err(io_error(directory))?;
        self.link_one(sha256, &target)?;
        sync_directory(directory).map_err(io_error(directory))
    }

    fn link_one(&self, sha256: &Sha256, target: &Path) -> Result<(), MirrorError> {
        let blob = self.store.path(sha256);
        if fs::hard_link(&blob, target).is_ok() {
            return Ok(());
        }
        // Something is there, and is replaced in one step; or the file system has no links.
        let new = self.root.join(STATE_DIRECTORY).join("link");
        remove_if_there(&new)?;
        match fs::hard_link(&blob, &new) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(MirrorError::Missing { sha256: *sha256 });
            }
            // File systems without links, or a file with too many of them.
            Err(_) => {
                fs::copy(&blob, &new).map_err(io_error(&new))?;
                File::open(&new).and_then(|file| file.sync_all()).map_err(io_error(&new))?;
            }
        }
        fs::rename(&new, target).map_err(io_error(target))?;
        // Renaming one link over another of the same file leaves both.
        remove_if_there(&new)
    }

    /// Takes the plan into the state: new items are held, old ones doomed.
    fn remember(&mut self, plan: &Plan, now: Timestamp) {
        let before = self.state.inventory.paths();
        let after = plan.inventory.paths();
        let mut doomed = self.state.doomed.clone();
        for path in before.keys().filter(|path| !after.contains_key(*path)) {
            doomed.entry((*path).clone()).or_insert(now);
        }
        for path in after.keys() {
            doomed.remove(*path);
        }
        let published: BTreeSet<&SafePath> = plan.documents.iter().map(|doc| &doc.path).collect();
        for path in self.state.metadata.keys().filter(|path| !published.contains(path)) {
            doomed.entry(path.clone()).or_insert(now);
        }
        for path in published {
            doomed.remove(path);
        }
        for document in &plan.documents {
            let metadata = self.state.metadata.entry(document.path.clone()).or_default();
            let digest = Some(Sha256::of(&document.raw));
            if metadata.sha256 != digest {
                metadata.incoming = digest;
            }
        }
        self.state.doomed = doomed;
        self.state.inventory = plan.inventory.clone();
    }

    /// Writes metadata that has changed: products files first, the index last.
    fn publish(&mut self, plan: &Plan) -> Result<usize, MirrorError> {
        let mut changed = 0;
        for document in &plan.documents {
            if let Some(signature) = &document.detached_signature {
                let path = format!("{}.gpg", document.path);
                if let Ok(path) = SafePath::new(path) {
                    write_if_changed(&path.below(&self.root), signature)?;
                }
            }
            changed +=
                usize::from(write_if_changed(&document.path.below(&self.root), &document.raw)?);
            let signature = document.detached_signature.as_deref();
            let metadata = Metadata::published(&document.raw, signature, document.etag.clone());
            self.state.metadata.insert(document.path.clone(), metadata);
        }
        Ok(changed)
    }

    /// Deletes files whose grace period is over.
    fn delete_doomed(
        &mut self,
        options: &MirrorOptions,
        now: Timestamp,
    ) -> Result<usize, MirrorError> {
        let due: Vec<SafePath> = self
            .state
            .doomed
            .iter()
            .filter(|(_, since)| now >= since.plus(options.grace))
            .map(|(path, _)| path.clone())
            .collect();
        for path in &due {
            let target = path.below(&self.root);
            remove_if_there(&target)?;
            if self.state.metadata.remove(path).is_some()
                && let Ok(signature) = path.with_suffix(".gpg")
            {
                remove_if_there(&signature.below(&self.root))?;
            }
            self.remove_empty_directories(&target);
            self.state.doomed.remove(path);
        }
        Ok(due.len())
    }

    fn remove_empty_directories(&self, target: &Path) {
        let above = target.ancestors().skip(1);
        for directory in above.take_while(|directory| *directory != self.root) {
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
    }

    /// Removes content that neither a document nor a doomed path needs.
    pub(super) async fn collect_garbage(&self) -> Result<(), MirrorError> {
        let needed: BTreeSet<Sha256> =
            self.state.inventory.files().map(|held| held.sha256).collect();
        for sha256 in self.store.names().await? {
            if !needed.contains(&sha256) {
                self.store.remove(&sha256).await?;
            }
        }
        Ok(())
    }

    /// Fetches again what a [check](Self::check) finds damaged.
    pub async fn repair(
        &mut self,
        source: Source,
        transport: Arc<dyn Transport>,
        options: &MirrorOptions,
        reporter: &dyn Reporter,
        now: Timestamp,
    ) -> Result<Outcome, MirrorError> {
        let mut paths = BTreeSet::new();
        for damage in self.check(super::Depth::Contents).await? {
            if let Some(sha256) = damage.sha256
                && self.store.check(&sha256).await? == Some(false)
            {
                self.store.remove(&sha256).await?;
            }
            if self.state.metadata.contains_key(&damage.path) {
                self.state.metadata.insert(damage.path.clone(), Metadata::default());
            }
            paths.insert(damage.path);
        }
        // Other paths of the same content are links to the same damaged file.
        let damaged: BTreeSet<Sha256> = self
            .state
            .inventory
            .files()
            .filter(|held| paths.contains(&held.path))
            .map(|held| held.sha256)
            .collect();
        let all = self.state.inventory.files().filter(|held| damaged.contains(&held.sha256));
        paths.extend(all.map(|held: &Held| held.path.clone()));
        self.state.inventory.forget(&paths);
        self.sync(source, transport, options, reporter, now).await
    }
}

/// Opens the source with what a mirror remembers of it: unchanged documents are not sent again.
async fn open_repository(
    root: &Path,
    state: &State,
    source: Source,
    transport: Arc<dyn Transport>,
    now: Timestamp,
) -> Result<Repository, MirrorError> {
    let mut cache = BTreeMap::new();
    for (path, metadata) in &state.metadata {
        let Some(etag) = metadata.etag.clone() else { continue };
        // What was changed behind our back is fetched anew.
        if let Ok(raw) = fs::read(path.below(root))
            && metadata.sha256 == Some(Sha256::of(&raw))
        {
            cache.insert(path.clone(), CachedDocument { etag, raw: raw.into() });
        }
    }
    Ok(Repository::open(source.cached(cache), transport, state.memory.clone(), now).await?)
}

fn remove_if_there(path: &Path) -> Result<(), MirrorError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path)(error)),
        _ => Ok(()),
    }
}

/// Replaces a file when its content differs; whether it did.
fn write_if_changed(target: &Path, content: &[u8]) -> Result<bool, MirrorError> {
    let same_length = fs::metadata(target).is_ok_and(|facts| facts.len() == content.len() as u64);
    if same_length && fs::read(target).is_ok_and(|there| there == content) {
        return Ok(false);
    }
    write_file(target, content)?;
    Ok(true)
}

/// Bytes that are free for us on the file system of a directory.
#[cfg(unix)]
fn available_bytes(path: &Path) -> Option<u64> {
    let facts = rustix::fs::statvfs(path).ok()?;
    Some(facts.f_bavail.saturating_mul(facts.f_frsize))
}

#[cfg(not(unix))]
fn available_bytes(_: &Path) -> Option<u64> {
    None
}
