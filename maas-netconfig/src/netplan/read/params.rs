//! Bond and bridge parameters of netplan.

use super::Reader;
use crate::error::Code;
use crate::model::{BondParams, BridgeParams};
use crate::name::IfName;
use crate::params::{self, BOND, BRIDGE};
use crate::read::scalar;
use crate::topology::Device;
use crate::yaml::{Map, Node, NodeKind, Value};

impl Reader {
    pub(super) fn bond_params(
        &mut self,
        node: Option<&Node>,
        device: &mut Device,
        path: &str,
    ) -> BondParams {
        let mut params = BondParams::default();
        let Some(fields) = node.and_then(|node| self.found.fields(node, path)) else {
            return params;
        };
        for (key, value) in fields.rest() {
            let at = format!("{path}.parameters.{}", key.text);
            let name = match key.text.as_str() {
                "gratuitous-arp" => "gratuitious-arp",
                "all-members-active" => "all-slaves-active",
                "packets-per-member" => "packets-per-slave",
                other => other,
            };
            let texts: Vec<String> =
                self.found.list(value, &at).into_iter().filter_map(scalar).collect();
            let is_ovs = name == "mode"
                && texts.iter().any(|text| text == "balance-tcp" || text == "balance-slb");
            let names = BOND.iter().find(|names| names.netplan == name);
            let Some(names) = names.filter(|_| !is_ovs) else {
                // Open vSwitch's modes, and in lossless mode keys that netplan does not know.
                let kept = device
                    .extra
                    .entry("parameters".to_owned())
                    .or_insert_with(|| Value::Map(Map::new()));
                if let Value::Map(kept) = kept {
                    kept.insert(key.text.as_str(), value.to_value());
                }
                continue;
            };
            let unit = match names.model {
                "miimon" | "updelay" | "downdelay" | "arp_interval" => 1000,
                "learn_packet_interval" => 1,
                _ => 0,
            };
            let texts: Vec<String> = texts.iter().map(|text| in_units(text, unit)).collect();
            if let Err(message) = params::set_bond(&mut params, names.model, &texts) {
                self.found.error(value, &at, Code::ValueUnfit, message);
            }
        }
        if let Some(primary) =
            params.primary.as_ref().and_then(|name| self.renamed.get(name.as_str()))
        {
            params.primary = Some(primary.clone());
        }
        params
    }

    pub(super) fn bridge_params(&mut self, node: Option<&Node>, path: &str) -> BridgeParams {
        let mut params = BridgeParams::default();
        let Some(fields) = node.and_then(|node| self.found.fields(node, path)) else {
            return params;
        };
        for (key, value) in fields.rest() {
            let at = format!("{path}.parameters.{}", key.text);
            let name = if key.text == "aging-time" { "ageing-time" } else { &key.text };
            let Some(names) = BRIDGE.iter().find(|names| names.netplan == name) else { continue };
            let ports: Vec<(String, String)> = match &value.kind {
                NodeKind::Map(entries) => entries
                    .iter()
                    .map(|(port, number)| {
                        let port = self.renamed.get(&port.text).map_or(&*port.text, IfName::as_str);
                        (port.to_owned(), scalar(number).unwrap_or_default())
                    })
                    .collect(),
                _ => Vec::new(),
            };
            let text = in_units(&scalar(value).unwrap_or_default(), 1);
            if let Err(message) = params::set_bridge(&mut params, names.model, &text, &ports) {
                self.found.error(value, &at, Code::ValueUnfit, message);
            }
        }
        params
    }
}

/// A duration without its suffix, in units of which a second has so many; 0 leaves the text.
fn in_units(text: &str, per_second: u32) -> String {
    let scaled = |number: &str, factor: u32| {
        number.trim().parse::<u32>().ok().and_then(|number| number.checked_mul(factor))
    };
    let number = match per_second {
        0 => None,
        1 => text.strip_suffix('s').and_then(|text| scaled(text, 1)),
        _ => text
            .strip_suffix("ms")
            .and_then(|text| scaled(text, 1))
            .or_else(|| text.strip_suffix('s').and_then(|text| scaled(text, per_second))),
    };
    number.map_or_else(|| text.to_owned(), |number| number.to_string())
}
