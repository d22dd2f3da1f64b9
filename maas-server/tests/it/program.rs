//! The program as people and init systems use it.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::client::{Call, Key};
use super::support::program::{Ended, Process, free_ports, last_object, run};
use super::support::random::Random;
use super::support::{copy_folder, eventually, server};

const PATIENCE: Duration = Duration::from_secs(90);

/// `serve` on free ports over this folder; nothing is synchronised.
struct Serving {
    process: Process,
    region: SocketAddr,
    rack: SocketAddr,
}

impl Serving {
    fn start(data_dir: &Path) -> Self {
        let [region, rack] = free_ports(&mut Random::new(Random::seed()));
        let config = data_dir.join("maas.toml");
        let text = "boot_source_url = ''\nsync_interval_minutes = 0\nlog_format = 'json'\n";
        std::fs::write(&config, text).unwrap();
        let process = Process::spawn(&[
            "serve",
            "--config",
            config.to_str().unwrap(),
            "--data-dir",
            data_dir.to_str().unwrap(),
            "--region-listen",
            &region.to_string(),
            "--rack-listen",
            &rack.to_string(),
        ]);
        let mut serving = Self { process, region, rack };
        eventually("the server is healthy", PATIENCE, || {
            if serving.process.ended().is_some() {
                panic!("it ended: {}", serving.process.errors());
            }
            let answer = Call::get("/healthz").try_send(region).ok()?;
            (answer.status == 200).then_some(())
        });
        serving
    }
}

/// It ended with 1, and one line on standard error that names all of these.
#[track_caller]
fn fails(ended: &Ended, names: &[&str]) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.out, "", "{ended:?}");
    assert_eq!(ended.err.trim_end().lines().count(), 1, "{}", ended.err);
    assert!(ended.err.starts_with("maas-server: "), "{}", ended.err);
    for name in names {
        assert!(ended.err.contains(name), "{name:?} is not in: {}", ended.err);
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (region, rack) in [(&*address, "127.0.0.1:0"), ("127.0.0.1:0", &*address)] {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        let ended = run(
            &[
                "serve",
                "--data-dir",
                data_dir.to_str().unwrap(),
                "--region-listen",
                region,
                "--rack-listen",
                rack,
            ],
            "",
        );
        fails(&ended, &[&address, "in use"]);
        assert!(!data_dir.join("maas.sqlite").exists(), "another server's data are left alone");
    }
}

#[test]
fn a_data_directory_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    // Even root cannot make folders there.
    for path in [file.as_path(), &file.join("below"), Path::new("/proc/maas-server-test")] {
        let path = path.to_str().unwrap();
        let serve = ["serve", "--region-listen", "127.0.0.1:0", "--rack-listen", "127.0.0.1:0"];
        for (args, why) in [
            (&serve[..], "not writable"),
            (&["user", "create", "alice", "--password-stdin"], "not writable"),
            // These make nothing, so they miss what should be there.
            (&["apikey", "alice"], "holds no database"),
            (&["user", "list"], "holds no database"),
        ] {
            let args = [args, &["--data-dir", path]].concat();
            fails(&run(&args, "a password\n"), &[path, why]);
        }
        let demo = run(&["demo", "--json", "--data-dir", path], "");
        assert_eq!(demo.code, Some(1), "{demo:?}");
        assert!(demo.err.contains(path), "{demo:?}");
    }
}

#[test]
fn a_configuration_that_is_wrong_is_named_by_file_key_expected_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("maas.toml");
    let name = file.to_str().unwrap();
    for (text, names) in [
        ("regoin_listen = '127.0.0.1:0'\n", &["unknown key `regoin_listen`", "region_listen"][..]),
        (
            "region_listen = 5240\n",
            &["key `region_listen`", "expected an address", "found the integer 5240"],
        ),
        (
            "region_listen = 'localhost'\n",
            &["key `region_listen`", "expected an address", "localhost"],
        ),
        ("node_timeout_minutes = 0\n", &["key `node_timeout_minutes`", "expected"]),
        ("log_format = 'xml'\n", &["key `log_format`", "expected", "xml"]),
        ("log = 'info'\nlog = 'debug'\n", &["not valid TOML", "line 2"]),
        ("log = 'maas_server=loud'\n", &["key `log`", "expected", "loud"]),
        ("= 5\n", &["not valid TOML", "line 1"]),
        ("data_dir = '/tmp\n", &["not valid TOML", "line 1"]),
    ] {
        std::fs::write(&file, text).unwrap();
        for command in [&["serve"][..], &["user", "list"], &["apikey", "alice"]] {
            let ended = run(&[command, &["--config", name]].concat(), "");
            fails(&ended, &[&[name][..], names].concat());
        }
    }
    let ended = run(&["serve", "--config", "/nonexistent/maas.toml"], "");
    fails(&ended, &["/nonexistent/maas.toml", "No such file"]);
    std::fs::write(&file, b"log = '\xff'\n").unwrap();
    fails(&run(&["serve", "--config", name], ""), &[name]);
}

