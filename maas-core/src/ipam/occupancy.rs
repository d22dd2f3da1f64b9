//! What is taken in a subnet, what is free, and which free address is given next.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;

use super::model::{Networks, RangeKind, Subnet};
use super::span::{next, previous};
use super::{RangeKind as Kind, Span};

/// Why addresses are not free; the API's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Purpose {
    /// Given out.
    AssignedIp,
    /// A DNS server of the subnet.
    DnsServer,
    /// A dynamic range: DHCP's.
    Dynamic,
    /// Part of a smaller subnet.
    Excluded,
    /// The subnet's gateway.
    GatewayIp,
    /// A reserved range.
    Reserved,
    /// Kept for one MAC address.
    ReservedIp,
    /// Free.
    Unused,
}

/// Neighbouring addresses that are kept for the same purposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The addresses.
    pub span: Span,
    /// The purposes; never empty.
    pub purposes: BTreeSet<Purpose>,
}

/// How full a subnet is.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Free addresses.
    pub num_available: u128,
    /// Those of the largest gap.
    pub largest_available: u128,
    /// Addresses that are not free.
    pub num_unavailable: u128,
    /// All addresses that hosts can have.
    pub total_addresses: u128,
    /// Taken in relation to all, 0 to 1.
    pub usage: f64,
    /// The first address that a host can have.
    pub first_address: IpAddr,
    /// The last one.
    pub last_address: IpAddr,
}

impl Networks {
    /// The next free address of a subnet, the lowest one. `leased` are the addresses that are given
    /// out, of this subnet or any.
    ///
    /// Never the network's own, the broadcast address, the gateway, a DNS server, one in a dynamic
    /// or reserved range, one kept for a MAC address, one that DNS publishes, one of a smaller
    /// subnet. An unmanaged subnet gives from its reserved ranges only. The time it takes grows
    /// with what is taken, not with the size of the subnet.
    #[must_use]
    pub fn free_address(&self, subnet_id: u64, leased: &BTreeSet<IpAddr>) -> Option<IpAddr> {
        let subnet = self.subnets.get(subnet_id)?;
        let mut blocked: Vec<Span> = self
            .kept(subnet_id, subnet)
            .into_iter()
            .filter(|(_, purpose)| subnet.managed || *purpose != Purpose::Reserved)
            .map(|(span, _)| span)
            .collect();
        blocked.sort_unstable();
        let hosts = Span::hosts(&subnet.cidr);
        if subnet.managed {
            return first_free(&hosts, &blocked, leased);
        }
        let mut reserved: Vec<Span> = self
            .ip_ranges
            .iter()
            .filter(|(_, range)| range.subnet_id == subnet_id && range.kind == Kind::Reserved)
            .filter_map(|(_, range)| range.span()?.intersection(&hosts))
            .collect();
        reserved.sort_unstable();
        reserved.iter().find_map(|span| first_free(span, &blocked, leased))
    }

    /// Why this very address cannot be given from the subnet, in words; `None` when it can. A
    /// reserved range is no obstacle for who asks by name, leases are looked at by the caller.
    #[must_use]
    pub fn refuses_address(&self, subnet_id: u64, address: &IpAddr) -> Option<String> {
        let Some(subnet) = self.subnets.get(subnet_id) else {
            return Some("There is no such subnet.".to_owned());
        };
        let cidr = &subnet.cidr;
        if !cidr.contains(address) {
            return Some(format!("IP address is not in the given subnet '{cidr}'."));
        }
        if !Span::hosts(cidr).contains(address) {
            return Some(format!("{address} is the network or broadcast address of {cidr}."));
        }
        let (_, purpose) = self.kept(subnet_id, subnet).into_iter().find(|(span, purpose)| {
            span.contains(address)
                && matches!(
                    purpose,
                    Purpose::GatewayIp | Purpose::Dynamic | Purpose::ReservedIp | Purpose::Excluded
                )
        })?;
        Some(match purpose {
            Purpose::GatewayIp => format!("{address} is the subnet's gateway."),
            Purpose::Dynamic => format!("{address} is within a dynamic range of '{cidr}'."),
            Purpose::ReservedIp => format!("{address} is reserved for a MAC address."),
            _ => format!("{address} belongs to a smaller subnet within '{cidr}'."),
        })
    }

    /// What is kept in a subnet, with `leased`: neighbours of the same purposes together, in order,
    /// without overlap.
    #[must_use]
    pub fn reserved_pieces(&self, subnet_id: u64, leased: &BTreeSet<IpAddr>) -> Vec<Piece> {
        let Some(subnet) = self.subnets.get(subnet_id) else { return Vec::new() };
        let hosts = Span::hosts(&subnet.cidr);
        let mut kept = self.kept(subnet_id, subnet);
        kept.extend(
            leased
                .range(hosts.first()..=hosts.last())
                .map(|address| (Span::one(*address), Purpose::AssignedIp)),
        );
        kept.retain_mut(|(span, _)| match span.intersection(&hosts) {
            Some(inside) => {
                *span = inside;
                true
            }
            None => false,
        });
        pieces(kept)
    }

    /// The gaps between what is kept.
    #[must_use]
    pub fn unreserved_pieces(&self, subnet_id: u64, leased: &BTreeSet<IpAddr>) -> Vec<Piece> {
        let Some(subnet) = self.subnets.get(subnet_id) else { return Vec::new() };
        let hosts = Span::hosts(&subnet.cidr);
        let unused = |first, last| {
            Span::new(first, last)
                .map(|span| Piece { span, purposes: BTreeSet::from([Purpose::Unused]) })
        };
        let mut gaps = Vec::new();
        let mut cursor = Some(hosts.first());
        for piece in self.reserved_pieces(subnet_id, leased) {
            let Some(first) = cursor else { break };
            if first < piece.span.first() {
                gaps.extend(unused(first, previous(&piece.span.first())));
            }
            cursor = next(&piece.span.last());
        }
        if let Some(first) = cursor {
            gaps.extend(unused(first, hosts.last()));
        }
        gaps
    }

