//! Tags, zones, pools, files, scripts, settings and users as clients use them.

use maas_core::machine::Status;
use serde_json::{Value, json};

use super::World;

#[tokio::test]
async fn tags_are_given_taken_renamed_and_end_with_their_machines() {
    let world = World::new().await;
    let made = world
        .post("tags/", &[("name", "gpu"), ("comment", "c"), ("kernel_opts", "nomodeset")])
        .await;
    assert_eq!(
        made.json(),
        json!({
            "name": "gpu", "comment": "c", "definition": "", "kernel_opts": "nomodeset",
            "resource_uri": "/MAAS/api/2.0/tags/gpu/",
        })
    );
    assert_eq!(world.post("tags/", &[("name", "gpu")]).await.status, 400);
    for wrong in ["", "a b", "a/b", "ä"] {
        assert_eq!(world.post("tags/", &[("name", wrong)]).await.status, 400, "{wrong}");
    }
    let xpath = world.post("tags/", &[("name", "x"), ("definition", "//node")]).await;
    assert_eq!(xpath.status, 400);
    assert!(xpath.text().contains("not supported"), "{}", xpath.text());

    let one = world.machine(Status::Ready, |_| {}).await;
    let two = world.machine(Status::Ready, |_| {}).await;
    let (one_id, two_id) = (one.system_id.as_str(), two.system_id.as_str());
    let update = "tags/gpu/?op=update_nodes";
    let given = world.post(update, &[("add", one_id), ("add", two_id), ("add", "aaaaaa")]).await;
    assert_eq!(given.json(), json!({"added": 2, "removed": 0}));
    let taken = world.post(update, &[("remove", two_id)]).await;
    assert_eq!(taken.json(), json!({"added": 0, "removed": 1}));
    let machines = world.get("tags/gpu/?op=machines").await.json();
    assert_eq!(
        (machines.as_array().unwrap().len(), &machines[0]["system_id"]),
        (1, &json!(one_id))
    );
    assert_eq!(world.get("tags/gpu/?op=devices").await.json(), json!([]));
    let tagged = world.stored(&one).await;
    let options = crate::places::kernel_options(&world.region, Some(&tagged)).await.unwrap();
    assert_eq!(options, "nomodeset");

    let renamed = world.call("root", "PUT", "tags/gpu/", &[("name", "card")]).await;
    assert_eq!(renamed.json()["resource_uri"], "/MAAS/api/2.0/tags/card/");
    assert_eq!(world.get("tags/gpu/").await.text(), "No Tag matches the given query.");
    assert!(world.stored(&one).await.tags.contains("card"));
    let allocate = world.post("machines/?op=allocate", &[("tags", "gpu")]).await;
    assert_eq!(
        (allocate.status.as_u16(), allocate.text().as_str()),
        (400, "No such tag(s): 'gpu'.")
    );
    let allocated = world.post("machines/?op=allocate", &[("tags", "card")]).await;
    assert_eq!(allocated.json()["system_id"], one_id);
    assert_eq!(world.call("root", "DELETE", "tags/card/", &[]).await.status, 204);
    assert!(world.stored(&one).await.tags.is_empty());
}

