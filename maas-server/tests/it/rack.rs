//! A rack in a process of its own: machines deploy through it, images outlive the region, and no
//! kill makes it take a part for the whole.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use maas_core::machine::Status;
use maas_server::rack::enrolment;
use maas_server::rack::reports::{RackReport, Reported};
use sha2::{Digest, Sha256};

use super::support::client::{Answer, Call};
use super::support::eventually;
use super::support::play::{PATIENCE, Play};
use super::support::program::{Process, free_ports};
use super::support::random::Random;
use super::support::server::Running;

/// A rack process and what starts it again.
struct Rack {
    process: Process,
    address: SocketAddr,
    tftp: SocketAddr,
    arguments: Vec<String>,
}

impl Rack {
    fn enrolled(running: &Running, dir: &Path, random: &mut Random) -> Self {
        let store = running.server().store();
        let token = running.runtime.block_on(enrolment::enrol(store, "rack-1")).unwrap();
        let token_file = dir.join("token");
        std::fs::write(&token_file, format!("{}\n", token.expose())).unwrap();
        let [address, tftp] = free_ports(random);
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let arguments: Vec<String> = [
            "rack",
            "--region",
            &format!("http://{}", running.region),
            "--token-file",
            &text(&token_file),
            "--listen",
            &address.to_string(),
            "--tftp-listen",
            &tftp.to_string(),
            "--data-dir",
            &text(&dir.join("rack")),
        ]
        .map(str::to_owned)
        .into();
        let process = Self::spawn(&arguments);
        let rack = Self { process, address, tftp, arguments };
        rack.wait();
        rack
    }

    fn spawn(arguments: &[String]) -> Process {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Process::spawn(&arguments)
    }

    fn start_again(&mut self) {
        self.process = Self::spawn(&self.arguments);
        self.wait();
    }

    /// Until it listens.
    fn wait(&self) {
        eventually("the rack listens", PATIENCE, || {
            Call::get("/grub/x86_64-efi/fs.lst").try_send(self.address).ok()
        });
    }

    fn image(&self, sha256: &str) -> std::io::Result<Answer> {
        Call::get(format!("/images/{sha256}/ubuntu/amd64/generic/noble/stable/file"))
            .try_send(self.address)
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_whole(answer: &Answer) -> bool {
    answer.status == 200
        && answer.header("content-length") == Some(answer.body.len().to_string().as_str())
}

#[test]
fn a_machine_deploys_through_a_rack_whose_images_outlive_the_region() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new(Random::seed());
    let running = Running::with_images(|_| {});
    let region = running.region;
    let rack = Rack::enrolled(&running, dir.path(), &mut random);
    let files = running.server().region().images.files();
    let (play, id) = Play::enlisted_through(7, running, rack.address);
    play.act(&id, "commission");
    play.wait_for(&id, "Ready");
    play.running.post("machines/?op=allocate", &[("system_id", &id)]).ok();
    play.act(&id, "deploy");
    play.wait_for(&id, "Deployed");
    let machine = play.running.machine(&id.parse().unwrap());
    assert_eq!(machine.boot.rack.as_deref(), Some("127.0.0.1"));

    let names: Vec<&String> = files.keys().collect();
    for sha in &names {
        let answer = rack.image(sha).unwrap().ok();
        assert_eq!(answer.header("etag"), Some(format!("\"{sha}\"").as_str()));
        assert_eq!(&sha256(&answer.body), *sha);
    }
    drop(play);
    assert!(Call::get("/healthz").try_send(region).is_err(), "the region is gone");
    for sha in &names {
        assert_eq!(&&sha256(&rack.image(sha).unwrap().ok().body), sha);
        let part = Call::get(format!("/images/{sha}/x")).header("Range", "bytes=1-3");
        assert_eq!(part.send(rack.address).status, 206);
    }
    let asked = Call::get("/MAAS/metadata/latest/").send(rack.address);
    assert_eq!((asked.status, asked.header("retry-after")), (503, Some("5")));
    assert_eq!(Call::get("/ipxe.cfg").send(rack.address).status, 200);
    assert_ne!(rack.tftp.port(), 0);
}

#[test]
fn a_rack_serves_what_it_knows_while_the_region_is_away_and_tells_it_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new(Random::seed());
    let mut running = Running::with_images(|_| {});
    let mut rack = Rack::enrolled(&running, dir.path(), &mut random);
    let mac = "52:54:00:00:00:77";
    let machine = running.add_machine(|machine| {
        machine.status = Status::Ready;
        machine.previous_status = Status::Commissioning;
        machine.mac_addresses = [mac.to_owned()].into();
    });
    let config = |rack: &Rack| Call::get(format!("/ipxe.cfg-{mac}")).send(rack.address);
    let before = config(&rack);
    assert_eq!(before.status, 200);
    let netboots = |running: &Running| {
        let records = running.records();
        records.iter().filter(|it| it.record.kind == "Performing PXE boot").count()
    };
    assert_eq!(netboots(&running), 1);
    running.while_down(|| {
        assert_eq!(config(&rack).text(), before.text());
        let unknown = Call::get("/ipxe.cfg-52:54:00:00:00:78").send(rack.address);
        assert_eq!(unknown.status, 503, "nothing is made up");
        // What waits for the region outlives the rack too.
        rack.process.kill();
        rack.start_again();
        assert_eq!(config(&rack).text(), before.text());
    });
    eventually("the netboots arrive", PATIENCE, || (netboots(&running) == 3).then_some(()));
    let machine = running.machine(&machine.system_id);
    assert_eq!(machine.boot.rack.as_deref(), Some("127.0.0.1"));
}

