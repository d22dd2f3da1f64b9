//! What clients ask about and what is not here: lists that are empty, and APIs that MAAS dropped.

use std::sync::Arc;

use ::http::Method;

use crate::http::{Access, Operation, Problem, Reply, Request, get};
use crate::region::Region;

const DISCOVERY: &str = "/MAAS/api/2.0/discovery/";

/// Resource, path, what it would list.
const EMPTY: &[(&str, &str, &str)] = &[
    ("DHCPSnippetsHandler", "/MAAS/api/2.0/dhcp-snippets/", "DHCP snippets: none."),
    ("PackageRepositoriesHandler", "/MAAS/api/2.0/package-repositories/", "Repositories: none."),
    ("NotificationsHandler", "/MAAS/api/2.0/notifications/", "Notifications: none."),
    ("LicenseKeysHandler", "/MAAS/api/2.0/license-keys/", "License keys: none."),
];

/// Resource and path.
const DROPPED: &[(&str, &str)] = &[
    ("PodsHandler", "/MAAS/api/2.0/pods/"),
    ("PodHandler", "/MAAS/api/2.0/pods/{id}/"),
    ("VmHostsHandler", "/MAAS/api/2.0/vm-hosts/"),
    ("VmHostHandler", "/MAAS/api/2.0/vm-hosts/{id}/"),
    ("VmClustersHandler", "/MAAS/api/2.0/vm-clusters/"),
    ("VmClusterHandler", "/MAAS/api/2.0/vm-clusters/{id}/"),
    ("VirtualMachineHandler", "/MAAS/api/2.0/virtual-machines/{id}"),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    let mut rows = vec![
        get("DiscoveriesHandler", DISCOVERY, "Hosts that were discovered: none.", nothing),
        get(
            "NetworksHandler",
            "/MAAS/api/2.0/networks/",
            "Gone: networks are subnets, VLANs and fabrics.",
            networks,
        )
        .access(Access::Anyone),
    ];
    for op in ["by_unknown_mac", "by_unknown_ip", "by_unknown_ip_and_mac"] {
        rows.push(
            get("DiscoveriesHandler", DISCOVERY, "Hosts that are not known: none.", nothing).op(op),
        );
    }
    rows.extend(EMPTY.iter().map(|(resource, path, doc)| get(resource, path, doc, nothing)));
    for (resource, path) in DROPPED {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            let doc = "Gone: MAAS no longer has VM hosts.";
            rows.push(
                Operation::new(resource, method, path, doc, virtual_machines)
                    .access(Access::Anyone),
            );
        }
    }
    rows
}

async fn nothing(_: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Reply::json(&[(); 0])
}

async fn networks(_: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Err(Problem::Gone("The Networks API is no longer available. Use subnets/ instead.".to_owned()))
}

async fn virtual_machines(_: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Err(Problem::Gone("VM host (KVM) support has been removed from MAAS.".to_owned()))
}