#[tokio::test]
async fn machines_follow_their_zone_and_pool() {
    let world = World::new().await;
    let machine = world.machine(Status::Ready, |_| {}).await;
    let path = format!("machines/{}/", machine.system_id);
    let shown = world.get(&path).await.json();
    assert_eq!((&shown["zone"]["id"], &shown["pool"]["id"]), (&json!(1), &json!(0)));
    assert_eq!(shown["pool"]["resource_uri"], "/MAAS/api/2.0/resourcepool/0/");
    for (list, field, other) in [("zones/", "zone", "zones/"), ("resourcepools/", "pool", "pools/")]
    {
        let first = world.get(list).await.json();
        assert_eq!(first[0]["name"], "default");
        assert_eq!(first, world.get(other).await.json());
        let made = world.post(list, &[("name", "blue"), ("description", "d")]).await.json();
        assert_eq!((&made["name"], &made["description"]), (&json!("blue"), &json!("d")));
        assert_ne!(made["id"], first[0]["id"]);
        let uri = made["resource_uri"].as_str().unwrap().to_owned();
        assert_eq!(world.get(&uri).await.json(), made);
        assert_eq!(world.post(list, &[("name", "blue")]).await.status, 400);
        assert_eq!(world.call("root", "PUT", &path, &[(field, "blue")]).await.json()[field], made);
        let renamed = world.call("root", "PUT", &uri, &[("name", "dark blue")]).await.json();
        assert_eq!((&renamed["id"], &renamed["description"]), (&made["id"], &json!("d")));
        assert_eq!(world.get(&path).await.json()[field], renamed);
        let uri = renamed["resource_uri"].as_str().unwrap();
        assert_eq!(world.call("root", "DELETE", uri, &[]).await.status, 204);
        assert_eq!(world.get(&path).await.json()[field]["name"], "default");
        let kept = world.stored(&machine).await;
        assert_eq!(if field == "zone" { kept.zone } else { kept.pool }, "default");
    }
    assert_eq!(world.call("root", "DELETE", "zones/default/", &[]).await.status, 400);
    assert_eq!(world.call("root", "DELETE", "resourcepool/0/", &[]).await.status, 400);
    assert_eq!(world.call("root", "PUT", "zones/default/", &[("name", "x")]).await.status, 400);
    assert_eq!(world.get("zones/none/").await.text(), "No Zone matches the given query.");
    // A renaming that a power cut interrupted is finished at the next start.
    let pool = crate::places::Pool {
        name: "new".to_owned(),
        description: String::new(),
        renamed_from: Some("old".to_owned()),
    };
    world.region.store.insert(pool).await.unwrap();
    let left = world.machine(Status::Ready, |machine| machine.pool = "old".to_owned()).await;
    crate::places::settle(&world.region).await.unwrap();
    assert_eq!(world.stored(&left).await.pool, "new");
}

#[tokio::test]
async fn files_are_kept_for_each_user_apart() {
    let world = World::new().await;
    let body = "--b\r\nContent-Disposition: form-data; name=\"filename\"\r\n\r\ndir/état\r\n\
                --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n\
                juju\r\n--b--";
    let add = |user: &'static str| {
        ::http::Request::post("/MAAS/api/2.0/files/")
            .header("authorization", world.sign(user))
            .header("content-type", "multipart/form-data; boundary=b")
            .body(http_body_util::Full::from(body))
            .unwrap()
    };
    let made = world.send(add("ann")).await.json();
    assert_eq!(made["filename"], "dir/état");
    let uri = made["resource_uri"].as_str().unwrap().to_owned();
    let read = world.call("ann", "GET", &uri, &[]).await.json();
    assert_eq!(read["content"], "anVqdQ==");
    let anonymous = made["anon_resource_uri"].as_str().unwrap();
    assert_eq!(world.call("", "GET", anonymous, &[]).await.body, b"juju");
    assert_eq!(world.call("bob", "GET", &uri, &[]).await.status, 404);
    let listed = world.call("ann", "GET", "files/?prefix=dir", &[]).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert!(listed[0].get("content").is_none());
    assert_eq!(world.call("ann", "GET", "files/?prefix=x", &[]).await.json(), json!([]));
    assert_eq!(world.call("ann", "DELETE", &uri, &[]).await.status, 204);
    assert_eq!(world.call("ann", "GET", &uri, &[]).await.text(), "File not found");
    assert_eq!(world.call("", "GET", anonymous, &[]).await.status, 404);
    assert_eq!(world.call("ann", "POST", "files/", &[("filename", "x")]).await.status, 400);
}

const SCRIPT: &str = "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# name: burn\n\
    # title: Burn\n# script_type: testing\n# hardware_type: cpu\n# timeout: 00:10:00\n\
    # --- End MAAS 1.0 script metadata ---\nexit 0\n";

