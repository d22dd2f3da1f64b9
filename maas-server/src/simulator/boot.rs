//! One machine's life: power switch, boots one after another, and what a boot can see.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use reqwest::Url;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::Wire;
use super::cloud_init;
use super::cmdline::KernelCommandLine;
use super::ephemeral;
use super::error::Stuck;
use super::event::{SimulatorEvent, Stage};
use super::fault::{FaultKind, FaultRate, strikes};
use super::firmware::{self, BootAction};
use super::installed;
use super::mac::Mac;
use super::machine::{MachineState, Power};
use super::pace::Pace;
use super::store::StateDir;

/// What all machines share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) wire: Wire,
    pub(crate) region: Url,
    pub(crate) rack: Url,
    pub(crate) pace: Pace,
    pub(crate) power_url: String,
    pub(crate) faults: RwLock<Arc<[FaultRate]>>,
    pub(crate) events: mpsc::Sender<SimulatorEvent>,
    pub(crate) state_dir: Option<StateDir>,
    pub(crate) tasks: TaskTracker,
    pub(crate) shutdown: CancellationToken,
}

impl Shared {
    pub(crate) fn faults(&self) -> Arc<[FaultRate]> {
        Arc::clone(&self.faults.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn tell(&self, machine: Mac, stage: Stage, detail: String) {
        tracing::debug!(%machine, %stage, detail, "simulated machine");
        let event = SimulatorEvent { machine, time: SystemTime::now(), stage, detail };
        // A caller that stopped listening does not stop the machines.
        let _ = self.events.send(event).await;
    }

    fn save(&self, state: &MachineState) {
        if let Some(folder) = &self.state_dir
            && let Err(error) = folder.save(state)
        {
            tracing::warn!(machine = %state.mac(), %error, "cannot save a simulated machine");
        }
    }
}

/// One machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) mac: Mac,
    state: Mutex<MachineState>,
    /// Cancelled when the power goes; replaced when it comes.
    current: Mutex<CancellationToken>,
    /// A new life waits for the end of the one before.
    turn: tokio::sync::Mutex<()>,
}

impl Machine {
    pub(crate) fn new(state: MachineState) -> Self {
        Self {
            mac: state.mac(),
            state: Mutex::new(state),
            current: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// A look at the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&MachineState) -> T) -> T {
        look(&self.state())
    }

    /// Changes the state and saves it.
    pub(crate) fn change(&self, shared: &Shared, change: impl FnOnce(&mut MachineState)) {
        let mut state = self.state();
        change(&mut state);
        shared.save(&state);
    }

    fn state(&self) -> MutexGuard<'_, MachineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> MutexGuard<'_, CancellationToken> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches on; nothing happens to a machine that is on.
    pub(crate) fn power_on(self: &Arc<Self>, shared: &Arc<Shared>) {
        let mut current = self.current();
        if self.read(|state| state.power) == Power::On {
            return;
        }
        self.change(shared, |state| state.power = Power::On);
        self.begin(shared, &mut current);
    }

    /// Boots a machine whose power was on when the simulator ended.
    pub(crate) fn resume(self: &Arc<Self>, shared: &Arc<Shared>) {
        let mut current = self.current();
        if self.read(|state| state.power) == Power::On {
            self.begin(shared, &mut current);
        }
    }

    fn begin(self: &Arc<Self>, shared: &Arc<Shared>, current: &mut CancellationToken) {
        let token = shared.shutdown.child_token();
        *current = token.clone();
        let (machine, shared) = (Arc::clone(self), Arc::clone(shared));
        let tasks = shared.tasks.clone();
        tasks.spawn(async move {
            let life = async {
                let _turn = machine.turn.lock().await;
                live(&machine, &shared, &token).await;
            };
            tokio::select! {
                biased;
                () = token.cancelled() => {}
                () = life => {}
            }
        });
    }

    /// Switches off at once, whatever the machine is doing.
    pub(crate) async fn power_off(&self, shared: &Shared) {
        {
            let current = self.current();
            current.cancel();
            if self.read(|state| state.power) == Power::Off {
                return;
            }
            self.change(shared, |state| state.power = Power::Off);
        }
        shared.tell(self.mac, Stage::PowerOff, "switched off".to_owned()).await;
    }

    /// The machine switches itself off, unless someone has switched it since.
    async fn powers_off(&self, shared: &Shared, token: &CancellationToken, why: &str) {
        {
            let _current = self.current();
            if token.is_cancelled() {
                return;
            }
            self.change(shared, |state| state.power = Power::Off);
        }
        shared.tell(self.mac, Stage::PowerOff, why.to_owned()).await;
    }
}

/// What a boot comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Reboots,
    PowersOff,
    LosesPower,
    StaysOn,
}

/// What one boot of one machine can see.
#[derive(Debug)]
pub(crate) struct Boot {
    pub(crate) mac: Mac,
    pub(crate) machine: Arc<Machine>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) pace: Pace,
    faults: Arc<[FaultRate]>,
    seed: u64,
    number: u64,
}

