//! curtin: reads the packed configuration, installs on paper, and reports as the real one does.

mod installer;
mod report;
mod source;
mod storage;
mod target;
mod wget;

#[cfg(test)]
pub(crate) use self::installer::tests::pack;

use serde_json::Value;

use self::installer::Installer;
use self::report::{Reporter, Verdict};
use self::source::Source;
use self::wget::Wget;
use super::boot::Boot;
use super::cloud_init::reporting;
use super::ephemeral::LoadedRoot;
use super::event::Stage;
use super::fault::FaultKind;
use super::hardware;
use super::machine::{Disk, InstalledSystem};

/// How an installation ended.
#[derive(Debug)]
pub(crate) enum Installation {
    /// With curtin's output.
    Succeeded(String),
    /// With curtin's output and the reason.
    Failed { log: String, reason: String },
    /// The machine went off.
    PowerFailed,
}

const TOP: &str = "cmd-install";

/// Why a stage ended early.
enum Ended {
    Failed(String),
    PowerFailed,
}

/// Runs the packed installer.
pub(crate) async fn install(boot: &Boot, script: &[u8], root: &LoadedRoot) -> Installation {
    let installer = match Installer::parse(script) {
        Ok(installer) => installer,
        Err(error) => {
            let reason = error.to_string();
            boot.tell(Stage::Problem, reason.clone()).await;
            return Installation::Failed { log: String::new(), reason };
        }
    };
    let config = &installer.config;
    let reporter = Reporter::new(boot, reporting(&config["reporting"]));
    let mut run = Run { boot, config, root, reporter, system: InstalledSystem::default() };
    boot.tell(Stage::Curtin, "install begins").await;
    run.reporter.start(TOP, "curtin command install").await;
    let post_files = &config["install"]["post_files"];
    match run.stages(installer.source.as_deref()).await {
        Ok(()) => {
            let description = "curtin command install";
            run.reporter.finish_with(TOP, description, Verdict::Success, Some(post_files)).await;
            boot.tell(Stage::Curtin, "install is done").await;
            Installation::Succeeded(run.reporter.log)
        }
        Err(Ended::Failed(reason)) => {
            run.reporter.note(&reason);
            let description = format!("curtin command install: {reason}");
            run.reporter.finish_with(TOP, &description, Verdict::Fail, Some(post_files)).await;
            boot.tell(Stage::Problem, format!("curtin fails: {reason}")).await;
            Installation::Failed { log: run.reporter.log, reason }
        }
        Err(Ended::PowerFailed) => Installation::PowerFailed,
    }
}

struct Run<'a> {
    boot: &'a Boot,
    config: &'a Value,
    root: &'a LoadedRoot,
    reporter: Reporter<'a>,
    system: InstalledSystem,
}

/// The steps of an installation, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Early,
    Partitioning,
    Network,
    Extract,
    Curthooks,
    Hook,
    Late,
}

impl Step {
    const ALL: [Self; 7] = [
        Self::Early,
        Self::Partitioning,
        Self::Network,
        Self::Extract,
        Self::Curthooks,
        Self::Hook,
        Self::Late,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::Partitioning => "partitioning",
            Self::Network => "network",
            Self::Extract => "extract",
            Self::Curthooks => "curthooks",
            Self::Hook => "hook",
            Self::Late => "late",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::Early => "preparing for installation",
            Self::Partitioning => "configuring storage",
            Self::Network => "configuring network",
            Self::Extract => "writing install sources to disk",
            Self::Curthooks => "configuring installed system",
            Self::Hook => "finalizing installation",
            Self::Late => "executing late commands",
        }
    }

    /// Seconds on real hardware.
    const fn duration(self) -> f64 {
        match self {
            Self::Early | Self::Network | Self::Hook | Self::Late => 1.0,
            Self::Partitioning => 10.0,
            Self::Extract => 40.0,
            Self::Curthooks => 60.0,
        }
    }
}

