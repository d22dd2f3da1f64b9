//! Every layout on every platform, against curtin's schema of storage version 1.
//!
//! The rules below are our own writing of what curtin accepts. With `MAAS_CURTIN_SOURCE` naming
//! a folder that holds curtin's own sources (and its Python dependencies installed), the real
//! validator reads the same configurations.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use maas_core::storage::{
    BasicOptions, BcacheOptions, BlockDevice, BootMethod, LayoutRequest, LvmOptions, Platform,
};
use maas_netconfig::yaml::Value;

/// A configuration and what it is for.
struct Case {
    name: String,
    config: Value,
}

fn disks(count: usize, block_size: u32, kind: &str) -> Vec<BlockDevice> {
    (0..count)
        .map(|at| {
            let letter = char::from(b'a' + u8::try_from(at).unwrap());
            let name = match kind {
                "nvme" => format!("nvme{at}n1"),
                _ => format!("sd{letter}"),
            };
            // The second disk has no serial number, so that both ways of naming are seen.
            let serial = if at == 1 { String::new() } else { format!("SERIAL{at}") };
            BlockDevice {
                size: 40 << 30,
                block_size,
                serial,
                model: "MODEL".into(),
                id_path: Some(format!("/dev/disk/by-id/wwn-{name}")),
                tags: BTreeSet::from([if kind == "hdd" { "rotary" } else { "ssd" }.to_owned()]),
                name,
            }
        })
        .collect()
}

fn cases() -> Vec<Case> {
    let raid = serde_json::json!({
        "storage_layout": "custom",
        "layout": {
            "sda": {"type": "disk", "ptable": "gpt", "boot": true, "partitions": [
                {"name": "efi", "size": "512M", "fs": "vfat", "bootable": true},
                {"name": "a", "size": "100%"}]},
            "sdb": {"type": "disk", "ptable": "gpt", "partitions": [{"name": "b", "size": "100%"}]},
            "md0": {"type": "raid", "level": 1, "members": ["a", "b"], "fs": "xfs"},
            "ram": {"type": "special", "fs": "tmpfs"}
        },
        "mounts": {"/": {"device": "md0"}, "/boot/efi": {"device": "efi"}, "/tmp": {"device": "ram"}}
    });
    let boot = BasicOptions {
        boot_size: Some("1G".parse().unwrap()),
        root_size: Some("50%".parse().unwrap()),
        ..Default::default()
    };
    let extensions = serde_json::json!({
        "storage_layout": "custom",
        "layout": {
            "sda": {"type": "disk", "ptable": "gpt", "boot": true, "partitions": [
                {"name": "efi", "size": "512M", "fs": "vfat", "bootable": true},
                {"name": "boot", "size": "1G", "fs": "ext4"},
                {"name": "a", "size": "100%"}]},
            "sdb": {"type": "disk", "ptable": "mbr", "partitions": [
                {"name": "b1", "size": "1G"}, {"name": "b2", "size": "1G"},
                {"name": "b3", "size": "1G"}, {"name": "b5", "size": "1G", "fs": "swap"},
                {"name": "b6", "size": "100%"}]},
            "secret": {"type": "crypt", "member": "a", "keyfile": "/run/keys/a", "fs": "ext4"},
            "tank": {"type": "zpool", "members": ["b1", "b6"], "datasets": [
                {"name": "srv", "mountpoint": "/srv"}]}
        },
        "mounts": {"/": {"device": "secret"}, "/boot": {"device": "boot"},
                   "/boot/efi": {"device": "efi"}}
    });
    let layouts = [
        LayoutRequest::default(),
        LayoutRequest::Flat(boot.clone()),
        LayoutRequest::Lvm(LvmOptions::default()),
        LayoutRequest::Lvm(LvmOptions { basic: boot, ..Default::default() }),
        LayoutRequest::Bcache(BcacheOptions::default()),
        LayoutRequest::Bcache(BcacheOptions { cache_no_part: true, ..Default::default() }),
        serde_json::from_value(raid).unwrap(),
        serde_json::from_value(extensions).unwrap(),
    ];
    let platforms = [
        ("amd64", BootMethod::Bios),
        ("amd64", BootMethod::Uefi),
        ("amd64", BootMethod::BiosOrUefi),
        ("arm64", BootMethod::Uefi),
        ("arm64", BootMethod::Other),
        ("ppc64el", BootMethod::OpenFirmware),
    ];
    let mut cases = Vec::new();
    for (at, layout) in layouts.iter().enumerate() {
        for (arch, boot_method) in platforms {
            for count in [1, 2, 4] {
                for block_size in [512, 4096] {
                    for kind in ["hdd", "ssd", "nvme"] {
                        let platform = Platform { arch: arch.into(), boot_method };
                        let disks = disks(count, block_size, kind);
                        let name = format!(
                            "{} {at} {arch} {boot_method:?} {count} disks of {block_size} {kind}",
                            layout.name()
                        );
                        match layout.lay_out(&disks, None, &platform) {
                            Ok(storage) => {
                                let problems = storage.check();
                                // The one document has an EFI partition and no other.
                                if layout.name() == "custom" && !platform.needs_efi() {
                                    continue;
                                }
                                assert_eq!(problems, [], "{name}");
                                cases.push(Case { name, config: storage.curtin("machine") });
                            }
                            Err(refusal) => {
                                let fits =
                                    layout.name() == "custom" && (count == 1 || kind == "nvme");
                                assert!(fits, "{name}: {refusal}");
                            }
                        }
                    }
                }
            }
        }
    }
    cases
}

