//! Ranges of addresses of one family, and addresses as numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// All addresses from the first to the last, both included, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    first: IpAddr,
    last: IpAddr,
}

impl Span {
    /// `None` when the addresses are of two families or in the wrong order.
    #[must_use]
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }

    /// One address.
    #[must_use]
    pub const fn one(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }

    /// All addresses of a network.
    #[must_use]
    pub fn of(network: &IpNet) -> Self {
        Self { first: network.network(), last: network.broadcast() }
    }

    /// What hosts of a network can be given: not the network's own address and not the broadcast
    /// address of IPv4, except in networks so small that they have neither (RFC 3021, RFC 6164).
    #[must_use]
    pub fn hosts(network: &IpNet) -> Self {
        let all = Self::of(network);
        let left = network.max_prefix_len() - network.prefix_len();
        if left <= 1 {
            return all;
        }
        let first = address_of(&all.first, number_of(&all.first).saturating_add(1));
        let last = match network {
            IpNet::V4(_) => address_of(&all.last, number_of(&all.last).saturating_sub(1)),
            IpNet::V6(_) => all.last,
        };
        Self { first, last }
    }

    /// The first address.
    #[must_use]
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address.
    #[must_use]
    pub const fn last(&self) -> IpAddr {
        self.last
    }

    /// How many addresses; `u128::MAX` also for the whole of IPv6, which has one more.
    #[must_use]
    pub fn len(&self) -> u128 {
        (number_of(&self.last) - number_of(&self.first)).saturating_add(1)
    }

    /// Never: a span has at least one address.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Whether the address is among them.
    #[must_use]
    pub fn contains(&self, address: &IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && self.first <= *address && *address <= self.last
    }

    /// Whether the other lies in this one.
    #[must_use]
    pub fn encloses(&self, other: &Self) -> bool {
        self.contains(&other.first) && self.contains(&other.last)
    }

    /// Whether they share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first.is_ipv4() == other.first.is_ipv4()
            && self.first <= other.last
            && other.first <= self.last
    }

    /// What both have.
    pub(super) fn intersection(&self, other: &Self) -> Option<Self> {
        self.overlaps(other)
            .then(|| Self { first: self.first.max(other.first), last: self.last.min(other.last) })
    }
}

/// The address after this one; `None` after the very last.
pub(super) fn next(address: &IpAddr) -> Option<IpAddr> {
    let number = number_of(address).checked_add(1)?;
    if address.is_ipv4() && number > u128::from(u32::MAX) {
        return None;
    }
    Some(address_of(address, number))
}

/// The address before this one; the very first stays.
pub(super) fn previous(address: &IpAddr) -> IpAddr {
    address_of(address, number_of(address).saturating_sub(1))
}

fn number_of(address: &IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// A number as an address of the family of `like`.
fn address_of(like: &IpAddr, number: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn hosts(network: &str) -> (String, String) {
        let span = Span::hosts(&network.parse().unwrap());
        (span.first().to_string(), span.last().to_string())
    }

    #[test]
    fn hosts_are_without_network_and_broadcast_unless_there_is_no_room() {
        assert_eq!(hosts("10.0.0.0/24"), ("10.0.0.1".into(), "10.0.0.254".into()));
        assert_eq!(hosts("10.0.0.0/30"), ("10.0.0.1".into(), "10.0.0.2".into()));
        assert_eq!(hosts("10.0.0.0/31"), ("10.0.0.0".into(), "10.0.0.1".into()));
        assert_eq!(hosts("10.0.0.7/32"), ("10.0.0.7".into(), "10.0.0.7".into()));
        assert_eq!(hosts("fd00::/64"), ("fd00::1".into(), "fd00::ffff:ffff:ffff:ffff".into()));
        assert_eq!(hosts("fd00::/127"), ("fd00::".into(), "fd00::1".into()));
    }

    #[test]
    fn spans_of_two_families_have_nothing_in_common() {
        let four = Span::of(&"0.0.0.0/0".parse().unwrap());
        let six = Span::of(&"::/0".parse().unwrap());
        assert!(!four.overlaps(&six) && !six.encloses(&four));
        assert_eq!(Span::new("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap()), None);
        assert_eq!(Span::new("10.0.0.2".parse().unwrap(), "fd00::".parse().unwrap()), None);
        assert_eq!(six.len(), u128::MAX);
        assert_eq!(next(&"255.255.255.255".parse().unwrap()), None);
    }
}