impl Boot {
    fn begin(machine: &Arc<Machine>, shared: &Arc<Shared>) -> Self {
        machine.change(shared, |state| state.boots += 1);
        let (seed, number) = machine.read(|state| (state.seed, state.boots));
        let mut boot = Self {
            mac: machine.mac,
            machine: Arc::clone(machine),
            shared: Arc::clone(shared),
            pace: shared.pace,
            faults: shared.faults(),
            seed,
            number,
        };
        if boot.strikes(FaultKind::Slow) {
            boot.pace = boot.pace.slowed();
        }
        boot
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.shared.wire
    }

    pub(crate) fn uuid(&self) -> String {
        self.machine.read(|state| state.uuid.clone())
    }

    pub(crate) fn strikes(&self, kind: FaultKind) -> bool {
        strikes(&self.faults, kind, self.seed, self.number)
    }

    pub(crate) async fn tell(&self, stage: Stage, detail: impl Into<String>) {
        self.shared.tell(self.mac, stage, detail.into()).await;
    }

    pub(crate) fn learn_system_id(&self, id: &str) {
        if self.machine.read(|state| state.system_id.as_deref() != Some(id)) {
            self.machine.change(&self.shared, |state| state.system_id = Some(id.to_owned()));
        }
    }
}

async fn live(machine: &Arc<Machine>, shared: &Arc<Shared>, token: &CancellationToken) {
    loop {
        let boot = Boot::begin(machine, shared);
        let firmware = machine.read(|state| state.firmware);
        boot.tell(Stage::PowerOn, format!("boot {} with {firmware}", boot.number)).await;
        match boot_once(&boot).await {
            Ok(Outcome::Reboots) => {
                boot.tell(Stage::Reboot, "restarts").await;
                boot.pace.work(10.0).await;
            }
            Ok(Outcome::PowersOff) => {
                return machine.powers_off(shared, token, "switched itself off").await;
            }
            Ok(Outcome::LosesPower) => {
                return machine.powers_off(shared, token, "the power failed").await;
            }
            Ok(Outcome::StaysOn) => return,
            Err(stuck) => return boot.tell(Stage::Problem, format!("hangs: {stuck}")).await,
        }
    }
}

async fn boot_once(boot: &Boot) -> Result<Outcome, Stuck> {
    if boot.strikes(FaultKind::NeverBoots) {
        boot.tell(Stage::Fault, FaultKind::NeverBoots.name()).await;
        return Err(Stuck("the firmware never gets as far as the network".to_owned()));
    }
    boot.pace.work(15.0).await;
    match firmware::netboot(boot).await? {
        BootAction::PowerOff => Ok(Outcome::PowersOff),
        BootAction::LocalDisk => installed::boot(boot).await,
        BootAction::Kernel(line) => {
            let line = KernelCommandLine::parse(&line);
            if let Some(id) = line.system_id() {
                boot.learn_system_id(id);
            }
            ephemeral::boot(boot, &line).await
        }
    }
}

/// What `power_state` makes of the end of a boot.
impl From<cloud_init::PowerState> for Outcome {
    fn from(state: cloud_init::PowerState) -> Self {
        match state {
            cloud_init::PowerState::Reboot => Self::Reboots,
            cloud_init::PowerState::PowerOff => Self::PowersOff,
            cloud_init::PowerState::Unchanged => Self::StaysOn,
        }
    }
}