#[test]
fn dhcp_is_offered_when_the_api_switches_it_on_and_leases_are_told() {
    let running = Running::empty();
    let mac = "52:54:00:00:00:79";
    let machine = running.add_machine(|machine| machine.mac_addresses = [mac.to_owned()].into());
    let region = running.server().region();
    let offers = || region.dhcp_offers.borrow().len();
    let subnet = running.post("subnets/", &[("cidr", "203.0.113.0/24"), ("vlan", "5001")]).ok();
    let subnet = subnet.json()["id"].to_string();
    let range = [
        ("type", "dynamic"),
        ("start_ip", "203.0.113.100"),
        ("end_ip", "203.0.113.150"),
        ("subnet", subnet.as_str()),
    ];
    running.post("ipranges/", &range).ok();
    assert_eq!(offers(), 0, "off by default");
    let switch = |on: &str| {
        let call = Call::new("PUT", "/MAAS/api/2.0/vlans/5001/")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(format!("dhcp_on={on}"));
        call.signed(&running.admin).send(running.region).ok();
    };
    switch("true");
    eventually("it is offered", PATIENCE, || (offers() == 1).then_some(()));
    switch("false");
    eventually("it is taken back", PATIENCE, || (offers() == 0).then_some(()));

    let lease = RackReport::Leased { mac: mac.to_owned(), address: [203, 0, 113, 101].into() };
    for _ in 0..2 {
        running.runtime.block_on(region.report(lease.clone()));
    }
    let told: Vec<String> = running
        .records()
        .into_iter()
        .filter(|it| it.record.kind == "DHCP lease" && it.system_id == machine.system_id)
        .map(|it| it.record.description)
        .collect();
    assert_eq!(told, [format!("{mac} has 203.0.113.101")]);
}

#[test]
fn strangers_are_told_nothing_that_is_for_racks() {
    let running = Running::empty();
    for path in ["/MAAS/rack/v1/state", "/MAAS/rack/v1/boot/ipxe.cfg-default-amd64"] {
        assert_eq!(Call::get(path).send(running.region).status, 403, "{path}");
        let call = Call::get(path).header("x-maas-rack", "guess");
        assert_eq!(call.send(running.region).status, 403, "{path}");
    }
    // Nor is a stranger believed who claims to be reached somewhere else.
    let call = Call::get("/MAAS/metadata/latest/enlist-preseed/?op=get_enlist_preseed")
        .header("x-maas-rack", "guess")
        .header("x-maas-rack-reached", "203.0.113.9:80");
    assert!(!call.send(running.region).text().contains("203.0.113.9"));
}

