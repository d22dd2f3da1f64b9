//! The parameters of a driver as MAAS describes them, and how a machine's are read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{PowerDriver, PowerError, Target};

/// One parameter of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// MAAS's name, e.g. `power_on_uri`.
    pub name: &'static str,
    /// In words.
    pub label: &'static str,
    /// Whether the driver works without it.
    pub required: bool,
    /// What it holds.
    pub kind: Kind,
    /// What it is when it is not given.
    pub default: &'static str,
    /// Whose it is.
    pub scope: Scope,
}

/// What a parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A text.
    Text,
    /// A secret, never shown.
    Password,
    /// A MAC address.
    MacAddress,
    /// One of these values, each with its label.
    Choice(&'static [(&'static str, &'static str)]),
    /// Several of these values, separated by commas or as a JSON list.
    MultipleChoice(&'static [(&'static str, &'static str)]),
}

/// Whether a parameter is the power controller's or the machine's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Of the controller: shared by the machines behind it.
    Bmc,
    /// Of the machine.
    Node,
}

impl Setting {
    /// A text of the controller that may be left out.
    pub(super) const fn text(name: &'static str, label: &'static str) -> Self {
        Self { name, label, required: false, kind: Kind::Text, default: "", scope: Scope::Bmc }
    }

    /// A secret that may be left out.
    pub(super) const fn password(name: &'static str, label: &'static str) -> Self {
        Self { kind: Kind::Password, ..Self::text(name, label) }
    }

    /// One of several values, the default among them.
    pub(super) const fn choice(
        name: &'static str,
        label: &'static str,
        choices: &'static [(&'static str, &'static str)],
        default: &'static str,
    ) -> Self {
        Self { kind: Kind::Choice(choices), default, ..Self::text(name, label) }
    }

    /// The same, required.
    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same, the machine's own.
    pub(super) const fn of_the_node(self) -> Self {
        Self { scope: Scope::Node, ..self }
    }

    /// Whether it must never be shown.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Password)
    }

    /// Checks a value that was given, or that none was.
    ///
    /// # Errors
    ///
    /// [`PowerError::Setting`] for a missing required value and for one that is no choice.
    pub fn check(&self, value: Option<&str>) -> Result<(), PowerError> {
        let problem = |problem: String| PowerError::Setting { name: self.name, problem };
        // A default stands in for what is not given.
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return if self.required && self.default.is_empty() {
                Err(problem("is required".to_owned()))
            } else {
                Ok(())
            };
        };
        let (choices, given): (_, Vec<String>) = match self.kind {
            Kind::Choice(choices) => (choices, vec![value.to_owned()]),
            Kind::MultipleChoice(choices) => (choices, several(value)),
            _ => return Ok(()),
        };
        match given.iter().find(|word| !choices.iter().any(|(known, _)| known == word)) {
            None => Ok(()),
            Some(word) => {
                let known: Vec<&str> = choices.iter().map(|(known, _)| *known).collect();
                let word: String = word.chars().take(32).collect();
                Err(problem(format!("'{word}' is not one of {}", known.join(", "))))
            }
        }
    }

    fn document(&self) -> Value {
        let (field_type, choices) = match self.kind {
            Kind::Text => ("string", &[] as &[(&str, &str)]),
            Kind::Password => ("password", &[] as &[_]),
            Kind::MacAddress => ("mac_address", &[] as &[_]),
            Kind::Choice(choices) => ("choice", choices),
            Kind::MultipleChoice(choices) => ("multiple_choice", choices),
        };
        let default = match self.kind {
            Kind::MultipleChoice(_) => json!(several(self.default)),
            _ => json!(self.default),
        };
        json!({
            "name": self.name,
            "label": self.label,
            "required": self.required,
            "field_type": field_type,
            "choices": choices,
            "default": default,
            "scope": if self.scope == Scope::Bmc { "bmc" } else { "node" },
            "secret": self.is_secret(),
        })
    }
}

/// The words of a multiple choice: a JSON list, or separated by commas.
pub(super) fn several(value: &str) -> Vec<String> {
    serde_json::from_str(value).unwrap_or_else(|_| {
        value.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    })
}

