//! Real power controllers for the drivers' tests: found, started, or skipped loudly.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use maas_core::machine::{Power, PowerState};
use maas_core::secret::Secret;

/// A machine's power with a driver and its parameters.
pub(super) fn power(driver: &str, parameters: &[(&str, &str)]) -> Power {
    let parameters: BTreeMap<_, _> =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Power {
        driver: driver.to_owned(),
        parameters: Secret::new(parameters),
        state: PowerState::Unknown,
    }
}

/// Whether all of these programs are there; says so when not, and fails when peers are required.
pub(super) fn are_here(programs: &[&str], subject: &str) -> bool {
    let missing: Vec<_> =
        programs.iter().filter(|program| !super::child::is_installed(program)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(
        std::env::var("MAAS_TEST_PEERS").as_deref() != Ok("require"),
        "MAAS_TEST_PEERS=require, but {missing:?} is not installed"
    );
    // Past the test harness's capture.
    let line = format!("SKIPPED {subject}: {missing:?} is not installed\n");
    drop(std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()));
    false
}

/// A peer that ends with the test.
#[derive(Debug)]
pub(super) struct Peer(Child);

impl Peer {
    /// Starts a program that keeps its output in `log`.
    pub(super) fn start(command: &mut Command, log: &Path) -> Self {
        let file = std::fs::File::create(log).expect("a log");
        let again = file.try_clone().expect("a log");
        let child = command.stdin(Stdio::null()).stdout(file).stderr(again).spawn();
        Self(child.expect("an installed program starts"))
    }

    /// Waits until something accepts connections there.
    pub(super) fn listens(mut self, address: SocketAddr) -> Self {
        let began = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(self.0.try_wait().expect("a child").is_none(), "the peer ended");
            assert!(began.elapsed() < Duration::from_secs(30), "the peer does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        self
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
