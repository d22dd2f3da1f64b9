//! Constraints on the networks of the machine that is allocated: `interfaces`, `subnets`, `vlans`,
//! `fabrics`, `fabric_classes`, `link_speed` and their opposites.

use std::collections::BTreeSet;
use std::net::IpAddr;

use maas_core::machine::Machine;
use maas_core::machine::interface::{Interface, Interfaces};
use serde_json::{Map, Value, json};

use crate::api::view::places::Places;
use crate::http::{Fields, Problem};

/// The parameters that are read here.
pub(super) const NAMES: [&str; 10] = [
    "interfaces",
    "subnets",
    "not_subnets",
    "vlans",
    "not_vlans",
    "fabrics",
    "not_fabrics",
    "fabric_classes",
    "not_fabric_classes",
    "link_speed",
];

/// The most labels and keys that one allocation may have.
const MOST: usize = 256;

/// What is asked of a machine's networks.
#[derive(Debug, Default)]
pub(super) struct NetworkConstraints {
    labels: Vec<(String, Vec<Key>)>,
    /// Some interface must meet each of these.
    all: Vec<Key>,
    /// Some interface must meet one of these.
    any: Vec<Vec<Key>>,
    /// No interface may meet any of these.
    none: Vec<Key>,
}

/// One property of one interface.
#[derive(Debug, Clone)]
struct Key {
    what: What,
    wanted: Wanted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
}

#[derive(Debug, Clone)]
enum What {
    Id(u64),
    Name(String),
    Hostname(String),
    Kind(String),
    Tag(String),
    Mode(String),
    Ip(IpAddr),
    /// A link in, or an address seen in, one of these subnets.
    Subnet(BTreeSet<u64>),
    /// Plugged into one of these VLANs.
    Vlan(BTreeSet<u64>),
    /// At least this fast, in Mbit/s.
    LinkSpeed(u32),
}

impl NetworkConstraints {
    pub(super) fn read(fields: &Fields, networks: &Places) -> Result<Self, Problem> {
        let mut constraints = Self::default();
        for text in fields.texts("interfaces")? {
            for label in text.split(';').map(str::trim).filter(|label| !label.is_empty()) {
                constraints.labels.push(label_of(label, networks)?);
            }
        }
        if constraints.labels.len() > MOST {
            return Err(Problem::field("interfaces", format!("At most {MOST} labels are taken.")));
        }
        for (name, wanted) in [("subnets", Wanted::Yes), ("not_subnets", Wanted::No)] {
            for word in words(fields, name)? {
                let what = subnets(word, wanted, networks).ok_or_else(|| unknown(name, word))?;
                constraints.add(what, wanted);
            }
        }
        for (name, wanted) in [("vlans", Wanted::Yes), ("not_vlans", Wanted::No)] {
            for word in words(fields, name)? {
                let what = vlans(word, wanted, networks).ok_or_else(|| unknown(name, word))?;
                constraints.add(what, wanted);
            }
        }
        type Find = fn(&str, &Places) -> Option<BTreeSet<u64>>;
        let finders: [(&str, &str, Find); 2] = [
            ("fabrics", "not_fabrics", in_fabric),
            ("fabric_classes", "not_fabric_classes", in_fabric_class),
        ];
        for (name, not_name, find) in finders {
            let mut any = Vec::new();
            for word in words(fields, name)? {
                let vlans = find(word, networks).ok_or_else(|| unknown(name, word))?;
                any.push(Key { what: What::Vlan(vlans), wanted: Wanted::Yes });
            }
            if !any.is_empty() {
                constraints.any.push(any);
            }
            for word in words(fields, not_name)? {
                let vlans = find(word, networks).unwrap_or_default();
                constraints.add(What::Vlan(vlans), Wanted::No);
            }
        }
        if let Some(speed) = fields.filled("link_speed")? {
            let speed = speed.trim().parse().map_err(|_| {
                Problem::field("link_speed", "Invalid link_speed: expected Mbit/s as a number.")
            })?;
            constraints.add(What::LinkSpeed(speed), Wanted::Yes);
        }
        Ok(constraints)
    }

    fn add(&mut self, what: What, wanted: Wanted) {
        let key = Key { what, wanted: Wanted::Yes };
        match wanted {
            Wanted::Yes => self.all.push(key),
            Wanted::No => self.none.push(key),
        }
    }

    pub(super) fn matches(&self, machine: &Machine, networks: &Places) -> bool {
        let it = &machine.interfaces;
        let some = |keys: &[Key]| {
            it.iter()
                .any(|interface| keys.iter().all(|key| key.holds(interface, machine, networks)))
        };
        self.labels.iter().all(|(_, keys)| some(keys))
            && self.all.iter().all(|key| some(std::slice::from_ref(key)))
            && self.any.iter().all(|any| any.iter().any(|key| some(std::slice::from_ref(key))))
            && !self.none.iter().any(|key| some(std::slice::from_ref(key)))
    }

