//! `cloud-config-url`: the first thing that cloud-init fetches, without credentials, to get them.

use std::sync::Arc;

use maas_core::cloud_init::{EphemeralPurpose, EphemeralSettings, preseed};
use maas_core::deploy::AptSettings;
use maas_core::id::SystemId;
use maas_core::machine::{Machine, PowerState, Purpose, Status};

use super::check_version;
use crate::http::{Problem, Reply, Request};
use crate::plan;
use crate::problems::NO_MACHINE;
use crate::region::Region;

const MEDIA_TYPE: &str = "text/plain; charset=utf-8";

/// `GET …/by-id/{system_id}/?op=get_preseed`
///
/// It holds the machine's credentials and is asked for without any, so it is only there while the
/// machine is meant to boot an ephemeral OS.
pub(super) async fn known(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    let machine = by_id(&region, &request).await?;
    let Some(purpose) = ephemeral_purpose(&machine) else {
        return Err(Problem::Conflict(format!(
            "No ephemeral OS is to boot: the machine is in the '{}' state.",
            machine.status.display_name()
        )));
    };
    let settings = settings(&region, &machine.architecture.arch);
    let identity = (&machine.system_id, &machine.credentials);
    let text = preseed(purpose, Some(identity), &settings, &region.endpoints(&request));
    Ok(Reply::bytes(MEDIA_TYPE, text.into_inner()))
}

/// `GET …/enlist-preseed/?op=get_enlist_preseed`
pub(super) async fn enlistment(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    let settings = settings(&region, "amd64");
    let endpoints = region.endpoints(&request);
    let text = preseed(EphemeralPurpose::Enlistment, None, &settings, &endpoints);
    Ok(Reply::bytes(MEDIA_TYPE, text.into_inner()))
}

/// The machine that the path names.
pub(super) async fn by_id(region: &Region, request: &Request) -> Result<Arc<Machine>, Problem> {
    let unknown = || Problem::not_found(NO_MACHINE);
    let id: SystemId = request.param("system_id").parse().map_err(|_| unknown())?;
    region.store.machine(&id).await.map_err(Problem::internal)?.ok_or_else(unknown)
}

fn ephemeral_purpose(machine: &Machine) -> Option<EphemeralPurpose> {
    Some(match machine.purpose() {
        Purpose::Local => return None,
        Purpose::Xinstall => EphemeralPurpose::Deployment,
        Purpose::Ephemeral => EphemeralPurpose::EphemeralDeployment,
        Purpose::Poweroff => EphemeralPurpose::PowerOff,
        _ => match machine.status {
            Status::Testing => EphemeralPurpose::Testing {
                enable_ssh: machine.enable_ssh,
                was_on: machine.power.state == PowerState::On
                    && machine.previous_status == Status::Deployed,
            },
            Status::EnteringRescueMode | Status::RescueMode => EphemeralPurpose::Rescue,
            Status::DiskErasing => EphemeralPurpose::Erasing,
            Status::Releasing => EphemeralPurpose::Releasing,
            _ => EphemeralPurpose::Commissioning { enable_ssh: machine.enable_ssh },
        },
    })
}

fn settings(region: &Region, arch: &str) -> EphemeralSettings {
    let defaults = plan::defaults(region);
    EphemeralSettings {
        os: defaults.osystem,
        release: defaults.release,
        arch: arch.to_owned(),
        apt: AptSettings { http_proxy: region.settings().http_proxy(), ..AptSettings::default() },
        packages: Vec::new(),
    }
}
