//! A deployment, decided as a whole before anything is powered.

mod apt;
mod digest;
mod endpoints;

pub use apt::{AptSettings, Repository};
pub(crate) use digest::{hex, sha256_hex};
pub use endpoints::Endpoints;
