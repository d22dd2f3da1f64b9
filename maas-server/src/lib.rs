//! Placeholder.

pub mod entropy;
pub mod store;
