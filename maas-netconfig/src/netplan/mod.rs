//! Netplan's YAML, version 2.

mod write;

pub use write::render;
