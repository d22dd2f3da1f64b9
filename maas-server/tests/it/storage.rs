//! Storage through the API: every resource, who may when, and that what the API shows is what
//! curtin is told and what is installed.

use std::collections::BTreeMap;

use maas_core::machine::hardware::Disk;
use maas_core::machine::{Machine, Role, Status};
use serde_json::{Value, json};

use super::support::client::{Answer, Call, Key};
use super::support::play::Play;
use super::support::server::Running;

const GIB: u64 = 1 << 30;

/// A machine with four disks, and the calls of one user at its storage.
struct Storage<'a> {
    running: &'a Running,
    id: String,
    key: Key,
}

impl<'a> Storage<'a> {
    fn new(running: &'a Running, change: impl FnOnce(&mut Machine)) -> Self {
        let machine = running.add_machine(|machine| {
            machine.status = Status::Ready;
            machine.previous_status = Status::Commissioning;
            machine.boot.bios_boot_method = "uefi".to_owned();
            machine.hardware.disks = ["sda", "sdb", "sdc", "sdd"]
                .map(|name| Disk {
                    name: name.to_owned(),
                    model: "MODEL".to_owned(),
                    serial: format!("SERIAL-{name}"),
                    id_path: format!("/dev/disk/by-id/{name}"),
                    size: 20 * GIB,
                    block_size: 512,
                    tags: vec![if name == "sdd" { "ssd" } else { "rotary" }.to_owned()],
                    ..Disk::default()
                })
                .to_vec();
            change(machine);
        });
        Self { running, id: machine.system_id.to_string(), key: running.admin.clone() }
    }

    fn by(&self, key: &Key) -> Self {
        Self { running: self.running, id: self.id.clone(), key: key.clone() }
    }

    fn call(&self, call: Call) -> Answer {
        call.signed(&self.key).send(self.running.region)
    }

    fn path(&self, rest: &str) -> String {
        format!("/MAAS/api/2.0/nodes/{}/{rest}", self.id)
    }

    fn get(&self, rest: &str) -> Answer {
        self.call(Call::get(self.path(rest)))
    }

    #[track_caller]
    fn read(&self, rest: &str) -> Value {
        self.get(rest).ok().json()
    }

    fn post(&self, rest: &str, fields: &[(&str, &str)]) -> Answer {
        self.call(Call::post(self.path(rest), fields))
    }

    #[track_caller]
    fn make(&self, rest: &str, fields: &[(&str, &str)]) -> Value {
        self.post(rest, fields).ok().json()
    }

    #[track_caller]
    fn put(&self, rest: &str, fields: &[(&str, &str)]) -> Value {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let body = form.extend_pairs(fields).finish();
        let call = Call::new("PUT", self.path(rest))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body);
        self.call(call).ok().json()
    }

    fn delete(&self, rest: &str) -> Answer {
        self.call(Call::new("DELETE", self.path(rest)))
    }

    fn op(&self, op: &str, fields: &[(&str, &str)]) -> Answer {
        let path = format!("/MAAS/api/2.0/machines/{}/?op={op}", self.id);
        self.call(Call::post(path, fields))
    }

    #[track_caller]
    fn machine(&self) -> Value {
        let path = format!("/MAAS/api/2.0/machines/{}/", self.id);
        self.call(Call::get(path)).ok().json()
    }

    /// The number of the disk of that name.
    fn disk(&self, name: &str) -> String {
        let disks = self.read("blockdevices/");
        let found = disks.as_array().unwrap().iter().find(|disk| disk["name"] == name).unwrap();
        found["id"].to_string()
    }
}

fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    value.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap()).collect()
}

