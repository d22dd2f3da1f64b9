//! From a topology to a plan, with every reason why it cannot be done.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::nic::Nics;
use super::plan::{Ipv4, Plan, PortGroup, StaticRoute, Switch, Teaming, Uplink, VmKernel};
use crate::error::{Code, Problem, Refused};
use crate::loss::Loss;
use crate::mac::Mac;
use crate::model::{BondMode, BondParams, Dns, Kind, PrimaryReselect};
use crate::name::IfName;
use crate::topology::{Device, Family, Route, Topology, parents_first};
use crate::{mtu::Mtu, params};

/// The MTUs that standard switches take.
const MTU: std::ops::RangeInclusive<u16> = 1280..=9000;
/// The most VMkernel interfaces of a host.
const VMKERNELS: usize = 256;

/// Plans the network of an ESXi host.
///
/// Settings without counterpart are in [`Plan::losses`]; what an operator has to do on the
/// physical switch is in [`Plan::warnings`].
///
/// # Errors
/// [`Refused`] with every reason: kinds other than physical, bond and VLAN, other bond modes,
/// MTUs outside 1280 to 9000, unknown cards, routing tables, unreachable gateways.
pub fn plan(topology: &Topology, nics: &Nics) -> Result<Plan, Refused> {
    let mut make = Make::new(topology, nics);
    make.refuse_what_esxi_lacks();
    let mut switches: Vec<Switch> =
        make.devices.clone().into_iter().filter_map(|device| make.switch(device)).collect();
    management_last(&mut switches, nics);
    let vmk_of = make.number(&mut switches);
    let routes = make.routes(&vmk_of);
    let dns = make.dns();
    make.report_losses();
    let Make { problems, losses, .. } = make;
    let warnings = Refused::unless_clean(problems)?;
    Ok(Plan { switches, routes, dns, warnings, losses })
}

struct Make<'a> {
    topology: &'a Topology,
    /// All devices, parents first.
    devices: Vec<&'a Device>,
    by_name: HashMap<&'a IfName, &'a Device>,
    /// The bond of each member.
    bonds: HashMap<&'a IfName, &'a Device>,
    /// The VLANs on each device.
    vlans: HashMap<&'a IfName, Vec<&'a Device>>,
    nics: &'a Nics,
    problems: Vec<Problem>,
    losses: Vec<Loss>,
}

fn path(device: &Device) -> String {
    format!("interfaces[{}]", device.name)
}

impl<'a> Make<'a> {
    fn new(topology: &'a Topology, nics: &'a Nics) -> Self {
        let items: Vec<_> =
            topology.devices.iter().map(|device| (&device.name, device.kind.parents())).collect();
        let devices: Vec<&Device> =
            parents_first(&items).into_iter().map(|at| &topology.devices[at]).collect();
        let mut make = Self {
            topology,
            by_name: devices.iter().map(|device| (&device.name, *device)).collect(),
            bonds: HashMap::new(),
            vlans: HashMap::new(),
            devices,
            nics,
            problems: Vec::new(),
            losses: Vec::new(),
        };
        for device in &make.devices {
            match &device.kind {
                Kind::Bond { members, .. } => {
                    make.bonds.extend(members.iter().map(|member| (member, *device)));
                }
                Kind::Vlan { link, .. } => make.vlans.entry(link).or_default().push(device),
                _ => {}
            }
        }
        make
    }

