//! The command sequence that packer-maas images run for a v1 document, defects included.
//!
//! Kept for one purpose: to know what an existing image will do with a document, and to show in
//! a test that we know it. Use [`plan`](super::plan) for a host that shall work.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::command::Command;
use super::nic::Nic;
use crate::error::{Code, Problem, Refused};
use crate::yaml::Value;

/// What the reference script does after it has wiped the host.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Compat {
    /// Its commands in order.
    pub commands: Vec<Command>,
    /// What it warns about and goes on.
    pub warnings: Vec<Problem>,
}

/// Computes the reference script's commands for the `network` mapping of a v1 document.
///
/// # Errors
/// [`Refused`] where the reference script stops in the middle, with the reason.
pub fn compat(network: &Value, nics: &[Nic]) -> Result<Compat, Refused> {
    if network.get("version") != Some(&Value::Int(1)) {
        return refuse("network.version", "the script takes version 1 only");
    }
    let Some(config) = network.get("config").and_then(Value::as_list) else {
        return refuse("config", "the list of devices is missing");
    };
    let mut script = Script { nics, ..Script::default() };
    for (index, entry) in config.iter().enumerate() {
        script.entry(entry).map_err(|message| Refused {
            problems: vec![Problem::error(Code::Unsupported, format!("config[{index}]"), message)],
        })?;
    }
    Ok(Compat { commands: script.commands, warnings: script.warnings })
}

fn refuse(path: &str, message: &str) -> Result<Compat, Refused> {
    Err(Refused { problems: vec![Problem::error(Code::Unsupported, path, message)] })
}

#[derive(Default)]
struct Script<'a> {
    nics: &'a [Nic],
    commands: Vec<Command>,
    warnings: Vec<Problem>,
    /// Interface id to its address, as written.
    macs: BTreeMap<String, String>,
    /// Interface id to its switch.
    switch_of: BTreeMap<String, String>,
    switches: usize,
    vmks: usize,
    /// IPv4 routes as the host would list them: network, netmask, gateway.
    routes: Vec<[String; 3]>,
}

type Step = Result<(), String>;

