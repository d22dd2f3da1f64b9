//! Interfaces, links and addresses over HTTP, from the form to what is rendered and stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;

use maas_core::ipam::Lease;
use maas_core::machine::hardware::{Interface, InterfaceAddress};
use maas_core::machine::interface::{Interfaces, NetworkFacts};
use maas_core::machine::{Machine, Role};
use serde_json::{Value, json};

use super::support::client::{Answer, Call, Key};
use super::support::server::Running;

fn card(name: &str, mac: &str, address: Option<&str>) -> Interface {
    Interface {
        name: name.to_owned(),
        mac_address: Some(mac.to_owned()),
        link_connected: true,
        interface_speed: 10_000,
        link_speed: 10_000,
        addresses: address
            .map(|address| InterfaceAddress { address: address.parse().unwrap(), prefix: 24 })
            .into_iter()
            .collect(),
        ..Interface::default()
    }
}

/// A machine that is ready, with these cards and a switch that nobody asks.
fn add(running: &Running, number: u32, cards: Vec<Interface>) -> Machine {
    let mut machine = running.add_ready_machine(number);
    let id = machine.system_id.clone();
    machine.hardware.interfaces = cards;
    let macs: BTreeSet<String> =
        machine.hardware.interfaces.iter().filter_map(|card| card.mac_address.clone()).collect();
    Call::new("DELETE", format!("/MAAS/api/2.0/machines/{id}/"))
        .signed(&running.admin)
        .send(running.region)
        .ok();
    running.add_machine(|new| {
        new.status = machine.status;
        new.previous_status = machine.previous_status;
        new.hardware = machine.hardware.clone();
        new.mac_addresses = macs;
        new.power.driver = "manual".to_owned();
        new.interfaces = Interfaces::default().into();
        new.ensure_interfaces(&NetworkFacts::default());
    })
}

fn subnet(running: &Running, cidr: &str, gateway: &str, vlan: u64) -> u64 {
    let vlan = vlan.to_string();
    let mut fields = vec![("cidr", cidr), ("vlan", &vlan), ("dns_servers", "10.40.0.53")];
    if !gateway.is_empty() {
        fields.push(("gateway_ip", gateway));
    }
    running.post("subnets/", &fields).ok().json()["id"].as_u64().unwrap()
}

fn vlan(running: &Running, vid: u16, mtu: u32) -> u64 {
    let (vid, mtu) = (vid.to_string(), mtu.to_string());
    let made = running.post("fabrics/0/vlans/", &[("vid", &vid), ("mtu", &mtu), ("name", "t")]);
    made.ok().json()["id"].as_u64().unwrap()
}

fn interface<'a>(of: &'a Value, name: &str) -> &'a Value {
    of.as_array().unwrap().iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("{name}"))
}

fn leases(running: &Running) -> BTreeMap<String, String> {
    let store = running.server().store();
    let all = running.runtime.block_on(store.list::<Lease>()).unwrap();
    all.into_iter()
        .map(|lease| {
            let holder = lease.value.holder.system_id().map(ToString::to_string);
            (lease.value.ip.to_string(), holder.unwrap_or_default())
        })
        .collect()
}

/// Every key that a strict client asks of an interface (`api.md` §3.2), and none that is null
/// where it must be absent.
fn check_schema(interface: &Value) {
    for key in ["resource_uri", "name", "type"] {
        assert!(interface[key].is_string(), "{key}: {interface}");
    }
    for key in ["id", "effective_mtu"] {
        assert!(interface[key].is_u64(), "{key}: {interface}");
    }
    for key in ["links", "parents", "children", "tags"] {
        assert!(interface[key].is_array(), "{key}: {interface}");
    }
    assert!(interface["enabled"].is_boolean());
    for link in interface["links"].as_array().unwrap() {
        assert!(link["id"].is_u64() && link["mode"].is_string());
        for key in ["ip_address", "subnet"] {
            assert!(link.get(key).is_none_or(|value| !value.is_null()), "{key}: {link}");
        }
        if let Some(subnet) = link.get("subnet") {
            for key in ["resource_uri", "name", "space", "cidr"] {
                assert!(subnet[key].is_string(), "{key}: {subnet}");
            }
            assert!(subnet["vlan"].is_object() && subnet["id"].is_u64());
        }
    }
    if !interface["vlan"].is_null() {
        let vlan = &interface["vlan"];
        assert!(vlan["fabric"].is_string() && vlan["vid"].is_u64() && vlan["mtu"].is_u64());
        assert!(vlan["dhcp_on"].is_boolean() && vlan["id"].is_u64());
    }
}

