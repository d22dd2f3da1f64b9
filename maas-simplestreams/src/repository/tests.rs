#![allow(clippy::unwrap_used)]
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::limits::Limits;
use crate::publish::{Content, NewItem, NewProduct, NewVersion, Signing, Stream};
use crate::sign::SigningKey;
use crate::signature::Verifier;
use crate::signature::{Keyring, OpenPgp};
use crate::transport::{FileTransport, MemoryTransport, SourceUrl};
use crate::trust::TrustPolicy;

const NOW: Timestamp = Timestamp::from_seconds(1_780_000_000);
const CONTENT: &str = "com.example:stable:v3:download";

static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    SigningKey::generate("Throw-away", Timestamp::from_seconds(1_700_000_000)).unwrap()
});

fn verifier() -> Arc<dyn Verifier> {
    Arc::new(OpenPgp::new(Keyring::from_bytes(&KEY.public_keyring().unwrap()).unwrap()))
}

fn earlier(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(NOW.as_seconds() - seconds)
}

/// Two products in one products file, published at `updated`.
fn stream(updated: Timestamp, names: &[&str]) -> Stream {
    let mut content = Content::new(CONTENT, "image-ids");
    for name in names {
        let item = NewItem::from_bytes(format!("files/{name}"), name.as_bytes().to_vec());
        content =
            content.product(NewProduct::new(*name).version(NewVersion::new("1").item("i", item)));
    }
    Stream::new(updated).content(content)
}

fn published(updated: Timestamp, names: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let signing = Signing::Signed { key: &KEY, at: updated };
    stream(updated, names).write(directory.path(), signing).unwrap();
    directory
}

async fn open(
    directory: &tempfile::TempDir,
    memory: TrustMemory,
) -> Result<Repository, RepositoryError> {
    let url = SourceUrl::directory(directory.path()).unwrap();
    Repository::open(Source::verified(url, verifier()), Arc::new(FileTransport), memory, NOW).await
}

fn content_id() -> ContentId {
    ContentId::new(CONTENT).unwrap()
}

/// A mirror at `http://m/` whose documents are given and signed on the way in.
struct Mirror(MemoryTransport);

impl Mirror {
    fn new() -> Self {
        Self(MemoryTransport::new())
    }

    fn put(&self, path: &str, document: &Value) {
        let signed = KEY.clearsign(document.to_string().as_bytes(), earlier(60)).unwrap();
        self.put_raw(path, signed);
    }

    fn put_raw(&self, path: &str, bytes: impl Into<Bytes>) {
        self.0.put(format!("http://m/{path}").parse().unwrap(), bytes);
    }

    async fn open(&self) -> Result<Repository, RepositoryError> {
        self.open_with(TrustPolicy::default()).await
    }

    async fn open_with(&self, policy: TrustPolicy) -> Result<Repository, RepositoryError> {
        let source = Source::verified("http://m".parse().unwrap(), verifier()).policy(policy);
        Repository::open(source, Arc::new(self.0.clone()), TrustMemory::default(), NOW).await
    }
}

fn index(entries: Value) -> Value {
    json!({"format": "index:1.0", "updated": earlier(60).to_string(), "index": entries})
}

fn products(content_id: &str) -> Value {
    json!({"format": "products:1.0", "content_id": content_id, "datatype": "image-ids",
        "updated": earlier(60).to_string(), "products": {}})
}

fn entry(path: &str) -> Value {
    json!({"path": path, "format": "products:1.0", "datatype": "image-ids"})
}

