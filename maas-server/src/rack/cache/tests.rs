#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use http::StatusCode;
use http_body_util::BodyExt;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

/// An upstream that sends pieces with pauses, breaks off where it is told to, and counts.
#[derive(Debug, Default)]
struct Source {
    content: Vec<u8>,
    transfers: AtomicUsize,
    pause: Duration,
    /// How many pieces each of the next transfers sends before it breaks off.
    break_off: Mutex<Vec<usize>>,
    lies: bool,
}

const PIECE: usize = 64 * 1024;

impl Upstream for Source {
    fn fetch<'a>(&'a self, path: &'a str, from: u64) -> BoxFuture<'a, Fetched> {
        assert_eq!(path, "there");
        self.transfers.fetch_add(1, Ordering::SeqCst);
        let mut rest = self.content[usize::try_from(from).unwrap()..].to_vec();
        if self.lies && !rest.is_empty() {
            rest[0] ^= 1;
        }
        let pieces: Vec<Bytes> = rest.chunks(PIECE).map(Bytes::copy_from_slice).collect();
        let most = self.break_off.lock().unwrap().pop();
        let broken = most.filter(|most| *most < pieces.len());
        let pause = self.pause;
        Box::pin(async move {
            let good = stream::iter(pieces.into_iter().take(most.unwrap_or(usize::MAX))).then(
                move |piece| async move {
                    tokio::time::sleep(pause).await;
                    Ok(piece)
                },
            );
            let end = stream::iter(broken.map(|_| Err(BoxError::from("cable pulled"))));
            Ok(good.chain(end).boxed())
        })
    }
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from((i * 31 + i / 255) % 251).unwrap()).collect()
}

fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Bench {
    dir: tempfile::TempDir,
    source: Arc<Source>,
    wanted: Wanted,
    cache: Arc<Cache>,
}

