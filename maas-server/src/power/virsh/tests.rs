#![allow(clippy::unwrap_used)]

use maas_core::id::SystemId;
use maas_core::machine::PowerState;

use super::super::testing::{are_here, power};
use super::*;
use crate::power::Drivers;

/// libvirt's own test driver: it forgets everything with the connection.
const TEST: &str = "test:///default";

fn id() -> SystemId {
    SystemId::from_entropy(7)
}

#[tokio::test]
async fn libvirts_test_driver_is_switched() {
    if !are_here(&["virsh"], "the virsh driver against libvirt's test driver") {
        return;
    }
    let power = power("virsh", &[("power_address", TEST), ("power_id", "test")]);
    assert_eq!(Drivers::default().query(&id(), &power).await.unwrap(), PowerState::On);
    let target = Target { system_id: &id(), parameters: power.parameters.expose() };
    // Every connection finds it running anew.
    Virsh.power_off(target).await.unwrap();
    let error = Virsh.power_on(target).await.unwrap_err();
    assert!(matches!(error, PowerError::Action { .. }), "it runs already: {error}");
    assert!(error.to_string().contains("already"), "{error}");
}

#[tokio::test]
async fn a_machine_or_host_that_is_not_there_is_named() {
    if !are_here(&["virsh"], "the virsh driver against libvirt's test driver") {
        return;
    }
    let unknown = power("virsh", &[("power_address", TEST), ("power_id", "nobody")]);
    let error = Drivers::default().query(&id(), &unknown).await.unwrap_err();
    assert!(matches!(error, PowerError::Setting { name: "power_id", .. }), "{error}");
    let nowhere =
        power("virsh", &[("power_address", "qemu+unix:///system?mode=direct"), ("power_id", "x")]);
    let error = Drivers::default().query(&id(), &nowhere).await.unwrap_err();
    assert!(matches!(error, PowerError::Connection { .. }), "{error}");
}

#[test]
fn what_could_start_programs_on_this_host_is_refused() {
    for good in [
        "qemu:///system",
        "qemu+ssh://maas@10.0.0.2/system",
        "qemu+ssh://maas@[fd00::2]:2222/system?keyfile=/k&no_verify=1",
        "qemu+tls://host/system",
        TEST,
    ] {
        assert_eq!(uri(good).unwrap(), good);
    }
    for wrong in [
        "",
        "host",
        "qemu+ssh://host/system?command=/tmp/evil",
        "qemu+ssh://host/system?netcat=/tmp/evil",
        "qemu+ssh://maas:secret@host/system",
        "qemu+ssh://-oProxyCommand=evil@host/system",
    ] {
        assert!(matches!(uri(wrong), Err(PowerError::Setting { .. })), "{wrong}");
    }
}

#[tokio::test]
async fn options_in_a_machines_name_are_refused() {
    for name in ["--help", "-x", "a\nb"] {
        let power = power("virsh", &[("power_address", TEST), ("power_id", name)]);
        let error = Drivers::default().query(&id(), &power).await.unwrap_err();
        assert!(matches!(error, PowerError::Setting { name: "power_id", .. }), "{error}");
    }
}

#[test]
fn ssh_is_told_the_password_by_a_program_that_does_not_hold_it() {
    let askpass = Askpass::write().unwrap();
    let path = askpass.0.clone();
    assert!(!std::fs::read_to_string(&path).unwrap().contains("hunter2"));
    let output = std::process::Command::new(&path).env("MAAS_POWER_PASS", "hunter2 %s").output();
    assert_eq!(output.unwrap().stdout, b"hunter2 %s\n");
    drop(askpass);
    assert!(!path.exists());
}

#[test]
fn states_are_read() {
    for (answer, wanted) in [
        ("running\n\n", PowerState::On),
        ("in shutdown\n", PowerState::On),
        ("shut off\n", PowerState::Off),
        ("crashed", PowerState::Off),
        ("no state", PowerState::Unknown),
    ] {
        assert_eq!(state(answer), wanted, "{answer}");
    }
}
