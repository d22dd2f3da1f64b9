//! The pure core of bare-metal deployment.
//!
//! Facts come in as values, decisions and documents go out as values: nothing here performs
//! I/O, reads a clock, draws random numbers or spawns anything. Embedders bring those.

#![forbid(unsafe_code)]

pub mod boot;
pub mod cloud_init;
pub mod commission;
pub mod curtin;
pub mod deploy;
pub mod dhcp;
pub mod explain;
pub mod id;
pub mod image;
#[cfg(feature = "image-pack")]
pub mod image_pack;
pub mod ipam;
pub mod machine;
pub mod runner;
pub mod secret;
pub mod shared;
pub mod storage;
pub mod template;
pub mod tftp;
pub mod time;