    fn error(&mut self, code: Code, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::error(code, path, message));
    }

    fn refuse_what_esxi_lacks(&mut self) {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for device in self.devices.clone() {
            names.insert(device.name.as_str());
            match &device.kind {
                Kind::Physical { .. } | Kind::Bond { .. } => {}
                Kind::Vlan { link, .. } => {
                    let carrier = self.by_name.get(link).copied().map(|parent| &parent.kind);
                    match carrier {
                        Some(Kind::Physical { .. } | Kind::Bond { .. }) => {}
                        Some(other) => self.error(
                            Code::Unsupported,
                            path(device),
                            format!("ESXi cannot put a VLAN on a {}", other.noun()),
                        ),
                        None => self.error(
                            Code::UnknownInterface,
                            path(device),
                            format!("there is no interface {link}"),
                        ),
                    }
                    if self.bond_of(link).is_some() {
                        self.error(
                            Code::KindUnfit,
                            path(device),
                            format!("{link} is a bond member; put the VLAN on the bond"),
                        );
                    }
                }
                Kind::Bridge { .. } => self.error(
                    Code::Unsupported,
                    path(device),
                    "ESXi has no bridges: put the addresses on the interface below; virtual machines use port groups",
                ),
                other => self.error(
                    Code::Unsupported,
                    path(device),
                    format!("ESXi has no counterpart of a {}", other.noun()),
                ),
            }
            if !device.policies.is_empty()
                || device.routes.iter().any(|route| route.table.is_some())
            {
                self.error(
                    Code::Unsupported,
                    path(device),
                    "ESXi has no source routing; render without it",
                );
            }
            if device.extra.contains_key("openvswitch") || device.extra.contains_key("parameters") {
                self.error(Code::Unsupported, path(device), "ESXi has no Open vSwitch");
            }
            if device.name.as_str().starts_with('-') {
                self.error(
                    Code::ValueUnfit,
                    path(device),
                    "esxcli would take the name of the port group for an option",
                );
            }
            if device.is_configured() && self.bond_of(&device.name).is_some() {
                self.error(
                    Code::MemberConfigured,
                    path(device),
                    "it is a bond member and cannot have addresses",
                );
            }
            let mtu = mtu_of(device);
            if !MTU.contains(&mtu) && self.root_of(device).is_some_and(|root| self.is_used(root)) {
                self.error(
                    Code::MtuUnfit,
                    path(device),
                    format!("ESXi switches take an MTU of 1280 to 9000, not {mtu}"),
                );
            }
        }
        for name in &names {
            if let Some((base, number)) = name.rsplit_once(':')
                && number.parse::<usize>().is_ok()
                && names.contains(base)
            {
                self.problems.push(Problem::error(
                    Code::NameDuplicate,
                    format!("interfaces[{name}]"),
                    format!("the name is the port group of an alias of {base}"),
                ));
            }
        }
    }

    fn bond_of(&self, member: &IfName) -> Option<&'a Device> {
        self.bonds.get(member).copied()
    }

    /// The bond or card outside bonds that carries a device.
    fn root_of(&self, device: &'a Device) -> Option<&'a Device> {
        match &device.kind {
            Kind::Vlan { link, .. } => self.by_name.get(link).copied(),
            Kind::Physical { .. } => Some(self.bond_of(&device.name).unwrap_or(device)),
            _ => Some(device),
        }
    }

    fn vlans_on(&self, root: &IfName) -> Vec<&'a Device> {
        self.vlans.get(root).cloned().unwrap_or_default()
    }

    /// Whether a root gets a switch: a bond always, a card when it or a VLAN on it is used.
    fn is_used(&self, root: &Device) -> bool {
        match root.kind {
            Kind::Bond { .. } => true,
            Kind::Physical { .. } => {
                self.bond_of(&root.name).is_none()
                    && (root.is_configured() || self.vlans.contains_key(&root.name))
            }
            _ => false,
        }
    }

    fn switch(&mut self, root: &'a Device) -> Option<Switch> {
        if !self.is_used(root) {
            return None;
        }
        let (members, teaming, mac) = match &root.kind {
            Kind::Bond { members, params, mac } => {
                let teaming = self.teaming(root, params);
                (members.clone(), teaming, *mac)
            }
            Kind::Physical { mac } => (vec![root.name.clone()], None, *mac),
            _ => return None,
        };
        let mut uplinks: Vec<Uplink> =
            members.iter().filter_map(|member| self.uplink(root, member)).collect();
        let mac = self.bond_mac(root, mac, &uplinks);
        if let Kind::Bond { params, .. } = &root.kind {
            active_first(&mut uplinks, params, mac);
        }
        let vlans = self.vlans_on(&root.name);
        let mtu = vlans.iter().map(|vlan| mtu_of(vlan)).fold(mtu_of(root), u16::max);
        let mut port_groups = Vec::new();
        // A bare card that only carries VLANs needs no port group of its own; a bond without
        // address gets one for virtual machines.
        if root.is_configured() || matches!(root.kind, Kind::Bond { .. }) {
            port_groups.extend(groups(root, None, mac));
        }
        for vlan in vlans {
            let Kind::Vlan { vid, .. } = vlan.kind else { continue };
            port_groups.extend(groups(vlan, Some(vid.number()), None));
        }
        Some(Switch { name: String::new(), mtu, uplinks, teaming, port_groups })
    }

    fn teaming(&mut self, bond: &Device, params: &BondParams) -> Option<Teaming> {
        match params.mode {
            BondMode::BalanceRr => Some(Teaming::PortId),
            BondMode::ActiveBackup => Some(Teaming::Explicit {
                failback: params.primary.is_some()
                    && params.primary_reselect != Some(PrimaryReselect::Failure),
            }),
            BondMode::Ieee8023ad => {
                self.problems.push(Problem::warning(
                    Code::Unsupported,
                    path(bond),
                    "802.3ad becomes iphash: the physical switch needs a static EtherChannel on these ports, LACP is not spoken",
                ));
                Some(Teaming::IpHash)
            }
            other => {
                self.error(
                    Code::Unsupported,
                    path(bond),
                    format!("the bond mode {other} has no counterpart; ESXi takes balance-rr, active-backup and 802.3ad"),
                );
                None
            }
        }
    }

    fn uplink(&mut self, root: &Device, member: &IfName) -> Option<Uplink> {
        let Some(card) = self.by_name.get(member).copied() else {
            self.error(
                Code::UnknownInterface,
                path(root),
                format!("there is no interface {member} to build on"),
            );
            return None;
        };
        let Kind::Physical { mac } = card.kind else {
            self.error(Code::KindUnfit, path(root), format!("{member} is not physical"));
            return None;
        };
        let Some(mac) = mac else {
            self.error(
                Code::MacUnfit,
                path(card),
                "without a MAC address its card cannot be found on the host",
            );
            return None;
        };
        let nic = match self.nics {
            Nics::AtRunTime => None,
            Nics::Known(nics) => match nics.iter().find(|nic| nic.mac == mac) {
                Some(nic) => Some(nic.name.clone()),
                None => {
                    self.error(
                        Code::UnknownInterface,
                        path(card),
                        format!("the host has no card with the MAC address {mac}"),
                    );
                    return None;
                }
            },
        };
        Some(Uplink { interface: member.to_string(), mac, nic })
    }

    /// The address of a bond's VMkernel interface: its own when a member has it, else the first
    /// member's, so that no foreign address appears behind the physical switch.
    fn bond_mac(&mut self, root: &Device, mac: Option<Mac>, uplinks: &[Uplink]) -> Option<Mac> {
        match mac {
            Some(mac) if uplinks.iter().any(|uplink| uplink.mac == mac) => Some(mac),
            Some(_) => {
                let first = uplinks.first().map(|uplink| uplink.mac);
                if first.is_some() {
                    self.losses.push(Loss::approximated(
                        &root.name,
                        "mac",
                        "no member has the bond's MAC address; the first member's is used",
                    ));
                }
                first
            }
            None => uplinks.first().map(|uplink| uplink.mac),
        }
    }

    /// Names switches and VMkernel interfaces; returns the first VMkernel interface of a device.
    fn number(&mut self, switches: &mut [Switch]) -> BTreeMap<String, String> {
        let mut vmk_of = BTreeMap::new();
        // The stock vSwitch0 and vmk0 stand until the last switch is built.
        let count = switches.len();
        let mut free = if count > 1 { 1 } else { 0 };
        let mut used = 0;
        for (index, switch) in switches.iter_mut().enumerate() {
            let is_last = index + 1 == count;
            switch.name = format!("vSwitch{}", if is_last { 0 } else { index + 1 });
            let mut zero_free = is_last && count > 1;
            for group in &mut switch.port_groups {
                let Some(vmk) = &mut group.vmk else { continue };
                if std::mem::take(&mut zero_free) {
                    vmk.name = "vmk0".to_owned();
                } else {
                    vmk.name = format!("vmk{free}");
                    free += 1;
                }
                used += 1;
                vmk_of.entry(group.name.clone()).or_insert_with(|| vmk.name.clone());
            }
        }
        if used > VMKERNELS {
            self.error(
                Code::Unsupported,
                "interfaces",
                format!(
                    "{used} addresses need as many VMkernel interfaces; a host has {VMKERNELS}"
                ),
            );
        }
        vmk_of
    }

    fn routes(&mut self, vmk_of: &BTreeMap<String, String>) -> Vec<StaticRoute> {
        let mut planned: Vec<StaticRoute> = Vec::new();
        let mut defaults: BTreeSet<Family> = BTreeSet::new();
        for device in self.devices.clone() {
            for route in &device.routes {
                if route.table.is_some() {
                    continue;
                }
                let Some(route) = self.route(device, route, vmk_of) else { continue };
                if planned.iter().any(|have| have.to == route.to && have.via == route.via) {
                    continue;
                }
                if route.to.prefix_len() == 0 && !defaults.insert(Family::of(&route.via)) {
                    self.error(
                        Code::RouteDuplicate,
                        path(device),
                        format!("{} is a second default gateway of its address family", route.via),
                    );
                    continue;
                }
                planned.push(route);
            }
        }
        planned
    }

    fn route(
        &mut self,
        device: &Device,
        route: &Route,
        vmk_of: &BTreeMap<String, String>,
    ) -> Option<StaticRoute> {
        let Some(via) = route.via else {
            self.error(
                Code::Unsupported,
                path(device),
                format!("the route to {} has no gateway", route.to),
            );
            return None;
        };
        for (attribute, value) in &route.extra {
            self.error(
                Code::Unsupported,
                path(device),
                format!("ESXi routes have no {attribute} ({value})"),
            );
        }
        if let Some(metric) = route.metric.filter(|metric| *metric > 0) {
            self.losses.push(Loss::dropped(
                &device.name,
                "routes",
                format!(
                    "ESXi routes have no metric; {metric} of the route to {} is ignored",
                    route.to
                ),
            ));
        }
        let family = Family::of(&via);
        let link_local = matches!(via, IpAddr::V6(address) if address.is_unicast_link_local());
        let reachable = device.addresses.iter().any(|address| address.contains(&via))
            || self.devices.iter().any(|other| {
                other.addresses.iter().any(|address| address.contains(&via))
                    || match family {
                        Family::V4 => other.dhcp4,
                        Family::V6 => other.dhcp6 || other.accept_ra == Some(true),
                    }
            });
        if !reachable && !link_local {
            self.error(
                Code::GatewayUnreachable,
                path(device),
                format!("no address of the host reaches the gateway {via}"),
            );
        }
        let vmk = vmk_of.get(device.name.as_str()).filter(|_| link_local).cloned();
        if link_local && route.to.prefix_len() > 0 {
            self.error(
                Code::Unsupported,
                path(device),
                format!("ESXi takes the link-local router {via} only as default gateway"),
            );
        }
        Some(StaticRoute { to: route.to, via, vmk })
    }

    fn dns(&mut self) -> Dns {
        let mut dns = self.topology.dns.clone();
        for device in self.devices.clone() {
            dns.extend(&device.dns);
        }
        for domain in &dns.search {
            let legal = !domain.starts_with('-')
                && domain
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            if !legal || domain.is_empty() {
                self.problems.push(Problem::error(
                    Code::ValueUnfit,
                    "dns.search",
                    format!("{domain:?} is not a domain name"),
                ));
            }
        }
        dns
    }

    fn report_losses(&mut self) {
        for device in self.devices.clone() {
            if device.optional == Some(true) {
                self.losses.push(Loss::dropped(
                    &device.name,
                    "optional",
                    "ESXi does not wait for networks",
                ));
            }
            for key in device.extra.keys() {
                self.losses.push(Loss::dropped(
                    &device.name,
                    format!("extra.{key}"),
                    "ESXi has no counterpart",
                ));
            }
            let Kind::Bond { params, .. } = &device.kind else { continue };
            for (names, _) in params::bond(params) {
                let reason = match names.model {
                    "mode" | "primary" | "primary_reselect" => continue,
                    "lacp_rate" => "standard switches do not speak LACP",
                    "xmit_hash_policy" => {
                        "standard switches have no choice of hash; iphash takes both addresses"
                    }
                    _ => "standard switches have no such setting",
                };
                self.losses.push(Loss::dropped(
                    &device.name,
                    format!("params.{}", names.model),
                    reason,
                ));
            }
        }
        for key in self.topology.extra.keys() {
            self.losses.push(Loss::global(format!("extra.{key}"), "ESXi has no counterpart"));
        }
    }
}

