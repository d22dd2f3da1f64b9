//! Interfaces and links as forms give them.

use std::collections::BTreeSet;

use maas_core::machine::interface::edit::{
    BondChange, BridgeChange, Chosen, Force, NewLink, Settings,
};
use maas_core::machine::interface::{Interfaces, LinkMode};
use maas_netconfig::{IfName, Mac, Mtu};

use crate::api::view::places::Places;
use crate::http::{FieldErrors, Fields, Param, Problem};

/// What every kind of interface is told.
pub(super) const COMMON: &[Param] = &[
    Param::optional("name", "The name, at most 15 characters."),
    Param::optional("mac_address", "The hardware address."),
    Param::optional("vlan", "The number of the VLAN; empty disconnects."),
    Param::repeated("tags", "Tags."),
    Param::optional("mtu", "The MTU, 552 or more; empty takes the VLAN's."),
    Param::optional("accept_ra", "Whether IPv6 router advertisements are accepted."),
    Param::optional("enabled", "Whether a card takes part."),
    Param::optional("link_connected", "Whether the link has a carrier."),
    Param::optional("interface_speed", "The card's speed in Mbit/s."),
    Param::optional("link_speed", "The link's speed in Mbit/s."),
];

/// What a card is told besides.
pub(super) const PHYSICAL: &[Param] = &[
    Param::optional("numa_node", "The NUMA node of the card."),
    Param::optional("ip_assignment", "Devices: dynamic, external or static."),
    Param::optional("subnet", "Devices: the subnet of the address."),
    Param::optional("ip_address", "Devices: the address."),
];

/// What a bond is told besides.
pub(super) const BOND: &[Param] = &[
    Param::repeated("parents", "The numbers or names of the cards."),
    Param::optional("bond_mode", "balance-rr, active-backup, balance-xor, broadcast, 802.3ad, …"),
    Param::optional("bond_miimon", "How often the link is looked at, ms; 100."),
    Param::optional("bond_downdelay", "How long a link must be down, ms; 0."),
    Param::optional("bond_updelay", "How long a link must be up, ms; 0."),
    Param::optional("bond_num_grat_arp", "Announcements after a fail-over; 1."),
    Param::optional("bond_lacp_rate", "slow or fast."),
    Param::optional("bond_xmit_hash_policy", "layer2, layer2+3, layer3+4, …"),
];

/// What a bridge is told besides.
pub(super) const BRIDGE: &[Param] = &[
    Param::repeated("parents", "The numbers or names of the ports."),
    Param::optional("parent", "The port, when there is one."),
    Param::optional("bridge_type", "standard or ovs."),
    Param::optional("bridge_stp", "Whether the spanning tree protocol runs."),
    Param::optional("bridge_fd", "Seconds in the listening and learning states; 15."),
];

/// What a VLAN interface is told besides.
pub(super) const VLAN: &[Param] = &[
    Param::optional("parent", "The number or name of the carrier."),
    Param::repeated("parents", "The same."),
];

/// What a link is told.
pub(super) const LINK: &[Param] = &[
    Param::required("mode", "AUTO, DHCP, STATIC or LINK_UP."),
    Param::optional("subnet", "The subnet's number, CIDR or name."),
    Param::optional("ip_address", "The address of a STATIC link; a free one when not given."),
    Param::optional("default_gateway", "Whether its gateway becomes the default."),
    Param::optional("force", "Whether other links and the VLAN give way."),
];

