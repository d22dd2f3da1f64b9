//! Custom images from a directory to a deployed machine, and what a deployment tells of itself.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use maas_core::image_pack::{Compression, EntryFacts, Packer};
use maas_core::machine::Role;
use maas_server::simulator::fault::FaultKind;
use serde_json::Value;
use sha2::Digest;

use super::support::client::Call;
use super::support::play::Play;
use super::support::program::{Process, free_ports, run};
use super::support::random::Random;
use super::support::server::Running;

const RESOURCES: &str = "/MAAS/api/2.0/boot-resources/";
const PIECE: usize = 4 << 20;

fn sha256(content: &[u8]) -> String {
    sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn elf() -> Vec<u8> {
    let mut elf = vec![0_u8; 64];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[18] = 62;
    elf
}

/// A small Debian that can be deployed, with these files besides.
fn debian(more: &[(&str, &[u8])]) -> Vec<u8> {
    let elf = elf();
    let mut files: Vec<(&str, &[u8])> = vec![
        ("boot/initrd.img-6.1", b"initrd"),
        ("boot/vmlinuz-6.1", b"kernel"),
        ("etc/os-release", b"ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian 12\"\n"),
        ("usr/bin/cloud-init", b"#!/usr/bin/python3\n"),
        ("usr/bin/env", &elf),
        ("usr/sbin/netplan", b"#!/usr/bin/python3\n"),
    ];
    files.extend(more);
    let mut packer = Packer::new(Vec::new(), Compression::Gzip).unwrap();
    for (path, content) in files {
        let facts = EntryFacts { mode: 0o755, ..EntryFacts::default() };
        packer.file(path, facts, content.len() as u64, &[], content).unwrap();
    }
    packer.finish().unwrap()
}

/// As python-libmaas does: a declaration, the greatest set, its only file, pieces by PUT.
fn upload(running: &Running, name: &str, filetype: &str, content: &[u8]) -> Value {
    let size = content.len().to_string();
    let fields = [
        ("name", name),
        ("architecture", "amd64/generic"),
        ("sha256", &sha256(content)),
        ("size", &size),
        ("filetype", filetype),
        ("title", "T"),
    ];
    let answer = running.post("boot-resources/", &fields);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let resource = answer.json();
    let file = newest_file(&resource);
    if file["complete"] == false {
        let uri = file["upload_uri"].as_str().unwrap().to_owned();
        for piece in content.chunks(PIECE) {
            let call = Call::new("PUT", &uri)
                .signed(&running.admin)
                .header("Content-Type", "application/octet-stream")
                .body(piece);
            let answer = call.send(running.region);
            assert_eq!((answer.status, &*answer.text()), (200, "OK"));
        }
    }
    let uri = resource["resource_uri"].as_str().unwrap();
    running.read(uri.strip_prefix("/MAAS/api/2.0/").unwrap())
}

fn newest_file(resource: &Value) -> &Value {
    let sets = resource["sets"].as_object().unwrap();
    let (_, newest) = sets.iter().max_by_key(|(version, _)| version.as_str()).unwrap();
    let files = newest["files"].as_object().unwrap();
    assert_eq!(files.len(), 1);
    files.values().next().unwrap()
}

#[test]
fn a_client_uploads_ten_megabytes_in_three_pieces_whatever_they_are() {
    let running = Running::empty();
    let content = vec![b'x'; 10_240_000];
    let resource = upload(&running, "custom/img", "tgz", &content);
    assert_eq!(resource["type"], "Uploaded");
    assert_eq!(resource["name"], "custom/img");
    assert_eq!(resource["architecture"], "amd64/generic");
    assert_eq!(resource["base_image"], "ubuntu/noble");
    assert_eq!((&resource["subarches"], &resource["title"]), (&"generic".into(), &"T".into()));
    let file = newest_file(&resource);
    assert_eq!(file["complete"], true);
    assert_eq!(file["filename"], "root.tgz");
    assert_eq!(file["filetype"], "root-tgz");
    assert_eq!(file["size"], 10_240_000);
    assert_eq!(file["filename_on_disk"], sha256(&content)[..7]);
    assert!(file.get("upload_uri").is_none());
    assert_eq!(file["findings"][0]["code"], "type-differs");
    let (set, _) = resource["sets"].as_object().unwrap().iter().next().unwrap();
    assert!(set.len() == 8 && set.bytes().all(|byte| byte.is_ascii_digit()), "{set}");
    // The same content once more is complete at once.
    let again = upload(&running, "img", "tgz", &content);
    assert_eq!(again["id"], resource["id"]);
    assert_eq!(newest_file(&again)["complete"], true);

    let names = |path: &str| -> Vec<String> {
        let list = running.read(path);
        let list = list.as_array().unwrap();
        list.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("boot-resources/"), ["custom/img"]);
    assert_eq!(names("boot-resources/?type=uploaded"), ["custom/img"]);
    assert_eq!(names("boot-resources/?type=all"), ["custom/img"]);
    assert!(names("boot-resources/?type=synced").is_empty());
    let first = &running.read("boot-resources/")[0];
    assert!(first.get("sets").is_none());

    let bob = running.user("bob", Role::User);
    let call = Call::post(RESOURCES, &[("name", "x")]).signed(&bob);
    assert_eq!(call.send(running.region).status, 403);
    let id = resource["id"].as_u64().unwrap();
    let gone = Call::new("DELETE", format!("{RESOURCES}{id}/")).signed(&running.admin);
    assert_eq!(gone.send(running.region).status, 204);
    assert!(names("boot-resources/").is_empty());
    let path = format!("/images/{}/x", sha256(&content));
    assert_eq!(Call::get(path).send(running.rack).status, 404, "its file is gone too");
}

#[test]
fn a_put_that_is_wrong_is_told_why() {
    let running = Running::empty();
    let content = debian(&[]);
    let fields = [
        ("name", "a"),
        ("architecture", "amd64"),
        ("sha256", &*sha256(&content)),
        ("size", &*content.len().to_string()),
    ];
    let resource = running.post("boot-resources/", &fields).ok().json();
    let uri = newest_file(&resource)["upload_uri"].as_str().unwrap().to_owned();
    let put = |uri: &str, body: &[u8]| {
        let call = Call::new("PUT", uri).signed(&running.admin).body(body);
        let answer = call.send(running.region);
        (answer.status, answer.text())
    };
    assert_eq!(put(&uri, b""), (400, "Missing data.".to_owned()));
    let mut long = content.clone();
    long.push(0);
    assert_eq!(put(&uri, &long), (400, "Too much data received.".to_owned()));
    let (status, _) = put(&uri.replace("/upload/1/", "/upload/77/"), b"x");
    assert_eq!(status, 404);
    let wrong = vec![1; content.len()];
    let text = "Saved content does not match given SHA256 value.";
    assert_eq!(put(&uri, &wrong), (400, text.to_owned()));
    assert_eq!(put(&uri, &content), (200, "OK".to_owned()));
    assert_eq!(put(&uri, b"x"), (400, "Cannot upload to a complete file.".to_owned()));
}

#[test]
fn an_uploaded_image_is_deployed_and_one_with_defects_is_refused() {
    let (play, id) = Play::ready(31);
    let running = &play.running;
    let content = debian(&[]);
    let resource = upload(running, "custom/img", "tgz", &content);
    assert_eq!(resource["base_image"], "debian/12", "the image says so itself");
    assert_eq!(resource["defects"].as_array().unwrap().len(), 0);
    let root = &newest_file(&resource)["inspection"]["root"];
    assert_eq!(root["cloud_init"], "/usr/bin/cloud-init");

    // Hooks and a pre-seed take part.
    let hook = [
        ("scope", "machine"),
        ("target", id.as_str()),
        ("phase", "late"),
        ("name", "motd"),
        ("command", "echo hello > /etc/motd"),
        ("in_target", "true"),
    ];
    assert_eq!(running.post("deployment-hooks/", &hook).status, 201);
    let text = "verbosity: 2\nlate_commands:\n  zz: [echo, '{{ hostname }}']\n";
    let preseed = [("name", "curtin_userdata_custom"), ("content", text)];
    assert_eq!(running.post("preseeds/", &preseed).status, 201);
    let bad = [("name", "curtin_userdata_bad"), ("content", "a: 1\nb: {{ hostnam }}\n")];
    let refused = running.post("preseeds/", &bad);
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("curtin_userdata_bad, line 2"), "{}", refused.text());
    assert!(refused.text().contains("hostnam"), "{}", refused.text());

    let preview = running.read(&format!("machines/{id}/?op=preview&distro_series=custom/img"));
    let warnings = preview["warnings"].to_string();
    assert!(warnings.contains("the pre-seed replaces verbosity"), "{warnings}");
    let deploy = format!("machines/{id}/?op=deploy");
    running.post(&deploy, &[("distro_series", "custom/img")]).ok();
    let machine = play.wait_for(&id, "Deployed");
    assert_eq!((&machine["osystem"], &machine["distro_series"]), (&"custom".into(), &"img".into()));
    let path = format!("/MAAS/api/2.0/machines/{id}/?op=get_curtin_config");
    let curtin = Call::get(path).signed(&running.admin).send(running.region).ok().text();
    for part in ["hook-3-machine-", "echo hello > /etc/motd", "zz", &sha256(&content)] {
        assert!(curtin.contains(part), "{part} is not in {curtin}");
    }
    let explained = running.read(&format!("machines/{id}/?op=explain"));
    assert_eq!(explained["failure"], Value::Null);
    let stages = explained["stages"].as_array().unwrap();
    let install = stages.iter().find(|stage| stage["name"] == "cmd-install").unwrap();
    assert_eq!(install["outcome"], "success");
    assert!(install["duration"].as_f64().is_some());

    // A new version that holds nothing: taken, but not deployed.
    upload(running, "custom/img", "tgz", &vec![b'x'; 5000]);
    play.act(&id, "release");
    play.wait_for(&id, "Ready");
    let refused = running.post(&deploy, &[("distro_series", "custom/img")]);
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("file of an unknown kind"), "{}", refused.text());
    assert_eq!(running.read(&format!("machines/{id}/"))["status_name"], "Ready");
}

