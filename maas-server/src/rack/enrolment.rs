//! Racks on other hosts: their tokens, and what the region tells them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use maas_core::boot::{FetchedOver, bootloader_names};
use maas_core::deploy::Endpoints;
use maas_core::dhcp::Offer;
use maas_core::machine::Architecture;
use maas_core::secret::Secret;
use maas_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files::{self, BootFile, places};
use super::reports::{self, RackReport};
use crate::http::{Access, BodyRule, Operation, Problem, Reply, Request, get, post};
use crate::region::Region;
use crate::store::{Document, DocumentError, Store, StoreError};
use crate::{clock, entropy, plan};

/// The header with a rack's token.
pub const TOKEN_HEADER: &str = "x-maas-rack";

/// The header with the address by which a machine reached the rack, `IP:PORT`.
pub const REACHED_HEADER: &str = "x-maas-rack-reached";

/// How long a rack's question for news waits for some, and how often is looked.
const LONGEST_WAIT: Duration = Duration::from_secs(25);
const LOOK: Duration = Duration::from_secs(1);

/// The most reports of one request.
const MOST_REPORTS: usize = 2_000;

/// A rack that may speak to the region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledRack {
    /// What people call it.
    pub name: String,
    /// SHA-256 of its token; the token itself is nowhere but with the rack.
    pub token_sha256: String,
    /// When it was enrolled.
    pub created: Timestamp,
}

impl Document for EnrolledRack {
    const KIND: &'static str = "rack";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.name))
    }
}

/// Why a rack cannot be enrolled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolError {
    /// A name that is none.
    #[error("not a rack's name: found {0:?}, expected 1 to 64 letters, digits, dots and hyphens")]
    Name(String),
    /// No random numbers.
    #[error(transparent)]
    Entropy(#[from] entropy::EntropyError),
    /// The database.
    #[error(transparent)]
    Store(#[from] DocumentError),
}

/// Enrols a rack, or gives one a new token in place of its old.
///
/// # Errors
///
/// [`EnrolError`].
pub async fn enrol(store: &dyn Store, name: &str) -> Result<Secret<String>, EnrolError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(EnrolError::Name(name.chars().take(80).collect()));
    }
    let token = entropy::letters_and_digits(40)?;
    let rack = EnrolledRack {
        name: name.to_owned(),
        token_sha256: sha256(token.as_bytes()),
        created: clock::now(),
    };
    store.put(rack).await?;
    Ok(Secret::new(token))
}

/// What the region has for its racks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RackState {
    /// Changes with anything else in it.
    pub generation: String,
    /// Bytes of every image file by its SHA-256.
    pub files: BTreeMap<String, u64>,
    /// Files to fetch before anybody asks, and to keep.
    pub pins: BTreeSet<String>,
    /// Boot loaders by where they are stored.
    pub loaders: BTreeMap<String, LoaderFile>,
    /// What DHCP is to serve.
    #[serde(default)]
    pub dhcp: Vec<Offer>,
}

/// What a rack reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RackReports {
    /// In the order in which it was seen.
    pub reports: Vec<RackReport>,
}

/// A boot loader's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoaderFile {
    /// Its SHA-256.
    pub sha256: String,
    /// Its length in bytes.
    pub size: u64,
}

/// A loader's length, its time of modification and its SHA-256.
type SeenLoader = (u64, Option<SystemTime>, String);

/// What the region remembers of racks.
#[derive(Debug, Default)]
pub struct Racks {
    /// Names by the SHA-256 of their tokens.
    known: RwLock<BTreeMap<String, String>>,
    /// Hashes of loaders by what tells that they have changed.
    hashes: Mutex<BTreeMap<PathBuf, SeenLoader>>,
}

impl Racks {
    /// Reads the enrolled racks anew.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn reload(&self, store: &dyn Store) -> Result<(), StoreError> {
        let racks = store.list::<EnrolledRack>().await?;
        let known = racks.into_iter().map(|rack| (rack.value.token_sha256, rack.value.name));
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known.collect();
        Ok(())
    }

    /// The name of the rack that sent these headers.
    fn name(&self, headers: &HeaderMap) -> Option<String> {
        let token = headers.get(TOKEN_HEADER)?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&sha256(token.as_bytes())).cloned()
    }

    /// The rack's URLs for a request that an enrolled rack handed on.
    #[must_use]
    pub fn endpoints(&self, headers: &HeaderMap) -> Option<Endpoints> {
        self.name(headers)?;
        let reached: SocketAddr = headers.get(REACHED_HEADER)?.to_str().ok()?.parse().ok()?;
        let mut endpoints = Endpoints::new(reached.ip().to_canonical().to_string());
        endpoints.rack_port = reached.port();
        Some(endpoints)
    }

    /// A boot loader's hash and length; reads the file when it has changed.
    pub(super) fn loader(&self, path: PathBuf) -> Option<LoaderFile> {
        let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let (size, modified) = (metadata.len(), metadata.modified().ok());
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen_size, seen_modified, sha256)) = hashes.get(&path)
            && (*seen_size, *seen_modified) == (size, modified)
        {
            return Some(LoaderFile { sha256: sha256.clone(), size });
        }
        let content = std::fs::read(&path).ok()?;
        let file = LoaderFile { sha256: sha256(&content), size: content.len() as u64 };
        hashes.insert(path, (size, modified, file.sha256.clone()));
        Some(file)
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What racks ask of the region.
pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get(
            "RackImages",
            "/MAAS/boot-resources/{*path}",
            "A file of an image, by its SHA-256, or a boot loader.",
            super::images::file,
        )
        .access(Access::Anonymous),
        get("RackState", "/MAAS/rack/v1/state", "What an enrolled rack has to know.", state)
            .access(Access::Anonymous),
        get(
            "RackBootFiles",
            "/MAAS/rack/v1/boot/{*path}",
            "The configuration that a boot loader asked an enrolled rack for.",
            boot,
        )
        .access(Access::Anonymous),
        post("RackReports", "/MAAS/rack/v1/reports", "What an enrolled rack saw.", take_reports)
            .access(Access::Anonymous)
            .body(BodyRule::Raw),
    ]
}

