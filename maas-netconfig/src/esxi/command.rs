//! One `esxcli` invocation, and the commands that make a plan real.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::plan::{Ipv4, Plan, PortGroup, Switch, VmKernel};
use crate::topology::Family;

/// The arguments of one `esxcli` invocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Command(Vec<String>);

impl Command {
    /// A command from its words; each is one argument.
    pub(crate) fn words(words: &str) -> Self {
        Self(words.split(' ').map(str::to_owned).collect())
    }

    /// The same command with further arguments.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.0.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// The arguments after the program's name.
    pub fn arguments(&self) -> &[String] {
        &self.0
    }
}

/// One line for a POSIX shell, beginning with `esxcli`.
impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("esxcli")?;
        for argument in &self.0 {
            write!(formatter, " {}", quote(argument))?;
        }
        Ok(())
    }
}

/// Quotes one argument for a POSIX shell.
pub(super) fn quote(text: &str) -> String {
    let plain = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:,=@%+".contains(&byte));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

impl Plan {
    /// The commands for a freshly installed host with its stock `vmk0` and `vSwitch0`.
    ///
    /// Everything that does not need the card of the management network is built first, then the
    /// stock network is removed, then the rest is built. `None` when the cards are not known.
    pub fn commands(&self) -> Option<Vec<Command>> {
        let mut commands = Vec::new();
        let last = self.switches.len().saturating_sub(1);
        for (index, switch) in self.switches.iter().enumerate() {
            if index == last {
                commands.extend(remove_stock());
            }
            let nics: Option<Vec<&str>> =
                switch.uplinks.iter().map(|uplink| uplink.nic.as_deref()).collect();
            commands.extend(build(switch, &nics?));
        }
        if self.switches.is_empty() {
            commands.extend(remove_stock());
        }
        commands.extend(self.routes_and_dns());
        Some(commands)
    }

    /// The commands that come after all switches.
    pub(super) fn routes_and_dns(&self) -> Vec<Command> {
        let mut commands = Vec::new();
        for route in &self.routes {
            let via = route.via.to_string();
            commands.push(match (&route.vmk, route.to) {
                (Some(vmk), _) => {
                    Command::words("network ip interface ipv6 set").with(&["-i", vmk, "-g", &via])
                }
                (None, to) => {
                    let network = match to {
                        IpNet::V4(_) | IpNet::V6(_) if to.prefix_len() == 0 => "default".to_owned(),
                        net => net.to_string(),
                    };
                    let family = family_word(&route.via);
                    Command::words("network ip route")
                        .with(&[family, "add", "-g", &via, "-n", &network])
                }
            });
        }
        for server in &self.dns.servers {
            commands
                .push(Command::words("network ip dns server add -s").with(&[&server.to_string()]));
        }
        for domain in &self.dns.search {
            commands.push(Command::words("network ip dns search add -d").with(&[domain]));
        }
        commands
    }
}

fn family_word(address: &IpAddr) -> &'static str {
    match Family::of(address) {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn remove_stock() -> [Command; 3] {
    [
        Command::words("network ip interface remove -i vmk0"),
        Command::words("network vswitch standard remove -v vSwitch0"),
        Command::words("network ip dns server remove --all"),
    ]
}

/// The commands for one switch with these cards.
pub(super) fn build(switch: &Switch, nics: &[&str]) -> Vec<Command> {
    let name = switch.name.as_str();
    let standard = |words: &str| Command::words(&format!("network vswitch standard {words}"));
    let mut commands = vec![
        standard("add").with(&["-v", name]),
        standard("set").with(&["-m", &switch.mtu.to_string(), "-v", name]),
    ];
    for nic in nics {
        commands.push(standard("uplink add").with(&["-u", nic, "-v", name]));
    }
    if let Some(teaming) = &switch.teaming {
        let active = nics.join(",");
        let mut policy = standard("policy failover set").with(&[
            "-v",
            name,
            "-a",
            &active,
            "-l",
            teaming.policy(),
        ]);
        if let super::Teaming::Explicit { failback } = teaming {
            policy = policy.with(&["-b", if *failback { "true" } else { "false" }]);
        }
        commands.push(policy);
    }
    for group in &switch.port_groups {
        commands.extend(port_group(group, name));
    }
    commands
}

fn port_group(group: &PortGroup, switch: &str) -> Vec<Command> {
    let words =
        |words: &str| Command::words(&format!("network vswitch standard portgroup {words}"));
    let mut commands = vec![words("add").with(&["-p", &group.name, "-v", switch])];
    if let Some(vlan) = group.vlan {
        commands.push(words("set").with(&["-p", &group.name, "-v", &vlan.to_string()]));
    }
    if let Some(vmk) = &group.vmk {
        commands.extend(vmkernel(vmk, &group.name));
    }
    commands
}

fn vmkernel(vmk: &VmKernel, group: &str) -> Vec<Command> {
    let interface = |words: &str| Command::words(&format!("network ip interface {words}"));
    let name = vmk.name.as_str();
    let mut add = interface("add").with(&["-i", name, "-p", group, "-m", &vmk.mtu.to_string()]);
    if let Some(mac) = vmk.mac {
        add = add.with(&["-M", &mac.to_string()]);
    }
    let mut commands = vec![add];
    match &vmk.ipv4 {
        Some(Ipv4::Dhcp) => {
            commands.push(interface("ipv4 set").with(&["-i", name, "-t", "dhcp"]));
        }
        Some(Ipv4::Static { address, netmask }) => {
            let (address, netmask) = (address.to_string(), netmask.to_string());
            commands.push(
                interface("ipv4 set")
                    .with(&["-i", name, "-t", "static", "-I", &address, "-N", &netmask]),
            );
        }
        None => {}
    }
    if vmk.ipv6 || vmk.accept_ra.is_some() {
        let mut set = interface("ipv6 set").with(&["-i", name]);
        if vmk.ipv6 {
            set = set.with(&["-e", "true"]);
        }
        if vmk.dhcp6 {
            set = set.with(&["-d", "true"]);
        }
        if let Some(accept) = vmk.accept_ra {
            set = set.with(&["-r", if accept { "true" } else { "false" }]);
        }
        commands.push(set);
    }
    for address in &vmk.ipv6_addresses {
        let address = format!("{}/{}", address.addr(), address.prefix_len());
        commands.push(interface("ipv6 address add").with(&["-i", name, "-I", &address]));
    }
    commands
}