#[test]
fn a_system_whose_packed_seed_was_chosen_is_deployed_by_its_report() {
    let (play, id) = Play::ready(32);
    let running = &play.running;
    let seed: &[(&str, &[u8])] = &[
        ("var/lib/cloud/seed/nocloud/meta-data", b"instance-id: x\n"),
        ("var/lib/cloud/seed/nocloud/user-data", b"#cloud-config\n"),
    ];
    let resource = upload(running, "custom/seeded", "tgz", &debian(seed));
    assert_eq!(resource["packed_seed"]["no_cloud"]["path"], "/var/lib/cloud/seed/nocloud");
    let preview = |choice: &str| {
        let path =
            format!("machines/{id}/?op=preview&distro_series=custom/seeded&datasource={choice}");
        running.read(&path)
    };
    assert_eq!(preview("closest")["datasource"]["winner"], "metadata_service");
    assert_eq!(preview("metadata")["datasource"]["winner"], "metadata_service");
    let by_kernel = preview("metadata-by-kernel");
    assert!(by_kernel["command_line"].as_str().unwrap().ends_with("--- ci.ds=MAAS"));
    let packed = preview("packed");
    assert_eq!(packed["datasource"]["winner"], "packed");
    assert!(packed["warnings"].to_string().contains("packed-datasource"));
    let fields = [("distro_series", "custom/seeded"), ("datasource", "packed")];
    running.post(&format!("machines/{id}/?op=deploy"), &fields).ok();
    play.wait_for(&id, "Deployed");
    let told = running
        .records()
        .into_iter()
        .any(|it| it.record.description.contains("reported the end of its first boot"));
    assert!(told, "it never asked for user data");
}

