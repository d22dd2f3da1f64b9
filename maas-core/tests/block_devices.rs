//! curtin's storage configuration done with the real tools, as far as this computer lets them:
//! partition tables and file systems on plain files, volume groups on loop devices.
//!
//! curtin itself is in no package registry; what it does with a configuration of version 1 is
//! written here once more, small: partitions one behind the other, then what lies on them.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use maas_core::storage::{
    BlockDevice, BootMethod, Disk, Edit, LayoutRequest, LvmOptions, PartitionTable, Platform, Size,
    Storage,
};
use maas_netconfig::yaml::Value;

const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn skip(why: &str) {
    // Past the harness, which keeps what passing tests print to itself.
    std::io::stderr().write_fmt(format_args!("SKIPPED: {why}\n")).ok();
}

/// A program by its name, also where a user's search path does not lead.
fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|p| p.exists())
}

#[track_caller]
fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{} {arguments:?}: {}{}",
        program.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn disk(name: &str, size: u64, block_size: u32) -> BlockDevice {
    BlockDevice {
        name: name.into(),
        size,
        block_size,
        serial: format!("S{name}"),
        model: "M".into(),
        id_path: None,
        tags: BTreeSet::from(["ssd".to_owned()]),
    }
}

fn platform(arch: &str, boot_method: BootMethod) -> Platform {
    Platform { arch: arch.into(), boot_method }
}

fn sparse(folder: &Path, name: &str, size: u64) -> PathBuf {
    let path = folder.join(name);
    std::fs::File::create(&path).unwrap().set_len(size).unwrap();
    path
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn bytes(entry: &Value, key: &str) -> u64 {
    text(entry, key).strip_suffix('B').unwrap().parse().unwrap()
}

fn of_type<'a>(config: &'a Value, kind: &str) -> Vec<&'a Value> {
    config.as_list().unwrap().iter().filter(|entry| text(entry, "type") == kind).collect()
}

/// The partitions of one disk as `sfdisk` wants them, placed as curtin places those of version 1.
fn script(config: &Value, disk: &Value) -> String {
    let gpt = text(disk, "ptable") == "gpt";
    let mut script = format!("label: {}\nunit: sectors\n", if gpt { "gpt" } else { "dos" });
    if gpt {
        script.push_str("first-lba: 2048\n");
    }
    let mut end = MIB;
    for one in of_type(config, "partition") {
        if text(one, "device") != text(disk, "id") {
            continue;
        }
        let flag = text(one, "flag");
        if one.get("offset").is_some() {
            end = bytes(one, "offset");
        }
        if flag == "logical" {
            end += MIB;
        }
        let size = bytes(one, "size");
        let number = one.get("number").unwrap();
        let kind = match (gpt, flag) {
            (true, "boot") => "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
            (true, "bios_grub") => "21686148-6449-6E6F-744E-656564454649",
            (true, "prep") => "9E1A2D38-C612-4316-AA26-8B49521E5A8B",
            (true, _) => "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
            (false, "extended") => "5",
            (false, _) => "83",
        };
        script.push_str(&format!(
            "{} : start={}, size={}, type={kind}\n",
            serde_json::to_string(number).unwrap(),
            end / SECTOR,
            size / SECTOR
        ));
        if flag != "extended" {
            end += size;
        }
    }
    script
}

