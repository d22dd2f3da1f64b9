//! Fetching blobs into the store: hashed while they arrive, resumed, retried, never too long.

mod streams;
mod transfers;

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::Instant;
use url::Url;

pub(crate) use transfers::Transfers;

use crate::digest::{Sha256, Sha512};
use crate::report::{Event, Reporter, chain};
use crate::select::Wanted;
use crate::store::{Begun, BlobStore, DiskWork, Partial, Ranged, Staged, StoreError};
use crate::transport::{
    BoxFuture, Request, Response, SourceUrl, Transport, TransportError, TransportErrorKind, shown,
};

/// Bytes that make an attempt worth another one: a server that drips is not waited for.
const PROGRESS: u64 = 64 << 10;

/// The largest file that is held in memory until it is whole, in bytes; see [`Staged`].
const SMALL: u64 = 64 << 10;

/// How persistent a fetch is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FetchOptions {
    /// How many transfers go on at once: of different files, or of ranges of a large one when no
    /// other file waits. Default 8.
    pub jobs: NonZeroUsize,
    /// How many ranges of one file are fetched at once at most. Default 8; 1 fetches every file in
    /// one piece. Ranges are given up for a server that does not serve them.
    pub ranges: NonZeroUsize,
    /// The smallest file that is fetched in ranges, in bytes. Default 8 MiB.
    pub ranges_from: u64,
    /// Attempts in a row that brought less than 64 KiB, or attempts whose bytes were wrong, before a
    /// fetch fails. Default 5.
    pub attempts: u32,
    /// The pause after the first failed attempt; it doubles with each one. Default 500 ms.
    pub first_pause: Duration,
    /// The longest pause between attempts. Default 30 s.
    pub longest_pause: Duration,
    /// Longest time without a byte. Default 60 s.
    pub idle_timeout: Duration,
    /// A connection that brings fewer bytes per second than this is given up. Default 1 KiB/s.
    pub minimum_rate: u64,
    /// The time over which the rate is measured. Default 60 s.
    pub rate_window: Duration,
    /// A bound on the rate of everything that shares it. Default none.
    pub rate_limit: Option<RateLimit>,
    /// Where bytes are written and hashed. Default aside.
    pub disk_work: DiskWork,
}

/// A bound on the rate of transfers, shared by all that hold a copy.
#[derive(Clone, Debug)]
pub struct RateLimit {
    bytes_per_second: NonZeroU64,
    free_at: Arc<Mutex<Option<Instant>>>,
}

impl RateLimit {
    /// At most this many bytes per second, averaged over the chunks that arrive.
    pub fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, free_at: Arc::default() }
    }

    /// Waits until bytes that have arrived are within the bound.
    async fn account(&self, bytes: u64) {
        let nanoseconds =
            u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second.get());
        let span = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let until = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let until = free_at.map_or(now, |time| time.max(now)) + span;
            *free_at = Some(until);
            until
        };
        tokio::time::sleep_until(until).await;
    }
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            jobs: NonZeroUsize::MIN.saturating_add(7),
            ranges: NonZeroUsize::MIN.saturating_add(7),
            ranges_from: 8 << 20,
            attempts: 5,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            minimum_rate: 1024,
            rate_window: Duration::from_secs(60),
            rate_limit: None,
            disk_work: DiskWork::Aside,
        }
    }
}

/// Why a blob could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No URL was given.
    #[error("no URL was given for {sha256}")]
    NoUrl {
        /// The blob.
        sha256: Sha256,
    },
    /// Fetching failed as often as allowed.
    #[error("{sha256} could not be fetched")]
    Transport {
        /// The blob.
        sha256: Sha256,
        /// The last failure.
        #[source]
        cause: TransportError,
    },
    /// The store refused the bytes or could not keep them.
    #[error("{sha256} could not be stored")]
    Store {
        /// The blob.
        sha256: Sha256,
        /// Why.
        #[source]
        cause: StoreError,
    },
}

/// How a blob came to be in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fetched {
    /// It was there.
    AlreadyPresent,
    /// It was fetched.
    Transferred {
        /// Bytes that came over the network for it, those of failed attempts included.
        bytes: u64,
    },
}

/// Why one attempt failed.
enum Setback {
    Transport(TransportError),
    Store(StoreError),
}

impl Setback {
    /// Whether the same URL is worth another attempt.
    fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(error) => error.is_retryable(),
            Self::Store(error) => {
                matches!(
                    error,
                    StoreError::TooLong { .. }
                        | StoreError::Digest { .. }
                        | StoreError::Sha512 { .. }
                )
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Transport(error) => chain(error),
            Self::Store(error) => chain(error),
        }
    }
}