#[test]
fn a_failed_installation_is_explained() {
    let (play, id) = Play::ready(33);
    play.faults(&[FaultKind::CurtinFails]);
    play.act(&id, "deploy");
    let machine = play.wait_for(&id, "Failed deployment");
    let why = machine["error_description"].as_str().unwrap();
    assert!(why.contains("write error"), "{why}");
    let explained = play.running.read(&format!("machines/{id}/?op=explain"));
    assert_eq!(explained["failure"]["stage"], "cmd-install/stage-extract/builtin");
    let lines = explained["failure"]["last_lines"].to_string();
    assert!(lines.contains("write error"), "{lines}");
    assert_eq!(explained["error_description"], why);
    let set = play.running.read(&format!("nodes/{id}/results/current-installation/"));
    // The runner's own output may have come between the two looks.
    assert_eq!(set["explanation"]["failure"]["stage"], explained["failure"]["stage"]);
    play.deploys_again(&id);
    let explained = play.running.read(&format!("machines/{id}/?op=explain"));
    assert_eq!(explained["failure"], Value::Null, "that was another run");
}

/// A tree on disk as debootstrap leaves it, in small.
fn tree(dir: &Path) {
    let elf = elf();
    for (path, content) in [
        ("boot/vmlinuz-6.1", &b"kernel"[..]),
        ("boot/initrd.img-6.1", b"initrd"),
        ("etc/os-release", b"ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian 12\"\n"),
        ("usr/bin/cloud-init", b"#!/usr/bin/python3\n"),
        ("usr/bin/env", &elf),
        ("usr/sbin/netplan", b"#!/usr/bin/python3\n"),
    ] {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    std::os::unix::fs::symlink("usr/bin", dir.join("bin")).unwrap();
    std::fs::hard_link(dir.join("usr/bin/env"), dir.join("usr/bin/env2")).unwrap();
}

#[test]
fn the_program_packs_and_checks_images() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    tree(&root);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let root_text = text(&root);
    for ending in ["tgz", "tar.xz", "tbz", "tar.zst"] {
        let out = text(&dir.path().join(format!("image.{ending}")));
        let packed = run(&["image", "pack", &root_text, &out, "--as-root"], "");
        assert_eq!((packed.code, &*packed.err), (Some(0), ""), "{packed:?}");
        assert!(packed.out.contains("sha256"), "{}", packed.out);
        let first = std::fs::read(&out).unwrap();
        run(&["image", "pack", &root_text, &out, "--as-root"], "");
        assert_eq!(std::fs::read(&out).unwrap(), first, "the same tree, the same bytes");
        let json = run(&["image", "lint", &out, "--json", "--arch", "amd64"], "");
        assert_eq!(json.code, Some(0), "{json:?}");
        let found: Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(found["root"]["os_release"]["pretty_name"], "Debian 12");
        assert_eq!(found["findings"].as_array().unwrap().len(), 0);
    }
    let image = text(&dir.path().join("image.tgz"));
    let lint = run(&["image", "lint", &image, "--arch", "arm64", "--filetype", "txz"], "");
    assert_eq!(lint.code, Some(1), "{lint:?}");
    for part in ["Debian 12", "wrong-architecture", "upload it with the file type tgz"] {
        assert!(lint.out.contains(part), "{part} is not in {}", lint.out);
    }
    for (args, names) in [
        (vec!["image", "pack", &root_text, "x.zip"], ["x.zip", ".tgz"]),
        (vec!["image", "pack", "/nowhere", &image], ["/nowhere", "cannot be read"]),
        (vec!["image", "lint", "/nowhere"], ["/nowhere", "cannot be read"]),
        (vec!["image", "lint", &image, "--filetype", "zip"], ["zip", "ddraw"]),
    ] {
        let failed = run(&args, "");
        assert_eq!(failed.code, Some(1), "{failed:?}");
        for name in names {
            assert!(failed.err.contains(name), "{name} is not in {}", failed.err);
        }
    }
    let inside = text(&root.join("image.tgz"));
    let failed = run(&["image", "pack", &root_text, &inside], "");
    assert!(failed.err.contains("would contain itself"), "{failed:?}");
    assert!(!root.join("image.tgz").exists() && !root.join("image.tgz.part").exists());
}

