//! What a use of the machine adds to its interfaces, and takes away at its end.

use std::net::IpAddr;

use maas_netconfig::IfName;
use maas_netconfig::model::{BridgeKind, BridgeParams};

use super::{Interface, Interfaces, Kind, LinkMode};

/// The bridges that an allocation or a deployment makes (`bridge_all`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AcquiredBridges {
    /// Linux bridge or Open vSwitch.
    pub kind: BridgeKind,
    /// Whether the spanning tree protocol runs.
    pub stp: bool,
    /// Seconds in the listening and learning states; `None` is MAAS's 15.
    pub forward_delay: Option<u32>,
}

impl Interfaces {
    /// Puts a bridge on every configured interface that is none and is no member of one; its links
    /// move to the bridge (`netconfig.md` §1.1).
    pub fn bridge_all(&mut self, wanted: AcquiredBridges) {
        let on: Vec<u64> = self
            .list
            .iter()
            .filter(|it| !matches!(it.kind, Kind::Bridge { .. }) && it.is_configured())
            .filter(|it| self.group_of(it.id).is_none())
            .map(|it| it.id)
            .collect();
        for parent in on {
            let Some(interface) = self.by_id(parent).cloned() else { continue };
            let Some(name) = self.bridge_name(interface.name.as_str()) else { continue };
            let id = self.next_id();
            let kind = Kind::Bridge {
                parents: vec![parent],
                bridge: wanted.kind,
                params: BridgeParams {
                    stp: Some(wanted.stp),
                    forward_delay: Some(wanted.forward_delay.unwrap_or(15)),
                    ..BridgeParams::default()
                },
            };
            self.list.push(Interface {
                mac: self.mac_of(&interface),
                vlan: interface.vlan,
                mtu: interface.mtu,
                links: interface.links,
                acquired: true,
                ..Interface::new(id, name, kind)
            });
            if let Some(parent) = self.get_mut(parent) {
                parent.links.clear();
            }
        }
    }

    /// `br-IF`, shortened where that is too long; `None` when every form of it is taken.
    fn bridge_name(&self, on: &str) -> Option<IfName> {
        let short = on.strip_prefix("en").unwrap_or(on);
        let mut crc = flate2::Crc::new();
        crc.update(on.as_bytes());
        let hex = format!("{:08x}", crc.sum());
        let tail = |text: &str, count: usize| -> String {
            text.chars().skip(text.chars().count().saturating_sub(count)).collect()
        };
        let names = [
            format!("br-{on}"),
            format!("b-{short}"),
            format!("b-{}-{}", tail(&hex, 6), tail(on, 6)),
        ];
        names
            .into_iter()
            .filter_map(|name| name.parse::<IfName>().ok())
            .find(|name| self.by_name(name.as_str()).is_none())
    }

    /// Forgets what belonged to the use: the addresses of AUTO links, and acquired bridges, whose
    /// links go back.
    pub(crate) fn end_use(&mut self) {
        let acquired: Vec<Interface> =
            self.list.iter().filter(|interface| interface.acquired).cloned().collect();
        for bridge in acquired {
            self.list.retain(|interface| interface.id != bridge.id);
            if let Some(parent) =
                bridge.kind.parents().first().and_then(|parent| self.get_mut(*parent))
            {
                parent.links = bridge.links;
            }
        }
        for link in self.list.iter_mut().flat_map(|interface| &mut interface.links) {
            if link.mode == LinkMode::Auto {
                link.ip = None;
            }
        }
    }

    /// Takes over addresses that were claimed for AUTO links.
    pub fn assign_all(&mut self, addresses: &[(u64, IpAddr)]) {
        for (link, ip) in addresses {
            self.assign(*link, *ip);
        }
    }
}
