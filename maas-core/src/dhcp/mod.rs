//! DHCP for network boot, as a value and as the configuration of a real DHCP server.
//!
//! A [`DhcpPlan`] says which subnets are served and which boot loaders are there;
//! [`DhcpPlan::check`] refuses one that no server should run with; [`dnsmasq`], [`isc`] and
//! [`kea`] write it down for a server of that name. What firmware is told by its architecture
//! stands in one table, [`BootMethod`].
//!
//! We write no DHCP server: these have thirty years of strange firmware behind them.
//!
//! ```
//! use maas_core::dhcp::{AddressRange, DhcpPlan, Subnet, dnsmasq};
//!
//! let mut subnet = Subnet::new("eth1", "10.0.0.0/24".parse()?, "10.0.0.1".parse()?);
//! subnet.ranges.push("10.0.0.100-10.0.0.200".parse()?);
//! let mut plan = DhcpPlan::new(vec![subnet]);
//! plan.loaders = ["undionly.kpxe".to_owned()].into();
//! plan.check()?;
//! let text = dnsmasq::render(&plan, "/var/lib/leases".as_ref())?;
//! assert!(text.contains("dhcp-boot=tag:s0,tag:pxe,tag:!ipxe,undionly.kpxe,,10.0.0.1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod boot;
mod check;
pub mod dnsmasq;
pub mod isc;
pub mod kea;
mod lease;
mod offer;
mod plan;

pub use boot::{BootFileName, BootMethod};
pub use check::PlanError;
pub use lease::{Lease, LeaseChange, lease_changes, parse_leases};
pub use offer::{Card, Connected, Offer, OfferDefaults, Unplaced, offers, place};
pub use plan::{AddressRange, DhcpPlan, Reach, Reservation, Subnet, SubnetRole, UnreadableRange};

#[cfg(test)]
mod tests;
