//! DHCP by dnsmasq: its configuration made from the plan, its process watched over, its leases
//! read.
//!
//! A configuration is tested by dnsmasq itself before it takes the place of the running one; a
//! bad one leaves the running one alone.

pub mod follow;
mod guard;
pub mod host;
pub mod settings;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use maas_core::dhcp::{
    DhcpPlan, Lease, LeaseChange, PlanError, dnsmasq, lease_changes, parse_leases,
};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::guard::Guarded;
use super::loaders::Loaders;

/// How often leases and boot loaders are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The first and the longest pause before a dnsmasq that has ended is started again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long dnsmasq must run for the pauses to begin anew.
const STEADY: Duration = Duration::from_secs(60);

/// How long its test may take.
const TEST_TIME: Duration = Duration::from_secs(20);

/// The largest lease file that is read, in bytes.
const LARGEST_LEASES: u64 = 16 << 20;

/// Why DHCP does not start, or goes on with the configuration before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DhcpError {
    /// The plan is refused.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// dnsmasq refuses the configuration.
    #[error("dnsmasq refuses its configuration {path}: {output}")]
    Refused {
        /// The configuration.
        path: PathBuf,
        /// What it says.
        output: String,
    },
    /// A program or a file.
    #[error("{what}")]
    Io {
        /// What cannot be done.
        what: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// Who knows which boot loaders can be served.
pub trait UsableLoaders: fmt::Debug + Send + Sync + 'static {
    /// The names of those that are there, whole and verified. May read files: it is not called
    /// from async tasks.
    fn usable(&self) -> BTreeSet<String>;
}

impl UsableLoaders for Mutex<Loaders> {
    fn usable(&self) -> BTreeSet<String> {
        self.lock().unwrap_or_else(PoisonError::into_inner).usable()
    }
}

/// How DHCP is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DhcpStatus {
    /// There is nothing to serve, or it is switched off.
    #[default]
    Off,
    /// It serves what it should.
    Running,
    /// It goes on with the configuration before, for this reason.
    Refused(String),
    /// It is to run and does not, for this reason.
    Dead(String),
}

/// A DHCP service that is ready to run.
#[derive(Debug)]
pub struct Dhcp {
    dir: PathBuf,
    plan: watch::Receiver<DhcpPlan>,
    loaders: Arc<dyn UsableLoaders>,
    leases: watch::Sender<Vec<Lease>>,
    status: watch::Sender<DhcpStatus>,
    /// What dnsmasq refused last, so that it is asked once.
    refused_text: Option<String>,
}

impl Dhcp {
    /// A service that keeps its files in `dir` and follows the plan. The plan's own list of
    /// loaders is replaced by those that are found.
    ///
    /// # Errors
    ///
    /// [`DhcpError`] when the first plan cannot be served.
    pub async fn prepare(
        dir: PathBuf,
        plan: watch::Receiver<DhcpPlan>,
        loaders: Arc<dyn UsableLoaders>,
    ) -> Result<Self, DhcpError> {
        let what = || format!("the directory {} cannot be made", dir.display());
        std::fs::create_dir_all(&dir).map_err(|source| DhcpError::Io { what: what(), source })?;
        let mut dhcp = Self {
            dir,
            plan,
            loaders,
            leases: watch::Sender::default(),
            status: watch::Sender::default(),
            refused_text: None,
        };
        let text = dhcp.configuration().await?;
        dhcp.accept(&text).await?;
        Ok(dhcp)
    }

    /// Tells how it is doing through a channel that is there already.
    #[must_use]
    pub fn with_status(mut self, status: watch::Sender<DhcpStatus>) -> Self {
        self.status = status;
        self
    }

    /// The leases, as they are known at any time.
    #[must_use]
    pub fn leases(&self) -> watch::Receiver<Vec<Lease>> {
        self.leases.subscribe()
    }

    fn lease_file(&self) -> PathBuf {
        self.dir.join("leases")
    }

    fn configuration_file(&self) -> PathBuf {
        self.dir.join("dnsmasq.conf")
    }

    /// The configuration for the plan and the loaders of this moment.
    async fn configuration(&mut self) -> Result<String, DhcpError> {
        let mut plan = self.plan.borrow_and_update().clone();
        let loaders = Arc::clone(&self.loaders);
        let looked = tokio::task::spawn_blocking(move || loaders.usable());
        plan.loaders = looked.await.map_err(|error| DhcpError::Io {
            what: "the boot loaders cannot be looked at".to_owned(),
            source: std::io::Error::other(error),
        })?;
        Ok(dnsmasq::render(&plan, &self.lease_file())?)
    }

