//! Says what a machine's network shall be, checks it, and prints the netplan file for it.
//!
//! `cargo run -p maas-examples --example render_netplan`

use maas_netconfig::model::{BondMode, BondParams};
use maas_netconfig::{Dns, Interface, Kind, Link, Network, SourceRouting, Subnet, Vid, netplan};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = Network {
        interfaces: vec![
            Interface::physical("eno1".parse()?, "52:54:00:aa:00:01".parse()?),
            Interface::physical("eno2".parse()?, "52:54:00:aa:00:02".parse()?),
            Interface::new(
                "bond0".parse()?,
                Kind::Bond {
                    mac: None,
                    members: vec!["eno1".parse()?, "eno2".parse()?],
                    params: BondParams {
                        miimon: Some(100),
                        ..BondParams::new(BondMode::ActiveBackup)
                    },
                },
            )
            .with_link(Link::Static { subnet: "lab".into(), ip: "10.20.0.11".parse()? }),
            Interface::new(
                "bond0.300".parse()?,
                Kind::Vlan { link: "bond0".parse()?, vid: Vid::new(300)? },
            )
            .with_link(Link::DHCP),
        ],
        subnets: [(
            "lab".into(),
            Subnet {
                gateway: Some("10.20.0.1".parse()?),
                dns_servers: vec!["10.20.0.53".parse()?],
                ..Subnet::new("10.20.0.0/22".parse()?)
            },
        )]
        .into(),
        dns: Dns { servers: Vec::new(), search: vec!["lab.example".to_owned()] },
        ..Network::default()
    };

    for problem in network.validate() {
        eprintln!("{problem}");
    }
    // Refused, with every problem, when one of them is an error.
    let topology = network.resolve(SourceRouting::Off)?;
    let rendered = netplan::render(&topology);
    for loss in &rendered.losses {
        eprintln!("{loss}");
    }
    print!("{}", rendered.to_yaml());
    Ok(())
}
