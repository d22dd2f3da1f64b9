//! The objects, as the API names them (MAAS API 2.0).

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use maas_netconfig::{Mac, Mtu, Vid};
use serde::{Deserialize, Serialize};

use super::{DEFAULT_FABRIC, DEFAULT_VLAN, FIRST_DOMAIN, Table};

/// Everything that is known of the networks that machines are plugged into.
///
/// `Default` is what MAAS starts with: `fabric-0` with an untagged VLAN, the domain `maas`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Networks {
    pub(super) fabrics: Table<Fabric>,
    pub(super) vlans: Table<Vlan>,
    pub(super) spaces: Table<Space>,
    pub(super) subnets: Table<Subnet>,
    pub(super) ip_ranges: Table<IpRange>,
    pub(super) reserved_ips: Table<ReservedIp>,
    pub(super) static_routes: Table<StaticRoute>,
    pub(super) dns: Dns,
}

/// Domains and what is published in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    pub(super) domains: Table<Domain>,
    pub(super) default_domain: u64,
    pub(super) resources: Table<DnsResource>,
    pub(super) records: Table<DnsRecord>,
}

impl Default for Networks {
    fn default() -> Self {
        let mut fabrics = Table::from(DEFAULT_FABRIC);
        fabrics.push(Fabric::new("fabric-0"));
        let mut vlans = Table::from(DEFAULT_VLAN);
        vlans.push(Vlan::untagged(DEFAULT_FABRIC));
        let mut domains = Table::from(FIRST_DOMAIN);
        domains.push(Domain { name: "maas".to_owned(), ttl: None, authoritative: true });
        Self {
            fabrics,
            vlans,
            spaces: Table::from(1),
            subnets: Table::from(1),
            ip_ranges: Table::from(1),
            reserved_ips: Table::from(1),
            static_routes: Table::from(1),
            dns: Dns {
                domains,
                default_domain: FIRST_DOMAIN,
                resources: Table::from(1),
                records: Table::from(1),
            },
        }
    }
}

/// A set of switches whose VLANs have the same meaning at every port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fabric {
    /// Unique; empty in an addition for `fabric-<id>`.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The operator's own word for the kind of fabric, e.g. `10g`.
    pub class_type: Option<String>,
}

impl Fabric {
    /// One with this name and nothing else.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), description: String::new(), class_type: None }
    }
}

/// A layer 2 network in a fabric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vlan {
    /// The fabric.
    pub fabric_id: u64,
    /// The tag, unique in the fabric; 0 for untagged.
    pub vid: Vid,
    /// Empty in an addition for the tag.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Bytes.
    pub mtu: Mtu,
    /// Whether this server gives out addresses here.
    pub dhcp_on: bool,
    /// The system id of the rack controller that does.
    pub primary_rack: Option<String>,
    /// The one that does when the first cannot.
    pub secondary_rack: Option<String>,
    /// The VLAN that DHCP requests are relayed to.
    pub relay_vlan: Option<u64>,
    /// The space.
    pub space_id: Option<u64>,
}

impl Vlan {
    /// A VLAN with this tag in a fabric.
    #[must_use]
    pub const fn new(fabric_id: u64, vid: Vid) -> Self {
        Self {
            fabric_id,
            vid,
            name: String::new(),
            description: String::new(),
            mtu: Mtu::ETHERNET,
            dhcp_on: false,
            primary_rack: None,
            secondary_rack: None,
            relay_vlan: None,
            space_id: None,
        }
    }

    /// The VLAN that a fabric starts with.
    #[must_use]
    pub(super) fn untagged(fabric_id: u64) -> Self {
        Self { name: "untagged".to_owned(), ..Self::new(fabric_id, Vid::UNTAGGED) }
    }
}

/// VLANs that may route to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// Unique; empty in an addition for `space-<id>`.
    pub name: String,
    /// Free text.
    pub description: String,
}

