//! Whole lives of simulated machines against a small region made for the tests.

#![allow(clippy::unwrap_used)]

mod region;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::region::{Region, Status, storage};
use super::fault::{FaultKind, FaultRate};
use super::{Config, Disk, Firmware, Mac, Pace, Power, Simulator, SimulatorEvent, Stage};

struct World {
    region: Region,
    simulator: Simulator,
    events: mpsc::Receiver<SimulatorEvent>,
    happened: Vec<SimulatorEvent>,
}

async fn world(change: impl FnOnce(&mut Config)) -> World {
    let region = Region::start().await;
    world_with(region, change).await
}

async fn world_with(region: Region, change: impl FnOnce(&mut Config)) -> World {
    let mut config = Config::new(&region.url(), &region.url()).unwrap();
    config.pace = Pace::new(0.0, 0.02);
    change(&mut config);
    let (sender, events) = mpsc::channel(100_000);
    let simulator = Simulator::start(config, sender, CancellationToken::new()).await.unwrap();
    World { region, simulator, events, happened: Vec::new() }
}

impl World {
    /// Waits until something is so; tells what happened when it never is.
    async fn until(&mut self, what: &str, so: impl Fn(&Region, &Simulator) -> bool) {
        for _ in 0..2000 {
            while let Ok(event) = self.events.try_recv() {
                self.happened.push(event);
            }
            if so(&self.region, &self.simulator) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}\n{}", self.story());
    }

