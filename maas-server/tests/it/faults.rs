//! A machine on which something goes wrong ends in the right status with a message that says at
//! which step, and can be used again at once.

use std::time::{Duration, Instant};

use maas_server::simulator::fault::{FaultKind, FaultRate};
use maas_server::simulator::{Config, Pace, Simulator};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::support::eventually;
use super::support::server::Running;

/// The longest silence of a machine in these tests. Longer than a busy computer needs for the
/// longest step of an instant machine.
const NODE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the server may take beyond a deadline, and a machine for its whole way.
const PATIENCE: Duration = Duration::from_secs(90);

/// One simulated machine in front of a server.
struct Play {
    simulator: Option<Simulator>,
    running: Running,
}

impl Play {
    /// A machine that has enlisted itself and is off.
    fn enlisted(seed: u64) -> (Self, String) {
        let running = Running::with_images(|config| config.node_timeout = NODE_TIMEOUT);
        let mut config =
            Config::new(&format!("http://{}", running.region), &format!("http://{}", running.rack))
                .unwrap();
        config.seed = seed;
        config.pace = Pace::INSTANT;
        let (events, mut happened) = mpsc::channel(64);
        let start = Simulator::start(config, events, CancellationToken::new());
        let simulator = running.runtime.block_on(start).unwrap();
        running.runtime.spawn(async move {
            while let Some(event) = happened.recv().await {
                println!("  {} {} {}", event.machine, event.stage, event.detail);
            }
        });
        let play = Self { simulator: Some(simulator), running };
        let id = eventually("a machine is New and off", PATIENCE, || {
            let machines = play.running.read("machines/");
            let machine = machines.as_array()?.first()?;
            let off = machine["status_name"] == "New" && machine["power_state"] == "off";
            off.then(|| machine["system_id"].as_str().unwrap().to_owned())
        });
        (play, id)
    }

    fn ready(seed: u64) -> (Self, String) {
        let (play, id) = Self::enlisted(seed);
        play.act(&id, "commission");
        play.wait_for(&id, "Ready");
        (play, id)
    }

    fn faults(&self, faults: &[FaultKind]) {
        let faults = faults.iter().map(|kind| FaultRate::new(*kind, 1.0)).collect();
        self.simulator.as_ref().unwrap().set_faults(faults);
    }

    #[track_caller]
    fn act(&self, id: &str, op: &str) {
        self.running.post(&format!("machines/{id}/?op={op}"), &[]).ok();
    }

