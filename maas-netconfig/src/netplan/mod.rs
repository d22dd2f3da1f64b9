//! Netplan's YAML, version 2.

mod merge;
mod read;
mod schema;
mod write;

pub use read::{parse, parse_files};
pub use schema::Unknown;
pub use write::render;
