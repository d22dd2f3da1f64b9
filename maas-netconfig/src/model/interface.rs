//! One interface: its kind, MTU and links.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BondParams, BridgeKind, BridgeParams, Link};
use crate::mac::Mac;
use crate::mtu::Mtu;
use crate::name::IfName;
use crate::vid::Vid;
use crate::yaml::Value;

/// One network interface of a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Interface {
    /// Its name on the deployed system.
    pub name: IfName,
    /// What it is made of.
    pub kind: Kind,
    /// A disabled interface is not rendered, nor is anything that has only disabled parents.
    pub enabled: bool,
    /// The VLAN it is plugged into; `None` when it is disconnected or unknown.
    pub vlan: Option<Vlan>,
    /// Its own MTU; `None` takes the VLAN's, or 1500.
    pub mtu: Option<Mtu>,
    /// Whether IPv6 router advertisements are accepted; `None` leaves it to the system.
    pub accept_ra: Option<bool>,
    /// How it gets addresses; in order of importance.
    pub links: Vec<Link>,
    /// Further netplan keys of the device, by name (`wakeonlan`, `dhcp4-overrides`, ...), as
    /// netplan's reference documents them.
    pub extra: BTreeMap<String, Value>,
}

impl Interface {
    /// An enabled interface without links.
    pub fn new(name: IfName, kind: Kind) -> Self {
        Self {
            name,
            kind,
            enabled: true,
            vlan: None,
            mtu: None,
            accept_ra: None,
            links: Vec::new(),
            extra: BTreeMap::new(),
        }
    }

    /// An enabled network card without links.
    pub fn physical(name: IfName, mac: Mac) -> Self {
        Self::new(name, Kind::Physical { mac: Some(mac) })
    }

    /// The same interface with one more link.
    #[must_use]
    pub fn with_link(mut self, link: Link) -> Self {
        self.links.push(link);
        self
    }
}

/// The VLAN that an interface is plugged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vlan {
    /// MTU of the VLAN.
    pub mtu: Mtu,
}

/// What an interface is made of.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A network card.
    Physical {
        /// Its hardware address; `None` only in configurations that name the card otherwise.
        mac: Option<Mac>,
    },
    /// Several cards as one link.
    Bond {
        /// Its hardware address; `None` takes the first member's.
        mac: Option<Mac>,
        /// The cards.
        members: Vec<IfName>,
        /// Mode and timers.
        params: BondParams,
    },
    /// A software switch.
    Bridge {
        /// Its hardware address; `None` takes the first member's.
        mac: Option<Mac>,
        /// Its ports.
        members: Vec<IfName>,
        /// Linux bridge or Open vSwitch.
        bridge: BridgeKind,
        /// Spanning tree and timers.
        params: BridgeParams,
    },
    /// A tagged VLAN on another interface.
    Vlan {
        /// The interface that carries the tag.
        link: IfName,
        /// The tag, 1 to 4094.
        vid: Vid,
    },
    /// A virtual routing domain (netplan only).
    Vrf {
        /// Its routing table.
        table: u32,
        /// The interfaces in it.
        members: Vec<IfName>,
    },
    /// An interface without hardware (netplan only).
    Dummy,
    /// One end of a virtual cable (netplan only).
    Veth {
        /// The other end.
        peer: IfName,
    },
    /// A tunnel (netplan only); its other settings are in `extra` by netplan's names.
    Tunnel {
        /// Netplan's mode, such as `vxlan`, `gre` or `wireguard`.
        mode: String,
    },
}

impl Kind {
    /// The interfaces this one is built on.
    pub fn parents(&self) -> &[IfName] {
        match self {
            Self::Bond { members, .. }
            | Self::Bridge { members, .. }
            | Self::Vrf { members, .. } => members,
            Self::Vlan { link, .. } => std::slice::from_ref(link),
            Self::Physical { .. } | Self::Dummy | Self::Veth { .. } | Self::Tunnel { .. } => &[],
        }
    }

    /// The hardware address given to it.
    pub fn mac(&self) -> Option<Mac> {
        match self {
            Self::Physical { mac } | Self::Bond { mac, .. } | Self::Bridge { mac, .. } => *mac,
            _ => None,
        }
    }

    /// The word for it in configurations and messages.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Physical { .. } => "physical",
            Self::Bond { .. } => "bond",
            Self::Bridge { .. } => "bridge",
            Self::Vlan { .. } => "vlan",
            Self::Vrf { .. } => "vrf",
            Self::Dummy => "dummy",
            Self::Veth { .. } => "veth",
            Self::Tunnel { .. } => "tunnel",
        }
    }
}

/// The flat serialised form: one mapping per interface, keys by `type`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    name: IfName,
    #[serde(rename = "type")]
    kind: WireKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<Mac>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    members: Option<Vec<IfName>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bridge: Option<BridgeKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    params: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<IfName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vid: Option<Vid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<IfName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(default = "enabled", skip_serializing_if = "Clone::clone")]
    enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vlan: Option<Vlan>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mtu: Option<Mtu>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accept_ra: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<String, Value>,
}

