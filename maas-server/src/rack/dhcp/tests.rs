#![allow(clippy::unwrap_used)]

use std::process::Command;

use maas_core::dhcp::{BootMethod, Reservation, Subnet, SubnetRole, isc, kea};

use super::*;

fn plan() -> DhcpPlan {
    let mut served =
        Subnet::new("lo", "127.1.0.0/24".parse().unwrap(), "127.1.0.1".parse().unwrap());
    served.ranges.push("127.1.0.100-127.1.0.200".parse().unwrap());
    served.reservations.push(Reservation {
        mac: "52:54:00:00:00:01".to_owned(),
        address: "127.1.0.9".parse().unwrap(),
        hostname: Some("node".to_owned()),
    });
    served.gateway = Some("127.1.0.254".parse().unwrap());
    served.dns_servers = vec!["127.1.0.2".parse().unwrap()];
    served.ntp_servers = vec!["127.1.0.3".parse().unwrap()];
    served.domain = Some("maas".to_owned());
    served.search = vec!["maas".to_owned(), "example.org".to_owned()];
    served.mtu = Some(9000);
    let mut beside =
        Subnet::new("lo", "127.2.0.0/16".parse().unwrap(), "127.2.0.1".parse().unwrap());
    beside.role = SubnetRole::Proxy;
    let mut plan = DhcpPlan::new(vec![served, beside]);
    plan.loaders = maas_core::boot::bootloader_names().map(|(name, _)| name.to_owned()).collect();
    plan
}

/// Has a real server read a configuration; prints a line and returns when it is not installed.
fn accepted_by(program: &str, arguments: &[&str], text: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("configuration");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let arguments: Vec<String> =
        arguments.iter().map(|argument| argument.replace("FILE", file)).collect();
    match Command::new(program).args(&arguments).output() {
        Err(_) => eprintln!("skipped: {program} is not installed"),
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(output.status.success(), "{program}: {said}\n---\n{text}");
        }
    }
}

#[test]
fn the_real_servers_read_what_is_written_for_them() {
    let plan = plan();
    let dnsmasq_text = dnsmasq::render(&plan, Path::new("/nowhere/leases")).unwrap();
    accepted_by("dnsmasq", &["--test", "--conf-file=FILE"], &dnsmasq_text);
    let isc_text = isc::render(&plan).unwrap();
    accepted_by("dhcpd", &["-t", "-cf", "FILE"], &isc_text);
    accepted_by("kea-dhcp4", &["-t", "FILE"], &kea::render(&plan).unwrap());
    for method in BootMethod::ALL {
        let boots = method.boot_file(&plan.loaders, plan.subnets[0].rack, 5248).unwrap();
        assert!(isc_text.contains(boots.as_str()), "{method:?}");
    }
}

#[tokio::test]
async fn a_configuration_that_dnsmasq_refuses_leaves_the_one_before_in_place() {
    if Command::new("dnsmasq").arg("--version").output().is_err() {
        eprintln!("skipped: dnsmasq is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (_sender, receiver) = watch::channel(plan());
    let loaders = Arc::new(Mutex::new(Loaders::new(dir.path(), None)));
    let dhcp = Dhcp::prepare(dir.path().join("dhcp"), receiver, loaders).await.unwrap();
    let before = std::fs::read_to_string(dhcp.configuration_file()).unwrap();
    assert!(before.contains("127.1.0.100") && !before.contains("bootx64.efi"), "{before}");
    let refused = dhcp.accept("dhcp-range=nonsense\n").await;
    assert!(matches!(refused, Err(DhcpError::Refused { .. })), "{refused:?}");
    assert_eq!(std::fs::read_to_string(dhcp.configuration_file()).unwrap(), before);
}

#[tokio::test]
async fn leases_are_told_as_they_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let dhcp = Dhcp {
        dir: dir.path().to_owned(),
        plan: watch::channel(plan()).1,
        loaders: Arc::new(Mutex::new(Loaders::new(dir.path(), None))),
        leases: watch::Sender::default(),
        status: watch::Sender::default(),
        refused_text: None,
    };
    let mut leases = dhcp.leases();
    dhcp.read_leases();
    assert!(!leases.has_changed().unwrap());
    std::fs::write(dhcp.lease_file(), "9 52:54:00:00:00:01 10.0.0.9 node *\n").unwrap();
    dhcp.read_leases();
    assert_eq!(leases.borrow_and_update()[0].mac, "52:54:00:00:00:01");
    dhcp.read_leases();
    assert!(!leases.has_changed().unwrap());
    std::fs::write(dhcp.lease_file(), "").unwrap();
    dhcp.read_leases();
    assert!(leases.borrow_and_update().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_leaves_the_running_one_and_says_why_until_a_good_one_comes() {
    if Command::new("dnsmasq").arg("--version").output().is_err() {
        eprintln!("skipped: dnsmasq is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (sender, receiver) = watch::channel(DhcpPlan::new(Vec::new()));
    let loaders = Arc::new(Mutex::new(Loaders::new(dir.path(), None)));
    let mut dhcp = Dhcp::prepare(dir.path().join("dhcp"), receiver, loaders).await.unwrap();
    assert!(!dhcp.serves(), "nothing is served before anything is asked for");
    let mut accepted = dhcp.configuration().await.unwrap();
    assert!(!dhcp.has_changed(&mut accepted).await);

    sender.send_replace(plan());
    assert!(dhcp.has_changed(&mut accepted).await && dhcp.serves());
    let before = std::fs::read_to_string(dhcp.configuration_file()).unwrap();
    assert!(before.contains("127.1.0.100"));

    let mut bad = plan();
    bad.subnets[0].gateway = Some("127.1.0.150".parse().unwrap());
    sender.send_replace(bad);
    assert!(!dhcp.has_changed(&mut accepted).await);
    let status = dhcp.status.borrow().clone();
    assert!(matches!(&status, DhcpStatus::Refused(why) if why.contains("127.1.0.150")));
    assert_eq!(std::fs::read_to_string(dhcp.configuration_file()).unwrap(), before);
    sender.send_replace(plan());
    assert!(!dhcp.has_changed(&mut accepted).await, "that one is running");
    assert_eq!(*dhcp.status.borrow(), DhcpStatus::Running);
}