#[test]
fn bonds_vlans_bridges_and_links_come_out_as_netplan() {
    let running = Running::with_images(|_| {});
    let first = subnet(&running, "10.40.0.0/24", "10.40.0.1", 5001);
    let tagged = vlan(&running, 40, 9000);
    let second = subnet(&running, "10.41.0.0/24", "", tagged);
    let machine = add(
        &running,
        1,
        vec![
            card("eno1", "52:54:00:40:00:01", None),
            card("eno2", "52:54:00:40:00:02", None),
            card("eno3", "52:54:00:40:00:03", None),
        ],
    );
    let id = machine.system_id.to_string();
    let root = format!("nodes/{id}/interfaces/");
    let of = |path: &str| format!("{root}{path}");
    let listed = running.read(&root);
    let (one, two) = (interface(&listed, "eno2")["id"].to_string(), interface(&listed, "eno3"));
    let bond = running
        .post(
            &of("?op=create_bond"),
            &[
                ("name", "bond0"),
                ("parents", &one),
                ("parents", &two["id"].to_string()),
                ("bond_mode", "802.3ad"),
            ],
        )
        .ok()
        .json();
    assert_eq!(bond["type"], "bond");
    assert_eq!(bond["params"]["bond_mode"], "802.3ad");
    assert_eq!(bond["params"]["bond_miimon"], 100);
    assert_eq!(bond["parents"], json!(["eno2", "eno3"]));
    let carried = running
        .post(
            &of("?op=create_vlan"),
            &[("parent", &bond["id"].to_string()), ("vlan", &tagged.to_string())],
        )
        .ok()
        .json();
    assert_eq!((&carried["name"], &carried["vlan"]["vid"]), (&json!("bond0.40"), &json!(40)));
    let bridge = running
        .post(&of("?op=create_bridge"), &[("name", "br0"), ("parent", "bond0.40")])
        .ok()
        .json();
    assert_eq!(bridge["params"]["bridge_fd"], 15);
    let linked = running
        .post(
            &of("br0/?op=link_subnet"),
            &[
                ("mode", "STATIC"),
                ("subnet", &second.to_string()),
                ("ip_address", "10.41.0.9"),
                ("default_gateway", "false"),
            ],
        )
        .ok()
        .json();
    assert_eq!(linked["links"][0]["ip_address"], "10.41.0.9");
    let eno1 = interface(&listed, "eno1")["id"].to_string();
    let dhcp = interface(&listed, "eno1")["links"][0]["id"].to_string();
    running.post(&of(&format!("{eno1}/?op=unlink_subnet")), &[("id", &dhcp)]).ok();
    running
        .post(
            &of(&format!("{eno1}/?op=link_subnet")),
            &[
                ("mode", "static"),
                ("subnet", &first.to_string()),
                ("ip_address", "10.40.0.9"),
                ("default_gateway", "true"),
            ],
        )
        .ok();
    for interface in running.read(&root).as_array().unwrap() {
        check_schema(interface);
    }
    let shown = running.read(&format!("machines/{id}/"));
    assert_eq!(shown["default_gateways"]["ipv4"]["gateway_ip"], "10.40.0.1");
    assert_eq!(shown["ip_addresses"], json!(["10.40.0.9", "10.41.0.9"]));
    assert_eq!(leases(&running).len(), 2);

    let preview = running.read(&format!("machines/{id}/?op=preview&ephemeral_deploy=true"));
    let expected = include_str!("interfaces/netplan.yaml");
    assert_eq!(preview["network"].as_str().unwrap(), expected);

    // Somebody else's address, and one that is no address of the subnet.
    let other = add(&running, 2, vec![card("eth0", "52:54:00:40:00:09", None)]);
    let path = format!("nodes/{}/interfaces/eth0/?op=link_subnet", other.system_id);
    for (ip, subnet) in [("10.40.0.9", first), ("10.99.0.1", first), ("10.40.0.1", first)] {
        let fields = [("mode", "STATIC"), ("subnet", &*subnet.to_string()), ("ip_address", ip)];
        let refused = running.post(&path, &fields);
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(refused.json()["ip_address"].is_array());
    }
    let refused = running.post(&path, &[("mode", "auto")]);
    assert_eq!(refused.json(), json!({"subnet": ["This field is required."]}));

    // A network that is given as a whole wins; taking it back frees every address.
    let whole = "{interfaces: [{name: eth0, type: physical, mac: '52:54:00:40:00:01', links: [{mode: dhcp}]}]}";
    running.post(&format!("machines/{id}/?op=set_network"), &[("network", whole)]).ok();
    let refused = running.post(&of("br0/?op=disconnect"), &[]);
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("restore_networking_configuration"));
    running.post(&format!("machines/{id}/?op=restore_networking_configuration"), &[]).ok();
    assert_eq!(running.read(&root).as_array().unwrap().len(), 3);
    assert!(leases(&running).is_empty());
}

