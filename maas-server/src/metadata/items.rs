//! Meta data: who the machine is, whose keys it takes, what every machine is told.

use std::sync::Arc;

use maas_core::cloud_init::{MetaData, listing as lines};
use maas_core::machine::{Machine, Status};

use super::{caller, check_version, user_data};
use crate::http::{Problem, Reply, Request};
use crate::plan;
use crate::region::Region;

/// `GET …/{version}/`
pub(super) async fn version(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    let Some(machine) = caller(&region, &request).await? else {
        return Ok(Reply::text("meta-data\nuser-data"));
    };
    let mut names = vec!["maas-commissioning-scripts", "meta-data"];
    if user_data::has_some(&region, &machine).await? {
        names.push("user-data");
    }
    Ok(Reply::text(lines(&names)))
}

/// `GET …/meta-data/`
pub(super) async fn listing(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    let machine = caller(&region, &request).await?;
    let meta_data = meta_data(&region, machine.as_deref()).await?;
    Ok(Reply::text(lines(&meta_data.names())))
}

/// `GET …/meta-data/{item}`
pub(super) async fn item(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    let name = request.param("item");
    let machine = caller(&region, &request).await?;
    // Every boot asks for each by itself: what lies elsewhere is only read for whom it is.
    let meta_data = match (&machine, name) {
        (Some(machine), "instance-id" | "local-hostname") => {
            meta_data_of(machine, Vec::new(), String::new())
        }
        _ => meta_data(&region, machine.as_deref()).await?,
    };
    match meta_data.item(name) {
        Some((text, media_type)) => Ok(Reply::bytes(media_type, text)),
        None => {
            let name: String = name.chars().take(64).collect();
            Err(Problem::not_found(format!("Unknown metadata attribute: {name}")))
        }
    }
}

/// A machine's meta data, or those of one that is enlisting.
pub(super) async fn meta_data(
    region: &Region,
    machine: Option<&Machine>,
) -> Result<MetaData, Problem> {
    let Some(machine) = machine else {
        return Ok(MetaData::enlistment(plan::vendor_data(region, None).await?));
    };
    // Whoever holds a machine that is only being looked at does not get onto it.
    let open = machine.status != Status::Commissioning || machine.enable_ssh;
    let keys = match &machine.owner {
        Some(owner) if open => region.store.ssh_keys(owner).await.map_err(Problem::internal)?,
        _ => Vec::new(),
    };
    let vendor_data = plan::vendor_data(region, Some(machine)).await?;
    Ok(meta_data_of(machine, keys.into_iter().map(|key| key.key).collect(), vendor_data))
}

fn meta_data_of(machine: &Machine, public_keys: Vec<String>, vendor_data: String) -> MetaData {
    let (id, hostname, domain) = (&machine.system_id, &machine.hostname, &machine.domain);
    MetaData::of(id, hostname, domain, public_keys, vendor_data)
}
