//! IP address management: fabrics, VLANs, spaces, subnets, ranges, routes and DNS as one value,
//! with the rules by which it changes and the choice of free addresses.
//!
//! [`Networks`] is the whole: it is loaded, edited by its own methods and stored again, so that a
//! rule about several objects (one VLAN tag a fabric, no overlap of ranges) holds at every moment.
//! Which addresses are given out is kept apart, one record for each: see [`Lease`].

mod dns;
mod fabric;
mod learn;
mod lease;
mod model;
mod occupancy;
mod refusal;
mod reservation;
mod span;
mod specifier;
mod subnet;
mod table;
#[cfg(test)]
mod tests;

pub use dns::MAX_TTL;
pub use learn::Learned;
pub use lease::{AllocType, Holder, Lease};
pub use model::{
    Dns, DnsRecord, DnsResource, Domain, Fabric, IpRange, Networks, RangeKind, RdnsMode,
    RecordType, ReservedIp, Space, StaticRoute, Subnet, Vlan,
};
pub use occupancy::{Piece, Purpose, Statistics};
pub use refusal::Refusal;
pub use span::Span;
pub use specifier::SubnetSpecifier;
pub use table::Table;

/// The number of the fabric that is there from the start, as in MAAS.
pub const DEFAULT_FABRIC: u64 = 0;

/// The number of the untagged VLAN that is there from the start, as in MAAS.
pub const DEFAULT_VLAN: u64 = 5001;

/// The number of the domain that is there from the start, as in MAAS.
pub const FIRST_DOMAIN: u64 = 0;

/// The name of the space of everything that is in no space, as in MAAS.
pub const NO_SPACE: &str = "undefined";
