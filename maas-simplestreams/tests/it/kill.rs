//! A mirror that is killed at any moment serves a whole generation, and the next run completes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use maas_simplestreams::date::Timestamp;
use maas_simplestreams::digest::Sha256;
use maas_simplestreams::limits::Limits;
use maas_simplestreams::publish::{Content, NewItem, NewProduct, NewVersion, Signing, Stream};
use maas_simplestreams::sign::SigningKey;
use maas_simplestreams::signature::{Keyring, OpenPgp, Verified};

use crate::server::Server;

/// How often the mirror is killed; more with `MAAS_TEST_KILLS`.
const KILLS: u64 = 30;
const FILES: usize = 4;
const SIZE: usize = 1 << 20;
/// One more file, which comes in ranges.
const LARGE: usize = 9 << 20;
const JOBS: usize = 3;
/// What a stream may have to fetch again after a kill: one block, and what the sockets held.
const CHUNK: usize = 1 << 20;
/// Bytes of one version.
const GENERATION: usize = FILES * SIZE + LARGE;

fn publish(root: &Path, key: &SigningKey, version: u64, at: Timestamp) {
    let mut product = NewProduct::new("p");
    for version in [version - 1, version] {
        let mut new = NewVersion::new(format!("{version:04}"));
        for file in 0..FILES {
            let fill = u8::try_from((version * 7 + file as u64) % 251).unwrap();
            let path = format!("files/{version}/{file}");
            new = new.item(file.to_string(), NewItem::from_bytes(path, vec![fill; SIZE]));
        }
        let fill = u8::try_from(version % 241).unwrap();
        let large = (0..LARGE).map(|n| fill ^ u8::try_from((n >> 12) % 256).unwrap());
        let large =
            NewItem::from_bytes(format!("files/{version}/large"), large.collect::<Vec<_>>());
        product = product.version(new.item("large", large));
    }
    Stream::new(at)
        .content(Content::new("c:d", "image-downloads").product(product))
        .write(root, Signing::Signed { key, at })
        .unwrap();
}

/// Whether readers of the tree find everything that its index leads to.
fn is_whole(root: &Path, verifier: &OpenPgp) -> bool {
    let read = |path: &str| std::fs::read(root.join(path));
    let Ok(index) = read("streams/v1/index.sjson") else { return false };
    let now = Timestamp::from(std::time::SystemTime::now());
    let limits = Limits::default();
    let index =
        Verified::from_clearsigned(&index, verifier, now).unwrap().parse_index(&limits).unwrap();
    for entry in index.entries.values() {
        let raw = read(entry.path().unwrap().as_str()).expect("the index names what is there");
        let verified = Verified::from_clearsigned(&raw, verifier, now).unwrap();
        let products = verified.parse_products(&limits).unwrap();
        for item in products.items() {
            let content =
                read(item.file().unwrap().path.as_str()).expect("products name what is there");
            assert_eq!(Some(Sha256::of(&content)), item.sha256());
        }
    }
    true
}

#[test]
fn killed_at_any_moment_it_serves_a_whole_generation_and_loses_little() {
    let kills =
        std::env::var("MAAS_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let start = Timestamp::from(std::time::SystemTime::now()).as_seconds() - 10_000;
    let at = |version: u64| Timestamp::from_seconds(start + i64::try_from(version).unwrap());
    let root = tempfile::tempdir().unwrap();
    let key = SigningKey::generate("Throw-away", at(0)).unwrap();
    let verifier = OpenPgp::new(Keyring::from_bytes(&key.public_keyring().unwrap()).unwrap());
    let keyring = root.path().join("pub.gpg");
    std::fs::write(&keyring, key.public_keyring().unwrap()).unwrap();
    let from = root.path().join("from");
    let to = root.path().join("to");
    // A generation is published in one step as far as requests see it.
    let published = Arc::new(RwLock::new(()));
    let lock = Arc::clone(&published);
    let served = from.clone();
    let server = Server::start(move |asked, reply| {
        let body = {
            let _reading = lock.read().unwrap();
            std::fs::read(served.join(asked.path.trim_start_matches('/')))
        };
        let Ok(body) = body else { return reply.answer("404 Not Found", "", b"") };
        let start = asked.range_start().min(body.len());
        let end = asked.range_end().unwrap_or(body.len()).min(body.len());
        let is_part = start > 0 || end < body.len();
        let status = if is_part { "206 Partial Content" } else { "200 OK" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{}\r\nConnection: close\r\n\r\n",
            end - start,
            end.saturating_sub(1),
            body.len()
        );
        reply.raw(head.as_bytes());
        for piece in body[start..end].chunks(64 << 10) {
            if !reply.raw(piece) {
                return;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    });
    let mirror = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sstream"));
        command.args(["mirror", "--grace", "0", "--jobs", &JOBS.to_string(), "--keyring"]);
        command.arg(&keyring);
        command.arg(&server.url).arg(&to).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut version = 1;
    publish(&from, &key, version, at(version));
    let mut seed = 42u64;
    let mut was_whole = false;
    let mut in_time = 0;
    let mut rounds = 0;
    // Only a kill that met a sync that was going on counts.
    while in_time < kills {
        rounds += 1;
        assert!(rounds < 100 + 10 * kills, "only {in_time} of {rounds} rounds met a sync");
        if rounds % 5 == 0 {
            assert!(mirror().status().unwrap().success(), "the next run completes");
            assert!(is_whole(&to, &verifier));
            was_whole = true;
            version += 1;
            let _writing = published.write().unwrap();
            publish(&from, &key, version, at(version));
            continue;
        }
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        // Any moment of the sync: after so many bytes, or in what comes before and after them.
        let begun = server.sent.load(Ordering::Relaxed);
        let bytes = usize::try_from(random(GENERATION as u64 / 2)).unwrap();
        let pause = Duration::from_millis(random(60));
        let mut child = mirror().spawn().unwrap();
        let patience = Instant::now() + Duration::from_secs(10);
        while server.sent.load(Ordering::Relaxed) < begun + bytes
            && child.try_wait().unwrap().is_none()
            && Instant::now() < patience
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(pause);
        in_time += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_whole(&to, &verifier) || !was_whole, "readers found a gap");
    }
    assert!(mirror().status().unwrap().success());
    assert!(is_whole(&to, &verifier));
    let mut left = BTreeSet::new();
    for entry in std::fs::read_dir(to.join("files")).unwrap() {
        left.insert(entry.unwrap().file_name().into_string().unwrap());
    }
    assert_eq!(left, BTreeSet::from([(version - 1).to_string(), version.to_string()]));
    // Each kill costs at most what was under way: one chunk for each stream.
    let content = (version as usize + 1) * GENERATION;
    let sent = server.sent.load(Ordering::Relaxed);
    let allowed = content + usize::try_from(in_time).unwrap() * JOBS * CHUNK;
    let again = sent.saturating_sub(content);
    println!(
        "{rounds} rounds, {in_time} kills in mid-sync: {content} bytes are there, {again} came twice, \
         {} per kill and stream",
        again / (usize::try_from(in_time).unwrap().max(1) * JOBS)
    );
    assert!(sent < allowed, "{sent} bytes were sent, at most {allowed} expected");
}
