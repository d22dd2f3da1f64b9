//! What differs between two networks, setting by setting.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::loss::Loss;
use crate::model::Kind;
use crate::name::IfName;
use crate::params;
use crate::topology::{Device, Topology};
use crate::yaml::Value;

/// One setting that two networks do not have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The device; `None` for the network as a whole.
    pub device: Option<IfName>,
    /// The setting, by the names that [`Loss`] uses.
    pub setting: String,
    /// What the first network has, as text; `None` when nothing.
    pub left: Option<String>,
    /// What the second network has, as text; `None` when nothing.
    pub right: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(device) = &self.device {
            write!(formatter, "{device}.")?;
        }
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(formatter, "{}: {} | {}", self.setting, side(&self.left), side(&self.right))
    }
}

impl Loss {
    /// Whether this loss accounts for a difference between the network and its rendering.
    ///
    /// The loss of a device explains everything about it; other losses explain their setting.
    pub fn explains(&self, difference: &Difference) -> bool {
        self.device == difference.device
            && (self.setting == difference.setting || self.setting == "kind")
    }
}

/// Compares what two networks mean: their normal forms, setting by setting.
pub fn diff(left: &Topology, right: &Topology) -> Vec<Difference> {
    let (left, right) = (left.normal(), right.normal());
    let mut found = Vec::new();
    let names: BTreeSet<&IfName> =
        left.devices.iter().chain(&right.devices).map(|device| &device.name).collect();
    for name in names {
        let sides = [left.device(name), right.device(name)];
        match sides {
            [Some(a), Some(b)] if a == b => {}
            [Some(a), Some(b)] => compare(&mut found, Some(name), &settings(a), &settings(b)),
            [a, b] => found.push(Difference {
                device: Some(name.clone()),
                setting: "kind".to_owned(),
                left: a.map(|device| device.kind.noun().to_owned()),
                right: b.map(|device| device.kind.noun().to_owned()),
            }),
        }
    }
    compare(&mut found, None, &globals(&left), &globals(&right));
    found
}

type Settings = Vec<(String, String)>;

fn compare(
    found: &mut Vec<Difference>,
    device: Option<&IfName>,
    left: &Settings,
    right: &Settings,
) {
    let keys: BTreeSet<&String> = left.iter().chain(right).map(|(key, _)| key).collect();
    for key in keys {
        let of = |side: &Settings| {
            side.iter().find(|(have, _)| have == key).map(|(_, value)| value.clone())
        };
        let (left, right) = (of(left), of(right));
        if left != right {
            found.push(Difference { device: device.cloned(), setting: key.clone(), left, right });
        }
    }
}

fn show(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn join<T: ToString>(items: &[T]) -> Option<String> {
    (!items.is_empty()).then(|| items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

fn globals(topology: &Topology) -> Settings {
    let mut settings = Settings::new();
    if !topology.dns.is_empty() {
        settings.push(("dns".to_owned(), dns(&topology.dns)));
    }
    for (key, value) in &topology.extra {
        settings.push((format!("extra.{key}"), show(value)));
    }
    settings
}

fn dns(dns: &crate::model::Dns) -> String {
    let servers = join(&dns.servers).unwrap_or_default();
    join(&dns.search).map_or_else(|| servers.clone(), |search| format!("{servers} search {search}"))
}

/// Everything a device carries, by the names that losses use.
fn settings(device: &Device) -> Settings {
    let mut settings = Settings::new();
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            settings.push((key.to_owned(), value));
        }
    };
    put("kind", Some(device.kind.noun().to_owned()));
    put("mac", device.kind.mac().map(|mac| mac.to_string()));
    put("mtu", device.mtu.map(|mtu| mtu.to_string()));
    put("accept-ra", device.accept_ra.map(|flag| flag.to_string()));
    put("optional", device.optional.map(|flag| flag.to_string()));
    put("dhcp4", device.dhcp4.then(|| "true".to_owned()));
    put("dhcp6", device.dhcp6.then(|| "true".to_owned()));
    put("addresses", join(&device.addresses));
    put("dns", (!device.dns.is_empty()).then(|| dns(&device.dns)));
    put("routes", (!device.routes.is_empty()).then(|| routes(device)));
    put("policies", (!device.policies.is_empty()).then(|| format!("{:?}", device.policies)));
    match &device.kind {
        Kind::Bond { members, params, .. } => {
            put("members", join(members));
            for (names, value) in params::bond(params) {
                put(&format!("params.{}", names.model), Some(show(&value)));
            }
        }
        Kind::Bridge { members, params, bridge, .. } => {
            put("members", join(members));
            put("bridge", Some(bridge.to_string()));
            for (names, value) in params::bridge(params) {
                put(&format!("params.{}", names.model), Some(show(&value)));
            }
        }
        Kind::Vlan { link, vid } => {
            put("link", Some(link.to_string()));
            put("vid", Some(vid.to_string()));
        }
        Kind::Vrf { table, members } => {
            put("members", join(members));
            put("table", Some(table.to_string()));
        }
        Kind::Veth { peer } => put("peer", Some(peer.to_string())),
        Kind::Tunnel { mode } => put("mode", Some(mode.clone())),
        Kind::Physical { .. } | Kind::Dummy => {}
    }
    for (key, value) in &device.extra {
        settings.push((format!("extra.{key}"), show(value)));
    }
    settings
}

fn routes(device: &Device) -> String {
    let text = |route: &crate::topology::Route| {
        let mut text = route.to.to_string();
        if let Some(via) = route.via {
            text += &format!(" via {via}");
        }
        if let Some(metric) = route.metric {
            text += &format!(" metric {metric}");
        }
        if let Some(table) = route.table {
            text += &format!(" table {table}");
        }
        if route.on_link {
            text += " on-link";
        }
        for (key, value) in &route.extra {
            text += &format!(" {key} {value}");
        }
        text
    };
    device.routes.iter().map(text).collect::<Vec<_>>().join(", ")
}
