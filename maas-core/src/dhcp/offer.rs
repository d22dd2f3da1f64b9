//! Which subnets DHCP is to serve, as the networks say it, and which of them a host can serve.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::{AddressRange, BootMethod, Reach, Reservation, Subnet, SubnetRole};
use crate::ipam::{Networks, RangeKind, Vlan};

/// A subnet that is to be served, before any host is chosen for it: interface and rack of the
/// subnet say nothing yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The subnet.
    pub subnet: Subnet,
    /// The subnets of the VLAN that its requests are relayed to; empty when they are not.
    #[serde(default)]
    pub relayed_to: Vec<Ipv4Net>,
}

/// A network card with an address that is its own for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Lower case with colons.
    pub mac: String,
    /// The address.
    pub address: IpAddr,
    /// What the machine or device is called.
    pub hostname: String,
}

/// What every subnet gets that says nothing of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OfferDefaults {
    /// DNS servers.
    pub dns_servers: Vec<Ipv4Addr>,
    /// NTP servers.
    pub ntp_servers: Vec<Ipv4Addr>,
    /// The domain.
    pub domain: String,
}

/// A network that a host is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// Its interface.
    pub interface: String,
    /// The network.
    pub cidr: Ipv4Net,
    /// The host's address on it.
    pub address: Ipv4Addr,
}

/// A subnet that a host cannot serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("subnet {cidr}: this host has no address on it, nor on one that it is relayed to")]
pub struct Unplaced {
    /// The subnet.
    pub cidr: Ipv4Net,
}

/// The IPv4 subnets of all VLANs whose DHCP is switched on, and of those that are relayed to one
/// of them. `cards` may hold any addresses; each finds its subnet.
///
/// A subnet without dynamic ranges and cards has nothing to give and is left out.
#[must_use]
pub fn offers(networks: &Networks, cards: &[Card], defaults: &OfferDefaults) -> Vec<Offer> {
    let mut offers = Vec::new();
    for (vlan_id, vlan) in networks.vlans().iter() {
        let relay = vlan.relay_vlan.filter(|relay| is_on(networks, *relay));
        if !vlan.dhcp_on && relay.is_none() {
            continue;
        }
        let relayed_to = relay.map(|relay| cidrs(networks, relay)).unwrap_or_default();
        for (id, subnet) in networks.subnets_of(vlan_id) {
            let IpNet::V4(cidr) = subnet.cidr else { continue };
            let mut offered = offered(networks, id, subnet, vlan, cidr, defaults);
            offered.reservations = reservations(networks, id, &offered, cards);
            if !offered.ranges.is_empty() || !offered.reservations.is_empty() {
                let relayed_to = if vlan.dhcp_on { Vec::new() } else { relayed_to.clone() };
                offers.push(Offer { subnet: offered, relayed_to });
            }
        }
    }
    offers
}

fn is_on(networks: &Networks, vlan: u64) -> bool {
    networks.vlans().get(vlan).is_some_and(|vlan| vlan.dhcp_on)
}

fn cidrs(networks: &Networks, vlan: u64) -> Vec<Ipv4Net> {
    let subnets = networks.subnets_of(vlan);
    let cidrs = subnets.filter_map(|(_, subnet)| match subnet.cidr {
        IpNet::V4(cidr) => Some(cidr),
        IpNet::V6(_) => None,
    });
    cidrs.collect()
}

fn offered(
    networks: &Networks,
    id: u64,
    subnet: &crate::ipam::Subnet,
    vlan: &Vlan,
    cidr: Ipv4Net,
    defaults: &OfferDefaults,
) -> Subnet {
    let mut offered = Subnet::new("", cidr, Ipv4Addr::UNSPECIFIED);
    let ranges = networks.ip_ranges().iter().filter(|(_, range)| range.subnet_id == id);
    let dynamic = ranges.filter(|(_, range)| range.kind == RangeKind::Dynamic);
    offered.ranges = dynamic
        .filter_map(|(_, range)| {
            Some(AddressRange { first: v4(range.start_ip)?, last: v4(range.end_ip)? })
        })
        .collect();
    offered.gateway = subnet.gateway_ip.and_then(v4);
    offered.dns_servers = subnet.dns_servers.iter().copied().filter_map(v4).collect();
    if offered.dns_servers.is_empty() && subnet.allow_dns {
        offered.dns_servers.clone_from(&defaults.dns_servers);
    }
    offered.ntp_servers.clone_from(&defaults.ntp_servers);
    offered.domain = Some(defaults.domain.clone()).filter(|domain| !domain.is_empty());
    offered.search = offered.domain.iter().cloned().collect();
    offered.mtu = Some(vlan.mtu.bytes());
    offered.disabled = subnet
        .disabled_boot_architectures
        .iter()
        .filter_map(|name| BootMethod::named(name))
        .collect();
    offered.role = SubnetRole::Serve;
    offered
}

