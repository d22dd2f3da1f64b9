//! `sstream`: verify, query, mirror and publish simplestreams from the command line.

mod args;
mod carry;
mod mirror;
mod open;
mod progress;
mod publish;
mod query;
mod serve;
mod verify;

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;

use args::{Arguments, Command};
use maas_simplestreams::report::chain;

/// The arguments make no sense: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Prints a line on the standard output; unlike `println!` without a panic when nobody reads it.
macro_rules! say {
    ($($text:tt)*) => {
        std::io::Write::write_fmt(
            &mut std::io::stdout(),
            format_args!("{}\n", format_args!($($text)*)),
        )?
    };
}
pub(crate) use say;

/// What a command ends with: done, or done and something is wrong.
type Answer = Result<ExitCode, Box<dyn std::error::Error>>;

/// Most threads for work that blocks; each costs memory.
const BLOCKING_THREADS: usize = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A mirror writes and hashes what it receives on the thread that receives it.
    let mut runtime = match arguments.command {
        Command::Mirror(_) | Command::Repair(_) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    match runtime.enable_all().max_blocking_threads(BLOCKING_THREADS).build() {
        Ok(runtime) => {
            let code = runtime.block_on(run(arguments));
            // A name that is still being looked up is not waited for.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("sstream: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> ExitCode {
    let answer = match arguments.command {
        Command::Verify(arguments) => verify::run(arguments).await,
        Command::Query(arguments) => query::run(arguments).await,
        Command::Mirror(arguments) => mirror::run(arguments).await,
        Command::Check(arguments) => mirror::check(arguments).await,
        Command::Repair(arguments) => mirror::repair(arguments).await,
        Command::Build(arguments) => publish::build(arguments),
        Command::Sign(arguments) => publish::sign(arguments),
        Command::Keygen(arguments) => publish::keygen(arguments),
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Contents(arguments) => carry::contents(arguments).await,
        Command::Export(arguments) => carry::export(arguments).await,
        Command::Import(arguments) => carry::import(arguments).await,
        Command::Completions { shell } => args::completions(shell),
        Command::Man(arguments) => args::manual(arguments),
    };
    answer.unwrap_or_else(|error| {
        // Whoever reads the output has seen enough.
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        eprintln!("sstream: {}", chain(&*error));
        if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
    })
}
