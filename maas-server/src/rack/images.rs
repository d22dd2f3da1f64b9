//! Image files by their hash, and boot loaders' files by where they are stored.

use std::path::{Component, Path};
use std::sync::Arc;

use crate::http::{FileContent, Problem, Reply, Request};
use crate::region::Region;

/// The shortest hash prefix that names a file (boot-and-metadata §1.3).
const SHORTEST_PREFIX: usize = 7;

/// `GET /images/{HASH}/…`, or a boot loader below `/images/`.
pub(super) async fn file(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let path = request.param("path");
    let first = path.split('/').next().unwrap_or_default();
    let is_hash = (SHORTEST_PREFIX..=64).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash {
        // The rest of the path is for people.
        let found = region.images.blob(&first.to_ascii_lowercase());
        let blob = found.ok_or_else(|| Problem::not_found("Not Found"))?;
        let content = FileContent::open(&blob.path, Some(blob.size)).await?;
        return Ok(content.digest(&blob.sha256).reply(request.headers()));
    }
    match maas_core::boot::stored_bootloader(path) {
        Some(stored_at) => stored(&region, &request, &stored_at).await,
        None => Err(Problem::not_found("Not Found")),
    }
}

/// A boot loader's file; `stored_at` is relative to the image directory.
pub(super) async fn stored(
    region: &Region,
    request: &Request,
    stored_at: &str,
) -> Result<Reply, Problem> {
    let relative = Path::new(stored_at);
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(Problem::not_found("Not Found"));
    }
    let file = region.images.dir().join(relative);
    match FileContent::open(&file, None).await {
        Ok(content) => Ok(content.reply(request.headers())),
        Err(error) => Err(error.into()),
    }
}
