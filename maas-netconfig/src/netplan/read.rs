//! Reads netplan v2 into a topology.

mod params;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::merge::lay_over;
use super::schema::{Unknown, check};
use crate::error::{Code, Problem, Refused};
use crate::mac::Mac;
use crate::model::{BridgeKind, Kind};
use crate::mtu::Mtu;
use crate::name::IfName;
use crate::read::{Fields, Findings, Parsed, network_section, scalar};
use crate::topology::{Device, Family, Route, RoutingPolicy, Topology};
use crate::yaml::{Map, Node, NodeKind, Value};

/// Reads one netplan document: bare, below `network`, or inside a whole curtin configuration.
///
/// Keys that the topology has no field for are kept in `extra` and written out again.
///
/// # Errors
/// [`Refused`] with every problem, each with line and column.
pub fn parse(text: &str, unknown: Unknown) -> Result<Parsed, Refused> {
    parse_files(&[("", text)], unknown)
}

/// Reads several netplan files as one, in netplan's order: sorted by file name, the later file
/// adding to lists and mappings and replacing everything else.
///
/// # Errors
/// [`Refused`] with every problem; the path begins with the file's name.
pub fn parse_files(files: &[(&str, &str)], unknown: Unknown) -> Result<Parsed, Refused> {
    let mut files = files.to_vec();
    files.sort_by_key(|(name, _)| *name);
    let mut problems = Vec::new();
    let mut merged: Option<Node> = None;
    for (name, text) in files {
        let prefix = |mut problem: Problem| {
            if !name.is_empty() {
                problem.path = format!("{name}: {}", problem.path);
            }
            problem
        };
        match network_section(text) {
            Ok(network) => {
                let mut found = Findings::default();
                check(&mut found, &network, unknown);
                problems.extend(found.problems.into_iter().map(prefix));
                match &mut merged {
                    Some(below) => lay_over(below, network),
                    None => merged = Some(network),
                }
            }
            Err(refused) => problems.extend(refused.problems.into_iter().map(prefix)),
        }
    }
    let mut problems = Refused::unless_clean(problems)?;
    let Some(network) = merged else {
        let nothing = Problem::error(Code::Syntax, "", "there is no netplan file");
        return Err(Refused { problems: vec![nothing] });
    };
    let mut reader = Reader::default();
    reader.network(&network);
    reader.references();
    reader.topology.sort_parents_first();
    problems.append(&mut reader.found.problems);
    let found = Findings { problems };
    found.finish(reader.topology)
}

#[derive(Default)]
struct Reader {
    found: Findings,
    topology: Topology,
    /// Netplan identifiers that are not the name of the interface.
    renamed: BTreeMap<String, IfName>,
    /// Identifiers of entries that are kept whole.
    opaque: BTreeSet<String>,
    /// Where each device is, for problems that concern several.
    places: BTreeMap<IfName, Node>,
}

const DEVICES: &[&str] = &[
    "ethernets",
    "bonds",
    "bridges",
    "vlans",
    "vrfs",
    "tunnels",
    "dummy-devices",
    "virtual-ethernets",
];

impl Reader {
    fn network(&mut self, network: &Node) {
        let Some(mut fields) = self.found.fields(network, "network") else { return };
        if let Some(version) = fields.take("version")
            && scalar(version).as_deref() != Some("2")
        {
            self.found.error(version, "network.version", Code::ValueUnfit, "expected version 2");
        }
        for section in DEVICES {
            let Some(NodeKind::Map(entries)) = fields.take(section).map(|node| &node.kind) else {
                continue;
            };
            for (key, node) in entries {
                self.device(section, &key.text, node);
            }
        }
        for (key, node) in fields.rest() {
            self.topology.extra.insert(key.text.clone(), node.to_value());
        }
        // Open vSwitch's patch ports come in pairs and can be members without a definition.
        let ports = self.topology.extra.get("openvswitch").and_then(|ovs| ovs.get("ports"));
        for pair in ports.and_then(Value::as_list).unwrap_or_default() {
            let names = pair.as_list().unwrap_or_default().iter().filter_map(Value::as_str);
            self.opaque.extend(names.map(str::to_owned));
        }
    }

