//! What no DHCP server should run with.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::{AddressRange, DhcpPlan, Reach, Subnet, SubnetRole};
use crate::machine::normal_mac;

/// Why a plan is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A text that would not stay what it is in a configuration file.
    #[error("subnet {cidr}: {field} {value:?} is not a plain name")]
    NotPlain {
        /// The subnet.
        cidr: String,
        /// What it is the value of.
        field: &'static str,
        /// The text.
        value: String,
    },
    /// An address that is no host's of the subnet.
    #[error("subnet {cidr}: {field} {address} is not an address of its hosts")]
    Outside {
        /// The subnet.
        cidr: String,
        /// What it is the value of.
        field: &'static str,
        /// The address.
        address: Ipv4Addr,
    },
    /// A range whose last address comes before its first.
    #[error("subnet {cidr}: the range {first}-{last} is upside down")]
    UpsideDown {
        /// The subnet.
        cidr: String,
        /// The first address.
        first: Ipv4Addr,
        /// The last address.
        last: Ipv4Addr,
    },
    /// An address that is given out twice, or is the rack's or the gateway's own.
    #[error("subnet {cidr}: the address {address} would be given out though it is taken")]
    Taken {
        /// The subnet.
        cidr: String,
        /// The address.
        address: Ipv4Addr,
    },
    /// A MAC address that cannot be read or has two reservations.
    #[error("subnet {cidr}: the MAC address {mac:?} cannot be read or has two reservations")]
    Mac {
        /// The subnet.
        cidr: String,
        /// The MAC address.
        mac: String,
    },
    /// Two subnets that are not apart.
    #[error("the subnets {one} and {other} overlap")]
    Overlap {
        /// A subnet.
        one: String,
        /// Another.
        other: String,
    },
    /// A subnet without addresses to give.
    #[error("subnet {cidr}: there are neither ranges nor reservations to serve")]
    NothingToServe {
        /// The subnet.
        cidr: String,
    },
    /// A lease that is too short or too long.
    #[error("subnet {cidr}: a lease of {seconds} seconds is not between 120 and 31536000")]
    LeaseTime {
        /// The subnet.
        cidr: String,
        /// The seconds.
        seconds: u32,
    },
}

impl DhcpPlan {
    /// Refuses a plan that would give an address to two machines, or to none, or whose texts
    /// would say something else in a configuration file.
    ///
    /// # Errors
    ///
    /// [`PlanError`].
    pub fn check(&self) -> Result<(), PlanError> {
        for (index, subnet) in self.subnets.iter().enumerate() {
            check(subnet)?;
            for other in &self.subnets[..index] {
                if subnet.cidr.contains(&other.cidr) || other.cidr.contains(&subnet.cidr) {
                    let (one, other) = (other.cidr.to_string(), subnet.cidr.to_string());
                    return Err(PlanError::Overlap { one, other });
                }
            }
        }
        Ok(())
    }
}

fn check(subnet: &Subnet) -> Result<(), PlanError> {
    let cidr = subnet.cidr.to_string();
    let plain = |field, value: &String| {
        if is_plain(value) {
            return Ok(());
        }
        let value = value.chars().take(80).collect();
        Err(PlanError::NotPlain { cidr: cidr.clone(), field, value })
    };
    plain("interface", &subnet.interface)?;
    subnet.domain.iter().try_for_each(|domain| plain("domain", domain))?;
    subnet.search.iter().try_for_each(|domain| plain("search", domain))?;
    let hostnames = subnet.reservations.iter().filter_map(|one| one.hostname.as_ref());
    hostnames.into_iter().try_for_each(|name| plain("hostname", name))?;

    let host = |field, address: Ipv4Addr| {
        if is_host(subnet, address) {
            return Ok(());
        }
        Err(PlanError::Outside { cidr: cidr.clone(), field, address })
    };
    if subnet.reach == Reach::Direct {
        host("rack", subnet.rack)?;
    }
    subnet.gateway.map_or(Ok(()), |gateway| host("gateway", gateway))?;
    if !(120..=31_536_000).contains(&subnet.lease_seconds) {
        return Err(PlanError::LeaseTime { cidr, seconds: subnet.lease_seconds });
    }
    if subnet.role == SubnetRole::Proxy {
        return Ok(());
    }
    if subnet.ranges.is_empty() && subnet.reservations.is_empty() {
        return Err(PlanError::NothingToServe { cidr });
    }
    let mut taken: BTreeMap<Ipv4Addr, Ipv4Addr> = BTreeMap::new();
    for &AddressRange { first, last } in &subnet.ranges {
        host("range", first)?;
        host("range", last)?;
        if last < first {
            return Err(PlanError::UpsideDown { cidr, first, last });
        }
        take(&mut taken, first, last, &cidr)?;
    }
    let own = std::iter::once(subnet.rack).chain(subnet.gateway.filter(|gw| *gw != subnet.rack));
    for address in own {
        take(&mut taken, address, address, &cidr)?;
    }
    let mut macs = std::collections::BTreeSet::new();
    let mut reserved = std::collections::BTreeSet::new();
    for reservation in &subnet.reservations {
        host("reservation", reservation.address)?;
        let mac = normal_mac(&reservation.mac).filter(|mac| *mac == reservation.mac);
        if mac.is_none_or(|mac| !macs.insert(mac)) {
            let mac = reservation.mac.chars().take(40).collect();
            return Err(PlanError::Mac { cidr, mac });
        }
        // Within a range it is left out of that by every server.
        let is_own =
            reservation.address == subnet.rack || Some(reservation.address) == subnet.gateway;
        if is_own || !reserved.insert(reservation.address) {
            return Err(PlanError::Taken { cidr, address: reservation.address });
        }
    }
    Ok(())
}

/// Takes addresses that must not be taken yet.
fn take(
    taken: &mut BTreeMap<Ipv4Addr, Ipv4Addr>,
    first: Ipv4Addr,
    last: Ipv4Addr,
    cidr: &str,
) -> Result<(), PlanError> {
    if let Some((from, to)) = taken.range(..=last).next_back()
        && *to >= first
    {
        return Err(PlanError::Taken { cidr: cidr.to_owned(), address: (*from).max(first) });
    }
    taken.insert(first, last);
    Ok(())
}

/// Whether an address is one that a host of the subnet may have.
fn is_host(subnet: &Subnet, address: Ipv4Addr) -> bool {
    let small = subnet.cidr.prefix_len() >= 31;
    subnet.cidr.contains(&address)
        && (small || (address != subnet.cidr.network() && address != subnet.cidr.broadcast()))
}

/// Interfaces and domains: nothing that any of the servers reads as syntax.
fn is_plain(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_@:".contains(&byte))
}
