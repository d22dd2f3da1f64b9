//! Valid networks by the thousand, for the tests of this crate and of its dependents.
//!
//! A network is made from a seed and a size, so that a failing one can be named and made again:
//! [`network`]`(seed, size, flavour)`. [`networks`] is the same as a proptest strategy that shrinks
//! by size.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use crate::mac::Mac;
use crate::model::{
    AdSelect, BondMode, BondParams, BridgeKind, BridgeParams, Dns, FailOverMac, Interface, Kind,
    LacpRate, Link, Network, PrimaryReselect, StaticRoute, Subnet, SubnetId, Vlan, XmitHashPolicy,
};
use crate::mtu::Mtu;
use crate::name::IfName;
use crate::resolve::SourceRouting;
use crate::topology::{Device, Route, Topology};
use crate::vid::Vid;
use crate::yaml::Value;

/// What the networks may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Everything that a MAAS machine can have, Open vSwitch bridges included.
    Everything,
    /// Everything without Open vSwitch, which netplan takes only where it is installed.
    WithoutOvs,
    /// What ESXi can do: no bridges, three bond modes, MTUs of 1280 to 9000.
    Esxi,
}

/// The largest useful size.
pub const MOST: u8 = 8;

/// Networks of all sizes as a proptest strategy.
pub fn networks(flavour: Flavour) -> impl Strategy<Value = Network> {
    (0..=MOST, any::<u64>()).prop_map(move |(size, seed)| network(seed, size, flavour))
}

/// Topologies with netplan's further features on top of MAAS's, as a proptest strategy.
pub fn topologies() -> impl Strategy<Value = Topology> {
    (0..=MOST, any::<u64>()).prop_map(|(size, seed)| topology(seed, size))
}

/// A stream of numbers from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let sides = u64::try_from(sides.max(1)).unwrap_or(1);
        usize::try_from((number ^ (number >> 31)) % sides).unwrap_or(0)
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.roll(chances) == 0
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        let at = self.roll(items.len());
        items.get(at).cloned()
    }

    fn number(&mut self, below: u32) -> u32 {
        u32::try_from(self.roll(below as usize)).unwrap_or(0)
    }

    fn maybe(&mut self, below: u32) -> Option<u32> {
        self.one_in(3).then(|| self.number(below))
    }
}

fn name(text: &str) -> Option<IfName> {
    IfName::new(text).ok()
}

struct Maker {
    dice: Dice,
    flavour: Flavour,
    network: Network,
    /// Interfaces on which something can still be built.
    free: Vec<IfName>,
    next_host: u8,
}

/// A valid network; the same arguments give the same network.
pub fn network(seed: u64, size: u8, flavour: Flavour) -> Network {
    let mut maker = Maker {
        dice: Dice(seed),
        flavour,
        network: Network::default(),
        free: Vec::new(),
        next_host: 10,
    };
    maker.subnets(size);
    maker.cards(size);
    maker.bonds();
    maker.vlans(size);
    if flavour != Flavour::Esxi {
        maker.bridges();
    }
    maker.links();
    maker.routes();
    maker.network
}

impl Maker {
    fn mtu(&mut self) -> Option<Mtu> {
        let choices: &[u32] = match self.flavour {
            Flavour::Esxi => &[1280, 1500, 4000, 9000],
            _ => &[1280, 1400, 1500, 9000, 9216],
        };
        if self.dice.one_in(3) { Mtu::new(self.dice.pick(choices)?).ok() } else { None }
    }