fn text(entry: &Value, key: &str) -> Option<String> {
    match entry.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

fn need(entry: &Value, key: &str) -> Result<String, String> {
    text(entry, key).ok_or_else(|| format!("the script stops: the key {key} is missing"))
}

fn list(entry: &Value, key: &str) -> Vec<String> {
    match entry.get(key) {
        Some(Value::List(items)) => {
            items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        // A text is walked character by character.
        Some(Value::String(text)) => text.chars().map(String::from).collect(),
        _ => Vec::new(),
    }
}

impl Script<'_> {
    fn run(&mut self, words: &'static str, arguments: &[&str]) {
        let command = Command::words(words);
        self.commands.push(
            arguments.iter().fold(command, |command, argument| command.arg((*argument).to_owned())),
        );
    }

    fn warn(&mut self, message: impl Into<String>) {
        self.warnings.push(Problem::warning(Code::Unsupported, "", message));
    }

    fn entry(&mut self, entry: &Value) -> Step {
        match text(entry, "type").as_deref() {
            Some("physical") => self.physical(entry),
            Some("bond") => self.bond(entry),
            Some("vlan") => self.vlan(entry),
            Some("nameserver") => {
                for server in list(entry, "address") {
                    self.run("network ip dns server add -s", &[&server]);
                }
                for domain in list(entry, "search") {
                    self.run("network ip dns search add -d", &[&domain]);
                }
                Ok(())
            }
            other => {
                self.warn(format!("unknown configuration type {}", other.unwrap_or("None")));
                Ok(())
            }
        }
    }

    fn nic(&self, id: &str) -> Option<String> {
        let mac = self.macs.get(id)?;
        // The comparison is of texts; an upper-case address is not found.
        self.nics.iter().find(|nic| nic.mac.to_string() == *mac).map(|nic| nic.name.clone())
    }

    fn add_switch(&mut self, entry: &Value) -> String {
        let name = format!("vSwitch{}", self.switches);
        self.switches += 1;
        self.run("network vswitch standard add -v", &[&name]);
        if let Some(mtu) = text(entry, "mtu") {
            self.run("network vswitch standard set", &["-m", &mtu, "-v", &name]);
        }
        name
    }

    fn add_uplink(&mut self, id: &str, switch: &str) {
        match self.nic(id) {
            Some(nic) => {
                self.run("network vswitch standard uplink add", &["-u", &nic, "-v", switch]);
            }
            None => self.warn(format!("no card has the address of {id}")),
        }
    }

    fn physical(&mut self, entry: &Value) -> Step {
        let id = need(entry, "id")?;
        self.macs.insert(id.clone(), need(entry, "mac_address")?);
        let subnets = entry.get("subnets").and_then(Value::as_list).unwrap_or_default();
        if subnets.iter().all(|subnet| text(subnet, "type").as_deref() == Some("manual")) {
            return Ok(());
        }
        let switch = self.add_switch(entry);
        self.add_uplink(&id, &switch);
        self.switch_of.insert(id, switch.clone());
        self.subnets(entry, &switch)
    }

    fn bond(&mut self, entry: &Value) -> Step {
        let id = need(entry, "id")?;
        let switch = self.add_switch(entry);
        self.switch_of.insert(id.clone(), switch.clone());
        let members = list(entry, "bond_interfaces");
        for member in &members {
            self.add_uplink(member, &switch);
        }
        let mac = need(entry, "mac_address")?;
        self.macs.insert(id, mac.clone());
        let mode = entry.get("params").and_then(|params| text(params, "bond-mode"));
        let policy = match mode.as_deref() {
            Some("balance-rr") => "portid",
            Some("active-backup") => "explicit",
            Some("802.3ad") => {
                self.warn("LACP rate and XMIT hash policy ignored");
                "iphash"
            }
            other => {
                self.warn(format!("unsupported bond mode({})", other.unwrap_or("None")));
                return Ok(());
            }
        };
        let Some(first) = self.nics.iter().find(|nic| nic.mac.to_string() == mac) else {
            self.warn("no card has the address of the bond; it is skipped");
            return Ok(());
        };
        let mut active = first.name.clone();
        for member in &members {
            let nic = self.nic(member).ok_or("the script stops: a bond member has no card")?;
            // A substring test: vmnic1 is lost when vmnic10 is there.
            if !active.contains(&nic) {
                active = format!("{active},{nic}");
            }
        }
        self.run(
            "network vswitch standard policy failover set",
            &["-v", &switch, "-a", &active, "-l", policy],
        );
        self.subnets(entry, &switch)
    }

    fn vlan(&mut self, entry: &Value) -> Step {
        let link = need(entry, "vlan_link")?;
        let switch = match self.switch_of.get(&link) {
            Some(switch) => switch.clone(),
            None => {
                let switch = self.add_switch(entry);
                self.add_uplink(&link, &switch);
                self.switch_of.insert(link, switch.clone());
                switch
            }
        };
        self.subnets(entry, &switch)
    }

    fn subnets(&mut self, entry: &Value, switch: &str) -> Step {
        let name = need(entry, "name")?;
        let vlan = text(entry, "vlan_id");
        let is_vlan = text(entry, "type").as_deref() == Some("vlan");
        let mac = text(entry, "mac_address").filter(|_| !is_vlan);
        // A missing MTU reaches the command line as the word None.
        let mtu = text(entry, "mtu").unwrap_or_else(|| "None".to_owned());
        let subnets = entry.get("subnets").and_then(Value::as_list).unwrap_or_default();
        for (index, subnet) in subnets.iter().enumerate() {
            let group = if index == 0 { name.clone() } else { format!("{name}:{index}") };
            self.run("network vswitch standard portgroup add", &["-p", &group, "-v", switch]);
            if let Some(vlan) = &vlan {
                self.run("network vswitch standard portgroup set", &["-p", &group, "-v", vlan]);
            }
            let vmk = format!("vmk{}", self.vmks);
            self.vmks += 1;
            let mut arguments = vec!["-i", vmk.as_str(), "-p", &group, "-m", &mtu];
            if let Some(mac) = &mac {
                arguments.extend(["-M", mac]);
            }
            self.run("network ip interface add", &arguments);
            self.subnet(subnet, &vmk)?;
        }
        Ok(())
    }

    fn subnet(&mut self, subnet: &Value, vmk: &str) -> Step {
        let gateway = text(subnet, "gateway");
        let kind = text(subnet, "type").unwrap_or_default();
        match kind.as_str() {
            "dhcp4" | "dhcp6" => {
                let (words, mut arguments) = match kind.as_str() {
                    "dhcp4" => ("network ip interface ipv4 set", vec!["-i", vmk, "-t", "dhcp"]),
                    _ => (
                        "network ip interface ipv6 set",
                        vec!["-i", vmk, "-e", "true", "-d", "true"],
                    ),
                };
                if let Some(gateway) = &gateway {
                    arguments.extend(["-g", gateway]);
                }
                self.run(words, &arguments);
            }
            "static" => self.static_address(&need(subnet, "address")?, gateway.as_deref(), vmk)?,
            other => {
                self.warn(format!("unknown subnet type {other}"));
                return Ok(());
            }
        }
        for route in subnet.get("routes").and_then(Value::as_list).unwrap_or_default() {
            self.route(route)?;
        }
        Ok(())
    }

    fn static_address(&mut self, address: &str, gateway: Option<&str>, vmk: &str) -> Step {
        let bad = || format!("the script stops: {address} is no address");
        let (ip, prefix) = match address.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix.parse::<u8>().map_err(|_| bad())?)),
            None => (address, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| bad())?;
        let net = IpNet::new(ip, prefix.unwrap_or(if ip.is_ipv4() { 32 } else { 128 }))
            .map_err(|_| bad())?;
        match net {
            IpNet::V4(net) => {
                let (ip, netmask) = (net.addr().to_string(), net.netmask().to_string());
                self.run(
                    "network ip interface ipv4 set",
                    &["-i", vmk, "-t", "static", "-I", &ip, "-N", &netmask],
                );
                if let Some(gateway) = gateway {
                    self.run(
                        "network ip route ipv4 add",
                        &[&format!("--gateway={gateway}"), "--network=default"],
                    );
                    let any = Ipv4Addr::UNSPECIFIED.to_string();
                    self.routes.push([any.clone(), any, gateway.to_owned()]);
                }
            }
            IpNet::V6(net) => {
                self.run(
                    "network ip interface ipv6 address add",
                    &["-i", vmk, "-I", &net.addr().to_string()],
                );
                if let Some(gateway) = gateway {
                    self.run("network ip interface ipv6 set", &["-i", vmk, "-g", gateway]);
                    self.run(
                        "network ip route ipv6 add",
                        &[&format!("--gateway={gateway}"), "--network=default"],
                    );
                }
            }
        }
        Ok(())
    }

    fn route(&mut self, route: &Value) -> Step {
        let to = need(route, "destination")?;
        let via = need(route, "gateway")?;
        let net: IpNet = to.parse().map_err(|_| format!("the script stops: {to} is no network"))?;
        match net {
            IpNet::V4(net) => {
                self.run("network ip route ipv4 list", &[]);
                let row = [net.network().to_string(), net.netmask().to_string(), via.clone()];
                // Texts are searched in the listed line: 10.0.0.10 is found in 10.0.0.100.
                let listed = self
                    .routes
                    .iter()
                    .any(|have| have.iter().zip(&row).all(|(have, want)| have.contains(want)));
                if !listed {
                    self.run("network ip route ipv4 add", &["-g", &via, "-n", &to]);
                    self.routes.push(row);
                }
            }
            IpNet::V6(_) => {
                self.run("network ip route ipv6 list", &[]);
                self.run("network ip route ipv6 add", &["-g", &via, "-n", &to]);
            }
        }
        Ok(())
    }
}