/// One address for each card, and one card for each address: what was reserved by hand first.
fn reservations(networks: &Networks, id: u64, subnet: &Subnet, cards: &[Card]) -> Vec<Reservation> {
    let by_hand = networks.reserved_ips().iter().filter(|(_, one)| one.subnet_id == id).filter_map(
        |(_, one)| {
            let mac = one.mac_address?.to_string();
            Some(Reservation { mac, address: v4(one.ip)?, hostname: None })
        },
    );
    let of_cards = cards.iter().filter_map(|card| {
        let address = v4(card.address).filter(|address| subnet.cidr.contains(address))?;
        let hostname = Some(card.hostname.clone()).filter(|name| !name.is_empty());
        Some(Reservation { mac: card.mac.clone(), address, hostname })
    });
    let (mut macs, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    let mut names = BTreeSet::new();
    by_hand
        .chain(of_cards)
        .filter(|one| Some(one.address) != subnet.gateway)
        .filter(|one| macs.insert(one.mac.clone()) && addresses.insert(one.address))
        .map(|mut one| {
            // dnsmasq gives a name to one address only.
            one.hostname = one.hostname.filter(|name| names.insert(name.clone()));
            one
        })
        .collect()
}

const fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// What of this a host serves that is connected to these networks, and what it cannot.
#[must_use]
pub fn place(offers: &[Offer], connected: &[Connected]) -> (Vec<Subnet>, Vec<Unplaced>) {
    let (mut placed, mut unplaced) = (Vec::new(), Vec::new());
    for offer in offers {
        let cidr = offer.subnet.cidr;
        let at = |cidr: Ipv4Net| connected.iter().find(|it| it.cidr == cidr);
        let found = match offer.relayed_to.as_slice() {
            [] => at(cidr).map(|it| (it, Reach::Direct)),
            others => others.iter().find_map(|other| at(*other)).map(|it| (it, Reach::Relayed)),
        };
        let Some((host, reach)) = found else {
            unplaced.push(Unplaced { cidr });
            continue;
        };
        let mut subnet = offer.subnet.clone();
        subnet.interface.clone_from(&host.interface);
        subnet.rack = host.address;
        subnet.reach = reach;
        // An address of this host is nobody else's, whatever was reserved.
        subnet.reservations.retain(|one| one.address != host.address);
        placed.push(subnet);
    }
    (placed, unplaced)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use maas_netconfig::Vid;

    use super::*;
    use crate::dhcp::{DhcpPlan, dnsmasq};
    use crate::ipam::{DEFAULT_FABRIC, DEFAULT_VLAN, IpRange, ReservedIp};

    fn networks() -> (Networks, u64, u64) {
        let mut networks = Networks::default();
        let far = networks.add_vlan(Vlan::new(DEFAULT_FABRIC, Vid::new(10).unwrap())).unwrap();
        let subnet = |cidr: &str, vlan| crate::ipam::Subnet::new(cidr.parse().unwrap(), vlan);
        let mut near = subnet("10.0.0.0/24", DEFAULT_VLAN);
        near.gateway_ip = Some("10.0.0.254".parse().unwrap());
        near.disabled_boot_architectures = vec!["ipxe".into(), "of_tomorrow".into()];
        let near = networks.add_subnet(near).unwrap();
        let relayed = networks.add_subnet(subnet("10.0.9.0/24", far)).unwrap();
        networks.add_subnet(subnet("fd00::/64", DEFAULT_VLAN)).unwrap();
        for (subnet_id, net) in [(near, "10.0.0"), (relayed, "10.0.9")] {
            let range = IpRange {
                subnet_id,
                kind: RangeKind::Dynamic,
                start_ip: format!("{net}.100").parse().unwrap(),
                end_ip: format!("{net}.150").parse().unwrap(),
                comment: String::new(),
                user: None,
            };
            networks.add_ip_range(range, &BTreeSet::new()).unwrap();
        }
        networks
            .add_reserved_ip(ReservedIp {
                subnet_id: near,
                ip: "10.0.0.9".parse().unwrap(),
                mac_address: Some("52:54:00:00:00:01".parse().unwrap()),
                comment: String::new(),
            })
            .unwrap();
        let mut vlan = networks.vlans().get(far).unwrap().clone();
        vlan.relay_vlan = Some(DEFAULT_VLAN);
        networks.set_vlan(far, vlan).unwrap();
        (networks, near, far)
    }

    fn switched_on() -> Networks {
        let (mut networks, ..) = networks();
        let mut vlan = networks.vlans().get(DEFAULT_VLAN).unwrap().clone();
        vlan.dhcp_on = true;
        networks.set_vlan(DEFAULT_VLAN, vlan).unwrap();
        networks
    }

    fn card(mac: &str, address: &str, hostname: &str) -> Card {
        let (mac, hostname) = (mac.to_owned(), hostname.to_owned());
        Card { mac, address: address.parse().unwrap(), hostname }
    }

    fn connected(interface: &str, cidr: &str, address: &str) -> Connected {
        Connected {
            interface: interface.to_owned(),
            cidr: cidr.parse().unwrap(),
            address: address.parse().unwrap(),
        }
    }

    #[test]
    fn nothing_is_offered_until_a_vlan_is_switched_on() {
        assert_eq!(offers(&networks().0, &[], &OfferDefaults::default()), []);
    }

    #[test]
    fn a_vlan_that_is_on_offers_its_subnets_and_those_that_are_relayed_to_it() {
        let cards = [
            card("52:54:00:00:00:02", "10.0.0.20", "node"),
            card("52:54:00:00:00:01", "10.0.0.21", "second-address"),
            card("52:54:00:00:00:03", "10.0.9.20", "node"),
            card("52:54:00:00:00:04", "192.0.2.1", "elsewhere"),
        ];
        let defaults = OfferDefaults {
            dns_servers: vec!["9.9.9.9".parse().unwrap()],
            domain: "maas".to_owned(),
            ..OfferDefaults::default()
        };
        let offers = offers(&switched_on(), &cards, &defaults);
        let [near, far] = offers.as_slice() else { panic!("{offers:?}") };
        let reserved: Vec<String> =
            near.subnet.reservations.iter().map(|one| one.address.to_string()).collect();
        assert_eq!(reserved, ["10.0.0.9", "10.0.0.20"], "one address for a card in a subnet");
        assert_eq!(near.subnet.disabled, [BootMethod::Ipxe].into());
        assert_eq!(near.subnet.dns_servers, defaults.dns_servers);
        assert!(near.relayed_to.is_empty());
        assert_eq!(far.relayed_to, ["10.0.0.0/24".parse::<Ipv4Net>().unwrap()]);

        let here = [connected("eth1", "10.0.0.0/24", "10.0.0.1")];
        let (placed, unplaced) = place(&offers, &here);
        assert!(unplaced.is_empty());
        let mut plan = DhcpPlan::new(placed);
        plan.loaders = ["undionly.kpxe".to_owned()].into();
        let text = dnsmasq::render(&plan, "/leases".as_ref()).unwrap();
        for line in [
            "interface=eth1",
            "dhcp-range=set:s0,10.0.0.100,10.0.0.150,255.255.255.0,600",
            "dhcp-range=set:s1,10.0.9.100,10.0.9.150,255.255.255.0,600",
            "dhcp-host=52:54:00:00:00:02,10.0.0.20,node",
            "dhcp-option=tag:s0,option:router,10.0.0.254",
            "dhcp-boot=tag:s1,tag:pxe,tag:!ipxe,undionly.kpxe,,10.0.0.1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        let (placed, unplaced) = place(&offers, &[connected("eth9", "10.9.0.0/24", "10.9.0.1")]);
        assert!(placed.is_empty());
        assert_eq!(unplaced.len(), 2);
    }

    #[test]
    fn offers_survive_the_way_to_another_rack() {
        let offers = offers(&switched_on(), &[], &OfferDefaults::default());
        let text = serde_json::to_string(&offers).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Offer>>(&text).unwrap(), offers);
    }
}
