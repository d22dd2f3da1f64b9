//! The metadata block in a script's comments.

use std::collections::BTreeMap;

use maas_netconfig::yaml;
use serde_json::{Map, Value};

use super::{HardwareType, Packages, Parallel, SCRIPT_LIMIT, Script};
use crate::commission::result::ScriptType;

/// Why a script is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// The script is too large.
    #[error("script of {found} bytes, at most {SCRIPT_LIMIT} are allowed")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// The script does not say what runs it.
    #[error("script must begin with a line such as #!/bin/sh")]
    NoInterpreter,
    /// The name cannot be a script's name.
    #[error("script name {found:?}: expected letters, digits and ._+-, not digits alone")]
    Name {
        /// The name, at most 64 characters of it.
        found: String,
    },
    /// The metadata block begins and does not end.
    #[error("script metadata has no end marker")]
    NoEnd,
    /// The metadata block is of a version that is not known.
    #[error("script metadata of version {found:?}, expected 1.0")]
    Version {
        /// The version found.
        found: String,
    },
    /// The metadata block is not YAML.
    #[error("script metadata is not YAML")]
    NotYaml(#[source] Box<yaml::Error>),
    /// A key of the metadata block has a value that is not accepted.
    #[error("script metadata, {key}: expected {expected}, found {found}")]
    Value {
        /// The key.
        key: &'static str,
        /// What was expected.
        expected: &'static str,
        /// What is there, at most 64 characters of it.
        found: String,
    },
}

pub(super) fn parse(name: &str, body: &str) -> Result<Script, ScriptError> {
    if body.len() > SCRIPT_LIMIT {
        return Err(ScriptError::TooLarge { found: body.len() });
    }
    if !body.starts_with("#!/") {
        return Err(ScriptError::NoInterpreter);
    }
    let block = Block(match extract(body)? {
        None => Map::new(),
        Some(text) => match yaml::from_str::<Value>(&text) {
            Ok(Value::Object(members)) => members,
            Ok(Value::Null) => Map::new(),
            Ok(other) => return Err(wrong("the block", "a mapping", &other)),
            Err(error) => return Err(ScriptError::NotYaml(Box::new(error))),
        },
    });
    let name = checked_name(block.text("name")?.unwrap_or_else(|| name.to_owned()))?;
    let mut script = Script {
        title: block.text("title")?.unwrap_or_default(),
        description: block.text("description")?.unwrap_or_default(),
        tags: block.words("tags")?,
        script_type: block
            .one_of("script_type", SCRIPT_TYPES)?
            .unwrap_or(ScriptType::Commissioning),
        hardware_type: block.one_of("hardware_type", HARDWARE_TYPES)?.unwrap_or_default(),
        parallel: block.one_of("parallel", PARALLELS)?.unwrap_or_default(),
        timeout_seconds: block.seconds("timeout")?,
        parameters: block.mapping("parameters")?,
        packages: block.packages()?,
        results: block.results()?,
        destructive: block.flag("destructive")?,
        may_reboot: block.flag("may_reboot")?,
        recommission: block.flag("recommission")?,
        for_hardware: block.words("for_hardware")?,
        apply_configured_networking: block.flag("apply_configured_networking")?,
        is_builtin: false,
        name,
        body: body.to_owned(),
    };
    for (key, parameter) in &mut script.parameters {
        if !parameter.is_object() {
            return Err(wrong("parameters", "a mapping with a type for each parameter", parameter));
        }
        if parameter.get("type").is_none()
            && let Value::Object(members) = parameter
        {
            // `storage:` and `runtime:` speak for themselves.
            members.insert("type".to_owned(), Value::String(key.clone()));
        }
    }
    Ok(script)
}

const SCRIPT_TYPES: &[(&str, ScriptType)] = &[
    ("commissioning", ScriptType::Commissioning),
    ("commission", ScriptType::Commissioning),
    ("0", ScriptType::Commissioning),
    ("testing", ScriptType::Testing),
    ("test", ScriptType::Testing),
    ("2", ScriptType::Testing),
    ("release", ScriptType::Release),
    ("3", ScriptType::Release),
    ("deployment", ScriptType::Deployment),
    ("deploy", ScriptType::Deployment),
    ("4", ScriptType::Deployment),
];

const HARDWARE_TYPES: &[(&str, HardwareType)] = &[
    ("node", HardwareType::Node),
    ("machine", HardwareType::Node),
    ("0", HardwareType::Node),
    ("cpu", HardwareType::Cpu),
    ("1", HardwareType::Cpu),
    ("memory", HardwareType::Memory),
    ("2", HardwareType::Memory),
    ("storage", HardwareType::Storage),
    ("3", HardwareType::Storage),
    ("network", HardwareType::Network),
    ("4", HardwareType::Network),
    ("gpu", HardwareType::Gpu),
    ("5", HardwareType::Gpu),
];

const PARALLELS: &[(&str, Parallel)] = &[
    ("disabled", Parallel::Disabled),
    ("none", Parallel::Disabled),
    ("false", Parallel::Disabled),
    ("0", Parallel::Disabled),
    ("instance", Parallel::Instance),
    ("1", Parallel::Instance),
    ("any", Parallel::Any),
    ("true", Parallel::Any),
    ("enabled", Parallel::Any),
    ("2", Parallel::Any),
];

