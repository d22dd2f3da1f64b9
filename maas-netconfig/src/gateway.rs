//! Which router becomes the default gateway of each address family.

use std::net::IpAddr;

use crate::model::{Kind, Link, Network, SubnetId};
use crate::name::IfName;
use crate::topology::Family;

/// A default gateway and the link it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The interface with the link.
    pub interface: IfName,
    /// The subnet that has the gateway.
    pub subnet: SubnetId,
    /// The router.
    pub address: IpAddr,
}

/// The default gateway of a family, by MAAS's order of preference.
///
/// The choice in [`Network::gateways`] wins. Else candidates are links with an address in a
/// subnet with a gateway, ordered by: the subnet's VLAN has DHCP; bond or bridge, boot interface,
/// other physical, VLAN; static before auto; order of interfaces.
pub fn default_gateway(network: &Network, family: Family) -> Option<Gateway> {
    default_gateway_among(network, family, Eligible::Assigned)
}

/// Which links can give the default gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eligible {
    /// Those with an address.
    Assigned,
    /// Also AUTO links that have none yet, as in MAAS.
    Unassigned,
}

/// The default gateway of a family among the eligible links.
pub(crate) fn default_gateway_among(
    network: &Network,
    family: Family,
    eligible: Eligible,
) -> Option<Gateway> {
    let choice = match family {
        Family::V4 => &network.gateways.ipv4,
        Family::V6 => &network.gateways.ipv6,
    };
    if let Some(choice) = choice
        && let Some(gateway) = chosen(network, &choice.interface, &choice.subnet, family, eligible)
    {
        return Some(gateway);
    }
    let mut best: Option<((bool, u8, u8), Gateway)> = None;
    for interface in &network.interfaces {
        if !network.is_enabled(&interface.name) {
            continue;
        }
        for link in &interface.links {
            let Some((gateway, dhcp_on)) =
                candidate(network, &interface.name, link, family, eligible)
            else {
                continue;
            };
            let kind = match interface.kind {
                Kind::Bond { .. } | Kind::Bridge { .. } => 1,
                Kind::Physical { .. } if network.boot.as_ref() == Some(&interface.name) => 2,
                Kind::Physical { .. } => 3,
                _ => 4,
            };
            let alloc = u8::from(matches!(link, Link::Auto { .. }));
            let rank = (!dhcp_on, kind, alloc);
            if best.as_ref().is_none_or(|(have, _)| rank < *have) {
                best = Some((rank, gateway));
            }
        }
    }
    best.map(|(_, gateway)| gateway)
}

fn candidate(
    network: &Network,
    interface: &IfName,
    link: &Link,
    family: Family,
    eligible: Eligible,
) -> Option<(Gateway, bool)> {
    let counts = match link {
        Link::Static { .. } | Link::Auto { ip: Some(_), .. } => true,
        Link::Auto { ip: None, .. } => eligible == Eligible::Unassigned,
        Link::Dhcp { .. } | Link::LinkUp { .. } => false,
    };
    if !counts {
        return None;
    }
    let id = link.subnet()?;
    let subnet = network.subnets.get(id)?;
    let address = subnet.gateway?;
    (Family::of(&subnet.cidr.addr()) == family && Family::of(&address) == family).then(|| {
        (Gateway { interface: interface.clone(), subnet: id.clone(), address }, subnet.dhcp_on)
    })
}

/// The gateway of this link, when it can be used for this family.
pub(crate) fn chosen(
    network: &Network,
    interface: &IfName,
    subnet: &SubnetId,
    family: Family,
    eligible: Eligible,
) -> Option<Gateway> {
    if !network.is_enabled(interface) {
        return None;
    }
    network
        .interface(interface)?
        .links
        .iter()
        .filter(|link| link.subnet() == Some(subnet))
        .find_map(|link| candidate(network, interface, link, family, eligible))
        .map(|(gateway, _)| gateway)
}