/// Fetches one blob from the first of `urls` that has it.
///
/// Cancellation-safe: dropping the future leaves what arrived for the next call.
pub async fn fetch(
    transport: &dyn Transport,
    store: &BlobStore,
    sha256: Sha256,
    size: u64,
    urls: &[Url],
    options: &FetchOptions,
    reporter: &dyn Reporter,
) -> Result<Fetched, FetchError> {
    let transfers = Transfers::new(options.jobs.get());
    fetch_among(transport, store, (sha256, size), urls, options, (&transfers, None), reporter).await
}

/// Fetches one blob as one of several: every transfer, also of a range, holds a permit. Where files
/// are staged, they are in the store only when [`Staged::keep`] has answered.
pub(crate) async fn fetch_among(
    transport: &dyn Transport,
    store: &BlobStore,
    (sha256, size): (Sha256, u64),
    urls: &[Url],
    options: &FetchOptions,
    (transfers, staged): (&Transfers, Option<&Staged>),
    reporter: &dyn Reporter,
) -> Result<Fetched, FetchError> {
    let proof = None;
    let job = Job { transport, sha256, proof, size, options, transfers, staged, reporter };
    fetch_job(&job, store, urls).await.map(|(fetched, _)| fetched)
}

/// Fetches one blob of which only the SHA-512 is known; answers with its SHA-256 also. Until then
/// `key` stands for it in events and errors.
pub(crate) async fn fetch_proved(
    transport: &dyn Transport,
    store: &BlobStore,
    (key, proof, size): (Sha256, Sha512, u64),
    urls: &[Url],
    options: &FetchOptions,
    (transfers, staged): (&Transfers, Option<&Staged>),
    reporter: &dyn Reporter,
) -> Result<(Fetched, Sha256), FetchError> {
    let (sha256, proof) = (key, Some(proof));
    let job = Job { transport, sha256, proof, size, options, transfers, staged, reporter };
    fetch_job(&job, store, urls).await
}

async fn fetch_job(
    job: &Job<'_>,
    store: &BlobStore,
    urls: &[Url],
) -> Result<(Fetched, Sha256), FetchError> {
    let Job { sha256, size, transfers, reporter, .. } = *job;
    let _place = transfers.acquire().await;
    let store = store.with_disk_work(job.options.disk_work);
    let answer = attempt_all(job, &store, urls).await;
    reporter.report(match &answer {
        Ok((Fetched::AlreadyPresent, _)) => Event::AlreadyPresent { sha256, size },
        Ok((Fetched::Transferred { .. }, _)) => Event::Finished { sha256, size },
        Err(error) => Event::Failed { sha256, reason: chain(error) },
    });
    answer
}

/// What all attempts at a blob share.
#[derive(Clone, Copy)]
struct Job<'a> {
    transport: &'a dyn Transport,
    sha256: Sha256,
    /// The SHA-512 of a blob whose SHA-256 is not known.
    proof: Option<Sha512>,
    size: u64,
    options: &'a FetchOptions,
    transfers: &'a Transfers,
    /// Where files wait to be flushed together; `None` flushes every file on its own.
    staged: Option<&'a Staged>,
    reporter: &'a dyn Reporter,
}

/// How one attempt takes what comes.
enum Way<'a> {
    /// Whole, to be written and flushed with others: a small file's first attempt.
    InMemory(&'a Staged),
    /// Behind what is there of it.
    ToDisk(Box<Partial>),
}

