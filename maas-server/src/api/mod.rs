//! The MAAS API 2.0: one row and one short function per operation.

mod account;
mod actions;
mod adding;
mod allocate;
mod boot_resources;
mod boot_sources;
mod configuration;
mod constraints;
#[cfg(test)]
mod contract;
mod controllers;
mod dates;
mod details;
mod devices;
mod events;
mod explain;
mod files;
mod fleet;
mod interfaces;
mod ipam;
mod list;
mod login;
mod machines;
mod nodes;
mod possible;
mod preseeds;
mod results;
mod script_parameters;
mod scripts;
mod settings;
mod ssh_import;
mod ssh_keys;
mod storage;
mod tags;
mod users;
mod version;
pub(crate) mod view;
mod zones;

pub(crate) use configuration::storage_layout;
pub(crate) use version::MAAS_VERSION;

use std::collections::BTreeMap;

use maas_core::machine::interface::AcquiredBridges;
use maas_core::machine::{Actor, Role as CoreRole};
use serde_json::Value;

use crate::http::{FieldErrors, Fields, Operation, Param, Problem, Request, Role};
use crate::region::Region;

/// Every operation of the API.
#[must_use]
pub fn operations() -> Vec<Operation<Region>> {
    [
        version::operations(),
        users::operations(),
        account::operations(),
        ssh_keys::operations(),
        ssh_import::operations(),
        machines::operations(),
        adding::operations(),
        allocate::operations(),
        actions::operations(),
        possible::operations(),
        devices::operations(),
        interfaces::operations(),
        nodes::operations(),
        results::operations(),
        events::operations(),
        explain::operations(),
        preseeds::operations(),
        ipam::operations(),
        boot_sources::operations(),
        storage::operations(),
        boot_resources::operations(),
        controllers::operations(),
        details::operations(),
        files::operations(),
        fleet::operations(),
        list::operations(),
        login::operations(),
        scripts::operations(),
        settings::operations(),
        tags::operations(),
        zones::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The signed-in user as the core knows users.
pub(crate) fn actor(request: &Request) -> Result<Actor, Problem> {
    let user = request
        .caller()
        .user()
        .ok_or_else(|| Problem::unauthorized("Authorization Error: no credentials were given."))?;
    let role = match user.role {
        Role::Admin => CoreRole::Admin,
        Role::User => CoreRole::User,
    };
    Ok(Actor { username: user.name.clone(), role })
}

/// The parameters of bridges on all interfaces, of allocations and deployments.
const BRIDGES: &[Param] = &[
    Param::optional("bridge_all", "Whether every configured interface gets a bridge."),
    Param::optional("bridge_type", "standard or ovs."),
    Param::optional("bridge_stp", "Whether the spanning tree protocol runs."),
    Param::optional("bridge_fd", "Seconds in the listening and learning states; 15."),
];

/// The bridges that the caller asks for, if any.
fn bridges(fields: &Fields) -> Result<Option<AcquiredBridges>, Problem> {
    let mut errors = FieldErrors::new();
    let wanted = errors.collect(fields.flag("bridge_all")).unwrap_or(false);
    let bridges = AcquiredBridges {
        kind: errors.collect(fields.parsed("bridge_type")).unwrap_or_default(),
        stp: errors.collect(fields.flag("bridge_stp")).unwrap_or(false),
        forward_delay: errors.collect(fields.number("bridge_fd")),
    };
    errors.done()?;
    Ok(wanted.then_some(bridges))
}

/// Power parameters as MAAS's clients send them: a JSON object of texts, numbers and truth
/// values. `None` for anything else.
pub(crate) fn power_parameters(text: &str) -> Option<BTreeMap<String, String>> {
    let Value::Object(members) = serde_json::from_str(text).ok()? else { return None };
    members
        .into_iter()
        .map(|(name, value)| {
            let value = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => if flag { "y" } else { "n" }.to_owned(),
                Value::Null => String::new(),
                Value::Array(_) | Value::Object(_) => return None,
            };
            Some((name, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_parameters_are_an_object_of_plain_values() {
        let read = power_parameters(r#"{"power_address": "10.0.0.9", "port": 443, "k": null}"#);
        let read = read.unwrap_or_default();
        assert_eq!(read["port"], "443");
        assert_eq!(read["k"], "");
        assert_eq!(power_parameters("[]"), None);
        assert_eq!(power_parameters(r#"{"a": {}}"#), None);
    }
}
