//! Addresses that are kept: ranges, and single ones for a MAC address.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Span;
use super::fabric::found;
use super::model::{IpRange, Networks, RangeKind, ReservedIp, Subnet};
use super::refusal::Refusal;

/// The longest comment in characters.
const LONGEST_COMMENT: usize = 255;

impl IpRange {
    /// Its addresses; of a range in [`Networks`] always there.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        Span::new(self.start_ip, self.end_ip)
    }
}

impl Networks {
    /// Adds a range. `leased` are the addresses that are given out.
    ///
    /// # Errors
    ///
    /// [`Refusal::Field`] for a range in the wrong order, outside its subnet, over another range;
    /// a dynamic one also over the gateway, a DNS server or an address that is given out.
    pub fn add_ip_range(
        &mut self,
        range: IpRange,
        leased: &BTreeSet<IpAddr>,
    ) -> Result<u64, Refusal> {
        self.check_range(None, &range, leased)?;
        Ok(self.ip_ranges.push(range))
    }

    /// Replaces a range.
    ///
    /// # Errors
    ///
    /// As [`Networks::add_ip_range`]; [`Refusal::InUse`] when DHCP lives from it;
    /// [`Refusal::NotFound`].
    pub fn set_ip_range(
        &mut self,
        id: u64,
        range: IpRange,
        leased: &BTreeSet<IpAddr>,
    ) -> Result<(), Refusal> {
        let old = self.ip_ranges.get(id).ok_or(Refusal::not_found("IPRange"))?;
        self.check_range(Some(id), &range, leased)?;
        if old.kind != range.kind || old.subnet_id != range.subnet_id {
            self.spare_range(old)?;
        }
        found(self.ip_ranges.set(id, range), "IPRange")
    }

    /// Removes a range.
    ///
    /// # Errors
    ///
    /// [`Refusal::InUse`] when DHCP lives from it; [`Refusal::NotFound`].
    pub fn remove_ip_range(&mut self, id: u64) -> Result<(), Refusal> {
        let range = self.ip_ranges.get(id).ok_or(Refusal::not_found("IPRange"))?;
        self.spare_range(range)?;
        self.ip_ranges.remove(id);
        Ok(())
    }

    fn spare_range(&self, range: &IpRange) -> Result<(), Refusal> {
        match self.subnets.get(range.subnet_id) {
            Some(subnet) if range.kind == RangeKind::Dynamic => {
                self.dhcp_can_lose(subnet.vlan_id, |other| other == range)
            }
            _ => Ok(()),
        }
    }

    fn check_range(
        &self,
        id: Option<u64>,
        range: &IpRange,
        leased: &BTreeSet<IpAddr>,
    ) -> Result<(), Refusal> {
        check_comment(&range.comment)?;
        let subnet = self.subnet_or_refuse(range.subnet_id)?;
        if range.start_ip.is_ipv4() != range.end_ip.is_ipv4() {
            return Err(Refusal::field(
                "__all__",
                "Start IP address and end IP address must be in the same address family.",
            ));
        }
        let span = range.span().ok_or_else(|| {
            Refusal::field("end_ip", "End IP address must not be less than Start IP address.")
        })?;
        for (field, address) in [("start_ip", &range.start_ip), ("end_ip", &range.end_ip)] {
            inside(subnet, field, address)?;
        }
        let conflict = |what: String| {
            let kind = range.kind.as_str();
            Err(Refusal::field("__all__", format!("Requested {kind} range conflicts with {what}.")))
        };
        let over = self.ip_ranges.iter().find(|(other, row)| {
            Some(*other) != id && row.span().is_some_and(|other| other.overlaps(&span))
        });
        if let Some((_, other)) = over {
            return conflict(format!(
                "an existing {} range ({} to {})",
                other.kind.as_str(),
                other.start_ip,
                other.end_ip
            ));
        }
        if range.kind == RangeKind::Reserved {
            return Ok(());
        }
        let known = subnet
            .gateway_ip
            .iter()
            .map(|address| (address, "the gateway"))
            .chain(subnet.dns_servers.iter().map(|address| (address, "a DNS server")))
            .find(|(address, _)| span.contains(address));
        if let Some((address, what)) = known {
            return conflict(format!("{what} ({address})"));
        }
        match leased.range(span.first()..=span.last()).next() {
            Some(address) => conflict(format!("an existing IP address ({address})")),
            None => Ok(()),
        }
    }

    /// Keeps an address for a MAC address.
    ///
    /// # Errors
    ///
    /// [`Refusal::Field`] for an address outside the subnet or one that is kept already, for a MAC
    /// address that has one in the subnet.
    pub fn add_reserved_ip(&mut self, reserved: ReservedIp) -> Result<u64, Refusal> {
        self.check_reserved(None, &reserved)?;
        Ok(self.reserved_ips.push(reserved))
    }

    /// Replaces such an address.
    ///
    /// # Errors
    ///
    /// As [`Networks::add_reserved_ip`]; [`Refusal::NotFound`].
    pub fn set_reserved_ip(&mut self, id: u64, reserved: ReservedIp) -> Result<(), Refusal> {
        self.check_reserved(Some(id), &reserved)?;
        found(self.reserved_ips.set(id, reserved), "ReservedIP")
    }

    /// Removes such an address.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`].
    pub fn remove_reserved_ip(&mut self, id: u64) -> Result<(), Refusal> {
        found(self.reserved_ips.remove(id).is_some(), "ReservedIP")
    }

    fn check_reserved(&self, id: Option<u64>, reserved: &ReservedIp) -> Result<(), Refusal> {
        check_comment(&reserved.comment)?;
        let subnet = self.subnet_or_refuse(reserved.subnet_id)?;
        inside(subnet, "ip", &reserved.ip)?;
        if subnet.gateway_ip == Some(reserved.ip) {
            return Err(Refusal::field("ip", "This is the subnet's gateway."));
        }
        let mut others =
            self.reserved_ips.iter().filter(|(other, _)| Some(*other) != id).map(|(_, row)| row);
        if others.clone().any(|other| other.ip == reserved.ip) {
            return Err(Refusal::field("ip", "Reserved IP with this IP address already exists."));
        }
        let same = |other: &ReservedIp| {
            other.subnet_id == reserved.subnet_id && other.mac_address == reserved.mac_address
        };
        if reserved.mac_address.is_some() && others.any(same) {
            return Err(Refusal::field(
                "mac_address",
                "This MAC address has a reserved IP in this subnet already.",
            ));
        }
        Ok(())
    }

    pub(super) fn subnet_or_refuse(&self, id: u64) -> Result<&Subnet, Refusal> {
        self.subnets.get(id).ok_or_else(|| Refusal::field("subnet", "There is no such subnet."))
    }
}

/// Whether a host of the subnet could have the address.
fn inside(subnet: &Subnet, field: &'static str, address: &IpAddr) -> Result<(), Refusal> {
    let cidr = &subnet.cidr;
    if !cidr.contains(address) {
        return Err(Refusal::field(field, format!("IP addresses must be within subnet: {cidr}.")));
    }
    if !Span::hosts(cidr).contains(address) {
        return Err(Refusal::field(
            field,
            format!("{address} is the network or broadcast address of {cidr}."),
        ));
    }
    Ok(())
}

fn check_comment(comment: &str) -> Result<(), Refusal> {
    if comment.chars().count() > LONGEST_COMMENT {
        return Err(Refusal::field(
            "comment",
            format!("Ensure this value has at most {LONGEST_COMMENT} characters."),
        ));
    }
    Ok(())
}
