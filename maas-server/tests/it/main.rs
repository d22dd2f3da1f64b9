//! Integration tests of the program and of the library, over real sockets: what must hold whatever
//! machines, clients and power cuts do.

#![allow(clippy::unwrap_used)]

mod allocation;
mod bad_input;
mod browser;
mod faults;
mod fuzz;
mod fuzz_targets;
mod golden;
mod images;
mod interfaces;
mod kills;
mod program;
mod rack;
mod storage;
mod support;
mod wire;
