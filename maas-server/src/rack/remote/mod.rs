//! A rack apart from its region: boot files, images and TFTP for machines that reach only it.
//!
//! Image files and boot loaders come from its cache, which the region fills; configurations and
//! everything below `/MAAS/` are asked of the region for each machine. With the region away it
//! goes on serving what it has under the last state that it was told.

mod configs;
mod queue;
mod region;
mod service;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::StatusCode;
use maas_core::boot::{BootRequest, FetchedOver, GRUB_PRELOADER, bootloader_names, ipxe_preloader};
use maas_core::deploy::Endpoints;
use maas_core::dhcp::Offer;
use maas_core::secret::Secret;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::configs::Configs;
use self::queue::Queue;
use self::region::RegionClient;
pub use self::region::RegionError;
use super::cache::{Cache, CacheError, Entry, Wanted};
use super::dhcp::UsableLoaders;
use super::enrolment::RackState;
use super::files::{BootFile, BootFiles, hash_prefix, not_found};
use super::reports::{RackReport, Reported, over_word};
use crate::http::Problem;

/// The pause after the region did not answer.
const PAUSE: Duration = Duration::from_secs(2);

/// How often an unknown file makes the rack ask for a newer state, at most.
const FRESH: Duration = Duration::from_secs(1);

/// Where a rack is and whom it belongs to.
#[derive(Debug, Clone)]
pub struct RackSettings {
    /// The region, e.g. `http://10.0.0.1:5240`.
    pub region: Url,
    /// What the region gave it.
    pub token: Secret<String>,
    /// Where the cache and the last state are kept.
    pub data_dir: PathBuf,
    /// The most bytes of the cache.
    pub cache_limit: u64,
}