#[test]
fn the_default_layout_is_shown_with_numbers_that_lead_back() {
    let running = Running::empty();
    let storage = Storage::new(&running, |_| {});
    let machine = storage.machine();
    assert_eq!(texts(&machine["physicalblockdevice_set"], "name"), ["sda", "sdb", "sdc", "sdd"]);
    assert_eq!(machine["boot_disk"]["name"], "sda");
    assert_eq!(machine["boot_disk"]["used_for"], "GPT partitioned with 2 partitions");
    assert_eq!(machine["blockdevice_set"][1]["used_for"], "Unused");
    let root = &machine["boot_disk"]["partitions"][1];
    assert_eq!(root["filesystem"]["fstype"], "ext4");
    assert_eq!(root["used_for"], "ext4 formatted filesystem mounted at /");
    // What an object says of itself is where it is found.
    for uri in [&machine["boot_disk"]["resource_uri"], &root["resource_uri"]] {
        let found = storage.call(Call::get(uri.as_str().unwrap())).ok().json();
        assert_eq!(found["resource_uri"], *uri);
    }
    let plural = storage.read(&format!("blockdevices/1/partitions/{}", root["id"]));
    assert_eq!(plural["path"], "/dev/disk/by-dname/sda-part2");
    assert_eq!(storage.get("blockdevices/99/").status, 404);
    assert_eq!(storage.get("blockdevices/2/partition/1").status, 404);
}

#[test]
fn partitions_are_made_formatted_mounted_and_removed() {
    let running = Running::empty();
    let storage = Storage::new(&running, |_| {});
    let sdb = storage.disk("sdb");
    let partitions = format!("blockdevices/{sdb}/partitions/");
    let first = storage.make(&format!("{partitions}?op="), &[("size", "5G"), ("bootable", "true")]);
    assert_eq!(first["size"], 5_000_000_000_u64 / (4 << 20) * (4 << 20));
    assert_eq!((&first["bootable"], &first["type"]), (&json!(true), &json!("partition")));
    let uuid = "6199b7c9-b66f-40f6-a238-a938a58a0adf";
    let second = storage.make(&partitions, &[("uuid", uuid)]);
    assert_eq!(second["uuid"], uuid);
    let disk = storage.read(&format!("blockdevices/{sdb}/"));
    assert_eq!(
        (&disk["available_size"], &disk["partition_table_type"]),
        (&json!(0), &json!("GPT"))
    );

    let one = format!("blockdevices/{sdb}/partition/{}", second["id"]);
    let made = storage.make(&format!("{one}?op=format"), &[("fstype", "xfs"), ("label", "data")]);
    assert_eq!(made["filesystem"]["label"], "data");
    assert!(made["filesystem"]["mount_point"].is_null());
    let fields = [("mount_point", "/srv"), ("mount_options", "noatime")];
    let made = storage.make(&format!("{one}?op=mount"), &fields);
    assert_eq!(made["filesystem"]["mount_options"], "noatime");
    let busy = storage.post(&format!("{one}?op=unformat"), &[]);
    assert_eq!(busy.status, 400);
    assert!(busy.text().starts_with("Filesystem is mounted and cannot be unformatted."));
    let taken = storage.post(&format!("{one}?op=mount"), &fields);
    assert_eq!(taken.status, 400, "{}", taken.text());
    storage.make(&format!("{one}?op=unmount"), &[]);
    let again = storage.post(&format!("{one}?op=unmount"), &[]);
    assert_eq!((again.status, &*again.text()), (400, "Filesystem is already unmounted."));
    storage.make(&format!("{one}?op=unformat"), &[]);
    let bare = storage.post(&format!("{one}?op=unformat"), &[]);
    assert_eq!((bare.status, &*bare.text()), (400, "Partition is not formatted."));
    let tagged = storage.make(&format!("{one}?op=add_tag"), &[("tag", "fast")]);
    assert_eq!(tagged["tags"], json!(["fast"]));

    // The partition behind the one that goes keeps its number, though it is another one on disk.
    assert_eq!(storage.delete(&format!("{partitions}{}", first["id"])).status, 204);
    let kept = storage.read(&one);
    assert_eq!((&kept["uuid"], &kept["tags"]), (&json!(uuid), &json!(["fast"])));
    assert_eq!(kept["path"], "/dev/disk/by-dname/sdb-part1");
    for (fields, field) in [([("fstype", "reiser5")], "fstype"), ([("size", "much")], "fstype")] {
        let refused = storage.post(&format!("{one}?op=format"), &fields);
        assert_eq!(refused.status, 400);
        assert!(refused.json()[field].is_array(), "{}", refused.text());
    }
    let large = storage.post(&partitions, &[("size", "900T")]);
    assert!(large.json()["size"].is_array(), "{}", large.text());
}

