//! Commissioning: the scripts that the ephemeral OS runs and what they find.

pub mod builtin;
pub mod bundle;
mod json;
pub mod resources;
pub mod result;
pub mod script;

/// The largest output, in bytes, that a script may send; what is beyond is refused.
pub const OUTPUT_LIMIT: usize = 16 * 1024 * 1024;