    #[track_caller]
    fn wait_for(&self, id: &str, status: &str) -> Value {
        let start = Instant::now();
        let mut seen = String::new();
        loop {
            let machine = self.running.read(&format!("machines/{id}/"));
            let now = machine["status_name"].as_str().unwrap();
            if now != seen {
                seen = now.to_owned();
                println!("→ {seen}: {}", machine["status_message"]);
            }
            if seen == status {
                return machine;
            }
            assert!(
                start.elapsed() < PATIENCE
                    && (!seen.contains("ailed") || start.elapsed() < Duration::from_secs(2)),
                "{seen} and not {status}: {}",
                machine["status_message"]
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the history says of the failure.
    fn why(&self, machine: &Value) -> String {
        let mut why = machine["error_description"].as_str().unwrap_or_default().to_owned();
        for record in self.running.records() {
            why.push('\n');
            why.push_str(&record.record.description);
        }
        why
    }

    /// Releases it and deploys it again, now that nothing is wrong with it any more.
    #[track_caller]
    fn deploys_again(&self, id: &str) {
        self.faults(&[]);
        self.act(id, "release");
        self.wait_for(id, "Ready");
        self.act(id, "deploy");
        let machine = self.wait_for(id, "Deployed");
        assert_eq!(machine["owner"], "root");
        assert_eq!(machine["error_description"], "");
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        if let Some(simulator) = self.simulator.take() {
            self.running.runtime.block_on(simulator.shutdown());
        }
    }
}

#[test]
fn a_machine_that_never_boots_to_be_commissioned_fails_and_can_be_commissioned_again() {
    let (play, id) = Play::enlisted(11);
    play.faults(&[FaultKind::NeverBoots]);
    play.act(&id, "commission");
    let started = Instant::now();
    let machine = play.wait_for(&id, "Failed commissioning");
    assert!(started.elapsed() < NODE_TIMEOUT * 3, "{:?}", started.elapsed());
    let why = machine["error_description"].as_str().unwrap();
    assert!(why.contains("firmware to ask for a boot file"), "{why}");

    play.faults(&[]);
    play.act(&id, "commission");
    play.wait_for(&id, "Ready");
}

#[test]
fn a_machine_that_never_reports_while_it_is_commissioned_fails() {
    let (play, id) = Play::enlisted(12);
    play.faults(&[FaultKind::NeverReports]);
    play.act(&id, "commission");
    let started = Instant::now();
    let machine = play.wait_for(&id, "Failed commissioning");
    assert!(started.elapsed() < NODE_TIMEOUT * 4, "{:?}", started.elapsed());
    let why = machine["error_description"].as_str().unwrap();
    assert!(why.contains("ephemeral OS to ask the metadata service"), "{why}");

    play.faults(&[]);
    play.act(&id, "commission");
    play.wait_for(&id, "Ready");
}

#[test]
fn a_machine_whose_commissioning_script_fails_names_the_script() {
    let (play, id) = Play::enlisted(13);
    play.faults(&[FaultKind::CommissioningFails]);
    play.act(&id, "commission");
    let machine = play.wait_for(&id, "Failed commissioning");
    let why = play.why(&machine);
    let failed = play.running.machines()[0]
        .scripts
        .iter()
        .find(|run| run.status == maas_core::commission::result::ScriptStatus::Failed)
        .map(|run| run.name.clone());
    let failed = failed.expect("a script has failed");
    assert!(why.contains(&failed), "{failed}: {why}");
    assert!(!machine["error_description"].as_str().unwrap().is_empty(), "{why}");

    play.faults(&[]);
    play.act(&id, "commission");
    play.wait_for(&id, "Ready");
}

#[test]
fn a_machine_that_never_boots_to_be_deployed_fails_and_deploys_again_at_once() {
    let (play, id) = Play::ready(14);
    play.faults(&[FaultKind::NeverBoots]);
    play.act(&id, "deploy");
    let started = Instant::now();
    let machine = play.wait_for(&id, "Failed deployment");
    assert!(started.elapsed() < NODE_TIMEOUT * 4, "{:?}", started.elapsed());
    let why = machine["error_description"].as_str().unwrap();
    assert!(why.contains("firmware to ask for a boot file"), "{why}");
    play.deploys_again(&id);
}

#[test]
fn a_machine_whose_curtin_fails_says_so_at_once_and_deploys_again() {
    let (play, id) = Play::ready(15);
    play.faults(&[FaultKind::CurtinFails]);
    play.act(&id, "deploy");
    let machine = play.wait_for(&id, "Failed deployment");
    let why = machine["error_description"].as_str().unwrap();
    assert!(why.contains("cmd-install"), "{why}");
    assert!(!why.contains("timed out"), "{why}");
    play.deploys_again(&id);
}

#[test]
fn a_machine_that_never_phones_home_fails_and_deploys_again_at_once() {
    let (play, id) = Play::ready(16);
    play.faults(&[FaultKind::NoPhoneHome]);
    play.act(&id, "deploy");
    let machine = play.wait_for(&id, "Failed deployment");
    let why = machine["error_description"].as_str().unwrap();
    assert!(why.contains("the installed system never asked"), "{why}");
    play.deploys_again(&id);
}

#[test]
fn a_machine_that_loses_power_while_it_is_installed_fails_and_deploys_again() {
    let (play, id) = Play::ready(17);
    play.faults(&[FaultKind::LosesPower]);
    play.act(&id, "deploy");
    let machine = play.wait_for(&id, "Failed deployment");
    let why = machine["error_description"].as_str().unwrap();
    assert!(why.contains("curtin") || why.contains("installer"), "{why}");
    play.deploys_again(&id);
}
