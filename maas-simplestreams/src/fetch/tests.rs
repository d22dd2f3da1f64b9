#![allow(clippy::unwrap_used)]
use std::sync::Mutex;

use bytes::Bytes;

use super::*;
use crate::path::SafePath;
use crate::transport::{Body, BoxFuture, MemoryTransport, Response};

/// What the other side does with one request.
#[derive(Clone, Copy, Debug)]
enum Act {
    Serve,
    IgnoreRange,
    BreakAfter(usize),
    Corrupt,
    Endless,
    EndlessOther,
    Answer(u16),
    NotFound,
    Stall,
}

/// Follows a script, one act per request, and goes on with the last one.
#[derive(Debug)]
struct Scripted {
    content: Bytes,
    acts: Mutex<Vec<Act>>,
    requests: Mutex<Vec<u64>>,
}

struct Pieces(Vec<Result<Bytes, TransportErrorKind>>, Url, Act);

impl Body for Pieces {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(async move {
            match (self.0.pop(), self.2) {
                (Some(Ok(piece)), _) => Ok(Some(piece)),
                (Some(Err(kind)), _) => Err(TransportError::new(&self.1, kind)),
                (None, Act::Endless | Act::EndlessOther) => Ok(Some(Bytes::from(vec![0; 1 << 16]))),
                (None, Act::Stall) => std::future::pending().await,
                (None, _) => Ok(None),
            }
        })
    }
}

impl Transport for Scripted {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        self.requests.lock().unwrap().push(request.offset);
        let act = {
            let mut acts = self.acts.lock().unwrap();
            if acts.len() > 1 { acts.remove(0) } else { acts[0] }
        };
        Box::pin(async move {
            let start = usize::try_from(request.offset).unwrap();
            let rest = self.content.slice(start..);
            let url = request.url.clone();
            let (offset, pieces) = match act {
                Act::Serve | Act::Endless => (request.offset, vec![Ok(rest)]),
                Act::EndlessOther => (0, vec![]),
                Act::IgnoreRange => (0, vec![Ok(self.content.clone())]),
                Act::BreakAfter(count) => (
                    request.offset,
                    vec![
                        Err(TransportErrorKind::Connection),
                        Ok(rest.slice(..count.min(rest.len()))),
                    ],
                ),
                Act::Corrupt => (0, vec![Ok(Bytes::from(vec![1; self.content.len()]))]),
                Act::Answer(status) => {
                    return Err(TransportError::new(&url, TransportErrorKind::Status(status)));
                }
                Act::NotFound => {
                    return Err(TransportError::new(&url, TransportErrorKind::NotFound));
                }
                Act::Stall => (request.offset, vec![Ok(rest.slice(..1))]),
            };
            Ok(Response::new(offset, None, None, Box::new(Pieces(pieces, url, act))))
        })
    }
}

const SIZE: usize = 3 << 20;

fn content() -> Bytes {
    (0..SIZE).map(|n| u8::try_from(n % 251).unwrap()).collect::<Vec<_>>().into()
}

fn scripted(acts: &[Act]) -> Scripted {
    Scripted {
        content: content(),
        acts: Mutex::new(acts.to_vec()),
        requests: Mutex::new(Vec::new()),
    }
}

async fn run(
    transport: &Scripted,
    urls: &[&str],
) -> (Result<Fetched, FetchError>, BlobStore, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(directory.path()).await.unwrap();
    let urls: Vec<Url> = urls.iter().map(|url| url.parse().unwrap()).collect();
    let options = FetchOptions {
        first_pause: Duration::from_millis(1),
        idle_timeout: Duration::from_millis(200),
        ..FetchOptions::default()
    };
    let digest = Sha256::of(&content());
    let answer = fetch(transport, &store, digest, SIZE as u64, &urls, &options, &()).await;
    (answer, store, directory)
}

const ONE: &[&str] = &["http://one/x"];