#[test]
fn who_may_not_edit_is_told_so_and_states_that_forbid_it_are_409() {
    let running = Running::empty();
    let machine = add(&running, 1, vec![card("eth0", "52:54:00:40:01:01", None)]);
    let id = machine.system_id.to_string();
    let path = format!("/MAAS/api/2.0/nodes/{id}/interfaces/eth0/?op=disconnect");
    let user = running.user("ann", Role::User);
    assert_eq!(Call::post(&path, &[]).signed(&user).send(running.region).status, 403);
    running.post(&format!("machines/{id}/?op=mark_broken"), &[]).ok();
    Call::post(&path, &[]).signed(&running.admin).send(running.region).ok();
    let bare = |machine: &mut Machine| {
        machine.status = maas_core::machine::Status::Deployed;
        machine.mac_addresses = ["52:54:00:40:01:02".to_owned()].into();
        machine.interfaces = Interfaces::default().into();
        machine.ensure_interfaces(&NetworkFacts::default());
    };
    let deployed = running.add_machine(bare).system_id.to_string();
    let refused = running.post(&format!("nodes/{deployed}/interfaces/eth0/?op=disconnect"), &[]);
    assert_eq!(refused.status, 409);
    assert_eq!(
        refused.text(),
        "Cannot disconnect interface because the machine is not New, Ready, Allocated, or Broken."
    );
    let missing = running.post(&format!("nodes/{deployed}/interfaces/nope/?op=disconnect"), &[]);
    assert_eq!(missing.status, 404);
}

