//! Reads v1 in any dialect.

mod params;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::write::implied_on_link;
use crate::error::{Code, Problem, Refused};
use crate::mac::Mac;
use crate::model::{BridgeKind, Dns, Kind};
use crate::mtu::Mtu;
use crate::name::IfName;
use crate::read::{Fields, Findings, Parsed, network_section};
use crate::topology::{Device, Family, Route, Topology};
use crate::yaml::{Node, NodeKind};

/// Reads v1: bare, below `network`, or inside a whole curtin configuration.
///
/// All spellings of all dialects are understood. Keys that no consumer reads are warnings.
///
/// # Errors
/// [`Refused`] with every problem, each with line and column.
pub fn parse(text: &str) -> Result<Parsed, Refused> {
    parse_network(&network_section(text)?)
}

fn parse_network(network: &Node) -> Result<Parsed, Refused> {
    let mut reader = Reader::default();
    if let Some(mut fields) = reader.found.fields(network, "network") {
        match fields.take("version").and_then(crate::read::scalar).as_deref() {
            Some("1") => {}
            _ => reader.found.error(
                fields.take("version").unwrap_or(network),
                "network.version",
                Code::ValueUnfit,
                "expected version 1",
            ),
        }
        match fields.take("config") {
            Some(node) => match &node.kind {
                NodeKind::List(entries) => {
                    for (index, entry) in entries.iter().enumerate() {
                        reader.entry(entry, &format!("config[{index}]"));
                    }
                }
                _ => reader.found.error(
                    node,
                    "config",
                    Code::ValueUnfit,
                    "expected a list of devices",
                ),
            },
            None => reader.found.error(
                network,
                "config",
                Code::Syntax,
                "the list of devices is missing",
            ),
        }
        reader.ignored(&fields, "network");
    }
    reader.late();
    reader.found.finish(reader.topology)
}

#[derive(Default)]
struct Reader<'a> {
    found: Findings,
    topology: Topology,
    /// Entries that need the devices to be known: name servers of one interface, global routes.
    later: Vec<(&'a Node, String, Late)>,
}

enum Late {
    Dns(String, Dns),
    Route(IpNet, IpAddr, Option<u32>),
}

impl<'a> Reader<'a> {
    fn ignored(&mut self, fields: &Fields<'a>, path: &str) {
        for (key, node) in fields.rest() {
            let mut at = node.clone();
            (at.line, at.column) = (key.line, key.column);
            let text = format!("no reader of v1 knows the key {:?}", key.text);
            self.found.warn(&at, path, Code::UnknownKey, text);
        }
    }

    fn entry(&mut self, node: &'a Node, path: &str) {
        let Some(mut fields) = self.found.fields(node, path) else { return };
        let kind = fields.take("type").and_then(|node| self.found.text(node, path));
        match kind.as_deref() {
            Some("physical" | "bond" | "bridge" | "vlan") => {
                self.device(node, &mut fields, path, kind.as_deref().unwrap_or_default());
            }
            Some("nameserver") => self.nameserver(node, &mut fields, path),
            Some("route") => {
                if let Some((to, via, metric)) = self.route(node, &mut fields, path) {
                    self.later.push((node, path.to_owned(), Late::Route(to, via, metric)));
                }
            }
            Some("loopback") => {
                fields.take("name");
                fields.take("subnets");
                self.found.warn(
                    node,
                    path,
                    Code::Unsupported,
                    "the loopback device is left to the system",
                );
            }
            Some(other) => {
                self.found.error(
                node,
                path,
                Code::Unsupported,
                format!("the type {other:?} is not one of physical, bond, bridge, vlan, nameserver, route"),
            );
                return;
            }
            None => self.found.error(node, path, Code::Syntax, "the entry has no type"),
        }
        self.ignored(&fields, path);
    }

