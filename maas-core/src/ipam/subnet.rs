//! Subnets and the static routes between them: the layer 3 part.

use std::net::IpAddr;

use super::fabric::{check_name, found};
use super::model::{IpRange, Networks, RangeKind, ReservedIp, StaticRoute, Subnet};
use super::refusal::Refusal;
use super::{Span, Table};

/// The most DNS servers and disabled boot architectures of one subnet.
const LONGEST_LIST: usize = 64;

impl Networks {
    /// All subnets.
    #[must_use]
    pub const fn subnets(&self) -> &Table<Subnet> {
        &self.subnets
    }

    /// All ranges.
    #[must_use]
    pub const fn ip_ranges(&self) -> &Table<IpRange> {
        &self.ip_ranges
    }

    /// All addresses that DHCP keeps for one MAC address.
    #[must_use]
    pub const fn reserved_ips(&self) -> &Table<ReservedIp> {
        &self.reserved_ips
    }

    /// All static routes.
    #[must_use]
    pub const fn static_routes(&self) -> &Table<StaticRoute> {
        &self.static_routes
    }

    /// The smallest subnet that the address is in.
    #[must_use]
    pub fn subnet_of(&self, address: &IpAddr) -> Option<u64> {
        self.subnets
            .iter()
            .filter(|(_, subnet)| subnet.cidr.contains(address))
            .max_by_key(|(_, subnet)| subnet.cidr.prefix_len())
            .map(|(id, _)| id)
    }

    /// The subnets of a VLAN.
    pub fn subnets_of(&self, vlan_id: u64) -> impl Iterator<Item = (u64, &Subnet)> {
        self.subnets.iter().filter(move |(_, subnet)| subnet.vlan_id == vlan_id)
    }

    /// Adds a subnet.
    ///
    /// Subnets may lie in each other (a larger one routes to the smaller), but no two are the same.
    ///
    /// # Errors
    ///
    /// [`Refusal::Field`] for a CIDR that is there already, a gateway outside, a VLAN that is not
    /// there.
    pub fn add_subnet(&mut self, mut subnet: Subnet) -> Result<u64, Refusal> {
        subnet.cidr = subnet.cidr.trunc();
        if subnet.name.is_empty() {
            subnet.name = subnet.cidr.to_string();
        }
        self.check_subnet(None, &subnet)?;
        Ok(self.subnets.push(subnet))
    }

    /// Replaces a subnet.
    ///
    /// # Errors
    ///
    /// As [`Networks::add_subnet`], and for a CIDR that leaves out its ranges, reserved addresses
    /// or routers; [`Refusal::NotFound`].
    pub fn set_subnet(&mut self, id: u64, mut subnet: Subnet) -> Result<(), Refusal> {
        subnet.cidr = subnet.cidr.trunc();
        let old = self.subnets.get(id).ok_or(Refusal::not_found("Subnet"))?;
        if subnet.name == old.cidr.to_string() || subnet.name.is_empty() {
            subnet.name = subnet.cidr.to_string();
        }
        self.check_subnet(Some(id), &subnet)?;
        if old.cidr != subnet.cidr {
            self.check_contents(id, &subnet)?;
        }
        if old.vlan_id != subnet.vlan_id && self.dynamic_ranges(id).next().is_some() {
            self.dhcp_can_lose(old.vlan_id, |range| range.subnet_id == id)?;
        }
        found(self.subnets.set(id, subnet), "Subnet")
    }

    /// Removes a subnet with its ranges, reserved addresses and routes.
    ///
    /// # Errors
    ///
    /// [`Refusal::InUse`] when DHCP of its VLAN lives from it; [`Refusal::NotFound`].
    pub fn remove_subnet(&mut self, id: u64) -> Result<(), Refusal> {
        let subnet = self.subnets.get(id).ok_or(Refusal::not_found("Subnet"))?;
        self.dhcp_can_lose(subnet.vlan_id, |range| range.subnet_id == id)?;
        self.subnets.remove(id);
        self.ip_ranges.retain(|range| range.subnet_id != id);
        self.reserved_ips.retain(|reserved| reserved.subnet_id != id);
        self.static_routes.retain(|route| route.source != id && route.destination != id);
        Ok(())
    }

    fn check_subnet(&self, id: Option<u64>, subnet: &Subnet) -> Result<(), Refusal> {
        check_name(&subnet.name)?;
        if subnet.cidr.prefix_len() == 0 {
            return Err(Refusal::field("cidr", "Prefix length must be greater than 0."));
        }
        if self.vlans.get(subnet.vlan_id).is_none() {
            return Err(Refusal::field("vlan", "There is no such VLAN."));
        }
        if self.subnets.iter().any(|(other, row)| Some(other) != id && row.cidr == subnet.cidr) {
            return Err(Refusal::field("cidr", "Subnet with this CIDR already exists."));
        }
        if let Some(gateway) = &subnet.gateway_ip {
            // A router's link-local address serves every IPv6 network.
            let link_local = matches!(gateway, IpAddr::V6(it) if it.is_unicast_link_local())
                && matches!(subnet.cidr, ipnet::IpNet::V6(_));
            if !subnet.cidr.contains(gateway) && !link_local {
                return Err(Refusal::field("gateway_ip", "Gateway IP must be within CIDR range."));
            }
        }
        for (field, length) in [
            ("dns_servers", subnet.dns_servers.len()),
            ("disabled_boot_architectures", subnet.disabled_boot_architectures.len()),
        ] {
            if length > LONGEST_LIST {
                return Err(Refusal::field(field, format!("At most {LONGEST_LIST} are taken.")));
            }
        }
        Ok(())
    }

