//! Reads a version 1 network configuration (or a whole curtin configuration with one in it) and
//! lists what is wrong with it, with line and column, and what each kind of system would lose.
//!
//! `cargo run -p maas-examples --example check_v1 [FILE]`

use maas_netconfig::{TargetOs, v1};

const SAMPLE: &str = r#"
network:
  version: 1
  config:
  - type: physical
    name: eno1
    mac_address: "52:54:00:aa:00:01"
    subnets:
    - {type: dhcp}
  - type: bridge
    name: br0
    bridge_interfaces: [eno1]
    params: {bridge_stp: 0, colour: red}
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = match std::env::args().nth(1) {
        Some(file) => std::fs::read_to_string(file)?,
        None => SAMPLE.to_owned(),
    };
    let parsed = match v1::parse(&text) {
        Ok(parsed) => parsed,
        Err(refused) => {
            for problem in &refused.problems {
                println!("{problem}");
            }
            return Err("the configuration cannot be used".into());
        }
    };
    for problem in &parsed.warnings {
        println!("{problem}");
    }
    for target in [TargetOs::Ubuntu, TargetOs::Esxi, TargetOs::Other] {
        let (problems, losses) = target.check(&parsed.topology);
        println!("{target}: {} problems, {} losses", problems.len(), losses.len());
        for problem in problems {
            println!("  {problem}");
        }
        for loss in losses {
            println!("  {loss}");
        }
    }
    Ok(())
}