    fn device(&mut self, node: &'a Node, fields: &mut Fields<'a>, path: &str, kind: &str) {
        let Some(name_node) = fields.take("name") else {
            self.found.error(node, path, Code::Syntax, "the device has no name");
            return;
        };
        let name = self.found.parsed::<IfName>(name_node, &format!("{path}.name"));
        if let (Some(id), Some(name)) = (fields.take("id"), &name)
            && crate::read::scalar(id).as_deref() != Some(name.as_str())
        {
            self.found.warn(
                id,
                path,
                Code::ValueUnfit,
                format!("the id is not the name {name}; the name counts"),
            );
        }
        let mac = fields
            .take("mac_address")
            .and_then(|node| self.found.parsed::<Mac>(node, &format!("{path}.mac_address")));
        let made = match kind {
            "bond" => {
                let members =
                    self.members(node, fields.take("bond_interfaces"), path, "bond_interfaces");
                let params = self.bond_params(fields.take("params"), path);
                Some(Kind::Bond { mac, members, params })
            }
            "bridge" => {
                let members =
                    self.members(node, fields.take("bridge_interfaces"), path, "bridge_interfaces");
                let (params, hw) = self.bridge_params(fields.take("params"), path);
                Some(Kind::Bridge {
                    mac: mac.or(hw),
                    members,
                    bridge: BridgeKind::Standard,
                    params,
                })
            }
            "vlan" => self.vlan(node, fields, path),
            _ => Some(Kind::Physical { mac }),
        };
        let mtu = fields.take("mtu").and_then(|node| self.mtu(node, &format!("{path}.mtu")));
        let accept_ra = fields
            .take("accept-ra")
            .or_else(|| fields.take("accept_ra"))
            .and_then(|node| self.found.boolean(node, &format!("{path}.accept-ra")));
        let subnets = fields.take("subnets");
        let (Some(name), Some(kind)) = (name, made) else { return };
        if self.topology.device(&name).is_some() {
            self.found.error(
                name_node,
                path,
                Code::NameDuplicate,
                format!("{name} is there already"),
            );
            return;
        }
        let mut device = Device::new(name, kind);
        device.mtu = mtu;
        device.accept_ra = accept_ra;
        if let Some(keep) = fields.take("keep_configuration")
            && let Some(keep) = self.found.boolean(keep, path)
        {
            device.extra.insert("critical".to_owned(), keep.into());
        }
        if let Some(list) = subnets {
            for (index, subnet) in
                self.found.list(list, &format!("{path}.subnets")).into_iter().enumerate()
            {
                self.subnet(subnet, &mut device, &format!("{path}.subnets[{index}]"));
            }
        }
        for route in &mut device.routes {
            route.on_link = false;
        }
        let on_link: Vec<bool> = device
            .routes
            .iter()
            .map(|route| route.via.is_some_and(|via| implied_on_link(&device, &via)))
            .collect();
        for (route, on_link) in device.routes.iter_mut().zip(on_link) {
            route.on_link = on_link;
        }
        self.topology.devices.push(device);
    }

    fn mtu(&mut self, node: &Node, path: &str) -> Option<Mtu> {
        let bytes: u32 = self.found.expected(node, path, "an MTU in bytes")?;
        match Mtu::new(bytes) {
            Ok(mtu) => Some(mtu),
            Err(error) => {
                self.found.error(node, path, Code::MtuUnfit, error.to_string());
                None
            }
        }
    }

    fn members(
        &mut self,
        entry: &Node,
        node: Option<&'a Node>,
        path: &str,
        key: &str,
    ) -> Vec<IfName> {
        let Some(node) = node else {
            self.found.error(entry, path, Code::NoMembers, format!("{key} is missing"));
            return Vec::new();
        };
        let path = format!("{path}.{key}");
        self.found
            .list(node, &path)
            .into_iter()
            .filter_map(|member| self.found.parsed(member, &path))
            .collect()
    }

    fn vlan(&mut self, node: &'a Node, fields: &mut Fields<'a>, path: &str) -> Option<Kind> {
        let link = fields.take("vlan_link");
        let id = fields.take("vlan_id");
        if link.is_none() || id.is_none() {
            self.found.error(node, path, Code::Syntax, "a VLAN needs vlan_link and vlan_id");
        }
        let link = self.found.parsed::<IfName>(link?, &format!("{path}.vlan_link"));
        let id_node = id?;
        let id_path = format!("{path}.vlan_id");
        let number: u16 = self.found.expected(id_node, &id_path, "a VLAN identifier")?;
        match crate::vid::Vid::new(number) {
            Ok(vid) if number > 0 => Some(Kind::Vlan { link: link?, vid }),
            _ => {
                self.found.error(
                    id_node,
                    &id_path,
                    Code::VidUnfit,
                    format!("{number} is not from 1 to 4094"),
                );
                None
            }
        }
    }

