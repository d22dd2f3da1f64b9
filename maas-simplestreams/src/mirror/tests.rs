#![allow(clippy::unwrap_used)]
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use super::*;
use crate::date::Timestamp;
use crate::publish::{Content, NewItem, NewProduct, NewVersion, Signing, Stream};
use crate::repository::Source;
use crate::sign::SigningKey;
use crate::signature::{Keyring, OpenPgp};
use crate::transport::FileTransport;

const START: i64 = 1_780_000_000;

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate("Throw-away", at(-10)).unwrap());

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(START + seconds)
}

fn source(root: &Path) -> Source {
    let keyring = Keyring::from_bytes(&KEY.public_keyring().unwrap()).unwrap();
    Source::verified(SourceUrl::directory(root).unwrap(), Arc::new(OpenPgp::new(keyring)))
}

/// Two products that share one file in each version.
fn publish(root: &Path, versions: &[&str], updated: Timestamp) {
    let mut content = Content::new("c:download", "image-ids");
    for product in ["amd64", "arm64"] {
        let mut new = NewProduct::new(product).tag("arch", product);
        for version in versions {
            let own = NewItem::from_bytes(
                format!("{product}/{version}/kernel"),
                format!("kernel {product} {version}"),
            );
            let shared = NewItem::from_bytes(
                format!("{product}/{version}/squashfs"),
                format!("shared {version}"),
            );
            new = new.version(
                NewVersion::new(*version)
                    .item("kernel", own.tag("ftype", "boot-kernel"))
                    .item("squashfs", shared.tag("ftype", "squashfs")),
            );
        }
        content = content.product(new);
    }
    let signing = Signing::Signed { key: &KEY, at: updated };
    Stream::new(updated).content(content).write(root, signing).unwrap();
}

/// Every file of a tree but the state, and its content.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, directory: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if name.starts_with(STATE_DIRECTORY) {
                continue;
            }
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

fn paths(root: &Path) -> BTreeSet<String> {
    tree(root).into_keys().filter(|path| !path.starts_with("streams/")).collect()
}

struct Pair {
    from: tempfile::TempDir,
    to: tempfile::TempDir,
}

impl Pair {
    fn new(versions: &[&str]) -> Self {
        let pair = Self { from: tempfile::tempdir().unwrap(), to: tempfile::tempdir().unwrap() };
        publish(pair.from.path(), versions, at(0));
        pair
    }

    async fn sync(&self, options: &MirrorOptions, now: Timestamp) -> Result<Outcome, MirrorError> {
        let mut mirror = Mirror::open(self.to.path()).await?;
        mirror.sync(source(self.from.path()), Arc::new(FileTransport), options, &(), now).await
    }
}

fn keeping(grace: u64) -> MirrorOptions {
    MirrorOptions { grace: Duration::from_secs(grace), ..MirrorOptions::default() }
}

#[tokio::test]
async fn a_mirror_is_the_signed_tree_byte_for_byte() {
    let pair = Pair::new(&["1", "2"]);
    let outcome = pair.sync(&MirrorOptions::default(), at(0)).await.unwrap();
    assert_eq!((outcome.added, outcome.removed, outcome.published), (4, 0, 2));
    let mut expected = tree(pair.from.path());
    expected.retain(|path, _| !path.ends_with(".json") && !path.ends_with(".gpg"));
    assert_eq!(tree(pair.to.path()), expected);
    // Six different contents in eight paths.
    let store = crate::store::BlobStore::open(pair.to.path().join(STATE_DIRECTORY)).await.unwrap();
    assert_eq!(store.list().await.unwrap().len(), 6);
}

#[tokio::test]
async fn a_sync_without_news_changes_and_reads_nothing() {
    let pair = Pair::new(&["1"]);
    pair.sync(&MirrorOptions::default(), at(0)).await.unwrap();
    let state = std::fs::read(pair.to.path().join(".sstream/state.json")).unwrap();
    let outcome = pair.sync(&MirrorOptions::default(), at(1)).await.unwrap();
    assert_eq!((outcome.added, outcome.bytes, outcome.published, outcome.deleted), (0, 0, 0, 0));
    assert_eq!(std::fs::read(pair.to.path().join(".sstream/state.json")).unwrap(), state);
}