#[test]
fn groups_mirrors_and_caches_are_made_changed_and_removed() {
    let running = Running::empty();
    let storage = Storage::new(&running, |_| {});
    let [sdb, sdc, sdd] = ["sdb", "sdc", "sdd"].map(|name| storage.disk(name));

    let set = storage.make("bcache-cache-sets/", &[("cache_device", &sdd)]);
    assert_eq!(set["cache_device"]["name"], "sdd");
    let set_id = set["id"].to_string();
    let fields = [("cache_set", &*set_id), ("backing_device", &*sdc), ("cache_mode", "WRITEBACK")];
    let bcache = storage.make("bcaches/", &fields);
    assert_eq!(bcache["cache_mode"], "writeback");
    assert_eq!(bcache["virtual_device"]["name"], "bcache0");
    assert_eq!(bcache["cache_set"]["id"], set["id"]);
    assert_eq!(storage.delete(&format!("bcache-cache-set/{set_id}/")).status, 400);

    let part = storage.make(&format!("blockdevices/{sdb}/partitions/"), &[("size", "10G")]);
    let cached = bcache["virtual_device"]["id"].to_string();
    let raid = storage.make(
        "raids/",
        &[
            ("name", "md7"),
            ("level", "raid-1"),
            ("partitions", &part["id"].to_string()),
            ("block_devices", &cached),
        ],
    );
    assert_eq!((&raid["level"], &raid["name"]), (&json!("raid-1"), &json!("md7")));
    assert_eq!(raid["devices"].as_array().unwrap().len(), 2);
    let few = storage.post("raids/", &[("level", "raid-5"), ("block_devices", &sdb)]);
    assert_eq!(few.status, 400, "a disk with partitions is no member");

    let md = raid["virtual_device"]["id"].to_string();
    let group = storage.make("volume-groups/", &[("name", "vg0"), ("block_devices", &md)]);
    let group_id = group["id"].to_string();
    let group_path = format!("volume-groups/{group_id}/");
    let volume = storage.make(
        &format!("{group_path}?op=create_logical_volume"),
        &[("name", "data"), ("size", "2G")],
    );
    assert_eq!((&volume["name"], &volume["path"]), (&json!("vg0-data"), &json!("/dev/vg0/data")));
    let volume_id = volume["id"].to_string();
    storage.make(&format!("blockdevices/{volume_id}/?op=format"), &[("fstype", "ext4")]);
    let larger =
        storage.put(&format!("blockdevices/{volume_id}/"), &[("size", "3G"), ("name", "d2")]);
    assert_eq!(larger["name"], "vg0-d2");
    assert!(larger["size"].as_u64() > volume["size"].as_u64());
    let renamed = storage.put(&group_path, &[("name", "vg1")]);
    assert_eq!((&renamed["name"], &renamed["id"]), (&json!("vg1"), &group["id"]));
    assert_eq!(renamed["logical_volumes"][0]["id"], volume["id"]);
    assert_eq!(renamed["logical_volumes"][0]["filesystem"]["fstype"], "ext4");

    let machine = storage.machine();
    for (list, count) in [
        ("volume_groups", 1),
        ("raids", 1),
        ("bcaches", 1),
        ("cache_sets", 1),
        ("virtualblockdevice_set", 3),
        ("blockdevice_set", 7),
    ] {
        assert_eq!(machine[list].as_array().unwrap().len(), count, "{list}");
    }
    // A number names one device, disks and virtual ones alike.
    let mut ids: Vec<u64> = machine["blockdevice_set"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_u64().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 7);

    for busy in
        [&*group_path, &format!("raid/{}/", raid["id"]), &format!("bcache/{}/", bcache["id"])]
    {
        let refused = storage.delete(busy);
        assert_eq!(refused.status, 400, "{busy}: {}", refused.text());
    }
    let gone =
        storage.post(&format!("{group_path}?op=delete_logical_volume"), &[("id", &volume_id)]);
    assert_eq!(gone.status, 204);
    for free in [
        &*group_path,
        &format!("raid/{}/", raid["id"]),
        &format!("bcache/{}/", bcache["id"]),
        &format!("bcache-cache-set/{set_id}/"),
    ] {
        assert_eq!(storage.delete(free).status, 204, "{free}");
        assert_eq!(storage.get(free).status, 404, "{free}");
    }
    assert_eq!(storage.read(&format!("blockdevices/{sdd}/"))["used_for"], "Unused");
}

