//! Translates a netplan file into a script that configures an ESXi host, and says what becomes of
//! the bond.
//!
//! `cargo run -p maas-examples --example netplan_to_esxi [FILE]`

use maas_netconfig::esxi::{self, Nics};
use maas_netconfig::netplan::{self, Unknown};

const SAMPLE: &str = r#"
network:
  version: 2
  ethernets:
    eno1: {match: {macaddress: "52:54:00:aa:00:01"}, set-name: eno1}
    eno2: {match: {macaddress: "52:54:00:aa:00:02"}, set-name: eno2}
  bonds:
    bond0:
      interfaces: [eno1, eno2]
      parameters: {mode: 802.3ad, lacp-rate: fast, transmit-hash-policy: layer3+4}
      addresses: [10.20.0.11/22]
      nameservers: {addresses: [10.20.0.53], search: [lab.example]}
      routes: [{to: default, via: 10.20.0.1}]
  vlans:
    bond0.300: {id: 300, link: bond0, dhcp4: true}
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = match std::env::args().nth(1) {
        Some(file) => std::fs::read_to_string(file)?,
        None => SAMPLE.to_owned(),
    };
    let parsed = netplan::parse(&text, Unknown::Refuse)?;
    // The cards are found on the host by their MAC addresses, before anything is changed there.
    let plan = esxi::plan(&parsed.topology, &Nics::AtRunTime)?;
    for problem in parsed.warnings.iter().chain(&plan.warnings) {
        eprintln!("{problem}");
    }
    for loss in &plan.losses {
        eprintln!("{loss}");
    }
    print!("{}", plan.shell());
    Ok(())
}