#[tokio::test]
async fn a_published_stream_is_opened_verified() {
    let directory = published(earlier(60), &["a", "b"]);
    let mut repository = open(&directory, TrustMemory::default()).await.unwrap();
    assert_eq!(repository.entries().len(), 1);
    let document = repository.products(&content_id()).await.unwrap();
    let verified = document.content.verified().unwrap();
    assert_eq!(verified.products.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(document.path.as_str(), format!("streams/v1/{CONTENT}.sjson"));
    assert!(repository.alarms().is_empty(), "{:?}", repository.alarms());
}

#[tokio::test]
async fn the_detached_form_is_verified_too() {
    let directory = published(earlier(60), &["a"]);
    let url = format!("file://{}/streams/v1/index.json", directory.path().display());
    let source = Source::verified(url.parse().unwrap(), verifier());
    let mut repository =
        Repository::open(source.clone(), Arc::new(FileTransport), TrustMemory::default(), NOW)
            .await
            .unwrap();
    let document = repository.products(&content_id()).await.unwrap();
    assert!(document.content.verified().is_some() && document.detached_signature.is_some());
    std::fs::remove_file(directory.path().join("streams/v1/index.json.gpg")).unwrap();
    let refused =
        Repository::open(source, Arc::new(FileTransport), TrustMemory::default(), NOW).await;
    assert!(matches!(refused, Err(RepositoryError::Fetch { .. })));
}

#[tokio::test]
async fn a_products_file_can_be_the_start() {
    let directory = published(earlier(60), &["a"]);
    let url = format!("file://{}/streams/v1/{CONTENT}.sjson", directory.path().display());
    let source = Source::verified(url.parse().unwrap(), verifier());
    let mut repository =
        Repository::open(source, Arc::new(FileTransport), TrustMemory::default(), NOW)
            .await
            .unwrap();
    assert!(repository.products(&content_id()).await.is_ok());
}

#[tokio::test]
async fn an_unsigned_document_is_no_substitute() {
    let mirror = Mirror::new();
    mirror.put_raw("streams/v1/index.sjson", index(json!({})).to_string());
    assert!(matches!(mirror.open().await, Err(RepositoryError::Refused { .. })));
    let mirror = Mirror::new();
    mirror.put_raw("streams/v1/index.json", index(json!({})).to_string());
    assert!(matches!(mirror.open().await, Err(RepositoryError::Fetch { .. })));
}

#[tokio::test]
async fn skipping_verification_works_only_by_its_name() {
    let mirror = Mirror::new();
    mirror.put_raw(
        "streams/v1/index.json",
        index(json!({CONTENT: entry("streams/v1/p.json")})).to_string(),
    );
    mirror.put_raw("streams/v1/p.json", products(CONTENT).to_string());
    let source = Source::unverified("http://m/".parse().unwrap());
    let mut repository =
        Repository::open(source, Arc::new(mirror.0), TrustMemory::default(), NOW).await.unwrap();
    let document = repository.products(&content_id()).await.unwrap();
    assert!(document.content.verified().is_none());
    assert!(document.content.signers().is_empty());
}

#[tokio::test]
async fn a_products_file_under_another_name_is_refused() {
    let mirror = Mirror::new();
    mirror.put("streams/v1/index.sjson", &index(json!({CONTENT: entry("streams/v1/p.sjson")})));
    mirror.put("streams/v1/p.sjson", &products("com.example:candidate:v3:download"));
    let refused = mirror.open().await.unwrap().products(&content_id()).await.unwrap_err();
    assert!(matches!(
        refused,
        RepositoryError::Distrusted { cause: Distrust::WrongContentId { .. }, .. }
    ));
}

#[tokio::test]
async fn another_datatype_or_format_is_refused() {
    let mirror = Mirror::new();
    mirror.put("streams/v1/index.sjson", &index(json!({CONTENT: entry("streams/v1/p.sjson")})));
    let mut document = products(CONTENT);
    document["datatype"] = json!("image-downloads");
    mirror.put("streams/v1/p.sjson", &document);
    let refused = mirror.open().await.unwrap().products(&content_id()).await.unwrap_err();
    assert!(matches!(
        refused,
        RepositoryError::Distrusted { cause: Distrust::WrongDatatype { .. }, .. }
    ));
    document["format"] = json!("products:2.0");
    mirror.put("streams/v1/p.sjson", &document);
    let refused = mirror.open().await.unwrap().products(&content_id()).await.unwrap_err();
    assert!(matches!(
        refused,
        RepositoryError::Document { cause: DocumentError::Format { .. }, .. }
    ));
}

#[tokio::test]
async fn only_allowed_content_ids_are_accepted() {
    let mirror = Mirror::new();
    mirror.put("streams/v1/index.sjson", &index(json!({CONTENT: entry("streams/v1/p.sjson")})));
    mirror.put("streams/v1/p.sjson", &products(CONTENT));
    let policy = TrustPolicy { content_ids: Some(BTreeSet::new()), ..TrustPolicy::default() };
    let refused =
        mirror.open_with(policy).await.unwrap().products(&content_id()).await.unwrap_err();
    assert!(matches!(
        refused,
        RepositoryError::Distrusted { cause: Distrust::ContentIdNotAllowed { .. }, .. }
    ));
}

#[tokio::test]
async fn an_older_stream_than_one_seen_before_is_refused() {
    let newer = published(earlier(60), &["a"]);
    let older = published(earlier(3600), &["a"]);
    let root = tempfile::tempdir().unwrap();
    let link = root.path().join("mirror");
    std::os::unix::fs::symlink(newer.path(), &link).unwrap();
    let url = SourceUrl::directory(&link).unwrap();
    let source = Source::verified(url, verifier());
    let mut repository =
        Repository::open(source.clone(), Arc::new(FileTransport), TrustMemory::default(), NOW)
            .await
            .unwrap();
    repository.products(&content_id()).await.unwrap();
    let memory = repository.into_memory();
    let memory: TrustMemory =
        serde_json::from_str(&serde_json::to_string(&memory).unwrap()).unwrap();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(older.path(), &link).unwrap();
    let refused =
        Repository::open(source.clone(), Arc::new(FileTransport), memory.clone(), NOW).await;
    assert!(matches!(
        refused,
        Err(RepositoryError::Distrusted { cause: Distrust::RolledBack { .. }, .. })
    ));
    let policy = TrustPolicy { rollback: crate::trust::Rollback::Allow, ..TrustPolicy::default() };
    let allowed =
        Repository::open(source.policy(policy), Arc::new(FileTransport), memory, NOW).await;
    assert!(allowed.is_ok());
}

#[tokio::test]
async fn a_stale_stream_raises_an_alarm() {
    let directory = published(earlier(30 * 86_400), &["a"]);
    let repository = open(&directory, TrustMemory::default()).await.unwrap();
    assert!(matches!(repository.alarms(), [Alarm::Stale { .. }]));
}

#[tokio::test]
async fn nested_indexes_are_read_and_loops_end() {
    let mirror = Mirror::new();
    let nested = |path: &str| json!({"path": path, "format": "index:1.0"});
    mirror.put("streams/v1/index.sjson", &index(json!({"n": nested("streams/v1/n.sjson")})));
    mirror.put(
        "streams/v1/n.sjson",
        &index(json!({
        "loop": nested("streams/v1/index.sjson"), CONTENT: entry("streams/v1/p.sjson")})),
    );
    mirror.put("streams/v1/p.sjson", &products(CONTENT));
    let mut repository = mirror.open().await.unwrap();
    assert_eq!(repository.indexes().count(), 2);
    assert!(repository.products(&content_id()).await.is_ok());
}

#[tokio::test]
async fn indexes_that_lead_ever_deeper_are_refused() {
    let mirror = Mirror::new();
    let nested = |path: String| json!({"path": path, "format": "index:1.0"});
    mirror.put("streams/v1/index.sjson", &index(json!({"n": nested("streams/v1/1.sjson".into())})));
    for depth in 1..6 {
        let next = nested(format!("streams/v1/{}.sjson", depth + 1));
        mirror.put(&format!("streams/v1/{depth}.sjson"), &index(json!({"n": next})));
    }
    assert!(matches!(
        mirror.open().await,
        Err(RepositoryError::Document {
            cause: DocumentError::Limit(LimitExceeded::IndexDepth { .. }),
            ..
        })
    ));
}

#[tokio::test]
async fn a_document_beyond_its_limit_is_not_read_to_the_end() {
    let mirror = Mirror::new();
    mirror.put("streams/v1/index.sjson", &index(json!({})));
    let limits = Limits { index_bytes: 100, ..Limits::default() };
    let source = Source::verified("http://m".parse().unwrap(), verifier()).limits(limits);
    let refused = Repository::open(source, Arc::new(mirror.0), TrustMemory::default(), NOW).await;
    assert!(matches!(
        refused,
        Err(RepositoryError::Fetch { cause, .. }) if matches!(cause.kind, TransportErrorKind::TooLong(_))
    ));
}

#[tokio::test]
async fn a_difference_between_index_and_products_raises_an_alarm() {
    let mirror = Mirror::new();
    let mut listed = entry("streams/v1/p.sjson");
    listed["products"] = json!(["a", "b"]);
    mirror.put("streams/v1/index.sjson", &index(json!({CONTENT: listed})));
    mirror.put("streams/v1/p.sjson", &products(CONTENT));
    let mut repository = mirror.open().await.unwrap();
    repository.products(&content_id()).await.unwrap();
    assert!(matches!(repository.alarms(), [Alarm::ProductsDiffer { count: 2, .. }]));
}
