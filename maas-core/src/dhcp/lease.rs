//! Leases as dnsmasq keeps them, and what has changed between two looks.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::machine::normal_mac;

/// An address that a machine has for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// The machine's MAC address, lower case with colons.
    pub mac: String,
    /// The host name that the machine gave, if any.
    pub hostname: Option<String>,
    /// When the lease ends, in seconds since 1970; `None` for never.
    pub expires: Option<u64>,
}

/// What happened to a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseChange {
    /// A machine got an address, or got it once more.
    Commit(Lease),
    /// An address is free again.
    Release(Lease),
}

/// Reads dnsmasq's lease file: a line `EXPIRY MAC ADDRESS HOSTNAME CLIENT-ID` a lease, where `*`
/// stands for nothing; lines of other forms (DHCPv6, a half-written one) are left out.
#[must_use]
pub fn parse_leases(text: &str) -> Vec<Lease> {
    text.lines().filter_map(parse_lease).collect()
}

fn parse_lease(line: &str) -> Option<Lease> {
    let mut words = line.split(' ');
    let expires: u64 = words.next()?.parse().ok()?;
    // Other hardware than Ethernet has its type before the address: 06-00:….
    let mac = words.next()?;
    let mac = normal_mac(mac)?;
    let address = words.next()?.parse().ok()?;
    let hostname = words.next().filter(|name| *name != "*").map(str::to_owned);
    // The client identifier ends the line, so without it the line is not whole.
    words.next()?;
    Some(Lease { address, mac, hostname, expires: (expires != 0).then_some(expires) })
}

/// What has changed from one reading to the next, by address.
#[must_use]
pub fn lease_changes(before: &[Lease], now: &[Lease]) -> Vec<LeaseChange> {
    let by_address = |leases: &[Lease]| -> BTreeMap<Ipv4Addr, Lease> {
        leases.iter().map(|lease| (lease.address, lease.clone())).collect()
    };
    let (before, now) = (by_address(before), by_address(now));
    let gone = before
        .iter()
        .filter(|(address, old)| now.get(*address).is_none_or(|new| new.mac != old.mac))
        .map(|(_, old)| LeaseChange::Release(old.clone()));
    let come = now
        .iter()
        .filter(|(address, new)| before.get(*address) != Some(*new))
        .map(|(_, new)| LeaseChange::Commit(new.clone()));
    gone.chain(come).collect()
}
