//! Simulated machines: what firmware, boot loaders, the ephemeral system, cloud-init, the runner,
//! curtin and the installed system do on the wire, without any hardware.
//!
//! A [`Simulator`] talks to a region and a rack over HTTP as real machines do, and serves the
//! power switches that the `webhook` power driver calls. Nothing in it knows the server's code:
//! it reads what the server sends and refuses what a real machine would refuse.
//!
//! - `firmware`: iPXE, GRUB and pxelinux, from the first request to a verified kernel;
//! - `ephemeral`, `cloud_init`: the initrd and cloud-init's stages;
//! - `runner`: enlistment, scripts, signals; `curtin`: the installation;
//! - `installed`: the first and later boots from the disk;
//! - `power`: the switches; `fault`: what goes wrong on demand; `pace`: how long things take.
//!
//! A machine is one task while it is booting and none otherwise; images are hashed as they stream
//! past and never kept, so that thousands of machines fit into one process.

mod boot;
mod client;
mod cloud_init;
mod cmdline;
mod curtin;
mod ephemeral;
mod error;
mod event;
pub mod fault;
mod firmware;
mod fleet;
mod hardware;
mod installed;
mod mac;
mod machine;
mod metadata;
mod oauth;
mod pace;
mod power;
mod random;
mod runner;
mod store;
#[cfg(test)]
mod tests;
mod user_data;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use reqwest::Url;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use error::SimulatorError;
pub use event::{SimulatorEvent, Stage};
pub use mac::{InvalidMac, Mac};
pub use machine::{Datasource, Disk, Firmware, InstalledSystem, MachineState, Power, Reporting};
pub use oauth::Credentials;
pub use pace::Pace;

use boot::Shared;
use fault::FaultRate;
use fleet::Fleet;
use store::StateDir;

/// What to simulate, and against whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// The region, for the record; machines learn every address they need from the rack.
    pub region: Url,
    /// The rack, from which machines netboot: what DHCP would tell them.
    pub rack: Url,
    /// How many machines netboot unknown and enlist themselves.
    pub machines: u32,
    /// Decides MAC addresses, hardware, firmware and faults.
    pub seed: u64,
    /// Where the power switches listen. With port 0 any free port is taken, or the one of the
    /// last run with the same state directory.
    pub power_listen: SocketAddr,
    /// The URL under which the region reaches the power switches, without a slash at the end;
    /// `http://` and the address they listen on when it is not given.
    pub power_url: Option<String>,
    /// What goes wrong, and how often.
    pub faults: Vec<FaultRate>,
    /// Where machines are kept; without it they end with the simulator.
    pub state_dir: Option<PathBuf>,
    /// How long things take.
    pub pace: Pace,
}

impl Config {
    /// One machine against a region and a rack, at the demo's pace.
    pub fn new(region: &str, rack: &str) -> Result<Self, SimulatorError> {
        Ok(Self {
            region: http_url("region", region)?,
            rack: http_url("rack", rack)?,
            machines: 1,
            seed: 1,
            power_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            power_url: None,
            faults: Vec::new(),
            state_dir: None,
            pace: Pace::default(),
        })
    }
}

fn http_url(field: &'static str, text: &str) -> Result<Url, SimulatorError> {
    match Url::parse(text) {
        Ok(url) if url.has_host() && matches!(url.scheme(), "http" | "https") => Ok(url),
        _ => Err(SimulatorError::Url { field, url: text.to_owned() }),
    }
}

/// Machines that are running. Dropping it stops them; [`Simulator::shutdown`] also waits for
/// the end.
#[derive(Debug)]
pub struct Simulator {
    fleet: Arc<Fleet>,
    power_address: SocketAddr,
}