impl Bench {
    fn new(source: Source) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (sha256, size) = (hash(&source.content), source.content.len() as u64);
        let wanted = Wanted { sha256, size, path: "there".to_owned() };
        let source = Arc::new(source);
        let cache = Cache::open(dir.path(), 1 << 30, Arc::clone(&source) as _).unwrap();
        let cache = cache.with_first_pause(Duration::from_millis(1));
        Self { dir, source, wanted, cache: Arc::new(cache) }
    }

    /// What a client with this `Range` gets: the status and the bytes, or where it was cut.
    async fn get(&self, range: Option<&str>) -> (StatusCode, Result<Bytes, String>) {
        let mut headers = HeaderMap::new();
        if let Some(range) = range {
            headers.insert(http::header::RANGE, range.parse().unwrap());
        }
        let entry = self.cache.find(&self.wanted).await.unwrap();
        let response = entry.reply(&headers).response_to(&http::Method::GET);
        let status = response.status();
        let promised: usize =
            response.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let body = response.into_body().collect().await;
        let bytes =
            body.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string());
        if let Ok(bytes) = &bytes {
            assert_eq!(bytes.len(), promised, "a short body without an error");
        }
        (status, bytes)
    }

    fn files(&self) -> Vec<String> {
        let list = |folder: &str| {
            let entries = std::fs::read_dir(self.dir.path().join(folder)).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let (mut whole, part): (Vec<String>, Vec<String>) = (list("sha256"), list("part"));
        whole.extend(part.into_iter().map(|name| format!("part/{name}")));
        whole
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_cold_clients_cause_one_transfer_and_all_get_the_file() {
    let source = Source {
        content: content(40 * PIECE + 17),
        pause: Duration::from_millis(5),
        ..Source::default()
    };
    let bench = Arc::new(Bench::new(source));
    let clients = (0..50).map(|_| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move { bench.get(None).await })
    });
    for client in clients.collect::<Vec<_>>() {
        let (status, bytes) = client.await.unwrap();
        assert_eq!(status, StatusCode::OK);
        assert!(bytes.unwrap() == bench.source.content);
    }
    assert_eq!(bench.source.transfers.load(Ordering::SeqCst), 1);
    assert_eq!(bench.files(), std::slice::from_ref(&bench.wanted.sha256));
    assert!(bench.get(None).await.1.unwrap() == bench.source.content, "and once more");
    assert_eq!(bench.source.transfers.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_reach_the_client_before_the_transfer_ends_and_ranges_are_served_while_it_grows() {
    let pause = Duration::from_millis(50);
    let bench = Bench::new(Source { content: content(20 * PIECE), pause, ..Source::default() });
    let (status, bytes) = bench.get(Some("bytes=0-9")).await;
    assert_eq!((status, bytes.unwrap().len()), (StatusCode::PARTIAL_CONTENT, 10));
    assert!(!bench.cache.has(&bench.wanted.sha256), "the rest is still on its way");
    let (_, tail) = bench.get(Some("bytes=-70000")).await;
    assert!(tail.unwrap() == bench.source.content[20 * PIECE - 70_000..]);
    assert_eq!(bench.source.transfers.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_breaks_off_is_taken_up_where_it_was() {
    let source = Source { content: content(30 * PIECE), ..Source::default() };
    *source.break_off.lock().unwrap() = vec![7, 11];
    let bench = Bench::new(source);
    assert!(bench.get(None).await.1.unwrap() == bench.source.content);
    assert_eq!(bench.source.transfers.load(Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_the_wrong_hash_is_never_seen_whole_nor_kept() {
    let bench = Bench::new(Source { content: content(5 * PIECE), lies: true, ..Source::default() });
    let (_, bytes) = bench.get(None).await;
    assert!(bytes.is_err(), "{bytes:?}");
    let whole = bench.cache.whole(&bench.wanted).await;
    assert!(matches!(whole, Err(CacheError::Upstream { .. })), "{whole:?}");
    assert_eq!(bench.files(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_gone_cuts_the_client_off_and_the_next_one_tries_again() {
    let source = Source { content: content(4 * PIECE), ..Source::default() };
    *source.break_off.lock().unwrap() = vec![0; 5];
    let bench = Bench::new(source);
    assert!(bench.get(None).await.1.is_err());
    assert!(bench.get(None).await.1.unwrap() == bench.source.content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_no_bytes_is_a_file() {
    let bench = Bench::new(Source::default());
    let (status, bytes) = bench.get(None).await;
    assert_eq!((status, bytes.unwrap().len()), (StatusCode::OK, 0));
    bench.cache.whole(&bench.wanted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_fetched_again_and_a_half_one_forgotten() {
    let bench = Bench::new(Source { content: content(3 * PIECE), ..Source::default() });
    bench.cache.whole(&bench.wanted).await.unwrap();
    let stored = bench.dir.path().join("sha256").join(&bench.wanted.sha256);
    std::fs::write(&stored, b"short").unwrap();
    assert!(bench.get(None).await.1.unwrap() == bench.source.content);
    std::fs::write(bench.dir.path().join("part/x"), b"half").unwrap();
    let reopened = Cache::open(bench.dir.path(), 1 << 30, Arc::clone(&bench.source) as _).unwrap();
    assert!(reopened.has(&bench.wanted.sha256));
    assert_eq!(bench.files(), std::slice::from_ref(&bench.wanted.sha256));
    let tiny = Cache::open(bench.dir.path(), 10, Arc::clone(&bench.source) as _).unwrap();
    assert_eq!((tiny.size(), bench.files().len()), (0, 0), "the limit holds from the start");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whatever_the_upstream_does_a_client_gets_all_of_the_right_bytes_or_an_error(
        length in 0_usize..300_000,
        break_off in proptest::collection::vec(0_usize..6, 0..8),
        lies in prop::bool::weighted(0.2),
        range in proptest::option::of((0_u64..300_000, 0_u64..300_000)),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let source = Source { content: content(length), lies, ..Source::default() };
            *source.break_off.lock().unwrap() = break_off;
            let bench = Bench::new(source);
            let asked = range.map(|(from, to)| format!("bytes={from}-{to}"));
            let (status, bytes) = bench.get(asked.as_deref()).await;
            let whole = &bench.source.content;
            let expected: &[u8] = match (status, range) {
                (StatusCode::OK, _) => whole,
                (StatusCode::PARTIAL_CONTENT, Some((from, to))) => {
                    let from = usize::try_from(from).unwrap();
                    &whole[from..whole.len().min(usize::try_from(to).unwrap() + 1)]
                }
                _ => return Ok(()),
            };
            if let Ok(bytes) = bytes {
                // A part is shown before the whole is known to be right.
                prop_assert!(bytes == expected || (lies && status == StatusCode::PARTIAL_CONTENT));
            }
            bench.cache.whole(&bench.wanted).await.ok();
            for file in bench.files() {
                let stored = std::fs::read(bench.dir.path().join("sha256").join(&file)).unwrap();
                prop_assert_eq!(hash(&stored), file);
            }
            Ok(())
        })?;
    }
}