#[tokio::test]
async fn a_script_that_was_added_runs_at_the_next_test() {
    let world = World::new().await;
    let made = world.post("scripts/", &[("script", SCRIPT), ("comment", "first")]).await.json();
    assert_eq!(
        (&made["name"], &made["type"], &made["hardware_type"]),
        (&json!("burn"), &json!(2), &json!(1))
    );
    assert_eq!((&made["timeout"], &made["default"]), (&json!("0:10:00"), &json!(false)));
    assert_eq!(made["history"][0]["comment"], "first");
    assert_eq!(made["resource_uri"], "/MAAS/api/2.0/scripts/burn");
    let by_number = world.get(&format!("scripts/{}", made["id"])).await.json();
    assert_eq!(by_number["name"], "burn");
    let own = world.get("scripts/?type=testing&filters=burn&include_script=true").await.json();
    assert!(own[0]["script"].as_str().unwrap().starts_with("IyEv"));

    let machine = world.machine(Status::Ready, |_| {}).await;
    let test = format!("machines/{}/?op=test", machine.system_id);
    let tested = world.post(&test, &[("testing_scripts", "burn")]).await;
    assert_eq!(tested.json()["status_name"], "Testing");
    let stored = world.stored(&machine).await;
    assert!(stored.scripts.iter().any(|run| run.name == "burn" && run.timeout_seconds == 600));
    assert!(world.region.scripts().await.unwrap().iter().any(|script| script.body == SCRIPT));

    let second = SCRIPT.replace("exit 0", "exit 1");
    let changed = world.call("root", "PUT", "scripts/burn", &[("script", &second)]).await.json();
    assert_eq!(changed["history"].as_array().unwrap().len(), 2);
    assert_eq!(world.get("scripts/burn?op=download").await.text(), second);
    let first = changed["history"][1]["id"].to_string();
    let old = world.get(&format!("scripts/burn?op=download&revision={first}")).await;
    assert_eq!(old.text(), SCRIPT);
    let back = world.post("scripts/burn?op=revert", &[("to", "-1")]).await.json();
    assert_eq!(back["history"].as_array().unwrap().len(), 1);
    assert_eq!(world.get("scripts/burn?op=download").await.text(), SCRIPT);
    let tagged = world.post("scripts/burn?op=add_tag", &[("tag", "hot")]).await.json();
    assert!(tagged["tags"].as_array().unwrap().contains(&json!("hot")));
    world.post("scripts/burn?op=remove_tag", &[("tag", "hot")]).await;

    assert_eq!(world.post("scripts/", &[("script", SCRIPT)]).await.status, 400);
    let wrong = world.post("scripts/", &[("name", "x"), ("script", "no shebang")]).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    assert_eq!(world.call("root", "DELETE", "scripts/maas-lshw", &[]).await.status, 403);
    assert_eq!(
        world.post("scripts/", &[("name", "maas-lshw"), ("script", "#!/bin/sh\n")]).await.status,
        400
    );
    let old = world
        .post("commissioning-scripts/", &[("name", "mine"), ("content", "#!/bin/sh\nexit 0\n")])
        .await;
    assert_eq!(old.json()["type"], 0);
    let names = world.get("commissioning-scripts/").await.json();
    assert!(names.as_array().unwrap().contains(&json!("mine")));
    assert_eq!(world.get("commissioning-scripts/mine").await.text(), "#!/bin/sh\nexit 0\n");
    assert_eq!(world.call("root", "DELETE", "scripts/burn", &[]).await.status, 204);
    assert_eq!(world.get("scripts/burn").await.status, 404);
}