#[tokio::test]
async fn filters_and_the_number_of_versions_choose_the_paths() {
    let pair = Pair::new(&["1", "2", "3"]);
    let options = MirrorOptions {
        filters: vec!["arch=amd64".parse().unwrap(), "ftype~kernel".parse().unwrap()],
        retention: Retention::Newest(2),
        ..MirrorOptions::default()
    };
    let mirror = Mirror::open(pair.to.path()).await.unwrap();
    let plan = mirror
        .plan(source(pair.from.path()), Arc::new(FileTransport), &options, at(0))
        .await
        .unwrap();
    let planned: BTreeSet<String> = plan.paths().iter().map(ToString::to_string).collect();
    assert!(paths(pair.to.path()).is_empty(), "a plan changes nothing");
    drop(mirror);
    pair.sync(&options, at(0)).await.unwrap();
    assert_eq!(paths(pair.to.path()), planned);
    assert_eq!(planned.into_iter().collect::<Vec<_>>(), ["amd64/2/kernel", "amd64/3/kernel"]);
}

#[tokio::test]
async fn files_that_are_no_longer_named_stay_for_the_grace_period() {
    let pair = Pair::new(&["1", "2"]);
    let options = keeping(100);
    pair.sync(&options, at(0)).await.unwrap();
    publish(pair.from.path(), &["2", "3"], at(10));
    let outcome = pair.sync(&options, at(10)).await.unwrap();
    assert_eq!((outcome.added, outcome.removed, outcome.deleted), (2, 2, 0));
    assert!(paths(pair.to.path()).contains("amd64/1/kernel"));
    let outcome = pair.sync(&options, at(109)).await.unwrap();
    assert_eq!(outcome.deleted, 0);
    let outcome = pair.sync(&options, at(110)).await.unwrap();
    assert_eq!(outcome.deleted, 4);
    let left = paths(pair.to.path());
    assert!(left.iter().all(|path| !path.contains("/1/")), "{left:?}");
    assert!(!pair.to.path().join("amd64/1").exists(), "empty directories go");
    let store = crate::store::BlobStore::open(pair.to.path().join(STATE_DIRECTORY)).await.unwrap();
    assert_eq!(store.list().await.unwrap().len(), 6);
}

#[tokio::test]
async fn a_path_that_comes_back_is_not_deleted() {
    let pair = Pair::new(&["1", "2"]);
    let options = keeping(100);
    pair.sync(&options, at(0)).await.unwrap();
    publish(pair.from.path(), &["2"], at(10));
    pair.sync(&options, at(10)).await.unwrap();
    publish(pair.from.path(), &["1", "2"], at(20));
    pair.sync(&options, at(20)).await.unwrap();
    pair.sync(&options, at(500)).await.unwrap();
    assert_eq!(paths(pair.to.path()).len(), 8);
}

#[tokio::test]
async fn a_failed_sync_publishes_nothing_and_the_next_one_goes_on() {
    let pair = Pair::new(&["1"]);
    pair.sync(&MirrorOptions::default(), at(0)).await.unwrap();
    let before = tree(pair.to.path());
    publish(pair.from.path(), &["1", "2"], at(10));
    let lost = pair.from.path().join("amd64/2/kernel");
    let content = std::fs::read(&lost).unwrap();
    std::fs::remove_file(&lost).unwrap();
    let refused = pair.sync(&MirrorOptions::default(), at(10)).await;
    assert!(matches!(&refused, Err(MirrorError::Incomplete { failed }) if failed.len() == 1));
    assert_eq!(tree(pair.to.path()), before);
    std::fs::write(&lost, content).unwrap();
    pair.sync(&MirrorOptions::default(), at(20)).await.unwrap();
    assert_eq!(paths(pair.to.path()).len(), 8);
}

#[tokio::test]
async fn damage_is_found_and_repaired() {
    let pair = Pair::new(&["1", "2"]);
    pair.sync(&MirrorOptions::default(), at(0)).await.unwrap();
    let good = tree(pair.to.path());
    std::fs::remove_file(pair.to.path().join("amd64/1/kernel")).unwrap();
    // Written in place: the store has the same file.
    std::fs::write(pair.to.path().join("arm64/1/squashfs"), "Shared 1").unwrap();
    std::fs::write(pair.to.path().join("arm64/2/kernel"), "short").unwrap();
    std::fs::remove_file(pair.to.path().join("streams/v1/index.sjson")).unwrap();
    let mut mirror = Mirror::open(pair.to.path()).await.unwrap();
    let found: Vec<String> =
        mirror.check(Depth::Contents).await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "`amd64/1/kernel`: it is missing",
            "`amd64/1/squashfs`: its digest differs",
            "`arm64/1/squashfs`: its digest differs",
            "`arm64/2/kernel`: it has 5 bytes, not 14",
            "`streams/v1/index.sjson`: it is missing",
        ]
    );
    assert_eq!(mirror.check(Depth::Sizes).await.unwrap().len(), 3);
    mirror
        .repair(
            source(pair.from.path()),
            Arc::new(FileTransport),
            &MirrorOptions::default(),
            &(),
            at(1),
        )
        .await
        .unwrap();
    assert!(mirror.check(Depth::Contents).await.unwrap().is_empty());
    assert_eq!(tree(pair.to.path()), good);
}