/// Why a rack does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RackError {
    /// The cache.
    #[error("the cache cannot be opened")]
    Cache(#[from] CacheError),
    /// The HTTP client.
    #[error("the client for the region cannot be made")]
    Client(#[source] RegionError),
    /// The configurations that the region made before.
    #[error("{path}: configurations cannot be kept there")]
    Configs {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// A rack apart from its region.
#[derive(Debug)]
pub struct RemoteRack {
    region: Arc<RegionClient>,
    cache: Arc<Cache>,
    state_file: PathBuf,
    /// The port of its HTTP server.
    port: u16,
    state: RwLock<Arc<RackState>>,
    asked: Mutex<Option<Instant>>,
    configs: Configs,
    reports: Queue,
    offered: watch::Sender<Arc<Vec<Offer>>>,
}

impl RemoteRack {
    /// A rack whose HTTP server has this port, with what it knew when it last ran.
    ///
    /// # Errors
    ///
    /// [`RackError`].
    pub fn open(settings: &RackSettings, port: u16) -> Result<Self, RackError> {
        let region = RegionClient::new(settings.region.clone(), settings.token.clone());
        let region = Arc::new(region.map_err(RackError::Client)?);
        let dir = settings.data_dir.join("cache");
        let cache = Cache::open(&dir, settings.cache_limit, Arc::clone(&region) as _)?;
        let state_file = settings.data_dir.join("state.json");
        let state = read_state(&state_file).unwrap_or_default();
        cache.pin(state.pins.clone());
        let path = settings.data_dir.join("configs");
        let configs = Configs::open(path.clone());
        let configs = configs.map_err(|source| RackError::Configs { path, source })?;
        let reports = Queue::open(settings.data_dir.join("reports"));
        if reports.len() > 0 {
            tracing::info!(reports = reports.len(), "kept for the region");
        }
        let offered = watch::Sender::new(Arc::new(state.dhcp.clone()));
        Ok(Self {
            configs,
            reports,
            offered,
            region,
            cache: Arc::new(cache),
            state_file,
            port,
            state: RwLock::new(Arc::new(state)),
            asked: Mutex::new(None),
        })
    }

    /// The cache.
    #[must_use]
    pub const fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// What the region told last.
    #[must_use]
    pub fn state(&self) -> Arc<RackState> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps up with the region until `stop`: one question is always open, and pinned files are
    /// fetched before anybody asks for them.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut is_there = true;
        loop {
            let known = self.state().generation.clone();
            let told = tokio::select! {
                () = stop.cancelled() => return,
                told = self.region.state(&known) => told,
            };
            match told {
                Ok(news) => {
                    if !is_there {
                        tracing::info!("the region is there again");
                    }
                    is_there = true;
                    if let Some(state) = news {
                        self.take(state);
                        tokio::spawn(Arc::clone(&self).prefetch());
                    }
                }
                Err(error) => {
                    if is_there {
                        let error = crate::with_causes(&error);
                        tracing::warn!(error, "the region is away: serving what is here");
                    }
                    is_there = false;
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
            }
        }
    }

    /// Delivers reports to the region until `stop`; what it does not take now is kept for later.
    pub async fn deliver(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let some = tokio::select! {
                () = stop.cancelled() => return,
                some = self.reports.next() => some,
            };
            let count = some.len();
            match self.region.report(some).await {
                Ok(()) => {
                    tracing::debug!(reports = count, "delivered to the region");
                    self.reports.delivered(count);
                    continue;
                }
                // It is there and does not want them, however often they are sent.
                Err(RegionError::Refused { status, text }) if status != StatusCode::FORBIDDEN => {
                    tracing::error!(%status, text, reports = count, "the region refuses reports");
                    self.reports.delivered(count);
                    continue;
                }
                Err(error) => {
                    let error = crate::with_causes(&error);
                    tracing::debug!(error, waiting = self.reports.len(), "reports wait");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// What DHCP is to serve, as the region says it.
    #[must_use]
    pub fn dhcp_offers(&self) -> watch::Receiver<Arc<Vec<Offer>>> {
        self.offered.subscribe()
    }

    fn take(&self, state: RackState) {
        tracing::info!(
            generation = &state.generation[..state.generation.len().min(12)],
            files = state.files.len(),
            loaders = state.loaders.len(),
            "the region's state"
        );
        self.cache.pin(state.pins.clone());
        if let Err(error) = write_state(&self.state_file, &state) {
            tracing::warn!(%error, "the region's state cannot be kept for the next start");
        }
        self.offered.send_if_modified(|offers| {
            let changed = **offers != state.dhcp;
            *offers = Arc::new(state.dhcp.clone());
            changed
        });
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }

    async fn prefetch(self: Arc<Self>) {
        let state = self.state();
        let pinned = state.pins.iter().filter_map(|sha256| file(&state, sha256));
        let loaders = state.loaders.iter().map(|(stored_at, loader)| Wanted {
            sha256: loader.sha256.clone(),
            size: loader.size,
            path: stored_at.clone(),
        });
        for wanted in loaders.chain(pinned).collect::<Vec<_>>() {
            if !self.cache.has(&wanted.sha256)
                && let Err(error) = self.cache.whole(&wanted).await
            {
                let error = crate::with_causes(&error);
                tracing::warn!(path = wanted.path, error, "not fetched ahead");
            }
        }
    }

    /// Asks for the state now, unless that was done a moment ago.
    async fn refresh(&self) {
        {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.is_some_and(|asked| asked.elapsed() < FRESH) {
                return;
            }
            *asked = Some(Instant::now());
        }
        match self.region.state("").await {
            Ok(Some(state)) if state.generation != self.state().generation => self.take(state),
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(error = crate::with_causes(&error), "no news from the region");
            }
        }
    }

    /// What a path asks for, when it is a file.
    fn wanted(&self, path: &str) -> Option<Wanted> {
        let state = self.state();
        if let Some(prefix) = hash_prefix(path) {
            let mut found = state.files.range(prefix.clone()..);
            let (sha256, _) = found.next().filter(|(sha256, _)| sha256.starts_with(&prefix))?;
            let several = found.next().is_some_and(|(sha256, _)| sha256.starts_with(&prefix));
            return if several { None } else { file(&state, sha256) };
        }
        let stored_at = maas_core::boot::stored_bootloader(path)?;
        let loader = state.loaders.get(&stored_at)?;
        Some(Wanted { sha256: loader.sha256.clone(), size: loader.size, path: stored_at })
    }

    async fn find(&self, path: &str) -> Result<Entry, Problem> {
        let mut wanted = self.wanted(path);
        if wanted.is_none() {
            self.refresh().await;
            wanted = self.wanted(path);
        }
        let wanted = wanted.ok_or_else(not_found)?;
        self.cache.find(&wanted).await.map_err(Problem::internal)
    }

    async fn text(
        &self,
        path: &str,
        reached: SocketAddr,
        over: FetchedOver,
    ) -> Result<String, Problem> {
        let question = format!("{} {reached} {path}", over_word(over));
        let error = match self.region.boot(path, reached, over).await {
            Ok(text) => {
                self.configs.keep(&question, &text);
                return Ok(text);
            }
            Err(RegionError::Refused { text, .. }) => {
                self.configs.forget(&question);
                return Err(Problem::NotFound(text));
            }
            Err(error) => error,
        };
        let error = crate::with_causes(&error);
        if let Some(text) = self.configs.last(&question) {
            tracing::warn!(path, error, "the configuration of before is served");
            self.reports.push(RackReport::Netbooted { path: path.to_owned(), reached });
            return Ok(text);
        }
        tracing::warn!(path, error, "no configuration");
        Err(Problem::Unavailable {
            text: "The region does not answer.".to_owned(),
            retry_after: Duration::from_secs(5),
        })
    }

    /// A boot file, or an image file as it stands.
    async fn open_any(
        &self,
        path: &str,
        reached: Option<IpAddr>,
        over: FetchedOver,
    ) -> Result<Found, Problem> {
        let reached = reached.unwrap_or(IpAddr::from([127, 0, 0, 1]));
        let reached = SocketAddr::new(reached, self.port);
        let mut endpoints = Endpoints::new(reached.ip().to_canonical().to_string());
        endpoints.rack_port = self.port;
        match BootRequest::parse(path).map_err(|_| not_found())? {
            BootRequest::IpxePreloader => Ok(Found::Text(ipxe_preloader(&endpoints))),
            BootRequest::GrubPreloader => Ok(Found::Text(GRUB_PRELOADER.to_owned())),
            BootRequest::ModuleList { .. } => Ok(Found::Text(String::new())),
            BootRequest::Config { .. } => {
                let path = path.trim_start_matches(['/', '\\']);
                Ok(Found::Text(self.text(path, reached, over).await?))
            }
            BootRequest::Bootloader { stored_at } => Ok(Found::Entry(self.find(&stored_at).await?)),
            BootRequest::File { path } => {
                let below = path.strip_prefix("images/").unwrap_or(&path);
                Ok(Found::Entry(self.find(below).await?))
            }
            _ => Err(not_found()),
        }
    }
}

enum Found {
    Text(String),
    Entry(Entry),
}

impl BootFiles for RemoteRack {
    fn open<'a>(
        &'a self,
        path: &'a str,
        reached: Option<IpAddr>,
        over: FetchedOver,
    ) -> BoxFuture<'a, Result<BootFile, Problem>> {
        Box::pin(async move {
            match self.open_any(path, reached, over).await? {
                Found::Text(text) => Ok(BootFile::Text(text)),
                Found::Entry(entry) => {
                    let content = self.cache.settled(entry).await.map_err(Problem::internal)?;
                    Ok(BootFile::File(content))
                }
            }
        })
    }
}

impl Reported for RemoteRack {
    fn report(&self, report: RackReport) -> BoxFuture<'_, ()> {
        self.reports.push(report);
        Box::pin(std::future::ready(()))
    }
}

impl UsableLoaders for RemoteRack {
    fn usable(&self) -> BTreeSet<String> {
        let state = self.state();
        let here = bootloader_names().filter(|(_, stored_at)| {
            let loader = state.loaders.get(stored_at);
            loader.is_some_and(|loader| self.cache.has(&loader.sha256))
        });
        here.map(|(name, _)| name.to_owned()).collect()
    }
}

fn file(state: &RackState, sha256: &str) -> Option<Wanted> {
    let size = *state.files.get(sha256)?;
    // The region's path of a file: the rest after the hash is for people.
    Some(Wanted { sha256: sha256.to_owned(), size, path: format!("{sha256}/image") })
}

fn read_state(file: &Path) -> Option<RackState> {
    let text = std::fs::read(file).ok()?;
    serde_json::from_slice(&text)
        .inspect_err(|error| tracing::warn!(%error, "the kept state cannot be read"))
        .ok()
}

fn write_state(file: &Path, state: &RackState) -> std::io::Result<()> {
    let part = file.with_extension("json.part");
    std::fs::write(&part, serde_json::to_vec(state)?)?;
    std::fs::File::open(&part)?.sync_all()?;
    std::fs::rename(&part, file)
}