impl Run<'_> {
    async fn stages(&mut self, command_line: Option<&str>) -> Result<(), Ended> {
        let sources = source::all(self.config, command_line).map_err(Ended::Failed)?;
        for step in Step::ALL {
            let name = format!("{TOP}/stage-{}", step.name());
            self.boot.tell(Stage::Curtin, format!("{}: {}", step.name(), step.description())).await;
            self.reporter.start(&name, step.description()).await;
            match self.stage(step, &name, &sources).await {
                Ok(()) => {
                    self.reporter.finish(&name, step.description(), Verdict::Success).await;
                }
                Err(Ended::Failed(reason)) => {
                    self.reporter.finish(&name, step.description(), Verdict::Fail).await;
                    return Err(Ended::Failed(format!("stage-{}: {reason}", step.name())));
                }
                Err(Ended::PowerFailed) => return Err(Ended::PowerFailed),
            }
        }
        Ok(())
    }

    async fn stage(&mut self, step: Step, name: &str, sources: &[Source]) -> Result<(), Ended> {
        match step {
            Step::Early => return self.commands("early_commands", name).await,
            Step::Late => return self.commands("late_commands", name).await,
            _ => {}
        }
        let builtin = format!("{name}/builtin");
        let description = format!("running curtin {}", step.name());
        self.reporter.start(&builtin, &description).await;
        self.boot.pace.work(step.duration()).await;
        let done = match step {
            Step::Partitioning => self.partition(sources),
            Step::Network => self.network(),
            Step::Extract => self.extract(sources).await,
            Step::Curthooks => self.curthooks().await,
            _ => Ok(()),
        };
        let verdict = match &done {
            Ok(()) => Verdict::Success,
            Err(Ended::Failed(_)) => Verdict::Fail,
            Err(Ended::PowerFailed) => return done,
        };
        self.reporter.finish(&builtin, &description, verdict).await;
        done
    }

    fn partition(&mut self, sources: &[Source]) -> Result<(), Ended> {
        let disks = self.boot.machine.read(hardware::disks);
        let root = if sources.iter().any(Source::is_disk_image) {
            storage::Root::InImage
        } else {
            storage::Root::Needed
        };
        let layout =
            storage::apply(&self.config["storage"], &disks, root).map_err(Ended::Failed)?;
        for line in &layout.summary {
            self.reporter.note(line);
        }
        self.system.mounts = layout.mounts;
        // Whatever was on the disk is gone from here on.
        self.boot.machine.change(&self.boot.shared, |state| state.disk = Disk::Empty);
        Ok(())
    }

    fn network(&self) -> Result<(), Ended> {
        match &self.config["network"]["version"] {
            Value::Null if self.config["network"].is_null() => Ok(()),
            Value::Number(version) if matches!(version.as_u64(), Some(1 | 2)) => Ok(()),
            other => Err(Ended::Failed(format!("network version should be 1 or 2 and is {other}"))),
        }
    }

    async fn extract(&mut self, sources: &[Source]) -> Result<(), Ended> {
        if self.boot.strikes(FaultKind::CurtinFails) {
            self.boot.tell(Stage::Fault, FaultKind::CurtinFails.name()).await;
            return Err(Ended::Failed("the simulated disk has a write error".to_owned()));
        }
        if self.boot.strikes(FaultKind::LosesPower) {
            self.boot.tell(Stage::Fault, FaultKind::LosesPower.name()).await;
            return Err(Ended::PowerFailed);
        }
        for source in sources {
            let sha256 = source.load(self.boot, self.root).await.map_err(Ended::Failed)?;
            self.reporter.note(&format!("extracted {source} with SHA-256 {sha256}"));
            self.system.source = source.to_string();
            self.system.image_sha256 = Some(sha256);
        }
        Ok(())
    }

    async fn curthooks(&mut self) -> Result<(), Ended> {
        let (mut system, problems) = target::system(self.config);
        for problem in problems {
            self.reporter.note(&problem);
            self.boot.tell(Stage::Problem, problem).await;
        }
        system.source = std::mem::take(&mut self.system.source);
        system.image_sha256 = self.system.image_sha256.take();
        system.mounts = std::mem::take(&mut self.system.mounts);
        self.boot.machine.change(&self.boot.shared, |state| {
            state.disk = Disk::Installed(Box::new(system));
        });
        Ok(())
    }

    /// Commands in the order of their names. All but wget succeed without doing anything.
    async fn commands(&mut self, key: &str, name: &str) -> Result<(), Ended> {
        let Some(commands) = self.config[key].as_object() else { return Ok(()) };
        let mut sorted: Vec<_> = commands.iter().collect();
        sorted.sort_by_key(|(command, _)| *command);
        for (command, words) in sorted {
            let event = format!("{name}/{command}");
            self.reporter.start(&event, &format!("running {words}")).await;
            let Some(wget) = Wget::parse(words) else {
                self.reporter.finish(&event, &format!("running {words}"), Verdict::Success).await;
                continue;
            };
            if let Err(reason) = wget.run(self.boot).await {
                self.reporter.finish(&event, &reason, Verdict::Fail).await;
                return Err(Ended::Failed(format!("{command}: {reason}")));
            }
            if wget.is_netboot_off() {
                self.boot.tell(Stage::NetbootOff, wget.url.clone()).await;
            }
            self.reporter.finish(&event, &format!("running {words}"), Verdict::Success).await;
        }
        Ok(())
    }
}