#[tokio::test]
async fn metadata_that_was_changed_locally_is_found_and_replaced() {
    let pair = Pair::new(&["1", "2"]);
    pair.sync(&MirrorOptions::default(), at(0)).await.unwrap();
    let good = tree(pair.to.path());
    for name in ["index.sjson", "c:download.sjson"] {
        let path = pair.to.path().join("streams/v1").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("updated", "UPDATED")).unwrap();
        let mirror = Mirror::open(pair.to.path()).await.unwrap();
        let found = mirror.check(Depth::Contents).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), format!("`streams/v1/{name}`: its digest differs"));
        drop(mirror);
        let outcome = pair.sync(&MirrorOptions::default(), at(1)).await.unwrap();
        assert_eq!(outcome.published, 1);
        assert_eq!(tree(pair.to.path()), good);
    }
}

#[tokio::test]
async fn one_writer_at_a_time() {
    let pair = Pair::new(&["1"]);
    let _first = Mirror::open(pair.to.path()).await.unwrap();
    assert!(matches!(Mirror::open(pair.to.path()).await, Err(MirrorError::Locked { .. })));
}

#[tokio::test]
async fn metadata_alone_can_be_mirrored() {
    let pair = Pair::new(&["1"]);
    let options = MirrorOptions { items: Items::Skip, ..MirrorOptions::default() };
    pair.sync(&options, at(0)).await.unwrap();
    assert!(paths(pair.to.path()).is_empty());
    assert!(pair.to.path().join("streams/v1/index.sjson").is_file());
    pair.sync(&MirrorOptions::default(), at(1)).await.unwrap();
    assert_eq!(paths(pair.to.path()).len(), 4);
}

#[tokio::test]
async fn a_disk_without_room_is_noticed_before_the_first_byte() {
    let pair = Pair::new(&["1"]);
    let options = MirrorOptions { space_margin: u64::MAX / 2, ..MirrorOptions::default() };
    assert!(matches!(pair.sync(&options, at(0)).await, Err(MirrorError::NoSpace { .. })));
    assert!(tree(pair.to.path()).is_empty());
}

#[tokio::test]
async fn items_cannot_take_the_place_of_metadata_or_state() {
    for path in ["streams/v1/index.sjson", ".sstream/state.json"] {
        let from = tempfile::tempdir().unwrap();
        let item = NewItem::from_bytes(path, "x");
        let product = NewProduct::new("p").version(NewVersion::new("1").item("i", item));
        Stream::new(at(0))
            .content(Content::new("c", "image-ids").product(product))
            .write(from.path(), Signing::Signed { key: &KEY, at: at(0) })
            .unwrap();
        let to = tempfile::tempdir().unwrap();
        let mut mirror = Mirror::open(to.path()).await.unwrap();
        let refused = mirror
            .sync(
                source(from.path()),
                Arc::new(FileTransport),
                &MirrorOptions::default(),
                &(),
                at(0),
            )
            .await;
        assert!(matches!(refused, Err(MirrorError::ReservedPath { .. })), "{path}");
    }
}