#[test]
fn fifty_machines_that_ask_for_a_cold_image_share_one_transfer_and_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new(Random::seed());
    let running = Running::empty();
    let region = running.server().region();
    let content = |seed: u32| -> Vec<u8> {
        (0..16_000_000_u32)
            .map(|i| (i ^ seed).wrapping_mul(2_654_435_761).to_be_bytes()[0])
            .collect()
    };
    let contents = [content(0), content(0x5555_5555)];
    running.runtime.block_on(async {
        for content in &contents {
            region.images.blobs().import_bytes(content).await.unwrap();
        }
        region.images.reload(&*region.store).await.unwrap();
    });
    let rack = Rack::enrolled(&running, dir.path(), &mut random);
    let clients = |count: usize, content: &[u8]| {
        let sha = sha256(content);
        let started = Instant::now();
        std::thread::scope(|scope| {
            let asked: Vec<_> = (0..count)
                .map(|_| {
                    scope.spawn(|| {
                        let answer = rack_image(rack.address, &sha).unwrap();
                        assert!(is_whole(&answer) && answer.body == content);
                    })
                })
                .collect();
            asked.into_iter().for_each(|one| one.join().unwrap());
        });
        started.elapsed()
    };
    let one = clients(1, &contents[0]);
    // What fifty copies of a file that is there cost: clients, loopback and comparing included.
    let copies = clients(50, &contents[0]);
    let cold = clients(50, &contents[1]);
    let bound = one.mul_f64(1.2) + copies;
    println!("1 cold client {one:?}, 50 warm {copies:?}, 50 cold {cold:?}, bound {bound:?}");
    // A machine under load measures its load: only what is far off is a failure here.
    assert!(cold < bound * 3 + Duration::from_secs(2), "{cold:?}, expected {bound:?}");
}

#[test]
fn a_rack_killed_in_the_middle_of_a_transfer_never_takes_a_part_for_the_whole() {
    let rounds: u32 = std::env::var("MAAS_TEST_KILLS").map_or(20, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new(Random::seed());
    let running = Running::empty();
    let region = running.server().region();
    let content: Vec<u8> =
        (0..48_000_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let sha = sha256(&content);
    running.runtime.block_on(async {
        region.images.blobs().import_bytes(&content).await.unwrap();
        region.images.reload(&*region.store).await.unwrap();
    });
    let mut rack = Rack::enrolled(&running, dir.path(), &mut random);
    let stored = dir.path().join("rack/cache/sha256").join(&sha);
    let (mut cut, mut whole, mut hits) = (0, 0, 0);
    for round in 0..rounds {
        let delay = Duration::from_millis(random.below(400));
        let asked = std::thread::scope(|scope| {
            let asked = scope.spawn(|| rack_image(rack.address, &sha));
            std::thread::sleep(delay);
            rack.process.kill();
            asked.join().unwrap()
        });
        match asked {
            Ok(answer) if is_whole(&answer) => {
                assert!(answer.body == content, "round {round}: a wrong answer");
                whole += 1;
            }
            _ => cut += 1,
        }
        if stored.exists() {
            hits += 1;
            assert!(std::fs::read(&stored).unwrap() == content, "round {round}: a part is kept");
            std::fs::remove_file(&stored).unwrap();
        }
        rack.start_again();
    }
    println!("{rounds} kills: {cut} answers cut, {whole} whole, {hits} files kept");
    let started = Instant::now();
    let answer = rack.image(&sha).unwrap().ok();
    assert!(answer.body == content, "after {:?}", started.elapsed());
}

fn rack_image(address: SocketAddr, sha: &str) -> std::io::Result<Answer> {
    Call::get(format!("/images/{sha}/file")).try_send(address)
}
