//! The built-in scripts that are more than a few commands, under the real Python of this host.

use std::os::unix::fs::PermissionsExt;

use super::programs::{Folder, python_is_here};
use crate::commission::builtin;

/// Puts the functions of a script into the namespace `script` without running it.
const LOAD: &str = r#"
import sys
script = {"__name__": "script"}
with open(sys.argv[1]) as stream:
    exec(stream.read().replace("sys.exit(main())", ""), script)
sys.argv = sys.argv[1:]
"#;

fn save(folder: &Folder, name: &str) -> String {
    let path = folder.0.join(name);
    std::fs::write(&path, &builtin::script(name).unwrap().body).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn disks_are_overwritten_wholly_or_at_both_ends() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("wipe");
    let script = save(&folder, "wipe-disks");
    let check = r#"
import os
size = 9 * 1024 * 1024
script["disks"] = lambda: ["sda"]
script["read"] = lambda path: str(size // 512)
opened = os.open
os.open = lambda path, flags: opened("disk", os.O_WRONLY) if path == "/dev/sda" else 1 / 0
for argument, kept in (("--quick_erase=True", 5 * 1024 * 1024), ("--quick_erase=False", 0)):
    with open("disk", "wb") as stream:
        stream.write(b"x" * size)
    sys.argv = ["wipe-disks", "--secure_erase=False", argument]
    assert script["main"]() == 0
    with open("disk", "rb") as stream:
        content = stream.read()
    assert len(content) == size
    assert content.count(b"x") == kept, content.count(b"x")
    assert content[:2097152].count(b"x") == content[-2097152:].count(b"x") == 0

def refused(path, flags):
    raise OSError("busy")

os.open = refused
assert script["main"]() == 1
"#;
    std::fs::write(folder.0.join("check.py"), format!("{LOAD}{check}")).unwrap();
    folder.python(&["check.py", &script]);
}

#[test]
fn a_bmc_gets_a_user_whose_password_the_region_learns() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("bmc");
    let script = save(&folder, "30-maas-01-bmc-config");
    let ipmitool = folder.0.join("ipmitool");
    let fake = r#"#!/bin/sh
echo "$*" >> ipmitool.log
case "$*" in
    "lan print 1") echo "IP Address              : 0.0.0.0" ;;
    "lan print 2")
        echo "IP Address Source       : Static Address"
        echo "IP Address              : 10.9.8.7"
        echo "MAC Address             : 52:54:00:AA:BB:CC" ;;
    "-c user list 2") printf '1,,true,false,false,NO ACCESS\n2,ADMIN,true,false,true,ADMINISTRATOR\n3,,true,false,false,NO ACCESS\n4,,true,false,false,NO ACCESS\n' ;;
esac
"#;
    std::fs::write(&ipmitool, fake).unwrap();
    std::fs::set_permissions(&ipmitool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let check = r#"
import json, os
os.environ["PATH"] = os.getcwd() + ":" + os.environ["PATH"]
os.environ.update(BMC_CONFIG_PATH="bmc", RESULT_PATH="result")
script["is_virtual"] = lambda: False
script["glob"].glob = lambda pattern: ["/dev/ipmi0"]
script["subprocess"].call = lambda *words, **more: 0
assert script["main"]() == 0
with open("bmc") as stream:
    found = json.load(stream)
assert os.stat("bmc").st_mode & 0o777 == 0o600
assert found["power_type"] == "ipmi" and found["power_address"] == "10.9.8.7"
assert found["power_user"] == "maas" and found["mac_address"] == "52:54:00:aa:bb:cc"
assert len(found["power_pass"]) == 16
with open("ipmitool.log") as stream:
    log = stream.read()
assert "user set name 3 maas" in log and "user enable 3" in log, log
assert "user set password 3 " + found["power_pass"] in log

script["is_virtual"] = lambda: True
try:
    script["main"]()
    raise AssertionError("not skipped")
except SystemExit as end:
    assert end.code == 0
with open("result") as stream:
    assert stream.read() == "status: skipped\n"
"#;
    std::fs::write(folder.0.join("check.py"), format!("{LOAD}{check}")).unwrap();
    let output = folder.python(&["check.py", &script]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("set up the BMC at 10.9.8.7"));
}

#[test]
fn the_hardware_report_joins_what_other_scripts_left() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("report");
    let script = save(&folder, "50-maas-01-commissioning");
    let read = |name: &str, text: &str| std::fs::write(folder.0.join(name), text).unwrap();
    read("resources.json", r#"{"api_version": "1.0"}"#);
    read("storage.json", r#"{"layout": {}}"#);
    let run = |variables: &[(&str, &str)]| {
        let output = std::process::Command::new("python3")
            .arg(&script)
            .current_dir(&folder.0)
            .env("MAAS_RUNNER_DIR", &folder.0)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let joined = run(&[
        ("MAAS_RESOURCES_FILE", "resources.json"),
        ("MAAS_STORAGE_CONFIG_FILE", "storage.json"),
        ("MAAS_MACHINE_EXTRA_FILE", "missing.json"),
    ]);
    assert_eq!(joined, serde_json::json!({"api_version": "1.0", "storage-extra": {"layout": {}}}));
    // After a reboot the file is gone and the hardware is read again.
    let again = run(&[("MAAS_RESOURCES_FILE", "missing.json")]);
    assert!(crate::commission::resources::parse_value(&again).is_ok());
}
