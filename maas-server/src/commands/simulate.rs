//! `maas-server simulate`: simulated machines in a process of their own.

use std::io::Write;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Failure, say};
use crate::cli::SimulateArgs;
use crate::signals::Shutdown;
use crate::simulator::{Config, Pace, Simulator, SimulatorEvent};

pub(super) async fn run(args: SimulateArgs) -> Result<(), Failure> {
    let mut config = Config::new(&args.region, &args.rack)?;
    config.machines = args.machines;
    config.seed = args.seed;
    config.power_listen = args.power_listen;
    config.faults = args.faults;
    config.state_dir = args.state_dir;
    config.pace = Pace::INSTANT;

    let (stop, end) = (CancellationToken::new(), Shutdown::listen().requested());
    let (events, mut happened) = mpsc::channel(1024);
    let simulator = Simulator::start(config, events, stop.clone()).await?;
    if args.json {
        say(&serde_json::json!({"power_url": simulator.power_url()}).to_string())?;
    } else {
        say(&format!("power switches at {}/machines/MAC", simulator.power_url()))?;
    }
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            event = happened.recv() => match event {
                Some(event) => print(&event, args.json)?,
                None => break,
            },
        }
    }
    // Nobody reads events any more: whoever sends one must not wait.
    drop(happened);
    stop.cancel();
    simulator.shutdown().await;
    Ok(())
}

fn print(event: &SimulatorEvent, json: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, event)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}  {:<18} {}", event.machine, format!("{}", event.stage), event.detail)?;
    }
    Ok(())
}
