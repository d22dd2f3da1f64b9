//! What a list costs, and what it says to who asks again.

use std::collections::BTreeMap;

use ::http::header;
use maas_core::machine::hardware::{Disk, Interface};
use maas_core::machine::{Machine, Status};
use serde_json::Value;

use super::{Answer, World};

/// A machine with five interfaces and six disks.
fn furnished(machine: &mut Machine) {
    machine.hardware.disks = (0..6)
        .map(|number| Disk { name: format!("sd{number}"), size: 1 << 40, ..Disk::default() })
        .collect();
    machine.hardware.interfaces = (0..5)
        .map(|number| Interface { name: format!("eth{number}"), ..Interface::default() })
        .collect();
}

async fn fill(world: &World, count: usize) {
    for _ in 0..count {
        world.machine(Status::Ready, furnished).await;
    }
    world.store.take();
}

/// What a list costs besides finding out who asks.
async fn cost(world: &World, path: &str) -> (Answer, BTreeMap<&'static str, usize>) {
    world.store.take();
    let answer = world.get(path).await;
    let mut calls = world.store.take();
    for name in ["machine_by_token", "api_key", "user"] {
        calls.remove(name);
    }
    (answer, calls)
}

async fn again(world: &World, path: &str, tag: &str) -> (Answer, BTreeMap<&'static str, usize>) {
    world.store.take();
    let request = ::http::Request::get(format!("/MAAS/api/2.0/{path}"))
        .header(header::AUTHORIZATION, world.sign("root"))
        .header(header::IF_NONE_MATCH, tag)
        .body(http_body_util::Full::default())
        .unwrap();
    let answer = world.send(request).await;
    (answer, world.store.take())
}

#[tokio::test]
async fn a_list_of_a_thousand_costs_as_many_queries_as_a_list_of_ten() {
    let world = World::new().await;
    fill(&world, 10).await;
    let (ten, few) = cost(&world, "machines/").await;
    assert_eq!(ten.json().as_array().unwrap().len(), 10);
    fill(&world, 990).await;
    let (thousand, many) = cost(&world, "machines/").await;
    let list = thousand.json();
    assert_eq!(list.as_array().unwrap().len(), 1000);
    assert_eq!(few, many);
    assert_eq!((many["machine_heads"], many["machines"]), (1, 1));
    // Nothing has changed: the machines themselves are not read again.
    let (warm, calls) = cost(&world, "machines/").await;
    assert!(!calls.contains_key("machines"), "{calls:?}");
    assert_eq!(warm.json(), list);

    let tag = warm.header(header::ETAG).to_owned();
    assert!(tag.starts_with('"'), "a strong tag: {tag}");
    let (unchanged, calls) = again(&world, "machines/", &tag).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header(header::ETAG), tag);
    assert!(!calls.contains_key("machines") && !calls.contains_key("documents"), "{calls:?}");

    // Tags and event lists do not grow with the machines either.
    let (_, events) = cost(&world, "events/?op=query").await;
    assert!(events.values().all(|count| *count <= 1), "{events:?}");
}

#[tokio::test]
async fn a_tag_ends_with_every_change_that_a_client_would_see() {
    let world = World::new().await;
    let machine = world.machine(Status::Ready, furnished).await;
    let path = format!("machines/{}/", machine.system_id);
    let mut tag = world.get("machines/").await.header(header::ETAG).to_owned();
    for (what, form) in [
        (path.as_str(), &[("hostname", "renamed")] as &[(&str, &str)]),
        ("zones/default/", &[("description", "the cellar")]),
        ("resourcepool/0/", &[("description", "the first")]),
    ] {
        let changed = world.call("root", "PUT", what, form).await;
        assert_eq!(changed.status, 200, "{what}: {}", changed.text());
        let (answer, _) = again(&world, "machines/", &tag).await;
        assert_eq!(answer.status, 200, "{what}");
        let shown = answer.json()[0].to_string();
        assert!(shown.contains(form[0].1), "{what}: {shown}");
        tag = answer.header(header::ETAG).to_owned();
    }
    // Every other list has a tag too.
    for path in ["zones/", "tags/", "events/?op=query", "users/", "scripts/"] {
        let first = world.get(path).await;
        let tag = first.header(header::ETAG).to_owned();
        assert_eq!(again(&world, path, &tag).await.0.status, 304, "{path}");
        assert_eq!(again(&world, path, "\"other\"").await.0.status, 200, "{path}");
    }
    // Another question has another tag, and who may see less gets less.
    world.post(&format!("{path}?op=mark_broken"), &[]).await;
    world.machine(Status::Allocated, |_| {}).await;
    let all = world.get("machines/").await;
    let ann = world.call("ann", "GET", "machines/", &[]).await;
    assert_ne!(all.header(header::ETAG), ann.header(header::ETAG));
    assert_eq!(all.json().as_array().unwrap().len(), 2);
    assert_eq!(ann.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_part_of_the_list_and_of_each_machine_can_be_asked_for() {
    let world = World::new().await;
    fill(&world, 5).await;
    let names = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|one| one["hostname"].as_str().unwrap().to_owned()).collect()
    };
    let all = names(&world.get("machines/").await.json());
    let part = world.get("machines/?offset=1&limit=2").await.json();
    assert_eq!(names(&part), all[1..3]);
    assert!(part[0].get("interface_set").is_some());
    let narrow = world.get("machines/?fields=hostname,status_name").await.json();
    assert_eq!(names(&narrow), all);
    assert_eq!(narrow[0].as_object().unwrap().len(), 2);
    assert_eq!(world.get("machines/?offset=99").await.json(), serde_json::json!([]));
    assert_eq!(world.get("machines/?limit=x").await.status, 400);
    let events = world.get("events/?op=query&fields=id,type&offset=0").await.json();
    let first = &events["events"][0];
    assert!(first.is_null() || first.as_object().unwrap().len() == 2, "{first}");
}

