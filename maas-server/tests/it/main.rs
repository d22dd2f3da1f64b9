//! Integration tests of the program and of the library, over real sockets: what must hold whatever
//! machines, clients and power cuts do.

#![allow(clippy::unwrap_used)]

mod allocation;
mod bad_input;
mod faults;
mod kills;
mod program;
mod rack;
mod support;
mod wire;