async fn attempt_all(
    job: &Job<'_>,
    store: &BlobStore,
    urls: &[Url],
) -> Result<(Fetched, Sha256), FetchError> {
    let Job { sha256, size, proof, options, reporter, .. } = *job;
    let mut in_ranges = true;
    let mut urls: Vec<&Url> = urls.iter().collect();
    let mut place = 0;
    let mut fruitless = 0;
    let mut wrong = 0;
    let mut pause = options.first_pause;
    let mut received = 0;
    let mut in_memory = job.staged.filter(|staged| size <= SMALL && staged.takes(&sha256));
    loop {
        let way = match in_memory.take() {
            Some(staged) => Way::InMemory(staged),
            None => {
                let begun = store.begin_proved(sha256, size, proof).await;
                match begun.map_err(|cause| FetchError::Store { sha256, cause })? {
                    Begun::Present if received == 0 => {
                        return Ok((Fetched::AlreadyPresent, sha256));
                    }
                    Begun::Present => {
                        return Ok((Fetched::Transferred { bytes: received }, sha256));
                    }
                    Begun::Partial(partial) => Way::ToDisk(partial),
                }
            }
        };
        let url = *urls.get(place).ok_or(FetchError::NoUrl { sha256 })?;
        let resumed_at = match &way {
            Way::InMemory(_) => 0,
            Way::ToDisk(partial) => partial.received(),
        };
        reporter.report(Event::Started { sha256, url: shown(url), size, resumed_at });
        let came = AtomicU64::new(0);
        let share = job.transfers.share(size - resumed_at);
        let worth_ranges = in_ranges && job.is_worth_ranges(url, size - resumed_at);
        let outcome = match way {
            Way::InMemory(staged) => receive_in_memory(job, store, staged, url, &came).await,
            Way::ToDisk(partial) if worth_ranges => {
                streams::receive(job, *partial, (url, &share), &came, &mut in_ranges).await
            }
            Way::ToDisk(mut partial) => match receive(job, &mut partial, url, &came).await {
                Ok(()) => partial.finish_named(job.staged).await.map_err(Setback::Store),
                Err(setback) => {
                    // What arrived before the connection broke is worth keeping.
                    if partial.flush().await.is_err() {
                        drop(partial);
                    }
                    Err(setback)
                }
            },
        };
        drop(share);
        let came = came.into_inner();
        received += came;
        let setback = match outcome {
            Ok(name) => return Ok((Fetched::Transferred { bytes: received }, name)),
            Err(setback) => setback,
        };
        // Bytes that turned out wrong are no progress, however much of them came.
        match setback {
            Setback::Store(_) => wrong += 1,
            Setback::Transport(_) if came >= PROGRESS => {
                fruitless = 1;
                pause = options.first_pause;
            }
            Setback::Transport(_) => fruitless += 1,
        }
        let give_up = |setback| match setback {
            Setback::Transport(cause) => Err(FetchError::Transport { sha256, cause }),
            Setback::Store(cause) => Err(FetchError::Store { sha256, cause }),
        };
        if !setback.is_retryable() {
            if matches!(setback, Setback::Store(_)) || urls.len() == 1 {
                return give_up(setback);
            }
            urls.remove(place);
            place %= urls.len();
        } else if fruitless.max(wrong) >= options.attempts {
            return give_up(setback);
        } else {
            place = (place + 1) % urls.len();
        }
        reporter.report(Event::Retrying {
            sha256,
            attempt: fruitless.max(wrong),
            reason: setback.text(),
        });
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(options.longest_pause);
    }
}

impl Job<'_> {
    /// Whether the rest of the file is fetched in ranges.
    fn is_worth_ranges(&self, url: &Url, left: u64) -> bool {
        Ranged::is_supported()
            && self.options.ranges.get() > 1
            && self.size >= self.options.ranges_from
            && left > 0
            && url.scheme() != "file"
    }

    /// Asks for bytes; no longer than the longest time without a byte.
    async fn ask(&self, request: Request) -> Result<Response, TransportError> {
        let url = request.url.clone();
        let answer = self.transport.fetch(request);
        tokio::time::timeout(self.options.idle_timeout, answer)
            .await
            .unwrap_or_else(|_| Err(TransportError::new(&url, TransportErrorKind::TimedOut)))
    }

    /// The next piece of a body, within the bounds of time and rate.
    async fn next(
        &self,
        response: &mut Response,
        url: &Url,
        window: &mut Window,
    ) -> Result<Option<Bytes>, TransportError> {
        let timed_out = || TransportError::new(url, TransportErrorKind::TimedOut);
        let chunk = tokio::time::timeout(self.options.idle_timeout, response.body.chunk()).await;
        let chunk = chunk.map_err(|_| timed_out())??;
        let length = chunk.as_ref().map_or(0, Bytes::len) as u64;
        if let Some(limit) = &self.options.rate_limit
            && length > 0
        {
            limit.account(length).await;
        }
        if window.is_too_slow(length, self.options) { Err(timed_out()) } else { Ok(chunk) }
    }
}

/// How much came since when.
struct Window {
    since: Instant,
    bytes: u64,
}

impl Window {
    fn new() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    fn is_too_slow(&mut self, bytes: u64, options: &FetchOptions) -> bool {
        self.bytes += bytes;
        let elapsed = self.since.elapsed();
        if elapsed < options.rate_window {
            return false;
        }
        let expected = options.minimum_rate.saturating_mul(elapsed.as_secs());
        let bytes = std::mem::replace(self, Self::new()).bytes;
        bytes < expected
    }
}

