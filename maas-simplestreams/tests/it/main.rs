//! The HTTP back end against servers of all kinds, over real sockets.
#![cfg(all(feature = "http", feature = "openpgp"))]
#![allow(clippy::unwrap_used)]

mod http;
mod server;
