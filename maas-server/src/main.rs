//! The `maas-server` program: reads the command line, runs one command, reports how it ended.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use maas_server::cli::Cli;

/// A third less time than the system's in what allocates much: machines as JSON, requests.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    maas_server::commands::run(Cli::parse())
}