#[test]
fn disks_are_added_renamed_tagged_and_removed() {
    let running = Running::empty();
    let storage = Storage::new(&running, |_| {});
    let fields =
        [("name", "sde"), ("serial", "X1"), ("model", "Y"), ("size", "8G"), ("block_size", "4096")];
    let disk = storage.make("blockdevices/", &fields);
    assert_eq!((&disk["size"], &disk["block_size"]), (&json!(8_000_000_000_u64), &json!(4096)));
    assert_eq!(storage.post("blockdevices/", &fields).status, 400);
    let missing = storage.post("blockdevices/", &[("name", "sdf")]);
    assert!(missing.json()["size"].is_array() && missing.json()["__all__"].is_array());
    let path = format!("blockdevices/{}/", disk["id"]);
    storage.make(&format!("{path}?op=format"), &[("fstype", "ext4")]);
    let renamed = storage.put(&path, &[("name", "fast0"), ("serial", "X2")]);
    assert_eq!((&renamed["name"], &renamed["serial"]), (&json!("fast0"), &json!("X2")));
    assert_eq!(renamed["filesystem"]["fstype"], "ext4");
    assert_eq!(
        storage.make(&format!("{path}?op=add_tag"), &[("tag", "ssd")])["tags"],
        json!(["ssd"])
    );
    assert_eq!(
        storage.make(&format!("{path}?op=remove_tag"), &[("tag", "ssd")])["tags"],
        json!([])
    );
    let ok = storage.post(&format!("{path}?op=set_boot_disk"), &[]);
    assert_eq!((ok.status, &*ok.text()), (200, "OK"));
    assert_eq!(storage.machine()["boot_disk"]["name"], "fast0");
    assert_eq!(storage.delete(&path).status, 204);
    assert_eq!(storage.machine()["boot_disk"]["name"], "sda");
    // The number is not given again.
    let next = storage.make("blockdevices/", &fields);
    assert!(next["id"].as_u64() > disk["id"].as_u64());
}

#[test]
fn layouts_and_special_mounts_replace_and_restore() {
    let running = Running::empty();
    let storage = Storage::new(&running, |_| {});
    let fields = [("storage_layout", "lvm"), ("vg_name", "vgx"), ("root_device", "2")];
    let machine = storage.op("set_storage_layout", &fields).ok().json();
    assert_eq!(machine["volume_groups"][0]["name"], "vgx");
    assert_eq!(machine["volume_groups"][0]["devices"][0]["device_id"], 2);
    let special = [("fstype", "tmpfs"), ("mount_point", "/tmp"), ("mount_options", "size=10%")];
    let machine = storage.op("mount_special", &special).ok().json();
    assert_eq!(machine["special_filesystems"][0]["mount_point"], "/tmp");
    assert_eq!(storage.op("mount_special", &special).status, 400);
    let machine = storage.op("unmount_special", &[("mount_point", "/tmp")]).ok().json();
    assert_eq!(machine["special_filesystems"], json!([]));
    let machine = storage.op("restore_storage_configuration", &[]).ok().json();
    assert_eq!(machine["volume_groups"], json!([]));
    let machine = storage.op("set_storage_layout", &[("storage_layout", "vmfs7")]);
    assert_eq!(machine.status, 400, "20 GiB are too small for ESXi: {}", machine.text());
    assert!(machine.json()["storage_layout"].is_array());
    let none = storage.op("set_storage_layout", &[("storage_layout", "custom")]);
    assert!(none.text().contains("storage-extra"));
    let blank = storage.op("set_storage_layout", &[("storage_layout", "blank")]).ok().json();
    assert_eq!(blank["boot_disk"]["used_for"], "Unused");
}