/// A layer 3 network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Its addresses; unique.
    pub cidr: IpNet,
    /// Empty in an addition for the CIDR.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The VLAN that carries it.
    pub vlan_id: u64,
    /// The router to everywhere else.
    pub gateway_ip: Option<IpAddr>,
    /// Resolvers for its machines.
    pub dns_servers: Vec<IpAddr>,
    /// How reverse DNS is done.
    pub rdns_mode: RdnsMode,
    /// Whether it is scanned for hosts.
    pub active_discovery: bool,
    /// Whether its machines may use this server's resolver.
    pub allow_dns: bool,
    /// Whether its machines may use this server's proxy.
    pub allow_proxy: bool,
    /// Whether addresses are given from all of it (`true`) or from its reserved ranges only.
    pub managed: bool,
    /// Boot architectures that get no answer here, e.g. `uefi_amd64_http`.
    pub disabled_boot_architectures: Vec<String>,
}

impl Subnet {
    /// A subnet as the API makes it when only this is given. Host bits are cleared.
    #[must_use]
    pub fn new(cidr: IpNet, vlan_id: u64) -> Self {
        Self {
            cidr: cidr.trunc(),
            name: String::new(),
            description: String::new(),
            vlan_id,
            gateway_ip: None,
            dns_servers: Vec::new(),
            rdns_mode: RdnsMode::Rfc2317,
            active_discovery: false,
            allow_dns: true,
            allow_proxy: true,
            managed: true,
            disabled_boot_architectures: Vec::new(),
        }
    }
}

/// How reverse DNS of a subnet is done; the API's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RdnsMode {
    /// Not at all.
    Disabled = 0,
    /// A zone of its own.
    Enabled = 1,
    /// As well for networks smaller than an octet (RFC 2317).
    #[default]
    Rfc2317 = 2,
}

impl RdnsMode {
    /// The mode with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Disabled),
            1 => Some(Self::Enabled),
            2 => Some(Self::Rfc2317),
            _ => None,
        }
    }
}

/// What a range of addresses is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeKind {
    /// DHCP.
    Dynamic,
    /// Something that this server does not know of; in an unmanaged subnet, its machines.
    Reserved,
}

impl RangeKind {
    /// The API's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Reserved => "reserved",
        }
    }
}

/// A range of a subnet that is kept for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpRange {
    /// The subnet.
    pub subnet_id: u64,
    /// For what.
    pub kind: RangeKind,
    /// The first address.
    pub start_ip: IpAddr,
    /// The last address.
    pub end_ip: IpAddr,
    /// Free text.
    pub comment: String,
    /// Who made it, and may change it without being an administrator.
    pub user: Option<String>,
}

/// An address that DHCP always gives to one MAC address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservedIp {
    /// The subnet.
    pub subnet_id: u64,
    /// The address; unique.
    pub ip: IpAddr,
    /// Whose; unique in the subnet.
    pub mac_address: Option<Mac>,
    /// Free text.
    pub comment: String,
}

/// A route that every machine in the source subnet gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticRoute {
    /// The subnet whose machines get it.
    pub source: u64,
    /// The subnet that it leads to.
    pub destination: u64,
    /// A router in the source subnet.
    pub gateway_ip: IpAddr,
    /// The lower, the better.
    pub metric: u32,
}

/// A DNS domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Unique, without a dot at the end.
    pub name: String,
    /// Seconds; the server's own value when absent.
    pub ttl: Option<u32>,
    /// Whether this server answers for it.
    pub authoritative: bool,
}

/// A name in a domain with addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsResource {
    /// The domain.
    pub domain_id: u64,
    /// The name in the domain; `@` for the domain itself. Unique in the domain.
    pub name: String,
    /// Seconds; the domain's when absent.
    pub address_ttl: Option<u32>,
    /// Its A and AAAA records.
    pub ip_addresses: BTreeSet<IpAddr>,
}

/// Another record of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecord {
    /// The name that it belongs to.
    pub resource_id: u64,
    /// Seconds; the domain's when absent.
    pub ttl: Option<u32>,
    /// Its type.
    pub rrtype: RecordType,
    /// Its data as in a zone file.
    pub rrdata: String,
}

/// Types of DNS records besides addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names are DNS's own")]
pub enum RecordType {
    Cname,
    Mx,
    Ns,
    Srv,
    Sshfp,
    Txt,
}

impl RecordType {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Cname, Self::Mx, Self::Ns, Self::Srv, Self::Sshfp, Self::Txt];

    /// As in a zone file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Ns => "NS",
            Self::Srv => "SRV",
            Self::Sshfp => "SSHFP",
            Self::Txt => "TXT",
        }
    }

    /// The type with this name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }
}
