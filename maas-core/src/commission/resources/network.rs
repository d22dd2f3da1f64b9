//! Network cards and interfaces of the resources document.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{LIST_LIMIT, Node, ResourcesError};
use crate::machine::hardware::{Interface, InterfaceAddress, InterfaceKind};

/// Ports of the cards joined with the kernel's interfaces, parents before children.
pub(super) fn read(
    cards: &Node<'_>,
    networks: &Node<'_>,
) -> Result<Vec<Interface>, ResourcesError> {
    let mut found: BTreeMap<String, Interface> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    for card in cards.items(LIST_LIMIT)? {
        for port in card.get("ports")?.items(LIST_LIMIT)? {
            if let Some(interface) = read_port(&card, &port)? {
                if found.contains_key(&interface.name) {
                    return Err(port.get("id")?.out_of_range("a name used once", &interface.name));
                }
                order.push(interface.name.clone());
                found.insert(interface.name.clone(), interface);
            }
        }
    }
    for (name, network) in networks.members(LIST_LIMIT)? {
        if network.get("type")?.text()? != "broadcast" {
            continue;
        }
        let mac_address = mac(&network.get("hwaddr")?)?;
        if let Some(interface) = found.get_mut(name) {
            describe(interface, &network)?;
        } else if let Some(mac_address) = mac_address {
            let mut interface =
                Interface { mac_address: Some(mac_address), ..Interface::default() };
            interface.name = checked_name(&network, name)?;
            interface.link_connected = network.get("state")?.text()? == "up";
            describe(&mut interface, &network)?;
            order.push(interface.name.clone());
            found.insert(interface.name.clone(), interface);
        }
    }
    parents_first(found, &order, networks)
}

fn read_port(card: &Node<'_>, port: &Node<'_>) -> Result<Option<Interface>, ResourcesError> {
    let Some(mac_address) = mac(&port.get("address")?)? else { return Ok(None) };
    let Some(name) = port.get("id")?.some_text()? else { return Ok(None) };
    let link_connected = port.get("link_detected")?.flag()?;
    let mut interface_speed = 0;
    for mode in port.get("supported_modes")?.items(LIST_LIMIT)? {
        interface_speed = interface_speed.max(mode_speed(&mode.text()?));
    }
    let link_speed = if link_connected { port.get("link_speed")?.small()? } else { 0 };
    Ok(Some(Interface {
        name: checked_name(&port.get("id")?, &name)?,
        kind: InterfaceKind::Physical,
        mac_address: Some(mac_address),
        link_connected,
        interface_speed: interface_speed.max(link_speed),
        link_speed,
        vendor: card.get("vendor")?.some_text()?,
        product: card.get("product")?.some_text()?,
        firmware_version: card.get("firmware_version")?.some_text()?,
        numa_node: card.get("numa_node")?.small()?,
        sriov_max_vf: card.get("sriov")?.get("maximum_vfs")?.small()?,
        pci_address: card.get("pci_address")?.some_text()?,
        ..Interface::default()
    }))
}

/// Adds what the kernel's interface tells to what the card told.
fn describe(interface: &mut Interface, network: &Node<'_>) -> Result<(), ResourcesError> {
    interface.mtu = Some(network.get("mtu")?.small()?).filter(|&mtu| mtu > 0);
    let bond = network.get("bond")?;
    let bridge = network.get("bridge")?;
    let vlan = network.get("vlan")?;
    if bond.present().is_some() {
        interface.kind = InterfaceKind::Bond;
        interface.bond_mode = bond.get("mode")?.some_text()?;
        interface.parents = names(&bond.get("lower_devices")?)?;
    } else if bridge.present().is_some() {
        interface.kind = InterfaceKind::Bridge;
        interface.parents = names(&bridge.get("upper_devices")?)?;
    } else if vlan.present().is_some() {
        let vid = vlan.get("vid")?;
        let number = vid.number()?;
        interface.kind = InterfaceKind::Vlan;
        interface.vid = match u16::try_from(number) {
            Ok(number @ 1..=4094) => Some(number),
            _ => return Err(vid.out_of_range("1 to 4094", &number.to_string())),
        };
        interface.parents = vlan.get("lower_device")?.some_text()?.into_iter().collect();
    }
    for item in network.get("addresses")?.items(LIST_LIMIT)? {
        interface.addresses.extend(address(&item)?);
    }
    Ok(())
}