    fn subnet(&mut self, node: &'a Node, device: &mut Device, path: &str) {
        let Some(mut fields) = self.found.fields(node, path) else { return };
        let kind =
            fields.take("type").and_then(|node| self.found.text(node, path)).unwrap_or_default();
        match kind.as_str() {
            "dhcp4" => device.dhcp4 = true,
            "dhcp6" | "ipv6_dhcpv6-stateful" => device.dhcp6 = true,
            "dhcp" => {
                device.dhcp4 = true;
                device.dhcp6 = true;
                self.found.warn(
                    node,
                    path,
                    Code::ValueUnfit,
                    "MAAS means both address families by dhcp, cloud-init and curtin read it as dhcp4; taken as both",
                );
            }
            "ipv6_slaac" | "ipv6_dhcpv6-stateless" => {
                device.accept_ra = Some(true);
                self.found.warn(
                    node,
                    path,
                    Code::ValueUnfit,
                    format!("{kind} is taken as accept-ra"),
                );
            }
            "manual" => {}
            "static" | "static6" => self.static_address(node, &mut fields, device, path),
            _ => self.found.error(
                node,
                path,
                Code::Unsupported,
                format!("no such subnet type: {kind:?}"),
            ),
        }
        let is_configured = kind != "manual";
        if let Some(gateway) = fields.take("gateway")
            && let Some(via) =
                self.found.expected::<IpAddr>(gateway, &format!("{path}.gateway"), "an address")
        {
            if is_configured {
                push(device, Route::new(Family::of(&via).everything(), via));
            } else {
                self.found.warn(
                    gateway,
                    path,
                    Code::ValueUnfit,
                    "a manual subnet has no gateway; it is ignored",
                );
            }
        }
        if let Some(routes) = fields.take("routes") {
            for (index, route) in self.found.list(routes, path).into_iter().enumerate() {
                let at = format!("{path}.routes[{index}]");
                let Some(mut fields) = self.found.fields(route, &at) else { continue };
                if let Some((to, via, metric)) = self.route(route, &mut fields, &at) {
                    push(device, Route { metric, ..Route::new(to, via) });
                }
                self.ignored(&fields, &at);
            }
        }
        let dns = self.dns(&mut fields, "dns_nameservers", "dns_search", path);
        device.dns.extend(&dns);
        if let Some(mtu) = fields.take("mtu")
            && let Some(mtu) = self.mtu(mtu, path)
            && device.mtu.is_none()
        {
            device.mtu = Some(mtu);
        }
        // What these say is either implied or has no counterpart outside ifupdown.
        for key in ["broadcast", "control", "ipv4", "ipv6", "metric"] {
            if let Some(value) = fields.take(key) {
                self.found.warn(
                    value,
                    &format!("{path}.{key}"),
                    Code::Unsupported,
                    "it is not carried over",
                );
            }
        }
        self.ignored(&fields, path);
    }

    fn static_address(
        &mut self,
        node: &Node,
        fields: &mut Fields<'a>,
        device: &mut Device,
        path: &str,
    ) {
        let netmask = fields.take("netmask");
        let prefix = fields.take("prefix");
        let Some(address) = fields.take("address") else {
            self.found.error(node, path, Code::Syntax, "a static subnet needs an address");
            return;
        };
        let at = format!("{path}.address");
        let Some(text) = self.found.text(address, &at) else { return };
        if text.starts_with("None/") {
            self.found.error(
                address,
                &at,
                Code::AddressUnassigned,
                "no address has been assigned; cloud-init and the ESXi script fail on this",
            );
            return;
        }
        let mask = netmask.or(prefix).and_then(crate::read::scalar);
        match network(&text, mask.as_deref()) {
            Some(net) => {
                if !text.contains('/') && mask.is_none() {
                    self.found.warn(
                        address,
                        &at,
                        Code::ValueUnfit,
                        format!("no prefix is given; taken as {net}"),
                    );
                }
                if !device.addresses.contains(&net) {
                    device.addresses.push(net);
                }
            }
            None => self.found.error(
                address,
                &at,
                Code::ValueUnfit,
                format!("{text:?} is not an address with prefix or netmask"),
            ),
        }
    }

    /// Destination, router and metric of a route entry.
    fn route(
        &mut self,
        node: &'a Node,
        fields: &mut Fields<'a>,
        path: &str,
    ) -> Option<(IpNet, IpAddr, Option<u32>)> {
        let to = fields.take("destination").or_else(|| fields.take("network"));
        let mask = fields.take("netmask").or_else(|| fields.take("prefix"));
        let via = fields.take("gateway").or_else(|| fields.take("via"));
        let metric = fields
            .take("metric")
            .and_then(|node| self.found.expected(node, &format!("{path}.metric"), "a metric"));
        let (Some(to_node), Some(via)) = (to, via) else {
            self.found.error(
                node,
                path,
                Code::RouteUnfit,
                "a route needs a destination and a gateway",
            );
            return None;
        };
        let via: IpAddr = self.found.expected(via, &format!("{path}.gateway"), "an address")?;
        let text = self.found.text(to_node, path)?;
        let mask = mask.and_then(crate::read::scalar);
        let Some(to) = network(&text, mask.as_deref()) else {
            self.found.error(to_node, path, Code::RouteUnfit, format!("{text:?} is not a network"));
            return None;
        };
        if Family::of(&to.addr()) != Family::of(&via) {
            self.found.error(
                node,
                path,
                Code::RouteUnfit,
                format!("{to} and {via} are of different address families"),
            );
            return None;
        }
        Some((to.trunc(), via, metric))
    }

