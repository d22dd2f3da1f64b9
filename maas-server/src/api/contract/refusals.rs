//! What is in use or always there is not deleted, what somebody holds nobody else gets, and what is
//! not supported is refused with words.

use maas_core::machine::Status;
use serde_json::json;

use super::World;

#[tokio::test]
async fn what_is_always_there_cannot_be_deleted() {
    let world = World::new().await;
    let vlan = world.get("fabrics/0/vlans/0/").await.json()["id"].clone();
    for (path, status, says) in [
        ("zones/default/", 400, "default zone"),
        ("resourcepool/0/", 400, "default pool"),
        ("resourcepool/default/", 400, "default pool"),
        ("fabrics/0/", 409, "default fabric"),
        ("fabrics/0/vlans/0/", 409, "default VLAN in the fabric"),
        (&*format!("vlans/{vlan}/"), 409, "default VLAN in the fabric"),
        ("domains/0/", 409, "default domain"),
    ] {
        let answer = world.call("root", "DELETE", path, &[]).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.text().contains(says), "{path}: {}", answer.text());
        assert_eq!(world.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_is_in_use_is_not_deleted_and_its_machines_keep_what_they_have() {
    let world = World::new().await;
    for (path, form) in [
        ("fabrics/", &[("name", "lab")] as &[(&str, &str)]),
        ("fabrics/lab/vlans/", &[("vid", "7")]),
        ("subnets/", &[("cidr", "10.7.0.0/24"), ("fabric", "lab"), ("vid", "7")]),
        ("domains/", &[("name", "lab")]),
        ("zones/", &[("name", "attic")]),
        ("resourcepools/", &[("name", "lent")]),
        ("tags/", &[("name", "gpu")]),
    ] {
        assert_eq!(world.post(path, form).await.status, 200, "{path}");
    }
    let machine = world
        .machine(Status::Ready, |machine| {
            machine.domain = "lab".to_owned();
            machine.zone = "attic".to_owned();
            machine.pool = "lent".to_owned();
            machine.tags.insert("gpu".to_owned());
            machine.add_macs(
                ["52:54:00:00:07:01".to_owned()].into_iter(),
                &maas_core::machine::interface::NetworkFacts::default(),
            );
        })
        .await;
    let id = machine.system_id.as_str();
    let interface = machine.interfaces.iter().next().unwrap().id;
    let vlan = world.get("fabrics/lab/vlans/7/").await.json()["id"].to_string();
    let interface = format!("nodes/{id}/interfaces/{interface}/");
    let plugged = world.call("root", "PUT", &interface, &[("vlan", &vlan)]).await;
    assert_eq!(plugged.status, 200, "{}", plugged.text());
    let link = world
        .post(
            &format!("{interface}?op=link_subnet"),
            &[("mode", "STATIC"), ("subnet", "10.7.0.0/24"), ("ip_address", "10.7.0.9")],
        )
        .await;
    assert_eq!(link.status, 200, "{}", link.text());
    for path in ["fabrics/lab/", "fabrics/lab/vlans/7/", "subnets/10.7.0.0%2F24/", "domains/lab/"] {
        let answer = world.call("root", "DELETE", path, &[]).await;
        assert_eq!(answer.status, 409, "{path}: {}", answer.text());
        assert!(answer.header(::http::header::CONTENT_TYPE).starts_with("text/plain"), "{path}");
    }
    // Zones and pools give their machines to the default one, a tag goes from its machines.
    for path in ["zones/attic/", "resourcepool/lent/", "tags/gpu/"] {
        assert_eq!(world.call("root", "DELETE", path, &[]).await.status, 204, "{path}");
    }
    let shown = world.get(&format!("machines/{id}/")).await.json();
    assert_eq!(shown["zone"]["name"], "default");
    assert_eq!(shown["pool"]["name"], "default");
    assert_eq!(shown["tag_names"], json!([]));
    assert_eq!(shown["domain"]["name"], "lab");
    assert_eq!(shown["ip_addresses"], json!(["10.7.0.9"]));
}

#[tokio::test]
async fn an_address_has_one_holder_however_it_is_asked_for() {
    let world = World::new().await;
    world.post("subnets/", &[("cidr", "10.8.0.0/29"), ("gateway_ip", "10.8.0.1")]).await;
    let mac = "52:54:00:00:08:01";
    let machine = world
        .machine(Status::Ready, |machine| {
            machine.add_macs(
                [mac.to_owned()].into_iter(),
                &maas_core::machine::interface::NetworkFacts::default(),
            );
        })
        .await;
    let (id, interface) = (&machine.system_id, machine.interfaces.iter().next().unwrap().id);
    let link = format!("nodes/{id}/interfaces/{interface}/?op=link_subnet");
    let fixed = |ip| [("mode", "STATIC"), ("subnet", "10.8.0.0/29"), ("ip_address", ip)];
    assert_eq!(world.post(&link, &fixed("10.8.0.2")).await.status, 200);
    let reserve = "ipaddresses/?op=reserve";
    let taken = world.post(reserve, &[("ip", "10.8.0.2")]).await;
    assert!(taken.status.is_client_error(), "{}", taken.text());
    assert_eq!(world.post(reserve, &[("ip", "10.8.0.3"), ("mac", mac)]).await.status, 200);
    let other = world.post(&link, &fixed("10.8.0.3")).await;
    assert_eq!(other.status, 400, "{}", other.text());
    assert!(other.text().contains("already in use"), "{}", other.text());
    // Neither is kept for somebody else's MAC address; the holder's own is no contradiction.
    let kept = |ip, mac| [("ip", ip), ("mac_address", mac)];
    for ip in ["10.8.0.2", "10.8.0.3"] {
        let answer = world.post("reservedips/", &kept(ip, "52:54:00:ff:ff:ff")).await;
        assert_eq!(answer.status, 400, "{ip}: {}", answer.text());
        assert!(answer.text().contains("already in use"), "{}", answer.text());
    }
    assert_eq!(world.get("reservedips/").await.json(), json!([]));
    let own = world.post("reservedips/", &kept("10.8.0.2", mac)).await;
    assert!(own.status.is_success(), "{}", own.text());
    let free = world.post("reservedips/", &kept("10.8.0.4", "52:54:00:ff:ff:ff")).await;
    assert!(free.status.is_success(), "{}", free.text());
    let refused = world.post(&link, &fixed("10.8.0.4")).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    // What is left of .1 to .6 goes to whoever comes, once each.
    let mut given = Vec::new();
    loop {
        let answer = world.post(reserve, &[("subnet", "10.8.0.0/29")]).await;
        if answer.status != 200 {
            assert!(!answer.text().is_empty());
            break;
        }
        given.push(answer.json()["ip"].as_str().unwrap().to_owned());
    }
    given.sort();
    assert_eq!(given, ["10.8.0.5", "10.8.0.6"]);

    // Every view shows them.
    let path = "subnets/10.8.0.0%2F29/";
    let addresses = world.get(&format!("{path}?op=ip_addresses")).await.json();
    let ips: Vec<&str> =
        addresses.as_array().unwrap().iter().map(|one| one["ip"].as_str().unwrap()).collect();
    assert_eq!(ips, ["10.8.0.2", "10.8.0.3", "10.8.0.5", "10.8.0.6"]);
    assert_eq!(addresses[0]["node_summary"]["system_id"], id.as_str());
    let statistics = world.get(&format!("{path}?op=statistics")).await.json();
    assert_eq!(
        (&statistics["num_available"], &statistics["total_addresses"]),
        (&json!(0), &json!(6))
    );
    let gaps = world.get(&format!("{path}?op=unreserved_ip_ranges")).await.json();
    assert_eq!(gaps, json!([]));
    let all = world.get("ipaddresses/?all=true").await.json();
    assert_eq!(all[0]["interface_set"][0]["mac_address"], mac);
    assert_eq!(all[0]["interface_set"][0]["system_id"], id.as_str());
    assert_eq!(all[0]["alloc_type"], 1);
    assert_eq!(all[1]["interface_set"][0]["type"], "unknown");
    assert_eq!(all[1]["interface_set"][0]["mac_address"], mac);
    assert_eq!(all[2]["interface_set"], json!([]));

    // Released is free again.
    let release = world.post("ipaddresses/?op=release", &[("ip", "10.8.0.3")]).await;
    assert_eq!(release.status, 204, "{}", release.text());
    assert_eq!(world.post(&link, &fixed("10.8.0.3")).await.status, 200);
}

#[tokio::test]
async fn what_is_not_supported_is_refused_with_words() {
    let world = World::new().await;
    world.post("tags/", &[("name", "gpu")]).await;
    let machine = world.machine(Status::Ready, |_| {}).await;
    let path = format!("machines/{}/", machine.system_id);
    for (method, path, form, status, says) in [
        ("POST", "tags/", [("name", "x"), ("definition", "//node")], 400, "definition"),
        ("PUT", "tags/gpu/", [("definition", "//node"), ("comment", "")], 400, "definition"),
        (
            "POST",
            "machines/?op=add_chassis",
            [("chassis_type", "virsh"), ("hostname", "qemu:///system")],
            400,
            "add each machine",
        ),
        (
            "POST",
            &*format!("{path}?op=power_off"),
            [("stop_mode", "gently"), ("comment", "")],
            400,
            "stop_mode",
        ),
        ("PUT", &path, [("swap_size", "much"), ("comment", "")], 400, "swap_size"),
        (
            "POST",
            "machines/?op=allocate",
            [("colour", "red"), ("mem", "1")],
            400,
            "No such constraint.",
        ),
        (
            "POST",
            &*format!("{path}?op=deploy"),
            [("install_kvm", "true"), ("comment", "")],
            400,
            "install_kvm",
        ),
    ] {
        let answer = world.call("root", method, path, &form).await;
        assert_eq!(answer.status, status, "{path} {form:?}: {}", answer.text());
        assert!(answer.text().contains(says), "{path}: {}", answer.text());
    }
    assert_eq!(world.stored(&machine).await.status, Status::Ready);
}

#[tokio::test]
async fn the_size_of_the_swap_file_is_kept_and_shown() {
    let world = World::new().await;
    let machine = world.machine(Status::Ready, |_| {}).await;
    let path = format!("machines/{}/", machine.system_id);
    assert_eq!(world.get(&path).await.json()["swap_size"], json!(null));
    for (text, shown) in [
        ("4G", json!(4_000_000_000_u64)),
        ("512 m", json!(512_000_000)),
        ("0", json!(0)),
        ("123456", json!(123_456)),
        ("", json!(null)),
    ] {
        let answer = world.call("root", "PUT", &path, &[("swap_size", text)]).await;
        assert_eq!(answer.json()["swap_size"], shown, "{text}");
        assert_eq!(world.get(&path).await.json()["swap_size"], shown, "{text}");
    }
}

#[tokio::test]
async fn of_two_changes_at_once_none_is_lost() {
    let world = World::new().await;
    let machine = world.machine(Status::Ready, |_| {}).await;
    let path = format!("machines/{}/", machine.system_id);
    let webhook = [
        ("power_type", "webhook"),
        ("power_parameters_power_on_uri", "http://127.0.0.1:9/on"),
        ("power_parameters_skip_check", "true"),
    ];
    assert_eq!(world.call("root", "PUT", &path, &webhook).await.status, 200);
    let keys: Vec<String> = (0..12).map(|number| format!("power_parameters_k{number}")).collect();
    let changes = keys.iter().map(|key| {
        let (world, path) = (&world, &path);
        async move {
            let form = [(key.as_str(), "v"), ("power_parameters_skip_check", "true")];
            let answer = world.call("root", "PUT", path, &form).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    });
    futures_util::future::join_all(changes).await;
    let kept = world.stored(&machine).await.power.parameters;
    for key in &keys {
        let name = key.strip_prefix("power_parameters_").unwrap();
        assert_eq!(kept.expose().get(name).map(String::as_str), Some("v"), "{name}");
    }
}

#[tokio::test]
async fn a_machine_that_cannot_be_added_as_asked_for_is_not_added() {
    let world = World::new().await;
    let form = [("architecture", "amd64"), ("mac_addresses", "52:54:00:00:09:01")];
    let refused = world.post("machines/", &form).await;
    assert_eq!(refused.status, 400, "no power type: {}", refused.text());
    let scripts = [form[0], form[1], ("power_type", "manual"), ("testing_scripts", "nosuch")];
    assert_eq!(world.post("machines/", &scripts).await.status, 400);
    assert_eq!(world.get("machines/").await.json(), json!([]));
    let used = [form[0], form[1], ("power_type", "manual"), ("deployed", "true")];
    let added = world.post("machines/", &used).await.json();
    assert_eq!(
        (&added["status_name"], &added["owner"], &added["netboot"]),
        (&json!("Deployed"), &json!("root"), &json!(false))
    );
    // What enlisted without a power switch does not keep others from being accepted.
    world.machine(Status::New, |machine| machine.power.driver.clear()).await;
    let ready = world.machine(Status::New, |_| {}).await;
    let accepted = world.post("machines/?op=accept_all", &[]).await.json();
    assert_eq!(accepted.as_array().unwrap().len(), 1);
    assert_eq!(accepted[0]["system_id"], ready.system_id.as_str());
}