    fn device(&mut self, section: &str, id: &str, node: &Node) {
        let path = format!("network.{section}.{id}");
        let empty = Node { line: node.line, column: node.column, kind: NodeKind::Map(Vec::new()) };
        let node = if matches!(node.kind, NodeKind::Null) { &empty } else { node };
        let Some(mut fields) = self.found.fields(node, &path) else { return };
        let set_name = fields.take("set-name").and_then(|node| self.found.text(node, &path));
        let matched = node.get("match");
        if set_name.is_some() && matched.is_none() {
            self.found.error(node, &path, Code::ValueUnfit, "set-name needs match");
        }
        let name = match IfName::new(set_name.as_deref().unwrap_or(id)) {
            Ok(name) => name,
            Err(_) if matched.is_some() && set_name.is_none() => {
                self.keep_whole(section, id, node);
                return;
            }
            Err(error) => {
                self.found.error(node, &path, Code::ValueUnfit, error.to_string());
                return;
            }
        };
        if name.as_str() != id {
            self.found.warn(
                node,
                &path,
                Code::ValueUnfit,
                format!("the identifier {id} is replaced by the interface's name {name}"),
            );
            self.renamed.insert(id.to_owned(), name.clone());
        }
        if self.topology.device(&name).is_some() {
            self.found.error(node, &path, Code::NameDuplicate, format!("{name} is there already"));
            return;
        }
        let mut device = Device::new(name.clone(), Kind::Dummy);
        let Some(kind) =
            self.kind(section, node, &mut fields, &mut device, set_name.is_some(), &path)
        else {
            return;
        };
        device.kind = kind;
        self.common(&mut fields, &mut device, &path);
        for (key, node) in fields.rest() {
            if !matches!(node.kind, NodeKind::Null) {
                device.extra.insert(key.text.clone(), node.to_value());
            }
        }
        self.places.insert(name, node.clone());
        self.topology.devices.push(device);
    }

    /// Keeps an entry that is a rule for several cards rather than one device.
    fn keep_whole(&mut self, section: &str, id: &str, node: &Node) {
        self.found.warn(
            node,
            &format!("network.{section}.{id}"),
            Code::Unsupported,
            "the entry names no single interface; it is kept for netplan only",
        );
        self.opaque.insert(id.to_owned());
        let entry =
            self.topology.extra.entry(section.to_owned()).or_insert_with(|| Value::Map(Map::new()));
        if let Value::Map(entries) = entry {
            entries.insert(id, node.to_value());
        }
    }

