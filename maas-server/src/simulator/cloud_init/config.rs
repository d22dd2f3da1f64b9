//! The parts of a cloud-config that decide what a machine asks, reports and does at the end.

use std::fmt;

use serde_json::Value;

use crate::simulator::machine::{Datasource, Reporting};
use crate::simulator::oauth::Credentials;

/// A cloud-config as far as it matters here.
#[derive(Debug, Clone)]
pub(crate) struct CloudConfig {
    pub(crate) datasource: Option<Datasource>,
    pub(crate) reporting: Option<Reporting>,
    pub(crate) power_state: PowerState,
    pub(crate) manual_cache_clean: bool,
}

/// What `power_state` asks for once everything has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PowerState {
    Reboot,
    PowerOff,
    Unchanged,
}

impl fmt::Display for PowerState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Reboot => "reboot",
            Self::PowerOff => "poweroff",
            Self::Unchanged => "none",
        })
    }
}

/// Reads YAML as JSON.
pub(crate) fn yaml(text: &str) -> Result<Value, String> {
    maas_netconfig::yaml::from_str(text).map_err(|error| error.to_string())
}

impl CloudConfig {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        yaml(text).map(|value| Self::read(&value))
    }

    pub(crate) fn read(config: &Value) -> Self {
        Self {
            datasource: datasource(&config["datasource"]["MAAS"]),
            reporting: reporting(&config["reporting"]),
            power_state: power_state(&config["power_state"]),
            manual_cache_clean: config["manual_cache_clean"] == Value::Bool(true),
        }
    }
}

fn datasource(section: &Value) -> Option<Datasource> {
    let metadata_url = section["metadata_url"].as_str()?.to_owned();
    Some(Datasource { metadata_url, credentials: Credentials::read(section) })
}

/// The first webhook of a `reporting` section; cloud-init and curtin read the same shape.
pub(crate) fn reporting(section: &Value) -> Option<Reporting> {
    section.as_object()?.values().find_map(|handler| {
        if handler["type"] != "webhook" {
            return None;
        }
        let endpoint = handler["endpoint"].as_str()?.to_owned();
        Some(Reporting { endpoint, credentials: Credentials::read(handler) })
    })
}

fn power_state(section: &Value) -> PowerState {
    if !holds(&section["condition"]) {
        return PowerState::Unchanged;
    }
    match section["mode"].as_str() {
        Some("reboot") => PowerState::Reboot,
        Some("poweroff" | "halt") => PowerState::PowerOff,
        _ => PowerState::Unchanged,
    }
}

/// Whether a condition holds on a machine where no script left a file to block it.
fn holds(condition: &Value) -> bool {
    let words: Vec<&str> = match condition {
        Value::Null => return true,
        Value::Bool(value) => return *value,
        Value::String(command) => command.split_whitespace().collect(),
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        _ => return false,
    };
    !matches!(words[..], ["test" | "[", "-e" | "-f" | "-d", ..] | ["false"])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_commissioning_preseed_is_read() {
        let config = CloudConfig::parse(
            "#cloud-config\ndatasource:\n  MAAS:\n    metadata_url: http://r/MAAS/metadata/\n    \
             consumer_key: ck\n    token_key: tk\n    token_secret: ts\nreporting:\n  maas:\n    \
             type: webhook\n    endpoint: http://r/MAAS/metadata/status/abc123\n    \
             consumer_key: ck\n    token_key: tk\n    token_secret: ts\npower_state:\n  \
             delay: now\n  mode: poweroff\n  timeout: 3600\n  \
             condition: test ! -e /tmp/block-poweroff\n",
        )
        .unwrap();
        let datasource = config.datasource.unwrap();
        assert_eq!(datasource.metadata_url, "http://r/MAAS/metadata/");
        assert_eq!(datasource.credentials.unwrap().token_secret, "ts");
        assert_eq!(config.reporting.unwrap().endpoint, "http://r/MAAS/metadata/status/abc123");
        assert_eq!(config.power_state, PowerState::PowerOff);
    }

    #[test]
    fn an_enlistment_preseed_has_no_keys_and_conditions_are_honoured() {
        let config = CloudConfig::parse(
            "#cloud-config\ndatasource: {MAAS: {metadata_url: http://r/}}\n\
             power_state: {mode: reboot, condition: test -e /tmp/x}\n",
        )
        .unwrap();
        assert_eq!(config.datasource.unwrap().credentials, None);
        assert!(config.reporting.is_none());
        assert_eq!(config.power_state, PowerState::Unchanged);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(
            text in "(datasource: |MAAS: |reporting: |power_state: |\\{|\\}|\n|  |- |mode: |[ a-z:'\"é])*"
        ) {
            let _ = CloudConfig::parse(&text);
        }
    }
}