    /// Which interfaces fulfil which label.
    pub(super) fn by_label(&self, machine: &Machine, networks: &Places) -> Map<String, Value> {
        self.labels
            .iter()
            .map(|(label, keys)| {
                let ids: Vec<u64> = machine
                    .interfaces
                    .iter()
                    .filter(|it| keys.iter().all(|key| key.holds(it, machine, networks)))
                    .map(|it| it.id)
                    .collect();
                (label.clone(), json!(ids))
            })
            .collect()
    }
}

impl Key {
    fn holds(&self, interface: &Interface, machine: &Machine, networks: &Places) -> bool {
        let met = self.what.met(interface, machine, networks);
        met == (self.wanted == Wanted::Yes)
    }
}

impl What {
    fn met(&self, interface: &Interface, machine: &Machine, networks: &Places) -> bool {
        match self {
            Self::Id(id) => interface.id == *id,
            Self::Name(name) => interface.name.as_str() == name,
            Self::Hostname(name) => {
                name.split('.').next().is_some_and(|n| n.eq_ignore_ascii_case(&machine.hostname))
            }
            Self::Kind(word) => interface.kind.word() == word,
            Self::Tag(tag) => interface.tags.contains(tag),
            Self::Mode(mode) if mode == "unconfigured" => !interface.is_configured(),
            Self::Mode(mode) => interface.links.iter().any(|link| link.mode.word() == mode),
            Self::Ip(ip) => {
                interface.links.iter().any(|link| link.ip == Some(*ip))
                    || seen(interface, machine).any(|address| address == *ip)
            }
            Self::Subnet(subnets) => {
                interface
                    .links
                    .iter()
                    .filter_map(|link| link.subnet)
                    .any(|id| subnets.contains(&id))
                    || seen(interface, machine)
                        .filter_map(|ip| networks.facts.subnet_of(ip))
                        .any(|(id, _)| subnets.contains(&id))
            }
            Self::Vlan(vlans) => interface.vlan.is_some_and(|id| vlans.contains(&id)),
            Self::LinkSpeed(speed) => speed_of(interface, &machine.interfaces) >= *speed,
        }
    }
}

/// A bond is as fast as its slowest card promises at least.
fn speed_of(interface: &Interface, interfaces: &Interfaces) -> u32 {
    if interface.card.link_speed > 0 {
        return interface.card.link_speed;
    }
    let below = interface.kind.parents().iter().filter_map(|id| interfaces.by_id(*id));
    below.map(|parent| parent.card.link_speed).min().unwrap_or(0)
}

/// The addresses that commissioning saw on a card.
fn seen<'a>(interface: &Interface, machine: &'a Machine) -> impl Iterator<Item = IpAddr> + 'a {
    let mac = interface.mac.filter(|_| interface.is_physical()).map(|mac| mac.to_string());
    let found = machine.hardware.interfaces.iter();
    found
        .filter(move |found| mac.is_some() && found.mac_address == mac)
        .flat_map(|found| found.addresses.iter().map(|address| address.address))
}

fn words<'a>(fields: &'a Fields, name: &str) -> Result<Vec<&'a str>, Problem> {
    let words = fields.words(name)?;
    if words.len() > MOST {
        return Err(Problem::field(name, format!("At most {MOST} values are taken.")));
    }
    Ok(words)
}

fn unknown(name: &str, word: &str) -> Problem {
    let word: String = word.chars().take(80).collect();
    Problem::field(name, format!("'{word}' is not known here."))
}

/// `label:key=value[,key=value…]`
fn label_of(text: &str, networks: &Places) -> Result<(String, Vec<Key>), Problem> {
    let malformed = || {
        let text: String = text.chars().take(80).collect();
        Problem::field(
            "interfaces",
            format!("Malformed interface constraint, \"{text}\": expected LABEL:KEY=VALUE,…"),
        )
    };
    let (label, keys) = text.split_once(':').ok_or_else(malformed)?;
    if label.trim().is_empty() || keys.trim().is_empty() {
        return Err(malformed());
    }
    let mut read = Vec::new();
    for key in keys.split(',').map(str::trim) {
        let (name, value) = key.split_once('=').ok_or_else(malformed)?;
        let (name, value) = (name.trim(), value.trim());
        let (name, wanted) = match name.strip_prefix("not_") {
            Some(name) => (name, Wanted::No),
            None => (name, Wanted::Yes),
        };
        let what = what(name, value, wanted, networks).ok_or_else(|| unknown("interfaces", key))?;
        read.push(Key { what, wanted });
    }
    if read.len() > MOST {
        return Err(malformed());
    }
    Ok((label.trim().to_owned(), read))
}

