//! The metadata of a machine that nobody knows, under their own path.

use std::sync::Arc;

use maas_core::runner;

use super::{VERSIONS, check_version, items};
use crate::http::{Access, Operation, Problem, Reply, Request, get};
use crate::region::Region;

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("EnlistIndex", "/MAAS/metadata/enlist/", "The protocol's versions.", index)
            .access(Access::Anonymous),
        get("EnlistVersion", "/MAAS/metadata/enlist/{version}/", "What a version has.", version)
            .access(Access::Anonymous),
        get(
            "EnlistListing",
            "/MAAS/metadata/enlist/{version}/meta-data/",
            "The names of the meta data.",
            items::listing,
        )
        .access(Access::Anonymous),
        get(
            "EnlistItem",
            "/MAAS/metadata/enlist/{version}/meta-data/{item}",
            "One of the meta data.",
            items::item,
        )
        .access(Access::Anonymous),
        get(
            "EnlistUserData",
            "/MAAS/metadata/enlist/{version}/user-data",
            "The user data that make an unknown machine known.",
            user_data,
        )
        .access(Access::Anonymous),
    ]
}

async fn index(_: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Ok(Reply::text(VERSIONS.join("\n")))
}

async fn version(_: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    Ok(Reply::text("meta-data\nuser-data"))
}

async fn user_data(_: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    Ok(Reply::bytes("application/octet-stream", runner::user_data()))
}
