//! The report of what a translation could not carry over.

use std::fmt;

use serde::Serialize;

use crate::name::IfName;
use crate::yaml::{self, Value};

/// What happened to a setting in translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It is not in the output.
    Dropped,
    /// Something similar is in the output.
    Approximated,
}

/// One setting that the output does not carry as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Loss {
    /// The device that had the setting; `None` for the network as a whole.
    pub device: Option<IfName>,
    /// The setting, such as `mtu`, `params.primary` or `extra.wakeonlan`.
    pub setting: String,
    /// What happened to it.
    pub effect: Effect,
    /// Why, and what the consequence is.
    pub reason: String,
}

impl Loss {
    pub(crate) fn dropped(
        device: &IfName,
        setting: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            device: Some(device.clone()),
            setting: setting.into(),
            effect: Effect::Dropped,
            reason: reason.into(),
        }
    }

    pub(crate) fn approximated(
        device: &IfName,
        setting: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self { effect: Effect::Approximated, ..Self::dropped(device, setting, reason) }
    }

    pub(crate) fn global(setting: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            device: None,
            setting: setting.into(),
            effect: Effect::Dropped,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.effect {
            Effect::Dropped => "lost",
            Effect::Approximated => "approximated",
        };
        match &self.device {
            Some(device) => write!(formatter, "{verb}: {device}.{}: {}", self.setting, self.reason),
            None => write!(formatter, "{verb}: {}: {}", self.setting, self.reason),
        }
    }
}

/// A rendered document together with what it does not carry.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rendered {
    /// The document: a mapping with the single key `network`.
    pub document: Value,
    /// Every setting that the document does not carry as it was.
    pub losses: Vec<Loss>,
}

impl Rendered {
    pub(crate) fn new(network: Value, losses: Vec<Loss>) -> Self {
        Self { document: Value::map([("network", network)]), losses }
    }

    /// What is below the key `network`.
    pub fn network(&self) -> &Value {
        self.document.get("network").unwrap_or(&Value::Null)
    }

    /// The document as YAML.
    pub fn to_yaml(&self) -> String {
        yaml::write(&self.document)
    }
}