/// The keys of each type: those that must be there, and those that may.
fn keys(kind: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        "disk" => (
            &[],
            &[
                "name",
                "ptable",
                "wipe",
                "serial",
                "model",
                "path",
                "wwn",
                "grub_device",
                "preserve",
            ],
        ),
        "partition" => (
            &["device", "size"],
            &["name", "number", "offset", "uuid", "wipe", "flag", "grub_device", "preserve"],
        ),
        "format" => (&["volume", "fstype"], &["uuid", "label", "preserve"]),
        "mount" => (&[], &["device", "path", "options", "fstype", "spec"]),
        "lvm_volgroup" => (&["devices", "name"], &["uuid", "preserve"]),
        "lvm_partition" => (&["volgroup", "name"], &["size", "preserve"]),
        "raid" => (&["name", "raidlevel", "devices"], &["spare_devices", "ptable", "mdname"]),
        "dm_crypt" => (&["volume", "dm_name"], &["key", "keyfile"]),
        "zpool" => (&["pool", "vdevs"], &["mountpoint", "pool_properties", "fs_properties"]),
        "zfs" => (&["pool", "volume"], &["properties"]),
        "bcache" => (&["backing_device", "cache_device"], &["name", "cache_mode"]),
        other => panic!("curtin has no {other}"),
    }
}

fn text<'a>(entry: &'a Value, key: &str) -> Option<&'a str> {
    entry.get(key).and_then(Value::as_str)
}

fn size(entry: &Value, key: &str) -> u64 {
    text(entry, key).unwrap().strip_suffix('B').unwrap().parse().unwrap()
}

/// Where curtin puts the partitions of version 1: one behind the other, logical ones behind their
/// boot records within the extended one.
#[test]
fn partitions_lie_on_their_disks_where_curtin_puts_them() {
    const MIB: u64 = 1 << 20;
    for case in cases() {
        let entries = case.config.as_list().unwrap();
        for disk in entries.iter().filter(|entry| text(entry, "type") == Some("disk")) {
            let id = text(disk, "id");
            let (mut end, mut extended_end) = (MIB, None);
            for one in entries.iter().filter(|entry| text(entry, "device") == id) {
                let flag = text(one, "flag").unwrap_or_default();
                if let Some(offset) = one.get("offset").map(|_| size(one, "offset")) {
                    assert!(offset >= end, "{}", case.name);
                    end = offset;
                }
                if flag == "extended" {
                    extended_end = Some(end + size(one, "size"));
                    continue;
                }
                if flag == "logical" {
                    end += MIB;
                }
                end += size(one, "size");
                if flag == "logical" {
                    assert!(Some(end) <= extended_end, "{}", case.name);
                }
            }
            assert!(end <= (40 << 30) - MIB, "{}: {end}", case.name);
        }
    }
}

#[test]
fn every_layout_keeps_to_the_schema_and_refers_only_backwards() {
    let cases = cases();
    assert!(cases.len() > 400, "{}", cases.len());
    for case in &cases {
        let mut known = BTreeSet::new();
        for entry in case.config.as_list().unwrap() {
            let kind = text(entry, "type").unwrap();
            let (required, allowed) = keys(kind);
            for (key, _) in entry.as_map().unwrap().iter() {
                assert!(
                    ["id", "type"].contains(&key)
                        || required.contains(&key)
                        || allowed.contains(&key),
                    "{}: {kind} has {key}",
                    case.name
                );
            }
            for key in required {
                assert!(entry.get(key).is_some(), "{}: {kind} lacks {key}", case.name);
            }
            if kind == "disk" {
                assert!(text(entry, "serial").is_some() || text(entry, "path").is_some());
            }
            for key in ["size", "offset"] {
                if let Some(size) = text(entry, key) {
                    let number = size.strip_suffix('B').unwrap();
                    assert!(number.parse::<u64>().unwrap() > 0, "{}", case.name);
                }
            }
            let mut refers: Vec<&str> =
                ["device", "volume", "volgroup", "backing_device", "cache_device", "pool"]
                    .iter()
                    // A pool names itself, and a dataset the volume that it makes.
                    .filter(|key| !matches!((kind, **key), ("zpool", "pool") | ("zfs", "volume")))
                    .filter_map(|key| text(entry, key))
                    .collect();
            for key in ["devices", "spare_devices", "vdevs"] {
                let list = entry.get(key).and_then(Value::as_list).unwrap_or_default();
                refers.extend(list.iter().filter_map(Value::as_str));
            }
            for target in refers {
                assert!(known.contains(target), "{}: {target} comes later", case.name);
            }
            assert!(known.insert(text(entry, "id").unwrap()), "{}", case.name);
        }
    }
}

const VALIDATE: &str = "
import json, sys
sys.path.insert(0, sys.argv[1])
from curtin import storage_config
for line in sys.stdin:
    name, config = json.loads(line)
    try:
        storage_config.validate_config({'version': 1, 'config': config}, sourcefile=name)
    except Exception as error:
        print(name, error)
";

#[test]
fn the_real_curtin_accepts_every_layout() {
    let Some(source) = std::env::var_os("MAAS_CURTIN_SOURCE") else {
        // Past the harness, which keeps what passing tests print to itself.
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!(
                "SKIPPED: MAAS_CURTIN_SOURCE does not name a folder with curtin's sources\n"
            ),
        )
        .ok();
        return;
    };
    let python = std::env::var_os("MAAS_CURTIN_PYTHON").unwrap_or_else(|| "python3".into());
    let mut child = Command::new(python)
        .args(["-c", VALIDATE])
        .arg(source)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for case in cases() {
        let line = serde_json::to_string(&(&case.name, &case.config)).unwrap();
        writeln!(stdin, "{line}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(output.status.success());
}
