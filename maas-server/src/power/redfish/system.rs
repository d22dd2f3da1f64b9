//! A computer system: its state, its reset, where it boots from next.

use maas_core::machine::PowerState;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Answer, Client, action};
use crate::power::PowerError;

/// The most systems that a list is read for.
const MOST_SYSTEMS: usize = 1024;

/// The systems of a service, by their paths.
pub(super) async fn list(client: &Client<'_>, at: &str) -> Result<Vec<String>, PowerError> {
    let body = client.get(at).await?.body;
    let members = body["Members"].as_array().ok_or_else(|| action("a list without members"))?;
    let path = |member: &Value| member["@odata.id"].as_str().map(str::to_owned);
    Ok(members.iter().take(MOST_SYSTEMS).filter_map(path).collect())
}

/// A system as it was read.
#[derive(Debug)]
pub(super) struct System {
    path: String,
    answer: Answer,
}

/// Where a system boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Boot {
    /// From the network, the next time only.
    FromNetworkOnce,
}

impl System {
    pub(super) async fn fetch(client: &Client<'_>, path: &str) -> Result<Self, PowerError> {
        let answer = client.get(path).await?;
        Ok(Self { path: path.to_owned(), answer })
    }

    /// The state; a system that is on its way counts as what it was before, so that it is waited
    /// for.
    pub(super) fn power_state(&self) -> PowerState {
        match self.answer.body["PowerState"].as_str() {
            Some("On" | "Paused" | "PoweringOff") => PowerState::On,
            Some("Off" | "PoweringOn") => PowerState::Off,
            _ => PowerState::Unknown,
        }
    }

    /// Resets in the first of these ways that the system knows; in the first one when it does not
    /// tell which it knows.
    pub(super) async fn reset(
        &self,
        client: &Client<'_>,
        ways: &[&'static str],
    ) -> Result<(), PowerError> {
        let about = &self.answer.body["Actions"]["#ComputerSystem.Reset"];
        let known = about["ResetType@Redfish.AllowableValues"].as_array();
        let allowed = |way: &&&str| known.is_none_or(|known| known.iter().any(|it| it == **way));
        let Some(way) = ways.iter().find(allowed) else {
            return Err(action(&format!("that it knows no reset {}", ways.join(" or "))));
        };
        let target = match about["target"].as_str() {
            Some(target) => target.to_owned(),
            None => format!("{}/Actions/ComputerSystem.Reset", self.path),
        };
        let body = json!({ "ResetType": way });
        client.send(Method::POST, &target, Some(&body), None).await?.into_success()?;
        Ok(())
    }
}

impl Boot {
    /// Sets it for a system, in its settings object where it has one.
    pub(super) async fn set(self, client: &Client<'_>, system: &System) -> Result<(), PowerError> {
        let Self::FromNetworkOnce = self;
        let body = json!({
            "Boot": { "BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe" }
        });
        let settings = system.answer.body["@Redfish.Settings"]["SettingsObject"]["@odata.id"]
            .as_str()
            .filter(|path| *path != system.path);
        let path = settings.unwrap_or(&system.path);
        let mut etag = match settings {
            Some(path) => etag(&client.get(path).await?),
            None => etag(&system.answer),
        };
        // What somebody else changed meanwhile is read again, once.
        for attempt in 0..2 {
            let answer = client.send(Method::PATCH, path, Some(&body), etag.as_deref()).await?;
            if answer.status == StatusCode::PRECONDITION_FAILED && attempt == 0 {
                etag = self::etag(&client.get(path).await?);
                continue;
            }
            answer.into_success()?;
            return Ok(());
        }
        Err(action("that its settings change all the time"))
    }
}

fn etag(answer: &Answer) -> Option<String> {
    answer.etag.clone().or_else(|| answer.body["@odata.etag"].as_str().map(str::to_owned))
}
