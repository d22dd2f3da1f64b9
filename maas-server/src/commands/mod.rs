//! The commands of the program, one file each.

mod apikey;
mod demo;
mod dhcp_config;
mod image;
mod oauth;
mod rack;
mod serve;
mod simulate;
mod user;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use tokio::runtime::Runtime;

use crate::cli::{Cli, Command};
use crate::with_causes;

/// Why a command ended; printed with all its causes.
type Failure = Box<dyn Error + Send + Sync>;

/// Runs one command to its end.
///
/// The exit code is 0 when it did what was asked and 1 otherwise; clap has already answered a
/// wrong command line with 2.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return report(&error),
    };
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Serve(args) => serve::run(args).await.map(|()| ExitCode::SUCCESS),
            Command::Simulate(args) => simulate::run(args).await.map(|()| ExitCode::SUCCESS),
            Command::User(args) => user::run(args).await.map(|()| ExitCode::SUCCESS),
            Command::Image(args) => image::run(args).await,
            Command::Apikey(args) => apikey::run(args).await.map(|()| ExitCode::SUCCESS),
            Command::Rack(args) => rack::run(args).await.map(|()| ExitCode::SUCCESS),
            Command::RackToken(args) => rack::token(args).await.map(|()| ExitCode::SUCCESS),
            Command::DhcpConfig(args) => dhcp_config::run(&args).map(|()| ExitCode::SUCCESS),
        }
    });
    match ended {
        Ok(code) => code,
        Err(error) => report(error.as_ref()),
    }
}

/// The threads that answer requests: one for every two processors. Images, the database and long
/// calculations have threads of their own, and a request that wakes no second thread costs half.
fn runtime() -> std::io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    // Who sets tokio's own variable knows better.
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        let processors = std::thread::available_parallelism()?;
        builder.worker_threads(processors.get().div_ceil(2));
    }
    builder.enable_all().build()
}

/// Prints an error with its causes on one line.
fn report(error: &dyn Error) -> ExitCode {
    // With standard error closed nobody is left to be told; the exit code still says it.
    writeln!(std::io::stderr().lock(), "maas-server: {}", with_causes(error)).ok();
    ExitCode::FAILURE
}

/// One line on standard output.
fn say(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