/// The drivers as `describe_power_types` answers them (MAAS API 2.0).
#[must_use]
pub fn describe<'a>(drivers: impl Iterator<Item = &'a dyn PowerDriver>) -> Value {
    drivers
        .map(|driver| {
            json!({
                "name": driver.name(),
                "description": driver.description(),
                "driver_type": "power",
                "chassis": driver.is_chassis(),
                "can_probe": false,
                "can_set_boot_order": false,
                "queryable": driver.is_queryable(),
                "missing_packages": driver.missing_packages(),
                "fields": driver.settings().iter().map(Setting::document).collect::<Vec<_>>(),
            })
        })
        .collect()
}

impl<'a> Target<'a> {
    /// A parameter that was given and is not empty; the end of the line of a file from which it
    /// was sent is none of it.
    pub(super) fn given(&self, name: &str) -> Option<&'a str> {
        let value = self.parameters.get(name)?.trim_end_matches(['\r', '\n']);
        Some(value).filter(|value| !value.is_empty())
    }

    /// A parameter that the driver cannot do without.
    pub(super) fn required(&self, name: &'static str) -> Result<&'a str, PowerError> {
        self.given(name)
            .ok_or_else(|| PowerError::Setting { name, problem: "is required".to_owned() })
    }

    /// A parameter that goes onto a command line, where nothing but itself may be read from it.
    pub(super) fn word(&self, name: &'static str) -> Result<Option<&'a str>, PowerError> {
        let Some(word) = self.given(name) else { return Ok(None) };
        if word.starts_with('-') || word.chars().any(char::is_control) {
            let problem = "must not begin with '-' or hold control characters".to_owned();
            return Err(PowerError::Setting { name, problem });
        }
        Ok(Some(word))
    }
}

/// Checks that parameters are those of a driver.
pub(super) fn check(
    settings: &[Setting],
    parameters: &BTreeMap<String, String>,
) -> Result<(), PowerError> {
    settings
        .iter()
        .try_for_each(|setting| setting.check(parameters.get(setting.name).map(String::as_str)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::power::Drivers;

    #[test]
    fn every_driver_describes_itself_as_maas_does() {
        let all = describe(Drivers::default().iter());
        let all = all.as_array().unwrap();
        for driver in all {
            for key in ["name", "description", "driver_type", "fields", "missing_packages"] {
                assert!(!driver[key].is_null(), "{key} of {driver}");
            }
            for field in driver["fields"].as_array().unwrap() {
                let is_secret = field["secret"].as_bool().unwrap();
                assert_eq!(field["field_type"] == "password", is_secret, "{field}");
                if field["field_type"] == "choice" {
                    let default = &field["default"];
                    let choices = field["choices"].as_array().unwrap();
                    assert!(choices.iter().any(|choice| choice[0] == *default), "{field}");
                }
            }
        }
        let names: Vec<_> = all.iter().filter_map(|driver| driver["name"].as_str()).collect();
        assert_eq!(names, ["manual", "ipmi", "redfish", "virsh", "webhook"]);
        let ipmi = &all[1];
        assert_eq!(ipmi["fields"][0]["name"], "power_driver");
        assert_eq!(ipmi["fields"][0]["default"], "LAN_2_0");
        assert_eq!(ipmi["queryable"], true);
    }

    #[test]
    fn a_value_that_is_no_choice_is_refused_with_those_that_are() {
        let setting = Setting::choice("x", "X", &[("a", "A"), ("b", "B")], "a").required();
        assert!(setting.check(None).is_ok() && setting.check(Some("b")).is_ok());
        let error = setting.check(Some("c")).unwrap_err().to_string();
        assert_eq!(error, "power parameter `x`: 'c' is not one of a, b");
        let several = Setting { kind: Kind::MultipleChoice(&[("a", "A"), ("b", "B")]), ..setting };
        for good in ["a", "a,b", r#"["a", "b"]"#, ""] {
            assert!(several.check(Some(good)).is_ok(), "{good}");
        }
        assert!(several.check(Some("a,c")).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_value_makes_the_check_panic(value in "\\PC{0,40}") {
            for driver in Drivers::default().iter() {
                for setting in driver.settings() {
                    drop(setting.check(Some(&value)));
                }
            }
        }
    }
}
