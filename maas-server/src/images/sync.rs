//! Synchronisation: from boot sources over selections to resources that machines can be given.

mod catalogue;
mod error;
mod place;

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use maas_simplestreams::fetch::{FetchOptions, Fetched, fetch_all};
use maas_simplestreams::report::Reporter;
use maas_simplestreams::select::{Selection as Wish, Versions, choose};
use tokio_util::sync::CancellationToken;

pub use self::error::{KeyringProblem, SyncError};
use self::place::Ranks;
use super::documents::{BootSource, Selection};
use super::garbage;
use crate::region::Region;
use crate::store::Stored;

/// What a synchronisation brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Images that machines can be given.
    pub images: usize,
    /// Boot loaders that are in place.
    pub bootloaders: usize,
    /// Files that the images have.
    pub files: usize,
    /// Bytes that were transferred.
    pub transferred: u64,
    /// Bytes that were there already.
    pub present: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = |bytes: u64| bytes >> 20;
        write!(
            formatter,
            "{} images and {} boot loaders in {} files; {} MiB fetched",
            self.images,
            self.bootloaders,
            self.files,
            mebibytes(self.transferred),
        )?;
        if self.present > 0 {
            write!(formatter, ", {} MiB were there", mebibytes(self.present))?;
        }
        Ok(())
    }
}

/// Runs imports when they are asked for and, if so configured, at the start and from time to
/// time.
pub async fn run(region: Arc<Region>, stop: CancellationToken) {
    let mut requests = region.images.import_requests();
    let mut pause = region.config.sync_interval.map_or(Duration::MAX, |_| Duration::ZERO);
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            Ok(()) = requests.changed() => true,
            () = tokio::time::sleep(pause) => false,
        };
        pause = region.config.sync_interval.unwrap_or(Duration::MAX);
        if !asked && !region.settings().flag("boot_images_auto_import") {
            continue;
        }
        let imported = tokio::select! {
            // What arrived stays for the next import.
            () = stop.cancelled() => return,
            () = region.images.import_stopped.notified() => {
                tracing::info!("import of images stopped on request");
                continue;
            }
            imported = synchronise(&region, &()) => imported,
        };
        match imported {
            Ok(summary) => tracing::info!(%summary, "images synchronised"),
            // An operator who has no source meant it.
            Err(error @ SyncError::NoSource) => tracing::info!("images not synchronised: {error}"),
            Err(error) => {
                tracing::error!(error = %crate::with_causes(&error), "images not synchronised");
            }
        }
    }
}

/// Synchronises every enabled boot source, the one with the highest priority first.
///
/// One source that fails does not stop the others; the first failure is returned in the end.
///
/// # Errors
///
/// [`SyncError`]; images that were complete before stay so.
pub async fn synchronise(region: &Region, reporter: &dyn Reporter) -> Result<Summary, SyncError> {
    let _guard = region.images.begin_import().ok_or(SyncError::Busy)?;
    let store = &*region.store;
    let mut sources = store.list::<BootSource>().await?;
    sources.retain(|source| source.value.enabled);
    sources.sort_by_key(|source| std::cmp::Reverse(source.value.priority));
    if sources.is_empty() {
        return Err(SyncError::NoSource);
    }
    // First, so that what nobody wants from one source makes room for another one's.
    garbage::forget_unselected(region).await?;
    let selections = store.list::<Selection>().await?;
    let mut pass = Pass {
        region,
        selections: &selections,
        ranks: Ranks::of(&sources),
        reporter,
        summary: Summary::default(),
        arrived: BTreeSet::new(),
    };
    let mut failure = None;
    for source in &sources {
        if let Err(error) = pass.synchronise(source).await {
            tracing::warn!(error = %crate::with_causes(&error), "boot source failed");
            failure = failure.or(Some(error));
        }
    }
    region.images.reload(store).await?;
    garbage::collect(region, &pass.arrived).await?;
    failure.map_or(Ok(pass.summary), Err)
}

/// One synchronisation of all boot sources.
struct Pass<'a> {
    region: &'a Region,
    selections: &'a [Stored<Selection>],
    ranks: Ranks,
    reporter: &'a dyn Reporter,
    summary: Summary,
    /// What was fetched or found, also for images that did not become complete: the next
    /// synchronisation goes on from there.
    arrived: BTreeSet<String>,
}

impl Pass<'_> {
    async fn synchronise(&mut self, source: &Stored<BootSource>) -> Result<(), SyncError> {
        let region = self.region;
        let (catalogue, source_url, transport) =
            catalogue::catalogue(&*region.store, &source.value).await?;
        let wishes: Vec<Wish> = self
            .selections
            .iter()
            .filter(|selection| selection.value.boot_source_id == source.id)
            .map(|selection| Wish::from(&selection.value))
            .collect();
        let mut chosen = choose(&catalogue, &wishes, Versions::Newest(NonZeroUsize::MIN));
        place::leave_out_outranked(region, source, &self.ranks, &mut chosen).await?;
        let files = chosen.files();
        let options = FetchOptions::default();
        let blobs = region.images.blobs();
        let fetched =
            fetch_all(&*transport, blobs, &source_url, &files, &options, self.reporter).await;
        let mut missing = BTreeSet::new();
        let mut first = None;
        for (file, fetched) in files.iter().zip(fetched) {
            match fetched {
                Ok(how) => {
                    self.arrived.insert(file.sha256.to_string());
                    self.count(how, file.size);
                }
                Err(error) => {
                    missing.insert(file.sha256);
                    first = first.or(Some(crate::with_causes(&error)));
                }
            }
        }
        self.summary.bootloaders += place::bootloaders(region, source, &chosen, &missing).await?;
        self.summary.images += place::images(region, source, &chosen, &missing).await?;
        match first {
            Some(first) => Err(SyncError::Files {
                url: source.value.url.clone(),
                failed: missing.len(),
                files: files.len(),
                first,
            }),
            None => Ok(()),
        }
    }

    fn count(&mut self, fetched: Fetched, size: u64) {
        self.summary.files += 1;
        if fetched == Fetched::AlreadyPresent {
            self.summary.present += size;
        } else {
            self.summary.transferred += size;
            self.region.metrics.synchronised_bytes.inc_by(size);
        }
    }
}

#[cfg(test)]
mod tests;
