//! Which link gives the default gateway of each address family, as the API shows it.

use std::net::IpAddr;

use super::{Interface, Interfaces, Kind, Link, LinkMode, NetworkFacts};

/// The default gateways of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DefaultGateways {
    /// IPv4.
    pub ipv4: DefaultGateway,
    /// IPv6.
    pub ipv6: DefaultGateway,
}

/// The default gateway of one address family; both are `None` when there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DefaultGateway {
    /// The router.
    pub gateway: Option<IpAddr>,
    /// The number of the link that was chosen; `None` while the choice is automatic.
    pub link: Option<u64>,
}

/// The gateway that a link could give.
pub(super) fn of_link(link: &Link, networks: &NetworkFacts) -> Option<IpAddr> {
    if !matches!(link.mode, LinkMode::Auto | LinkMode::Static) {
        return None;
    }
    networks.subnets.get(&link.subnet?)?.gateway
}

impl Interfaces {
    /// The default gateways; links that get their address only at the deployment count
    /// (`netconfig.md` §1.6).
    #[must_use]
    pub fn default_gateways(&self, boot: Option<u64>, networks: &NetworkFacts) -> DefaultGateways {
        let one = |chosen: Option<u64>, is_family: fn(&IpAddr) -> bool| {
            let chosen = chosen
                .and_then(|id| self.link(id))
                .and_then(|(_, link)| Some((of_link(link, networks).filter(is_family)?, link.id)));
            if let Some((gateway, link)) = chosen {
                return DefaultGateway { gateway: Some(gateway), link: Some(link) };
            }
            let best = self
                .links()
                .filter(|(interface, _)| self.is_enabled(interface))
                .filter_map(|(interface, link)| {
                    let gateway = of_link(link, networks).filter(is_family)?;
                    Some((rank(interface, link, boot, networks), gateway))
                })
                .min_by_key(|(rank, _)| *rank);
            DefaultGateway { gateway: best.map(|(_, gateway)| gateway), link: None }
        };
        DefaultGateways {
            ipv4: one(self.gateways.ipv4, IpAddr::is_ipv4),
            ipv6: one(self.gateways.ipv6, IpAddr::is_ipv6),
        }
    }
}

fn rank(
    interface: &Interface,
    link: &Link,
    boot: Option<u64>,
    networks: &NetworkFacts,
) -> (bool, u8, bool, u64) {
    let vlan = link.subnet.and_then(|id| networks.subnets.get(&id)).map(|subnet| subnet.vlan);
    let dhcp_on = vlan.and_then(|id| networks.vlans.get(&id)).is_some_and(|vlan| vlan.dhcp_on);
    let kind = match interface.kind {
        Kind::Bond { .. } | Kind::Bridge { .. } => 1,
        Kind::Physical if boot == Some(interface.id) => 2,
        Kind::Physical => 3,
        Kind::Vlan { .. } => 4,
    };
    (!dhcp_on, kind, link.mode == LinkMode::Auto, interface.id)
}
