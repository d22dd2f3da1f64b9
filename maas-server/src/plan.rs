//! What the core's plan needs from the database, and the plan that a machine keeps.

use maas_core::cloud_init::VendorData;
use maas_core::deploy::DeploymentPlan;
use maas_core::image::{EphemeralDefaults, Images};
use maas_core::machine::{Machine, Status};

use crate::http::Problem;
use crate::region::Region;
use crate::store::Attachment;

/// The plan that the machine is being, or was, deployed by.
pub(crate) async fn stored(
    region: &Region,
    machine: &Machine,
) -> Result<Option<DeploymentPlan>, Problem> {
    let stored = region.store.attachment(&machine.system_id, Attachment::Plan).await;
    let Some(bytes) = stored.map_err(Problem::internal)? else { return Ok(None) };
    serde_json::from_slice(bytes.expose()).map(Some).map_err(Problem::internal)
}

/// The ephemeral OS for everything but deployments: the usual release when it is there, the newest
/// that is there otherwise.
pub(crate) fn defaults(region: &Region) -> EphemeralDefaults {
    let mut defaults = EphemeralDefaults::default();
    let settings = region.settings();
    if settings.is_set("commissioning_distro_series") {
        defaults.release = settings.text("commissioning_distro_series");
    }
    let images = region.images.current();
    let has = |release: &str| {
        images.0.iter().any(|image| image.os == defaults.osystem && image.release == release)
    };
    if has(&defaults.release) {
        return defaults;
    }
    let release = newest_release(&images, &defaults.osystem);
    EphemeralDefaults { release: release.unwrap_or(defaults.release), ..defaults }
}

/// By the kernels' version: names of releases do not sort.
fn newest_release(images: &Images, os: &str) -> Option<String> {
    let newest = images
        .0
        .iter()
        .filter(|image| image.os == os && !image.is_custom())
        .max_by_key(|image| maas_core::image::Series::find(&image.release).map(|s| s.number()));
    newest.map(|image| image.release.clone())
}

/// The vendor data of a machine, or of one that is enlisting.
pub(crate) async fn vendor_data(
    region: &Region,
    machine: Option<&Machine>,
) -> Result<String, Problem> {
    if let Some(machine) = machine
        && matches!(machine.status, Status::Deploying | Status::Deployed)
        && let Some(plan) = stored(region, machine).await?
    {
        return Ok(plan.meta_data().vendor_data.clone());
    }
    Ok(VendorData::default().item().into_inner())
}

/// The program that unpacks curtin's configuration and runs curtin.
pub(crate) fn installer(region: &Region, plan: &DeploymentPlan) -> Result<Vec<u8>, Problem> {
    let script = plan.installer(region.curtin_pack.as_deref()).map_err(Problem::internal)?;
    Ok(script.into_inner())
}
