//! Commissioning: the scripts that the ephemeral OS runs and what they find.

pub mod result;
