//! The targets, which the tests of the crate share.

#[path = "../../tests/it/fuzz_targets.rs"]
pub mod targets;
