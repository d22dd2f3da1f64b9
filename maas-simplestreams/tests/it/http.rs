//! Metadata and files over HTTP, from friendly servers and from hostile ones.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use maas_simplestreams::date::Timestamp;
use maas_simplestreams::digest::Sha256;
use maas_simplestreams::fetch::{FetchError, FetchOptions, Fetched, fetch};
use maas_simplestreams::path::ContentId;
use maas_simplestreams::publish::{Content, NewItem, NewProduct, NewVersion, Signing, Stream};
use maas_simplestreams::repository::{Repository, RepositoryError, Source};
use maas_simplestreams::sign::SigningKey;
use maas_simplestreams::signature::{Keyring, OpenPgp};
use maas_simplestreams::store::BlobStore;
use maas_simplestreams::transport::{
    HttpOptions, Request, Standard, Transport, TransportErrorKind,
};
use maas_simplestreams::trust::TrustMemory;

use crate::server::{Asked, Reply, Server};

const NOW: Timestamp = Timestamp::from_seconds(1_780_000_000);

fn transport() -> Arc<dyn Transport> {
    let mut options = HttpOptions::default();
    options.idle_timeout = Duration::from_millis(500);
    Standard::shared(&options).unwrap()
}

fn options() -> FetchOptions {
    let mut options = FetchOptions::default();
    options.first_pause = Duration::from_millis(1);
    options.idle_timeout = Duration::from_millis(500);
    options
}

fn content() -> Vec<u8> {
    (0..2_000_000u32).map(|n| u8::try_from(n % 253).unwrap()).collect()
}

/// Serves a directory with ranges.
fn serve_directory(root: std::path::PathBuf) -> Server {
    Server::start(move |asked: &Asked, reply: &mut Reply| {
        match std::fs::read(root.join(asked.path.trim_start_matches('/'))) {
            Ok(body) => reply.answer("200 OK", "", &body),
            Err(_) => reply.answer("404 Not Found", "", b"nothing here"),
        }
    })
}

async fn fetch_from(
    server: &Server,
) -> (Result<Fetched, FetchError>, BlobStore, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(directory.path()).await.unwrap();
    let content = content();
    let urls = [format!("{}file", server.url).parse().unwrap()];
    let (digest, size) = (Sha256::of(&content), content.len() as u64);
    let answer = fetch(&*transport(), &store, digest, size, &urls, &options(), &()).await;
    (answer, store, directory)
}

#[tokio::test]
async fn a_stream_is_opened_verified_and_its_files_are_fetched() {
    let root = tempfile::tempdir().unwrap();
    let key = SigningKey::generate("Throw-away", NOW).unwrap();
    let item = NewItem::from_bytes("files/a b:c", content());
    let product = NewProduct::new("p").version(NewVersion::new("1").item("i", item));
    Stream::new(NOW)
        .content(Content::new("c:d", "image-ids").product(product))
        .write(root.path(), Signing::Signed { key: &key, at: NOW })
        .unwrap();
    let encoded = root.path().join("files/a%20b:c");
    std::fs::rename(root.path().join("files/a b:c"), encoded).unwrap();
    let server = serve_directory(root.path().to_path_buf());
    let verifier = OpenPgp::new(Keyring::from_bytes(&key.public_keyring().unwrap()).unwrap());
    let source = Source::verified(server.url.parse().unwrap(), Arc::new(verifier));
    let mut repository =
        Repository::open(source, transport(), TrustMemory::default(), NOW).await.unwrap();
    let document = repository.products(&ContentId::new("c:d").unwrap()).await.unwrap();
    let products = document.content.verified().unwrap();
    let file = products.items().next().unwrap().file().unwrap();
    let store_root = tempfile::tempdir().unwrap();
    let store = BlobStore::open(store_root.path()).await.unwrap();
    let url = repository.source().url().join(&file.path);
    let digest = Sha256::of(&content());
    let fetched = fetch(&*transport(), &store, digest, file.size, &[url], &options(), &()).await;
    assert!(matches!(fetched, Ok(Fetched::Transferred { bytes: 2_000_000 })));
    assert_eq!(
        server.paths(),
        ["/streams/v1/index.sjson", "/streams/v1/c:d.sjson", "/files/a%20b:c"],
        "each document is fetched once"
    );
}

