//! What this server is and can do, for everybody.

use std::sync::Arc;

use serde_json::json;

use crate::http::{Access, Operation, Problem, Reply, Request, get};
use crate::region::Region;

/// The MAAS version whose API this is; clients compare it.
pub(crate) const MAAS_VERSION: &str = "3.6.0";

const CAPABILITIES: [&str; 9] = [
    "networks-management",
    "static-ipaddresses",
    "ipv6-deployment-ubuntu",
    "devices-management",
    "storage-deployment-ubuntu",
    "network-deployment-ubuntu",
    "bridging-interface-ubuntu",
    "bridging-automatic-ubuntu",
    "authenticate-api",
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("VersionHandler", "/MAAS/api/2.0/version/", "Version and capabilities.", read)
            .access(Access::Anonymous),
        get("ApiVersion", "/MAAS/api/version/", "The version of the API.", api)
            .access(Access::Anonymous),
        get("ApiOne", "/MAAS/api/1.0/{*path}", "Gone.", gone).access(Access::Anonymous),
    ]
}

async fn read(_: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Reply::json(&json!({
        "capabilities": CAPABILITIES, "version": MAAS_VERSION, "subversion": "",
    }))
}

async fn api(_: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Ok(Reply::text("2.0"))
}

async fn gone(_: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Err(Problem::Gone("The 1.0 API is no longer available. Please use API version 2.0.".to_owned()))
}