fn mtu_of(device: &Device) -> u16 {
    device.mtu.unwrap_or(Mtu::ETHERNET).bytes()
}

/// The port groups of a device: the first with its first IPv4 and all IPv6, one more for every
/// further IPv4 address.
fn groups(device: &Device, vlan: Option<u16>, mac: Option<Mac>) -> Vec<PortGroup> {
    if !device.is_configured() {
        return vec![PortGroup { name: device.name.to_string(), vlan, vmk: None }];
    }
    let mut ipv4: Vec<Ipv4> = Vec::new();
    let mut ipv6_addresses = Vec::new();
    for address in &device.addresses {
        match address {
            IpNet::V4(net) => {
                ipv4.push(Ipv4::Static { address: net.addr(), netmask: net.netmask() });
            }
            IpNet::V6(net) => ipv6_addresses.push(*net),
        }
    }
    if device.dhcp4 {
        ipv4.push(Ipv4::Dhcp);
    }
    let mut ipv4 = ipv4.into_iter();
    let first = VmKernel {
        name: String::new(),
        mtu: mtu_of(device),
        mac,
        ipv4: ipv4.next(),
        ipv6: device.dhcp6 || !ipv6_addresses.is_empty() || device.accept_ra == Some(true),
        dhcp6: device.dhcp6,
        accept_ra: device.accept_ra,
        ipv6_addresses,
    };
    let alias = |ipv4: Ipv4| VmKernel {
        name: String::new(),
        mtu: mtu_of(device),
        mac: None,
        ipv4: Some(ipv4),
        ipv6: false,
        dhcp6: false,
        accept_ra: None,
        ipv6_addresses: Vec::new(),
    };
    std::iter::once(first)
        .chain(ipv4.map(alias))
        .enumerate()
        .map(|(index, vmk)| PortGroup {
            name: match index {
                0 => device.name.to_string(),
                _ => format!("{}:{index}", device.name),
            },
            vlan,
            vmk: Some(vmk),
        })
        .collect()
}

/// The active uplink first: the primary, else the one with the bond's address.
fn active_first(uplinks: &mut Vec<Uplink>, params: &BondParams, mac: Option<Mac>) {
    let by_name = params
        .primary
        .as_ref()
        .and_then(|primary| uplinks.iter().position(|uplink| uplink.interface == primary.as_str()));
    let first = by_name.or_else(|| uplinks.iter().position(|uplink| Some(uplink.mac) == mac));
    if let Some(at) = first {
        let uplink = uplinks.remove(at);
        uplinks.insert(0, uplink);
    }
}

/// The installer's management network uses the first card; its switch is built last.
fn management_last(switches: &mut Vec<Switch>, nics: &Nics) {
    let Nics::Known(nics) = nics else { return };
    let Some(first) = nics.first() else { return };
    if let Some(at) =
        switches.iter().position(|switch| switch.uplinks.iter().any(|up| up.mac == first.mac))
    {
        let switch = switches.remove(at);
        switches.push(switch);
    }
}