    async fn until_event(&mut self, stage: Stage, words: &str) {
        for _ in 0..2000 {
            while let Ok(event) = self.events.try_recv() {
                self.happened.push(event);
            }
            if self.happened.iter().any(|e| e.stage == stage && e.detail.contains(words)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {stage} {words}\n{}", self.story());
    }

    fn story(&self) -> String {
        let line = |event: &SimulatorEvent| {
            format!("{} {:16} {}", event.machine, event.stage, event.detail)
        };
        self.happened.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Waits until all machines are commissioned and off.
    async fn ready(&mut self, count: usize) {
        self.until("all machines are ready and off", move |region, simulator| {
            let ids = region.ids();
            ids.len() == count
                && ids.iter().all(|id| region.machine(id).status == Status::Ready)
                && simulator.machines().iter().all(|machine| machine.power == Power::Off)
        })
        .await;
    }

    fn mac(&self) -> Mac {
        self.simulator.machines()[0].mac()
    }

    /// Deploys as the region's webhook driver does.
    async fn deploy(&mut self, id: &str, size: &str) {
        let known = self.region.machine(id);
        let mac: Mac = known.macs[0].parse().unwrap();
        let state = self.simulator.machine(mac).unwrap();
        self.region.change(id, |known| {
            known.status = Status::Deploying;
            known.netboot = true;
            known.events.clear();
            known.storage = storage(&state, size);
        });
        let answer = call("POST", known.power["power_on_uri"].as_str().unwrap()).await;
        assert_eq!(answer, r#"{"status":"running"}"#);
    }
}

async fn call(method: &str, url: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    client.request(method, url).send().await.unwrap().text().await.unwrap()
}

fn always(kind: FaultKind) -> Vec<FaultRate> {
    vec![FaultRate::new(kind, 1.0)]
}

#[tokio::test]
async fn machines_of_all_three_firmwares_enlist_commission_and_deploy() {
    let mut world = world(|config| config.machines = 3).await;
    world.ready(3).await;
    let kinds: BTreeSet<String> =
        world.simulator.machines().iter().map(|m| m.firmware.to_string()).collect();
    assert_eq!(kinds.len(), Firmware::ALL.len());
    for id in world.region.ids() {
        let known = world.region.machine(&id);
        assert_eq!(known.created, 1);
        let mac: Mac = known.macs[0].parse().unwrap();
        let document = known.resources.unwrap();
        let state = world.simulator.machine(mac).unwrap();
        assert_eq!(document["resources"]["system"]["uuid"], state.uuid.as_str());
        assert_eq!(state.system_id.as_deref(), Some(id.as_str()));
        world.deploy(&id, "8G").await;
    }
    world
        .until("all machines are deployed", |region, simulator| {
            region.ids().iter().all(|id| region.machine(id).status == Status::Deployed)
                && simulator.machines().iter().all(|machine| {
                    matches!(&machine.disk, Disk::Installed(system) if system.initialised)
                })
        })
        .await;
    for machine in world.simulator.machines() {
        assert_eq!(machine.power, Power::On);
        let Disk::Installed(system) = machine.disk else { panic!("installed") };
        let id = machine.system_id.unwrap();
        assert_eq!(system.hostname, Some(format!("{id}.maas")));
        assert_eq!(system.ssh_keys, ["ssh-ed25519 AAAA user@test"]);
        assert_eq!(system.user_data.as_deref(), Some("#cloud-config\nhostname: mine\n"));
        assert_eq!(system.source, "cp:///media/root-ro");
        let events = world.region.machine(&id).events;
        let finished = |name: &str| {
            events.iter().any(|e| {
                e["name"] == name && e["event_type"] == "finish" && e["result"] == "SUCCESS"
            })
        };
        for name in [
            "cmd-install/stage-late/maas",
            "cmd-install/stage-partitioning",
            "cmd-install",
            "modules-final",
        ] {
            assert!(finished(name), "{name}");
        }
        let top =
            events.iter().find(|e| e["name"] == "cmd-install" && e["result"] == "SUCCESS").unwrap();
        assert_eq!(top["files"][0]["path"], "/tmp/install.log");
        assert!(top["files"][1]["content"].is_null());
    }
    assert!(
        world.region.asked("/ipxe.cfg-52%3A54%3A").iter().all(|line| line.contains("iPXE/1.0.0"))
    );
    assert!(!world.region.asked("/ipxe.cfg-52%3A54%3A").is_empty());
    assert!(world.region.asked("/images/bootx64.efi")[0].starts_with("HEAD "));
    assert!(!world.region.asked("/grub/x86_64-efi/terminal.lst").is_empty());
    assert!(!world.region.asked("/pxelinux.cfg/01-52-54-").is_empty());
    world.simulator.shutdown().await;
}

#[tokio::test]
async fn a_failing_curtin_is_reported_and_the_next_deployment_works() {
    let mut world = world(|_| {}).await;
    world.ready(1).await;
    let id = world.region.ids().remove(0);
    world.simulator.set_faults(always(FaultKind::CurtinFails));
    world.deploy(&id, "8G").await;
    world
        .until("the deployment failed", |region, _| {
            region.machine(&id).status == Status::FailedDeployment
        })
        .await;
    world.until_event(Stage::CloudInit, "done; power_state").await;
    let events = world.region.machine(&id).events;
    let failed = |name: &str| events.iter().any(|e| e["name"] == name && e["result"] == "FAIL");
    assert!(failed("cmd-install/stage-extract/builtin") && failed("cmd-install/stage-extract"));
    assert!(failed("cmd-install"));
    world.simulator.set_faults(Vec::new());
    let mac = world.mac();
    world.simulator.power_off(mac).await.unwrap();
    // What was on its way when the power went still arrives, and must not count for what follows.
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.deploy(&id, "8G").await;
    let wanted = id.clone();
    world
        .until("deployed at the second attempt", move |region, _| {
            region.machine(&wanted).status == Status::Deployed
        })
        .await;
}

#[tokio::test]
async fn a_partition_that_does_not_fit_fails_the_deployment_with_the_reason() {
    let mut world = world(|_| {}).await;
    world.ready(1).await;
    let id = world.region.ids().remove(0);
    world.deploy(&id, "100T").await;
    world.until_event(Stage::Problem, "does not fit").await;
    let wanted = id.clone();
    world
        .until("the deployment failed", move |region, _| {
            region.machine(&wanted).status == Status::FailedDeployment
        })
        .await;
    assert!(matches!(world.simulator.machines()[0].disk, Disk::Empty));
}

#[tokio::test]
async fn a_failing_commissioning_script_fails_commissioning() {
    let mut world = world(|config| config.faults = always(FaultKind::CommissioningFails)).await;
    world
        .until("commissioning failed and off", |region, simulator| {
            let ids = region.ids();
            !ids.is_empty()
                && region.machine(&ids[0]).status == Status::FailedCommissioning
                && simulator.machines()[0].power == Power::Off
        })
        .await;
}

#[tokio::test]
async fn a_machine_that_never_boots_asks_for_nothing() {
    let mut world = world(|config| config.faults = always(FaultKind::NeverBoots)).await;
    world.until_event(Stage::Problem, "hangs").await;
    assert!(world.region.asked("/").is_empty());
    assert_eq!(world.simulator.machines()[0].power, Power::On);
    // Off and on again without the fault: it boots.
    world.simulator.set_faults(Vec::new());
    let mac = world.mac();
    world.simulator.power_off(mac).await.unwrap();
    world.simulator.power_on(mac).unwrap();
    world.ready(1).await;
}

#[tokio::test]
async fn a_machine_that_never_reports_only_loads_its_images() {
    let mut world = world(|config| config.faults = always(FaultKind::NeverReports)).await;
    world.until_event(Stage::Problem, "hangs").await;
    assert!(!world.region.asked("/squashfs").is_empty());
    assert!(world.region.asked("/MAAS/").is_empty());
}

#[tokio::test]
async fn a_machine_that_does_not_phone_home_stays_deploying() {
    let mut world = world(|_| {}).await;
    world.ready(1).await;
    let id = world.region.ids().remove(0);
    world.simulator.set_faults(always(FaultKind::NoPhoneHome));
    world.deploy(&id, "8G").await;
    world.until_event(Stage::Fault, "no-phone-home").await;
    let known = world.region.machine(&id);
    assert_eq!((known.status, known.netboot), (Status::Deploying, false));
}

#[tokio::test]
async fn a_machine_that_loses_power_is_off_with_an_empty_disk() {
    let mut world = world(|_| {}).await;
    world.ready(1).await;
    let id = world.region.ids().remove(0);
    world.simulator.set_faults(always(FaultKind::LosesPower));
    world.deploy(&id, "8G").await;
    world.until_event(Stage::PowerOff, "the power failed").await;
    let machine = &world.simulator.machines()[0];
    assert_eq!(machine.power, Power::Off);
    assert!(matches!(machine.disk, Disk::Empty));
    assert_eq!(world.region.machine(&id).status, Status::Deploying);
}

#[tokio::test]
async fn a_machine_that_enlists_twice_is_still_one_machine() {
    let mut world = world(|config| config.faults = always(FaultKind::EnlistTwice)).await;
    world.ready(1).await;
    let id = world.region.ids().remove(0);
    assert_eq!(world.region.machine(&id).created, 2);
}

#[tokio::test]
async fn a_slow_machine_takes_longer_and_arrives() {
    let mut world = world(|config| {
        config.faults = always(FaultKind::Slow);
        config.pace = Pace::new(0.0001, 0.02);
    })
    .await;
    world.ready(1).await;
}

#[tokio::test]
async fn a_region_that_is_away_for_a_while_is_waited_for() {
    let region = Region::start().await;
    region.seen.lock().unwrap().outages = 2;
    let mut world = world_with(region, |_| {}).await;
    world.ready(1).await;
    world.region.seen.lock().unwrap().outages = 2;
    let id = world.region.ids().remove(0);
    world.deploy(&id, "8G").await;
    world.until("deployed", move |region, _| region.machine(&id).status == Status::Deployed).await;
}

#[tokio::test]
async fn a_region_that_is_killed_again_and_again_is_survived() {
    let mut world = world(|config| {
        config.machines = 3;
        config.pace = Pace::new(0.0005, 0.05);
    })
    .await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        world.region.restart(Duration::from_millis(40)).await;
    }
    world.ready(3).await;
    for id in world.region.ids() {
        world.deploy(&id, "8G").await;
    }
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        world.region.restart(Duration::from_millis(40)).await;
    }
    world
        .until("all machines are deployed", |region, _| {
            region.ids().iter().all(|id| region.machine(id).status == Status::Deployed)
        })
        .await;
}

#[tokio::test]
async fn fifty_machines_run_at_the_same_time() {
    let mut world = world(|config| config.machines = 50).await;
    world.ready(50).await;
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_from_the_answers_date() {
    let region = Region::start().await;
    region.seen.lock().unwrap().clock = 3600;
    let mut world = world_with(region, |_| {}).await;
    world.ready(1).await;
}

#[tokio::test]
async fn images_that_do_not_have_the_promised_hash_are_not_booted() {
    let region = Region::start().await;
    region.seen.lock().unwrap().corrupt = true;
    let mut world = world_with(region, |_| {}).await;
    world.until_event(Stage::Problem, "does not begin with").await;
    assert!(world.region.ids().is_empty());
}

#[tokio::test]
async fn an_unknown_mac_on_the_power_address_becomes_a_machine() {
    let world = world(|config| config.machines = 0).await;
    let url = format!("{}/machines/52%3A54%3A00%3A12%3A34%3A56", world.simulator.power_url());
    assert_eq!(call("GET", &url).await, r#"{"status":"stopped"}"#);
    assert_eq!(world.simulator.machines().len(), 1);
    assert_eq!(call("POST", &format!("{url}/on/")).await, r#"{"status":"running"}"#);
    assert_eq!(call("POST", &format!("{url}/off")).await, r#"{"status":"stopped"}"#);
    assert!(call("GET", &format!("{url}/off")).await.contains("wrong method"));
    world.simulator.shutdown().await;
}

#[tokio::test]
async fn machines_survive_the_end_of_the_simulator() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let mut first = world(|config| config.state_dir = Some(path.clone())).await;
    first.ready(1).await;
    let id = first.region.ids().remove(0);
    first.deploy(&id, "8G").await;
    first
        .until("installed", |_, simulator| {
            matches!(&simulator.machines()[0].disk, Disk::Installed(system) if system.initialised)
        })
        .await;
    let (region, address) = (first.region.clone(), first.simulator.power_address());
    let boots = first.simulator.machines()[0].boots;
    first.simulator.shutdown().await;

    // Power comes back: the machine that was on boots what is on its disk.
    let mut second = world_with(region, |config| config.state_dir = Some(path)).await;
    assert_eq!(second.simulator.power_address(), address);
    second.until_event(Stage::Running, "from cloud-init's cache").await;
    let machine = &second.simulator.machines()[0];
    assert_eq!((machine.boots, machine.power), (boots + 1, Power::On));
    assert_eq!(second.simulator.machines().len(), 1);
}

#[tokio::test]
async fn a_taken_power_address_and_a_wrong_url_are_refused() {
    let world = world(|config| config.machines = 0).await;
    let mut config = Config::new("http://127.0.0.1:1", "http://127.0.0.1:1").unwrap();
    config.power_listen = world.simulator.power_address();
    let (sender, _events) = mpsc::channel(1);
    let refused = Simulator::start(config, sender, CancellationToken::new()).await;
    assert!(refused.unwrap_err().to_string().contains("cannot listen"));
    for url in ["", "ftp://x", "http://", "127.0.0.1:80"] {
        let said = Config::new("http://r", url).unwrap_err().to_string();
        assert!(said.contains("rack"), "{said}");
    }
}
