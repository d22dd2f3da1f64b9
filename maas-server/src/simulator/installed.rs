//! The installed system: at its first boot it introduces itself to the metadata service.

use super::boot::{Boot, Outcome};
use super::cloud_init::{self, CloudConfig, PowerState};
use super::error::Stuck;
use super::event::Stage;
use super::fault::FaultKind;
use super::machine::Disk;
use super::user_data::{self, Kind};

/// From the disk's boot loader to the login prompt.
pub(crate) async fn boot(boot: &Boot) -> Result<Outcome, Stuck> {
    let disk = boot.machine.read(|state| state.disk.clone());
    let Disk::Installed(system) = disk else {
        return Err(Stuck("nothing on the disk that boots".to_owned()));
    };
    boot.tell(Stage::LocalBoot, "from the disk").await;
    boot.pace.work(15.0).await;
    if boot.strikes(FaultKind::NoPhoneHome) {
        boot.tell(Stage::Fault, FaultKind::NoPhoneHome.name()).await;
        return Ok(Outcome::StaysOn);
    }
    if system.initialised && system.manual_cache_clean {
        boot.tell(Stage::Running, "up again, from cloud-init's cache").await;
        return Ok(Outcome::StaysOn);
    }
    let Some(metadata) = cloud_init::installed(boot, &system).await? else {
        boot.tell(Stage::Running, "up; its cloud-init was given no MAAS datasource").await;
        return Ok(Outcome::StaysOn);
    };
    // `power_state` acts once for each instance.
    let is_new = system.instance_id.as_deref() != Some(metadata.instance_id.as_str());
    let wish =
        metadata.user_data.as_deref().filter(|_| is_new).map_or(PowerState::Unchanged, |b| {
            user_data::parts(b)
                .into_iter()
                .filter(|part| part.kind == Kind::CloudConfig)
                .filter_map(|part| CloudConfig::parse(&part.text()).ok())
                .map(|config| config.power_state)
                .fold(
                    PowerState::Unchanged,
                    |old, new| {
                        if new == PowerState::Unchanged { old } else { new }
                    },
                )
        });
    let hostname = metadata.hostname.clone();
    boot.machine.change(&boot.shared, |state| {
        if let Disk::Installed(system) = &mut state.disk {
            system.initialised = true;
            system.hostname = Some(metadata.hostname);
            system.instance_id = Some(metadata.instance_id);
            system.ssh_keys = metadata.public_keys;
            system.vendor_data = metadata.vendor_data;
            system.user_data =
                metadata.user_data.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        }
    });
    boot.tell(Stage::Running, format!("{hostname} is up")).await;
    Ok(wish.into())
}
