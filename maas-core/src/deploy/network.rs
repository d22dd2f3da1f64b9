//! The network of the ephemeral OS and of the installed system.

use std::net::IpAddr;

use maas_netconfig::{
    Dialect, Interface, Link, Network, Rendered, SourceRouting, Topology, netplan, v1,
};

use super::facts::Facts;
use super::problem::{IgnoredSetting, PlanProblem, Warning};
use crate::machine::Machine;

/// DHCP on the interface that the machine boots from; nothing when no interface is known.
pub(super) fn dhcp_on_boot_interface(machine: &Machine, facts: &Facts) -> Option<Network> {
    let boot_mac = machine.boot.boot_mac.as_deref();
    let known = boot_mac
        .and_then(|mac| facts.interfaces.iter().find(|nic| nic.mac.to_string() == mac))
        .or_else(|| facts.interfaces.first());
    let (name, mac) = match known {
        Some(nic) => (nic.name.clone(), nic.mac),
        None => {
            let mac = boot_mac.or_else(|| machine.mac_addresses.iter().map(String::as_str).next());
            ("eth0".to_owned(), mac?.parse().ok()?)
        }
    };
    let name: maas_netconfig::IfName = name.parse().ok()?;
    Some(Network {
        interfaces: vec![Interface::physical(name.clone(), mac).with_link(Link::DHCP)],
        boot: Some(name),
        ..Network::default()
    })
}

/// The language that a target's network is written in.
pub(super) fn dialect(os: &str) -> Option<Dialect> {
    match os {
        "esxi" => Some(Dialect::Esxi),
        "centos" | "rhel" | "rocky" | "alma" | "ol" | "fedora" | "sles" | "opensuse" => {
            Some(Dialect::CloudInit)
        }
        _ => None,
    }
}

/// The target's network, rendered, with what is wrong and what is lost noted.
pub(super) fn target(
    network: &Network,
    os: &str,
    problems: &mut Vec<PlanProblem>,
    warnings: &mut Vec<Warning>,
    ignored: &mut Vec<IgnoredSetting>,
) -> Option<(Topology, Rendered)> {
    for problem in network.validate().iter().filter(|problem| !problem.is_error()) {
        warnings.push(Warning::new("network", problem.to_string()));
    }
    let topology = match network.resolve(SourceRouting::Off) {
        Ok(topology) => topology,
        Err(refused) => {
            problems.extend(
                refused
                    .problems
                    .iter()
                    .filter(|problem| problem.is_error())
                    .map(|problem| PlanProblem::Network { message: problem.to_string() }),
            );
            return None;
        }
    };
    let rendered = match dialect(os) {
        Some(dialect) => v1::render(&topology, dialect),
        None => netplan::render(&topology),
    };
    for loss in &rendered.losses {
        ignored.push(IgnoredSetting::new(format!("network: {}", loss.setting), loss.to_string()));
    }
    Some((topology, rendered))
}

/// Whether the installed system will reach an address; `Err` says why not.
pub(super) fn reaches(topology: &Topology, host: &str) -> Result<(), String> {
    // A name is resolved by servers that only the machine knows.
    let Ok(address) = host.parse::<IpAddr>() else { return Ok(()) };
    let by_dhcp = topology.devices.iter().any(|device| match address {
        IpAddr::V4(_) => device.dhcp4,
        IpAddr::V6(_) => device.dhcp6 || device.accept_ra == Some(true),
    });
    let on_link = topology
        .devices
        .iter()
        .any(|device| device.addresses.iter().any(|network| network.contains(&address)));
    let routed = topology.devices.iter().any(|device| {
        device.routes.iter().any(|route| route.table.is_none() && route.to.contains(&address))
    });
    if by_dhcp || on_link || routed {
        return Ok(());
    }
    Err(format!(
        "the target's network has no address, route or DHCP that reaches the rack at {address}; \
         the installed system could not fetch its configuration or report that it is up"
    ))
}