/// Number, first byte and size of every partition that is in the table.
fn table(sfdisk: &Path, image: &Path) -> Vec<(u32, u64, u64)> {
    let json = run(sfdisk, &["--json", image.to_str().unwrap()]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let name = image.to_str().unwrap();
    let partitions = json["partitiontable"]["partitions"].as_array().unwrap();
    partitions
        .iter()
        .map(|one| {
            let node = one["node"].as_str().unwrap().strip_prefix(name).unwrap();
            let number = node.trim_start_matches('p').parse().unwrap();
            let sectors = |key: &str| one[key].as_u64().unwrap() * SECTOR;
            (number, sectors("start"), sectors("size"))
        })
        .collect()
}

/// What the model says is in the table.
fn expected(disk: &Disk) -> Vec<(u32, u64, u64)> {
    let mut all: Vec<(u32, u64, u64)> =
        disk.partitions.iter().map(|one| (one.number, one.offset, one.size)).collect();
    all.extend(disk.extended().map(|(offset, size)| (4, offset, size)));
    all.sort_unstable();
    all
}

fn layouts() -> Vec<(String, Storage)> {
    let disks = [disk("sda", 40 * GIB, 512), disk("sdb", 20 * GIB, 512)];
    let mut all = Vec::new();
    for (arch, boot_method) in [
        ("amd64", BootMethod::Bios),
        ("amd64", BootMethod::Uefi),
        ("arm64", BootMethod::Uefi),
        ("ppc64el", BootMethod::OpenFirmware),
    ] {
        for layout in [
            LayoutRequest::default(),
            LayoutRequest::Lvm(LvmOptions::default()),
            LayoutRequest::Bcache(maas_core::storage::BcacheOptions::default()),
        ] {
            let storage = layout.lay_out(&disks, None, &platform(arch, boot_method)).unwrap();
            all.push((format!("{} {arch} {boot_method:?}", layout.name()), storage));
        }
    }
    let mut logical = all[0].1.clone();
    logical
        .disks
        .push(Disk { table: Some(PartitionTable::Mbr), ..Disk::whole(disk("sdc", 20 * GIB, 512)) });
    let add =
        Edit::AddPartition { disk: "sdc".into(), size: Size::Bytes(2 * GIB), bootable: false };
    let rest = Edit::AddPartition { disk: "sdc".into(), size: Size::Percent(100), bootable: false };
    let edits: Vec<Edit> = std::iter::repeat_n(add, 6).chain([rest]).collect();
    all.push(("logical".to_owned(), logical.edit_all(&edits).unwrap().storage));
    all
}

#[test]
fn the_real_partitioner_makes_exactly_the_partitions_of_the_model() {
    let Some(sfdisk) = tool("sfdisk") else { return skip("there is no sfdisk here") };
    let folder = tempfile::tempdir().unwrap();
    for (name, storage) in layouts() {
        let config = storage.curtin("machine");
        for entry in of_type(&config, "disk") {
            if text(entry, "ptable").is_empty() {
                continue;
            }
            let disk = storage.disk(text(entry, "id")).unwrap();
            let image = sparse(folder.path(), "disk", disk.device.size);
            let script_file = folder.path().join("script");
            std::fs::write(&script_file, script(&config, entry)).unwrap();
            let output = Command::new(&sfdisk)
                .args(["--quiet", "--no-reread", "--no-tell-kernel"])
                .arg(&image)
                .stdin(std::fs::File::open(&script_file).unwrap())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {said}{}", script(&config, entry));
            assert_eq!(table(&sfdisk, &image), expected(disk), "{name}");
            if let (Some(sgdisk), PartitionTable::Gpt) = (tool("sgdisk"), disk.table.unwrap()) {
                let verdict = run(&sgdisk, &["--verify", image.to_str().unwrap()]);
                assert!(verdict.contains("No problems found"), "{name}: {verdict}");
            }
        }
    }
}

#[test]
fn the_real_tools_make_every_file_system_with_its_label_and_uuid() {
    let (Some(ext4), Some(vfat)) = (tool("mkfs.ext4"), tool("mkfs.vfat")) else {
        return skip("there is no mkfs.ext4 or mkfs.vfat here");
    };
    let folder = tempfile::tempdir().unwrap();
    for (name, storage) in layouts() {
        let config = storage.curtin("machine");
        for format in of_type(&config, "format") {
            let size = storage.size_of(text(format, "volume")).unwrap();
            let image = sparse(folder.path(), "volume", size);
            let (path, label, uuid) =
                (image.to_str().unwrap(), text(format, "label"), text(format, "uuid"));
            match text(format, "fstype") {
                "ext4" => {
                    let lazy = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
                    run(&ext4, &["-q", "-F", "-E", lazy, "-L", label, "-U", uuid, path]);
                }
                "fat32" => {
                    run(&vfat, &["-F", "32", "-n", label, path]);
                }
                other => panic!("{name}: {other}"),
            }
            std::fs::remove_file(&image).unwrap();
        }
    }
}

/// Loop devices over files; given back when dropped.
struct Loops {
    losetup: PathBuf,
    devices: Vec<String>,
}

impl Drop for Loops {
    fn drop(&mut self) {
        for device in &self.devices {
            Command::new(&self.losetup).args(["--detach", device]).status().ok();
        }
    }
}

#[test]
fn the_real_lvm_holds_every_logical_volume_in_its_group() {
    let (Some(lvm), Some(losetup)) = (tool("lvm"), tool("losetup")) else {
        return skip("there is no lvm or losetup here");
    };
    let folder = tempfile::tempdir().unwrap();
    let mut loops = Loops { losetup: losetup.clone(), devices: Vec::new() };
    let odd = [5 * GIB + 12_345 * 512, 40 * GIB - 512, 7 * GIB + MIB];
    for (count, size) in odd.into_iter().enumerate() {
        let disks = [disk("sda", size, 512)];
        let storage = LayoutRequest::Lvm(LvmOptions::default())
            .lay_out(&disks, None, &platform("amd64", BootMethod::Bios))
            .unwrap();
        let config = storage.curtin("machine");
        for group in of_type(&config, "lvm_volgroup") {
            let mut volumes = Vec::new();
            for device in group.get("devices").and_then(Value::as_list).unwrap() {
                let size = storage.size_of(device.as_str().unwrap()).unwrap();
                let image = sparse(folder.path(), &format!("pv{count}"), size);
                let made =
                    Command::new(&losetup).args(["--find", "--show"]).arg(&image).output().unwrap();
                if !made.status.success() {
                    let why = String::from_utf8_lossy(&made.stderr);
                    return skip(&format!("no loop devices here (root is needed): {why}"));
                }
                let device = String::from_utf8(made.stdout).unwrap().trim().to_owned();
                loops.devices.push(device.clone());
                volumes.push(device);
            }
            // Of its own: no other device is looked at, and nothing is activated.
            let accept: Vec<String> =
                loops.devices.iter().map(|device| format!("\"a|^{device}$|\"")).collect();
            let settings = format!(
                "devices {{ filter=[{}, \"r|.*|\"] global_filter=[{}, \"r|.*|\"] \
                 use_devicesfile=0 }} activation {{ udev_sync=0 udev_rules=0 }} \
                 global {{ locking_dir=\"{}\" }} backup {{ backup=0 archive=0 }}",
                accept.join(", "),
                accept.join(", "),
                folder.path().display()
            );
            let lvm = |command: &str, rest: &[&str]| {
                let mut all = vec![command, "--config", &settings, "--driverloaded", "n"];
                all.extend(rest);
                run(&lvm, &all)
            };
            let name = format!("maastest{}v{count}", std::process::id());
            for volume in &volumes {
                lvm("pvcreate", &["-ff", "-y", volume]);
            }
            let mut arguments = vec![name.as_str()];
            arguments.extend(volumes.iter().map(String::as_str));
            lvm("vgcreate", &arguments);
            for volume in of_type(&config, "lvm_partition") {
                let size = text(volume, "size").to_ascii_lowercase();
                let rest =
                    ["-an", "-Wn", "-Zn", "-y", "-L", &size, "-n", text(volume, "name"), &name];
                lvm("lvcreate", &rest);
            }
            let shown = lvm("vgs", &["--noheadings", "--units", "b", "-o", "vg_size", &name]);
            let real: u64 = shown.trim().trim_end_matches('B').parse().unwrap();
            let model = storage.group_size(&storage.volume_groups[0]).unwrap();
            assert!(model <= real && real - model <= 4 * MIB, "model {model}, real {real}");
        }
    }
}