#[test]
fn a_database_that_is_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("maas.sqlite"), "this is no database, ".repeat(400)).unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let ended = run(
        &[
            "serve",
            "--data-dir",
            data_dir,
            "--region-listen",
            "127.0.0.1:0",
            "--rack-listen",
            "127.0.0.1:0",
        ],
        "",
    );
    fails(&ended, &["maas.sqlite"]);
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    for args in [
        &[][..],
        &["server"],
        &["serve", "--region-listen", "nowhere"],
        &["serve", "--no-such-flag"],
        &["user", "create", "alice"],
        &["user", "create", "--password-stdin"],
        &["simulate"],
        &["simulate", "--region", "http://x", "--rack", "http://x", "--machines", "many"],
        &[
            "simulate",
            "--region",
            "http://x",
            "--rack",
            "http://x",
            "--machines",
            "1",
            "--fault",
            "melts=1",
        ],
        &["apikey"],
    ] {
        let ended = run(args, "");
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
        assert!(ended.err.contains("Usage") || ended.err.contains("--help"), "{args:?}: {ended:?}");
    }
    for args in [&["--help"][..], &["serve", "--help"], &["--version"]] {
        assert_eq!(run(args, "").code, Some(0), "{args:?}");
    }
}

#[test]
fn users_and_keys_are_made_with_and_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let create = |name: &str, more: &[&str], password: &str| {
        let args = ["user", "create", name, "--password-stdin", "--data-dir", data_dir];
        run(&[&args[..], more].concat(), password)
    };
    let key = |name: &str| run(&["apikey", name, "--data-dir", data_dir], "");

    // Without one.
    let created = create("alice", &["--admin"], "correct horse\n");
    assert_eq!(created.code, Some(0), "{created:?}");
    let alice = key("alice");
    assert_eq!(alice.code, Some(0), "{alice:?}");
    assert_eq!(key("alice").out, alice.out, "the same key again");

    // With one: it knows both who was there and who comes.
    let mut serving = Serving::start(dir.path());
    let created = create("bob", &[], "battery staple\n");
    assert_eq!(created.code, Some(0), "{created:?}");
    let bob = key("bob");
    assert_eq!(bob.code, Some(0), "{bob:?}");
    for (name, key, admin) in [("alice", &alice.out, true), ("bob", &bob.out, false)] {
        let call = Call::get("/MAAS/api/2.0/users/?op=whoami").signed(&Key::parse(key));
        let who = call.send(serving.region).ok().json();
        assert_eq!(
            (&who["username"], &who["is_superuser"]),
            (&Value::from(name), &Value::from(admin))
        );
    }
    let login = |password: &str| {
        let fields = [("username", "bob"), ("password", password), ("consumer", "me@here")];
        Call::post("/MAAS/accounts/authenticate/", &fields).send(serving.region).status
    };
    assert_eq!((login("battery staple"), login("staple")), (200, 403));
    let listed = run(&["user", "list", "--data-dir", data_dir], "");
    assert_eq!(listed.out, "alice\tadmin\t\nbob\tuser\t\n");

    fails(&create("alice", &[], "again\n"), &["alice"]);
    fails(&create("no body", &[], "x\n"), &["no body"]);
    fails(&create("carol", &[], ""), &["password"]);
    fails(&key("nobody"), &["nobody", "does not exist"]);
    serving.process.terminate();
    assert_eq!(serving.process.wait(PATIENCE).code(), Some(0));
}

#[test]
fn a_server_answers_how_it_is_and_ends_in_order_when_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(dir.path());
    for address in [serving.region, serving.rack] {
        assert_eq!(Call::get("/healthz").send(address).status, 200);
        let metrics = Call::get("/metrics").send(address).ok();
        assert!(
            metrics.header("content-type").unwrap().starts_with("application/openmetrics-text")
        );
        let text = metrics.text();
        assert!(text.contains("# TYPE") && text.trim_end().ends_with("# EOF"), "{text}");
        assert!(text.contains("Ready"), "{text}");
    }
    // A second server on the same ports does not disturb the first.
    let second = run(
        &[
            "serve",
            "--data-dir",
            dir.path().to_str().unwrap(),
            "--region-listen",
            &serving.region.to_string(),
            "--rack-listen",
            "127.0.0.1:0",
        ],
        "",
    );
    fails(&second, &[&serving.region.to_string(), "in use"]);
    assert_eq!(Call::get("/healthz").send(serving.region).status, 200);

    // An idle connection does not hold it up.
    let idle = std::net::TcpStream::connect(serving.region).unwrap();
    serving.process.terminate();
    let asked = Instant::now();
    let status = serving.process.wait(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0), "{}", serving.process.errors());
    assert!(asked.elapsed() < Duration::from_secs(9), "{:?}", asked.elapsed());
    drop(idle);
    // Every line of the log is an object.
    for line in serving.process.errors().lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(line["level"].is_string(), "{line}");
    }
    assert!(serving.process.seen.is_empty(), "the log is on standard error");
}