/// The text of the metadata block without the comment signs.
fn extract(body: &str) -> Result<Option<String>, ScriptError> {
    let mut text: Option<String> = None;
    for line in body.lines() {
        let line = line.trim_end();
        let marker = line
            .trim_start_matches('#')
            .trim()
            .strip_prefix("--- ")
            .and_then(|rest| rest.strip_suffix(" script metadata ---"))
            .filter(|_| line.starts_with('#'));
        match (&mut text, marker) {
            (None, Some(marker)) if marker.starts_with("Start MAAS ") => {
                let version = marker.trim_start_matches("Start MAAS ");
                if version != "1.0" {
                    let found = version.chars().take(64).collect();
                    return Err(ScriptError::Version { found });
                }
                text = Some(String::new());
            }
            (Some(_), Some(marker)) if marker.starts_with("End MAAS ") => return Ok(text),
            (Some(text), _) => {
                let line = line.strip_prefix('#').unwrap_or(line);
                text.push_str(line.strip_prefix(' ').unwrap_or(line));
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    if text.is_some() { Err(ScriptError::NoEnd) } else { Ok(None) }
}

fn checked_name(name: String) -> Result<String, ScriptError> {
    let fits = (1..=255).contains(&name.len())
        && !name.starts_with('.')
        && !name.bytes().all(|byte| byte.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte));
    if fits { Ok(name) } else { Err(ScriptError::Name { found: name.chars().take(64).collect() }) }
}

fn wrong(key: &'static str, expected: &'static str, found: &Value) -> ScriptError {
    ScriptError::Value { key, expected, found: found.to_string().chars().take(64).collect() }
}

/// The block as a mapping.
struct Block(Map<String, Value>);

impl Block {
    fn present(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &'static str) -> Result<Option<String>, ScriptError> {
        match self.present(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(wrong(key, "a text", other)),
        }
    }

    /// A list of texts, or one text with commas.
    fn words(&self, key: &'static str) -> Result<Vec<String>, ScriptError> {
        self.present(key).map_or(Ok(Vec::new()), |value| words(key, value))
    }

    fn flag(&self, key: &'static str) -> Result<bool, ScriptError> {
        match self.present(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if matches!(text.as_str(), "true" | "yes" | "on") => Ok(true),
            Some(Value::String(text)) if matches!(text.as_str(), "false" | "no" | "off") => {
                Ok(false)
            }
            Some(other) => Err(wrong(key, "true or false", other)),
        }
    }

    fn one_of<T: Copy>(
        &self,
        key: &'static str,
        names: &[(&str, T)],
    ) -> Result<Option<T>, ScriptError> {
        let Some(value) = self.present(key) else { return Ok(None) };
        let text = match value {
            Value::String(text) => text.to_ascii_lowercase(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            other => return Err(wrong(key, "one of the known words", other)),
        };
        names
            .iter()
            .find(|(name, _)| *name == text)
            .map(|&(_, meaning)| Some(meaning))
            .ok_or_else(|| wrong(key, "one of the known words", value))
    }

    /// Seconds, or `hours:minutes:seconds`.
    fn seconds(&self, key: &'static str) -> Result<u64, ScriptError> {
        const EXPECTED: &str = "seconds or HH:MM:SS";
        let Some(value) = self.present(key) else { return Ok(0) };
        match value {
            Value::Number(number) => number.as_u64().ok_or_else(|| wrong(key, EXPECTED, value)),
            Value::String(text) => {
                let mut total: u64 = 0;
                let parts: Vec<&str> = text.trim().split(':').collect();
                if parts.len() > 3 {
                    return Err(wrong(key, EXPECTED, value));
                }
                for part in parts {
                    let number: u32 = part.parse().map_err(|_| wrong(key, EXPECTED, value))?;
                    total = total * 60 + u64::from(number);
                }
                Ok(total)
            }
            other => Err(wrong(key, EXPECTED, other)),
        }
    }

    fn mapping(&self, key: &'static str) -> Result<BTreeMap<String, Value>, ScriptError> {
        match self.present(key) {
            None => Ok(BTreeMap::new()),
            Some(Value::Object(members)) => Ok(members.clone().into_iter().collect()),
            Some(other) => Err(wrong(key, "a mapping", other)),
        }
    }

    /// A mapping, or a list of names.
    fn results(&self) -> Result<BTreeMap<String, Value>, ScriptError> {
        match self.present("results") {
            Some(list @ Value::Array(_)) => Ok(words("results", list)?
                .into_iter()
                .map(|name| {
                    let title = Value::String(name.clone());
                    (name, Value::Object(Map::from_iter([("title".to_owned(), title)])))
                })
                .collect()),
            _ => self.mapping("results"),
        }
    }

    fn packages(&self) -> Result<Packages, ScriptError> {
        let found = self.mapping("packages")?;
        let list = |key: &str| found.get(key).map_or(Ok(Vec::new()), |v| words("packages", v));
        Ok(Packages {
            apt: list("apt")?,
            url: list("url")?,
            snap: match found.get("snap") {
                None | Some(Value::Null) => Vec::new(),
                Some(Value::Array(items)) => items.clone(),
                Some(one) => vec![one.clone()],
            },
        })
    }
}

fn words(key: &'static str, value: &Value) -> Result<Vec<String>, ScriptError> {
    const EXPECTED: &str = "a list of texts";
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(key, EXPECTED, item)))
            .collect(),
        other => Err(wrong(key, EXPECTED, other)),
    }
}