#[tokio::test]
async fn an_endless_index_is_cut_at_its_limit() {
    let server = Server::start(|_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"a\":\"");
        let block = vec![b'x'; 1 << 16];
        while reply.raw(&block) {}
    });
    let source = Source::unverified(server.url.parse().unwrap());
    let refused = Repository::open(source, transport(), TrustMemory::default(), NOW).await;
    assert!(matches!(refused, Err(RepositoryError::Fetch { cause, .. })
        if matches!(cause.kind, TransportErrorKind::TooLong(_))));
    // The limit is 4 MiB; what the sockets buffer comes on top.
    assert!(server.sent.load(Ordering::Relaxed) < 16 << 20);
}

#[tokio::test]
async fn the_body_of_an_error_is_no_document() {
    let server = Server::start(|_, reply| {
        reply.answer("500 Oops", "", br#"{"format":"index:1.0","index":{}}"#);
    });
    let source = Source::unverified(server.url.parse().unwrap());
    let refused = Repository::open(source, transport(), TrustMemory::default(), NOW).await;
    assert!(matches!(refused, Err(RepositoryError::Fetch { cause, .. })
        if cause.kind == TransportErrorKind::Status(500)));
    assert_eq!(server.paths().len(), 4);
}

#[tokio::test]
async fn truncated_files_are_resumed() {
    let server = Server::start(|asked, reply| {
        let content = content();
        let start = asked.range_start();
        let rest = &content[start..];
        let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{}\r\nConnection: close\r\n\r\n",
            rest.len(),
            content.len() - 1,
            content.len()
        );
        reply.raw(head.as_bytes());
        // At most 700,000 bytes per connection.
        reply.raw(&rest[..rest.len().min(700_000)]);
    });
    let (answer, store, _directory) = fetch_from(&server).await;
    assert!(matches!(answer, Ok(Fetched::Transferred { bytes: 2_000_000 })), "{answer:?}");
    assert_eq!(server.paths().len(), 3);
    assert_eq!(store.check(&Sha256::of(&content())).await.unwrap(), Some(true));
}

#[tokio::test]
async fn a_server_that_ignores_ranges_does_no_harm() {
    let cut = std::sync::atomic::AtomicBool::new(true);
    let server = Server::start(move |_, reply| {
        let content = content();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            content.len()
        );
        reply.raw(head.as_bytes());
        let end = if cut.swap(false, Ordering::Relaxed) { 600_000 } else { content.len() };
        reply.raw(&content[..end]);
    });
    let (answer, store, _directory) = fetch_from(&server).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(store.check(&Sha256::of(&content())).await.unwrap(), Some(true));
}

#[tokio::test]
async fn an_endless_file_is_cut_at_its_size() {
    let server = Server::start(|_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        let block = vec![0; 1 << 16];
        while reply.raw(&block) {}
    });
    let (answer, store, directory) = fetch_from(&server).await;
    assert!(matches!(answer, Err(FetchError::Store { .. })), "{answer:?}");
    assert!(store.list().await.unwrap().is_empty());
    for entry in std::fs::read_dir(directory.path().join("partial")).unwrap() {
        assert!(entry.unwrap().metadata().unwrap().len() <= 2_000_000);
    }
}

