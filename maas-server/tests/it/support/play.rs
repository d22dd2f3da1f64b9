//! One simulated machine in front of a server, both in this process.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use maas_server::simulator::fault::{FaultKind, FaultRate};
use maas_server::simulator::{Config, Pace, Simulator};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::eventually;
use super::server::Running;

/// The longest silence of a machine in these tests. Longer than a busy computer needs for the
/// longest step of an instant machine.
pub(crate) const NODE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the server may take beyond a deadline, and a machine for its whole way.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// One simulated machine in front of a server.
pub(crate) struct Play {
    simulator: Option<Simulator>,
    pub(crate) running: Running,
}

impl Play {
    /// A machine that has enlisted itself and is off.
    pub(crate) fn enlisted(seed: u64) -> (Self, String) {
        let running = Running::with_images(|config| config.node_timeout = NODE_TIMEOUT);
        let rack = running.rack;
        Self::enlisted_through(seed, running, rack)
    }

    /// A machine that netboots from this rack, has enlisted itself and is off.
    pub(crate) fn enlisted_through(
        seed: u64,
        running: Running,
        rack: SocketAddr,
    ) -> (Self, String) {
        let mut config =
            Config::new(&format!("http://{}", running.region), &format!("http://{rack}")).unwrap();
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

    /// A machine that was commissioned.
    pub(crate) fn ready(seed: u64) -> (Self, String) {
        let (play, id) = Self::enlisted(seed);
        play.act(&id, "commission");
        play.wait_for(&id, "Ready");
        (play, id)
    }

    /// What goes wrong from the next boot on, always.
    pub(crate) fn faults(&self, faults: &[FaultKind]) {
        let faults = faults.iter().map(|kind| FaultRate::new(*kind, 1.0)).collect();
        self.simulator.as_ref().unwrap().set_faults(faults);
    }

    /// A command of the administrator.
    #[track_caller]
    pub(crate) fn act(&self, id: &str, op: &str) {
        self.running.post(&format!("machines/{id}/?op={op}"), &[]).ok();
    }

    /// The machine when it has come to this status; failing on the way fails the test.
    #[track_caller]
    pub(crate) fn wait_for(&self, id: &str, status: &str) -> Value {
        let start = Instant::now();
        let mut seen = String::new();
        loop {
            let machine = self.running.read(&format!("machines/{id}/"));
            let now = machine["status_name"].as_str().unwrap();
            if now != seen {
                seen = now.to_owned();
                println!("→ {seen} after {:?}: {}", start.elapsed(), machine["status_message"]);
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
    pub(crate) fn why(&self, machine: &Value) -> String {
        let mut why = machine["error_description"].as_str().unwrap_or_default().to_owned();
        for record in self.running.records() {
            why.push('\n');
            why.push_str(&record.record.description);
        }
        why
    }

    /// Releases it and deploys it again, now that nothing is wrong with it any more.
    #[track_caller]
    pub(crate) fn deploys_again(&self, id: &str) {
        self.faults(&[]);
        let released = Instant::now();
        self.act(id, "release");
        self.wait_for(id, "Ready");
        assert!(released.elapsed() < NODE_TIMEOUT, "{:?}", released.elapsed());
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
