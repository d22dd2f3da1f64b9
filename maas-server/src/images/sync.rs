//! Synchronisation: from boot sources over selections to resources that machines can be given.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use maas_core::image::{BootResource, FileType, ImageFile, Origin};
use maas_core::machine::Status;
use maas_simplestreams::boot::{BootFile, BootImage, Catalogue, ImageVersion};
use maas_simplestreams::date::Timestamp as StreamTime;
use maas_simplestreams::digest::Sha256;
use maas_simplestreams::fetch::{FetchOptions, Fetched, fetch_all};
use maas_simplestreams::report::Reporter;
use maas_simplestreams::repository::{Repository, RepositoryError, Source};
use maas_simplestreams::select::{Chosen, Selection as Wish, Versions, choose};
use maas_simplestreams::signature::{Keyring, KeyringError, OpenPgp, Verifier};
use maas_simplestreams::transport::{
    HttpOptions, SourceUrl, SourceUrlError, Standard, TransportError,
};
use maas_simplestreams::trust::TrustMemory;
use tokio_util::sync::CancellationToken;

use super::bootloaders::{self, UnpackError};
use super::documents::{BootSource, ResourceDocument, Selection, TrustDocument, resource_key};
use crate::clock;
use crate::region::Region;
use crate::store::{DocumentError, MachineFilter, Store, StoreError, Stored};

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
            "{} images and {} boot loaders in {} files; {} MiB fetched, {} MiB were there",
            self.images,
            self.bootloaders,
            self.files,
            mebibytes(self.transferred),
            mebibytes(self.present)
        )
    }
}

