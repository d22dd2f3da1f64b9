//! The files that firmware and boot loaders ask for, the same names over HTTP and TFTP.

use std::fmt;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::Method;
use maas_core::boot::{
    BootRequest, FetchedOver, GRUB_PRELOADER, ipxe_preloader, render, stored_bootloader,
};
use maas_core::deploy::Endpoints;

use super::boot;
use super::reports::{self, Reported};
use crate::http::{FileContent, FileError, Problem, Reply, Request};
use crate::region::Region;

/// The shortest hash prefix that names a file (boot-and-metadata §1.3).
const SHORTEST_PREFIX: usize = 7;

/// What was asked for.
#[derive(Debug, Clone)]
pub enum BootFile {
    /// A configuration, made for whoever asks.
    Text(String),
    /// A boot loader or a file of an image.
    File(FileContent),
}

impl BootFile {
    /// The answer over HTTP.
    #[must_use]
    pub fn reply(self, request: &Request) -> Reply {
        match self {
            Self::Text(text) => Reply::text(text),
            Self::File(content) => content.reply(request.headers()),
        }
    }
}

/// Who has the files: the region itself, or a rack apart from it.
pub trait BootFiles: fmt::Debug + Send + Sync {
    /// Finds a file by its path, decoded, with or without leading slashes. `reached` is the
    /// address by which the machine reached this host, and so the one that it is told.
    fn open<'a>(
        &'a self,
        path: &'a str,
        reached: Option<IpAddr>,
        over: FetchedOver,
    ) -> BoxFuture<'a, Result<BootFile, Problem>>;
}

/// The region's own files.
#[derive(Debug)]
pub struct RegionFiles(pub Arc<Region>);

impl BootFiles for RegionFiles {
    fn open<'a>(
        &'a self,
        path: &'a str,
        reached: Option<IpAddr>,
        over: FetchedOver,
    ) -> BoxFuture<'a, Result<BootFile, Problem>> {
        let endpoints = self.0.endpoints_reached(reached);
        Box::pin(async move { open(&self.0, path, &endpoints, over).await })
    }
}

/// Tells a machine's lifecycle that it loads its system, when this request says so. The answer does
/// not wait for that.
pub(super) fn noticed(region: &Arc<Region>, request: &Request) {
    let method = if request.is_head() { Method::HEAD } else { request.method().clone() };
    let peer = request.connection().peer;
    if let Some(report) = reports::fetch(request.path(), &method, request.headers(), peer) {
        let region = Arc::clone(region);
        tokio::spawn(async move { region.report(report).await });
    }
}

/// The one way from a path to what stands there.
pub(super) async fn open(
    region: &Arc<Region>,
    path: &str,
    endpoints: &Endpoints,
    over: FetchedOver,
) -> Result<BootFile, Problem> {
    // A path that is no boot file's is not there; why is nobody's business.
    let wanted = BootRequest::parse(path).map_err(|_| not_found())?;
    match wanted {
        BootRequest::IpxePreloader => Ok(BootFile::Text(ipxe_preloader(endpoints))),
        BootRequest::GrubPreloader => Ok(BootFile::Text(GRUB_PRELOADER.to_owned())),
        BootRequest::Config { loader, client } => {
            let config = boot::config(region, loader, &client, endpoints).await?;
            Ok(BootFile::Text(render(&config, loader, over, endpoints)))
        }
        BootRequest::Bootloader { stored_at } => stored(region, &stored_at).await,
        // GRUB asks for its module lists first and takes an empty one for "none".
        BootRequest::ModuleList { .. } => Ok(BootFile::Text(String::new())),
        BootRequest::File { path } => {
            let below = path.strip_prefix("images/").unwrap_or(&path);
            image(region, below).await
        }
        _ => Err(not_found()),
    }
}

/// `HASH/…` of an image, or a boot loader's name below any folder.
pub(super) async fn image(region: &Arc<Region>, path: &str) -> Result<BootFile, Problem> {
    if let Some(prefix) = hash_prefix(path) {
        let blob = region.images.blob(&prefix).ok_or_else(not_found)?;
        let content = FileContent::open(&blob.path, Some(blob.size)).await?;
        return Ok(BootFile::File(content.digest(&blob.sha256)));
    }
    match stored_bootloader(path) {
        Some(stored_at) => stored(region, &stored_at).await,
        None => Err(not_found()),
    }
}

/// The hash, or the beginning of one, that a path of an image starts with, in lower case; the
/// rest of the path is for people.
pub(super) fn hash_prefix(path: &str) -> Option<String> {
    let first = path.split('/').next().unwrap_or_default();
    let is_hash = (SHORTEST_PREFIX..=64).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| first.to_ascii_lowercase())
}

/// A boot loader's file; `stored_at` is relative to the image directory.
async fn stored(region: &Arc<Region>, stored_at: &str) -> Result<BootFile, Problem> {
    for path in places(region.images.dir(), region.config.bootloader_dir.as_deref(), stored_at) {
        match FileContent::open(&path, None).await {
            Ok(content) => {
                let of = Arc::clone(region);
                let known = tokio::task::spawn_blocking(move || of.racks.loader(path)).await;
                let known = known.map_err(Problem::internal)?;
                let known = known.filter(|known| known.size == content.length());
                return Ok(BootFile::File(match known {
                    Some(known) => content.digest(&known.sha256),
                    None => content,
                }));
            }
            Err(FileError::Absent { .. } | FileError::NotAFile { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(not_found())
}

/// Where a boot loader's file may be: as it was unpacked from a boot source, then in the
/// operator's directory, there in folders or flat.
pub(super) fn places(images: &Path, named: Option<&Path>, stored_at: &str) -> Vec<PathBuf> {
    let relative = Path::new(stored_at);
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Vec::new();
    }
    let mut places = vec![images.join(relative)];
    if let Some(named) = named {
        let within = relative.strip_prefix("bootloaders").unwrap_or(relative);
        places.push(named.join(within));
        places.extend(relative.file_name().map(|name| named.join(name)));
    }
    places
}

pub(super) fn not_found() -> Problem {
    Problem::not_found("Not Found")
}