/// Reads what an interface is told; parents are looked up among `interfaces`.
pub(super) fn settings(fields: &Fields, interfaces: &Interfaces) -> Result<Settings, Problem> {
    let mut errors = FieldErrors::new();
    let settings = Settings {
        name: errors.collect(fields.parsed::<IfName>("name")),
        mac: errors.collect(fields.parsed::<Mac>("mac_address")),
        vlan: optional(fields, &mut errors, "vlan", |text| {
            text.parse::<u64>().map_err(|_| NO_CHOICE.to_owned())
        }),
        tags: fields.contains("tags").then(|| {
            let words = errors.collect(fields.words("tags"));
            words.into_iter().map(str::to_owned).collect::<BTreeSet<String>>()
        }),
        mtu: optional(fields, &mut errors, "mtu", |text| {
            let bytes: u32 = text.parse().map_err(|_| "Enter a whole number.".to_owned())?;
            Mtu::new(bytes).map_err(|_| mtu_sentence(bytes))
        }),
        accept_ra: optional(fields, &mut errors, "accept_ra", |text| {
            crate::http::parse_flag(text).ok_or_else(|| "Expected true or false.".to_owned())
        }),
        enabled: errors.collect(fields.flag("enabled")),
        link_connected: errors.collect(fields.flag("link_connected")),
        interface_speed: errors.collect(fields.number("interface_speed")),
        link_speed: errors.collect(fields.number("link_speed")),
        numa_node: errors.collect(fields.number("numa_node")),
        parents: parents(fields, interfaces, &mut errors),
        bond: BondChange {
            mode: errors.collect(fields.parsed("bond_mode")),
            miimon: errors.collect(fields.number("bond_miimon")),
            downdelay: errors.collect(fields.number("bond_downdelay")),
            updelay: errors.collect(fields.number("bond_updelay")),
            num_grat_arp: errors.collect(fields.number("bond_num_grat_arp")),
            lacp_rate: errors.collect(fields.parsed("bond_lacp_rate")),
            xmit_hash_policy: errors.collect(fields.parsed("bond_xmit_hash_policy")),
        },
        bridge: BridgeChange {
            kind: errors.collect(fields.parsed("bridge_type")),
            stp: errors.collect(fields.flag("bridge_stp")),
            forward_delay: errors.collect(fields.number("bridge_fd")),
        },
    };
    errors.done()?;
    Ok(settings)
}

const NO_CHOICE: &str = "Select a valid choice. That choice is not one of the available choices.";

fn mtu_sentence(bytes: u32) -> String {
    if bytes < Mtu::MIN {
        format!("Ensure this value is greater than or equal to {}.", Mtu::MIN)
    } else {
        format!("Ensure this value is less than or equal to {}.", Mtu::MAX)
    }
}

/// Absent keeps, empty takes away, anything else is read.
fn optional<T>(
    fields: &Fields,
    errors: &mut FieldErrors,
    name: &'static str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<Option<T>> {
    let text = errors.collect(fields.text(name))?.trim();
    if text.is_empty() {
        return Some(None);
    }
    match read(text) {
        Ok(value) => Some(Some(value)),
        Err(message) => {
            errors.add(name, message);
            None
        }
    }
}

fn parents(fields: &Fields, interfaces: &Interfaces, errors: &mut FieldErrors) -> Option<Vec<u64>> {
    let mut words = errors.collect(fields.words("parents"));
    words.extend(errors.collect(fields.words("parent")));
    if words.is_empty() {
        return None;
    }
    let found = words.into_iter().map(|word| {
        interfaces.find(word).map(|interface| interface.id).ok_or_else(|| {
            let word: String = word.chars().take(32).collect();
            format!("'{word}' is no interface of this machine.")
        })
    });
    match found.collect::<Result<Vec<u64>, String>>() {
        Ok(ids) => Some(ids),
        Err(message) => {
            errors.add("parents", message);
            None
        }
    }
}

/// Reads a wanted link.
pub(super) fn link(fields: &Fields, networks: &Places) -> Result<NewLink, Problem> {
    let mut errors = FieldErrors::new();
    let mode = match errors.collect(fields.required("mode").map(Some)) {
        None => LinkMode::LinkUp,
        Some(text) => {
            text.parse().unwrap_or_else(|error: maas_core::machine::interface::InvalidLinkMode| {
                errors.add("mode", error.to_string());
                LinkMode::LinkUp
            })
        }
    };
    let subnet = subnet(fields, networks, &mut errors);
    let link = NewLink {
        mode,
        subnet,
        ip: errors.collect(fields.parsed("ip_address")),
        default_gateway: if errors.collect(fields.flag("default_gateway")).unwrap_or(false) {
            Chosen::Yes
        } else {
            Chosen::No
        },
        force: if errors.collect(fields.flag("force")).unwrap_or(false) {
            Force::Yes
        } else {
            Force::No
        },
    };
    errors.done()?;
    Ok(link)
}

/// Reads the subnet by any of its names.
pub(super) fn subnet(fields: &Fields, networks: &Places, errors: &mut FieldErrors) -> Option<u64> {
    let text = errors.collect(fields.filled("subnet"))?;
    let found = networks.subnet_named(text);
    if found.is_none() {
        errors.add("subnet", NO_CHOICE);
    }
    found
}