#[tokio::test]
async fn settings_are_in_force_when_they_are_set() {
    let world = World::new().await;
    let read = world.get("maas/?op=get_config&name=default_osystem").await;
    assert_eq!(read.header(::http::header::CONTENT_TYPE), "application/json");
    assert_eq!(read.json(), "ubuntu");
    let set = world.post("maas/?op=set_config", &[("name", "node_timeout"), ("value", "7")]).await;
    assert_eq!(set.text(), "OK");
    assert_eq!(world.get("maas/?op=get_config&name=node_timeout").await.json(), 7);
    assert_eq!(world.region.context().unwrap().node_timeout.as_secs(), 420);
    let unknown = world.get("maas/?op=get_config&name=colour").await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.text().contains("not a valid config setting"));
    assert_eq!(world.call("ann", "GET", "maas/?op=get_config&name=theme", &[]).await.status, 403);

    // Releasing erases when operators want it so, unless the caller says otherwise.
    for (name, value) in
        [("enable_disk_erasing_on_release", "true"), ("disk_erase_with_secure_erase", "false")]
    {
        world.post("maas/?op=set_config", &[("name", name), ("value", value)]).await;
    }
    let machine = world.machine(Status::Allocated, |_| {}).await;
    let release = format!("machines/{}/?op=release", machine.system_id);
    assert_eq!(world.post(&release, &[]).await.json()["status_name"], "Disk erasing");
    let machine = world.machine(Status::Allocated, |_| {}).await;
    let release = format!("machines/{}/?op=release", machine.system_id);
    assert_eq!(world.post(&release, &[("erase", "false")]).await.json()["status_name"], "Ready");
    world.post("maas/?op=set_config", &[("name", "kernel_opts"), ("value", "quiet")]).await;
    assert_eq!(crate::places::kernel_options(&world.region, None).await.unwrap(), "quiet");
}

#[tokio::test]
async fn what_a_deleted_user_holds_goes_to_another() {
    let world = World::new().await;
    let held = world.machine(Status::Deployed, |machine| machine.owner = Some("bob".into())).await;
    let refused = world.call("root", "DELETE", "users/bob/", &[]).await;
    assert_eq!(refused.status, 400);
    let nobody = world.call("root", "DELETE", "users/bob/?transfer_resources_to=eve", &[]).await;
    assert_eq!(nobody.status, 400);
    let gone = world.call("root", "DELETE", "users/bob/?transfer_resources_to=ann", &[]).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    let after = world.stored(&held).await;
    assert_eq!((after.owner.as_deref(), after.status), (Some("ann"), Status::Deployed));
    assert_eq!(after.credentials, held.credentials, "what is deployed goes on");
}

#[tokio::test]
async fn commands_to_several_machines_reach_all_of_them_or_none() {
    let world = World::new().await;
    let new = world.machine(Status::New, |_| {}).await;
    let ready = world.machine(Status::Ready, |_| {}).await;
    let (new_id, ready_id) = (new.system_id.as_str(), ready.system_id.as_str());
    let unknown = world.post("machines/?op=accept", &[("machines", "aaaaaa")]).await;
    assert_eq!(unknown.text(), "Unknown machine(s): aaaaaa.");
    let accepted =
        world.post("machines/?op=accept", &[("machines", new_id), ("machines", ready_id)]).await;
    assert_eq!(accepted.json().as_array().unwrap().len(), 1);
    assert_eq!(world.stored(&new).await.status, Status::Commissioning);
    world.post("zones/", &[("name", "z")]).await;
    let moved = world
        .post("machines/?op=set_zone", &[("nodes", new_id), ("nodes", ready_id), ("zone", "z")])
        .await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    assert_eq!(world.stored(&new).await.zone, "z");
    let again = world.machine(Status::New, |_| {}).await;
    let all = world.post("machines/?op=accept_all", &[]).await.json();
    assert_eq!(all[0]["system_id"], again.system_id.as_str());

    let source = world.machine(Status::Ready, |machine| {
        machine.configuration.storage = Some(maas_core::storage::LayoutRequest::Blank);
    });
    let source = source.await;
    let form =
        [("source", source.system_id.as_str()), ("destinations", ready_id), ("storage", "1")];
    assert_eq!(world.post("machines/?op=clone", &form).await.status, 204);
    assert_eq!(world.stored(&ready).await.configuration, source.configuration);
    assert_eq!(world.post("machines/?op=clone", &form[..2]).await.status, 400);
    let broken = [("source", ready_id), ("destinations", new_id), ("storage", "1")];
    assert_eq!(world.post("machines/?op=clone", &broken).await.status, 400);
    let power = world.get(&format!("machines/?op=power_parameters&id={ready_id}")).await.json();
    assert_eq!(power, json!({ready_id: {}}));
    let details = world.get(&format!("machines/{ready_id}/?op=details")).await;
    assert_eq!(details.header(::http::header::CONTENT_TYPE), "application/bson");
    let token = world.get(&format!("machines/{ready_id}/?op=get_token")).await.json();
    assert_eq!(token["token_key"], ready.credentials.token_key);
}