/// Receives a small blob whole and writes it by one step, to be flushed with others.
async fn receive_in_memory(
    job: &Job<'_>,
    store: &BlobStore,
    staged: &Staged,
    url: &Url,
    came: &AtomicU64,
) -> Result<Sha256, Setback> {
    let Job { sha256, size, proof, .. } = *job;
    let failed = |kind| Setback::Transport(TransportError::new(url, kind));
    let mut whole = BytesMut::with_capacity(usize::try_from(size).unwrap_or(0));
    if size > 0 {
        let asked = job.ask(Request::new(url.clone())).await;
        let mut response = asked.map_err(Setback::Transport)?;
        if response.offset != 0 {
            return Err(failed(TransportErrorKind::Protocol));
        }
        let mut window = Window::new();
        let ended = loop {
            match job.next(&mut response, url, &mut window).await {
                Ok(Some(chunk)) => {
                    came.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                    if (whole.len() + chunk.len()) as u64 > size {
                        return Err(Setback::Store(StoreError::TooLong { sha256, size }));
                    }
                    whole.extend_from_slice(&chunk);
                    let received = whole.len() as u64;
                    job.reporter.report(Event::Progressed { sha256, received, size });
                }
                Ok(None) if whole.len() as u64 == size => break None,
                Ok(None) => break Some(failed(TransportErrorKind::Truncated)),
                Err(error) => break Some(Setback::Transport(error)),
            }
        };
        if let Some(setback) = ended {
            // What arrived before the connection broke is worth keeping.
            if let Ok(Begun::Partial(mut partial)) = store.begin_proved(sha256, size, proof).await
                && partial.offset() == 0
                && partial.write(&whole).await.is_ok()
            {
                partial.flush().await.ok();
            }
            return Err(setback);
        }
    }
    staged.add(store, sha256, proof, whole).await.map_err(Setback::Store)
}

/// Receives a blob from its first missing byte on, in one piece.
async fn receive(
    job: &Job<'_>,
    partial: &mut Partial,
    url: &Url,
    came: &AtomicU64,
) -> Result<(), Setback> {
    let size = partial.size();
    if partial.offset() == size {
        return Ok(());
    }
    let failed = |kind| Setback::Transport(TransportError::new(url, kind));
    let request = Request::new(url.clone()).from_offset(partial.offset());
    let mut response = match job.ask(request).await {
        Ok(response) => response,
        Err(error) => {
            if error.kind == TransportErrorKind::RangeNotSatisfiable && partial.offset() > 0 {
                // The other side has fewer bytes than we hold: what we hold may be wrong.
                partial.restart().await.map_err(Setback::Store)?;
                return Err(failed(TransportErrorKind::Protocol));
            }
            return Err(Setback::Transport(error));
        }
    };
    if response.offset == 0 && partial.offset() > 0 {
        partial.restart().await.map_err(Setback::Store)?;
    } else if response.offset != partial.offset() {
        return Err(failed(TransportErrorKind::Protocol));
    }
    let mut window = Window::new();
    while let Some(chunk) =
        job.next(&mut response, url, &mut window).await.map_err(Setback::Transport)?
    {
        came.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        partial.write(&chunk).await.map_err(Setback::Store)?;
        let received = partial.offset();
        job.reporter.report(Event::Progressed { sha256: job.sha256, received, size });
    }
    if partial.offset() < size {
        return Err(failed(TransportErrorKind::Truncated));
    }
    Ok(())
}

/// Fetches many files, several at once; each file's answer comes in the order of `files`.
///
/// One file that fails does not stop the others.
pub async fn fetch_all(
    transport: &dyn Transport,
    store: &BlobStore,
    source: &SourceUrl,
    files: &[Wanted],
    options: &FetchOptions,
    reporter: &dyn Reporter,
) -> Vec<Result<Fetched, FetchError>> {
    type One<'a> = BoxFuture<'a, (usize, Result<Fetched, FetchError>)>;
    let transfers = &Transfers::new(options.jobs.get());
    // Boxed, so that the compiler can see that the whole is `Send`.
    let mut fetches: Vec<One<'_>> = Vec::with_capacity(files.len());
    for (place, file) in files.iter().enumerate() {
        fetches.push(Box::pin(async move {
            let urls: Vec<Url> = file.paths.iter().map(|path| source.join(path)).collect();
            let blob = (file.sha256, file.size);
            let fetched =
                fetch_among(transport, store, blob, &urls, options, (transfers, None), reporter)
                    .await;
            (place, fetched)
        }));
    }
    let mut answers: Vec<_> =
        futures_util::stream::iter(fetches).buffer_unordered(options.jobs.get()).collect().await;
    answers.sort_unstable_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests;
