//! Bond and bridge parameters of v1, in any mixture of dashes and underscores.

use super::Reader;
use crate::error::Code;
use crate::mac::Mac;
use crate::model::{BondParams, BridgeParams};
use crate::params::{self, BOND, BRIDGE};
use crate::yaml::Node;

impl<'a> Reader<'a> {
    pub(super) fn bond_params(&mut self, node: Option<&'a Node>, path: &str) -> BondParams {
        let mut params = BondParams::default();
        let path = format!("{path}.params");
        let Some(fields) = node.and_then(|node| self.found.fields(node, &path)) else {
            return params;
        };
        for (key, value) in fields.rest() {
            let dashed = key.text.replace('_', "-");
            let model = match dashed.as_str() {
                "bond-num-unsol-na" => Some("num_grat_arp"),
                "bond-learn-packet-interval" => Some("learn_packet_interval"),
                _ => BOND.iter().find(|names| names.v1 == dashed).map(|names| names.model),
            };
            let at = format!("{path}.{}", key.text);
            let Some(model) = model else {
                self.found.warn(
                    value,
                    &at,
                    Code::UnknownKey,
                    "no such bond parameter; it is ignored",
                );
                continue;
            };
            let texts: Vec<String> =
                self.found.list(value, &at).into_iter().filter_map(crate::read::scalar).collect();
            if let Err(message) = params::set_bond(&mut params, model, &texts) {
                self.found.error(value, &at, Code::ValueUnfit, message);
            }
        }
        params
    }

    pub(super) fn bridge_params(
        &mut self,
        node: Option<&'a Node>,
        path: &str,
    ) -> (BridgeParams, Option<Mac>) {
        let mut params = BridgeParams::default();
        let mut mac = None;
        let path = format!("{path}.params");
        let Some(fields) = node.and_then(|node| self.found.fields(node, &path)) else {
            return (params, mac);
        };
        for (key, value) in fields.rest() {
            let name = key.text.replace('-', "_");
            let at = format!("{path}.{}", key.text);
            if name == "bridge_hw" {
                mac = self.found.parsed(value, &at);
                continue;
            }
            let Some(names) = BRIDGE.iter().find(|names| names.v1 == name) else {
                self.found.warn(
                    value,
                    &at,
                    Code::UnknownKey,
                    "no such bridge parameter; it is ignored",
                );
                continue;
            };
            let texts: Vec<String> =
                self.found.list(value, &at).into_iter().filter_map(crate::read::scalar).collect();
            let ports: Option<Vec<(String, String)>> = texts
                .iter()
                .map(|text| {
                    let (port, number) = text.trim().split_once(' ')?;
                    Some((port.to_owned(), number.to_owned()))
                })
                .collect();
            let single = texts.first().cloned().unwrap_or_default();
            let per_port = matches!(names.model, "path_cost" | "port_priority");
            let result = match ports {
                None if per_port => Err("expected a list of \"PORT NUMBER\"".to_owned()),
                ports => params::set_bridge(
                    &mut params,
                    names.model,
                    &single,
                    &ports.unwrap_or_default(),
                ),
            };
            if let Err(message) = result {
                self.found.error(value, &at, Code::ValueUnfit, message);
            }
        }
        (params, mac)
    }
}