#[tokio::test]
async fn a_long_list_is_streamed_and_says_the_same_as_short_ones() {
    let world = World::new().await;
    fill(&world, 150).await;
    let long = world.get("machines/").await;
    assert_eq!(long.header(header::CONTENT_LENGTH), "", "it is sent in chunks");
    let mut pieces = Vec::new();
    for offset in [0, 50, 100] {
        let piece = world.get(&format!("machines/?limit=50&offset={offset}")).await;
        assert_ne!(piece.header(header::CONTENT_LENGTH), "");
        pieces.extend(piece.json().as_array().unwrap().clone());
    }
    assert_eq!(long.json().as_array().unwrap(), &pieces);
}

/// Lists that must cost the same whatever their length.
const LISTS: [&str; 24] = [
    "machines/",
    "machines/?fields=hostname,interface_set",
    "machines/?tags=gpu&pool=default&zone=default&status=allocated",
    "machines/?not_tags=none&power_state=unknown",
    "machines/?op=list_allocated",
    "machines/?op=power_parameters",
    "nodes/",
    "devices/",
    "tags/",
    "tags/gpu/?op=machines",
    "tags/gpu/?op=nodes",
    "zones/",
    "resourcepools/",
    "users/",
    "fabrics/",
    "fabrics/0/vlans/",
    "spaces/",
    "subnets/",
    "subnets/10.0.0.0%2F16/?op=ip_addresses",
    "subnets/10.0.0.0%2F16/?op=statistics&include_ranges=true",
    "ipaddresses/?all=true",
    "ipranges/",
    "domains/",
    "events/?op=query&limit=1000&hostname=&zone=default",
];