/// Why a boot source could not be synchronised; what was there before still is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// Another synchronisation is going on.
    #[error("images are being synchronised already")]
    Busy,
    /// No boot source is enabled.
    #[error("no boot source is enabled: add one, or enable one")]
    NoSource,
    /// The URL cannot be used.
    #[error("boot source {url}")]
    Url {
        /// The boot source.
        url: String,
        /// Why.
        #[source]
        source: SourceUrlError,
    },
    /// The keyring cannot be used.
    #[error("boot source {url}: its keyring {keyring} cannot be used")]
    Keyring {
        /// The boot source.
        url: String,
        /// The keyring's file, or where it is from.
        keyring: String,
        /// Why.
        #[source]
        source: KeyringProblem,
    },
    /// Its documents cannot be fetched or trusted.
    #[error("boot source {url}")]
    Repository {
        /// The boot source.
        url: String,
        /// Why.
        #[source]
        source: Box<RepositoryError>,
    },
    /// No transport.
    #[error("boot source {url}")]
    Transport {
        /// The boot source.
        url: String,
        /// Why.
        #[source]
        source: TransportError,
    },
    /// Files could not be fetched; the images that need them are left as they were.
    #[error(
        "boot source {url}: {failed} of {files} files could not be fetched; the first: {first}"
    )]
    Files {
        /// The boot source.
        url: String,
        /// How many failed.
        failed: usize,
        /// How many were wanted.
        files: usize,
        /// The first failure.
        first: String,
    },
    /// A boot loader's archive.
    #[error(transparent)]
    Bootloader(#[from] UnpackError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The image store.
    #[error(transparent)]
    Blobs(#[from] maas_simplestreams::store::StoreError),
}

/// What is wrong with a keyring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringProblem {
    /// The file.
    #[error("cannot be read")]
    Io(#[from] std::io::Error),
    /// The content.
    #[error(transparent)]
    Content(#[from] KeyringError),
}

/// Runs imports when they are asked for and, if so configured, at the start and from time to
/// time.
pub async fn run(region: Arc<Region>, stop: CancellationToken) {
    let mut requests = region.images.import_requests();
    let mut pause = region.config.sync_interval.map_or(Duration::MAX, |_| Duration::ZERO);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Ok(()) = requests.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
        pause = region.config.sync_interval.unwrap_or(Duration::MAX);
        let imported = tokio::select! {
            // What arrived stays for the next import.
            () = stop.cancelled() => return,
            imported = synchronise(&region, &()) => imported,
        };
        match imported {
            Ok(summary) => tracing::info!(%summary, "images synchronised"),
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
    let selections = store.list::<Selection>().await?;
    let mut summary = Summary::default();
    let mut failure = None;
    let mut taken = BTreeSet::new();
    for source in &sources {
        let synced = one(region, source, &selections, &mut taken, &mut summary, reporter).await;
        if let Err(error) = synced {
            tracing::warn!(error = %crate::with_causes(&error), "boot source failed");
            failure = failure.or(Some(error));
        }
    }
    region.images.reload(store).await?;
    collect_garbage(region).await?;
    failure.map_or(Ok(summary), Err)
}

async fn one(
    region: &Region,
    source: &Stored<BootSource>,
    selections: &[Stored<Selection>],
    taken: &mut BTreeSet<String>,
    summary: &mut Summary,
    reporter: &dyn Reporter,
) -> Result<(), SyncError> {
    let url = &source.value.url;
    let (catalogue, source_url, transport) = catalogue(&*region.store, &source.value).await?;
    let wishes: Vec<Wish> = selections
        .iter()
        .filter(|selection| selection.value.boot_source_id == source.id)
        .map(|selection| wish(&selection.value))
        .collect();
    let newest = Versions::Newest(std::num::NonZeroUsize::MIN);
    let chosen = choose(&catalogue, &wishes, newest);
    let files = chosen.files();
    let options = FetchOptions::default();
    let fetched =
        fetch_all(&*transport, region.images.blobs(), &source_url, &files, &options, reporter)
            .await;
    let mut missing = BTreeSet::new();
    let mut first = None;
    for (file, fetched) in files.iter().zip(fetched) {
        match fetched {
            Ok(Fetched::AlreadyPresent) => summary.present += file.size,
            Ok(_) => {
                summary.transferred += file.size;
                region.metrics.synchronised_bytes.inc_by(file.size);
            }
            Err(error) => {
                missing.insert(file.sha256);
                first = first.or(Some(crate::with_causes(&error)));
            }
        }
    }
    summary.files += files.len() - missing.len();
    summary.bootloaders += place_bootloaders(region, &chosen, &missing).await?;
    let kept = place_images(region, source, &chosen, &missing, taken).await?;
    summary.images += kept;
    forget_unselected(region, source.id, &wishes).await?;
    match first {
        Some(first) => Err(SyncError::Files {
            url: url.clone(),
            failed: missing.len(),
            files: files.len(),
            first,
        }),
        None => Ok(()),
    }
}

/// Opens a boot source and reads all of its products; what it was seen to publish is remembered
/// only when everything could be trusted.
async fn catalogue(
    store: &dyn Store,
    source: &BootSource,
) -> Result<(Catalogue, SourceUrl, Arc<dyn maas_simplestreams::transport::Transport>), SyncError> {
    let url = || source.url.clone();
    let source_url = SourceUrl::parse(&source.url)
        .map_err(|error| SyncError::Url { url: url(), source: error })?;
    let stream = if source.skip_keyring_verification {
        Source::unverified(source_url.clone())
    } else {
        Source::verified(source_url.clone(), verifier(source)?)
    };
    let transport = Standard::shared(&HttpOptions::default())
        .map_err(|error| SyncError::Transport { url: url(), source: error })?;
    let memory = store
        .by_key::<TrustDocument>(&source.url)
        .await?
        .map_or_else(TrustMemory::default, |document| document.value.memory);
    let distrusted =
        |error: RepositoryError| SyncError::Repository { url: url(), source: Box::new(error) };
    let now = StreamTime::from_seconds(clock::now().seconds());
    let mut repository =
        Repository::open(stream, Arc::clone(&transport), memory, now).await.map_err(distrusted)?;
    let mut catalogue = Catalogue::default();
    let contents: Vec<_> = repository.entries().iter().map(|(id, _)| id.clone()).collect();
    for content_id in contents {
        let document = repository.products(&content_id).await.map_err(distrusted)?;
        catalogue.extend(Catalogue::from_products(document.verified_or_unverified()));
    }
    for alarm in repository.alarms() {
        tracing::warn!(url = source.url, ?alarm, "boot source");
    }
    let memory = repository.into_memory();
    store.put(TrustDocument { url: source.url.clone(), memory }).await?;
    Ok((catalogue, source_url, transport))
}

fn verifier(source: &BootSource) -> Result<Arc<dyn Verifier>, SyncError> {
    let (name, keyring) = if !source.keyring_data.is_empty() {
        ("that was given".to_owned(), Keyring::from_bytes(&source.keyring_data).map_err(Into::into))
    } else if source.keyring_filename.is_empty() {
        ("that is built in".to_owned(), Keyring::ubuntu_cloudimage().map_err(Into::into))
    } else {
        let read = std::fs::read(&source.keyring_filename).map_err(KeyringProblem::from);
        let keyring = read.and_then(|bytes| Ok(Keyring::from_bytes(&bytes)?));
        (source.keyring_filename.clone(), keyring)
    };
    let keyring = keyring.map_err(|problem| SyncError::Keyring {
        url: source.url.clone(),
        keyring: name,
        source: problem,
    })?;
    Ok(Arc::new(OpenPgp::new(keyring)))
}

fn wish(selection: &Selection) -> Wish {
    Wish::new(&selection.os, &selection.release)
        .arches(&selection.arches)
        .subarches(&selection.subarches)
        .labels(&selection.labels)
}

/// Registers images whose files are all there; a source of higher priority keeps what it has.
async fn place_images(
    region: &Region,
    source: &Stored<BootSource>,
    chosen: &Chosen,
    missing: &BTreeSet<Sha256>,
    taken: &mut BTreeSet<String>,
) -> Result<usize, SyncError> {
    let mut placed = 0;
    for image in &chosen.images {
        let Some(version) = image.newest() else { continue };
        if version.files.iter().any(|file| missing.contains(&file.sha256)) {
            continue;
        }
        let resource = resource(image, version, &source.value.url);
        if !taken.insert(resource_key(&resource)) {
            continue;
        }
        placed += 1;
        let document =
            ResourceDocument { boot_source_id: source.id, completed: clock::now(), resource };
        let known =
            region.store.by_key::<ResourceDocument>(&resource_key(&document.resource)).await?;
        let same = known.is_some_and(|known| {
            known.value.resource == document.resource && known.value.boot_source_id == source.id
        });
        if !same {
            region.store.put(document).await?;
        }
    }
    Ok(placed)
}

fn resource(image: &BootImage, version: &ImageVersion, url: &str) -> BootResource {
    let kernel = version.files.iter().find(|file| file.ftype.as_str() == "boot-kernel");
    BootResource {
        os: image.os.clone(),
        release: image.release.clone(),
        arch: image.arch.clone(),
        subarch: image.subarch.clone(),
        kflavor: image.kflavor.clone().unwrap_or_default(),
        label: image.label.clone(),
        version: version.name.clone(),
        subarches: image.subarches.clone(),
        kpackage: kernel.and_then(|file| file.kpackage.clone()),
        kparams: kernel.and_then(|file| file.kparams.clone()),
        title: image.release_title.clone().unwrap_or_default(),
        files: version.files.iter().map(file).collect(),
        origin: Origin::Standard { boot_source: url.to_owned() },
    }
}

fn file(file: &BootFile) -> ImageFile {
    ImageFile {
        filetype: FileType::from(file.ftype.as_str()),
        filename: file.path.file_name().to_owned(),
        sha256: file.sha256.to_string(),
        size: file.size,
    }
}

/// Unpacks the boot loaders' archives; they are complete before a machine can ask for them.
async fn place_bootloaders(
    region: &Region,
    chosen: &Chosen,
    missing: &BTreeSet<Sha256>,
) -> Result<usize, SyncError> {
    let mut placed = 0;
    for bootloader in &chosen.bootloaders {
        let Some(version) = bootloader.newest() else { continue };
        if version.files.iter().any(|file| missing.contains(&file.sha256)) {
            continue;
        }
        let folder = region
            .images
            .dir()
            .join("bootloaders")
            .join(&bootloader.bootloader_type)
            .join(&bootloader.arch);
        for file in version.files.iter().filter(|file| file.ftype.as_str() == "archive.tar.xz") {
            let archive = region.images.blobs().path(&file.sha256);
            let folder = folder.clone();
            tokio::task::spawn_blocking(move || bootloaders::unpack(&archive, &folder))
                .await
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        }
        placed += 1;
    }
    Ok(placed)
}

/// Images that nobody selects any more go; what only vanished from the stream stays.
async fn forget_unselected(
    region: &Region,
    boot_source_id: u64,
    wishes: &[Wish],
) -> Result<(), SyncError> {
    for document in region.store.list::<ResourceDocument>().await? {
        let resource = &document.value.resource;
        let wanted = wishes.iter().any(|wish| {
            let any =
                |list: &[String], value: &str| list.iter().any(|one| one == "*" || one == value);
            (wish.os == "*" || wish.os == resource.os)
                && (wish.release == "*" || wish.release == resource.release)
                && any(&wish.arches, &resource.arch)
        });
        if document.value.boot_source_id == boot_source_id && !wanted {
            region.store.remove::<ResourceDocument>(document.id, document.version).await?;
        }
    }
    Ok(())
}

/// Removes blobs that no image has, unless a machine may still be fetching one.
async fn collect_garbage(region: &Region) -> Result<(), SyncError> {
    let transient: Vec<Status> =
        Status::ALL.into_iter().filter(|status| status.is_transient()).collect();
    let filter = MachineFilter { statuses: transient, ..MachineFilter::all() };
    if !region.store.machines(&filter).await?.is_empty() {
        return Ok(());
    }
    let resources = region.images.current();
    let used: BTreeSet<&str> = resources
        .0
        .iter()
        .flat_map(|resource| &resource.files)
        .map(|file| file.sha256.as_str())
        .collect();
    for blob in region.images.blobs().list().await? {
        if !used.contains(blob.sha256.to_string().as_str()) {
            region.images.blobs().remove(&blob.sha256).await?;
        }
    }
    Ok(())
}