#[tokio::test]
async fn a_server_that_sends_nothing_is_given_up() {
    let server = Server::start(|_, _| std::thread::sleep(Duration::from_secs(30)));
    let start = Instant::now();
    let (answer, _store, _directory) = fetch_from(&server).await;
    assert!(matches!(answer, Err(FetchError::Transport { cause, .. })
        if cause.kind == TransportErrorKind::TimedOut));
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_file_that_changes_between_attempts_is_refused() {
    let server = Server::start(|asked, reply| {
        let mut content = content();
        let start = asked.range_start();
        if start > 0 {
            content.iter_mut().for_each(|byte| *byte ^= 1);
        }
        let rest = &content[start..];
        let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {start}-1999999/2000000\r\nConnection: close\r\n\r\n",
            rest.len()
        );
        reply.raw(head.as_bytes());
        reply.raw(&rest[..rest.len().min(1_200_000)]);
    });
    let (answer, store, _directory) = fetch_from(&server).await;
    assert!(answer.is_err());
    assert!(store.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn redirects_are_followed_only_where_they_may_lead() {
    let server = Server::start(|asked, reply| {
        let to = match asked.path.as_str() {
            "/good" => "/there",
            "/file" => "file:///etc/passwd",
            "/loop" => "/loop",
            "/there" => return reply.answer("200 OK", "", b"content"),
            _ => return reply.answer("404 Not Found", "", b""),
        };
        reply.answer("302 Found", &format!("Location: {to}\r\n"), b"");
    });
    let transport = transport();
    let get = |path: &str| {
        let url: url::Url = format!("{}{path}", server.url).parse().unwrap();
        let transport = Arc::clone(&transport);
        async move { transport.fetch(Request::new(url.clone())).await?.read_to_end(&url, 100).await }
    };
    assert_eq!(&get("good").await.unwrap()[..], b"content");
    for path in ["file", "loop"] {
        let refused = get(path).await.unwrap_err();
        assert!(matches!(refused.kind, TransportErrorKind::Redirect), "{path}: {refused:?}");
    }
    assert!(server.paths().len() < 12);
}

#[tokio::test]
async fn bodies_are_never_decompressed() {
    let server = Server::start(|_, reply| {
        reply.answer("200 OK", "Content-Encoding: gzip\r\n", b"\x1f\x8b not really");
    });
    let url: url::Url = server.url.parse().unwrap();
    let response = transport().fetch(Request::new(url.clone())).await.unwrap();
    assert_eq!(&response.read_to_end(&url, 100).await.unwrap()[..], b"\x1f\x8b not really");
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked[0].header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn credentials_in_a_url_appear_in_no_error() {
    let url: url::Url = "http://user:geheim@127.0.0.1:1/x".parse().unwrap();
    let error = transport().fetch(Request::new(url)).await.unwrap_err();
    let mut text = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(&error);
    while let Some(link) = cause {
        text += &format!(" {link}");
        cause = link.source();
    }
    assert!(!text.contains("geheim"), "{text}");
}

#[tokio::test]
async fn unchanged_documents_are_not_sent_again_and_no_file_is() {
    use maas_simplestreams::mirror::{Mirror, MirrorOptions};
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = SigningKey::generate("Throw-away", NOW).unwrap();
    let item = NewItem::from_bytes("files/a", content());
    let product = NewProduct::new("p").version(NewVersion::new("1").item("i", item));
    Stream::new(NOW)
        .content(Content::new("c:d", "image-ids").product(product))
        .write(from.path(), Signing::Signed { key: &key, at: NOW })
        .unwrap();
    let root = from.path().to_path_buf();
    let server = Server::start(move |asked, reply| {
        let body = std::fs::read(root.join(asked.path.trim_start_matches('/'))).unwrap();
        let tag = format!("\"{}\"", Sha256::of(&body));
        if asked.header("if-none-match") == Some(&tag) {
            return reply.answer("304 Not Modified", "", b"");
        }
        reply.answer("200 OK", &format!("ETag: {tag}\r\n"), &body);
    });
    let verifier =
        Arc::new(OpenPgp::new(Keyring::from_bytes(&key.public_keyring().unwrap()).unwrap()));
    let mut mirror = Mirror::open(to.path()).await.unwrap();
    let mut sent = Vec::new();
    for _ in 0..2 {
        let source = Source::verified(server.url.parse().unwrap(), verifier.clone());
        let before = server.sent.load(Ordering::Relaxed);
        mirror.sync(source, transport(), &MirrorOptions::default(), &(), NOW).await.unwrap();
        sent.push(server.sent.load(Ordering::Relaxed) - before);
    }
    assert!(sent[0] > 2_000_000 && sent[1] < 300, "{sent:?}");
    assert_eq!(server.paths().len(), 5);
}

#[tokio::test]
async fn what_is_published_is_what_was_verified_even_when_the_source_changes_its_mind() {
    use maas_simplestreams::mirror::{Mirror, MirrorOptions};
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = SigningKey::generate("Throw-away", NOW).unwrap();
    Stream::new(NOW)
        .content(Content::new("c:d", "image-ids"))
        .write(from.path(), Signing::Signed { key: &key, at: NOW })
        .unwrap();
    let root = from.path().to_path_buf();
    let seen = std::sync::Mutex::new(std::collections::BTreeSet::new());
    let server = Server::start(move |asked, reply| {
        if seen.lock().unwrap().insert(asked.path.clone()) {
            let body = std::fs::read(root.join(asked.path.trim_start_matches('/'))).unwrap();
            reply.answer("200 OK", "", &body);
        } else {
            reply.answer("200 OK", "", b"unsigned garbage");
        }
    });
    let keyring = Keyring::from_bytes(&key.public_keyring().unwrap()).unwrap();
    let source = Source::verified(server.url.parse().unwrap(), Arc::new(OpenPgp::new(keyring)));
    let mut mirror = Mirror::open(to.path()).await.unwrap();
    mirror.sync(source, transport(), &MirrorOptions::default(), &(), NOW).await.unwrap();
    for name in ["streams/v1/index.sjson", "streams/v1/c:d.sjson"] {
        let read = |root: &std::path::Path| std::fs::read(root.join(name)).unwrap();
        assert_eq!(read(to.path()), read(from.path()));
    }
}

#[tokio::test]
async fn a_rate_limit_slows_transfers_down() {
    let server = Server::start(|_, reply| reply.answer("200 OK", "", &content()));
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(directory.path()).await.unwrap();
    let content = content();
    let urls = [format!("{}file", server.url).parse().unwrap()];
    let mut options = options();
    let limit = std::num::NonZeroU64::new(4_000_000).unwrap();
    options.rate_limit = Some(maas_simplestreams::fetch::RateLimit::new(limit));
    let start = Instant::now();
    fetch(&*transport(), &store, Sha256::of(&content), 2_000_000, &urls, &options, &())
        .await
        .unwrap();
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_server_that_drips_is_given_up() {
    let server = Server::start(|_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\nConnection: close\r\n\r\n");
        while reply.raw(b"x") {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(directory.path()).await.unwrap();
    let urls = [format!("{}file", server.url).parse().unwrap()];
    let mut options = options();
    options.rate_window = Duration::from_secs(1);
    options.attempts = 2;
    let start = Instant::now();
    let answer =
        fetch(&*transport(), &store, Sha256::of(b""), 2_000_000, &urls, &options, &()).await;
    assert!(matches!(answer, Err(FetchError::Transport { cause, .. })
        if cause.kind == TransportErrorKind::TimedOut));
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn a_proxy_is_used_but_for_the_hosts_that_need_none() {
    let proxy = Server::start(|_, reply| reply.answer("200 OK", "", b"by proxy"));
    let direct = Server::start(|_, reply| reply.answer("200 OK", "", b"directly"));
    let get = |options: HttpOptions, url: String| async move {
        let url: url::Url = url.parse().unwrap();
        let transport = Standard::shared(&options).unwrap();
        let response = transport.fetch(Request::new(url.clone())).await?;
        response.read_to_end(&url, 100).await
    };
    let mut options = HttpOptions::default();
    options.proxy = Some(proxy.url.parse().unwrap());
    options.no_proxy = Some("127.0.0.1,.internal".to_owned());
    let by_proxy = get(options.clone(), "http://mirror.example/file".to_owned()).await.unwrap();
    assert_eq!(&by_proxy[..], b"by proxy");
    assert_eq!(proxy.paths(), ["http://mirror.example/file"]);
    let directly = get(options.clone(), format!("{}file", direct.url)).await.unwrap();
    assert_eq!(&directly[..], b"directly");
    options.no_proxy = None;
    let by_proxy = get(options.clone(), format!("{}file", direct.url)).await.unwrap();
    assert_eq!(&by_proxy[..], b"by proxy");
    options.proxy_use = maas_simplestreams::transport::ProxyUse::Never;
    let directly = get(options, format!("{}file", direct.url)).await.unwrap();
    assert_eq!(&directly[..], b"directly");
    assert_eq!(proxy.paths().len(), 2);
}
