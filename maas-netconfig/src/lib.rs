//! One typed network model for bare-metal deployments, and everything it is translated to.
//!
//! A [`Network`] says what is wanted, in MAAS's words. [`Network::validate`] finds everything that
//! is wrong with it; [`Network::resolve`] turns it into a [`Topology`], which says what every
//! device carries. Every renderer takes a topology, every reader yields one, and every renderer
//! reports what its format cannot carry: nothing is lost in silence.
//!
//! ```
//! use maas_netconfig::{Dialect, IfName, Interface, Link, Network, SourceRouting, Subnet, netplan, v1};
//!
//! let network = Network {
//!     interfaces: vec![
//!         Interface::physical("eno1".parse()?, "52:54:00:aa:00:01".parse()?).with_link(Link::DHCP),
//!         Interface::physical("eno2".parse()?, "52:54:00:aa:00:02".parse()?).with_link(
//!             Link::Static { subnet: "lab".into(), ip: "10.20.0.11".parse()? },
//!         ),
//!     ],
//!     subnets: [(
//!         "lab".into(),
//!         Subnet { gateway: Some("10.20.0.1".parse()?), ..Subnet::new("10.20.0.0/22".parse()?) },
//!     )]
//!     .into(),
//!     ..Network::default()
//! };
//! let topology = network.resolve(SourceRouting::Off)?;
//! let rendered = netplan::render(&topology);
//! assert!(rendered.losses.is_empty());
//! assert!(rendered.to_yaml().contains("via: 10.20.0.1"));
//! let curtin = v1::render(&topology, Dialect::Maas);
//! assert!(curtin.to_yaml().contains("gateway: 10.20.0.1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crate is pure: it does no I/O, reads no clock and spawns nothing.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod esxi;
#[cfg(doc)]
#[doc = include_str!("../docs/esxi.md")]
pub mod guide {}
pub mod maas_exact;
pub mod model;
pub mod netplan;
#[cfg(feature = "test-support")]
pub mod testing;
pub mod topology;
pub mod v1;
pub mod yaml;

mod check;
mod diff;
mod error;
mod gateway;
mod loss;
mod mac;
mod mtu;
mod name;
mod params;
mod read;
mod resolve;
#[cfg(test)]
mod sample;
mod target;
mod vid;

pub use diff::{Difference, diff};
pub use error::{Code, Invalid, Position, Problem, Refused, Severity};
pub use gateway::{Gateway, default_gateway};
pub use loss::{Effect, Loss, Rendered};
pub use mac::Mac;
pub use model::{Dns, Interface, Kind, Link, Network, StaticRoute, Subnet, SubnetId};
pub use mtu::Mtu;
pub use name::IfName;
pub use read::{Parsed, read_model};
pub use resolve::SourceRouting;
pub use target::TargetOs;
pub use topology::{Device, Topology};
pub use v1::Dialect;
pub use vid::Vid;
