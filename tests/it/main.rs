//! The whole system against real peers.

mod cloud_init;