impl Simulator {
    /// Loads what the state directory has, boots the machines whose power was on, and lets new
    /// ones enlist until there are as many as asked for.
    ///
    /// Every event goes to `events`; a full channel holds the machines up, a closed one does not.
    /// Everything ends when `shutdown` is cancelled.
    ///
    /// # Errors
    /// When the power address is taken, the state directory cannot be used, or the HTTP client
    /// cannot be set up.
    pub async fn start(
        config: Config,
        events: mpsc::Sender<SimulatorEvent>,
        shutdown: CancellationToken,
    ) -> Result<Self, SimulatorError> {
        let state_dir = config.state_dir.as_deref().map(StateDir::open).transpose()?;
        let known = state_dir.as_ref().map(StateDir::load).transpose()?.unwrap_or_default();
        let listener = listen(config.power_listen, state_dir.as_ref()).await?;
        let listening = |source| SimulatorError::Listen { address: config.power_listen, source };
        let power_address = listener.local_addr().map_err(listening)?;
        if let Some(folder) = &state_dir {
            folder.save_power_port(power_address.port()).map_err(listening)?;
        }
        let power_url = config.power_url.as_deref().map_or_else(
            || format!("http://{power_address}"),
            |url| url.trim_end_matches('/').to_owned(),
        );
        let shared = Arc::new(Shared {
            wire: client::Wire::new()?,
            region: config.region,
            rack: config.rack,
            pace: config.pace,
            power_url,
            faults: RwLock::new(config.faults.into()),
            events,
            state_dir,
            tasks: TaskTracker::new(),
            // A child, so that dropping the simulator does not stop the caller.
            shutdown: shutdown.child_token(),
        });
        let fleet = Arc::new(Fleet::new(shared, config.seed, known));
        fleet.shared.tasks.spawn(power::serve(listener, Arc::clone(&fleet)));
        fleet.resume();
        fleet.populate(config.machines);
        tracing::info!(
            region = %fleet.shared.region, rack = %fleet.shared.rack, power = %power_address,
            machines = fleet.all().len(), "simulating machines"
        );
        Ok(Self { fleet, power_address })
    }

    /// Where the power switches listen.
    pub fn power_address(&self) -> SocketAddr {
        self.power_address
    }

    /// The URL of the power switches as machines report it, without a slash at the end.
    pub fn power_url(&self) -> &str {
        &self.fleet.shared.power_url
    }

    /// All machines, by MAC address.
    pub fn machines(&self) -> Vec<MachineState> {
        self.fleet.all().iter().map(|machine| machine.read(Clone::clone)).collect()
    }

    /// One machine, by any of its MAC addresses.
    pub fn machine(&self, mac: Mac) -> Option<MachineState> {
        self.fleet.find(mac).map(|machine| machine.read(Clone::clone))
    }

    /// The machine at a MAC address; a new one, switched off, if there was none.
    pub fn add(&self, mac: Mac) -> MachineState {
        self.fleet.find_or_add(mac).read(Clone::clone)
    }

    /// Presses the power button of a machine that is off. An unknown MAC address becomes a new
    /// machine.
    ///
    /// # Errors
    /// When the simulator is shutting down.
    pub fn power_on(&self, mac: Mac) -> Result<(), SimulatorError> {
        if self.fleet.shared.shutdown.is_cancelled() {
            return Err(SimulatorError::ShuttingDown);
        }
        self.fleet.find_or_add(mac).power_on(&self.fleet.shared);
        Ok(())
    }

    /// Cuts a machine's power.
    ///
    /// # Errors
    /// When the simulator is shutting down.
    pub async fn power_off(&self, mac: Mac) -> Result<(), SimulatorError> {
        if self.fleet.shared.shutdown.is_cancelled() {
            return Err(SimulatorError::ShuttingDown);
        }
        self.fleet.find_or_add(mac).power_off(&self.fleet.shared).await;
        Ok(())
    }

    /// Replaces the faults, from each machine's next boot on.
    pub fn set_faults(&self, faults: Vec<FaultRate>) {
        *self.fleet.shared.faults.write().unwrap_or_else(PoisonError::into_inner) = faults.into();
    }

    /// Stops everything and waits until it has stopped. Machines that are on stay on in the state
    /// directory, like hardware in a power cut.
    pub async fn shutdown(self) {
        self.fleet.shared.shutdown.cancel();
        self.fleet.shared.tasks.close();
        self.fleet.shared.tasks.wait().await;
    }

    /// Waits until the token given to [`Simulator::start`] is cancelled and everything has
    /// stopped.
    pub async fn stopped(self) {
        self.fleet.shared.shutdown.cancelled().await;
        self.shutdown().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.fleet.shared.shutdown.cancel();
    }
}

async fn listen(
    address: SocketAddr,
    state_dir: Option<&StateDir>,
) -> Result<TcpListener, SimulatorError> {
    let earlier = state_dir.and_then(StateDir::power_port).filter(|_| address.port() == 0);
    if let Some(port) = earlier
        && let Ok(listener) = TcpListener::bind(SocketAddr::new(address.ip(), port)).await
    {
        return Ok(listener);
    }
    TcpListener::bind(address).await.map_err(|source| SimulatorError::Listen { address, source })
}
