#![allow(clippy::unwrap_used)]
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::fetch::{FetchError, FetchOptions, Fetched, fetch};
use crate::store::{BlobStore, DiskWork, StoreError};
use crate::transport::{Body, Transport};

const SIZE: usize = 20 << 20;
const CHUNK: usize = 64 << 10;

fn content() -> Bytes {
    (0..SIZE).map(|n| u8::try_from((n ^ (n >> 9)) % 251).unwrap()).collect::<Vec<_>>().into()
}

/// A server over one file.
#[derive(Debug)]
struct Serving {
    content: Bytes,
    /// Whether it honours ranges.
    ranges: bool,
    /// Most answers at once; more get status 503.
    most: usize,
    /// Bytes after which every answer breaks off.
    breaks_after: usize,
    /// The first so many answers are of other bytes.
    wrong: AtomicUsize,
    active: std::sync::Arc<AtomicUsize>,
    asked: Mutex<Vec<Range<u64>>>,
    sent: std::sync::Arc<AtomicU64>,
    /// How the other end writes.
    disk_work: DiskWork,
}

impl Serving {
    fn new() -> Self {
        Self {
            content: content(),
            ranges: true,
            most: 100,
            breaks_after: usize::MAX,
            wrong: AtomicUsize::new(0),
            active: std::sync::Arc::default(),
            asked: Mutex::default(),
            sent: std::sync::Arc::default(),
            disk_work: DiskWork::Aside,
        }
    }
}

struct Answer {
    rest: Bytes,
    left: usize,
    url: Url,
    active: std::sync::Arc<AtomicUsize>,
    sent: std::sync::Arc<AtomicU64>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Body for Answer {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(async move {
            // Lets the other streams take their turn, and time pass.
            tokio::time::sleep(Duration::from_micros(50)).await;
            if self.rest.is_empty() {
                return Ok(None);
            }
            if self.left == 0 {
                return Err(TransportError::new(&self.url, TransportErrorKind::Connection));
            }
            let chunk = self.rest.split_to(CHUNK.min(self.rest.len()).min(self.left));
            self.left -= chunk.len();
            self.sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            Ok(Some(chunk))
        })
    }
}

impl Transport for Serving {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let size = SIZE as u64;
            let asked = request.offset..request.end.unwrap_or(size).min(size);
            self.asked.lock().unwrap().push(asked.clone());
            if self.active.load(Ordering::Relaxed) >= self.most {
                let kind = TransportErrorKind::Status(503);
                return Err(TransportError::new(&request.url, kind));
            }
            self.active.fetch_add(1, Ordering::Relaxed);
            let served = if self.ranges { asked } else { 0..size };
            let part = |at: u64| usize::try_from(at).unwrap();
            let mut rest = self.content.slice(part(served.start)..part(served.end));
            let is_wrong =
                self.wrong.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            if is_wrong.is_ok() {
                rest = vec![1; rest.len()].into();
            }
            let length = Some(rest.len() as u64);
            let body = Answer {
                rest,
                left: self.breaks_after,
                url: request.url,
                active: self.active.clone(),
                sent: self.sent.clone(),
            };
            Ok(Response::new(served.start, length, None, Box::new(body)))
        })
    }
}

fn options() -> FetchOptions {
    FetchOptions {
        first_pause: Duration::from_millis(1),
        ranges_from: 1 << 20,
        ..FetchOptions::default()
    }
}

async fn run(server: &Serving, root: &std::path::Path) -> Result<Fetched, FetchError> {
    let store = BlobStore::open(root).await.unwrap();
    let urls = ["http://one/x".parse().unwrap()];
    let digest = Sha256::of(&content());
    let options = FetchOptions { disk_work: server.disk_work, ..options() };
    let answer = fetch(server, &store, digest, SIZE as u64, &urls, &options, &()).await;
    if answer.is_ok() {
        assert_eq!(store.check(&digest).await.unwrap(), Some(true));
        let left = std::fs::read_dir(root.join("partial")).unwrap().count();
        assert_eq!(left, 0, "nothing is left behind");
    }
    answer
}