/// `None` for a key that does not exist and for a value that names nothing.
fn what(key: &str, value: &str, wanted: Wanted, networks: &Places) -> Option<What> {
    let text = || value.to_owned();
    Some(match key {
        "id" => What::Id(value.parse().ok()?),
        "name" => What::Name(text()),
        "hostname" => What::Hostname(text()),
        "type" => What::Kind(value.to_ascii_lowercase()),
        "tag" => What::Tag(text()),
        "mode" => {
            let mode = value.to_ascii_lowercase();
            if mode != "unconfigured" {
                mode.parse::<maas_core::machine::interface::LinkMode>().ok()?;
            }
            What::Mode(mode)
        }
        "ip" => What::Ip(value.parse().ok()?),
        "subnet" | "subnet_cidr" => subnets(value, wanted, networks)?,
        "fabric" => What::Vlan(or_none(in_fabric(value, networks), wanted)?),
        "fabric_class" => What::Vlan(or_none(in_fabric_class(value, networks), wanted)?),
        "space" => What::Vlan(or_none(in_space(value, networks), wanted)?),
        "vlan" => vlans(value, wanted, networks)?,
        "vid" => What::Vlan(or_none(with_vid(value, networks), wanted)?),
        "link_speed" => What::LinkSpeed(value.parse().ok()?),
        _ => return None,
    })
}

/// What does not exist is easily avoided.
fn or_none(found: Option<BTreeSet<u64>>, wanted: Wanted) -> Option<BTreeSet<u64>> {
    match wanted {
        Wanted::Yes => found,
        Wanted::No => Some(found.unwrap_or_default()),
    }
}

/// A subnet by number, CIDR or name, or by `fabric:`, `ip:`, `name:`, `space:`, `vid:`, `vlan:`.
fn subnets(text: &str, wanted: Wanted, networks: &Places) -> Option<What> {
    if let Some((key, value)) = text.split_once(':')
        && !text.contains('/')
    {
        let vlans = match key.trim() {
            "fabric" => in_fabric(value, networks),
            "fabric_class" => in_fabric_class(value, networks),
            "space" => in_space(value, networks),
            "vid" => with_vid(value, networks),
            "vlan" => in_vlan(value, networks),
            "ip" => {
                let subnet = value.parse().ok().and_then(|ip| networks.facts.subnet_of(ip));
                let found = subnet.map(|(id, _)| BTreeSet::from([id]));
                return Some(What::Subnet(or_none(found, wanted)?));
            }
            "name" | "subnet" | "cidr" => {
                let found = networks.subnet_named(value).map(|id| BTreeSet::from([id]));
                return Some(What::Subnet(or_none(found, wanted)?));
            }
            _ => return None,
        };
        return Some(What::Vlan(or_none(vlans, wanted)?));
    }
    let text = text.strip_prefix("cidr:").unwrap_or(text);
    let found = networks.subnet_named(text).map(|id| BTreeSet::from([id]));
    Some(What::Subnet(or_none(found, wanted)?))
}

/// A VLAN by number or name, or by `fabric:`, `space:`, `vid:`, `name:`.
fn vlans(text: &str, wanted: Wanted, networks: &Places) -> Option<What> {
    let found = match text.split_once(':') {
        Some(("fabric", value)) => in_fabric(value, networks),
        Some(("space", value)) => in_space(value, networks),
        Some(("vid", value)) => with_vid(value, networks),
        Some(("name" | "vlan" | "id", value)) => in_vlan(value, networks),
        Some(_) => return None,
        None => in_vlan(text, networks),
    };
    Some(What::Vlan(or_none(found, wanted)?))
}

fn in_vlan(text: &str, networks: &Places) -> Option<BTreeSet<u64>> {
    let vlans = networks.networks.vlans();
    if let Ok(id) = text.trim().parse::<u64>()
        && vlans.get(id).is_some()
    {
        return Some([id].into());
    }
    let named: BTreeSet<u64> =
        vlans.iter().filter(|(_, vlan)| vlan.name == text.trim()).map(|(id, _)| id).collect();
    (!named.is_empty()).then_some(named)
}

fn with_vid(text: &str, networks: &Places) -> Option<BTreeSet<u64>> {
    let vid: u16 = text.trim().parse().ok()?;
    let vlans = networks.networks.vlans().iter();
    Some(vlans.filter(|(_, vlan)| vlan.vid.number() == vid).map(|(id, _)| id).collect())
}

fn in_fabric(text: &str, networks: &Places) -> Option<BTreeSet<u64>> {
    let fabric = networks.networks.fabric_named(text.trim())?;
    Some(networks.networks.vlans_of(fabric).map(|(id, _)| id).collect())
}

fn in_fabric_class(text: &str, networks: &Places) -> Option<BTreeSet<u64>> {
    let fabrics = networks.networks.fabrics();
    let of_class: BTreeSet<u64> = fabrics
        .iter()
        .filter(|(_, fabric)| fabric.class_type.as_deref() == Some(text.trim()))
        .map(|(id, _)| id)
        .collect();
    let vlans = networks.networks.vlans().iter();
    Some(vlans.filter(|(_, vlan)| of_class.contains(&vlan.fabric_id)).map(|(id, _)| id).collect())
}

fn in_space(text: &str, networks: &Places) -> Option<BTreeSet<u64>> {
    let space = networks.networks.space_named(text.trim())?;
    let vlans = networks.networks.vlans().iter();
    Some(vlans.filter(|(_, vlan)| vlan.space_id == space).map(|(id, _)| id).collect())
}