    fn subnets(&mut self, size: u8) {
        for at in 0..=(size / 2) {
            let v6 = self.dice.one_in(3);
            let cidr = if v6 {
                let net = Ipv6Addr::new(0x2001, 0xdb8, at.into(), 0, 0, 0, 0, 0);
                Ipv6Net::new(net, 64).map(IpNet::V6)
            } else {
                Ipv4Net::new(Ipv4Addr::new(10, 20, at * 4, 0), 22).map(IpNet::V4)
            };
            let Ok(cidr) = cidr else { continue };
            let mut subnet = Subnet::new(cidr);
            let host = |last: u8| match cidr {
                IpNet::V4(net) => {
                    IpAddr::V4(Ipv4Addr::from(u32::from(net.addr()) + u32::from(last)))
                }
                IpNet::V6(net) => {
                    IpAddr::V6(Ipv6Addr::from(u128::from(net.addr()) + u128::from(last)))
                }
            };
            if !self.dice.one_in(3) {
                subnet.gateway = Some(match (v6, self.dice.one_in(4)) {
                    (true, true) => {
                        IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(at) + 1))
                    }
                    _ => host(1),
                });
            }
            if self.dice.one_in(2) {
                subnet.dns_servers = vec![host(2), host(3)];
            }
            if self.dice.one_in(3) {
                subnet.rack_dns = vec![host(4)];
            }
            subnet.allow_dns = !self.dice.one_in(5);
            subnet.dhcp_on = self.dice.one_in(3);
            self.network.subnets.insert(SubnetId::from(format!("net{at}")), subnet);
        }
        if self.dice.one_in(2) {
            self.network.dns = Dns {
                servers: vec![IpAddr::V4(Ipv4Addr::new(10, 20, 0, 2))],
                search: vec!["lab.example".to_owned(), "maas".to_owned()],
            };
        }
    }

    fn cards(&mut self, size: u8) {
        for at in 0..=size {
            let text = match self.dice.roll(3) {
                0 => format!("eno{at}"),
                1 => format!("enp{at}s0f1"),
                _ => format!("eth{at}"),
            };
            let Some(name) = name(&text) else { continue };
            let mac = Mac::new([0x52, 0x54, 0, self.next_host, 0, at]);
            let mut card = Interface::physical(name.clone(), mac);
            // The first card stays, so that there is always something to build on.
            card.enabled = at == 0 || !self.dice.one_in(8);
            card.mtu = self.mtu();
            if self.dice.one_in(2) {
                card.vlan = self.mtu().map(|mtu| Vlan { mtu });
            }
            if self.dice.one_in(4) {
                card.accept_ra = Some(self.dice.one_in(2));
            }
            if self.flavour != Flavour::Esxi && self.dice.one_in(8) {
                card.extra.insert("wakeonlan".to_owned(), Value::Bool(true));
            }
            if card.enabled {
                self.free.push(name.clone());
            }
            self.network.interfaces.push(card);
        }
        self.network.boot = self.free.first().cloned().filter(|_| self.dice.one_in(2));
    }

    fn bonds(&mut self) {
        for at in 0..2 {
            if self.free.len() < 3 || !self.dice.one_in(2) {
                continue;
            }
            let count = 1 + self.dice.roll(3).min(self.free.len() - 2);
            let members: Vec<IfName> = self.free.drain(..count).collect();
            let Some(name) = name(&format!("bond{at}")) else { continue };
            let params = self.bond_params(&members);
            let mac = members
                .get(self.dice.roll(members.len() + 1))
                .and_then(|member| self.network.interface(member)?.kind.mac());
            let mut bond = Interface::new(name.clone(), Kind::Bond { mac, members, params });
            bond.mtu = self.mtu();
            self.free.push(name);
            self.network.interfaces.push(bond);
        }
    }

    fn bond_params(&mut self, members: &[IfName]) -> BondParams {
        let modes: &[BondMode] = match self.flavour {
            Flavour::Esxi => &[BondMode::BalanceRr, BondMode::ActiveBackup, BondMode::Ieee8023ad],
            _ => BondMode::ALL,
        };
        let dice = &mut self.dice;
        let mode = dice.pick(modes).unwrap_or_default();
        let mut params = BondParams::new(mode);
        params.miimon = dice.maybe(1000);
        params.downdelay = dice.maybe(1000);
        params.updelay = dice.maybe(1000);
        params.xmit_hash_policy = dice.one_in(3).then(|| dice.pick(XmitHashPolicy::ALL)).flatten();
        params.min_links = dice.maybe(3);
        // Every setting that the mode uses, now and then.
        match mode {
            BondMode::ActiveBackup => {
                params.num_grat_arp = dice.one_in(2).then_some(3);
                params.primary = dice.one_in(2).then(|| dice.pick(members)).flatten();
                params.primary_reselect =
                    dice.one_in(2).then(|| dice.pick(PrimaryReselect::ALL)).flatten();
                params.fail_over_mac =
                    dice.one_in(3).then(|| dice.pick(FailOverMac::ALL)).flatten();
                if dice.one_in(4) {
                    params.arp_interval = Some(500);
                    params.arp_ip_targets =
                        vec![Ipv4Addr::new(10, 20, 0, 1), Ipv4Addr::new(10, 20, 0, 2)];
                }
            }
            BondMode::Ieee8023ad => {
                params.lacp_rate = dice.pick(LacpRate::ALL);
                params.ad_select = dice.one_in(3).then(|| dice.pick(AdSelect::ALL)).flatten();
            }
            BondMode::BalanceRr => params.packets_per_slave = dice.maybe(10),
            BondMode::BalanceTlb | BondMode::BalanceAlb => {
                params.learn_packet_interval = dice.one_in(3).then_some(2);
            }
            BondMode::BalanceXor | BondMode::Broadcast => {}
        }
        params
    }

    fn vlans(&mut self, size: u8) {
        for at in 0..self.dice.roll(usize::from(size) + 1) {
            let Some(link) = self.dice.pick(&self.free) else { return };
            let Ok(number) = u16::try_from(100 + at * 10) else { return };
            let (Some(name), Ok(vid)) = (name(&format!("{link}.{number}")), Vid::new(number))
            else {
                continue;
            };
            let mut vlan = Interface::new(name.clone(), Kind::Vlan { link, vid });
            vlan.vlan = self.mtu().map(|mtu| Vlan { mtu });
            self.network.interfaces.push(vlan);
        }
    }

    fn bridges(&mut self) {
        for at in 0..2 {
            if self.free.len() < 2 || !self.dice.one_in(2) {
                continue;
            }
            let Some(member) = self.free.pop() else { return };
            let Some(name) = name(&format!("br{at}")) else { continue };
            let dice = &mut self.dice;
            let mut params = BridgeParams {
                stp: dice.one_in(2).then(|| dice.one_in(2)),
                forward_delay: dice.one_in(2).then(|| 2 + dice.number(20)),
                ageing_time: dice.maybe(300),
                hello_time: dice.one_in(4).then_some(2),
                max_age: dice.one_in(4).then_some(20),
                priority: dice.one_in(4).then_some(4096),
                ..BridgeParams::default()
            };
            if dice.one_in(4) {
                params.path_cost.insert(member.clone(), 50);
                params.port_priority.insert(member.clone(), 28);
            }
            let ovs = self.flavour == Flavour::Everything && self.dice.one_in(3);
            let bridge = if ovs { BridgeKind::Ovs } else { BridgeKind::Standard };
            let kind = Kind::Bridge { mac: None, members: vec![member], bridge, params };
            self.network.interfaces.push(Interface::new(name, kind));
        }
    }

    fn links(&mut self) {
        let ids: Vec<SubnetId> = self.network.subnets.keys().cloned().collect();
        for at in 0..self.network.interfaces.len() {
            let own = self.network.interfaces[at].name.clone();
            let is_member = self.network.interfaces.iter().any(|other| {
                !matches!(other.kind, Kind::Vlan { .. }) && other.kind.parents().contains(&own)
            });
            if is_member {
                continue;
            }
            let mut links = Vec::new();
            match self.dice.roll(6) {
                0 => {}
                1 => links.push(Link::LINK_UP),
                2 => links.push(Link::DHCP),
                kind => {
                    for _ in 0..=self.dice.roll(3) {
                        let Some(subnet) = self.dice.pick(&ids) else { continue };
                        links.extend(self.address(subnet));
                    }
                    if kind == 5 {
                        links.push(Link::Dhcp { subnet: self.dice.pick(&ids) });
                    }
                }
            }
            if links.iter().any(|link| matches!(link.ip(), Some(IpAddr::V6(_)))) {
                let interface = &mut self.network.interfaces[at];
                interface.mtu = interface.mtu.filter(|mtu| mtu.bytes() >= 1280);
            }
            self.network.interfaces[at].links = links;
        }
    }

    fn address(&mut self, subnet: SubnetId) -> Option<Link> {
        self.next_host = self.next_host.checked_add(1)?;
        let ip = match self.network.subnets.get(&subnet)?.cidr {
            IpNet::V4(net) => {
                IpAddr::V4(Ipv4Addr::from(u32::from(net.addr()) + u32::from(self.next_host)))
            }
            IpNet::V6(net) => {
                IpAddr::V6(Ipv6Addr::from(u128::from(net.addr()) + u128::from(self.next_host)))
            }
        };
        Some(match self.dice.roll(8) {
            0 => Link::Auto { subnet, ip: None },
            1..4 => Link::Auto { subnet, ip: Some(ip) },
            _ => Link::Static { subnet, ip },
        })
    }

    fn routes(&mut self) {
        let subnets: Vec<(SubnetId, IpNet)> =
            self.network.subnets.iter().map(|(id, subnet)| (id.clone(), subnet.cidr)).collect();
        for at in 0..u8::try_from(self.dice.roll(4)).unwrap_or(0) {
            let Some((source, cidr)) = self.dice.pick(&subnets) else { return };
            let (destination, gateway) = match cidr {
                IpNet::V4(net) => (
                    Ipv4Net::new(Ipv4Addr::new(172, 16 + at, 0, 0), 16).map(IpNet::V4),
                    IpAddr::V4(Ipv4Addr::from(u32::from(net.addr()) + 254)),
                ),
                IpNet::V6(net) => (
                    Ipv6Net::new(
                        Ipv6Addr::new(0x2001, 0xdb8, 0xff00 + u16::from(at), 0, 0, 0, 0, 0),
                        48,
                    )
                    .map(IpNet::V6),
                    IpAddr::V6(Ipv6Addr::from(u128::from(net.addr()) + 254)),
                ),
            };
            let Ok(destination) = destination else { continue };
            let metric = self.dice.number(3);
            self.network.routes.push(StaticRoute { source, destination, gateway, metric });
        }
    }
}

