//! Row B13: 64 interfaces as netplan, v1 and ESXi, beside PyYAML and serde_json in the same run.
//!
//! `cargo bench -p maas-netconfig --bench render`. Prints the CPU time of one rendering and the
//! two ratios that count; the exit status is 1 when a limit is missed.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use maas_netconfig::esxi::{Nics, plan};
use maas_netconfig::model::{BondMode, BondParams, BridgeParams, StaticRoute};
use maas_netconfig::{
    Dialect, Interface, Kind, Link, Network, SourceRouting, Subnet, Vid, netplan, v1, yaml,
};

/// At least so many times less CPU than PyYAML.
const PYYAML: f64 = 50.0;
/// At most so many times the CPU of serde_json writing the model.
const SERDE_JSON: f64 = 5.0;

fn network(bridges: usize) -> Network {
    let mut network = Network::default();
    for at in 0..8 {
        let cidr = format!("10.{}.0.0/16", 20 + at);
        let mut subnet = Subnet::new(cidr.parse().unwrap());
        subnet.gateway = Some(format!("10.{}.0.1", 20 + at).parse().unwrap());
        subnet.dns_servers = vec![format!("10.{}.0.2", 20 + at).parse().unwrap()];
        network.subnets.insert(format!("net{at}").into(), subnet);
        network.routes.push(StaticRoute {
            source: format!("net{at}").into(),
            destination: format!("172.{}.0.0/16", 16 + at).parse().unwrap(),
            gateway: format!("10.{}.0.254", 20 + at).parse().unwrap(),
            metric: 5,
        });
    }
    network.dns.search = vec!["lab.example".to_owned(), "maas".to_owned()];
    let mut host = 10;
    let mut link = || {
        host += 1;
        let net = host % 8;
        let ip = format!("10.{}.1.{host}", 20 + net).parse().unwrap();
        Link::Static { subnet: format!("net{net}").into(), ip }
    };
    let name = |text: String| text.parse::<maas_netconfig::IfName>().unwrap();
    for at in 0..32 {
        let mac = format!("52:54:00:aa:00:{at:02x}").parse().unwrap();
        let card = Interface::physical(name(format!("eno{at}")), mac);
        let free = at >= 16 + bridges;
        network.interfaces.push(if free { card.with_link(link()) } else { card });
    }
    for at in 0..8 {
        let members = vec![name(format!("eno{}", 2 * at)), name(format!("eno{}", 2 * at + 1))];
        let params = BondParams { miimon: Some(100), ..BondParams::new(BondMode::ActiveBackup) };
        let kind = Kind::Bond { mac: None, members, params };
        network.interfaces.push(Interface::new(name(format!("bond{at}")), kind).with_link(link()));
    }
    for at in 0..bridges {
        let members = vec![name(format!("eno{}", 16 + at))];
        let params =
            BridgeParams { stp: Some(false), forward_delay: Some(15), ..Default::default() };
        let kind = Kind::Bridge { mac: None, members, bridge: Default::default(), params };
        network.interfaces.push(Interface::new(name(format!("br{at}")), kind).with_link(link()));
    }
    for at in 0..64 - network.interfaces.len() {
        let (bond, vid) = (at % 8, 100 + at);
        let kind = Kind::Vlan {
            link: name(format!("bond{bond}")),
            vid: Vid::new(u16::try_from(vid).unwrap()).unwrap(),
        };
        let vlan = Interface::new(name(format!("bond{bond}.{vid}")), kind);
        network.interfaces.push(vlan.with_link(link()));
    }
    assert_eq!(network.interfaces.len(), 64);
    network
}

/// Microseconds of one call: the best of several rounds, so that other load does not count.
fn time(mut work: impl FnMut() -> usize) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        let rounds = 30;
        for _ in 0..rounds {
            black_box(work());
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
    }
    best
}

/// Microseconds of PyYAML's `safe_dump` of the same data, where there is a PyYAML.
fn pyyaml(document: &yaml::Value) -> Option<f64> {
    let program = "
import json, sys, time, yaml
data = json.load(sys.stdin)
best = 1e9
for _ in range(7):
    start = time.process_time()
    yaml.safe_dump(data)
    best = min(best, time.process_time() - start)
print(best * 1e6)
";
    for python in ["/usr/bin/python3", "python3"] {
        let child = Command::new(python)
            .args(["-c", program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = child else { continue };
        child.stdin.take()?.write_all(serde_json::to_string(document).ok()?.as_bytes()).ok();
        let output = child.wait_with_output().ok()?;
        if let Ok(micros) = String::from_utf8_lossy(&output.stdout).trim().parse() {
            return Some(micros);
        }
    }
    None
}

fn main() -> ExitCode {
    let (mixed, bare) = (network(8), network(0));
    let topology = mixed.resolve(SourceRouting::Off).unwrap();
    let bare_topology = bare.resolve(SourceRouting::Off).unwrap();
    let json = time(|| serde_json::to_string(&mixed).unwrap().len());
    println!("serde_json of the model            {json:9.1} us");
    println!(
        "validate and resolve               {:9.1} us",
        time(|| { mixed.resolve(SourceRouting::Off).unwrap().devices.len() })
    );
    println!(
        "esxi: the plan alone               {:9.1} us",
        time(|| { plan(&bare_topology, &Nics::AtRunTime).unwrap().switches.len() })
    );
    let esxi = plan(&bare_topology, &Nics::AtRunTime).unwrap();
    let rows = [
        (
            "netplan",
            time(|| netplan::render(&topology).to_yaml().len()),
            netplan::render(&topology).document,
        ),
        (
            "v1",
            time(|| v1::render(&topology, Dialect::Maas).to_yaml().len()),
            v1::render(&topology, Dialect::Maas).document,
        ),
        (
            "esxi",
            time(|| plan(&bare_topology, &Nics::AtRunTime).unwrap().shell().len()),
            serde_json::to_value(&esxi).unwrap().into(),
        ),
    ];
    let mut kept = true;
    for (what, ours, document) in rows {
        let to_json = ours / json;
        let to_python = pyyaml(&document).map(|theirs| theirs / ours);
        let python = to_python
            .map_or("SKIPPED: PyYAML".to_owned(), |ratio| format!("{ratio:6.0}x less than PyYAML"));
        println!("{what:10} {ours:9.1} us   {python}   {to_json:5.2}x serde_json");
        kept &= to_json <= SERDE_JSON && to_python.is_none_or(|ratio| ratio >= PYYAML);
    }
    println!(
        "limits: at least {PYYAML}x less than PyYAML, at most {SERDE_JSON}x serde_json: {}",
        if kept { "kept" } else { "MISSED" }
    );
    if kept { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