#[tokio::test]
async fn a_broken_connection_is_resumed_at_most_one_block_back() {
    let transport = scripted(&[Act::BreakAfter(1_000_000), Act::BreakAfter(1_000_000), Act::Serve]);
    let (answer, store, _directory) = run(&transport, ONE).await;
    assert_eq!(answer.unwrap(), Fetched::Transferred { bytes: SIZE as u64 });
    assert_eq!(*transport.requests.lock().unwrap(), [0, 1_000_000, 2_000_000]);
    assert_eq!(store.check(&Sha256::of(&content())).await.unwrap(), Some(true));
}

#[tokio::test]
async fn a_server_that_ignores_ranges_is_read_from_the_start() {
    let transport = scripted(&[Act::BreakAfter(1_000_000), Act::IgnoreRange]);
    let (answer, store, _directory) = run(&transport, ONE).await;
    assert!(answer.is_ok());
    assert_eq!(store.check(&Sha256::of(&content())).await.unwrap(), Some(true));
}

#[tokio::test]
async fn an_endless_body_is_cut_at_the_size() {
    let transport = scripted(&[Act::Endless]);
    let (answer, store, _directory) = run(&transport, ONE).await;
    assert!(answer.is_ok());
    assert_eq!(store.list().await.unwrap()[0].size, SIZE as u64);
    let transport = scripted(&[Act::EndlessOther]);
    let (answer, store, directory) = run(&transport, ONE).await;
    assert!(matches!(answer, Err(FetchError::Store { .. })));
    assert!(store.list().await.unwrap().is_empty());
    let left: u64 = std::fs::read_dir(directory.path().join("partial"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(left <= SIZE as u64);
}

#[tokio::test]
async fn wrong_bytes_never_reach_the_store_and_the_next_mirror_helps() {
    let transport = scripted(&[Act::Corrupt]);
    let (answer, store, _directory) = run(&transport, ONE).await;
    assert!(matches!(answer, Err(FetchError::Store { cause: StoreError::Digest { .. }, .. })));
    assert!(store.list().await.unwrap().is_empty());
    let transport = scripted(&[Act::Corrupt, Act::Serve]);
    let (answer, store, _directory) = run(&transport, &["http://one/x", "http://two/x"]).await;
    assert!(answer.is_ok());
    assert_eq!(store.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn server_errors_are_retried_and_their_bodies_are_no_content() {
    let transport = scripted(&[Act::Answer(503), Act::Answer(500), Act::Serve]);
    let (answer, _store, _directory) = run(&transport, ONE).await;
    assert_eq!(answer.unwrap(), Fetched::Transferred { bytes: SIZE as u64 });
    let transport = scripted(&[Act::Answer(503)]);
    let (answer, _store, _directory) = run(&transport, ONE).await;
    assert!(matches!(answer, Err(FetchError::Transport { .. })));
    assert_eq!(transport.requests.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn what_is_not_there_is_not_asked_for_again_but_other_mirrors_are() {
    let transport = scripted(&[Act::NotFound]);
    let (answer, _store, _directory) = run(&transport, ONE).await;
    assert!(matches!(answer, Err(FetchError::Transport { .. })));
    assert_eq!(transport.requests.lock().unwrap().len(), 1);
    let transport = scripted(&[Act::NotFound, Act::Serve]);
    let (answer, _store, _directory) = run(&transport, &["http://one/x", "http://two/x"]).await;
    assert!(answer.is_ok());
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let transport = scripted(&[Act::Stall, Act::Serve]);
    let (answer, _store, _directory) = run(&transport, ONE).await;
    assert!(answer.is_ok());
    assert_eq!(*transport.requests.lock().unwrap(), [0, 1]);
}

#[tokio::test]
async fn many_files_come_in_and_one_failure_stops_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(directory.path()).await.unwrap();
    let source = SourceUrl::parse("http://mirror/root").unwrap();
    let transport = MemoryTransport::new();
    let mut files = Vec::new();
    for name in ["a", "b", "c", "missing"] {
        let path = SafePath::new(format!("dir/{name}")).unwrap();
        if name != "missing" {
            transport.put(source.join(&path), name.as_bytes().to_vec());
        }
        files.push(Wanted {
            sha256: Sha256::of(name.as_bytes()),
            size: name.len() as u64,
            paths: vec![path],
        });
    }
    let (sender, mut receiver) = crate::report::event_stream();
    let options = FetchOptions::default();
    let answers = fetch_all(&transport, &store, &source, &files, &options, &sender).await;
    assert!(answers[..3].iter().all(Result::is_ok));
    assert!(matches!(answers[3], Err(FetchError::Transport { .. })));
    assert_eq!(store.list().await.unwrap().len(), 3);
    let answers = fetch_all(&transport, &store, &source, &files[..3], &options, &sender).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Fetched::AlreadyPresent))));
    drop(sender);
    let mut finished = 0;
    while let Some(event) = receiver.recv().await {
        finished += usize::from(matches!(event, Event::Finished { .. }));
    }
    assert_eq!(finished, 3);
}

/// Stages a file when nothing of it is there.
async fn stage(store: &BlobStore, content: &Bytes) -> Staged {
    let missing = store.missing(vec![(Sha256::of(content), content.len() as u64)]).await;
    Staged::for_absent(missing.unwrap().absent)
}

/// Fetches a small file that waits to be flushed with others.
async fn run_staged(
    transport: &Scripted,
    store: &BlobStore,
    staged: &Staged,
) -> Result<Fetched, FetchError> {
    let urls = ["http://one/x".parse().unwrap()];
    let options = FetchOptions { first_pause: Duration::from_millis(1), ..FetchOptions::default() };
    let content = &transport.content;
    let blob = (Sha256::of(content), content.len() as u64);
    let among = (&Transfers::new(1), Some(staged));
    fetch_among(transport, store, blob, &urls, &options, among, &()).await
}

#[tokio::test]
async fn a_small_file_whose_connection_breaks_is_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(directory.path()).await.unwrap();
    let script = scripted(&[Act::BreakAfter(1000), Act::Serve]);
    let transport = Scripted { content: content().slice(..3000), ..script };
    let staged = stage(&store, &transport.content).await;
    let fetched = run_staged(&transport, &store, &staged).await.unwrap();
    assert_eq!(fetched, Fetched::Transferred { bytes: 3000 });
    assert_eq!(*transport.requests.lock().unwrap(), [0, 1000]);
    staged.keep(&store).await.unwrap();
    assert_eq!(store.check(&Sha256::of(&transport.content)).await.unwrap(), Some(true));
}

