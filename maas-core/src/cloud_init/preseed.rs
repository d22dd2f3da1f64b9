//! Pre-seeds: the cloud-config that an ephemeral OS fetches by `cloud-config-url`.

use maas_netconfig::yaml::{self, Map, Value};
use serde::{Deserialize, Serialize};

use super::CLOUD_CONFIG;
use crate::deploy::{AptSettings, Endpoints};
use crate::id::SystemId;
use crate::machine::NodeCredentials;
use crate::secret::Secret;

/// What an ephemeral OS is booted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EphemeralPurpose {
    /// A machine that nobody knows adds itself.
    Enlistment,
    /// Finding out what a machine is.
    Commissioning {
        /// Stay up with SSH afterwards.
        enable_ssh: bool,
    },
    /// Running tests.
    Testing {
        /// Stay up with SSH afterwards.
        enable_ssh: bool,
        /// The machine was on before, and goes back to its disk.
        was_on: bool,
    },
    /// Repairs by hand.
    Rescue,
    /// Wiping the disks.
    Erasing,
    /// Running release scripts.
    Releasing,
    /// Installing an operating system.
    Deployment,
    /// Running an operating system from memory for good.
    EphemeralDeployment,
    /// Only switching off.
    PowerOff,
}

/// What is the same for every ephemeral OS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EphemeralSettings {
    /// The ephemeral operating system.
    pub os: String,
    /// Its series.
    pub release: String,
    /// The Debian architecture.
    pub arch: String,
    /// Archives and proxy.
    #[serde(default)]
    pub apt: AptSettings,
    /// Packages to install in the ephemeral OS. Empty by default: our runner needs nothing but
    /// Python 3, and a machine without an archive must commission too.
    #[serde(default)]
    pub packages: Vec<String>,
}

/// The pre-seed: `#cloud-config` and YAML, with the machine's credentials.
///
/// `machine` is `None` only for [`EphemeralPurpose::Enlistment`]; without credentials the
/// metadata service answers as for an enlisting machine.
#[must_use]
pub fn preseed(
    purpose: EphemeralPurpose,
    machine: Option<(&SystemId, &NodeCredentials)>,
    settings: &EphemeralSettings,
    endpoints: &Endpoints,
) -> Secret<String> {
    let metadata_url = match purpose {
        EphemeralPurpose::Deployment => endpoints.curtin_metadata(),
        _ => endpoints.metadata(),
    };
    let mut maas = Map::new();
    if let Some((_, credentials)) = machine {
        maas = credentials_document(credentials);
    }
    maas.insert("metadata_url", metadata_url);

    let mut document = Map::new();
    document.insert("datasource", Value::map([("MAAS", Value::Map(maas))]));
    document.insert("manage_etc_hosts", true);
    if !settings.packages.is_empty() {
        document.insert("packages", Value::list(settings.packages.iter().map(String::as_str)));
    }
    if let Some((id, credentials)) = machine {
        document.insert("reporting", reporting_document(id, credentials, endpoints));
    }
    let log = match endpoints.log_host() {
        host if host.contains(':') => format!("[{host}]:{}", endpoints.log_port),
        host => format!("{host}:{}", endpoints.log_port),
    };
    document.insert("rsyslog", Value::map([("remotes", Value::map([("maas", Value::from(log))]))]));
    document.insert("apt", settings.apt.document(&settings.os, &settings.release, &settings.arch));
    if let Some(proxy) = &settings.apt.http_proxy
        && settings.os == "ubuntu"
    {
        let commands = ["http", "https"]
            .map(|scheme| Value::from(format!("snap set system proxy.{scheme}=\"{proxy}\"")));
        document.insert("snap", Value::map([("commands", Value::List(commands.to_vec()))]));
    }
    if let Some(power_state) = power_state(purpose) {
        document.insert("power_state", power_state);
    }
    Secret::new(cloud_config(&Value::Map(document)))
}

fn power_state(purpose: EphemeralPurpose) -> Option<Value> {
    let (mode, timeout) = match purpose {
        EphemeralPurpose::Rescue
        | EphemeralPurpose::EphemeralDeployment
        | EphemeralPurpose::Commissioning { enable_ssh: true }
        | EphemeralPurpose::Testing { enable_ssh: true, .. } => return None,
        EphemeralPurpose::Enlistment => ("poweroff", 1800_u32),
        EphemeralPurpose::Deployment | EphemeralPurpose::Testing { was_on: true, .. } => {
            ("reboot", 1800)
        }
        // Wiping a large disk takes days.
        EphemeralPurpose::Erasing => ("poweroff", 604_800),
        EphemeralPurpose::Commissioning { .. }
        | EphemeralPurpose::Testing { .. }
        | EphemeralPurpose::Releasing
        | EphemeralPurpose::PowerOff => ("poweroff", 3600),
    };
    Some(Value::map([
        ("delay", Value::from("now")),
        ("mode", Value::from(mode)),
        ("timeout", Value::from(timeout)),
        ("condition", Value::from(format!("test ! -e /tmp/block-{mode}"))),
    ]))
}

