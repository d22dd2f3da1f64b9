//! The API's clients, which nobody here wrote, unmodified: python-libmaas and Juju's gomaasapi,
//! against a region with simulated machines; and schemathesis, which makes requests of its own from
//! the OpenAPI document.
//!
//! `tests/clients/` holds what is done with each. A client that is not installed skips its test
//! with `SKIPPED: …`; `MAAS_TEST_PEERS=require` makes that a failure.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use maas_server::simulator::{Config, Pace, Simulator};
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::peers;
use crate::region::{ADMIN, PASSWORD, Region, Running};

/// The longest that a client may take; each takes well under a minute.
const CLIENT_LIMIT: Duration = Duration::from_secs(600);

/// Debian's folder of Go packages.
const GO_PACKAGES: &str = "/usr/share/gocode";

/// One client at a time: each waits for machines with deadlines of its own.
static TURN: Mutex<()> = Mutex::const_new(());

/// A region with simulated machines in front of it.
struct Site {
    _turn: MutexGuard<'static, ()>,
    running: Running,
    simulator: Simulator,
    stop: CancellationToken,
}

impl Site {
    async fn start(machines: u32) -> Self {
        let turn = TURN.lock().await;
        let running = Running::start().await;
        let Region { region_url, rack_url, .. } = &running.region;
        let mut config = Config::new(region_url, rack_url).unwrap();
        config.machines = machines;
        config.pace = Pace::INSTANT;
        let stop = CancellationToken::new();
        let (events, mut happened) = mpsc::channel(1024);
        tokio::spawn(async move { while happened.recv().await.is_some() {} });
        let simulator = Simulator::start(config, events, stop.clone()).await.unwrap();
        Self { _turn: turn, running, simulator, stop }
    }

    fn region(&self) -> &Region {
        &self.running.region
    }

    async fn stop(self) {
        self.stop.cancel();
        self.simulator.shutdown().await;
        self.running.stop().await;
    }
}

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Runs a client to its end; what it printed is the message when it fails.
async fn passes(command: &mut Command) {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(CLIENT_LIMIT, output).await.unwrap().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn python_libmaas_works_unmodified() {
    let Some(python) = peers::python("maas.client") else {
        return peers::skip("python-libmaas is not installed (pip install python-libmaas)");
    };
    let site = Site::start(3).await;
    let Region { region_url, api_key, .. } = site.region();
    let url = format!("{region_url}/MAAS/");
    passes(
        Command::new(python)
            .arg("-u")
            .arg(programs().join("libmaas.py"))
            .args([&url, api_key, ADMIN, PASSWORD]),
    )
    .await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jujus_gomaasapi_works_unmodified() {
    if !Path::new(GO_PACKAGES).join("src/github.com/juju/gomaasapi").exists() {
        return peers::skip("gomaasapi is not installed (golang-github-juju-gomaasapi-dev)");
    }
    let built = tempfile::tempdir().unwrap();
    let program = built.path().join("gomaasapi");
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&program).arg("main.go");
    go.current_dir(programs().join("gomaasapi"));
    go.env("GO111MODULE", "off").env("GOPATH", GO_PACKAGES).env("GOFLAGS", "");
    go.env("GOCACHE", built.path().join("cache"));
    passes(&mut go).await;

    let site = Site::start(2).await;
    let api = Api::new(site.region());
    for machine in api.enlisted(2).await {
        api.post(&format!("machines/{machine}/?op=commission"), &[]).await;
        api.wait_for_status(&machine, "Ready").await;
    }
    api.post("subnets/", &[("cidr", "10.66.0.0/24"), ("vlan", "5001")]).await;
    let Region { region_url, api_key, .. } = site.region();
    passes(Command::new(&program).args([&format!("{region_url}/MAAS/"), api_key])).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_schemathesis_makes_find_no_server_error() {
    let Some(python) = peers::python("schemathesis") else {
        return peers::skip("schemathesis is not installed (pip install schemathesis)");
    };
    let site = Site::start(2).await;
    Api::new(site.region()).enlisted(2).await;
    let Region { region_url, api_key, .. } = site.region();
    passes(
        Command::new(python)
            .arg("-u")
            .arg(programs().join("schema.py"))
            .args([region_url, api_key]),
    )
    .await;
    site.stop().await;
}