#[tokio::test]
async fn the_controller_is_one_and_stays_the_same() {
    let world = World::new().await;
    let racks = world.get("rackcontrollers/").await.json();
    let regions = world.get("regioncontrollers/").await.json();
    assert_eq!(racks[0]["system_id"], regions[0]["system_id"]);
    let uri = racks[0]["resource_uri"].as_str().unwrap();
    assert_eq!(world.get(uri).await.json(), racks[0]);
    assert_eq!(world.get("rackcontrollers/aaaaaa/").await.status, 404);
    let drivers: Value = world.get("rackcontrollers/?op=describe_power_types").await.json();
    let names: Vec<&str> =
        drivers.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"manual") && names.contains(&"webhook"), "{names:?}");
}

/// A form as python-libmaas and the maas command line send it (`api.md` §2.2).
fn golden(boundary: &str, parts: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, base64) in parts {
        body.push_str(&format!(
            "--{boundary}\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: form-data; \
             name=\"{name}\"\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; \
             charset=\"utf-8\"\r\n\r\n{base64}\r\n\r\n"
        ));
    }
    if parts.is_empty() {
        body.push_str(&format!("--{boundary}\r\n\r\n"));
    }
    // No line break after the last boundary.
    body + &format!("--{boundary}--")
}

#[tokio::test]
async fn the_bodies_of_real_clients_are_understood() {
    let world = World::new().await;
    let boundary = "===============1812499515225852885==";
    let send = |method: &'static str, path: &'static str, kind: String, body: String| {
        ::http::Request::builder()
            .method(method)
            .uri(format!("/MAAS/api/2.0/{path}"))
            .header("authorization", world.sign("root"))
            .header("content-type", kind)
            .header("mime-version", "1.0")
            .body(http_body_util::Full::from(body))
            .unwrap()
    };
    let multipart = format!("multipart/form-data; boundary=\"{boundary}\"");
    // "gpu", and a comment that is folded after 76 characters.
    let long = "bG9uZyBlbm91Z2ggdG8gYmUgZm9sZGVkIGJ5IHRoZSBsaWJyYXJ5IHRoYXQgd3JpdGVzIGl0OiBv\r\n\
                bmUgaHVuZHJlZA==";
    let body = golden(boundary, &[("name", "Z3B1"), ("comment", long)]);
    let made = world.send(send("POST", "tags/", multipart.clone(), body)).await.json();
    assert_eq!(made["name"], "gpu");
    assert!(made["comment"].as_str().unwrap().ends_with("writes it: one hundred"));
    // Nothing to say: an empty multipart, also on DELETE.
    let empty = golden(boundary, &[]);
    let rebuilt = send("POST", "tags/gpu/?op=rebuild", multipart.clone(), empty.clone());
    assert_eq!(world.send(rebuilt).await.status, 200);
    assert_eq!(world.send(send("DELETE", "tags/gpu/", multipart, empty)).await.status, 204);
    // Go: urlencoded, with an empty operation.
    let urlencoded = "application/x-www-form-urlencoded".to_owned();
    let go = send("POST", "tags/?op=", urlencoded.clone(), "name=go&comment=".to_owned());
    assert_eq!(world.send(go).await.json()["name"], "go");
    let in_body = send("POST", "tags/go/", urlencoded, "op=rebuild".to_owned());
    assert_eq!(world.send(in_body).await.json(), json!({"rebuilding": "go"}));
}
