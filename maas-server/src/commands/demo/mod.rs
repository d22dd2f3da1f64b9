//! `maas-server demo`: one simulated machine from an unknown netboot to Deployed.
//!
//! Mirror, region, rack and machine run in this process but talk over sockets only. Everything
//! they know lies below the data directory, so a demo that was killed at any moment goes on from
//! where it was: the demo looks at the machine's status and does what comes next.

mod artefacts;
mod client;
mod director;
mod files;
mod mirror;
mod progress;
mod state;
mod timeline;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use maas_core::machine::Role;
use maas_core::secret::Secret;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::client::Client;
use self::director::Director;
use self::mirror::Mirror;
use self::state::State;
use self::timeline::{Party, Style, Timeline};
use super::Failure;
use crate::cli::DemoArgs;
use crate::config::Config;
use crate::server::Server;
use crate::signals::Shutdown;
use crate::simulator::{self, Pace, Simulator};
use crate::store::Store;
use crate::{accounts, data_dir, entropy, log};

/// The user who deploys, and the one who comes too late.
const USER: &str = "alice";
const RIVAL: &str = "bob";

pub(super) async fn run(args: DemoArgs) -> Result<ExitCode, Failure> {
    let style = if args.json { Style::Json } else { Style::Human };
    let timeline = Arc::new(Timeline::new(style));
    // The timeline is the demo's log; what goes wrong underneath is still told.
    log::install(&args.log, crate::config::LogFormat::Text)?;
    let dir = match args.data_dir {
        Some(dir) => dir,
        None => std::env::temp_dir().join(format!("maas-demo-{}", entropy::letters_and_digits(8)?)),
    };
    let shutdown = Shutdown::listen();
    data_dir::prepare(&dir)?;
    let curtain = Curtain { keep: args.keep_serving, ..Curtain::default() };
    let play = play(&timeline, dir.clone(), &curtain);
    tokio::pin!(play);
    tokio::select! {
        ended = &mut play => ended,
        () = shutdown.requested() => {
            // Deployed and told so: this is the orderly end, not an interruption.
            if curtain.fallen.is_cancelled() {
                curtain.leave.cancel();
                return play.await;
            }
            let sentence = format!(
                "Interrupted. To go on: maas-server demo --data-dir '{}'",
                dir.display()
            );
            timeline.result("interrupted", &sentence, &[("data_dir", json!(dir))]);
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What happens after the last line of the play.
#[derive(Debug, Default)]
struct Curtain {
    /// Whether the server stays up.
    keep: bool,
    /// The result was told; nothing else is told after it.
    fallen: CancellationToken,
    /// The audience wants to go.
    leave: CancellationToken,
}

async fn play(
    timeline: &Arc<Timeline>,
    dir: PathBuf,
    curtain: &Curtain,
) -> Result<ExitCode, Failure> {
    let ended = stage(timeline, dir, curtain).await;
    if let Err(error) = &ended
        && !curtain.fallen.is_cancelled()
    {
        let reason = crate::with_causes(error.as_ref());
        timeline.result("failed", "The demo failed.", &[("reason", json!(reason))]);
        return Ok(ExitCode::FAILURE);
    }
    ended.map(|()| ExitCode::SUCCESS)
}

async fn stage(timeline: &Arc<Timeline>, dir: PathBuf, curtain: &Curtain) -> Result<(), Failure> {
    let state = State::load_or_create(&dir)?;
    let stop = CancellationToken::new();

    timeline.chapter("1 · A boot source: signed images over HTTP");
    let mirror = Mirror::open(&dir, timeline).await?;
    let mirror_url = mirror.serve(state.mirror_port, stop.clone()).await?;
    timeline.step(Party::Mirror, "serves", &mirror_url);

    timeline.chapter("2 · Region and rack");
    let server = Server::start(config(&dir, &state)).await?;
    let urls = (server.region_url(), server.rack_url());
    timeline.step(Party::Region, "serves", &format!("region {} · rack {}", urls.0, urls.1));
    let alice = user(server.store(), &urls.0, USER, Role::Admin).await?;
    let bob = user(server.store(), &urls.0, RIVAL, Role::User).await?;

    let director = Director::new(timeline, &server, alice, bob);
    director.images(&mirror_url, mirror.keyring()).await?;

    timeline.chapter("4 · An unknown machine netboots and enlists itself");
    let mut settings = simulator::Config::new(&urls.0, &urls.1)?;
    settings.machines = 1;
    settings.seed = state.seed;
    settings.power_listen = SocketAddr::from(([127, 0, 0, 1], state.power_port));
    settings.state_dir = Some(dir.join("simulator"));
    settings.pace = Pace::DEMO;
    let (events, happened) = mpsc::channel(1024);
    let simulator = Simulator::start(settings, events, stop.clone()).await?;
    let watcher = tokio::spawn(director::show_machine(Arc::clone(timeline), happened));

    let machine = director.direct().await?;
    artefacts::write(&dir, server.store(), &machine).await?;
    let sentence = format!(
        "Deployed in {:.1} s: {} runs {}/{} for {}.",
        Duration::from_millis(timeline.elapsed_ms()).as_secs_f64(),
        text(&machine["fqdn"]),
        text(&machine["osystem"]),
        text(&machine["distro_series"]),
        text(&machine["owner"]),
    );
    let facts = facts(&machine, &dir, curtain.keep.then_some((&server, &director)));
    timeline.result("deployed", &sentence, &facts);
    curtain.fallen.cancel();
    if curtain.keep {
        timeline.note("Serving until Ctrl-C.");
        curtain.leave.cancelled().await;
    }
    stop.cancel();
    simulator.shutdown().await;
    watcher.await?;
    server.shutdown().await;
    mirror.stopped().await;
    Ok(())
}

fn config(dir: &std::path::Path, state: &State) -> Config {
    Config {
        data_dir: dir.join("server"),
        region_listen: SocketAddr::from(([127, 0, 0, 1], state.region_port)),
        rack_listen: SocketAddr::from(([127, 0, 0, 1], state.rack_port)),
        // The demo synchronises when it comes to that; the default source is out of reach here.
        sync_interval: None,
        boot_source_url: None,
        ..Config::default()
    }
}

/// The user of that name with an API key, made unless it is there.
async fn user(
    store: &dyn Store,
    region_url: &str,
    name: &str,
    role: Role,
) -> Result<Client, Failure> {
    if store.user(name).await?.is_none() {
        let password = Secret::new(entropy::letters_and_digits(32)?);
        let email = format!("{name}@example.com");
        accounts::create(store, name, &email, role, &password).await?;
    }
    let key = accounts::first_api_key(store, name).await?;
    Ok(Client::new(region_url, key)?)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What somebody wants to know at the end, in the order in which it is read.
fn facts(
    machine: &Value,
    dir: &std::path::Path,
    serving: Option<(&Server, &Director<'_>)>,
) -> Vec<(&'static str, Value)> {
    let mut facts = Vec::new();
    for field in ["system_id", "hostname", "status_name", "owner", "osystem", "distro_series"] {
        facts.push((field, machine[field].clone()));
    }
    facts.push(("data_dir", json!(dir)));
    facts.push(("artefacts", json!(dir.join("artefacts"))));
    if let Some((server, director)) = serving {
        facts.push(("url", json!(format!("{}/MAAS/", server.region_url()))));
        facts.push(("rack_url", json!(server.rack_url())));
        facts.push(("user", json!(USER)));
        facts.push(("api_key", json!(director.api_key())));
    }
    facts
}
