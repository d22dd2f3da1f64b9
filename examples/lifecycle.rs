//! Walks one machine from enlistment to deployment and back, and prints what each step decides.
//!
//! `cargo run -p maas-examples --example lifecycle`

use std::error::Error;
use std::time::Duration;

use maas_core::id::SystemId;
use maas_core::machine::{
    Actor, Context, DeploymentSummary, Enlistment, Erase, Event, Machine, NewMachine,
    NodeCredentials, PowerState, Report, ReportPhase, Role, SignalStatus, lifecycle,
};
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

fn main() -> Result<(), Box<dyn Error>> {
    let start = Timestamp::from_seconds(1_800_000_000);
    let mut new = NewMachine::new(SystemId::from_entropy(42), "node-1", "amd64", credentials(0));
    new.mac_addresses = vec!["52:54:00:12:34:56".into()];
    new.power_driver = "webhook".into();
    let mut machine = Machine::enlisted(new, Enlistment::WithCommissioning, start)?;
    println!("{:<14} {} enlisted itself", machine.status.to_string(), machine.hostname);

    let admin = Actor { username: "admin".into(), role: Role::Admin };
    let ann = Actor { username: "ann".into(), role: Role::User };
    let events = [
        // The ephemeral OS in which it enlisted itself goes on with commissioning.
        signal(SignalStatus::Commissioning),
        signal(SignalStatus::Ok),
        // An administrator commissions it thoroughly.
        Event::Commission {
            actor: admin,
            enable_ssh: false,
            skip_networking: false,
            scripts: Vec::new(),
        },
        boot(),
        signal(SignalStatus::Working),
        signal(SignalStatus::Ok),
        Event::PowerReported { state: PowerState::Off },
        // A user takes and deploys it.
        Event::Allocate { actor: ann.clone(), agent_name: String::new(), comment: "mine".into() },
        Event::Deploy {
            actor: ann.clone(),
            deployment: Box::new(DeploymentSummary {
                osystem: "ubuntu".into(),
                distro_series: "noble".into(),
                hwe_kernel: String::new(),
                ephemeral: false,
                plan_digest: String::new(),
                arrival: maas_core::machine::Arrival::UserData,
            }),
            scripts: Vec::new(),
            comment: String::new(),
        },
        boot(),
        report("cmd-install/stage-extract", ReportPhase::Start),
        report("cmd-install", ReportPhase::Success),
        Event::NetbootOff,
        boot(),
        Event::UserDataFetched,
        Event::Release {
            actor: ann,
            erase: Erase::Keep,
            scripts: Vec::new(),
            comment: "done".into(),
        },
        Event::PowerReported { state: PowerState::Off },
    ];
    for (event, number) in events.iter().zip(1..) {
        let context = Context {
            now: start.plus(Duration::from_secs(30 * number)),
            fresh_credentials: credentials(number),
            node_timeout: Duration::from_secs(30 * 60),
        };
        // A shell stores all three in one transaction and performs the effects afterwards.
        let outcome = lifecycle::apply(&machine, event, &context)?;
        machine = outcome.machine;
        let owner = machine.owner.as_deref().unwrap_or("nobody");
        println!("{:<14} owner {owner}", machine.status.to_string());
        for record in outcome.records {
            println!("    {}: {}", record.kind, record.description);
        }
        for effect in outcome.effects {
            println!("    -> {effect:?}");
        }
    }
    Ok(())
}

fn boot() -> Event {
    Event::BootRequested { boot_method: "uefi".into(), mac: None, rack: "10.0.0.2".into() }
}

fn signal(status: SignalStatus) -> Event {
    Event::Signal { status, error: String::new(), script: None, power: None, scripts: Vec::new() }
}

fn report(name: &str, phase: ReportPhase) -> Event {
    let (origin, name, description) = ("curtin".into(), name.into(), "installing".into());
    Event::Report(Report { origin, name, description, phase })
}

/// A server draws these at random for each decision.
fn credentials(number: u64) -> NodeCredentials {
    NodeCredentials {
        consumer_key: format!("consumer-{number}"),
        token_key: format!("token-{number}"),
        token_secret: Secret::new(format!("secret-{number}")),
    }
}
