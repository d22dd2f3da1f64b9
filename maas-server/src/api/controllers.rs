//! The controllers: this program is region and rack in one, so there is one of them.

use std::borrow::Cow;
use std::sync::Arc;

use maas_core::id::SystemId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::version::MAAS_VERSION;
use crate::entropy;
use crate::http::{Access, Operation, Problem, Reply, Request, get};
use crate::places::{self, Zone};
use crate::rack::dhcp::DhcpStatus;
use crate::region::Region;
use crate::store::Document;

const RACKS: &str = "/MAAS/api/2.0/rackcontrollers/";
const RACK: &str = "/MAAS/api/2.0/rackcontrollers/{system_id}/";
const REGIONS: &str = "/MAAS/api/2.0/regioncontrollers/";
const REGION: &str = "/MAAS/api/2.0/regioncontrollers/{system_id}/";

/// What stays the same of this controller from start to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Controller {
    system_id: SystemId,
}

impl Document for Controller {
    const KIND: &'static str = "controller";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed("self"))
    }
}

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("RackControllersHandler", RACKS, "The rack controllers.", racks),
        get("RackControllersHandler", RACKS, "The power drivers and their parameters.", drivers)
            .op("describe_power_types"),
        get("RackControllersHandler", RACKS, "Parameters of controllers' power: none.", power)
            .op("power_parameters")
            .access(Access::Admin),
        get("RackControllerHandler", RACK, "One rack controller.", rack),
        get("RegionControllersHandler", REGIONS, "The region controllers.", regions),
        get("RegionControllerHandler", REGION, "One region controller.", one_region),
    ]
}

async fn racks(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Reply::json(&[this(&region, RACKS).await?])
}

async fn regions(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Reply::json(&[this(&region, REGIONS).await?])
}

async fn rack(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    one(&region, &request, RACKS, "RackController").await
}

async fn one_region(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    one(&region, &request, REGIONS, "RegionController").await
}

async fn one(
    region: &Region,
    request: &Request,
    below: &str,
    word: &str,
) -> Result<Reply, Problem> {
    let view = this(region, below).await?;
    if view["system_id"].as_str() != Some(request.param("system_id")) {
        return Err(Problem::not_found(format!("No {word} matches the given query.")));
    }
    Reply::json(&view)
}

async fn power(_: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Reply::json(&json!({}))
}

/// Parameters of each driver in the form that MAAS's clients fill forms from.
async fn drivers(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Reply::json(&crate::power::describe(region.drivers.iter()))
}

async fn this(region: &Region, below: &str) -> Result<Value, Problem> {
    let store = &region.store;
    let known = store.by_key::<Controller>("self").await.map_err(Problem::internal)?;
    let id = match known {
        Some(stored) => stored.value.system_id,
        None => {
            let system_id = entropy::system_id().map_err(Problem::internal)?;
            // Two first callers may both come here: the first one's word stands.
            let _ = store.insert(Controller { system_id }).await;
            let kept = store.by_key::<Controller>("self").await.map_err(Problem::internal)?;
            kept.ok_or_else(|| Problem::internal("the controller was not kept"))?.value.system_id
        }
    };
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let hostname = hostname.trim().split('.').next().filter(|name| !name.is_empty());
    let hostname = hostname.unwrap_or("maas").to_owned();
    let zone = store.by_key::<Zone>(places::DEFAULT).await.map_err(Problem::internal)?;
    let zone = match &zone {
        Some(stored) => places::view(Some(stored.id), &stored.value),
        None => places::view(None, &places::default::<Zone>()),
    };
    let mut services: Vec<Value> = ["http", "metadata", "images", "power"]
        .map(|name| json!({"name": name, "status": "running", "status_info": ""}))
        .into();
    let (status, info) = match region.dhcp_status.borrow().clone() {
        DhcpStatus::Running => ("running", String::new()),
        DhcpStatus::Off => ("off", String::new()),
        DhcpStatus::Refused(reason) => ("degraded", reason),
        DhcpStatus::Dead(reason) => ("dead", reason),
    };
    services.push(json!({"name": "dhcpd", "status": status, "status_info": info}));
    Ok(json!({
        "system_id": id, "hostname": hostname, "fqdn": format!("{hostname}.maas"),
        "domain": region.networks().await?.domain("maas"), "description": "", "node_type": 4,
        "node_type_name": "Region and rack controller",
        "architecture": format!("{}/generic", debian_architecture()),
        "version": MAAS_VERSION, "service_set": services, "zone": zone, "owner": null,
        "ip_addresses": [], "interface_set": [], "boot_interface": null, "tag_names": [],
        "power_type": "", "power_state": "unknown", "osystem": "", "distro_series": "",
        "cpu_count": 0, "cpu_speed": 0, "memory": 0, "swap_size": null, "storage": 0.0,
        "hardware_info": {}, "hardware_uuid": null, "blockdevice_set": [],
        "physicalblockdevice_set": [], "virtualblockdevice_set": [], "boot_disk": null,
        "commissioning_status": -1, "commissioning_status_name": "Unknown",
        "testing_status": -1, "testing_status_name": "Unknown", "locked": false,
        "resource_uri": format!("{below}{id}/"),
    }))
}

/// The Debian name of the architecture that this program was built for.
fn debian_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "i386",
        "arm" => "armhf",
        "powerpc64" => "ppc64el",
        other => other,
    }
}