    fn dns(&mut self, fields: &mut Fields<'a>, servers: &str, search: &str, path: &str) -> Dns {
        let mut dns = Dns::default();
        if let Some(node) = fields.take(servers) {
            for (node, text) in self.words(node, path) {
                match text.parse() {
                    Ok(server) => crate::model::push_new(&mut dns.servers, &[server]),
                    Err(_) => self.found.error(
                        node,
                        &format!("{path}.{servers}"),
                        Code::ValueUnfit,
                        format!("{text:?} is not an address"),
                    ),
                }
            }
        }
        if let Some(node) = fields.take(search) {
            for (_, text) in self.words(node, path) {
                crate::model::push_new(&mut dns.search, &[text]);
            }
        }
        dns
    }

    /// The words of a list of texts or of one text.
    fn words(&mut self, node: &'a Node, path: &str) -> Vec<(&'a Node, String)> {
        self.found
            .list(node, path)
            .into_iter()
            .flat_map(|item| {
                let text = crate::read::scalar(item).unwrap_or_default();
                text.split_whitespace().map(|word| (item, word.to_owned())).collect::<Vec<_>>()
            })
            .collect()
    }

    fn nameserver(&mut self, node: &'a Node, fields: &mut Fields<'a>, path: &str) {
        let dns = self.dns(fields, "address", "search", path);
        match fields.take("interface") {
            Some(interface) => {
                if let Some(name) = self.found.text(interface, path) {
                    self.later.push((node, path.to_owned(), Late::Dns(name, dns)));
                }
            }
            None => self.topology.dns.extend(&dns),
        }
    }

    fn late(&mut self) {
        for (node, path, late) in std::mem::take(&mut self.later) {
            match late {
                Late::Dns(name, dns) => {
                    match self
                        .topology
                        .devices
                        .iter_mut()
                        .find(|device| device.name.as_str() == name)
                    {
                        Some(device) => device.dns.extend(&dns),
                        None => self.found.error(
                            node,
                            &path,
                            Code::UnknownInterface,
                            format!("there is no interface {name}"),
                        ),
                    }
                }
                Late::Route(to, via, metric) => {
                    let reaches = |device: &&mut Device| {
                        device.addresses.iter().any(|net| net.contains(&via))
                    };
                    match self.topology.devices.iter_mut().find(reaches) {
                        Some(device) => {
                            self.found.warn(
                                node,
                                &path,
                                Code::Unsupported,
                                format!("netplan systems drop routes outside subnets; taken as one of {}", device.name),
                            );
                            push(device, Route { metric, ..Route::new(to, via) });
                        }
                        None => self.found.error(
                            node,
                            &path,
                            Code::RouteUnfit,
                            format!("no interface has an address from which {via} is reached"),
                        ),
                    }
                }
            }
        }
        self.references();
    }

    /// What is wrong between devices.
    fn references(&mut self) {
        let names: BTreeSet<&IfName> =
            self.topology.devices.iter().map(|device| &device.name).collect();
        let mut owners: BTreeMap<&IfName, &IfName> = BTreeMap::new();
        let mut problems = Vec::new();
        for device in &self.topology.devices {
            let mut report = |code, message: String| {
                problems.push(Problem::error(code, format!("config[{}]", device.name), message));
            };
            for parent in device.kind.parents() {
                if !names.contains(parent) {
                    report(
                        Code::UnknownInterface,
                        format!("there is no interface {parent} to build on"),
                    );
                }
                if !matches!(device.kind, Kind::Vlan { .. })
                    && let Some(other) = owners.insert(parent, &device.name)
                {
                    report(Code::MemberShared, format!("{parent} is already a member of {other}"));
                }
            }
        }
        for name in self.topology.circular() {
            let path = format!("config[{name}]");
            problems.push(Problem::error(Code::Cycle, path, "it is built on itself"));
        }
        self.found.problems.append(&mut problems);
    }
}

fn push(device: &mut Device, route: Route) {
    if !device.routes.contains(&route) {
        device.routes.push(route);
    }
}

/// An address with its prefix from `A/P`, `A/M.A.S.K`, or `A` and a separate mask; without any
/// mask the prefix is cloud-init's default, 24 or 64.
fn network(text: &str, mask: Option<&str>) -> Option<IpNet> {
    let (address, mask) = match text.split_once('/') {
        Some((address, mask)) => (address, Some(mask)),
        None => (text, mask),
    };
    let address: IpAddr = address.trim().parse().ok()?;
    let prefix = match mask.map(str::trim) {
        Some(mask) => match mask.parse::<u8>() {
            Ok(prefix) => prefix,
            Err(_) => ipnet::ip_mask_to_prefix(mask.parse().ok()?).ok()?,
        },
        None => match address {
            IpAddr::V4(_) => 24,
            IpAddr::V6(_) => 64,
        },
    };
    IpNet::new(address, prefix).ok()
}

#[cfg(test)]
mod tests;
