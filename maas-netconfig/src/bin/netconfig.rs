//! `netconfig`: translate, check and compare network configurations.
#![allow(clippy::print_stderr)]

use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::{Args, Parser, Subcommand, ValueEnum};
use maas_netconfig::esxi::{self, Nic, Nics};
use maas_netconfig::netplan::Unknown;
use maas_netconfig::yaml::{self, Value};
use maas_netconfig::{
    Dialect, Loss, Network, Problem, Refused, SourceRouting, TargetOs, Topology, diff, maas_exact,
    netplan, v1,
};

#[derive(Parser)]
#[command(name = "netconfig", version, about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Translate a configuration; what is lost goes to standard error, one line each.
    Render(Render),
    /// Say what an operating system would refuse or lose.
    Check(Check),
    /// Compare what two configurations mean; the exit status is 1 when they differ.
    Diff {
        /// The first file (`-` for standard input).
        a: PathBuf,
        /// The second file.
        b: PathBuf,
    },
}

#[derive(Args)]
struct Render {
    /// What FILE is.
    #[arg(long, value_enum)]
    from: From,
    /// What to make of it.
    #[arg(long, value_enum)]
    to: To,
    /// The spelling of v1.
    #[arg(long, default_value_t = Dialect::Maas)]
    dialect: Dialect,
    /// What MAAS itself would emit, its mistakes included (only from model).
    #[arg(long)]
    maas_exact: bool,
    /// The form of the output; yaml by default, argv for esxi.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// For esxi: a plan that works, or what packer-maas images run.
    #[arg(long, value_enum, default_value_t = Mode::Correct)]
    mode: Mode,
    /// For esxi: the host's cards as JSON, [["vmnic0","52:54:00:aa:00:01"],…].
    #[arg(long)]
    nics: Option<PathBuf>,
    /// Give every further gateway of a model its own routing table.
    #[arg(long)]
    source_routing: bool,
    /// Keep keys that netplan does not know instead of refusing them.
    #[arg(long)]
    lossless: bool,
    /// The configuration (`-` for standard input).
    file: PathBuf,
}

#[derive(Args)]
struct Check {
    /// The operating system, by MAAS's name.
    #[arg(long = "for")]
    target: TargetOs,
    /// What FILE is; found out from its content by default.
    #[arg(long, value_enum)]
    from: Option<From>,
    /// The configuration (`-` for standard input).
    file: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    Model,
    V1,
    Netplan,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    V1,
    Netplan,
    Esxi,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Yaml,
    Argv,
    Sh,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Correct,
    Compat,
}

/// Why there is no output.
enum Failure {
    /// The configuration is refused: exit status 1.
    Refused(Refused),
    /// The call or a file is not as it should be: exit status 2.
    Usage(String),
}

impl std::convert::From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

fn usage(message: impl ToString) -> Failure {
    Failure::Usage(message.to_string())
}

fn main() -> ExitCode {
    let done = match Cli::parse().action {
        Action::Render(options) => render(&options).map(|()| ExitCode::SUCCESS),
        Action::Check(options) => check(&options),
        Action::Diff { a, b } => compare(&a, &b),
    };
    match done {
        Ok(code) => code,
        Err(Failure::Refused(refused)) => {
            report(&refused.problems, &[]);
            ExitCode::from(1)
        }
        Err(Failure::Usage(message)) => {
            eprintln!("netconfig: {message}");
            ExitCode::from(2)
        }
    }
}

