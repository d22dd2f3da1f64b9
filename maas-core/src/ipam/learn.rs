//! Subnets that commissioning saw: they become known without anybody typing them in.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::DEFAULT_FABRIC;
use super::model::{Networks, Subnet, Vlan};
use crate::machine::hardware::{Hardware, Interface, InterfaceKind};

/// The most subnets that are learned from one machine: a container host has an endless supply.
const MOST_LEARNED: usize = 64;

/// What was learned from one machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Learned {
    /// The subnets that are new.
    pub subnets: Vec<u64>,
    /// The VLANs that are new.
    pub vlans: Vec<u64>,
}

impl Learned {
    /// Whether everything was known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.subnets.is_empty() && self.vlans.is_empty()
    }
}

impl Networks {
    /// Adds the subnets of a machine's addresses that are not known yet.
    ///
    /// The VLAN of a new subnet is the one of a known subnet on the same interface; else, in the
    /// default fabric, the tag of a VLAN interface or untagged. Learning twice changes nothing.
    /// Addresses of bridges without ports (a host's inner networks) and single-host prefixes tell
    /// of no subnet.
    pub fn learn(&mut self, hardware: &Hardware) -> Learned {
        let mut learned = Learned::default();
        let mut carried: BTreeMap<&str, u64> = BTreeMap::new();
        for interface in &hardware.interfaces {
            if interface.kind == InterfaceKind::Bridge && interface.parents.is_empty() {
                continue;
            }
            let cidrs = interface.addresses.iter().filter_map(|address| {
                let cidr = IpNet::new(address.address, address.prefix).ok()?.trunc();
                let single = cidr.prefix_len() == cidr.max_prefix_len();
                (!single && cidr.prefix_len() > 0 && !cidr.addr().is_loopback()).then_some(cidr)
            });
            let cidrs: Vec<IpNet> = cidrs.collect();
            let known = cidrs.iter().find_map(|cidr| self.vlan_carrying(cidr));
            if let Some(vlan) = known {
                carried.insert(&interface.name, vlan);
            }
            for cidr in cidrs {
                if self.vlan_carrying(&cidr).is_some() || learned.subnets.len() >= MOST_LEARNED {
                    continue;
                }
                let Some(vlan) = known.or_else(|| self.vlan_for(interface, &carried, &mut learned))
                else {
                    continue;
                };
                if let Ok(id) = self.add_subnet(Subnet::new(cidr, vlan)) {
                    carried.insert(&interface.name, vlan);
                    learned.subnets.push(id);
                }
            }
        }
        learned
    }

    /// The VLAN of the subnet with this very CIDR.
    fn vlan_carrying(&self, cidr: &IpNet) -> Option<u64> {
        self.subnets.iter().find(|(_, subnet)| subnet.cidr == *cidr).map(|(_, it)| it.vlan_id)
    }

    /// The VLAN that an interface is plugged into, made when it is new.
    fn vlan_for(
        &mut self,
        interface: &Interface,
        carried: &BTreeMap<&str, u64>,
        learned: &mut Learned,
    ) -> Option<u64> {
        let below = interface.parents.iter().find_map(|parent| carried.get(parent.as_str()));
        let fabric = below
            .and_then(|vlan| self.vlans.get(*vlan))
            .map_or(DEFAULT_FABRIC, |vlan| vlan.fabric_id);
        let Some(vid) = interface.vid else { return self.default_vlan(fabric) };
        if let Some(known) = self.vlan_by_vid(fabric, vid) {
            return Some(known);
        }
        let vid = maas_netconfig::Vid::new(vid).ok()?;
        let id = self.add_vlan(Vlan::new(fabric, vid)).ok()?;
        learned.vlans.push(id);
        Some(id)
    }
}
