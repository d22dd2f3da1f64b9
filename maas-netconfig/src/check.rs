//! Everything that is wrong with a wanted network, found in one pass.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::{Code, Problem};
use crate::gateway::{Eligible, chosen};
use crate::model::{BondMode, BridgeKind, GatewayLink, Interface, Kind, Link, Network, Subnet};
use crate::name::IfName;
use crate::topology::Family;

impl Network {
    /// Finds everything that is wrong, in the order of the input.
    ///
    /// A network without errors can be resolved and rendered; warnings say what will probably
    /// not work as meant.
    pub fn validate(&self) -> Vec<Problem> {
        let mut check = Check { network: self, by_name: BTreeMap::new(), found: Vec::new() };
        check.names();
        check.stacking();
        for interface in &self.interfaces {
            check.kind(interface);
            check.links(interface);
        }
        check.subnets();
        check.addresses();
        check.routes();
        check.gateways();
        check.found
    }

    /// Whether an interface takes part: physical by its own flag, the others when a parent does.
    pub fn is_enabled(&self, name: &IfName) -> bool {
        fn walk<'a>(
            network: &'a Network,
            name: &'a IfName,
            seen: &mut BTreeSet<&'a IfName>,
        ) -> bool {
            if !seen.insert(name) {
                return false;
            }
            let Some(interface) = network.interface(name) else { return false };
            let parents = interface.kind.parents();
            interface.enabled
                && (parents.is_empty() || parents.iter().any(|parent| walk(network, parent, seen)))
        }
        walk(self, name, &mut BTreeSet::new())
    }
}

struct Check<'a> {
    network: &'a Network,
    by_name: BTreeMap<&'a IfName, &'a Interface>,
    found: Vec<Problem>,
}

fn path(interface: &Interface) -> String {
    format!("interfaces[{}]", interface.name)
}

impl<'a> Check<'a> {
    fn error(&mut self, code: Code, path: impl Into<String>, message: impl Into<String>) {
        self.found.push(Problem::error(code, path, message));
    }

    fn warn(&mut self, code: Code, path: impl Into<String>, message: impl Into<String>) {
        self.found.push(Problem::warning(code, path, message));
    }

    fn names(&mut self) {
        let mut macs: BTreeMap<_, &IfName> = BTreeMap::new();
        for interface in &self.network.interfaces {
            if self.by_name.insert(&interface.name, interface).is_some() {
                self.error(
                    Code::NameDuplicate,
                    path(interface),
                    "there is another interface of this name",
                );
            }
            let Kind::Physical { mac } = &interface.kind else { continue };
            match mac {
                None => self.error(
                    Code::MacUnfit,
                    path(interface),
                    "a physical interface needs its MAC address to be found on the machine",
                ),
                Some(mac) if mac.is_multicast() => {
                    self.error(
                        Code::MacUnfit,
                        path(interface),
                        format!("{mac} is a group address"),
                    );
                }
                Some(mac) => {
                    if let Some(other) = macs.insert(*mac, &interface.name) {
                        self.error(
                            Code::MacUnfit,
                            path(interface),
                            format!("{other} has the MAC address {mac} too"),
                        );
                    }
                }
            }
        }
        if let Some(boot) = &self.network.boot
            && !self.by_name.contains_key(boot)
        {
            self.error(Code::UnknownInterface, "boot", format!("there is no interface {boot}"));
        }
    }

    fn stacking(&mut self) {
        let mut owner: BTreeMap<&IfName, &IfName> = BTreeMap::new();
        let mut tags: BTreeMap<(&IfName, u16), &IfName> = BTreeMap::new();
        for interface in &self.network.interfaces {
            for parent in interface.kind.parents() {
                if !self.by_name.contains_key(parent) {
                    self.error(
                        Code::UnknownInterface,
                        path(interface),
                        format!("there is no interface {parent} to build on"),
                    );
                }
            }
            if self.is_circular(&interface.name) {
                self.error(Code::Cycle, path(interface), "it is built on itself");
            }
            match &interface.kind {
                Kind::Bond { members, .. }
                | Kind::Bridge { members, .. }
                | Kind::Vrf { members, .. } => {
                    for member in members {
                        if let Some(other) = owner.insert(member, &interface.name) {
                            self.error(
                                Code::MemberShared,
                                path(interface),
                                format!("{member} is already a member of {other}"),
                            );
                        }
                    }
                }
                Kind::Vlan { link, vid } => {
                    if let Some(other) = tags.insert((link, vid.number()), &interface.name) {
                        self.error(
                            Code::VidUnfit,
                            path(interface),
                            format!("{other} is already VLAN {vid} on {link}"),
                        );
                    }
                }
                _ => {}
            }
        }
    }