fn enabled() -> bool {
    true
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireKind {
    Physical,
    Bond,
    Bridge,
    Vlan,
    Vrf,
    Dummy,
    Veth,
    Tunnel,
}

/// Keys that belong to some kinds only, for the refusal of misplaced ones.
fn misplaced(wire: &Wire) -> Option<&'static str> {
    use WireKind as K;
    [
        ("mac", wire.mac.is_some(), &[K::Physical, K::Bond, K::Bridge][..]),
        ("members", wire.members.is_some(), &[K::Bond, K::Bridge, K::Vrf]),
        ("bridge", wire.bridge.is_some(), &[K::Bridge]),
        ("params", wire.params.is_some(), &[K::Bond, K::Bridge]),
        ("link", wire.link.is_some(), &[K::Vlan]),
        ("vid", wire.vid.is_some(), &[K::Vlan]),
        ("table", wire.table.is_some(), &[K::Vrf]),
        ("peer", wire.peer.is_some(), &[K::Veth]),
        ("mode", wire.mode.is_some(), &[K::Tunnel]),
    ]
    .into_iter()
    .find_map(|(key, given, kinds)| (given && !kinds.contains(&wire.kind)).then_some(key))
}

fn params<T: Default + serde::de::DeserializeOwned>(
    name: &IfName,
    value: Option<serde_json::Value>,
) -> Result<T, String> {
    value.map_or_else(
        || Ok(T::default()),
        |value| serde_json::from_value(value).map_err(|error| format!("params of {name}: {error}")),
    )
}

impl TryFrom<Wire> for Interface {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let name = wire.name.clone();
        if let Some(key) = misplaced(&wire) {
            return Err(format!(
                "interface {name} has the key {key}, which its type does not take"
            ));
        }
        let needs = |key: &str| format!("interface {name} lacks the key {key}");
        let kind = match wire.kind {
            WireKind::Physical => Kind::Physical { mac: wire.mac },
            WireKind::Bond => Kind::Bond {
                mac: wire.mac,
                members: wire.members.ok_or_else(|| needs("members"))?,
                params: params(&name, wire.params)?,
            },
            WireKind::Bridge => Kind::Bridge {
                mac: wire.mac,
                members: wire.members.ok_or_else(|| needs("members"))?,
                bridge: wire.bridge.unwrap_or_default(),
                params: params(&name, wire.params)?,
            },
            WireKind::Vlan => Kind::Vlan {
                link: wire.link.ok_or_else(|| needs("link"))?,
                vid: wire.vid.ok_or_else(|| needs("vid"))?,
            },
            WireKind::Vrf => Kind::Vrf {
                table: wire.table.ok_or_else(|| needs("table"))?,
                members: wire.members.unwrap_or_default(),
            },
            WireKind::Dummy => Kind::Dummy,
            WireKind::Veth => Kind::Veth { peer: wire.peer.ok_or_else(|| needs("peer"))? },
            WireKind::Tunnel => Kind::Tunnel { mode: wire.mode.ok_or_else(|| needs("mode"))? },
        };
        Ok(Self {
            name: wire.name,
            kind,
            enabled: wire.enabled,
            vlan: wire.vlan,
            mtu: wire.mtu,
            accept_ra: wire.accept_ra,
            links: wire.links,
            extra: wire.extra,
        })
    }
}

impl From<Interface> for Wire {
    fn from(interface: Interface) -> Self {
        let mut wire = Self {
            name: interface.name,
            kind: WireKind::Physical,
            mac: interface.kind.mac(),
            members: None,
            bridge: None,
            params: None,
            link: None,
            vid: None,
            table: None,
            peer: None,
            mode: None,
            enabled: interface.enabled,
            vlan: interface.vlan,
            mtu: interface.mtu,
            accept_ra: interface.accept_ra,
            links: interface.links,
            extra: interface.extra,
        };
        match interface.kind {
            Kind::Physical { .. } => {}
            Kind::Bond { members, params, .. } => {
                wire.kind = WireKind::Bond;
                wire.members = Some(members);
                wire.params = serde_json::to_value(&params).ok();
            }
            Kind::Bridge { members, bridge, params, .. } => {
                wire.kind = WireKind::Bridge;
                wire.members = Some(members);
                wire.bridge = Some(bridge);
                wire.params = serde_json::to_value(&params).ok();
            }
            Kind::Vlan { link, vid } => {
                wire.kind = WireKind::Vlan;
                wire.link = Some(link);
                wire.vid = Some(vid);
            }
            Kind::Vrf { table, members } => {
                wire.kind = WireKind::Vrf;
                wire.table = Some(table);
                wire.members = Some(members);
            }
            Kind::Dummy => wire.kind = WireKind::Dummy,
            Kind::Veth { peer } => {
                wire.kind = WireKind::Veth;
                wire.peer = Some(peer);
            }
            Kind::Tunnel { mode } => {
                wire.kind = WireKind::Tunnel;
                wire.mode = Some(mode);
            }
        }
        wire
    }
}