#[test]
fn only_who_may_changes_storage_and_only_when() {
    let running = Running::empty();
    let (ann, ben) = (running.user("ann", Role::User), running.user("ben", Role::User));
    let ready = Storage::new(&running, |_| {});
    let format =
        |storage: &Storage<'_>| storage.post("blockdevices/2/?op=format", &[("fstype", "ext4")]);
    let refused = format(&ready.by(&ann));
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(ready.by(&ann).post("raids/", &[]).status, 403);
    assert_eq!(ready.by(&ann).get("blockdevices/").status, 200);

    let allocated = Storage::new(&running, |machine| {
        machine.status = Status::Allocated;
        machine.owner = Some("ann".to_owned());
    });
    assert_eq!(format(&allocated.by(&ben)).status, 404);
    assert_eq!(format(&allocated.by(&ann)).status, 200);
    let structure = allocated.post("volume-groups/", &[("name", "vg"), ("block_devices", "3")]);
    assert_eq!(structure.status, 409);
    assert_eq!(structure.text(), "Cannot create volume group because the machine is not Ready.");
    // What the owner made is forgotten with the machine's use.
    let released = allocated.by(&ann).op("release", &[]).ok().json();
    assert_eq!(released["status_name"], "Ready");
    assert_eq!(released["blockdevice_set"][1]["used_for"], "Unused");

    let deployed = Storage::new(&running, |machine| {
        machine.status = Status::Deployed;
        machine.owner = Some("ann".to_owned());
    });
    let refused = format(&deployed.by(&ann));
    assert_eq!(refused.status, 409);
    assert_eq!(
        refused.text(),
        "Cannot format block device because the machine is not Ready or Allocated."
    );
    let broken_disk = deployed.put("blockdevices/2/", &[("serial", "NEW")]);
    assert_eq!(broken_disk["serial"], "NEW", "a disk can be replaced under a running system");
}

#[test]
fn an_allocation_names_the_disks_that_fulfil_it() {
    let running = Running::empty();
    let storage = Storage::new(&running, |_| {});
    let fields = [("storage", "root:5,fast:1(ssd)")];
    let answer = running.post("machines/?op=allocate", &fields).ok().json();
    let by_type = &answer["constraints_by_type"]["storage"];
    assert_eq!(by_type["root"], json!([1]));
    assert_eq!(by_type["fast"].to_string(), format!("[{}]", storage.disk("sdd")));
}

/// The entries of curtin's storage configuration by their ids.
fn by_id(config: &Value) -> BTreeMap<String, Value> {
    let entries = config.as_array().unwrap().iter();
    entries.map(|one| (one["id"].as_str().unwrap().to_owned(), one.clone())).collect()
}

