//! The parameters of scripts, as forms give them: `SCRIPT_PARAMETER`, or `PARAMETER` for every
//! script that has it (`api.md` §4.1).

use std::collections::BTreeMap;

use maas_core::commission::script::Script;
use maas_core::machine::Machine;
use serde_json::{Value, json};

use crate::http::{Fields, Problem};

/// The values that a form gives to a script's parameters on a machine.
///
/// # Errors
///
/// A value that is not of the parameter's type, under the name of the form's field.
pub(super) fn read(
    fields: &Fields,
    script: &Script,
    machine: &Machine,
) -> Result<BTreeMap<String, Value>, Problem> {
    let mut values = BTreeMap::new();
    for (key, declared) in &script.parameters {
        let own = format!("{}_{key}", script.name);
        let (field, text) = match fields.filled(&own)? {
            Some(text) => (own.as_str(), text),
            None => match fields.filled(key)? {
                Some(text) => (key.as_str(), text),
                None => continue,
            },
        };
        let kind = declared.get("type").and_then(Value::as_str).unwrap_or("string");
        let value = match kind {
            // Every disk or interface is what a script gets without being told.
            "storage" | "interface" if text == "all" => continue,
            "storage" => disk(machine, text),
            "interface" => interface(machine, text),
            "runtime" => text.trim().parse::<u64>().ok().map(Value::from),
            "boolean" => fields.flag(field)?.map(Value::from),
            "choice" => choice(declared, text),
            _ => Some(Value::from(text)),
        };
        let value = value.ok_or_else(|| {
            let found: String = text.chars().take(64).collect();
            let expected = match kind {
                "storage" => "a disk of the machine",
                "interface" => "an interface of the machine",
                "runtime" => "a number of seconds",
                _ => "one of the choices",
            };
            Problem::field(field, format!("'{found}' is not {expected}."))
        })?;
        within(declared, &value).map_err(|message| Problem::field(field, message))?;
        values.insert(key.clone(), value);
    }
    Ok(values)
}

/// The disk with this name, path, serial number or model.
fn disk(machine: &Machine, text: &str) -> Option<Value> {
    let name = text.strip_prefix("/dev/").unwrap_or(text);
    let disks = &machine.hardware.disks;
    let register = machine.storage().register;
    let found = disks.iter().find(|disk| {
        disk.name == name
            || disk.id_path == text
            || (!disk.serial.is_empty() && disk.serial == text)
            || (!disk.model.is_empty() && disk.model == text)
            || text.parse() == Ok(register.device(&disk.name))
    })?;
    Some(json!({
        "name": found.name, "model": found.model, "serial": found.serial,
        "id_path": found.id_path,
    }))
}

/// The interface with this name or MAC address.
fn interface(machine: &Machine, text: &str) -> Option<Value> {
    let mac = maas_core::machine::normal_mac(text);
    let found = machine.hardware.interfaces.iter().find(|interface| {
        interface.name == text || (mac.is_some() && interface.mac_address == mac)
    })?;
    Some(json!({"name": found.name, "mac_address": found.mac_address}))
}

/// One of the declared choices, which are texts or pairs of a text and its label.
fn choice(declared: &Value, text: &str) -> Option<Value> {
    let Some(choices) = declared.get("choices").and_then(Value::as_array) else {
        return Some(Value::from(text));
    };
    let names = |one: &Value| one.as_str().or_else(|| one.get(0)?.as_str()) == Some(text);
    choices.iter().any(names).then(|| Value::from(text))
}

/// Whether a number lies within the declared bounds.
fn within(declared: &Value, value: &Value) -> Result<(), String> {
    let Some(number) = value.as_u64() else { return Ok(()) };
    let bound = |name: &str| declared.get(name).and_then(Value::as_u64);
    if let Some(least) = bound("min")
        && number < least
    {
        return Err(format!("Ensure this value is greater than or equal to {least}."));
    }
    if let Some(most) = bound("max")
        && number > most
    {
        return Err(format!("Ensure this value is less than or equal to {most}."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use maas_core::machine::hardware::{Disk, Interface};

    use super::*;
    use crate::testing::{form, machine};

    fn script() -> Script {
        let mut script = Script::parse("burn", "#!/bin/sh\ntrue\n").unwrap();
        for (name, declared) in [
            ("storage", json!({"type": "storage"})),
            ("interface", json!({"type": "interface"})),
            ("runtime", json!({"type": "runtime", "min": 10, "max": 600})),
            ("loud", json!({"type": "boolean"})),
            ("level", json!({"type": "choice", "choices": [["low", "Low"], "high"]})),
            ("note", json!({"type": "string"})),
        ] {
            script.parameters.insert(name.to_owned(), declared);
        }
        script
    }

    fn told(fields: &[(&str, &str)]) -> Result<BTreeMap<String, Value>, Problem> {
        let mut machine = machine(1);
        machine.hardware.disks =
            vec![Disk { name: "sda".into(), serial: "S1".into(), ..Disk::default() }];
        machine.hardware.interfaces = vec![Interface {
            name: "eth0".into(),
            mac_address: Some("52:54:00:00:00:01".into()),
            ..Interface::default()
        }];
        read(&form(fields), &script(), &machine)
    }

    #[test]
    fn a_parameter_is_told_by_its_name_with_or_without_the_scripts() {
        assert_eq!(told(&[]).unwrap(), BTreeMap::new());
        for field in ["runtime", "burn_runtime"] {
            assert_eq!(told(&[(field, "60")]).unwrap()["runtime"], 60);
        }
        let both = [("runtime", "20"), ("burn_runtime", "30"), ("other_runtime", "40")];
        assert_eq!(told(&both).unwrap()["runtime"], 30);
        for text in ["sda", "/dev/sda", "S1"] {
            assert_eq!(told(&[("storage", text)]).unwrap()["storage"]["name"], "sda", "{text}");
        }
        assert!(told(&[("storage", "all")]).unwrap().is_empty());
        for text in ["eth0", "52:54:00:00:00:01", "52-54-00-00-00-01"] {
            assert_eq!(
                told(&[("interface", text)]).unwrap()["interface"]["name"],
                "eth0",
                "{text}"
            );
        }
        let rest = told(&[("loud", "on"), ("level", "low"), ("note", "x y")]).unwrap();
        assert_eq!(rest["loud"], true);
        assert_eq!((&rest["level"], &rest["note"]), (&json!("low"), &json!("x y")));
    }

    #[test]
    fn what_is_not_of_the_type_is_refused_under_the_forms_name() {
        for (field, text) in [
            ("runtime", "soon"),
            ("runtime", "5"),
            ("burn_runtime", "601"),
            ("storage", "sdb"),
            ("interface", "eth1"),
            ("level", "middling"),
            ("loud", "perhaps"),
        ] {
            match told(&[(field, text)]).unwrap_err() {
                Problem::Fields(errors) => assert_eq!(errors.iter().next().unwrap().0, field),
                other => panic!("{field}={text}: {other:?}"),
            }
        }
    }
}