fn serve(data_dir: &Path, region: SocketAddr, rack: SocketAddr) -> Process {
    let config = data_dir.join("maas.toml");
    let mut file = std::fs::File::create(&config).unwrap();
    file.write_all(b"boot_source_url = ''\nsync_interval_minutes = 0\n").unwrap();
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
    let until = Instant::now() + Duration::from_secs(60);
    while !Call::get("/healthz").try_send(region).is_ok_and(|answer| answer.status == 200) {
        assert!(Instant::now() < until, "not healthy: {}", process.errors());
        std::thread::sleep(Duration::from_millis(20));
    }
    process
}

#[test]
fn an_upload_survives_kills_of_the_server() {
    let seed = Random::seed();
    println!("MAAS_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    std::fs::create_dir_all(&data_dir).unwrap();
    let data = data_dir.to_str().unwrap();
    let created =
        run(&["user", "create", "root", "--admin", "--password-stdin", "--data-dir", data], "pw\n");
    assert_eq!(created.code, Some(0), "{created:?}");
    let key_file = dir.path().join("key");
    let key = run(&["apikey", "root", "--data-dir", data], "").out;
    std::fs::write(&key_file, key).unwrap();
    // Large enough for several kills on the way; noise, so that nothing is compressed away.
    let mut noise = vec![0_u8; 24 << 20];
    for block in noise.chunks_mut(8) {
        let word = random.next().to_le_bytes();
        block.copy_from_slice(&word[..block.len()]);
    }
    let image = dir.path().join("image.tgz");
    std::fs::write(&image, debian(&[("srv/noise", &noise)])).unwrap();

    let [region, rack] = free_ports(&mut random);
    let mut server = serve(&data_dir, region, rack);
    let url = format!("http://{region}");
    let args = [
        "image",
        "upload",
        "--url",
        &url,
        "--apikey-file",
        key_file.to_str().unwrap(),
        "custom/big",
        "amd64/generic",
        image.to_str().unwrap(),
    ];
    let mut upload = Process::spawn(&args);
    let mut kills = 0;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = upload.ended() {
            break status;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{}", upload.errors());
        std::thread::sleep(Duration::from_millis(50 + random.below(400)));
        if kills < 6 && upload.ended().is_none() {
            server.kill();
            kills += 1;
            server = serve(&data_dir, region, rack);
        }
    };
    upload.wait(Duration::from_secs(5));
    assert!(status.success(), "{}\n{}", upload.seen.join("\n"), upload.errors());
    println!("{kills} kills, {:?}", started.elapsed());
    assert!(upload.seen.iter().any(|line| line.contains("is complete")), "{:?}", upload.seen);
    let again = run(&args, "");
    assert_eq!(again.code, Some(0), "known content is complete at once: {again:?}");
    let path = format!("/images/{}/root.tgz", sha256(&std::fs::read(&image).unwrap()));
    let served = Call::get(path).send(rack).ok();
    assert!(served.body == std::fs::read(&image).unwrap());
    assert_eq!(std::fs::read_dir(data_dir.join("images/uploads")).unwrap().count(), 0);
}
