//! The server is killed at any moment and goes on from where it was.
//!
//! `MAAS_TEST_KILLS` says how many kills (20), `MAAS_TEST_SEED` repeats a run's moments.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::client::{Call, Key};
use super::support::program::{self, Process, free_ports, last_object, run};
use super::support::random::Random;
use super::support::{copy_folder, server};

/// Kills before a data directory is left in peace to finish.
const KILLS_EACH: usize = 5;

fn kills_wanted() -> usize {
    std::env::var("MAAS_TEST_KILLS").map_or(20, |text| text.parse().expect("a number"))
}

#[test]
fn a_demo_that_is_killed_at_random_moments_still_ends_deployed() {
    let seed = Random::seed();
    println!("MAAS_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let first = tempfile::tempdir().unwrap();
    let usual = u64::try_from(program::whole_demo(first.path()).as_millis()).unwrap();
    println!("a demo usually takes {usual} ms");

    // Two at a time: a demo waits more than it computes.
    let kills = std::thread::scope(|scope| {
        let halves = [kills_wanted().div_ceil(2), kills_wanted() / 2].map(|wanted| {
            let mut random = Random::new(random.next());
            scope.spawn(move || {
                let mut kills = 0;
                while kills < wanted {
                    let dir = tempfile::tempdir().unwrap();
                    kills += kill_and_finish(dir.path(), usual, &mut random, wanted - kills);
                }
                kills
            })
        });
        halves.map(|half| half.join().unwrap()).iter().sum::<usize>()
    });
    println!("{kills} kills; every data directory ended deployed");
    assert!(kills >= kills_wanted());
}

/// Kills a demo on this folder a few times, then lets it finish; says how often it was killed.
fn kill_and_finish(dir: &Path, usual: u64, random: &mut Random, most: usize) -> usize {
    let args = ["demo", "--json", "--data-dir", dir.to_str().unwrap()];
    let mut moments = Vec::new();
    // Each run is shorter than the one before; a run that ended before its kill does not count.
    for _ in 0..KILLS_EACH.min(most) {
        // Now and then early, where keys, ports and the database are made.
        let span = if random.below(3) == 0 { usual / 8 } else { usual };
        let moment = random.below(span);
        let mut demo = Process::spawn(&args);
        std::thread::sleep(Duration::from_millis(moment));
        if demo.ended().is_some() {
            break;
        }
        demo.kill();
        moments.push(moment);
    }
    let mut demo = Process::spawn(&args);
    let status = demo.wait(Duration::from_secs(150));
    let last = last_object(&demo.seen);
    println!("killed after {moments:?} ms, then finished in {} ms", last["elapsed_ms"]);
    assert!(
        status.success() && last["result"] == "deployed",
        "{last}\nout: {}\nerr: {}",
        demo.seen.join("\n"),
        demo.errors()
    );
    assert_eq!(last["status_name"], "Deployed", "{last}");
    assert_eq!(last["owner"], "alice", "{last}");
    moments.len()
}

#[test]
fn a_server_that_is_killed_under_running_machines_still_deploys_them_all() {
    const MACHINES: usize = 3;
    let seed = Random::seed();
    println!("MAAS_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let kills_wanted = kills_wanted().div_ceil(2);

    let dir = tempfile::tempdir().unwrap();
    copy_folder(&server::demo_folder().join("server"), dir.path());
    let data_dir = dir.path().to_str().unwrap();
    let [region, rack] = free_ports(&mut random);
    let config = dir.path().join("maas.toml");
    std::fs::write(&config, "boot_source_url = ''\nsync_interval_minutes = 0\nlog = 'warn'\n")
        .unwrap();
    let (region_text, rack_text) = (region.to_string(), rack.to_string());
    let serve = || {
        Process::spawn(&[
            "serve",
            "--config",
            config.to_str().unwrap(),
            "--data-dir",
            data_dir,
            "--region-listen",
            &region_text,
            "--rack-listen",
            &rack_text,
        ])
    };
    let key = run(&["apikey", "alice", "--data-dir", data_dir], "");
    let key = Key::parse(&key.out);

    let mut server = serve();
    wait_until_healthy(region, &mut server);
    // The demo's machine has lost its power switch.
    for machine in machines(region, &key).unwrap() {
        act(region, &key, &machine, "DELETE", "");
    }
    let mut simulator = Process::spawn(&[
        "simulate",
        "--region",
        &format!("http://{region}"),
        "--rack",
        &format!("http://{rack}"),
        "--machines",
        &MACHINES.to_string(),
        "--json",
    ]);

    let started = Instant::now();
    let mut kills = 0;
    let mut next_kill = Instant::now() + Duration::from_millis(300 + random.below(2500));
    loop {
        let all = machines(region, &key).unwrap_or_default();
        for machine in &all {
            go_on(region, &key, machine);
        }
        let done = all.len() == MACHINES && all.iter().all(|it| it["status_name"] == "Deployed");
        if done {
            break;
        }
        assert!(
            started.elapsed() < Duration::from_secs(180),
            "not deployed after {kills} kills: {:#?}\nserver: {}\nsimulator: {}",
            all.iter().map(summary).collect::<Vec<_>>(),
            server.errors(),
            {
                simulator.kill();
                let _ = simulator.wait(Duration::from_secs(1));
                simulator.seen.join("\n")
            }
        );
        if kills < kills_wanted && Instant::now() >= next_kill {
            server.kill();
            kills += 1;
            server = serve();
            wait_until_healthy(region, &mut server);
            next_kill = Instant::now() + Duration::from_millis(100 + random.below(2500));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("{MACHINES} machines deployed with {kills} kills in {:?}", started.elapsed());
    assert!(kills > 0);
    for machine in machines(region, &key).unwrap() {
        assert_eq!(machine["owner"], "alice");
        assert_eq!(machine["netboot"], false);
    }
    assert!(simulator.ended().is_none(), "the simulator survives");
    server.terminate();
    assert!(server.wait(Duration::from_secs(30)).success(), "{}", server.errors());
}

fn summary(machine: &Value) -> String {
    ["system_id", "status_name", "power_state", "status_message", "error_description"]
        .map(|field| machine[field].to_string())
        .join(" ")
}

fn wait_until_healthy(region: SocketAddr, server: &mut Process) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if Call::get("/healthz").try_send(region).is_ok_and(|answer| answer.status == 200) {
            return;
        }
        if let Some(status) = server.ended() {
            panic!("the server ended by itself: {status}: {}", server.errors());
        }
        assert!(Instant::now() < until, "not healthy: {}", server.errors());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn machines(region: SocketAddr, key: &Key) -> Option<Vec<Value>> {
    let answer = Call::get("/MAAS/api/2.0/machines/").signed(key).try_send(region).ok()?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().cloned()
}

/// The next command, as a person gives it who looks at the status only. Its answer may get lost.
fn go_on(region: SocketAddr, key: &Key, machine: &Value) {
    match machine["status_name"].as_str().unwrap() {
        "New" if machine["power_state"] == "off" => act(region, key, machine, "POST", "commission"),
        "Ready" => act(region, key, machine, "POST", "deploy"),
        "Allocated" => act(region, key, machine, "POST", "deploy"),
        failed if failed.contains("ailed") || failed == "Broken" => {
            panic!("{}", summary(machine));
        }
        _ => {}
    }
}

fn act(region: SocketAddr, key: &Key, machine: &Value, method: &'static str, op: &str) {
    let id = machine["system_id"].as_str().unwrap();
    let query = if op.is_empty() { String::new() } else { format!("?op={op}") };
    let path = format!("/MAAS/api/2.0/machines/{id}/{query}");
    let call = Call::new(method, path).signed(key).body("");
    // Killed before or after it was done: the next look tells.
    if let Ok(answer) = call.try_send(region) {
        assert!(
            (200..300).contains(&answer.status) || answer.status == 409,
            "{op}: {}: {}",
            answer.status,
            answer.text()
        );
    }
}