    fn kind(
        &mut self,
        section: &str,
        node: &Node,
        fields: &mut Fields<'_>,
        device: &mut Device,
        renames: bool,
        path: &str,
    ) -> Option<Kind> {
        Some(match section {
            "ethernets" => Kind::Physical { mac: Self::card(fields, device, renames) },
            "bonds" => {
                let members = self.names(fields.take("interfaces"), path);
                let params = self.bond_params(fields.take("parameters"), device, path);
                Kind::Bond { mac: self.mac(fields, path), members, params }
            }
            "bridges" => {
                let members = self.names(fields.take("interfaces"), path);
                let params = self.bridge_params(fields.take("parameters"), path);
                let mut bridge = BridgeKind::Standard;
                if let Some(settings) = node.get("openvswitch") {
                    bridge = BridgeKind::Ovs;
                    fields.take("openvswitch");
                    if let Value::Map(settings) = settings.to_value()
                        && !settings.is_empty()
                    {
                        device.extra.insert("openvswitch".to_owned(), Value::Map(settings));
                    }
                }
                Kind::Bridge { mac: self.mac(fields, path), members, bridge, params }
            }
            "vlans" => {
                let (Some(id), Some(link)) = (fields.take("id"), fields.take("link")) else {
                    self.found.error(node, path, Code::Syntax, "a VLAN needs id and link");
                    return None;
                };
                let number: u16 = self.found.expected(id, path, "a VLAN identifier")?;
                let link = self.name(link, path)?;
                match crate::vid::Vid::new(number) {
                    Ok(vid) if number > 0 => Kind::Vlan { link, vid },
                    Ok(_) => {
                        self.found.error(
                            id,
                            path,
                            Code::VidUnfit,
                            "the kernel has no VLAN device 0",
                        );
                        return None;
                    }
                    Err(error) => {
                        self.found.error(id, path, Code::VidUnfit, error.to_string());
                        return None;
                    }
                }
            }
            "vrfs" => {
                let Some(table) = fields.take("table") else {
                    self.found.error(node, path, Code::Syntax, "a VRF needs its table");
                    return None;
                };
                let table = self.found.expected(table, path, "a routing table")?;
                Kind::Vrf { table, members: self.names(fields.take("interfaces"), path) }
            }
            "virtual-ethernets" => {
                let Some(peer) = fields.take("peer") else {
                    self.found.error(node, path, Code::Syntax, "a virtual Ethernet needs its peer");
                    return None;
                };
                Kind::Veth { peer: self.name(peer, path)? }
            }
            "tunnels" => {
                let Some(mode) = fields.take("mode") else {
                    self.found.error(node, path, Code::Syntax, "a tunnel needs its mode");
                    return None;
                };
                Kind::Tunnel { mode: self.found.text(mode, path)? }
            }
            _ => Kind::Dummy,
        })
    }

    /// The hardware address by which a card is found; whatever else finds it goes to `extra`.
    fn card(fields: &mut Fields<'_>, device: &mut Device, renames: bool) -> Option<Mac> {
        let Value::Map(mut matched) = fields.take("match")?.to_value() else { return None };
        // The twenty octets of an InfiniBand card stay among what is kept.
        let mac =
            matched.get("macaddress").and_then(Value::as_str).and_then(|mac| mac.parse().ok());
        if mac.is_some() {
            matched.remove("macaddress");
        }
        if !matched.is_empty() || mac.is_none() {
            device.extra.insert("match".to_owned(), Value::Map(matched));
        }
        match (mac, renames) {
            // The name stays what the system gave; `Null` keeps the writer from renaming.
            (Some(_), false) => {
                device.extra.insert("set-name".to_owned(), Value::Null);
            }
            (None, true) => {
                let name = Value::from(device.name.as_str());
                device.extra.insert("set-name".to_owned(), name);
            }
            _ => {}
        }
        mac
    }

    fn mac(&mut self, fields: &mut Fields<'_>, path: &str) -> Option<Mac> {
        let node = fields.take("macaddress")?;
        self.found.parsed(node, &format!("{path}.macaddress"))
    }

    fn name(&mut self, node: &Node, path: &str) -> Option<IfName> {
        let text = self.found.text(node, path)?;
        if let Some(name) = self.renamed.get(&text) {
            return Some(name.clone());
        }
        self.found.parsed(node, path)
    }

