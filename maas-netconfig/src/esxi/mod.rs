//! ESXi: from a topology to a plan of vSwitches, and from the plan to `esxcli` commands.
//!
//! The plan is computed and checked completely before anything could touch a host. It carries
//! exactly what ESXi's standard switches can do of a MAAS network: DHCP, static and auto
//! addresses, aliases, VLANs and bonds. Everything else is refused with the reason, because a
//! host without network cannot report that it failed.
//!
//! Bonds become NIC teaming:
//!
//! | bond mode | load balancing | the physical switch |
//! |---|---|---|
//! | `balance-rr` | `portid` | needs nothing |
//! | `active-backup` | `explicit`, the primary first | needs nothing |
//! | `802.3ad` | `iphash`; LACP rate and transmit hash are ignored | needs a **static** EtherChannel: standard switches do not speak LACP |
//!
//! ```
//! use maas_netconfig::{esxi, v1};
//!
//! let parsed = v1::parse("
//! version: 1
//! config:
//! - {type: physical, name: eno1, mac_address: '52:54:00:aa:00:01', subnets: [{type: dhcp4}]}
//! ")?;
//! let nics = esxi::Nic::list_from_json(r#"[["vmnic0", "52:54:00:AA:00:01"]]"#)?;
//! let plan = esxi::plan(&parsed.topology, &esxi::Nics::Known(nics))?;
//! assert_eq!(plan.switches[0].port_groups[0].name, "eno1");
//! assert!(plan.shell().contains("network ip interface ipv4 set"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod command;
mod compat;
mod make;
mod nic;
mod plan;
mod shell;

pub use command::Command;
pub use compat::{Compat, compat};
pub use make::plan;
pub use nic::{Nic, Nics};
pub use plan::{Ipv4, Plan, PortGroup, StaticRoute, Switch, Teaming, Uplink, VmKernel};