#[test]
fn what_was_edited_is_what_curtin_is_told_and_what_is_installed() {
    let (play, id) = Play::ready(SEED_OF_THREE_DISKS);
    let storage =
        Storage { running: &play.running, id: id.clone(), key: play.running.admin.clone() };
    let machine = storage.op("set_storage_layout", &[("storage_layout", "blank")]).ok().json();
    let disks = texts(&machine["physicalblockdevice_set"], "name");
    assert!(disks.len() >= 3, "{disks:?}");
    let numbers: Vec<String> = disks.iter().map(|name| storage.disk(name)).collect();
    let boot = format!("blockdevices/{}/partitions/", numbers[0]);
    for (size, bootable, fstype, path) in
        [("600M", "true", "fat32", "/boot/efi"), ("1G", "false", "ext4", "/boot")]
    {
        let one = storage.make(&boot, &[("size", size), ("bootable", bootable)]);
        let uri = format!("blockdevices/{}/partition/{}", numbers[0], one["id"]);
        storage.make(&format!("{uri}?op=format"), &[("fstype", fstype)]);
        storage.make(&format!("{uri}?op=mount"), &[("mount_point", path)]);
    }
    // A mirror of two partitions, cached, with the root on a logical volume of it.
    let other = format!("blockdevices/{}/partitions/", numbers[1]);
    let halves =
        [&boot, &other].map(|disk| storage.make(disk, &[("size", "12G")])["id"].to_string());
    let cache = storage.make(&other, &[("size", "4G")])["id"].to_string();
    let fields = [("level", "raid-1"), ("partitions", &*halves[0]), ("partitions", &*halves[1])];
    let raid = storage.make("raids/", &fields);
    let set = storage.make("bcache-cache-sets/", &[("cache_partition", &cache)]);
    let bcache = storage.make(
        "bcaches/",
        &[
            ("cache_set", &set["id"].to_string()),
            ("backing_device", &raid["virtual_device"]["id"].to_string()),
        ],
    );
    let group = storage.make(
        "volume-groups/",
        &[("name", "vg0"), ("block_devices", &bcache["virtual_device"]["id"].to_string())],
    );
    let make = format!("volume-group/{}/?op=create_logical_volume", group["id"]);
    let root = storage.make(&make, &[("name", "root"), ("size", "5G")]);
    let device = format!("blockdevices/{}/", root["id"]);
    storage.make(&format!("{device}?op=format"), &[("fstype", "xfs"), ("label", "root")]);
    let root = storage.make(&format!("{device}?op=mount"), &[("mount_point", "/")]);

    let preview = storage.call(Call::get(format!("/MAAS/api/2.0/machines/{id}/?op=preview")));
    let curtin = by_id(&preview.ok().json()["curtin_storage"]);
    assert_eq!(curtin["md0"]["raidlevel"], 1);
    assert_eq!(curtin["md0"]["devices"].as_array().unwrap().len(), 2);
    assert_eq!(curtin["bcache0"]["backing_device"], "md0");
    assert_eq!(curtin["vg0"]["devices"], json!(["bcache0"]));
    assert_eq!(curtin["vg0-root_format"]["uuid"], root["filesystem"]["uuid"]);
    assert!(
        !curtin.contains_key(disks[2]),
        "the disk that nothing was decided about is left alone"
    );
    // Sizes and UUIDs are those that the API shows.
    for disk in storage.read("blockdevices/").as_array().unwrap() {
        for partition in disk["partitions"].as_array().unwrap() {
            let id = partition["path"].as_str().unwrap().rsplit('/').next().unwrap();
            assert_eq!(curtin[id]["size"], format!("{}B", partition["size"]), "{id}");
            assert_eq!(curtin[id]["uuid"], partition["uuid"], "{id}");
        }
    }

    play.act(&id, "deploy");
    let deployed = play.wait_for(&id, "Deployed");
    assert_eq!(deployed["raids"][0]["name"], "md0");
    let path = format!("/MAAS/api/2.0/machines/{id}/?op=get_curtin_config");
    let told = storage.call(Call::get(path)).ok().text();
    assert!(told.contains("vg0-root_mount") && told.contains("bcache0"), "{told}");
    play.act(&id, "release");
    let released = play.wait_for(&id, "Ready");
    assert_eq!(released["raids"][0]["name"], "md0", "an administrator's configuration stays");
    play.act(&id, "commission");
    let again = play.wait_for(&id, "Ready");
    assert_eq!(again["raids"], json!([]), "commissioning lays the disks out anew");
}

/// The simulated machine of this seed has three disks, and enough room on each.
const SEED_OF_THREE_DISKS: u64 = 1;
