#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use maas_core::id::SystemId;
use maas_core::machine::{Power, PowerState};

use super::super::testing::{Peer, are_here, free_port, power};
use super::*;
use crate::power::Drivers;

const EMULATION: &str = "mc_setbmc 0x20\n\
     mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\n\
     mc_enable 0x20\n";

/// OpenIPMI's simulator with one machine, whose switch is a file.
struct Simulator {
    dir: tempfile::TempDir,
    port: u16,
    _peer: Peer,
}

impl Simulator {
    /// `None`, said loudly, where it is not installed.
    async fn start() -> Option<Self> {
        if !are_here(&["ipmi_sim", "ipmitool"], "the IPMI driver against ipmi_sim") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap().to_owned();
        let write = |name: &str, text: String| {
            let file = dir.path().join(name);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let port = free_port();
        let callers = ["callback", "user", "operator", "admin"];
        let auths: String = callers
            .iter()
            .map(|caller| format!("allowed_auths_{caller} none md2 md5 straight\n"))
            .collect();
        write(
            "lan.conf",
            format!(
                "name \"bmc\"\nset_working_mc 0x20\nstartlan 1\naddr 127.0.0.1 {port}\n\
                 priv_limit admin\n{auths}guid a123456789abcdefa123456789abcdef\nendlan\n\
                 chassis_control \"{path}/chassis\"\n\
                 user 2 true \"maas\" \"s3cret\" admin 10 md5 none straight\n\
                 user 4 true \"watched\" \"hunter-0f-words\" admin 10 md5 none straight\n\
                 user 3 true \"viewer\" \"s3cret\" user 10 md5 none straight\n"
            ),
        );
        write("emulation", EMULATION.to_owned());
        write("power", "0".to_owned());
        // get NAME..., or set NAME VALUE...
        write(
            "chassis",
            format!(
                "#!/bin/sh\necho \"$*\" >> {path}/log\nhow=$1\nshift\n\
                 [ ! -e {path}/watch ] || for process in /proc/[0-9]*; do\n\
                 line=$(tr '\\0' ' ' < $process/cmdline 2>/dev/null) || continue\n\
                 case $line in\n\
                 ipmitool*\" watched \"*)\n\
                 stat -c '%a' $process/environ >> {path}/modes\n\
                 cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' >> {path}/lines;;\n\
                 esac\ndone\n\
                 while [ $# -gt 0 ]; do\n\
                 if [ $how = get ]; then echo \"$1:$(cat {path}/$1 2>/dev/null || echo default)\"; shift\n\
                 else\n\
                 [ \"$1\" != shutdown ] || echo 0 > {path}/power\n\
                 echo $2 > {path}/$1; shift 2\nfi\ndone\n"
            ),
        );
        let mut command = Command::new("ipmi_sim");
        command.args(["-n", "-c", "lan.conf", "-f", "emulation", "-s"]).arg(dir.path());
        command.current_dir(dir.path());
        let peer = Peer::start(&mut command, &dir.path().join("simulator.log"));
        let simulator = Self { dir, port, _peer: peer };
        for _ in 0..20 {
            if Drivers::default().query(&id(), &simulator.power(&[])).await.is_ok() {
                return Some(simulator);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        panic!("the simulator does not answer: {}", read(simulator.dir.path(), "simulator.log"));
    }

    fn power(&self, more: &[(&str, &str)]) -> Power {
        let address = format!("127.0.0.1:{}", self.port);
        let mut all = vec![
            ("power_address", address.as_str()),
            ("power_user", "maas"),
            ("power_pass", "s3cret"),
        ];
        for (name, value) in more {
            all.retain(|(known, _)| known != name);
            all.push((name, value));
        }
        power("ipmi", &all)
    }
}

fn id() -> SystemId {
    SystemId::from_entropy(7)
}

fn read(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap_or_default()
}

#[tokio::test]
async fn a_real_controller_is_switched_and_told_to_boot_from_the_network() {
    let Some(simulator) = Simulator::start().await else { return };
    let drivers = Drivers::default();
    let dir = simulator.dir.path();
    for more in [
        &[][..],
        &[("power_boot_type", "efi"), ("privilege_level", "ADMIN")],
        &[("power_driver", "LAN")],
    ] {
        let power = simulator.power(more);
        assert_eq!(drivers.query(&id(), &power).await.unwrap(), PowerState::Off, "{more:?}");
        assert_eq!(drivers.on(&id(), &power).await.unwrap(), PowerState::On, "{more:?}");
        assert_eq!(read(dir, "boot").trim(), "pxe");
        assert_eq!(drivers.query(&id(), &power).await.unwrap(), PowerState::On, "{more:?}");
        assert_eq!(drivers.cycle(&id(), &power).await.unwrap(), PowerState::On, "{more:?}");
        assert_eq!(drivers.off(&id(), &power).await.unwrap(), PowerState::Off, "{more:?}");
    }
    let soft = simulator.power(&[("power_off_mode", "soft")]);
    drivers.on(&id(), &soft).await.unwrap();
    assert_eq!(drivers.off(&id(), &soft).await.unwrap(), PowerState::Off);
    assert!(read(dir, "log").contains("set shutdown 1"), "{}", read(dir, "log"));
}

#[tokio::test]
async fn refusals_of_a_real_controller_are_told_apart_and_hold_no_secret() {
    let Some(simulator) = Simulator::start().await else { return };
    let drivers = Drivers::default();
    for more in [
        &[("power_pass", "hunter2")][..],
        &[("power_pass", "hunter2"), ("power_driver", "LAN")],
        &[("power_user", "nobody")],
    ] {
        let power = simulator.power(more);
        let error = drivers.query(&id(), &power).await.unwrap_err();
        assert!(matches!(error, PowerError::Auth { .. }), "{more:?}: {error}");
        assert!(!error.is_retryable());
        assert!(!format!("{error} {error:?} {power:?}").contains("hunter2"));
    }
    let viewer = simulator.power(&[("power_user", "viewer"), ("privilege_level", "USER")]);
    assert_eq!(drivers.query(&id(), &viewer).await.unwrap(), PowerState::Off);
    let error = drivers.on(&id(), &viewer).await.unwrap_err();
    assert!(matches!(error, PowerError::Auth { .. }), "{error}");
}

#[tokio::test]
async fn while_a_real_controller_is_asked_no_process_shows_the_password() {
    let Some(simulator) = Simulator::start().await else { return };
    let secret = "hunter-0f-words";
    let watched = [("power_user", "watched"), ("power_pass", secret)];
    let power = simulator.power(&watched);
    std::fs::write(simulator.dir.path().join("watch"), "").unwrap();
    Drivers::default().on(&id(), &power).await.unwrap();
    // The simulator looked at all processes while ipmitool waited for its answer.
    let dir = simulator.dir.path();
    let lines = read(dir, "lines");
    assert!(lines.contains("-U watched"), "{lines}");
    assert!(!lines.contains(secret), "{lines}");
    // And nobody else can read what it has in its environment.
    let modes = read(dir, "modes");
    assert!(!modes.is_empty() && modes.lines().all(|mode| mode == "400"), "{modes}");
}

#[test]
fn no_secret_is_on_the_command_line() {
    let power =
        power("ipmi", &[("power_address", "10.0.0.9"), ("power_pass", "hunter2"), ("k_g", "k3y")]);
    let id = id();
    let target = Target { system_id: &id, parameters: power.parameters.expose() };
    let connection = Connection::read(target).unwrap();
    assert!(!connection.words.iter().any(|word| word.contains("hunter2") || word.contains("k3y")));
    assert!(connection.variables.contains(&("IPMI_PASSWORD", "hunter2")));
    assert!(connection.variables.contains(&("IPMI_KGKEY", "k3y")));
}

#[test]
fn parameters_become_words() {
    let words = |parameters: &[(&str, &str)]| -> Result<String, PowerError> {
        let power = power("ipmi", parameters);
        let id = id();
        let target = Target { system_id: &id, parameters: power.parameters.expose() };
        Connection::read(target).map(|connection| connection.words.join(" "))
    };
    let plain = words(&[("power_address", "10.0.0.9")]).unwrap();
    assert_eq!(plain, "-v -I lanplus -H 10.0.0.9 -R 4 -N 2 -L OPERATOR -E -C 3");
    let all = words(&[
        ("power_address", "[fd00::9]:1623"),
        ("power_user", "root"),
        ("cipher_suite_id", "17"),
        ("privilege_level", "ADMIN"),
        ("workaround_flags", "opensesspriv,intel20"),
    ])
    .unwrap();
    assert_eq!(
        all,
        "-v -I lanplus -H fd00::9 -R 4 -N 2 -p 1623 -U root -L ADMINISTRATOR -E -C 17 -o intelplus"
    );
    let own = words(&[("power_address", "10.0.0.9"), ("cipher_suite_id", "")]).unwrap();
    assert!(!own.contains("-C"), "{own}");
    assert!(words(&[("power_address", "fd00::9")]).unwrap().contains("-H fd00::9 "));
    for wrong in [
        &[][..],
        &[("power_address", "-o list")],
        &[("power_address", "h"), ("power_user", "-E")],
        &[("power_address", "h"), ("cipher_suite_id", "99")],
        &[("power_address", "h"), ("power_driver", "SERIAL")],
    ] {
        assert!(matches!(words(wrong), Err(PowerError::Setting { .. })), "{wrong:?}");
    }
}

#[test]
fn complaints_are_sorted_by_what_they_mean() {
    let error = |stderr: &str| {
        refusal(&Finished { is_success: false, stdout: String::new(), stderr: stderr.to_owned() })
    };
    let unable = "Error: Unable to establish IPMI v2 / RMCP+ session";
    assert!(matches!(
        error(&format!("> RAKP 2 HMAC is invalid\n{unable}\n")),
        PowerError::Auth { .. }
    ));
    assert!(matches!(error(unable), PowerError::Connection { .. }));
    assert!(matches!(
        error(&format!(
            "Error in open session response message : invalid authentication algorithm\n{unable}"
        )),
        PowerError::Setting { name: "cipher_suite_id", .. }
    ));
    // An answer that came too late for its question, not one to the password.
    assert!(matches!(
        error("IPMI Request Match NOT FOUND\nActivate Session command failed\n"),
        PowerError::Connection { .. }
    ));
    assert!(matches!(
        error("Set Chassis Power Control to Up/On failed: Node busy"),
        PowerError::Action { .. }
    ));
}
