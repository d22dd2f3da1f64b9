#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn subnet() -> Subnet {
    let mut subnet =
        Subnet::new("eth1", "10.0.0.0/24".parse().unwrap(), "10.0.0.1".parse().unwrap());
    subnet.ranges.push("10.0.0.100-10.0.0.199".parse().unwrap());
    subnet.reservations.push(Reservation {
        mac: "52:54:00:00:00:01".to_owned(),
        address: "10.0.0.50".parse().unwrap(),
        hostname: Some("node-1".to_owned()),
    });
    subnet.gateway = Some("10.0.0.254".parse().unwrap());
    subnet.dns_servers = vec!["10.0.0.2".parse().unwrap(), "10.0.0.3".parse().unwrap()];
    subnet.domain = Some("maas".to_owned());
    subnet.mtu = Some(9000);
    subnet
}

fn plan() -> DhcpPlan {
    let mut plan = DhcpPlan::new(vec![subnet()]);
    plan.loaders = ["lpxelinux.0", "ldlinux.c32", "bootx64.efi", "grubx64.efi", "bootaa64.efi"]
        .map(str::to_owned)
        .into();
    plan
}

fn dnsmasq(plan: &DhcpPlan) -> String {
    dnsmasq::render(plan, Path::new("/var/lib/leases")).unwrap()
}

#[test]
fn every_architecture_is_told_its_own_loader() {
    let text = dnsmasq(&plan());
    for line in [
        "dhcp-boot=tag:s0,tag:ipxe,http://10.0.0.1:5248/ipxe.cfg,,10.0.0.1",
        "dhcp-boot=tag:s0,tag:pxe,tag:!ipxe,lpxelinux.0,,10.0.0.1",
        "dhcp-option-force=tag:s0,tag:pxe,tag:!ipxe,210,http://10.0.0.1:5248/",
        "dhcp-match=set:uefi_amd64_tftp,option:client-arch,7",
        "dhcp-boot=tag:s0,tag:uefi_amd64_tftp,tag:!ipxe,bootx64.efi,,10.0.0.1",
        "dhcp-boot=tag:s0,tag:uefi_ebc_tftp,tag:!ipxe,bootx64.efi,,10.0.0.1",
        "dhcp-boot=tag:s0,tag:uefi_amd64_http,tag:!ipxe,\
         http://10.0.0.1:5248/images/bootx64.efi,,10.0.0.1",
        "dhcp-option-force=tag:s0,tag:uefi_amd64_http,tag:!ipxe,option:vendor-class,HTTPClient",
        "dhcp-boot=tag:s0,tag:uefi_arm64_tftp,tag:!ipxe,bootaa64.efi,,10.0.0.1",
        "dhcp-boot=tag:s0,tag:powernv,tag:!ipxe,pxelinux.0,,10.0.0.1",
        "dhcp-option=tag:s0,tag:powernv,tag:!ipxe,210,ppc64el/",
        "dhcp-boot=tag:s0,tag:s390x_partition,tag:!ipxe,s390x_partition/maas,,10.0.0.1",
        "dhcp-range=set:s0,10.0.0.100,10.0.0.199,255.255.255.0,600",
        "dhcp-host=52:54:00:00:00:01,10.0.0.50,node-1",
        "dhcp-option=tag:s0,option:router,10.0.0.254",
        "dhcp-option=tag:s0,option:dns-server,10.0.0.2,10.0.0.3",
        "dhcp-option=tag:s0,option:mtu,9000",
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\n---\n{text}");
    }
    assert!(!text.contains("bootppc64.bin"), "it is not there");
}

#[test]
fn a_loader_that_is_not_there_is_not_advertised_and_ipxe_stands_in() {
    let mut plan = plan();
    plan.loaders = ["bootx64.efi", "ipxe.efi", "undionly.kpxe"].map(str::to_owned).into();
    let text = dnsmasq(&plan);
    assert!(text.contains("tag:uefi_amd64_tftp,tag:!ipxe,ipxe.efi,"), "shim without GRUB: {text}");
    assert!(text.contains("tag:pxe,tag:!ipxe,undionly.kpxe,"));
    assert!(!text.contains("210,http"), "undionly.kpxe reads no path prefix");
    assert!(!text.contains("bootaa64"));
    plan.loaders.clear();
    assert!(!dnsmasq(&plan).contains(".efi"));
}

#[test]
fn a_disabled_architecture_is_told_nothing() {
    let mut plan = plan();
    plan.subnets[0].disabled.insert(BootMethod::named("uefi_amd64_http").unwrap());
    let text = dnsmasq(&plan);
    assert!(!text.contains("images/bootx64.efi") && text.contains("!ipxe,bootx64.efi"));
}