#[test]
fn a_demo_that_keeps_serving_says_where_and_for_whom() {
    let dir = tempfile::tempdir().unwrap();
    copy_folder(server::demo_folder(), dir.path());
    // A copy has the ports of the demo that it was copied from; nobody listens there any more,
    // but several tests may copy it.
    std::fs::remove_file(dir.path().join("demo.json")).unwrap();
    std::fs::remove_dir_all(dir.path().join("server")).unwrap();
    std::fs::remove_dir_all(dir.path().join("simulator")).unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let mut demo = Process::spawn(&["demo", "--keep-serving", "--json", "--data-dir", data_dir]);
    let last = demo.wait_for(Duration::from_secs(180), |line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line.get("result").is_some().then_some(line)
    });
    assert_eq!(last["result"], "deployed", "{last}");
    assert_eq!(last["user"], "alice");
    let url = last["url"].as_str().unwrap();
    let address = url.strip_prefix("http://").unwrap().strip_suffix("/MAAS/").unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let key = Key::parse(last["api_key"].as_str().unwrap());
    let who = Call::get("/MAAS/api/2.0/users/?op=whoami").signed(&key).send(address).ok().json();
    assert_eq!(who["username"], "alice");
    let id = last["system_id"].as_str().unwrap();
    let path = format!("/MAAS/api/2.0/machines/{id}/");
    let machine = Call::get(path).signed(&key).send(address).ok().json();
    assert_eq!(machine["status_name"], "Deployed");
    for artefact in std::fs::read_dir(last["artefacts"].as_str().unwrap()).unwrap() {
        assert!(artefact.unwrap().metadata().unwrap().len() > 0);
    }
    demo.terminate();
    assert_eq!(demo.wait(PATIENCE).code(), Some(0), "{}", demo.errors());
    assert_eq!(last_object(&demo.seen)["result"], "deployed", "it stays the last line");
}

#[test]
fn a_machine_added_by_hand_is_simulated_and_deployed() {
    let dir = tempfile::tempdir().unwrap();
    copy_folder(&server::demo_folder().join("server"), dir.path());
    let data_dir = dir.path().to_str().unwrap();
    let key = Key::parse(&run(&["apikey", "alice", "--data-dir", data_dir], "").out);
    let serving = Serving::start(dir.path());
    let mut simulator = Process::spawn(&[
        "simulate",
        "--region",
        &format!("http://{}", serving.region),
        "--rack",
        &format!("http://{}", serving.rack),
        "--machines",
        "0",
        "--json",
    ]);
    let power = simulator.wait_for(PATIENCE, |line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["power_url"].as_str().map(str::to_owned)
    });

    let mac = "52:54:00:12:34:56";
    let parameters = serde_json::json!({
        "power_on_uri": format!("{power}/machines/{mac}/on"),
        "power_off_uri": format!("{power}/machines/{mac}/off"),
        "power_query_uri": format!("{power}/machines/{mac}"),
    })
    .to_string();
    let fields = [
        ("architecture", "amd64/generic"),
        ("mac_addresses", mac),
        ("hostname", "by-hand"),
        ("power_type", "webhook"),
        ("power_parameters", &parameters),
        ("commission", "false"),
    ];
    let api = |call: Call| call.signed(&key).send(serving.region).ok().json();
    let added = api(Call::post("/MAAS/api/2.0/machines/", &fields));
    assert_eq!(added["status_name"], "New");
    let path = format!("/MAAS/api/2.0/machines/{}/", added["system_id"].as_str().unwrap());
    let act = |op: &str| api(Call::post(format!("{path}?op={op}"), &[]));
    let wait = |status: &str| {
        eventually(status, PATIENCE, || {
            let machine = api(Call::get(&*path));
            let now = machine["status_name"].as_str().unwrap().to_owned();
            assert!(!now.contains("ailed"), "{now}: {}", machine["error_description"]);
            (now == status).then_some(machine)
        })
    };
    act("commission");
    let ready = wait("Ready");
    assert!(ready["cpu_count"].as_u64().unwrap() > 0 && ready["memory"].as_u64().unwrap() > 0);
    assert_eq!(ready["hostname"], "by-hand");
    act("deploy");
    let deployed = wait("Deployed");
    assert_eq!(deployed["owner"], "alice");
    assert_eq!(deployed["power_state"], "on");
    act("release");
    let ready = wait("Ready");
    assert_eq!(ready["owner"], Value::Null);
    simulator.terminate();
    assert_eq!(simulator.wait(PATIENCE).code(), Some(0), "{}", simulator.errors());
}

#[test]
fn a_demo_that_is_interrupted_says_how_to_go_on_and_does() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["demo", "--json", "--data-dir", dir.path().to_str().unwrap()];
    let mut demo = Process::spawn(&args);
    demo.wait_for(PATIENCE, |line| line.contains("4 · An unknown machine").then_some(()));
    demo.terminate();
    assert_eq!(demo.wait(PATIENCE).code(), Some(1), "{}", demo.errors());
    assert_eq!(last_object(&demo.seen)["result"], "interrupted");
    let mut demo = Process::spawn(&args);
    assert_eq!(demo.wait(PATIENCE).code(), Some(0), "{}", demo.errors());
    assert_eq!(last_object(&demo.seen)["result"], "deployed");
}
