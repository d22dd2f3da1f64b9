//! The networks that this host is connected to, as the kernel's routing table has them.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use maas_core::dhcp::Connected;

use super::settings::own_address;

/// A route that can be used (`RTF_UP` of `<linux/route.h>`).
const UP: u32 = 1;

/// Every IPv4 network with an address of this host on it.
#[must_use]
pub fn connected() -> Vec<Connected> {
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let mut found: Vec<Connected> = Vec::new();
    for (interface, cidr) in routes(&table) {
        if let Some(address) = own_address(&cidr)
            && found.iter().all(|known| known.cidr != cidr)
        {
            found.push(Connected { interface, cidr, address });
        }
    }
    found
}

/// The routes without a gateway: interface and network (`/proc/net/route`, proc(5)).
fn routes(table: &str) -> impl Iterator<Item = (String, Ipv4Net)> {
    table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace();
        let interface = words.next()?.to_owned();
        // Addresses are numbers in the host's byte order.
        let number = |word: Option<&str>| u32::from_str_radix(word?, 16).ok();
        let address = |number: u32| Ipv4Addr::from(number.to_ne_bytes());
        let destination = address(number(words.next())?);
        let gateway = number(words.next())?;
        let flags = number(words.next())?;
        let mask = address(number(words.nth(3))?);
        let cidr = Ipv4Net::with_netmask(destination, mask).ok()?;
        let is_connected = gateway == 0 && flags & UP != 0 && (1..=31).contains(&cidr.prefix_len());
        is_connected.then_some((interface, cidr))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn routes_without_a_gateway_are_networks() {
        let number = |text: &str| {
            let address: Ipv4Addr = text.parse().unwrap();
            format!("{:08X}", u32::from_ne_bytes(address.octets()))
        };
        let (any, gateway) = (number("0.0.0.0"), number("192.0.2.1"));
        let (net, mask) = (number("192.0.2.0"), number("255.255.255.0"));
        let table = format!(
            "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
             eth0\t{any}\t{gateway}\t0003\t0\t0\t0\t{any}\t0\t0\t0\n\
             eth0\t{net}\t{any}\t0001\t0\t0\t0\t{mask}\t0\t0\t0\n\
             eth1\t{net}\t{any}\t0000\t0\t0\t0\t{mask}\t0\t0\t0\n\
             broken\n"
        );
        let found: Vec<_> = routes(&table).collect();
        assert_eq!(found, [("eth0".to_owned(), "192.0.2.0/24".parse().unwrap())]);
    }
}
