//! The version 1 network configuration of cloud-init and curtin, in its four dialects.

mod dialect;
mod read;
mod write;

pub use dialect::Dialect;
pub use read::parse;
pub use write::render;