#[tokio::test]
async fn ranges_come_at_once_and_no_byte_twice() {
    let (server, root) = (Serving::new(), tempfile::tempdir().unwrap());
    let fetched = run(&server, root.path()).await.unwrap();
    assert_eq!(fetched, Fetched::Transferred { bytes: SIZE as u64 });
    let mut asked = server.asked.lock().unwrap().clone();
    asked.sort_unstable_by_key(|range| range.start);
    assert!(asked.len() >= 4, "{asked:?}");
    assert!(asked.windows(2).all(|pair| pair[0].end == pair[1].start), "{asked:?}");
}

#[tokio::test]
async fn a_server_without_ranges_is_asked_once() {
    let server = Serving { ranges: false, ..Serving::new() };
    let root = tempfile::tempdir().unwrap();
    let fetched = run(&server, root.path()).await.unwrap();
    assert_eq!(fetched, Fetched::Transferred { bytes: SIZE as u64 });
    assert_eq!(server.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_bears_few_connections_gets_no_more() {
    let server = Serving { most: 2, ..Serving::new() };
    let root = tempfile::tempdir().unwrap();
    let fetched = run(&server, root.path()).await.unwrap();
    assert_eq!(fetched, Fetched::Transferred { bytes: SIZE as u64 });
}

#[tokio::test]
async fn broken_connections_lose_nothing() {
    for disk_work in [DiskWork::Aside, DiskWork::Inline] {
        let server = Serving { breaks_after: 900_000, disk_work, ..Serving::new() };
        let root = tempfile::tempdir().unwrap();
        let fetched = run(&server, root.path()).await.unwrap();
        let most = SIZE as u64 + (2 << 20);
        assert!(matches!(fetched, Fetched::Transferred { bytes } if bytes < most));
    }
}

#[tokio::test]
async fn wrong_bytes_never_get_the_name() {
    let server = Serving { wrong: AtomicUsize::new(1), ..Serving::new() };
    let root = tempfile::tempdir().unwrap();
    // The first piece was wrong: everything is thrown away and comes again.
    let fetched = run(&server, root.path()).await.unwrap();
    assert!(matches!(fetched, Fetched::Transferred { bytes } if bytes == 2 * SIZE as u64));
    let server = Serving { wrong: AtomicUsize::new(usize::MAX), ..Serving::new() };
    let root = tempfile::tempdir().unwrap();
    let refused = run(&server, root.path()).await;
    assert!(matches!(refused, Err(FetchError::Store { cause: StoreError::Digest { .. }, .. })));
    assert_eq!(std::fs::read_dir(root.path().join("partial")).unwrap().count(), 0);
}

/// Drops a fetch when the server has sent so many bytes.
async fn cut_off(server: &Serving, root: &std::path::Path, at: u64) {
    let fetch = run(server, root);
    let watch = async {
        while server.sent.load(Ordering::Relaxed) < at {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    };
    tokio::select! { _ = fetch => {} () = watch => {} }
    // A write that was cut off may still hold the lock.
    tokio::time::sleep(Duration::from_millis(50)).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]
    #[test]
    fn whenever_it_is_cut_off_at_most_a_block_per_stream_comes_again(
        places in prop::collection::vec(0..SIZE as u64, 1..4), without_ranges in any::<bool>(),
        inline in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut server, root) = (Serving::new(), tempfile::tempdir().unwrap());
            if inline {
                server.disk_work = DiskWork::Inline;
            }
            let mut places = places;
            places.sort_unstable();
            for place in &places {
                cut_off(&server, root.path(), *place).await;
            }
            let streams = NonZeroUsize::get(options().ranges) as u64;
            let lost = (places.len() as u64) * streams * (BLOCK + CHUNK) as u64;
            if without_ranges {
                server.ranges = false;
                assert!(run(&server, root.path()).await.is_ok());
            } else {
                assert!(run(&server, root.path()).await.is_ok());
                let sent = server.sent.load(Ordering::Relaxed);
                assert!(sent <= SIZE as u64 + lost, "{sent} bytes were sent");
            }
        });
    }
}