/// Lets enrolled racks through.
async fn admit(region: &Region, request: &Request) -> Result<(), Problem> {
    if region.racks.name(request.headers()).is_some() {
        return Ok(());
    }
    // It may have been enrolled a moment ago, by another process.
    region.racks.reload(&*region.store).await.map_err(Problem::internal)?;
    match region.racks.name(request.headers()) {
        Some(name) => {
            tracing::info!(rack = name, "a rack has come");
            Ok(())
        }
        None => Err(Problem::Forbidden("This is for enrolled racks.".to_owned())),
    }
}

/// `GET …/state?known=GENERATION`: the state, as soon as it is another; 204 when it stays.
async fn state(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    admit(&region, &request).await?;
    let known = request.query().filled("known")?.unwrap_or_default().to_owned();
    let until = tokio::time::Instant::now() + LONGEST_WAIT;
    loop {
        let current = current(&region).await?;
        if current.generation != known {
            return Reply::json(&current);
        }
        if tokio::time::Instant::now() + LOOK > until {
            return Ok(Reply::empty(StatusCode::NO_CONTENT));
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn current(region: &Arc<Region>) -> Result<RackState, Problem> {
    let mut state = RackState {
        files: region.images.files().as_ref().clone(),
        pins: pins(region),
        dhcp: region.dhcp_offers.borrow().as_ref().clone(),
        ..RackState::default()
    };
    let looker = Arc::clone(region);
    let loaders = tokio::task::spawn_blocking(move || {
        let (images, named) = (looker.images.dir(), looker.config.bootloader_dir.as_deref());
        let found = bootloader_names().filter_map(|(_, stored_at)| {
            let mut places = places(images, named, &stored_at).into_iter();
            Some((stored_at, places.find_map(|path| looker.racks.loader(path))?))
        });
        found.collect()
    });
    state.loaders = loaders.await.map_err(Problem::internal)?;
    let content = serde_json::to_vec(&state).map_err(Problem::internal)?;
    state.generation = sha256(&content);
    Ok(state)
}

/// What every machine boots first.
fn pins(region: &Region) -> BTreeSet<String> {
    let (images, defaults) = (region.images.current(), plan::defaults(region));
    let mut pins = BTreeSet::new();
    for arch in ["amd64", "arm64"] {
        let architecture = Architecture { arch: arch.to_owned(), subarch: "generic".to_owned() };
        if let Ok(image) = images.commissioning(&architecture, "", &defaults) {
            let files = [image.kernel(), image.initrd(), image.root()];
            pins.extend(files.map(|file| file.sha256.clone()));
        }
    }
    pins
}

/// `POST …/reports`: 204 when all of them are durable.
async fn take_reports(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    admit(&region, &request).await?;
    let told: RackReports = serde_json::from_slice(request.body())
        .map_err(|error| Problem::bad_request(format!("reports: {error}")))?;
    if told.reports.len() > MOST_REPORTS {
        return Err(Problem::bad_request(format!("expected at most {MOST_REPORTS} reports")));
    }
    for report in &told.reports {
        reports::take(&region, report).await.map_err(Problem::internal)?;
    }
    Ok(Reply::no_content())
}

/// `GET …/boot/PATH?over=tftp|http`
async fn boot(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    admit(&region, &request).await?;
    let endpoints = region.racks.endpoints(request.headers());
    let endpoints = endpoints
        .ok_or_else(|| Problem::bad_request(format!("{REACHED_HEADER}: expected IP:PORT")))?;
    let over = match request.query().filled("over")? {
        Some("tftp") => FetchedOver::Tftp,
        _ => FetchedOver::Http,
    };
    match files::open(&region, request.param("path"), &endpoints, over).await? {
        BootFile::Text(text) => Ok(Reply::text(text)),
        BootFile::File(_) => Err(files::not_found()),
    }
}