#[tokio::test]
async fn a_file_gets_its_name_only_when_it_was_flushed_and_is_not_fetched_again() {
    // In memory, in one piece, and in ranges.
    for size in [SMALL, SMALL + 1, FetchOptions::default().ranges_from] {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(directory.path()).await.unwrap();
        let file = Bytes::from(vec![7; usize::try_from(size).unwrap()]);
        let digest = Sha256::of(&file);
        let transport = Scripted { content: file.clone(), ..scripted(&[Act::Serve]) };
        let staged = stage(&store, &file).await;
        let fetched = run_staged(&transport, &store, &staged).await.unwrap();
        assert_eq!(fetched, Fetched::Transferred { bytes: size });
        assert_eq!(store.size(&digest).await.unwrap(), None);
        // As after a crash: what lies there is taken up without a request.
        store.take_up_staged().await.unwrap();
        let after = stage(&store, &file).await;
        let fetched = run_staged(&transport, &store, &after).await.unwrap();
        assert_eq!(fetched, Fetched::Transferred { bytes: 0 });
        assert_eq!(transport.requests.lock().unwrap().len(), 1);
        after.keep(&store).await.unwrap();
        assert_eq!(store.check(&digest).await.unwrap(), Some(true));
        // What another writer has named already is no failure.
        staged.keep(&store).await.unwrap();
        assert_eq!(std::fs::read_dir(directory.path().join("partial")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn wrong_bytes_of_a_small_file_leave_nothing() {
    for act in [Act::Corrupt, Act::EndlessOther, Act::Answer(404)] {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(directory.path()).await.unwrap();
        let transport = Scripted { content: content().slice(..3000), ..scripted(&[act]) };
        let staged = stage(&store, &transport.content).await;
        assert!(run_staged(&transport, &store, &staged).await.is_err());
        staged.keep(&store).await.unwrap();
        assert!(store.list().await.unwrap().is_empty());
    }
}