/// A topology with netplan's further features; the same arguments give the same one.
pub fn topology(seed: u64, size: u8) -> Topology {
    let routing = if seed.is_multiple_of(2) { SourceRouting::On } else { SourceRouting::Off };
    let network = network(seed, size, Flavour::Everything);
    let mut topology = network.resolve(routing).unwrap_or_default();
    let mut dice = Dice(seed ^ 0x5eed);
    for device in &mut topology.devices {
        if dice.one_in(6) {
            let overrides =
                Value::map([("route-metric", Value::Int(200)), ("use-dns", Value::Bool(false))]);
            device.extra.insert("dhcp4-overrides".to_owned(), overrides);
        }
        if dice.one_in(6) && matches!(device.kind, Kind::Physical { .. }) {
            device.extra.insert("generic-receive-offload".to_owned(), Value::Bool(false));
            device.extra.insert("virtual-function-count".to_owned(), Value::Int(4));
        }
        if dice.one_in(8)
            && let Some(address) = device.addresses.first().copied()
        {
            let mut route = Route::new(address.trunc(), address.addr());
            route.to =
                IpNet::V4(Ipv4Net::new(Ipv4Addr::new(192, 168, 9, 0), 24).unwrap_or_default());
            if address.addr().is_ipv4() {
                route.extra.insert("mtu".to_owned(), "1400".to_owned());
                device.routes.push(route);
            }
        }
    }
    let mut add = |text: &str, kind: Kind| {
        if let Some(name) = name(text) {
            topology.devices.push(Device::new(name, kind));
        }
    };
    if dice.one_in(3) {
        add("dummy0", Kind::Dummy);
        if let Some(member) = name("dummy0") {
            add("vrf0", Kind::Vrf { table: 1000, members: vec![member] });
        }
    }
    if dice.one_in(3)
        && let (Some(one), Some(other)) = (name("veth0"), name("veth1"))
    {
        add("veth0", Kind::Veth { peer: other });
        add("veth1", Kind::Veth { peer: one });
    }
    if dice.one_in(3)
        && let Some(tunnel) = name("tun0")
    {
        let mut device = Device::new(tunnel, Kind::Tunnel { mode: "gre".to_owned() });
        device.extra.insert("local".to_owned(), Value::from("10.20.0.11"));
        device.extra.insert("remote".to_owned(), Value::from("10.20.0.99"));
        topology.devices.push(device);
    }
    if dice.one_in(4) {
        topology.extra.insert("renderer".to_owned(), Value::from("networkd"));
    }
    topology.sort_parents_first();
    topology
}
