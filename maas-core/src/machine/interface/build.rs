//! Interfaces from what is known of the hardware.

use std::collections::BTreeSet;

use maas_netconfig::{IfName, Mac};

use super::{Card, Interface, Interfaces, Kind, Link, LinkMode, NetworkFacts};
use crate::machine::hardware::{self, Hardware, InterfaceKind};

/// What is known of a machine's cards.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What commissioning found; empty before.
    pub hardware: &'a Hardware,
    /// The addresses that the machine was added with.
    pub macs: &'a BTreeSet<String>,
    /// The address that it booted from.
    pub boot_mac: Option<&'a str>,
}

/// Whether a card is the one that the machine boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Boot {
    This,
    Other,
}

impl Boot {
    const fn is(this: bool) -> Self {
        if this { Self::This } else { Self::Other }
    }
}

impl Known<'_> {
    /// The cards that commissioning found, with readable addresses, each address once.
    fn cards(&self) -> Vec<(Mac, &hardware::Interface)> {
        let mut seen = BTreeSet::new();
        self.hardware
            .interfaces
            .iter()
            .filter(|found| found.kind == InterfaceKind::Physical)
            .filter_map(|found| Some((found.mac_address.as_deref()?.parse::<Mac>().ok()?, found)))
            .filter(|(mac, _)| seen.insert(*mac))
            .collect()
    }

    /// The addresses that were only told.
    fn told(&self) -> Vec<Mac> {
        let found: BTreeSet<Mac> = self.cards().into_iter().map(|(mac, _)| mac).collect();
        let told = self.macs.iter().filter_map(|mac| mac.parse().ok());
        told.filter(|mac| !found.contains(mac)).collect()
    }
}

impl Interfaces {
    /// Interfaces as commissioning leaves them: one for each card, the boot interface configured,
    /// everything else forgotten. A card keeps its number, tags and switch by its address.
    #[must_use]
    pub fn rebuilt(&self, known: Known<'_>, networks: &NetworkFacts) -> Self {
        let mut fresh = Self { last_id: self.last_id, ..Self::default() };
        let cards = known.cards();
        let boot = known
            .boot_mac
            .and_then(|mac| mac.parse().ok())
            .or_else(|| cards.first().map(|(mac, _)| *mac))
            .or_else(|| known.told().first().copied());
        for (mac, found) in &cards {
            let Some(id) = fresh.add_card(self, *mac, found.name.parse().ok()) else { continue };
            fresh.learn_card(id, found);
            fresh.configure(id, Some(found), Boot::is(boot == Some(*mac)), networks);
        }
        for mac in known.told() {
            let name = self.by_mac(mac).map(|interface| interface.name.clone());
            let Some(id) = fresh.add_card(self, mac, name) else { continue };
            if cards.is_empty() {
                fresh.configure(id, None, Boot::is(boot == Some(mac)), networks);
            } else if let Some(interface) = fresh.get_mut(id) {
                // Commissioning did not see it: what is not there must not be waited for.
                interface.enabled = false;
            }
        }
        fresh.list.sort_by_key(|interface| interface.id);
        fresh
    }

    /// The same interfaces with what is known of the cards by now; new cards are added without
    /// configuration.
    #[must_use]
    pub fn refreshed(&self, known: Known<'_>, networks: &NetworkFacts) -> Self {
        let mut fresh = self.clone();
        for (mac, found) in known.cards() {
            if let Some(interface) = fresh.by_mac(mac) {
                let id = interface.id;
                fresh.learn_card(id, found);
            } else if let Some(id) = fresh.add_card(self, mac, found.name.parse().ok()) {
                fresh.configure(id, Some(found), Boot::Other, networks);
                fresh.learn_card(id, found);
            }
        }
        for mac in known.told() {
            if fresh.by_mac(mac).is_none()
                && let Some(id) = fresh.add_card(self, mac, None)
            {
                fresh.configure(id, None, Boot::Other, networks);
            }
        }
        fresh.list.sort_by_key(|interface| interface.id);
        fresh
    }

    /// `None` when no name is left for it, which takes more cards than a machine has.
    fn add_card(&mut self, before: &Self, mac: Mac, name: Option<IfName>) -> Option<u64> {
        let old = before.by_mac(mac);
        let free = name.filter(|name| self.by_name(name.as_str()).is_none());
        let name = free.or_else(|| self.free_name())?;
        let id = match old {
            Some(old) if self.by_id(old.id).is_none() => old.id,
            _ => self.next_id(),
        };
        let mut interface =
            Interface { mac: Some(mac), ..Interface::new(id, name, Kind::Physical) };
        if let Some(old) = old {
            interface.tags.clone_from(&old.tags);
            interface.card.clone_from(&old.card);
        }
        self.list.push(interface);
        Some(id)
    }

    /// `ethN` with the lowest N above all others.
    pub(super) fn free_name(&self) -> Option<IfName> {
        let numbers = self
            .list
            .iter()
            .filter_map(|it| it.name.as_str().strip_prefix("eth")?.parse::<u32>().ok());
        let next = numbers.max().map_or(0, |highest| u64::from(highest) + 1);
        (next..=next + self.list.len() as u64)
            .map(|number| format!("eth{number}"))
            .find(|name| self.by_name(name).is_none())?
            .parse()
            .ok()
    }

    fn learn_card(&mut self, id: u64, found: &hardware::Interface) {
        if let Some(interface) = self.get_mut(id) {
            interface.card = Card {
                link_connected: found.link_connected,
                interface_speed: found.interface_speed,
                link_speed: found.link_speed,
                vendor: found.vendor.clone(),
                product: found.product.clone(),
                firmware_version: found.firmware_version.clone(),
                numa_node: found.numa_node,
                sriov_max_vf: found.sriov_max_vf,
            };
        }
    }

    /// The first configuration: AUTO in the subnet where it had an address when it is the boot
    /// interface, DHCP when no such subnet is ours; the others are only up.
    fn configure(
        &mut self,
        id: u64,
        found: Option<&hardware::Interface>,
        boot: Boot,
        networks: &NetworkFacts,
    ) {
        let addresses = found.map_or(&[][..], |found| &found.addresses);
        let subnet = addresses.iter().find_map(|it| networks.subnet_of(it.address));
        let boots = boot == Boot::This;
        let connected = boots || found.is_none_or(|found| found.link_connected);
        let vlan = subnet
            .map(|(_, subnet)| subnet.vlan)
            .or_else(|| networks.default_vlan.filter(|_| connected));
        let ours = subnet.filter(|(_, subnet)| networks.is_ours(subnet)).map(|(id, _)| id);
        let subnet = subnet.map(|(id, _)| id);
        let link = match ours {
            Some(subnet) if boots => Some((LinkMode::Auto, Some(subnet))),
            None if boots => Some((LinkMode::Dhcp, None)),
            _ if connected => Some((LinkMode::LinkUp, subnet)),
            _ => None,
        };
        let link = link.map(|(mode, subnet)| Link { id: self.next_id(), mode, subnet, ip: None });
        if let Some(interface) = self.get_mut(id) {
            interface.vlan = vlan;
            interface.links.extend(link);
        }
    }
}