    /// Whether all that belongs to the subnet is still inside.
    fn check_contents(&self, id: u64, subnet: &Subnet) -> Result<(), Refusal> {
        let hosts = Span::hosts(&subnet.cidr);
        let ranges = self.ip_ranges.iter().filter(|(_, range)| range.subnet_id == id);
        let reserved = self.reserved_ips.iter().filter(|(_, one)| one.subnet_id == id);
        let routes = self.static_routes.iter().filter(|(_, route)| route.source == id);
        let left_out = ranges
            .flat_map(|(_, range)| [range.start_ip, range.end_ip])
            .chain(reserved.map(|(_, one)| one.ip))
            .chain(routes.map(|(_, route)| route.gateway_ip))
            .find(|address| !hosts.contains(address));
        let changed_family = self.static_routes.iter().any(|(_, route)| {
            route.destination == id
                && self.subnets.get(route.source).is_some_and(|source| {
                    Span::of(&source.cidr).first().is_ipv4() != hosts.first().is_ipv4()
                })
        });
        match left_out {
            Some(address) => Err(Refusal::field(
                "cidr",
                format!("{address} belongs to this subnet and would be outside."),
            )),
            None if changed_family => {
                Err(Refusal::field("cidr", "A static route leads here from the other IP version."))
            }
            None => Ok(()),
        }
    }

    /// The dynamic ranges of a subnet.
    pub fn dynamic_ranges(&self, subnet_id: u64) -> impl Iterator<Item = &IpRange> {
        self.ip_ranges
            .iter()
            .map(|(_, range)| range)
            .filter(move |range| range.subnet_id == subnet_id && range.kind == RangeKind::Dynamic)
    }

    /// Whether DHCP of a VLAN can do without these ranges.
    pub(super) fn dhcp_can_lose(
        &self,
        vlan_id: u64,
        lost: impl Fn(&IpRange) -> bool,
    ) -> Result<(), Refusal> {
        let serving = self.vlans.get(vlan_id).is_some_and(|vlan| vlan.dhcp_on);
        let mut dynamic = self.subnets_of(vlan_id).flat_map(|(id, _)| self.dynamic_ranges(id));
        if !serving || !self.has_dynamic_range(vlan_id) || dynamic.any(|range| !lost(range)) {
            return Ok(());
        }
        Err(Refusal::in_use(
            "DHCP is on in the VLAN and this is its last dynamic range; turn DHCP off first.",
        ))
    }

    /// Adds a static route.
    ///
    /// # Errors
    ///
    /// [`Refusal::Field`] for subnets that are not there, are the same or of two IP versions, for a
    /// router outside the source subnet, for a route that is there already.
    pub fn add_static_route(&mut self, route: StaticRoute) -> Result<u64, Refusal> {
        self.check_route(None, &route)?;
        Ok(self.static_routes.push(route))
    }

    /// Replaces a static route.
    ///
    /// # Errors
    ///
    /// As [`Networks::add_static_route`]; [`Refusal::NotFound`].
    pub fn set_static_route(&mut self, id: u64, route: StaticRoute) -> Result<(), Refusal> {
        self.check_route(Some(id), &route)?;
        found(self.static_routes.set(id, route), "StaticRoute")
    }

    /// Removes a static route.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`].
    pub fn remove_static_route(&mut self, id: u64) -> Result<(), Refusal> {
        found(self.static_routes.remove(id).is_some(), "StaticRoute")
    }

    fn check_route(&self, id: Option<u64>, route: &StaticRoute) -> Result<(), Refusal> {
        let subnet = |field, id| {
            self.subnets.get(id).ok_or_else(|| Refusal::field(field, "There is no such subnet."))
        };
        let source = subnet("source", route.source)?;
        let destination = subnet("destination", route.destination)?;
        if route.source == route.destination {
            return Err(Refusal::field("destination", "A subnet needs no route to itself."));
        }
        if Span::of(&source.cidr).first().is_ipv4() != Span::of(&destination.cidr).first().is_ipv4()
        {
            return Err(Refusal::field(
                "destination",
                "Source and destination must be of the same IP version.",
            ));
        }
        if !Span::hosts(&source.cidr).contains(&route.gateway_ip) {
            return Err(Refusal::field(
                "gateway_ip",
                "The gateway must be within the source subnet.",
            ));
        }
        let same = |row: &StaticRoute| {
            (row.source, row.destination, row.gateway_ip)
                == (route.source, route.destination, route.gateway_ip)
        };
        if self.static_routes.iter().any(|(other, row)| Some(other) != id && same(row)) {
            return Err(Refusal::field(
                "__all__",
                "Static route with this Source, Destination and Gateway IP already exists.",
            ));
        }
        Ok(())
    }
}