    fn is_circular(&self, start: &IfName) -> bool {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&IfName> = self.parents(start);
        while let Some(name) = next.pop() {
            if name == start {
                return true;
            }
            if seen.insert(name) {
                next.extend(self.parents(name));
            }
        }
        false
    }

    fn parents(&self, name: &IfName) -> Vec<&'a IfName> {
        self.by_name
            .get(name)
            .map(|found| found.kind.parents().iter().collect())
            .unwrap_or_default()
    }

    fn kind(&mut self, interface: &'a Interface) {
        let at = path(interface);
        if interface.enabled
            && !self.network.is_enabled(&interface.name)
            && !interface.kind.parents().is_empty()
        {
            self.error(
                Code::NoMembers,
                &at,
                "every interface it is built on is missing or disabled",
            );
        }
        match &interface.kind {
            Kind::Bond { members, params, .. } => {
                if members.is_empty() {
                    self.error(Code::NoMembers, &at, "a bond needs at least one member");
                }
                for member in members {
                    self.member(interface, member);
                    if self
                        .by_name
                        .get(member)
                        .is_some_and(|found| !matches!(found.kind, Kind::Physical { .. }))
                    {
                        self.error(
                            Code::KindUnfit,
                            &at,
                            format!("{member} is not physical and cannot be in a bond"),
                        );
                    }
                }
                if let Some(primary) = &params.primary
                    && !members.contains(primary)
                {
                    self.error(
                        Code::UnknownInterface,
                        &at,
                        format!("the primary {primary} is not a member"),
                    );
                }
                self.bond_settings(&at, params);
            }
            Kind::Bridge { members, bridge, params, .. } => {
                for member in members {
                    self.member(interface, member);
                    if self
                        .by_name
                        .get(member)
                        .is_some_and(|found| matches!(found.kind, Kind::Bridge { .. }))
                    {
                        self.error(
                            Code::KindUnfit,
                            &at,
                            format!("{member} is a bridge and cannot be in a bridge"),
                        );
                    }
                }
                if members.is_empty() {
                    self.error(Code::NoMembers, &at, "a bridge needs at least one member");
                }
                if *bridge == BridgeKind::Ovs {
                    self.warn(
                        Code::Unsupported,
                        &at,
                        "openvswitch-switch must be installed before the network starts",
                    );
                }
                for port in params.path_cost.keys().chain(params.port_priority.keys()) {
                    if !members.contains(port) {
                        self.error(
                            Code::UnknownInterface,
                            &at,
                            format!("the port {port} is not a member"),
                        );
                    }
                }
            }
            Kind::Vlan { link, vid } => {
                if vid.number() == 0 {
                    self.error(
                        Code::VidUnfit,
                        &at,
                        "a VLAN interface needs an identifier from 1 to 4094",
                    );
                }
                if self
                    .by_name
                    .get(link)
                    .is_some_and(|found| matches!(found.kind, Kind::Vlan { .. }))
                {
                    self.error(Code::KindUnfit, &at, format!("{link} is a VLAN itself"));
                }
                if self.bond_of(link).is_some() {
                    self.error(
                        Code::KindUnfit,
                        &at,
                        format!("{link} is a bond member; put the VLAN on the bond"),
                    );
                }
            }
            Kind::Physical { .. }
            | Kind::Vrf { .. }
            | Kind::Dummy
            | Kind::Veth { .. }
            | Kind::Tunnel { .. } => {}
        }
    }

    fn bond_of(&self, member: &IfName) -> Option<&'a IfName> {
        self.network.interfaces.iter().find_map(|interface| match &interface.kind {
            Kind::Bond { members, .. } if members.contains(member) => Some(&interface.name),
            _ => None,
        })
    }

    fn member(&mut self, of: &Interface, member: &IfName) {
        let Some(found) = self.by_name.get(member) else { return };
        if found.links.iter().any(|link| !matches!(link, Link::LinkUp { .. })) {
            self.error(
                Code::MemberConfigured,
                path(found),
                format!(
                    "it is a member of {} and cannot have addresses; move its links there",
                    of.name
                ),
            );
        }
    }

    fn bond_settings(&mut self, at: &str, params: &crate::model::BondParams) {
        use BondMode as M;
        let mode = params.mode;
        let idle = [
            ("lacp_rate", params.lacp_rate.is_some(), &[M::Ieee8023ad][..]),
            ("ad_select", params.ad_select.is_some(), &[M::Ieee8023ad]),
            ("num_grat_arp", params.num_grat_arp.is_some(), &[M::ActiveBackup]),
            ("fail_over_mac", params.fail_over_mac.is_some(), &[M::ActiveBackup]),
            ("primary", params.primary.is_some(), &[M::ActiveBackup, M::BalanceTlb, M::BalanceAlb]),
            ("packets_per_slave", params.packets_per_slave.is_some(), &[M::BalanceRr]),
            (
                "learn_packet_interval",
                params.learn_packet_interval.is_some(),
                &[M::BalanceTlb, M::BalanceAlb],
            ),
        ];
        for (setting, given, modes) in idle {
            if given && !modes.contains(&mode) {
                self.warn(
                    Code::BondSettingIdle,
                    at,
                    format!("{setting} does nothing in mode {mode}"),
                );
            }
        }
        if params.arp_ip_targets.len() > 16 {
            self.error(Code::ValueUnfit, at, "a bond has at most 16 ARP targets");
        }
    }

    fn links(&mut self, interface: &'a Interface) {
        let mut families: BTreeSet<Family> = BTreeSet::new();
        for (index, link) in interface.links.iter().enumerate() {
            let at = format!("{}.links[{index}]", path(interface));
            let subnet = match link.subnet() {
                None => None,
                Some(id) => match self.network.subnets.get(id) {
                    Some(subnet) => Some(subnet),
                    None => {
                        self.error(Code::UnknownSubnet, &at, format!("there is no subnet {id}"));
                        continue;
                    }
                },
            };
            match link {
                Link::Auto { ip: None, .. } => self.warn(
                    Code::AddressUnassigned,
                    &at,
                    "no address has been assigned yet; the link is left out",
                ),
                Link::Static { .. } | Link::Auto { .. } => {
                    if let (Some(ip), Some(subnet)) = (link.ip(), subnet) {
                        self.address(&at, ip, subnet);
                    }
                }
                Link::Dhcp { .. } => {
                    let asked = subnet.map_or(Family::BOTH.to_vec(), |subnet| {
                        vec![Family::of(&subnet.cidr.addr())]
                    });
                    for family in asked {
                        if !families.insert(family) {
                            self.warn(
                                Code::DhcpDuplicate,
                                &at,
                                "DHCP is already asked for this address family",
                            );
                        }
                    }
                }
                Link::LinkUp { .. } => {
                    if interface.links.len() > 1 {
                        self.warn(
                            Code::LinkUpConflict,
                            &at,
                            "link-up does nothing beside another link",
                        );
                    }
                }
            }
        }
        let has_v6 = interface.links.iter().any(|link| matches!(link.ip(), Some(IpAddr::V6(_))));
        if let Some(mtu) = interface.mtu
            && has_v6
            && mtu.bytes() < 1280
        {
            self.error(
                Code::MtuUnfit,
                path(interface),
                format!("IPv6 needs an MTU of 1280, not {mtu}"),
            );
        }
    }

    fn address(&mut self, at: &str, ip: IpAddr, subnet: &Subnet) {
        if !subnet.cidr.contains(&ip) {
            self.error(Code::AddressOutsideSubnet, at, format!("{ip} is not in {}", subnet.cidr));
        } else if let IpNet::V4(net) = subnet.cidr
            && net.prefix_len() < 31
            && (ip == IpAddr::V4(net.network()) || ip == IpAddr::V4(net.broadcast()))
        {
            self.error(
                Code::AddressReserved,
                at,
                format!("{ip} is the network or broadcast address of {net}"),
            );
        }
    }

    fn subnets(&mut self) {
        let subnets: Vec<_> = self.network.subnets.iter().collect();
        for (index, (id, subnet)) in subnets.iter().enumerate() {
            let at = format!("subnets[{id}]");
            if subnet.cidr.trunc() != subnet.cidr {
                self.error(
                    Code::SubnetUnfit,
                    &at,
                    format!("{} has host bits; write {}", subnet.cidr, subnet.cidr.trunc()),
                );
            }
            if let Some(gateway) = subnet.gateway {
                let link_local = matches!(gateway, IpAddr::V6(ip) if ip.is_unicast_link_local());
                let fits = Family::of(&gateway) == Family::of(&subnet.cidr.addr())
                    && (subnet.cidr.contains(&gateway) || link_local);
                if !fits {
                    self.error(
                        Code::GatewayUnreachable,
                        &at,
                        format!(
                            "the gateway {gateway} is neither in {} nor IPv6 link-local",
                            subnet.cidr
                        ),
                    );
                }
            }
            for (other_id, other) in &subnets[..index] {
                if other.cidr.contains(&subnet.cidr) || subnet.cidr.contains(&other.cidr) {
                    self.warn(
                        Code::SubnetOverlap,
                        &at,
                        format!("it overlaps the subnet {other_id}"),
                    );
                }
            }
        }
    }

    fn addresses(&mut self) {
        let mut seen: BTreeMap<IpAddr, String> = BTreeMap::new();
        let mut configured = false;
        for interface in &self.network.interfaces {
            for (index, link) in interface.links.iter().enumerate() {
                configured |= !matches!(link, Link::LinkUp { .. }) && interface.enabled;
                let Some(ip) = link.ip() else { continue };
                let at = format!("{}.links[{index}]", path(interface));
                if let Some(other) = seen.insert(ip, at.clone()) {
                    self.error(
                        Code::AddressDuplicate,
                        at,
                        format!("{ip} is already given to {other}"),
                    );
                }
            }
        }
        if !configured {
            self.warn(
                Code::NotConfigured,
                "interfaces",
                "no interface gets an address; the machine will not be reachable",
            );
        }
    }

    fn routes(&mut self) {
        let mut seen = BTreeSet::new();
        for (index, route) in self.network.routes.iter().enumerate() {
            let at = format!("routes[{index}]");
            let Some(source) = self.network.subnets.get(&route.source) else {
                self.error(
                    Code::UnknownSubnet,
                    &at,
                    format!("there is no subnet {}", route.source),
                );
                continue;
            };
            if route.destination.trunc() != route.destination {
                self.error(
                    Code::RouteUnfit,
                    &at,
                    format!("the destination {} has host bits", route.destination),
                );
            }
            if Family::of(&route.destination.addr()) != Family::of(&source.cidr.addr()) {
                self.error(
                    Code::RouteUnfit,
                    &at,
                    "source and destination are of different address families",
                );
            }
            if !source.cidr.contains(&route.gateway) {
                self.error(
                    Code::GatewayUnreachable,
                    &at,
                    format!("the gateway {} is not in {}", route.gateway, source.cidr),
                );
            }
            if !seen.insert((&route.source, route.destination, route.gateway)) {
                self.warn(Code::RouteDuplicate, &at, "the same route is there already");
            }
        }
    }

    fn gateways(&mut self) {
        let choices = [
            ("gateways.ipv4", Family::V4, &self.network.gateways.ipv4),
            ("gateways.ipv6", Family::V6, &self.network.gateways.ipv6),
        ];
        for (at, family, choice) in choices {
            if let Some(GatewayLink { interface, subnet }) = choice {
                if !self.by_name.contains_key(interface) {
                    self.error(
                        Code::UnknownInterface,
                        at,
                        format!("there is no interface {interface}"),
                    );
                    continue;
                }
                if chosen(self.network, interface, subnet, family, Eligible::Unassigned).is_none() {
                    self.error(
                        Code::GatewayChoiceInvalid,
                        at,
                        format!("{interface} has no address in {subnet}, or that subnet has no gateway of this family"),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