#[test]
fn where_ipxe_is_disabled_it_is_told_what_its_firmware_would_be() {
    let mut plan = plan();
    plan.subnets[0].disabled.insert(BootMethod::Ipxe);
    let text = dnsmasq(&plan);
    assert!(text.contains("dhcp-boot=tag:s0,tag:pxe,lpxelinux.0,,10.0.0.1"), "{text}");
    assert!(!text.contains("ipxe.cfg") && !text.contains("tag:!ipxe"));
    assert!(!isc::render(&plan).unwrap().contains("user-class"));
    assert!(!kea::render(&plan).unwrap().contains("option[77]"));
}

#[test]
fn beside_a_foreign_server_no_address_is_given_out() {
    let mut plan = plan();
    plan.subnets[0].role = SubnetRole::Proxy;
    let text = dnsmasq(&plan);
    assert!(text.contains("dhcp-range=set:s0,10.0.0.0,proxy,255.255.255.0"));
    assert!(text.contains("pxe-service=tag:s0,tag:!ipxe,0,\"MAAS\",lpxelinux.0,10.0.0.1"));
    assert!(text.contains("pxe-service=tag:s0,tag:!ipxe,7,\"MAAS\",bootx64.efi,10.0.0.1"));
    assert!(!text.contains("dhcp-host") && !text.contains("authoritative"));
    plan.loaders.insert("ipxe.efi".to_owned());
    assert!(dnsmasq(&plan).contains("pxe-service=tag:s0,tag:!ipxe,7,\"MAAS\",ipxe.efi,10.0.0.1"));
    assert!(!isc::render(&plan).unwrap().contains("subnet 10"));
    assert!(!kea::render(&plan).unwrap().contains("10.0.0"));
}

#[test]
fn isc_and_kea_say_the_same() {
    let isc = isc::render(&plan()).unwrap();
    for part in [
        "option user-class = \"iPXE\"",
        "elsif option arch = 00:10 {\n    filename \"http://10.0.0.1:5248/images/bootx64.efi\";\n    \
         option vendor-class-identifier \"HTTPClient\";",
        "concat(option dhcp-parameter-request-list, d2)",
        "pool { range 10.0.0.100 10.0.0.199; }",
        "hardware ethernet 52:54:00:00:00:01; fixed-address 10.0.0.50;",
    ] {
        assert!(isc.contains(part), "{part}\n---\n{isc}");
    }
    let kea: serde_json::Value = serde_json::from_str(&kea::render(&plan()).unwrap()).unwrap();
    let classes = kea["Dhcp4"]["client-classes"].as_array().unwrap();
    let http = classes.iter().find(|class| class["name"] == "uefi_amd64_http-1").unwrap();
    assert_eq!(http["boot-file-name"], "http://10.0.0.1:5248/images/bootx64.efi");
    assert_eq!(kea["Dhcp4"]["subnet4"][0]["pools"][0]["pool"], "10.0.0.100 - 10.0.0.199");
    let required = kea["Dhcp4"]["subnet4"][0]["require-client-classes"].as_array().unwrap();
    assert_eq!(required.len(), classes.len());
}