#[tokio::test]
async fn one_path_cannot_have_two_contents() {
    let from = tempfile::tempdir().unwrap();
    for (root, content) in [("a", "one"), ("b", "two")] {
        let item = NewItem::from_bytes("same/path", content);
        let product = NewProduct::new("p").version(NewVersion::new("1").item("i", item));
        Stream::new(at(0))
            .content(Content::new(format!("c:{root}"), "image-ids").product(product))
            .write(&from.path().join(root), Signing::Signed { key: &KEY, at: at(0) })
            .unwrap();
    }
    let metadata = |root: &str, name: &str| from.path().join(root).join("streams/v1").join(name);
    std::fs::copy(metadata("b", "c:b.json"), metadata("a", "c:b.json")).unwrap();
    let index = std::fs::read_to_string(metadata("a", "index.json")).unwrap();
    let mut index: serde_json::Value = serde_json::from_str(&index).unwrap();
    index["index"]["c:b"] = serde_json::json!({
        "path": "streams/v1/c:b.json", "format": "products:1.0", "datatype": "image-ids"});
    std::fs::write(metadata("a", "index.json"), index.to_string()).unwrap();
    let root = from.path().join("a");
    let listing = crate::publish::Listing::AsIs;
    crate::publish::sign_unverified_tree(&root, &KEY, listing, at(0)).unwrap();
    let to = tempfile::tempdir().unwrap();
    let mut mirror = Mirror::open(to.path()).await.unwrap();
    let options = MirrorOptions::default();
    let refused = mirror.sync(source(&root), Arc::new(FileTransport), &options, &(), at(0)).await;
    assert!(matches!(refused, Err(MirrorError::PathConflict { .. })), "{refused:?}");
}

#[tokio::test]
async fn another_root_helps_when_the_source_lacks_a_file() {
    let pair = Pair::new(&["1"]);
    let other = tempfile::tempdir().unwrap();
    publish(other.path(), &["1"], at(0));
    std::fs::remove_file(pair.from.path().join("amd64/1/kernel")).unwrap();
    let mut options = MirrorOptions {
        alternatives: vec![SourceUrl::directory(other.path()).unwrap()],
        ..MirrorOptions::default()
    };
    options.fetch.jobs = NonZeroUsize::MIN;
    options.fetch.first_pause = Duration::from_millis(1);
    pair.sync(&options, at(0)).await.unwrap();
    assert_eq!(paths(pair.to.path()).len(), 4);
}

#[cfg(feature = "archive")]
#[tokio::test]
async fn a_mirror_crosses_an_air_gap_with_only_what_the_other_side_lacks() {
    let pair = Pair::new(&["1"]);
    pair.sync(&MirrorOptions::default(), at(0)).await.unwrap();
    let far = tempfile::tempdir().unwrap();
    let mut there = Mirror::open(far.path()).await.unwrap();
    let here = Mirror::open(pair.to.path()).await.unwrap();
    let mut archive = Vec::new();
    let carried = here.export(&mut archive, &there.contents()).unwrap();
    assert_eq!((carried.blobs, carried.documents), (3, 2));
    let wrong = SigningKey::generate("Another", at(-10)).unwrap();
    let wrong = OpenPgp::new(Keyring::from_bytes(&wrong.public_keyring().unwrap()).unwrap());
    let refused = there.import(&archive[..], &wrong, at(1));
    assert!(matches!(refused, Err(ArchiveError::Document(_))));
    assert!(tree(far.path()).is_empty());
    let right = OpenPgp::new(Keyring::from_bytes(&KEY.public_keyring().unwrap()).unwrap());
    there.import(&archive[..], &right, at(1)).unwrap();
    assert_eq!(tree(far.path()), tree(pair.to.path()));
    drop(here);
    publish(pair.from.path(), &["1", "2"], at(10));
    pair.sync(&MirrorOptions::default(), at(10)).await.unwrap();
    let here = Mirror::open(pair.to.path()).await.unwrap();
    let mut archive = Vec::new();
    assert_eq!(here.export(&mut archive, &there.contents()).unwrap().blobs, 3);
    let mut changed = archive.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    assert!(there.import_unverified(&changed[..], at(11)).is_err());
    there.import_unverified(&archive[..], at(11)).unwrap();
    assert_eq!(tree(far.path()), tree(pair.to.path()));
    assert!(there.check(Depth::Contents).await.unwrap().is_empty());
    let fresh = tempfile::tempdir().unwrap();
    let mut fresh = Mirror::open(fresh.path()).await.unwrap();
    let refused = fresh.import_unverified(&archive[..], at(11));
    assert!(matches!(refused, Err(ArchiveError::Incomplete { .. })));
    assert!(tree(fresh.root()).is_empty());
}