/// Writes to standard output; a reader that has gone away is no failure.
fn emit(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(usage(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// One line of standard output for each item.
fn lines<T: Display>(items: &[T]) -> Result<(), Failure> {
    let text: String = items.iter().map(|item| format!("{item}\n")).collect();
    emit(&text)
}

/// One line on standard error for each finding.
fn report(problems: &[Problem], losses: &[Loss]) {
    for problem in problems {
        eprintln!("{problem}");
    }
    for loss in losses {
        eprintln!("{loss}");
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    text.map_err(|error| usage(format!("{}: {error}", path.display())))
}

fn model(text: &str) -> Result<Network, Refused> {
    maas_netconfig::read_model(text)
}

fn topology(
    text: &str,
    from: From,
    routing: SourceRouting,
    unknown: Unknown,
) -> Result<(Topology, Vec<Problem>), Refused> {
    Ok(match from {
        From::Model => {
            let network = model(text)?;
            let topology = network.resolve(routing)?;
            (topology, network.validate())
        }
        From::V1 => {
            let parsed = v1::parse(text)?;
            (parsed.topology, parsed.warnings)
        }
        From::Netplan => {
            let parsed = netplan::parse(text, unknown)?;
            (parsed.topology, parsed.warnings)
        }
    })
}

/// What a text is, from its content.
fn guess(text: &str) -> From {
    let document = yaml::from_str::<Value>(text).unwrap_or_default();
    let network = document.get("network").unwrap_or(&document);
    match (network.get("version"), network.get("interfaces")) {
        (Some(Value::Int(2)), _) => From::Netplan,
        (None, Some(_)) => From::Model,
        _ => From::V1,
    }
}

fn render(options: &Render) -> Result<(), Failure> {
    let format = options.format.unwrap_or(match options.to {
        To::Esxi => Format::Argv,
        _ => Format::Yaml,
    });
    if options.to != To::Esxi {
        if matches!(format, Format::Argv | Format::Sh) {
            return Err(usage("--format argv and sh are for --to esxi"));
        }
        if options.mode == Mode::Compat || options.nics.is_some() {
            return Err(usage("--mode and --nics are for --to esxi"));
        }
    }
    if options.maas_exact && (options.from != From::Model || options.to == To::Esxi) {
        return Err(usage("--maas-exact is for --from model --to v1 or netplan"));
    }
    let text = read(&options.file)?;
    let routing = if options.source_routing { SourceRouting::On } else { SourceRouting::Off };
    if options.maas_exact {
        let network = model(&text)?;
        let document = match options.to {
            To::Netplan => maas_exact::v2(&network, routing),
            _ => maas_exact::v1(&network),
        };
        return write(&document?, format);
    }
    let unknown = if options.lossless { Unknown::Keep } else { Unknown::Refuse };
    let (topology, warnings) = topology(&text, options.from, routing, unknown)?;
    report(&warnings, &[]);
    match options.to {
        To::V1 | To::Netplan => {
            let rendered = match options.to {
                To::V1 => v1::render(&topology, options.dialect),
                _ => netplan::render(&topology),
            };
            report(&[], &rendered.losses);
            write(&rendered.document, format)
        }
        To::Esxi => {
            let nics = match &options.nics {
                Some(path) => Some(Nic::list_from_json(&read(path)?).map_err(usage)?),
                None => None,
            };
            match options.mode {
                Mode::Correct => correct(&topology, nics, format),
                Mode::Compat => compat(&text, options.from, &topology, nics, format),
            }
        }
    }
}

fn write(document: &impl serde::Serialize, format: Format) -> Result<(), Failure> {
    let text = match format {
        Format::Json => serde_json::to_string_pretty(document).map_err(usage)? + "\n",
        _ => yaml::to_string(document).map_err(usage)?,
    };
    emit(&text)
}

fn correct(topology: &Topology, nics: Option<Vec<Nic>>, format: Format) -> Result<(), Failure> {
    if nics.is_none() && format == Format::Argv {
        return Err(usage("--format argv needs --nics; --format sh finds the cards on the host"));
    }
    let plan = esxi::plan(topology, &nics.map_or(Nics::AtRunTime, Nics::Known))?;
    report(&plan.warnings, &plan.losses);
    match format {
        Format::Argv => lines(&plan.commands().unwrap_or_default()),
        Format::Sh => emit(&plan.shell()),
        Format::Yaml | Format::Json => write(&plan, format),
    }
}

fn compat(
    text: &str,
    from: From,
    topology: &Topology,
    nics: Option<Vec<Nic>>,
    format: Format,
) -> Result<(), Failure> {
    let Some(nics) = nics else {
        return Err(usage("--mode compat needs --nics"));
    };
    let document = match from {
        From::V1 => yaml::from_str::<Value>(text).map_err(usage)?,
        _ => {
            let rendered = v1::render(topology, Dialect::Esxi);
            report(&[], &rendered.losses);
            rendered.document
        }
    };
    let compat = esxi::compat(document.get("network").unwrap_or(&document), &nics)?;
    report(&compat.warnings, &[]);
    match format {
        Format::Argv => lines(&compat.commands),
        Format::Sh => {
            emit("#!/bin/sh\nset -e\n")?;
            lines(&compat.commands)
        }
        Format::Yaml | Format::Json => {
            let argv: Vec<Vec<&str>> =
                compat.commands.iter().map(|command| command.arguments().collect()).collect();
            write(&argv, format)
        }
    }
}

fn check(options: &Check) -> Result<ExitCode, Failure> {
    let text = read(&options.file)?;
    let from = options.from.unwrap_or_else(|| guess(&text));
    let (mut problems, losses) = match topology(&text, from, SourceRouting::Off, Unknown::Refuse) {
        Ok((topology, mut problems)) => {
            let (more, losses) = options.target.check(&topology);
            problems.extend(more);
            (problems, losses)
        }
        Err(refused) => (refused.problems, Vec::new()),
    };
    problems.sort_by_key(|problem| !problem.is_error());
    lines(&problems)?;
    lines(&losses)?;
    Ok(if problems.iter().any(Problem::is_error) { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn compare(a: &Path, b: &Path) -> Result<ExitCode, Failure> {
    let side = |path: &Path| -> Result<Topology, Failure> {
        let text = read(path)?;
        let (topology, warnings) =
            topology(&text, guess(&text), SourceRouting::Off, Unknown::Keep)?;
        report(&warnings, &[]);
        Ok(topology)
    };
    let differences = diff(&side(a)?, &side(b)?);
    lines(&differences)?;
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