/// Adds machines with owner, tags, disks, interfaces with static addresses, history; devices,
/// subnets, ranges, zones and pools.
async fn populate(world: &World, count: std::ops::Range<usize>) {
    for number in count {
        let machine = world
            .machine(Status::Ready, |machine| {
                furnished(machine);
                machine.tags.insert("gpu".to_owned());
                for (at, interface) in machine.hardware.interfaces.iter_mut().enumerate() {
                    interface.mac_address = Some(format!("52:54:00:{at:02x}:00:{number:02x}"));
                }
                let found = machine.hardware.clone();
                machine.learn(&found, &maas_core::machine::interface::NetworkFacts::default());
            })
            .await;
        let id = &machine.system_id;
        let interface = machine.interfaces.iter().next().unwrap().id;
        let mac = format!("52:54:01:00:00:{number:02x}");
        for (path, form) in [
            (
                format!("nodes/{id}/interfaces/{interface}/?op=link_subnet"),
                vec![("mode", "STATIC"), ("subnet", "10.0.0.0/16")],
            ),
            ("machines/?op=allocate".to_owned(), vec![("system_id", id.as_str())]),
            ("devices/".to_owned(), vec![("mac_addresses", mac.as_str())]),
            ("subnets/".to_owned(), vec![("cidr", &*format!("10.{}.0.0/16", number + 1))]),
            ("zones/".to_owned(), vec![("name", &*format!("zone{number}"))]),
            ("resourcepools/".to_owned(), vec![("name", &*format!("pool{number}"))]),
        ] {
            let answer = world.post(&path, &form).await;
            assert!(answer.status.is_success(), "{path} {form:?}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn no_list_costs_more_queries_for_being_longer() {
    let world = World::new().await;
    for (path, form) in [
        ("tags/", [("name", "gpu")]),
        ("tags/", [("name", "none")]),
        ("subnets/", [("cidr", "10.0.0.0/16")]),
    ] {
        assert_eq!(world.post(path, &form).await.status, 200);
    }
    let mut costs = Vec::new();
    for range in [0..10, 10..200] {
        populate(&world, range).await;
        let mut row = BTreeMap::new();
        for path in LISTS {
            // Nothing that was written before is still good.
            let told = [("description", path)];
            let changed = world.call("root", "PUT", "zones/zone0/", &told).await;
            assert_eq!(changed.status, 200, "{}", changed.text());
            let (answer, calls) = cost(&world, path).await;
            let length = match answer.json() {
                Value::Array(list) => list.len(),
                Value::Object(map) => {
                    map.get("count").and_then(Value::as_u64).unwrap_or(0) as usize
                }
                other => panic!("{path}: {other}"),
            };
            row.insert(path, (length, calls));
        }
        costs.push(row);
    }
    for path in LISTS {
        let ((few, before), (many, after)) = (&costs[0][path], &costs[1][path]);
        assert_eq!(before, after, "{path}: {few} and {many} members");
    }
    for path in ["machines/", "nodes/", "devices/", "subnets/", "ipaddresses/?all=true"] {
        assert!(costs[1][path].0 >= 200, "{path}: {}", costs[1][path].0);
    }
    // All that a list of machines asks: what changed, who there is, the machines, what is around
    // them.
    assert!(costs[1]["machines/"].1.values().sum::<usize>() <= 8, "{:?}", costs[1]["machines/"]);
}

#[tokio::test]
async fn a_machine_is_the_same_text_in_every_list_and_by_itself() {
    let world = World::new().await;
    world.post("tags/", &[("name", "gpu")]).await;
    world.post("subnets/", &[("cidr", "10.0.0.0/16")]).await;
    populate(&world, 0..3).await;
    let machines = world.region.store.machines(&crate::store::MachineFilter::all()).await.unwrap();
    let mut texts = Vec::new();
    for machine in &machines {
        for root in ["machines", "nodes"] {
            let one = world.get(&format!("{root}/{}/", machine.system_id)).await.text();
            assert!(one.contains(&*machine.hostname), "{one}");
            if root == "machines" {
                texts.push(one);
            } else {
                assert_eq!(texts.last(), Some(&one));
            }
        }
    }
    let whole = format!("[{}]", texts.join(","));
    // Cold and then from what was written before.
    for path in ["machines/", "machines/", "tags/gpu/?op=machines", "machines/?op=list_allocated"] {
        assert_eq!(world.get(path).await.text(), whole, "{path}");
    }
    let nodes = world.get("nodes/").await.text();
    assert!(nodes.starts_with(whole.trim_end_matches(']')), "the devices come after them");
    let part = world.get("machines/?fields=resource_uri,zone,nothing,zone&limit=1").await;
    let whole: Value = serde_json::from_str(&texts[0]).unwrap();
    let expected = serde_json::json!([
        {"resource_uri": whole["resource_uri"], "zone": whole["zone"]}
    ]);
    assert_eq!(part.json(), expected);
}

#[tokio::test]
async fn nodes_are_counted_over_machines_and_devices() {
    let world = World::new().await;
    world.post("tags/", &[("name", "gpu")]).await;
    world.post("subnets/", &[("cidr", "10.0.0.0/16")]).await;
    populate(&world, 0..3).await;
    let ids = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|one| one["system_id"].as_str().unwrap().to_owned()).collect()
    };
    let all = ids(&world.get("nodes/").await.json());
    assert_eq!(all.len(), 6);
    for (offset, limit) in [(0, 2), (2, 2), (3, 2), (5, 9), (6, 1), (9, 1), (0, 0)] {
        let path = format!("nodes/?offset={offset}&limit={limit}&fields=system_id");
        let end = (offset + limit).min(6);
        assert_eq!(ids(&world.get(&path).await.json()), all[offset.min(6)..end.max(offset.min(6))]);
    }
    let first = world.get("nodes/").await;
    let tag = first.header(header::ETAG).to_owned();
    assert_eq!(again(&world, "nodes/", &tag).await.0.status, 304);
    let device = all.last().unwrap();
    let renamed = [("hostname", "renamed")];
    assert_eq!(
        world.call("root", "PUT", &format!("devices/{device}/"), &renamed).await.status,
        200
    );
    assert_eq!(again(&world, "nodes/", &tag).await.0.status, 200);
}
