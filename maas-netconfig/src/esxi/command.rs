//! One `esxcli` invocation, and the commands that make a plan real.

use super::plan::{Ipv4, Plan, PortGroup, Switch, VmKernel};
use crate::topology::Family;
use std::borrow::Cow;
use std::fmt;

/// The arguments of one `esxcli` invocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Command {
    /// The name of the command: words that need no quotes.
    words: &'static str,
    /// What follows.
    options: Vec<Cow<'static, str>>,
}

impl Command {
    /// A command by its name.
    pub(crate) fn words(words: &'static str) -> Self {
        Self { words, options: Vec::with_capacity(8) }
    }

    /// The same command with one more argument.
    pub(crate) fn arg(mut self, argument: impl Into<Cow<'static, str>>) -> Self {
        self.options.push(argument.into());
        self
    }

    /// The same command with an option and its value.
    pub(crate) fn opt(self, option: &'static str, value: impl ToString) -> Self {
        self.arg(option).arg(value.to_string())
    }

    /// The command's name, and what follows together with whether it is fixed and needs no quotes.
    pub(super) fn parts(&self) -> (&'static str, impl Iterator<Item = (&str, bool)>) {
        let options = self.options.iter();
        let is_fixed = |option: &Cow<'static, str>| matches!(option, Cow::Borrowed(_));
        (self.words, options.map(move |option| (option.as_ref(), is_fixed(option))))
    }

    /// The arguments after the program's name.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.words.split(' ').chain(self.options.iter().map(AsRef::as_ref))
    }
}

/// One line for a POSIX shell, beginning with `esxcli`.
impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("esxcli")?;
        for argument in self.arguments() {
            write!(formatter, " {}", quote(argument))?;
        }
        Ok(())
    }
}

/// Quotes one argument for a POSIX shell.
pub(super) fn quote(text: &str) -> Cow<'_, str> {
    let plain = !text.is_empty()
        && text.bytes().all(|byte| {
            matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-'..=b':' | b'_' | b',' | b'=' | b'@' | b'%' | b'+')
        });
    if plain {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', "'\\''")))
    }
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
            build(&mut commands, switch, &nics?, Naming::Planned);
        }
        if self.switches.is_empty() {
            commands.extend(remove_stock());
        }
        self.routes_and_dns(&mut commands, Naming::Planned);
        Some(commands)
    }

    /// The commands that come after all switches.
    pub(super) fn routes_and_dns(&self, commands: &mut Vec<Command>, naming: Naming) {
        for route in &self.routes {
            let via = route.via;
            commands.push(match &route.vmk {
                Some(vmk) => Command::words("network ip interface ipv6 set")
                    .opt("-i", naming.of(vmk))
                    .opt("-g", via),
                None => {
                    let add = match Family::of(&via) {
                        Family::V4 => Command::words("network ip route ipv4 add"),
                        Family::V6 => Command::words("network ip route ipv6 add"),
                    };
                    let add = add.opt("-g", via);
                    if route.to.prefix_len() == 0 {
                        add.arg("-n").arg("default")
                    } else {
                        add.opt("-n", route.to)
                    }
                }
            });
        }
        for server in &self.dns.servers {
            commands.push(Command::words("network ip dns server add").opt("-s", server));
        }
        for domain in &self.dns.search {
            commands.push(Command::words("network ip dns search add").opt("-d", domain));
        }
    }
}

fn remove_stock() -> [Command; 3] {
    [
        Command::words("network ip interface remove").arg("-i").arg("vmk0"),
        Command::words("network vswitch standard remove").arg("-v").arg("vSwitch0"),
        Command::words("network ip dns server remove").arg("--all"),
    ]
}

/// What switches and VMkernel interfaces are called in commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// As the plan says.
    Planned,
    /// By shell variables with the planned names.
    Variables,
}

impl Naming {
    fn of(self, name: &str) -> String {
        match self {
            Self::Planned => name.to_owned(),
            Self::Variables => {
                let mut variable = String::with_capacity(name.len() + 2);
                variable.push(VARIABLE);
                variable.push_str(name);
                variable.push(VARIABLE);
                variable
            }
        }
    }
}

/// Marks a word that a script replaces by the value of a shell variable. No name that reaches a
/// command can contain it.
pub(super) const VARIABLE: char = '\u{1}';

/// Appends the commands for one switch with these cards.
pub(super) fn build(commands: &mut Vec<Command>, switch: &Switch, nics: &[&str], naming: Naming) {
    let name = naming.of(&switch.name);
    let name = name.as_str();
    commands.push(Command::words("network vswitch standard add").opt("-v", name));
    let set = Command::words("network vswitch standard set");
    commands.push(set.opt("-m", switch.mtu).opt("-v", name));
    for nic in nics {
        let add = Command::words("network vswitch standard uplink add");
        commands.push(add.opt("-u", nic).opt("-v", name));
    }
    if let Some(teaming) = &switch.teaming {
        let mut policy = Command::words("network vswitch standard policy failover set")
            .opt("-v", name)
            .opt("-a", nics.join(","))
            .arg("-l")
            .arg(teaming.policy());
        if let super::Teaming::Explicit { failback } = teaming {
            policy = policy.opt("-b", failback);
        }
        commands.push(policy);
    }
    for group in &switch.port_groups {
        port_group(commands, group, name, naming);
    }
}

fn port_group(commands: &mut Vec<Command>, group: &PortGroup, switch: &str, naming: Naming) {
    let add = Command::words("network vswitch standard portgroup add");
    commands.push(add.opt("-p", &group.name).opt("-v", switch));
    if let Some(vlan) = group.vlan {
        let set = Command::words("network vswitch standard portgroup set");
        commands.push(set.opt("-p", &group.name).opt("-v", vlan));
    }
    if let Some(vmk) = &group.vmk {
        vmkernel(commands, vmk, &group.name, naming);
    }
}

fn vmkernel(commands: &mut Vec<Command>, vmk: &VmKernel, group: &str, naming: Naming) {
    let name = naming.of(&vmk.name);
    let name = name.as_str();
    let mut add = Command::words("network ip interface add")
        .opt("-i", name)
        .opt("-p", group)
        .opt("-m", vmk.mtu);
    if let Some(mac) = vmk.mac {
        add = add.opt("-M", mac);
    }
    commands.push(add);
    let ipv4 = || Command::words("network ip interface ipv4 set").opt("-i", name).arg("-t");
    match &vmk.ipv4 {
        Some(Ipv4::Dhcp) => commands.push(ipv4().arg("dhcp")),
        Some(Ipv4::Static { address, netmask }) => {
            commands.push(ipv4().arg("static").opt("-I", address).opt("-N", netmask));
        }
        None => {}
    }
    if vmk.ipv6 || vmk.accept_ra.is_some() {
        let mut set = Command::words("network ip interface ipv6 set").opt("-i", name);
        if vmk.ipv6 {
            set = set.arg("-e").arg("true");
        }
        if vmk.dhcp6 {
            set = set.arg("-d").arg("true");
        }
        if let Some(accept) = vmk.accept_ra {
            set = set.opt("-r", accept);
        }
        commands.push(set);
    }
    for address in &vmk.ipv6_addresses {
        let add = Command::words("network ip interface ipv6 address add");
        commands.push(add.opt("-i", name).opt("-I", address));
    }
}