fn names(list: &Node<'_>) -> Result<Vec<String>, ResourcesError> {
    let mut names = Vec::new();
    for item in list.items(LIST_LIMIT)? {
        names.extend(item.some_text()?);
    }
    Ok(names)
}

/// An address of global scope of either family; others are not kept.
fn address(item: &Node<'_>) -> Result<Option<InterfaceAddress>, ResourcesError> {
    if item.get("scope")?.text()? != "global"
        || !matches!(item.get("family")?.text()?.as_str(), "inet" | "inet6")
    {
        return Ok(None);
    }
    let address_node = item.get("address")?;
    let text = address_node.text()?;
    let address: IpAddr =
        text.parse().map_err(|_| address_node.out_of_range("an IP address", &text))?;
    let most: u8 = if address.is_ipv4() { 32 } else { 128 };
    let prefix_node = item.get("netmask")?;
    let text = prefix_node.text()?;
    match text.parse::<u8>() {
        Ok(prefix) if prefix <= most => Ok(Some(InterfaceAddress { address, prefix })),
        _ => Err(prefix_node.out_of_range("the length of a network prefix", &text)),
    }
}

/// The kernel's rule for names of interfaces: 1 to 15 bytes without `/` and white space.
fn checked_name(node: &Node<'_>, name: &str) -> Result<String, ResourcesError> {
    let fits = (1..=15).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(['/', ':'])
        && !name.contains(char::is_whitespace);
    if fits {
        Ok(name.to_owned())
    } else {
        Err(node.out_of_range("a kernel's interface name", name))
    }
}

/// Six octets in lower case; nothing for a missing address and for InfiniBand's twenty octets.
fn mac(node: &Node<'_>) -> Result<Option<String>, ResourcesError> {
    let Some(text) = node.some_text()? else { return Ok(None) };
    let octets: Vec<&str> = text.split(':').collect();
    let hex = octets
        .iter()
        .all(|octet| octet.len() == 2 && octet.bytes().all(|byte| byte.is_ascii_hexdigit()));
    match (hex, octets.len()) {
        (true, 6) => Ok(Some(text.to_ascii_lowercase())),
        (true, 20) => Ok(None),
        _ => Err(node.out_of_range("a MAC address of six octets", &text)),
    }
}

/// Mbit/s of `10000baseT/Full`; 0 for other texts.
fn mode_speed(mode: &str) -> u32 {
    mode.split_once("base").and_then(|(digits, _)| digits.parse().ok()).unwrap_or(0)
}

/// Orders the interfaces so that each follows its parents; parents that are unknown are dropped.
fn parents_first(
    mut found: BTreeMap<String, Interface>,
    order: &[String],
    networks: &Node<'_>,
) -> Result<Vec<Interface>, ResourcesError> {
    let known: Vec<String> = found.keys().cloned().collect();
    for interface in found.values_mut() {
        interface.parents.retain(|parent| known.binary_search(parent).is_ok());
    }
    let mut sorted: Vec<Interface> = Vec::with_capacity(found.len());
    while !found.is_empty() {
        let ready: Vec<String> = order
            .iter()
            .filter(|name| {
                found.get(*name).is_some_and(|interface| {
                    interface.parents.iter().all(|parent| !found.contains_key(parent))
                })
            })
            .cloned()
            .collect();
        if ready.is_empty() {
            let first = found.keys().next().cloned().unwrap_or_default();
            return Err(ResourcesError::Cycle { path: format!("{}[{first:?}]", networks.path()) });
        }
        sorted.extend(ready.iter().filter_map(|name| found.remove(name)));
    }
    Ok(sorted)
}