/// A machine's credentials by the names that cloud-init and curtin use.
#[must_use]
pub fn credentials_document(credentials: &NodeCredentials) -> Map {
    Map::from_iter([
        ("consumer_key", Value::from(credentials.consumer_key.as_str())),
        ("token_key", Value::from(credentials.token_key.as_str())),
        ("token_secret", Value::from(credentials.token_secret.expose().as_str())),
    ])
}

/// The `reporting` section: the webhook by which cloud-init and curtin tell what they do.
#[must_use]
pub fn reporting_document(
    machine: &SystemId,
    credentials: &NodeCredentials,
    endpoints: &Endpoints,
) -> Value {
    let mut maas = Map::new();
    maas.insert("type", "webhook");
    maas.insert("endpoint", endpoints.status(machine));
    for (key, value) in credentials_document(credentials) {
        maas.insert(key, value);
    }
    Value::map([("maas", Value::Map(maas))])
}

/// A document as cloud-config text.
pub(crate) fn cloud_config(document: &Value) -> String {
    // The writer fails for compound keys only, which this type cannot hold.
    let body = yaml::to_string(document).unwrap_or_default();
    format!("{CLOUD_CONFIG}{body}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn credentials() -> NodeCredentials {
        NodeCredentials {
            consumer_key: "ck".into(),
            token_key: "tk".into(),
            token_secret: Secret::new("hunter2".into()),
        }
    }

    fn settings() -> EphemeralSettings {
        EphemeralSettings {
            os: "ubuntu".into(),
            release: "noble".into(),
            arch: "amd64".into(),
            apt: AptSettings { http_proxy: Some("http://p:8000/".into()), ..Default::default() },
            packages: Vec::new(),
        }
    }

    fn document(purpose: EphemeralPurpose) -> Value {
        let id = SystemId::from_entropy(7);
        let credentials = credentials();
        let machine = (purpose != EphemeralPurpose::Enlistment).then_some((&id, &credentials));
        let text = preseed(purpose, machine, &settings(), &Endpoints::new("10.0.0.1"));
        assert_eq!(format!("{text:?}"), "[redacted]");
        let text = text.into_inner();
        yaml::from_str(text.strip_prefix(CLOUD_CONFIG).unwrap()).unwrap()
    }

    fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
        path.iter().fold(value, |value, key| value.get(key).unwrap_or(&Value::Null))
    }

    #[test]
    fn an_enlisting_machine_gets_no_credentials_and_switches_off() {
        let document = document(EphemeralPurpose::Enlistment);
        let maas = at(&document, &["datasource", "MAAS"]).as_map().unwrap();
        assert_eq!(maas.len(), 1);
        assert_eq!(
            maas.get("metadata_url").unwrap().as_str(),
            Some("http://10.0.0.1:5248/MAAS/metadata/")
        );
        assert_eq!(at(&document, &["reporting"]), &Value::Null);
        assert_eq!(at(&document, &["power_state", "timeout"]), &Value::Int(1800));
        assert_eq!(
            at(&document, &["power_state", "condition"]).as_str(),
            Some("test ! -e /tmp/block-poweroff")
        );
    }

    #[test]
    fn a_deployment_has_its_own_metadata_url_and_reboots() {
        let document = document(EphemeralPurpose::Deployment);
        assert_eq!(
            at(&document, &["datasource", "MAAS", "metadata_url"]).as_str(),
            Some("http://10.0.0.1:5248/MAAS/metadata/curtin")
        );
        assert_eq!(
            at(&document, &["datasource", "MAAS", "token_secret"]).as_str(),
            Some("hunter2")
        );
        assert_eq!(at(&document, &["power_state", "mode"]).as_str(), Some("reboot"));
        assert_eq!(at(&document, &["reporting", "maas", "type"]).as_str(), Some("webhook"));
        assert!(
            at(&document, &["reporting", "maas", "endpoint"])
                .as_str()
                .unwrap()
                .starts_with("http://10.0.0.1:5248/MAAS/metadata/status/")
        );
    }

    #[test]
    fn each_purpose_ends_as_it_must() {
        for (purpose, end) in [
            (EphemeralPurpose::Commissioning { enable_ssh: false }, Some(("poweroff", 3600))),
            (EphemeralPurpose::Commissioning { enable_ssh: true }, None),
            (EphemeralPurpose::Testing { enable_ssh: false, was_on: true }, Some(("reboot", 1800))),
            (
                EphemeralPurpose::Testing { enable_ssh: false, was_on: false },
                Some(("poweroff", 3600)),
            ),
            (EphemeralPurpose::Testing { enable_ssh: true, was_on: true }, None),
            (EphemeralPurpose::Rescue, None),
            (EphemeralPurpose::Erasing, Some(("poweroff", 604_800))),
            (EphemeralPurpose::Releasing, Some(("poweroff", 3600))),
            (EphemeralPurpose::EphemeralDeployment, None),
            (EphemeralPurpose::PowerOff, Some(("poweroff", 3600))),
        ] {
            let document = document(purpose);
            let found = document.get("power_state").map(|state| {
                let Value::Int(timeout) = *at(state, &["timeout"]) else { panic!("{purpose:?}") };
                (at(state, &["mode"]).as_str().unwrap().to_owned(), timeout)
            });
            assert_eq!(found, end.map(|(mode, t)| (mode.to_owned(), t)), "{purpose:?}");
        }
    }
}