fn deploy_all(running: &Running, machines: &[Machine]) -> Vec<(String, Answer)> {
    let start = Barrier::new(machines.len());
    std::thread::scope(|scope| {
        let calls: Vec<_> = machines
            .iter()
            .map(|machine| {
                let (start, id) = (&start, machine.system_id.to_string());
                scope.spawn(move || {
                    let path = format!("/MAAS/api/2.0/machines/{id}/?op=deploy");
                    let call = Call::post(path, &[("ephemeral_deploy", "true")]);
                    let call = call.signed(&running.admin);
                    start.wait();
                    (id, call.send(running.region))
                })
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    })
}

fn fleet(running: &Running, count: u8) -> Vec<Machine> {
    (0..count)
        .map(|number| {
            let mac = format!("52:54:00:50:00:{number:02x}");
            add(running, u32::from(number) + 1, vec![card("eth0", &mac, None)])
        })
        .collect()
}

fn auto(running: &Running, machines: &[Machine], subnet: u64) {
    for machine in machines {
        let root = format!("nodes/{}/interfaces/", machine.system_id);
        let listed = running.read(&root);
        let link = interface(&listed, "eth0")["links"][0]["id"].to_string();
        running.post(&format!("{root}eth0/?op=unlink_subnet"), &[("id", &link)]).ok();
        let fields = [("mode", "AUTO"), ("subnet", &*subnet.to_string())];
        running.post(&format!("{root}eth0/?op=link_subnet"), &fields).ok();
    }
}

#[test]
fn thirty_two_machines_that_deploy_at_once_never_share_an_address_and_leave_none() {
    let running = Running::with_images(|_| {});
    let wide = subnet(&running, "10.50.0.0/26", "10.50.0.1", 5001);
    let machines = fleet(&running, 32);
    auto(&running, &machines, wide);
    let answers = deploy_all(&running, &machines);
    let mut given = BTreeMap::new();
    for (id, answer) in answers {
        let machine = answer.ok().json();
        let ip = machine["interface_set"][0]["links"][0]["ip_address"].as_str().unwrap();
        assert_eq!(machine["ip_addresses"], json!([ip]));
        assert_eq!(given.insert(ip.to_owned(), id), None, "{ip} was given twice");
    }
    assert_eq!(leases(&running), given, "what is shown is what is held");
    assert!(!given.contains_key("10.50.0.1"), "the gateway is nobody's");
    for machine in &machines {
        running.post(&format!("machines/{}/?op=release", machine.system_id), &[]).ok();
    }
    assert_eq!(leases(&running), BTreeMap::new());
    for machine in running.machines() {
        assert!(machine.interfaces.held().is_empty());
    }

    // Thirteen are free of a /28: the others hold nothing, not even half of what they want.
    let narrow = subnet(&running, "10.51.0.0/28", "10.51.0.1", 5001);
    for machine in &machines {
        let path = format!("nodes/{}/interfaces/eth0/?op=link_subnet", machine.system_id);
        running.post(&path, &[("mode", "AUTO"), ("subnet", &narrow.to_string())]).ok();
    }
    let (mut deployed, mut refused) = (BTreeSet::new(), 0);
    for (id, answer) in deploy_all(&running, &machines) {
        if answer.status == 200 {
            deployed.insert(id);
        } else {
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert_eq!(answer.text(), "No more IPs available in subnet: 10.51.0.0/28.");
            assert!(answer.header("retry-after").is_some());
            refused += 1;
        }
    }
    assert_eq!((deployed.len(), refused), (13, 19));
    let holders: BTreeMap<String, usize> =
        leases(&running).into_values().fold(BTreeMap::new(), |mut holders, id| {
            *holders.entry(id).or_default() += 1;
            holders
        });
    assert_eq!(holders, deployed.iter().map(|id| (id.clone(), 2)).collect());
    for id in &deployed {
        running.post(&format!("machines/{id}/?op=abort"), &[]).ok();
    }
    for machine in running.machines() {
        let path = format!("machines/{}/?op=release", machine.system_id);
        running.post(&path, &[]).ok();
    }
    assert_eq!(leases(&running), BTreeMap::new());
}

#[test]
fn commissioning_builds_the_interfaces_unless_it_is_told_to_keep_them() {
    let running = Running::empty();
    let machine = add(&running, 1, vec![card("eth0", "52:54:00:40:03:01", None)]);
    let id = machine.system_id.to_string();
    let root = format!("nodes/{id}/interfaces/");
    running.post(&format!("{root}eth0/?op=add_tag"), &[("tag", "left")]).ok();
    running.post(&format!("{root}?op=create_bridge"), &[("name", "br0"), ("parent", "eth0")]).ok();
    running.post(&format!("machines/{id}/?op=commission"), &[("skip_networking", "true")]).ok();
    assert!(running.machine(&machine.system_id).skip_networking);
    let refused = running.post(&format!("{root}br0/?op=disconnect"), &[]);
    assert_eq!(refused.status, 409, "not while it is being examined");
    running.post(&format!("machines/{id}/?op=abort"), &[]).ok();
    let bridge = running.read(&format!("{root}br0/"));
    assert_eq!(bridge["parents"], json!(["eth0"]));
    running.post(&format!("{root}br0/?op=add_tag"), &[("tag", "x")]).ok();
    let gone = Call::new("DELETE", format!("/MAAS/api/2.0/{root}br0/")).signed(&running.admin);
    assert_eq!(gone.send(running.region).status, 204);
    let freed = running.read(&format!("{root}eth0/"));
    assert_eq!(freed["links"][0]["mode"], "link_up");
    assert_eq!(freed["tags"], json!(["left"]));
}

#[test]
fn allocation_finds_machines_by_their_networks_and_names_the_interfaces() {
    let running = Running::empty();
    let tagged = vlan(&running, 60, 1500);
    let there = subnet(&running, "10.60.0.0/24", "10.60.0.1", tagged);
    let plain = add(&running, 1, vec![card("eth0", "52:54:00:60:00:01", None)]);
    let wanted = add(
        &running,
        2,
        vec![
            card("eth0", "52:54:00:60:00:02", None),
            card("eth1", "52:54:00:60:00:03", Some("10.60.0.77")),
        ],
    );
    let path = format!("nodes/{}/interfaces/eth1/", wanted.system_id);
    running.post(&format!("{path}?op=disconnect"), &[]).ok();
    running
        .post(&format!("{path}?op=link_subnet"), &[("mode", "AUTO"), ("subnet", "10.60.0.0/24")])
        .ok();
    let dry = |fields: &[(&str, &str)]| {
        let mut fields = fields.to_vec();
        fields.push(("dry_run", "true"));
        running.post("machines/?op=allocate", &fields)
    };
    let id = wanted.system_id.to_string();
    let there = there.to_string();
    for (name, value) in [
        ("subnets", there.as_str()),
        ("subnets", "10.60.0.0/24"),
        ("subnets", "ip:10.60.0.9"),
        ("subnets", "vid:60"),
        ("vlans", "vid:60"),
        ("interfaces", "a:subnet_cidr=10.60.0.0/24"),
        ("interfaces", "a:vid=60,mode=auto;b:name=eth0"),
        ("interfaces", "a:not_vid=0"),
        ("not_vlans", "nothing-like-it"),
    ] {
        let answer = dry(&[(name, value), ("system_id", &id)]).ok().json();
        assert_eq!(answer["system_id"], *id, "{name}={value}");
        let positive = !name.starts_with("not_");
        if positive {
            let other = dry(&[(name, value), ("system_id", plain.system_id.as_str())]);
            assert_eq!(other.status, 409, "{name}={value}: {}", other.text());
        }
    }
    let eth1 = running.read(&path)["id"].clone();
    let answer = dry(&[("interfaces", "0:space=undefined;db:vid=60"), ("system_id", &id)]);
    let by_type = answer.ok().json()["constraints_by_type"]["interfaces"].clone();
    assert_eq!(by_type["db"], json!([eth1]));
    assert_eq!(by_type["0"].as_array().unwrap().len(), 2);
    for (name, value) in [
        ("not_subnets", there.as_str()),
        ("not_vlans", "vid:60"),
        ("not_fabrics", "fabric-0"),
        ("link_speed", "40000"),
    ] {
        let refused = dry(&[(name, value), ("system_id", &id)]);
        assert_eq!(refused.status, 409, "{name}={value}");
    }
    assert_eq!(dry(&[("link_speed", "10000"), ("fabrics", "fabric-0")]).status, 200);
    assert_eq!(dry(&[("interfaces", "0:colour=red")]).status, 400);

    // Bridges of the use come with it and go with it.
    let fields = [("system_id", id.as_str()), ("bridge_all", "true"), ("bridge_stp", "true")];
    let allocated = running.post("machines/?op=allocate", &fields).ok().json();
    let bridge = interface(&allocated["interface_set"], "br-eth1");
    assert_eq!(bridge["params"]["bridge_stp"], true);
    assert_eq!(bridge["links"][0]["mode"], "auto");
    running.post(&format!("machines/{id}/?op=release"), &[]).ok();
    let released = running.read(&format!("nodes/{id}/interfaces/"));
    assert_eq!(released.as_array().unwrap().len(), 2);
    assert_eq!(interface(&released, "eth1")["links"][0]["mode"], "auto");
}

fn as_user(running: &Running, key: &Key, call: Call) -> Answer {
    call.signed(key).send(running.region)
}

#[test]
fn interfaces_follow_a_deleted_vlan_and_hold_their_fabric() {
    let running = Running::empty();
    let machine = add(&running, 1, vec![card("eth0", "52:54:00:71:00:01", None)]);
    let tagged = vlan(&running, 71, 1500);
    let root = format!("nodes/{}/interfaces/", machine.system_id);
    let card = interface(&running.read(&root), "eth0")["id"].to_string();
    let fields = [("parent", card.as_str()), ("vlan", &tagged.to_string())];
    running.post(&format!("{root}?op=create_vlan"), &fields).ok();
    let device = [("mac_addresses", "52:54:00:71:01:01"), ("hostname", "switch")];
    let device = running.post("devices/", &device).ok().json();
    let ports = format!("nodes/{}/interfaces/", device["system_id"].as_str().unwrap());
    let port = running.read(&ports)[0]["id"].to_string();
    let plug = |vlan: &str| {
        let call = Call::new("PUT", format!("/MAAS/api/2.0/{ports}{port}/"));
        let call = call.header("Content-Type", "application/x-www-form-urlencoded");
        let call = call.body(format!("vlan={vlan}"));
        call.signed(&running.admin).send(running.region).ok();
    };
    plug(&tagged.to_string());
    assert_eq!(interface(&running.read(&root), "eth0.71")["vlan"]["id"], tagged);
    assert_eq!(running.read(&ports)[0]["vlan"]["id"], tagged);

    let gone = Call::new("DELETE", format!("/MAAS/api/2.0/vlans/{tagged}/"));
    assert_eq!(gone.signed(&running.admin).send(running.region).status, 204);
    let left = running.read(&root);
    assert_eq!(left.as_array().unwrap().len(), 1, "{left}");
    assert_eq!(running.read(&ports)[0]["vlan"]["id"], 5001);

    let fabric = running.post("fabrics/", &[("name", "apart")]).ok().json();
    let there = fabric["vlans"][0]["id"].to_string();
    plug(&there);
    let remove = || {
        let call = Call::new("DELETE", "/MAAS/api/2.0/fabrics/apart/");
        call.signed(&running.admin).send(running.region)
    };
    let refused = remove();
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("(physical) on switch"), "{}", refused.text());
    plug("5001");
    assert_eq!(remove().status, 204);
}

#[test]
fn devices_belong_to_their_creators_and_go_with_their_machine() {
    let running = Running::empty();
    let (ann, ben) = (running.user("ann", Role::User), running.user("ben", Role::User));
    let host = add(&running, 1, vec![card("eth0", "52:54:00:70:00:01", None)]);
    let there = subnet(&running, "10.70.0.0/24", "10.70.0.1", 5001);
    let devices = "/MAAS/api/2.0/devices/";
    let create = |key: &Key, fields: &[(&str, &str)]| {
        as_user(&running, key, Call::post(format!("{devices}?op="), fields))
    };
    let made = create(
        &ann,
        &[
            ("hostname", "container-1"),
            ("mac_addresses", "52:54:00:70:01:01"),
            ("mac_addresses", "52-54-00-70-01-02"),
            ("parent", host.system_id.as_str()),
        ],
    )
    .ok()
    .json();
    for key in ["resource_uri", "system_id", "hostname", "fqdn", "parent", "owner"] {
        assert!(made[key].is_string(), "{key}: {made}");
    }
    assert_eq!((&made["node_type"], &made["owner"]), (&json!(1), &json!("ann")));
    assert!(made["ip_addresses"].is_array() && made["zone"].is_object());
    for interface in made["interface_set"].as_array().unwrap() {
        check_schema(interface);
    }
    // Whatever is wrong is said by field.
    for (fields, field) in [
        (&[("hostname", "x")] as &[(&str, &str)], "mac_addresses"),
        (&[("mac_addresses", "no")], "mac_addresses"),
        (&[("mac_addresses", "52:54:00:70:01:01")], "mac_addresses"),
        (&[("mac_addresses", "52:54:00:70:00:01")], "mac_addresses"),
        (&[("mac_addresses", "52:54:00:70:09:09"), ("hostname", "container-1")], "hostname"),
        (&[("mac_addresses", "52:54:00:70:09:09"), ("parent", "aaaaaa")], "parent"),
    ] {
        let refused = create(&ann, fields);
        assert_eq!(refused.status, 400, "{fields:?}: {}", refused.text());
        assert!(refused.json()[field].is_array(), "{fields:?}: {}", refused.text());
    }
    let uri = made["resource_uri"].as_str().unwrap().to_owned();
    let id = made["system_id"].as_str().unwrap().to_owned();
    // Others neither see nor change it.
    assert_eq!(as_user(&running, &ben, Call::get(&uri)).status, 404);
    assert_eq!(as_user(&running, &ben, Call::get(devices)).json(), json!([]));
    assert_eq!(as_user(&running, &ann, Call::get(devices)).json().as_array().unwrap().len(), 1);
    let filtered = as_user(&running, &ann, Call::get(format!("{devices}?hostname=other")));
    assert_eq!(filtered.json(), json!([]));
    // Its owner links it to a subnet, with an address that is chosen for it.
    let nodes = format!("/MAAS/api/2.0/nodes/{id}/interfaces/");
    let link = |mode: &str| {
        let fields = [("mode", mode), ("subnet", &*there.to_string())];
        as_user(&running, &ann, Call::post(format!("{nodes}eth0/?op=link_subnet"), &fields))
    };
    assert_eq!(link("AUTO").status, 400);
    let linked = link("STATIC").ok().json();
    let ip = linked["links"][0]["ip_address"].as_str().unwrap().to_owned();
    assert!(ip.starts_with("10.70.0."), "{ip}");
    let fields = [
        ("mac_address", "52:54:00:70:01:03"),
        ("ip_assignment", "static"),
        ("ip_address", "10.70.0.99"),
    ];
    as_user(&running, &ann, Call::post(format!("{nodes}?op=create_physical"), &fields)).ok();
    let shown = as_user(&running, &ann, Call::get(&uri)).json();
    assert_eq!(shown["ip_addresses"], json!([ip, "10.70.0.99"]));
    let bond = Call::post(format!("{nodes}?op=create_bond"), &[("name", "b"), ("parents", "eth0")]);
    assert_eq!(as_user(&running, &ann, bond).status, 404);
    let put = Call::new("PUT", &uri)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("hostname=container-2");
    let changed = as_user(&running, &ann, put).ok().json();
    assert_eq!(changed["hostname"], "container-2");
    assert!(changed["resource_uri"].is_string());
    let data = Call::post(format!("{uri}?op=set_owner_data"), &[("k", "v")]);
    assert_eq!(as_user(&running, &ann, data).ok().json()["owner_data"], json!({"k": "v"}));
    // Machines and devices in one list.
    let nodes = running.read("nodes/");
    let types: Vec<&Value> = nodes.as_array().unwrap().iter().map(|it| &it["node_type"]).collect();
    assert_eq!(types, [0, 1]);
    assert_eq!(running.read(&format!("nodes/{id}/"))["hostname"], "container-2");
    assert_eq!(running.read("nodes/?op=is_registered&mac_address=52:54:00:70:01:03"), true);
    running.post("nodes/?op=set_zone", &[("zone", "default"), ("nodes", &id)]).ok();
    // The machine goes, its devices go with it, and their addresses are free.
    assert_eq!(leases(&running).len(), 2);
    let path = format!("/MAAS/api/2.0/machines/{}/", host.system_id);
    Call::new("DELETE", path).signed(&running.admin).send(running.region).ok();
    assert_eq!(as_user(&running, &ann, Call::get(&uri)).status, 404);
    assert_eq!(leases(&running), BTreeMap::new());
}