    /// How full a subnet is.
    #[must_use]
    pub fn statistics(&self, subnet_id: u64, leased: &BTreeSet<IpAddr>) -> Option<Statistics> {
        let hosts = Span::hosts(&self.subnets.get(subnet_id)?.cidr);
        let lengths: Vec<u128> = self
            .unreserved_pieces(subnet_id, leased)
            .iter()
            .map(|piece| piece.span.len())
            .collect();
        let total = hosts.len();
        let available = lengths.iter().fold(0_u128, |sum, length| sum.saturating_add(*length));
        let taken = total.saturating_sub(available);
        #[allow(clippy::cast_precision_loss, reason = "a share of addresses, shown in percent")]
        let usage = taken as f64 / total as f64;
        Some(Statistics {
            num_available: available,
            largest_available: lengths.into_iter().max().unwrap_or(0),
            num_unavailable: taken,
            total_addresses: total,
            usage,
            first_address: hosts.first(),
            last_address: hosts.last(),
        })
    }

    /// What the configuration keeps; overlapping, in no order.
    fn kept(&self, subnet_id: u64, subnet: &Subnet) -> Vec<(Span, Purpose)> {
        let cidr = &subnet.cidr;
        let one = |address: &IpAddr, purpose| (Span::one(*address), purpose);
        let inside = |address: &&IpAddr| cidr.contains(*address);
        let mut kept: Vec<(Span, Purpose)> = Vec::new();
        kept.extend(subnet.gateway_ip.iter().filter(inside).map(|it| one(it, Purpose::GatewayIp)));
        kept.extend(subnet.dns_servers.iter().filter(inside).map(|it| one(it, Purpose::DnsServer)));
        for (_, range) in self.ip_ranges.iter().filter(|(_, range)| range.subnet_id == subnet_id) {
            let purpose = match range.kind {
                RangeKind::Dynamic => Purpose::Dynamic,
                RangeKind::Reserved => Purpose::Reserved,
            };
            kept.extend(range.span().map(|span| (span, purpose)));
        }
        for (_, reserved) in self.reserved_ips.iter().filter(|(_, it)| it.subnet_id == subnet_id) {
            kept.push(one(&reserved.ip, Purpose::ReservedIp));
        }
        for (_, resource) in self.dns.resources.iter() {
            let addresses = resource.ip_addresses.iter().filter(inside);
            kept.extend(addresses.map(|address| one(address, Purpose::AssignedIp)));
        }
        for (other, smaller) in self.subnets.iter() {
            if other != subnet_id && cidr.contains(&smaller.cidr) {
                kept.push((Span::of(&smaller.cidr), Purpose::Excluded));
            }
        }
        kept
    }
}

/// The lowest address of `span` that is in no blocked span (sorted) and not leased.
fn first_free(span: &Span, blocked: &[Span], leased: &BTreeSet<IpAddr>) -> Option<IpAddr> {
    let mut cursor = span.first();
    let mut blocked = blocked.iter().peekable();
    let mut leased = leased.range(span.first()..=span.last()).peekable();
    while cursor <= span.last() {
        while blocked.next_if(|block| block.last() < cursor).is_some() {}
        while leased.next_if(|address| **address < cursor).is_some() {}
        // Blocks are sorted by their first address: one that starts later cannot hold the cursor,
        // but a long one may lie behind a short one with the same start.
        let block = blocked.clone().take_while(|block| block.first() <= cursor);
        let end = block.filter(|block| block.contains(&cursor)).map(Span::last).max();
        if let Some(end) = end {
            cursor = next(&end)?;
        } else if leased.peek().is_some_and(|address| **address == cursor) {
            cursor = next(&cursor)?;
        } else {
            return Some(cursor);
        }
    }
    None
}

/// Cuts overlapping spans at each other's ends and joins neighbours of the same purposes.
fn pieces(mut kept: Vec<(Span, Purpose)>) -> Vec<Piece> {
    kept.sort_unstable();
    let mut cuts: BTreeSet<IpAddr> = BTreeSet::new();
    for (span, _) in &kept {
        cuts.insert(span.first());
        cuts.extend(next(&span.last()));
    }
    let cuts: Vec<IpAddr> = cuts.into_iter().collect();
    let mut pieces: Vec<Piece> = Vec::new();
    let mut open: Vec<(Span, Purpose)> = Vec::new();
    let mut waiting = kept.into_iter().peekable();
    for (index, first) in cuts.iter().enumerate() {
        open.retain(|(span, _)| span.last() >= *first);
        while let Some(starting) = waiting.next_if(|(span, _)| span.first() <= *first) {
            open.push(starting);
        }
        if open.is_empty() {
            continue;
        }
        let ends = open.iter().map(|(span, _)| span.last()).min();
        let Some(last) = cuts.get(index + 1).map(previous).or(ends) else { continue };
        let Some(span) = Span::new(*first, last) else { continue };
        let purposes: BTreeSet<Purpose> = open.iter().map(|(_, purpose)| *purpose).collect();
        match pieces.last_mut() {
            Some(before)
                if before.purposes == purposes && next(&before.span.last()) == Some(*first) =>
            {
                before.span = Span::new(before.span.first(), last).unwrap_or(before.span);
            }
            _ => pieces.push(Piece { span, purposes }),
        }
    }
    pieces
}
