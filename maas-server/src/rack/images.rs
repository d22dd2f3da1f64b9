//! Image files by their hash, and boot loaders' files by their names.

use std::sync::Arc;

use super::files;
use crate::http::{Problem, Reply, Request};
use crate::region::Region;

/// `GET /images/{HASH}/…`, or a boot loader below `/images/`.
pub(super) async fn file(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let found = files::image(&region, request.param("path")).await?;
    files::noticed(&region, &request);
    Ok(found.reply(&request))
}
