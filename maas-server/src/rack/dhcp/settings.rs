//! The subnets of the configuration file (`dhcp_subnets`).

use std::net::{Ipv4Addr, UdpSocket};
use std::str::FromStr;

use ipnet::Ipv4Net;
use maas_core::dhcp::{AddressRange, BootMethod, DhcpPlan, Reservation, Subnet, SubnetRole};
use toml::{Table, Value};

/// A subnet as the configuration file has it: the rack's address may be left to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetSettings {
    /// The subnet; its rack address counts only when `rack_is` says that it was given.
    pub subnet: Subnet,
    /// Where the rack's address comes from.
    pub rack_is: RackAddress,
}

/// Where the rack's address on a subnet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RackAddress {
    /// The file names it.
    Given,
    /// This host's address on the subnet.
    Found,
}

/// An entry of `dhcp_subnets` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {number}: key `{key}`: expected {expected}")]
pub struct SubnetSettingsError {
    /// Which entry, from 1 on.
    pub number: usize,
    /// The key.
    pub key: String,
    /// What would fit.
    pub expected: &'static str,
}

/// This host has no address on a subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("subnet {cidr}: this host has no address on it, or name it with the key `rack`")]
pub struct NoRackAddress {
    /// The subnet.
    pub cidr: String,
}

/// Every key of an entry with what it takes.
const KEYS: &[(&str, &str)] = &[
    ("interface", "the name of a network interface"),
    ("cidr", "a network such as \"10.0.0.0/24\""),
    ("rack", "an IPv4 address"),
    ("proxy", "true beside a foreign DHCP server, or false"),
    ("ranges", "a list of ranges such as \"10.0.0.100-10.0.0.200\""),
    ("gateway", "an IPv4 address"),
    ("dns_servers", "a list of IPv4 addresses"),
    ("ntp_servers", "a list of IPv4 addresses"),
    ("domain", "a domain"),
    ("search", "a list of domains"),
    ("mtu", "a number of bytes"),
    ("lease_seconds", "a number of seconds"),
    ("disabled_boot_architectures", "a list of names such as \"uefi_amd64_http\""),
    ("reservations", "a list such as [{ mac = \"52:54:00:00:00:01\", address = \"10.0.0.9\" }]"),
];

/// Reads the value of `dhcp_subnets`.
///
/// # Errors
///
/// [`SubnetSettingsError`].
pub fn read(value: &Value) -> Result<Vec<SubnetSettings>, SubnetSettingsError> {
    let whole = |expected| SubnetSettingsError { number: 1, key: "dhcp_subnets".into(), expected };
    let entries = value.as_array().ok_or_else(|| whole("a list of tables"))?;
    let entries = entries.iter().enumerate().map(|(index, entry)| {
        let number = index + 1;
        let table = entry.as_table().ok_or(SubnetSettingsError {
            number,
            key: "dhcp_subnets".to_owned(),
            expected: "a table with at least `interface` and `cidr`",
        })?;
        entry_of(table, number)
    });
    entries.collect()
}

fn entry_of(table: &Table, number: usize) -> Result<SubnetSettings, SubnetSettingsError> {
    if let Some(key) = table.keys().find(|key| !KEYS.iter().any(|(known, _)| known == key)) {
        let expected = "one of interface, cidr, rack, proxy, ranges, gateway, dns_servers, \
                        ntp_servers, domain, search, mtu, lease_seconds, \
                        disabled_boot_architectures, reservations";
        return Err(SubnetSettingsError { number, key: key.clone(), expected });
    }
    let wrong = |key: &str| SubnetSettingsError {
        number,
        key: key.to_owned(),
        expected: KEYS.iter().find(|(known, _)| *known == key).map_or("", |(_, text)| text),
    };
    let interface = table.get("interface").and_then(Value::as_str);
    let interface = interface.ok_or_else(|| wrong("interface"))?;
    let cidr: Ipv4Net = parsed(table.get("cidr")).ok_or_else(|| wrong("cidr"))?;
    let mut subnet = Subnet::new(interface, cidr.trunc(), cidr.network());
    let mut rack_is = RackAddress::Found;
    for (key, value) in table {
        take(&mut subnet, &mut rack_is, key, value).ok_or_else(|| wrong(key))?;
    }
    Ok(SubnetSettings { subnet, rack_is })
}

fn take(subnet: &mut Subnet, rack_is: &mut RackAddress, key: &str, value: &Value) -> Option<()> {
    match key {
        "rack" => {
            subnet.rack = parsed(Some(value))?;
            *rack_is = RackAddress::Given;
        }
        "proxy" => {
            subnet.role = if value.as_bool()? { SubnetRole::Proxy } else { SubnetRole::Serve };
        }
        "ranges" => subnet.ranges = list::<AddressRange>(value)?,
        "gateway" => subnet.gateway = Some(parsed(Some(value))?),
        "dns_servers" => subnet.dns_servers = list(value)?,
        "ntp_servers" => subnet.ntp_servers = list(value)?,
        "domain" => subnet.domain = Some(value.as_str()?.to_owned()),
        "search" => subnet.search = list(value)?,
        "mtu" => subnet.mtu = Some(u16::try_from(value.as_integer()?).ok()?),
        "lease_seconds" => subnet.lease_seconds = u32::try_from(value.as_integer()?).ok()?,
        "disabled_boot_architectures" => {
            let names: Vec<String> = list(value)?;
            subnet.disabled =
                names.iter().map(|name| BootMethod::named(name)).collect::<Option<_>>()?;
        }
        "reservations" => {
            subnet.reservations =
                value.as_array()?.iter().map(reservation).collect::<Option<_>>()?;
        }
        _ => {}
    }
    Some(())
}

