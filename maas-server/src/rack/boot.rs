//! Boot loaders and their configurations.

use std::sync::Arc;

use maas_core::boot::{BootConfig, Client, EphemeralBoot, FetchedOver, Loader};
use maas_core::deploy::Endpoints;
use maas_core::image::EphemeralImage;
use maas_core::machine::{Architecture, Event, Machine, Precondition, Purpose};

use super::files::{self, not_found};
use crate::http::{Problem, Reply, Request};
use crate::plan;
use crate::problems::{applied, with_remedy};
use crate::region::{Extras, Region};

/// `GET /{path}`
pub(super) async fn file(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let endpoints = region.endpoints(&request);
    let path = request.param("path");
    let found = files::open(&region, path, &endpoints, FetchedOver::Http).await?;
    Ok(found.reply(&request))
}

/// What a loader is told: by its machine, or enlistment for one that did not say who it is.
pub(super) async fn config(
    region: &Region,
    loader: Loader,
    client: &Client,
    endpoints: &Endpoints,
) -> Result<BootConfig, Problem> {
    let (machine, mac) = match client {
        Client::Mac(mac) => (region.store.machine_by_mac(mac).await, Some(mac.clone())),
        Client::Uuid(uuid) => (region.store.machine_by_uuid(uuid).await, None),
        Client::Unnamed { arch, subarch } => {
            return enlistment(region, arch.as_deref(), subarch.as_deref(), endpoints);
        }
        _ => return Err(not_found()),
    };
    // Not 200 and not 5xx: the loader then tries its next name, down to enlistment.
    let machine = machine.map_err(Problem::internal)?.ok_or_else(not_found)?;
    let event = Event::BootRequested {
        boot_method: loader.boot_method(machine.architecture.arch == "ppc64el").to_owned(),
        mac,
        rack: endpoints.rack_host.clone(),
    };
    let machine = applied(region.apply(&machine.system_id, &event, Extras::default()).await)?;
    tracing::info!(
        system_id = %machine.system_id,
        hostname = %machine.hostname,
        status = machine.status.display_name(),
        purpose = ?machine.purpose(),
        "machine netboots"
    );
    known(region, &machine, endpoints).await
}

async fn known(
    region: &Region,
    machine: &Machine,
    endpoints: &Endpoints,
) -> Result<BootConfig, Problem> {
    let arch = machine.architecture.arch.clone();
    let boot = match machine.purpose() {
        Purpose::Local => return Ok(BootConfig::Local { arch }),
        Purpose::Xinstall | Purpose::Ephemeral => {
            let plan = plan::stored(region, machine)
                .await?
                .ok_or_else(|| Problem::not_found("The machine has no deployment plan."))?;
            return Ok(BootConfig::Ephemeral(Box::new(plan.boot)));
        }
        _ => {
            let defaults = plan::defaults(region);
            let images = region.images.current();
            let minimum = &machine.min_hwe_kernel;
            match images.commissioning(&machine.architecture, minimum, &defaults) {
                Ok(image) => EphemeralBoot::new(
                    &image,
                    &machine.hostname,
                    endpoints.preseed(&machine.system_id),
                ),
                // Nothing is lost by switching a machine off that has nothing to do.
                Err(_) if machine.purpose() == Purpose::Poweroff => {
                    return Ok(BootConfig::PowerOff { arch });
                }
                Err(missing) => return Err(fail(region, machine, &missing).await),
            }
        }
    };
    Ok(BootConfig::Ephemeral(Box::new(boot)))
}

/// A machine that cannot be given its ephemeral OS has failed, with the remedy in its history.
async fn fail(region: &Region, machine: &Machine, missing: &Precondition) -> Problem {
    let message = with_remedy(missing);
    let event = Event::Failed { message: message.clone() };
    if let Err(error) = region.apply(&machine.system_id, &event, Extras::default()).await {
        tracing::warn!(system_id = %machine.system_id, error = %error, "failure not recorded");
    }
    Problem::not_found(message)
}

fn enlistment(
    region: &Region,
    arch: Option<&str>,
    subarch: Option<&str>,
    endpoints: &Endpoints,
) -> Result<BootConfig, Problem> {
    let architecture = Architecture {
        arch: arch.unwrap_or("amd64").to_owned(),
        subarch: subarch.unwrap_or("generic").to_owned(),
    };
    let defaults = plan::defaults(region);
    let images = region.images.current();
    let image: EphemeralImage =
        images.commissioning(&architecture, "", &defaults).map_err(|missing| {
            tracing::warn!(%architecture, "an unknown machine netboots, but no image is there");
            Problem::not_found(with_remedy(&missing))
        })?;
    tracing::info!(%architecture, image = image.resource().name(), "an unknown machine netboots");
    Ok(BootConfig::Ephemeral(Box::new(EphemeralBoot::enlistment(&image, endpoints))))
}
