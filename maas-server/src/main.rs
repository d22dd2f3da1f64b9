//! The `maas-server` program: reads the command line, runs one command, reports how it ended.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use maas_server::cli::Cli;

fn main() -> ExitCode {
    maas_server::commands::run(Cli::parse())
}
