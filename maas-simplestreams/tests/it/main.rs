//! The HTTP back end against servers of all kinds, over real sockets.
#![cfg(all(feature = "http", feature = "openpgp"))]
#![allow(clippy::unwrap_used)]

mod attacks;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "cli")]
mod examples;
mod fuzz;
mod fuzz_targets;
mod http;
#[cfg(feature = "cli")]
mod kill;
#[cfg(feature = "cli")]
mod peer;
#[cfg(feature = "cli")]
mod recorded;
mod server;
