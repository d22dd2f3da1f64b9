//! The operator's pre-seed: found, filled in, read, and put over the generated configuration.

use maas_netconfig::yaml::{self, Map, Value};

use super::endpoints::Endpoints;
use super::options::DeploymentOptions;
use super::problem::{PlanProblem, Warning};
use crate::image::BootResource;
use crate::machine::{Machine, Precondition};
use crate::template::{Variables, render};

/// Keys without which MAAS would never learn how the installation went.
const RESERVED: [&[&str]; 3] =
    [&["reporting", "maas"], &["late_commands", "maas"], &["sources", "maas"]];

/// The pre-seed document that applies; `None` when there is none.
pub(super) fn preseed(
    machine: &Machine,
    target: &BootResource,
    options: &DeploymentOptions,
    endpoints: &Endpoints,
    problems: &mut Vec<PlanProblem>,
) -> Option<Value> {
    let specifics = [
        target.os.as_str(),
        machine.architecture.arch.as_str(),
        machine.architecture.subarch.as_str(),
        target.release.as_str(),
        machine.hostname.as_str(),
    ];
    let (name, text) = options.preseeds.find("curtin_userdata", &specifics)?;
    let refuse = |problem: String| PlanProblem::Precondition(Precondition::Preseed { problem });
    let fqdn = match machine.domain.as_str() {
        "" => machine.hostname.clone(),
        domain => format!("{}.{domain}", machine.hostname),
    };
    let variables = Variables {
        system_id: machine.system_id.to_string(),
        hostname: machine.hostname.clone(),
        fqdn,
        osystem: target.os.clone(),
        release: target.release.clone(),
        arch: machine.architecture.arch.clone(),
        subarch: machine.architecture.subarch.clone(),
        hwe_kernel: options.hwe_kernel.clone(),
        rack_host: endpoints.rack_host.clone(),
        rack_url: endpoints.rack(),
        metadata_url: endpoints.metadata(),
        owner: machine.owner.clone().unwrap_or_default(),
        pool: machine.pool.clone(),
        zone: machine.zone.clone(),
        tags: machine.tags.clone(),
        owner_data: machine.owner_data.clone(),
    };
    let text = match render(name, text, &variables) {
        Ok(text) => text,
        Err(error) => {
            problems.push(refuse(error.to_string()));
            return None;
        }
    };
    let document = match yaml::from_str::<Value>(&text) {
        Ok(Value::Null) => return None,
        Ok(document @ Value::Map(_)) => document,
        Ok(_) => {
            problems.push(refuse(format!("template {name} does not give a mapping")));
            return None;
        }
        Err(error) => {
            problems.push(refuse(format!("template {name} does not give YAML: {error}")));
            return None;
        }
    };
    for path in RESERVED {
        let found = path.iter().try_fold(&document, |value, key| value.get(key));
        if found.is_some() {
            problems.push(refuse(format!(
                "template {name} sets {}, which MAAS needs for itself",
                path.join(".")
            )));
        }
    }
    // A list or a text in place of a mapping would throw away what is reserved below it.
    for key in ["reporting", "late_commands", "sources"] {
        if document.get(key).is_some_and(|value| value.as_map().is_none()) {
            problems.push(refuse(format!(
                "template {name} sets {key} to something that is no mapping"
            )));
        }
    }
    Some(document)
}

/// One warning for every generated setting that the pre-seed replaces.
pub(super) fn overridden(generated: &Value, preseed: &Value) -> Vec<Warning> {
    let mut paths = Vec::new();
    if let (Value::Map(under), Value::Map(over)) = (generated, preseed) {
        collect(under, over, "", &mut paths);
    }
    paths
        .into_iter()
        .map(|path| Warning::new("preseed-overrides", format!("the pre-seed replaces {path}")))
        .collect()
}

fn collect(under: &Map, over: &Map, prefix: &str, paths: &mut Vec<String>) {
    for (key, value) in over.iter() {
        let path = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
        match (under.get(key), value) {
            (Some(Value::Map(below)), Value::Map(above)) => collect(below, above, &path, paths),
            (Some(below), above) if below != above => paths.push(path),
            _ => {}
        }
    }
}
