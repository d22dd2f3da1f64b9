//! The whole system against real peers.

#![allow(clippy::unwrap_used)]

mod api;
mod clients;
mod cloud_init;
mod peers;
mod region;
