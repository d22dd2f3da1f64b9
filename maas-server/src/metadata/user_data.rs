//! User data: the runner's for an ephemeral OS, the user's for the deployed system.

use std::sync::Arc;

use maas_core::machine::{Event, Machine, Purpose, Status};
use maas_core::runner;

use super::{caller, check_version, known_caller};
use crate::http::{Problem, Reply, Request};
use crate::plan;
use crate::problems::applied;
use crate::region::{Extras, Region};
use crate::store::Attachment;

const MEDIA_TYPE: &str = "application/octet-stream";

/// `GET …/{version}/user-data`
pub(super) async fn target(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    let Some(machine) = caller(&region, &request).await? else {
        return Ok(Reply::bytes(MEDIA_TYPE, runner::user_data()));
    };
    if !is_the_users(&machine) {
        return Ok(Reply::bytes(MEDIA_TYPE, ephemeral(&machine)));
    }
    // Read before the machine is told to have arrived: a failure here must be retried.
    let user_data = stored(&region, &machine).await?;
    // A look by HEAD is no arrival.
    if machine.status == Status::Deploying && !request.is_head() {
        applied(
            region.apply(&machine.system_id, &Event::UserDataFetched, Extras::default()).await,
        )?;
    }
    match user_data {
        Some(bytes) => Ok(Reply::bytes(MEDIA_TYPE, bytes)),
        None => Err(Problem::not_found("No user data available for this node.")),
    }
}

/// `GET …/curtin/{version}/user-data`
pub(super) async fn installer_os(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    let machine = known_caller(&region, &request).await?;
    Ok(Reply::bytes(MEDIA_TYPE, ephemeral(&machine)))
}

/// `GET …/curtin/{version}/curtin-installer`
pub(super) async fn installer(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    let machine = known_caller(&region, &request).await?;
    if machine.status != Status::Deploying {
        return Err(Problem::Conflict(format!(
            "No installation is going on: the machine is in the '{}' state.",
            machine.status.display_name()
        )));
    }
    let plan = plan::stored(&region, &machine)
        .await?
        .ok_or_else(|| Problem::not_found("The machine has no deployment plan."))?;
    let script = plan::installer(&region, &plan)?;
    Ok(Reply::bytes("text/x-shellscript", script))
}

/// Whether the version's listing names user data.
pub(super) async fn has_some(region: &Region, machine: &Machine) -> Result<bool, Problem> {
    Ok(!is_the_users(machine) || stored(region, machine).await?.is_some())
}

/// A deployed system gets what its user gave; everything before it is an ephemeral OS.
fn is_the_users(machine: &Machine) -> bool {
    matches!(machine.status, Status::Deploying | Status::Deployed)
}

fn ephemeral(machine: &Machine) -> Vec<u8> {
    if machine.purpose() == Purpose::Poweroff {
        runner::poweroff_user_data()
    } else {
        runner::user_data()
    }
}

async fn stored(region: &Region, machine: &Machine) -> Result<Option<Vec<u8>>, Problem> {
    let stored = region.store.attachment(&machine.system_id, Attachment::UserData).await;
    Ok(stored.map_err(Problem::internal)?.map(maas_core::secret::Secret::into_inner))
}