fn reservation(value: &Value) -> Option<Reservation> {
    let table = value.as_table()?;
    let hostname = match table.get("hostname") {
        None => None,
        Some(name) => Some(name.as_str()?.to_owned()),
    };
    let known = ["mac", "address", "hostname"];
    let all_known = table.keys().all(|key| known.contains(&key.as_str()));
    let mac = maas_core::machine::normal_mac(table.get("mac")?.as_str()?)?;
    let address = parsed(table.get("address"))?;
    all_known.then_some(Reservation { mac, address, hostname })
}

fn parsed<T: FromStr>(value: Option<&Value>) -> Option<T> {
    value?.as_str()?.parse().ok()
}

fn list<T: FromStr>(value: &Value) -> Option<Vec<T>> {
    value.as_array()?.iter().map(|one| parsed(Some(one))).collect()
}

/// The plan that the settings make, with this host's addresses found.
///
/// # Errors
///
/// [`NoRackAddress`].
pub fn plan(settings: &[SubnetSettings], rack_port: u16) -> Result<DhcpPlan, NoRackAddress> {
    let mut plan = DhcpPlan::new(Vec::new());
    plan.rack_port = rack_port;
    for one in settings {
        let mut subnet = one.subnet.clone();
        if one.rack_is == RackAddress::Found {
            subnet.rack = own_address(&subnet.cidr)
                .ok_or_else(|| NoRackAddress { cidr: subnet.cidr.to_string() })?;
        }
        plan.subnets.push(subnet);
    }
    Ok(plan)
}

/// The address from which this host would speak to the subnet, when it is one of it.
pub(super) fn own_address(cidr: &Ipv4Net) -> Option<Ipv4Addr> {
    // Connecting a UDP socket sends nothing; the system only chooses the way.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((cidr.hosts().next()?, 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        std::net::IpAddr::V4(address) if cidr.contains(&address) => Some(address),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn settings(text: &str) -> Result<Vec<SubnetSettings>, SubnetSettingsError> {
        let table: Table = text.parse().unwrap();
        read(&table["dhcp_subnets"])
    }

    #[test]
    fn an_entry_is_read_with_all_its_keys() {
        let read = settings(
            "[[dhcp_subnets]]\ninterface = 'eth1'\ncidr = '10.0.0.0/24'\nrack = '10.0.0.1'\n\
             proxy = false\nranges = ['10.0.0.100-10.0.0.200']\ngateway = '10.0.0.254'\n\
             dns_servers = ['10.0.0.2']\nntp_servers = ['10.0.0.3']\ndomain = 'maas'\n\
             search = ['maas', 'example.org']\nmtu = 9000\nlease_seconds = 1200\n\
             disabled_boot_architectures = ['uefi_amd64_http']\n\
             reservations = [{ mac = '52-54-00-00-00-01', address = '10.0.0.9', hostname = 'a' }]",
        )
        .unwrap();
        let plan = plan(&read, 5248).unwrap();
        plan.check().unwrap();
        assert_eq!(plan.subnets[0].reservations[0].mac, "52:54:00:00:00:01");
        assert_eq!(plan.subnets[0].disabled.len(), 1);
        assert_eq!(plan.subnets[0].rack, "10.0.0.1".parse::<Ipv4Addr>().unwrap());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, key) in [
            ("dhcp_subnets = 1", "dhcp_subnets"),
            ("dhcp_subnets = [1]", "dhcp_subnets"),
            ("dhcp_subnets = [{ cidr = '10.0.0.0/24' }]", "interface"),
            ("dhcp_subnets = [{ interface = 'a', cidr = '10.0.0.0/40' }]", "cidr"),
            ("dhcp_subnets = [{ interface = 'a', cidr = '10.0.0.0/8', rangs = [] }]", "rangs"),
            ("dhcp_subnets = [{ interface = 'a', cidr = '10.0.0.0/8', ranges = ['x'] }]", "ranges"),
            ("dhcp_subnets = [{ interface = 'a', cidr = '10.0.0.0/8', mtu = 99999 }]", "mtu"),
        ] {
            assert_eq!(settings(text).unwrap_err().key, key, "{text}");
        }
    }

    #[test]
    fn an_address_on_a_subnet_is_found_when_there_is_one() {
        let at = |cidr: &str| own_address(&cidr.parse().unwrap());
        assert_eq!(at("127.0.0.0/8"), Some(Ipv4Addr::LOCALHOST));
        assert_eq!(at("203.0.113.0/24"), None);
    }
}