/// A signed stream whose items carry other digests than the publisher gives them.
fn with_digests(
    root: &Path,
    change: impl Fn(&mut serde_json::Map<String, serde_json::Value>, &[u8]),
) {
    publish(root, &["1"], at(0));
    let path = root.join("streams/v1/c:download.json");
    let mut document: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for product in document["products"].as_object_mut().unwrap().values_mut() {
        for item in product["versions"]["1"]["items"].as_object_mut().unwrap().values_mut() {
            let item = item.as_object_mut().unwrap();
            let content = std::fs::read(root.join(item["path"].as_str().unwrap())).unwrap();
            item.remove("sha256");
            change(item, &content);
        }
    }
    std::fs::write(&path, document.to_string()).unwrap();
    let listing = crate::publish::Listing::AsIs;
    crate::publish::sign_unverified_tree(root, &KEY, listing, at(0)).unwrap();
}

#[tokio::test]
async fn content_of_which_only_the_sha512_is_known_is_mirrored() {
    use crate::digest::Sha512;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    with_digests(from.path(), |item, content| {
        item.insert("sha512".to_owned(), Sha512::of(content).to_string().into());
    });
    let mut mirror = Mirror::open(to.path()).await.unwrap();
    let options = MirrorOptions::default();
    let transport = || Arc::new(FileTransport);
    let outcome =
        mirror.sync(source(from.path()), transport(), &options, &(), at(1)).await.unwrap();
    assert_eq!((outcome.added, outcome.skipped), (2, 0));
    assert_eq!(paths(to.path()), paths(from.path()));
    assert!(mirror.check(Depth::Contents).await.unwrap().is_empty());
    let names: BTreeSet<Sha256> = mirror.inventory().files().map(|held| held.sha256).collect();
    assert!(names.contains(&Sha256::of(b"kernel amd64 1")) && names.len() == 3);
    let again = mirror.sync(source(from.path()), transport(), &options, &(), at(2)).await.unwrap();
    assert_eq!((again.added, again.bytes, again.published), (0, 0, 0));
    std::fs::write(from.path().join("amd64/1/kernel"), "Kernel amd64 1").unwrap();
    let other = tempfile::tempdir().unwrap();
    let mut other = Mirror::open(other.path()).await.unwrap();
    let mut options = MirrorOptions::default();
    options.fetch.first_pause = Duration::from_millis(1);
    let refused = other.sync(source(from.path()), transport(), &options, &(), at(3)).await;
    assert!(matches!(refused, Err(MirrorError::Incomplete { failed }) if failed.len() == 1));
    assert!(tree(other.root()).is_empty());
}

#[tokio::test]
async fn content_of_which_only_the_md5_is_known_is_left_out_by_name() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    with_digests(from.path(), |item, content| {
        let digest = if content.starts_with(b"kernel") { "md5" } else { "sha256" };
        let value = match digest {
            "md5" => "0".repeat(32),
            _ => Sha256::of(content).to_string(),
        };
        item.insert(digest.to_owned(), value.into());
    });
    let mut mirror = Mirror::open(to.path()).await.unwrap();
    let options = MirrorOptions::default();
    let transport = Arc::new(FileTransport);
    let outcome = mirror.sync(source(from.path()), transport, &options, &(), at(1)).await.unwrap();
    assert_eq!(outcome.skipped, 2);
    assert!(outcome.problems[0].to_string().contains("`md5`"), "{:?}", outcome.problems);
    assert_eq!(paths(to.path()).len(), 2);
}

#[tokio::test]
async fn a_channel_that_was_not_asked_for_is_refused() {
    let from = tempfile::tempdir().unwrap();
    let item = NewItem::from_bytes("a/b", "x");
    let version = NewVersion::new("1").item("i", item);
    let product = NewProduct::new("p").tag("label", "candidate").version(version);
    Stream::new(at(0))
        .content(Content::new("c", "image-ids").product(product))
        .write(from.path(), Signing::Signed { key: &KEY, at: at(0) })
        .unwrap();
    for (label, fits) in [("stable", false), ("candidate", true)] {
        let to = tempfile::tempdir().unwrap();
        let mut mirror = Mirror::open(to.path()).await.unwrap();
        let policy = crate::trust::TrustPolicy {
            labels: Some(BTreeSet::from([label.to_owned()])),
            ..Default::default()
        };
        let source = source(from.path()).policy(policy);
        let transport = Arc::new(FileTransport);
        let synced = mirror.sync(source, transport, &MirrorOptions::default(), &(), at(1)).await;
        assert_eq!(synced.is_ok(), fits, "{synced:?}");
    }
}