    /// Has dnsmasq test a configuration and puts it in place.
    async fn accept(&self, text: &str) -> Result<(), DhcpError> {
        let candidate = self.dir.join("dnsmasq.conf.new");
        let failed = |what: &str| {
            let what = format!("{what} ({})", candidate.display());
            move |source| DhcpError::Io { what, source }
        };
        std::fs::write(&candidate, text).map_err(failed("the configuration cannot be written"))?;
        let mut test = Command::new("dnsmasq");
        test.arg("--test").arg(configuration_argument(&candidate)).kill_on_drop(true);
        let tested = tokio::time::timeout(TEST_TIME, test.output()).await;
        let tested = tested.map_err(|_| std::io::ErrorKind::TimedOut.into()).flatten();
        let output = tested.map_err(failed("dnsmasq cannot be run"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let output = said.trim().chars().take(400).collect();
            return Err(DhcpError::Refused { path: candidate, output });
        }
        std::fs::rename(&candidate, self.configuration_file())
            .map_err(failed("the configuration cannot be put in place"))
    }

    fn start(&self) -> std::io::Result<Guarded> {
        let configuration = configuration_argument(&self.configuration_file());
        let command = [
            OsStr::new("dnsmasq"),
            OsStr::new("--keep-in-foreground"),
            OsStr::new("--log-facility=-"),
            OsStr::new("--pid-file="),
            configuration.as_ref(),
        ];
        Guarded::start(&command, |line| tracing::info!(target: "maas_server::dnsmasq", "{line}"))
    }

    /// Runs dnsmasq until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut accepted = self.configuration().await.unwrap_or_default();
        let mut running: Option<Guarded> = None;
        let mut pause = FIRST_PAUSE;
        let mut start_at = Instant::now();
        let mut started_at = Instant::now();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if running.is_none() && self.serves() && Instant::now() >= start_at {
                match self.start() {
                    Ok(child) => {
                        tracing::info!(configuration = %self.configuration_file().display(), "DHCP");
                        running = Some(child);
                        started_at = Instant::now();
                        self.is(DhcpStatus::Running);
                    }
                    Err(error) => {
                        tracing::error!(%error, "dnsmasq cannot be started");
                        self.is(DhcpStatus::Dead(format!("dnsmasq cannot be started: {error}")));
                        start_at = Instant::now() + pause;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
            let ended = async {
                match &mut running {
                    Some(child) => child.ended().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                ended = ended => {
                    running = None;
                    if started_at.elapsed() >= STEADY {
                        pause = FIRST_PAUSE;
                    }
                    let status = ended.map(|status| status.to_string());
                    let status = status.unwrap_or_else(|error| error.to_string());
                    tracing::error!(status, again_in = ?pause, "dnsmasq has ended");
                    self.is(DhcpStatus::Dead(format!("dnsmasq has ended: {status}")));
                    start_at = Instant::now() + pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                _ = look.tick() => {
                    self.read_leases();
                    if self.has_changed(&mut accepted).await {
                        if let Some(child) = running.take() {
                            child.stop().await;
                        }
                        (start_at, pause) = (Instant::now(), FIRST_PAUSE);
                        if !self.serves() {
                            tracing::info!("DHCP is off: no subnet is to be served");
                            self.is(DhcpStatus::Off);
                        }
                    }
                }
            }
        }
        if let Some(child) = running {
            child.stop().await;
        }
    }

    /// Whether there is anything to serve; without that no program listens for DHCP at all.
    fn serves(&self) -> bool {
        !self.plan.borrow().subnets.is_empty()
    }

    fn is(&self, status: DhcpStatus) {
        self.status.send_if_modified(|old| {
            let changed = *old != status;
            *old = status;
            changed
        });
    }

    /// A refused change is told once.
    fn refused(&self, error: &DhcpError) {
        let reason = crate::with_causes(error);
        let status = DhcpStatus::Refused(reason.clone());
        if *self.status.borrow() != status {
            tracing::error!(error = reason, "DHCP goes on as before");
        }
        self.is(status);
    }

    /// Whether there is a new configuration in place; one that is refused is logged once.
    async fn has_changed(&mut self, accepted: &mut String) -> bool {
        let text = match self.configuration().await {
            Ok(text) => text,
            Err(error) => {
                self.refused(&error);
                return false;
            }
        };
        if text == *accepted {
            // What was refused in between was taken back.
            if matches!(*self.status.borrow(), DhcpStatus::Refused(_)) {
                self.is(if self.serves() { DhcpStatus::Running } else { DhcpStatus::Off });
            }
            return false;
        }
        if self.refused_text.as_ref() == Some(&text) {
            return false;
        }
        match self.accept(&text).await {
            Ok(()) => {
                *accepted = text;
                self.refused_text = None;
                true
            }
            Err(error) => {
                self.refused(&error);
                self.refused_text = Some(text);
                false
            }
        }
    }

    fn read_leases(&self) {
        let file = self.lease_file();
        if file.metadata().is_ok_and(|metadata| metadata.len() > LARGEST_LEASES) {
            return;
        }
        let Ok(text) = std::fs::read_to_string(file) else { return };
        let now = parse_leases(&text);
        self.leases.send_if_modified(|leases| {
            let changes = lease_changes(leases, &now);
            for change in &changes {
                match change {
                    LeaseChange::Commit(lease) => tracing::info!(
                        address = %lease.address, mac = lease.mac, hostname = lease.hostname,
                        "DHCP lease"
                    ),
                    LeaseChange::Release(lease) => {
                        tracing::info!(address = %lease.address, mac = lease.mac, "DHCP release");
                    }
                    _ => {}
                }
            }
            *leases = now;
            !changes.is_empty()
        });
    }
}

fn configuration_argument(file: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from("--conf-file=");
    argument.push(file);
    argument
}

#[cfg(test)]
mod tests;