#[test]
fn plans_that_no_server_should_run_with_are_refused_by_what_is_wrong() {
    let refused = |change: fn(&mut DhcpPlan)| {
        let mut plan = plan();
        change(&mut plan);
        plan.check().unwrap_err().to_string()
    };
    type Case = (fn(&mut DhcpPlan), &'static str);
    let cases: [Case; 13] = [
        (|p| p.subnets[0].interface = "eth1\ndhcp-script=/x".into(), "interface"),
        (|p| p.subnets[0].domain = Some("a,b".into()), "domain"),
        (|p| p.subnets[0].search = vec!["a\"b".into()], "search"),
        (|p| p.subnets[0].reservations[0].hostname = Some("a b".into()), "hostname"),
        (|p| p.subnets[0].gateway = Some("10.0.1.1".parse().unwrap()), "gateway 10.0.1.1"),
        (|p| p.subnets[0].rack = "10.0.0.255".parse().unwrap(), "rack 10.0.0.255"),
        (|p| p.subnets[0].ranges.push("10.0.0.9-10.0.0.8".parse().unwrap()), "upside down"),
        (|p| p.subnets[0].ranges.push("10.0.0.150-10.0.0.160".parse().unwrap()), "10.0.0.150"),
        (|p| p.subnets[0].rack = "10.0.0.100".parse().unwrap(), "10.0.0.100 would"),
        (|p| p.subnets[0].reservations[0].mac = "52-54-00-00-00-01".into(), "MAC"),
        (|p| p.subnets.push(subnet()), "overlap"),
        (
            |p| {
                p.subnets[0].ranges.clear();
                p.subnets[0].reservations.clear();
            },
            "neither",
        ),
        (|p| p.subnets[0].lease_seconds = 1, "lease of 1"),
    ];
    for (change, words) in cases {
        let error = refused(change);
        assert!(error.contains(words), "{words}: {error}");
    }
    plan().check().unwrap();
}

#[test]
fn leases_are_read_and_their_changes_found() {
    let before = parse_leases(
        "1700000600 52:54:00:00:00:01 10.0.0.101 node-1 01:52:54:00:00:00:01\n\
         1700000600 52:54:00:00:00:02 10.0.0.102 * *\n\
         duid 00:01:00:01\n\
         1700000600 52:54:00:00:00:03 10.0.0.10",
    );
    assert_eq!(before.len(), 2);
    assert_eq!(before[0].hostname.as_deref(), Some("node-1"));
    let now = parse_leases(
        "1700001200 52:54:00:00:00:01 10.0.0.101 node-1 *\n\
         0 52:54:00:00:00:09 10.0.0.102 * *\n",
    );
    let changes = lease_changes(&before, &now);
    let shown: Vec<String> = changes
        .iter()
        .map(|change| match change {
            LeaseChange::Commit(lease) => format!("+{} {}", lease.address, &lease.mac[15..]),
            LeaseChange::Release(lease) => format!("-{} {}", lease.address, &lease.mac[15..]),
        })
        .collect();
    assert_eq!(shown, ["-10.0.0.102 02", "+10.0.0.101 01", "+10.0.0.102 09"]);
    assert_eq!(now[1].expires, None);
    assert!(lease_changes(&now, &now).is_empty());
}

fn any_plan() -> impl Strategy<Value = DhcpPlan> {
    let address = (0_u32..256).prop_map(|low| Ipv4Addr::from(0x0a00_0000 + low));
    let range = (address.clone(), address.clone());
    let names =
        prop_oneof![3 => "[a-z][a-z0-9.-]{0,8}", 1 => "\\PC{0,6}", 1 => Just("a\nb".to_owned())];
    let reservation = (any::<[u8; 6]>(), address.clone(), proptest::option::of(names.clone()));
    (
        names.clone(),
        proptest::collection::vec(range, 0..3),
        proptest::collection::vec(reservation, 0..3),
        address,
        proptest::option::of(names),
        any::<bool>(),
    )
        .prop_map(|(interface, ranges, reservations, rack, domain, proxy)| {
            let mut subnet = Subnet::new(interface, "10.0.0.0/24".parse().unwrap(), rack);
            subnet.role = if proxy { SubnetRole::Proxy } else { SubnetRole::Serve };
            subnet.ranges =
                ranges.into_iter().map(|(first, last)| AddressRange { first, last }).collect();
            subnet.reservations = reservations
                .into_iter()
                .map(|(mac, address, hostname)| Reservation {
                    mac: mac.map(|octet| format!("{octet:02x}")).join(":"),
                    address,
                    hostname,
                })
                .collect();
            subnet.domain = domain;
            DhcpPlan { loaders: plan().loaders, ..DhcpPlan::new(vec![subnet]) }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_rendered_gives_no_address_twice_and_has_no_foreign_line(plan in any_plan()) {
        let Ok(text) = dnsmasq::render(&plan, Path::new("/leases")) else {
            prop_assert!(plan.check().is_err());
            prop_assert!(isc::render(&plan).is_err() && kea::render(&plan).is_err());
            return Ok(());
        };
        let known = [
            "#", "port=", "no-", "bind-", "except-interface=lo", "interface=", "dhcp-leasefile=",
            "dhcp-ignore-clid", "dhcp-no-override", "dhcp-authoritative", "dhcp-userclass=",
            "dhcp-match=", "dhcp-vendorclass=", "tag-if=", "dhcp-range=", "dhcp-host=",
            "dhcp-option", "dhcp-boot=", "pxe-service=",
        ];
        for line in text.lines().filter(|line| !line.is_empty()) {
            prop_assert!(known.iter().any(|start| line.starts_with(start)), "{}", line);
        }
        let subnet = &plan.subnets[0];
        if subnet.role == SubnetRole::Serve {
            let mut given = BTreeSet::new();
            for range in &subnet.ranges {
                for address in u32::from(range.first)..=u32::from(range.last) {
                    prop_assert!(given.insert(address));
                }
            }
            prop_assert!(!given.contains(&u32::from(subnet.rack)));
        }
        isc::render(&plan).unwrap();
        kea::render(&plan).unwrap();
    }

    #[test]
    fn lease_files_never_make_it_panic(text in "(\\PC|[ \n0-9:*]){0,200}") {
        let leases = parse_leases(&text);
        let news = lease_changes(&[], &leases).len();
        prop_assert!(news <= leases.len());
    }
}