    fn names(&mut self, node: Option<&Node>, path: &str) -> Vec<IfName> {
        let Some(node) = node else { return Vec::new() };
        let mut names = Vec::new();
        for item in self.found.list(node, path) {
            if let Some(name) = self.name(item, path)
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }

    fn common(&mut self, fields: &mut Fields<'_>, device: &mut Device, path: &str) {
        if let Some(node) = fields.take("mtu") {
            match self.found.expected::<u32>(node, path, "an MTU in bytes").map(Mtu::new) {
                Some(Ok(mtu)) => device.mtu = Some(mtu),
                Some(Err(error)) => self.found.error(node, path, Code::MtuUnfit, error.to_string()),
                None => {}
            }
        }
        let mut flag = |key: &str| fields.take(key).and_then(|node| self.found.boolean(node, path));
        device.accept_ra = flag("accept-ra");
        device.optional = flag("optional");
        device.dhcp4 = flag("dhcp4").unwrap_or(false);
        device.dhcp6 = flag("dhcp6").unwrap_or(false);
        if let Some(node) = fields.take("addresses") {
            self.addresses(node, device, path);
        }
        if let Some(node) = fields.take("nameservers") {
            self.nameservers(node, device, path);
        }
        for (key, family) in [("gateway4", Family::V4), ("gateway6", Family::V6)] {
            let Some(node) = fields.take(key) else { continue };
            match self.found.expected::<IpAddr>(node, path, "an address") {
                Some(via) if Family::of(&via) == family => {
                    self.found.warn(
                        node,
                        path,
                        Code::ValueUnfit,
                        format!(
                            "{key} is deprecated; it becomes a route to {}",
                            family.everything()
                        ),
                    );
                    push(&mut device.routes, Route::new(family.everything(), via));
                }
                Some(via) => self.found.error(
                    node,
                    path,
                    Code::GatewayUnreachable,
                    format!("{via} is of the other address family"),
                ),
                None => {}
            }
        }
        if let Some(node) = fields.take("routes") {
            for (index, item) in self.found.list(node, path).into_iter().enumerate() {
                let path = format!("{path}.routes[{index}]");
                if let Some(route) = self.route(item, &path) {
                    push(&mut device.routes, route);
                }
            }
        }
        if let Some(node) = fields.take("routing-policy") {
            for (index, item) in self.found.list(node, path).into_iter().enumerate() {
                let path = format!("{path}.routing-policy[{index}]");
                if let Some(policy) = self.policy(item, &path) {
                    push(&mut device.policies, policy);
                }
            }
        }
    }

    fn addresses(&mut self, node: &Node, device: &mut Device, path: &str) {
        let mut options = Map::new();
        for item in self.found.list(node, path) {
            let entries: Vec<(String, Option<&Node>)> = match &item.kind {
                NodeKind::Map(entries) => {
                    entries.iter().map(|(key, node)| (key.text.clone(), Some(node))).collect()
                }
                _ => scalar(item).map(|text| (text, None)).into_iter().collect(),
            };
            for (text, given) in entries {
                let Some(address) = text.parse::<IpNet>().ok().filter(|_| text.contains('/'))
                else {
                    self.found.error(
                        item,
                        &format!("{path}.addresses"),
                        Code::ValueUnfit,
                        format!("{text:?} is not an address with prefix"),
                    );
                    continue;
                };
                push(&mut device.addresses, address);
                if let Some(Value::Map(given)) = given.map(Node::to_value)
                    && !given.is_empty()
                {
                    options.insert(address.to_string(), given);
                }
            }
        }
        if !options.is_empty() {
            device.extra.insert("addresses".to_owned(), Value::Map(options));
        }
    }

    fn nameservers(&mut self, node: &Node, device: &mut Device, path: &str) {
        let path = format!("{path}.nameservers");
        let Some(mut fields) = self.found.fields(node, &path) else { return };
        if let Some(list) = fields.take("addresses") {
            for item in self.found.list(list, &path) {
                if let Some(server) = self.found.expected(item, &path, "an address") {
                    push(&mut device.dns.servers, server);
                }
            }
        }
        if let Some(list) = fields.take("search") {
            for item in self.found.list(list, &path) {
                if let Some(domain) = self.found.text(item, &path) {
                    push(&mut device.dns.search, domain);
                }
            }
        }
    }

    fn route(&mut self, node: &Node, path: &str) -> Option<Route> {
        let mut fields = self.found.fields(node, path)?;
        let via = match fields.take("via") {
            Some(node) => Some(self.found.expected::<IpAddr>(node, path, "an address")?),
            None => None,
        };
        let Some(to_node) = fields.take("to") else {
            self.found.error(node, path, Code::RouteUnfit, "a route needs a destination");
            return None;
        };
        let text = self.found.text(to_node, path)?;
        let to = match text.as_str() {
            "default" => via.map_or(Family::V4, |via| Family::of(&via)).everything(),
            text => match net(text) {
                Some(net) => net,
                None => {
                    self.found.error(
                        to_node,
                        path,
                        Code::RouteUnfit,
                        format!("{text:?} is not a network"),
                    );
                    return None;
                }
            },
        };
        if via.is_some_and(|via| Family::of(&via) != Family::of(&to.addr())) {
            self.found.error(
                node,
                path,
                Code::RouteUnfit,
                format!("{to} and its router are of different address families"),
            );
            return None;
        }
        let metric = self.number(&mut fields, "metric", path);
        let table = self.number(&mut fields, "table", path);
        let on_link = fields.take("on-link").and_then(|node| self.found.boolean(node, path));
        let mut route = Route {
            to: to.trunc(),
            via,
            metric,
            table,
            on_link: on_link.unwrap_or(false),
            extra: BTreeMap::new(),
        };
        for (key, node) in fields.rest() {
            if let Some(text) = scalar(node) {
                route.extra.insert(key.text.clone(), text);
            }
        }
        if via.is_none() && !route.extra.contains_key("type") && !route.extra.contains_key("scope")
        {
            self.found.error(
                node,
                path,
                Code::RouteUnfit,
                format!("the route to {to} needs a router"),
            );
            return None;
        }
        Some(route)
    }

    fn number(&mut self, fields: &mut Fields<'_>, key: &str, path: &str) -> Option<u32> {
        fields.take(key).and_then(|node| self.found.expected(node, path, "a whole number"))
    }

    fn policy(&mut self, node: &Node, path: &str) -> Option<RoutingPolicy> {
        let mut fields = self.found.fields(node, path)?;
        let mut network = |key: &str| {
            let node = fields.take(key)?;
            let text = self.found.text(node, path)?;
            let found = net(&text);
            if found.is_none() {
                self.found.error(
                    node,
                    path,
                    Code::ValueUnfit,
                    format!("{text:?} is not a network"),
                );
            }
            found
        };
        let (from, to) = (network("from"), network("to"));
        if from.is_none() && to.is_none() {
            self.found.error(node, path, Code::RouteUnfit, "a routing policy needs from or to");
            return None;
        }
        Some(RoutingPolicy {
            from,
            to,
            table: self.number(&mut fields, "table", path),
            priority: self.number(&mut fields, "priority", path),
            mark: self.number(&mut fields, "mark", path),
            type_of_service: self.number(&mut fields, "type-of-service", path),
        })
    }

    /// What netplan refuses about several devices together.
    fn references(&mut self) {
        let mut owner: BTreeMap<IfName, IfName> = BTreeMap::new();
        let mut problems = Vec::new();
        for device in &self.topology.devices {
            let mut report = |code, message: String| {
                let problem = Problem::error(code, format!("network.{}", device.name), message);
                problems.push(match self.places.get(&device.name) {
                    Some(node) => problem.at(node.line, node.column),
                    None => problem,
                });
            };
            for parent in device.kind.parents() {
                if self.topology.device(parent).is_none() && !self.opaque.contains(parent.as_str())
                {
                    report(Code::UnknownInterface, format!("interface {parent} is not defined"));
                }
                if !matches!(device.kind, Kind::Vlan { .. } | Kind::Vrf { .. })
                    && let Some(other) = owner.insert(parent.clone(), device.name.clone())
                {
                    report(Code::MemberShared, format!("{parent} is already a member of {other}"));
                }
            }
        }
        for name in self.topology.circular() {
            let problem =
                Problem::error(Code::Cycle, format!("network.{name}"), "it is built on itself");
            problems.push(match self.places.get(name) {
                Some(node) => problem.at(node.line, node.column),
                None => problem,
            });
        }
        self.found.problems.append(&mut problems);
    }
}

/// A network; a lone address is one of its own.
fn net(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

#[cfg(test)]
mod tests;
