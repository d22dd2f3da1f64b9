//! How clients name a subnet: by number, CIDR, name, or what it belongs to.

use std::net::IpAddr;

use ipnet::IpNet;

use super::model::{Networks, Subnet};

/// A constraint on subnets, as in the API's `subnet` and `subnets` parameters (`api.md` §2.6):
/// a bare number, a bare CIDR or name, or `KEY:VALUE` with `id`, `cidr`, `name`, `ip`, `space`,
/// `vid`, `vlan` or `fabric`. Several joined by commas must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetSpecifier {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Id(u64),
    Cidr(IpNet),
    Name(String),
    Ip(IpAddr),
    Space(String),
    Vid(u16),
    Vlan(String),
    Fabric(String),
}

impl SubnetSpecifier {
    /// Reads one; `None` when its value cannot be what its key says.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let terms = text.split(',').map(|term| Term::parse(term.trim())).collect::<Option<_>>()?;
        Some(Self { terms })
    }

    /// Whether the subnet with this number is meant.
    #[must_use]
    pub fn matches(&self, networks: &Networks, id: u64, subnet: &Subnet) -> bool {
        self.terms.iter().all(|term| term.matches(networks, id, subnet))
    }

    /// The subnets that are meant.
    pub fn find<'a>(&'a self, networks: &'a Networks) -> impl Iterator<Item = u64> + 'a {
        networks
            .subnets()
            .iter()
            .filter(|(id, subnet)| self.matches(networks, *id, subnet))
            .map(|(id, _)| id)
    }
}

impl Term {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        if let Ok(id) = text.parse() {
            return Some(Self::Id(id));
        }
        // An IPv6 network has colons as well.
        if let Ok(cidr) = text.parse::<IpNet>() {
            return Some(Self::Cidr(cidr.trunc()));
        }
        let Some((key, value)) = text.split_once(':') else {
            return Some(Self::Name(text.to_owned()));
        };
        let value = value.trim();
        match key.trim() {
            "id" | "subnet" => value.parse().ok().map(Self::Id),
            "cidr" | "subnet_cidr" => {
                value.parse::<IpNet>().ok().map(|cidr| Self::Cidr(cidr.trunc()))
            }
            "name" => Some(Self::Name(value.to_owned())),
            "ip" => value.parse().ok().map(Self::Ip),
            "space" => Some(Self::Space(value.to_owned())),
            "vid" if value.eq_ignore_ascii_case("untagged") => Some(Self::Vid(0)),
            "vid" => value.parse().ok().map(Self::Vid),
            "vlan" => Some(Self::Vlan(value.to_owned())),
            "fabric" => Some(Self::Fabric(value.to_owned())),
            _ => None,
        }
    }

    fn matches(&self, networks: &Networks, id: u64, subnet: &Subnet) -> bool {
        let vlan = networks.vlans().get(subnet.vlan_id);
        match self {
            Self::Id(wanted) => *wanted == id,
            Self::Cidr(wanted) => *wanted == subnet.cidr,
            Self::Name(wanted) => *wanted == subnet.name,
            Self::Ip(wanted) => subnet.cidr.contains(wanted),
            Self::Space(wanted) => networks
                .space_named(wanted)
                .is_some_and(|space| vlan.is_some_and(|vlan| vlan.space_id == space)),
            Self::Vid(wanted) => vlan.is_some_and(|vlan| vlan.vid.number() == *wanted),
            Self::Vlan(wanted) => {
                *wanted == subnet.vlan_id.to_string()
                    || vlan.is_some_and(|vlan| vlan.name == *wanted)
            }
            Self::Fabric(wanted) => vlan.is_some_and(|vlan| {
                networks.fabric_named(wanted).is_some_and(|fabric| fabric == vlan.fabric_id)
            }),
        }
    }
}
