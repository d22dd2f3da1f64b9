//! Links of one interface to subnets, and the default gateways.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Chosen, Force, NewLink};
use crate::machine::interface::gateway::of_link;
use crate::machine::interface::{
    Interfaces, Kind, Link, LinkMode, NetworkFacts, Refusal, SubnetFacts,
};

/// The most links that one interface may have.
const MAX_LINKS: usize = 256;

impl Interfaces {
    pub(super) fn link_subnet(
        &mut self,
        id: u64,
        wanted: NewLink,
        networks: &NetworkFacts,
    ) -> Result<(), Refusal> {
        let interface = self.known(id)?;
        if let Some(group) = self.group_of(id) {
            return Err(Refusal::field(
                "__all__",
                format!(
                    "Cannot link subnet(s) to {}: it is a member of {}.",
                    interface.name, group.name
                ),
            ));
        }
        let fixed = matches!(wanted.mode, LinkMode::Auto | LinkMode::Static);
        if fixed && wanted.subnet.is_none() {
            return Err(Refusal::required("subnet"));
        }
        let subnet = match wanted.subnet {
            None => None,
            Some(id) => {
                Some(networks.subnets.get(&id).ok_or_else(|| Refusal::no_choice("subnet"))?)
            }
        };
        if wanted.ip.is_some() && wanted.mode != LinkMode::Static {
            return Err(Refusal::field("ip_address", "Only a STATIC link is given its address."));
        }
        if let (Some(ip), Some(subnet)) = (wanted.ip, subnet) {
            check_address(ip, subnet)?;
        }
        let gateway = subnet.and_then(|subnet| subnet.gateway);
        if wanted.default_gateway == Chosen::Yes {
            if !fixed {
                return Err(Refusal::field(
                    "default_gateway",
                    format!("A link of mode {} gives no default gateway.", wanted.mode),
                ));
            }
            if gateway.is_none() {
                return Err(Refusal::field("default_gateway", "The subnet has no gateway."));
            }
        }
        self.make_room(id, wanted)?;
        if let Some(subnet) = subnet
            && self.known(id)?.vlan != Some(subnet.vlan)
        {
            // Without force a link only plugs in what is not plugged in yet.
            if self.known(id)?.vlan.is_some() && wanted.force == Force::No {
                return Err(Refusal::no_choice("subnet"));
            }
            self.move_to_vlan(id, Some(subnet.vlan), networks)?;
        }
        let link =
            Link { id: self.next_id(), mode: wanted.mode, subnet: wanted.subnet, ip: wanted.ip };
        let interface = self.known_mut(id)?;
        if wanted.mode != LinkMode::LinkUp {
            interface.links.retain(|link| link.mode != LinkMode::LinkUp);
        }
        interface.links.push(link);
        if let Some(gateway) = gateway.filter(|_| wanted.default_gateway == Chosen::Yes) {
            self.choose(gateway, link.id);
        }
        Ok(())
    }

    /// Refuses a link that does not go with those that are there, or removes them by force.
    fn make_room(&mut self, id: u64, wanted: NewLink) -> Result<(), Refusal> {
        let interface = self.known_mut(id)?;
        if interface.links.len() >= MAX_LINKS {
            return Err(Refusal::field(
                "__all__",
                format!("The interface already has {MAX_LINKS} links."),
            ));
        }
        let has = |mode| interface.links.iter().any(|link| link.mode == mode);
        match (wanted.mode, wanted.force) {
            (LinkMode::LinkUp, Force::Yes) => interface.links.clear(),
            (LinkMode::LinkUp, Force::No) => {
                if interface.is_configured() {
                    return Err(Refusal::field(
                        "mode",
                        "The interface has other links, beside which LINK_UP does nothing; \
                         force=true removes them.",
                    ));
                }
                interface.links.clear();
            }
            (LinkMode::Dhcp, _) if has(LinkMode::Dhcp) => {
                return Err(Refusal::field("mode", "Interface is already set to DHCP."));
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn unlink_subnet(&mut self, id: u64, link: u64) -> Result<(), Refusal> {
        let interface = self.known_mut(id)?;
        let Some(at) = interface.links.iter().position(|it| it.id == link) else {
            let ids: Vec<String> = interface.links.iter().map(|it| it.id.to_string()).collect();
            return Err(Refusal::field(
                "id",
                format!("'{link}' is no link of this interface: it has [{}].", ids.join(", ")),
            ));
        };
        interface.links.remove(at);
        self.ensure_link_up(id);
        Ok(())
    }

    pub(super) fn disconnect(&mut self, id: u64) -> Result<(), Refusal> {
        let interface = self.known(id)?;
        if matches!(interface.kind, Kind::Vlan { .. }) {
            return Err(Refusal::field(
                "__all__",
                "A VLAN interface always carries its VLAN: delete it, or unlink its subnets.",
            ));
        }
        if let Some(group) = self.group_of(id) {
            return Err(Refusal::field(
                "__all__",
                format!("It is a member of {}; disconnect that.", group.name),
            ));
        }
        let below = interface.kind.parents().to_vec();
        for id in below.into_iter().chain([id]) {
            let interface = self.known_mut(id)?;
            if !matches!(interface.kind, Kind::Vlan { .. }) {
                interface.vlan = None;
            }
            interface.links.clear();
        }
        Ok(())
    }

    pub(super) fn set_default_gateway(
        &mut self,
        id: u64,
        link: Option<u64>,
        networks: &NetworkFacts,
    ) -> Result<(), Refusal> {
        let interface = self.known(id)?;
        if let Some(link) = link
            && !interface.links.iter().any(|it| it.id == link)
        {
            return Err(Refusal::no_choice("link_id"));
        }
        let mut usable: Vec<(IpAddr, u64)> = interface
            .links
            .iter()
            .filter(|it| link.is_none_or(|wanted| it.id == wanted))
            .filter_map(|it| Some((of_link(it, networks)?, it.id)))
            .collect();
        if usable.is_empty() {
            return Err(match link {
                Some(_) => Refusal::field("link_id", "The link's subnet has no gateway."),
                None => Refusal::field("__all__", "This interface has no usable gateways."),
            });
        }
        // The first of each family: later ones would overwrite it.
        usable.reverse();
        for (gateway, link) in usable {
            self.choose(gateway, link);
        }
        Ok(())
    }

    const fn choose(&mut self, gateway: IpAddr, link: u64) {
        match gateway {
            IpAddr::V4(_) => self.gateways.ipv4 = Some(link),
            IpAddr::V6(_) => self.gateways.ipv6 = Some(link),
        }
    }
}

fn check_address(ip: IpAddr, subnet: &SubnetFacts) -> Result<(), Refusal> {
    let refuse = |text: String| Err(Refusal::field("ip_address", text));
    if !subnet.cidr.contains(&ip) {
        return refuse(format!("IP address is not in the given subnet '{}'.", subnet.cidr));
    }
    if let IpNet::V4(net) = subnet.cidr
        && net.prefix_len() < 31
        && (ip == IpAddr::V4(net.network()) || ip == IpAddr::V4(net.broadcast()))
    {
        return refuse(format!("{ip} is the network or broadcast address of {net}."));
    }
    if subnet.gateway == Some(ip) {
        return refuse(format!("{ip} is the subnet's gateway."));
    }
    Ok(())
}
