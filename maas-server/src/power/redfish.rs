//! The Redfish driver: the controller's own web service switches the machine (MAAS `redfish`,
//! DSP0266 and the ComputerSystem schema).

mod client;
mod system;

use std::time::Duration;

use maas_core::machine::PowerState;

use self::client::{Client, Clients};
use self::system::{Boot, System};
use super::setting::Setting;
use super::{BoxFuture, PowerDriver, PowerError, Target};

/// The service's list of systems.
const SYSTEMS: &str = "/redfish/v1/Systems";

const YES_NO: &[(&str, &str)] = &[("y", "Yes"), ("n", "No")];

const SETTINGS: &[Setting] = &[
    Setting::text("power_address", "Redfish address").required(),
    Setting::text("power_user", "Redfish user").required(),
    Setting::password("power_pass", "Redfish password").required(),
    Setting::text("node_id", "Node ID").of_the_node(),
    // Beyond MAAS's, which never looks at the certificate.
    Setting::choice("power_verify_ssl", "Verify the certificate", YES_NO, "y"),
    Setting::choice(
        "power_off_mode",
        "Power off mode",
        &[("hard", "Hard power off"), ("soft", "Soft power off")],
        "hard",
    ),
];

/// Talks Redfish.
#[derive(Debug, Default)]
pub(super) struct Redfish {
    clients: Clients,
}

impl PowerDriver for Redfish {
    fn name(&self) -> &'static str {
        "redfish"
    }

    fn description(&self) -> &'static str {
        "Redfish"
    }

    fn settings(&self) -> &'static [Setting] {
        SETTINGS
    }

    /// A shutdown by the operating system takes its time.
    fn waits(&self) -> &'static [Duration] {
        const WAITS: [Duration; 9] = [
            Duration::from_millis(500),
            Duration::from_secs(1),
            Duration::from_secs(2),
            Duration::from_secs(4),
            Duration::from_secs(6),
            Duration::from_secs(8),
            Duration::from_secs(12),
            Duration::from_secs(16),
            Duration::from_secs(16),
        ];
        &WAITS
    }

    fn power_on<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), PowerError>> {
        Box::pin(async move {
            let (client, path) = self.find(target).await?;
            let system = System::fetch(&client, &path).await?;
            Boot::FromNetworkOnce.set(&client, &system).await?;
            system.reset(&client, &["On", "ForceOn"]).await
        })
    }

    fn power_off<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), PowerError>> {
        Box::pin(async move {
            let (client, path) = self.find(target).await?;
            let system = System::fetch(&client, &path).await?;
            let how: &[&'static str] = match target.given("power_off_mode") {
                Some("soft") => &["GracefulShutdown"],
                _ => &["ForceOff"],
            };
            system.reset(&client, how).await
        })
    }

    fn query<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<PowerState, PowerError>> {
        Box::pin(async move {
            let (client, path) = self.find(target).await?;
            Ok(System::fetch(&client, &path).await?.power_state())
        })
    }
}

impl Redfish {
    /// The client and the path of the machine's system.
    async fn find<'a>(&'a self, target: Target<'a>) -> Result<(Client<'a>, String), PowerError> {
        super::setting::check(SETTINGS, target.parameters)?;
        let client = self.clients.client(target)?;
        if let Some(id) = target.given("node_id") {
            let is_plain =
                id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte));
            if !is_plain || id.starts_with('.') {
                let problem = "is no identifier of a system".to_owned();
                return Err(PowerError::Setting { name: "node_id", problem });
            }
            return Ok((client, format!("{SYSTEMS}/{id}")));
        }
        let paths = system::list(&client, SYSTEMS).await?;
        match paths.as_slice() {
            [path] => Ok((client, path.clone())),
            [] => Err(PowerError::Action { detail: "a list without systems".to_owned() }),
            // Which of several blades it is cannot be guessed: the wrong one would go off.
            several => {
                let names: Vec<&str> =
                    several.iter().filter_map(|path| path.rsplit('/').next()).take(16).collect();
                let problem = format!("must be one of {}", names.join(", "));
                Err(PowerError::Setting { name: "node_id", problem })
            }
        }
    }
}

#[cfg(test)]
mod tests;
