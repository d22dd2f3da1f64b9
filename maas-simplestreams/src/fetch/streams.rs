//! Several ranges of one large file at once.
//!
//! One stream asks first; when the server honours its range, others join it, one for each transfer
//! that the file may take, and each takes the next gap when it is done with one. What fails goes
//! back to the gaps, and no more streams join: a server may allow only so many.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::SemaphorePermit;
use url::Url;

use super::transfers::Share;
use super::{Job, Setback, Window};
use crate::digest::Sha256;
use crate::report::Event;
use crate::store::{Partial, Ranged};
use crate::transport::{BoxFuture, Request, Response, TransportError, TransportErrorKind};

/// Bytes that are written at once, and lost at most when a stream is killed.
const BLOCK: usize = 256 << 10;
/// Smallest and largest piece that is asked for at once, in bytes.
const PIECES: Range<u64> = 4 << 20..16 << 20;

/// What a stream leaves when it ends early: the rest of its piece and why.
type Ended = Result<(), (Range<u64>, Setback)>;

/// The gaps that no stream has taken.
struct Gaps(VecDeque<Range<u64>>);

impl Gaps {
    /// A piece for one of so many streams: large while much is left, because every request costs
    /// a round trip, small towards the end, so that the streams end together.
    fn take(&mut self, streams: usize) -> Option<Range<u64>> {
        let left: u64 = self.0.iter().map(|gap| gap.end - gap.start).sum();
        let streams = streams.max(1) as u64;
        let half = left / (2 * streams);
        // In the last round each takes an equal part of what is left.
        let share = if half < PIECES.start { left.div_ceil(streams) } else { half };
        let piece = share.clamp(PIECES.start, PIECES.end);
        let gap = self.0.front_mut()?;
        let mut end = gap.start.saturating_add(piece).min(gap.end);
        // A crumb is not worth a request of its own.
        if gap.end - end < PIECES.start / 2 {
            end = gap.end;
        }
        let piece = gap.start..end;
        gap.start = end;
        if gap.is_empty() {
            self.0.pop_front();
        }
        Some(piece)
    }

    fn give_back(&mut self, rest: Range<u64>) {
        if !rest.is_empty() {
            self.0.push_front(rest);
        }
    }
}

/// One attempt at everything that is missing.
struct Attempt<'a> {
    job: &'a Job<'a>,
    ranged: &'a Ranged,
    url: &'a Url,
    share: &'a Share<'a>,
    came: &'a AtomicU64,
    received: AtomicU64,
}

/// Receives what is missing of a blob and gives it its name.
///
/// `in_ranges` is set to false when the server turns out not to serve ranges.
pub(super) async fn receive(
    job: &Job<'_>,
    partial: Partial,
    (url, share): (&Url, &Share<'_>),
    came: &AtomicU64,
    in_ranges: &mut bool,
) -> Result<Sha256, Setback> {
    let ranged = partial.into_ranged().await.map_err(Setback::Store)?;
    let received = AtomicU64::new(ranged.received());
    let attempt = Attempt { job, ranged: &ranged, url, share, came, received };
    let outcome = attempt.run(in_ranges).await;
    // Streams that were cut off may have left a write.
    ranged.settle().await;
    outcome?;
    ranged.finish_named(job.staged).await.map_err(Setback::Store)
}

impl Attempt<'_> {
    async fn run(&self, in_ranges: &mut bool) -> Result<(), Setback> {
        let most = self.job.options.ranges.get();
        let mut gaps = Gaps(self.ranged.missing().into());
        let Some(first) = gaps.take(most.min(self.share.expected(1))) else { return Ok(()) };
        let response = self.ask(&first).await;
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                *in_ranges = error.kind != TransportErrorKind::RangeNotSatisfiable;
                return Err(Setback::Transport(error));
            }
        };
        let honoured = response.offset == first.start
            && response.length.is_none_or(|length| length == first.end - first.start)
            && (first.start > 0 || response.length.is_some());
        let mut streams: FuturesUnordered<BoxFuture<'_, Ended>> = FuturesUnordered::new();
        if honoured {
            streams.push(Box::pin(self.stream(first, Some(response), None)));
        } else if first.start == 0 && response.offset == 0 {
            // The whole file comes in answer to the range: one stream takes it all.
            *in_ranges = false;
            return match self.body(0..self.job.size, response).await {
                Ok(()) => Ok(()),
                Err((_, setback)) => Err(setback),
            };
        } else {
            *in_ranges = false;
            return Err(Setback::Transport(TransportError::new(
                self.url,
                TransportErrorKind::Protocol,
            )));
        }
        let mut most = most;
        loop {
            while streams.len() < most {
                let permit = match streams.is_empty() {
                    // The transfer of the file itself.
                    true => None,
                    false => match self.share.try_join(streams.len()) {
                        Some(permit) => Some(permit),
                        None => break,
                    },
                };
                let expected = most.min(self.share.expected(streams.len() + 1));
                let Some(piece) = gaps.take(expected) else { break };
                streams.push(Box::pin(self.stream(piece, None, permit)));
            }
            match streams.next().await {
                None => return Ok(()),
                Some(Ok(())) => {}
                Some(Err((rest, setback))) => {
                    gaps.give_back(rest);
                    let is_last = streams.is_empty();
                    if is_last || matches!(setback, Setback::Store(_)) {
                        return Err(setback);
                    }
                    most = streams.len();
                }
            }
        }
    }

    async fn ask(&self, piece: &Range<u64>) -> Result<Response, TransportError> {
        let request = Request::new(self.url.clone()).from_offset(piece.start).until(piece.end);
        self.job.ask(request).await
    }

    /// Fetches one piece.
    async fn stream(
        &self,
        piece: Range<u64>,
        response: Option<Response>,
        _permit: Option<SemaphorePermit<'_>>,
    ) -> Ended {
        let response = match response {
            Some(response) => response,
            None => match self.ask(&piece).await {
                Ok(response) if response.offset == piece.start => response,
                Ok(_) => return Err(self.failed(piece, TransportErrorKind::Protocol)),
                Err(error) => return Err((piece, Setback::Transport(error))),
            },
        };
        self.body(piece, response).await
    }

    fn failed(&self, rest: Range<u64>, kind: TransportErrorKind) -> (Range<u64>, Setback) {
        (rest, Setback::Transport(TransportError::new(self.url, kind)))
    }

    /// Writes the body of an answer to its place, block by block.
    async fn body(&self, piece: Range<u64>, mut response: Response) -> Ended {
        let Range { mut start, end } = piece;
        let mut block = BytesMut::with_capacity(BLOCK);
        let mut window = Window::new();
        loop {
            let chunk = self.job.next(&mut response, self.url, &mut window).await;
            let ended = !matches!(chunk, Ok(Some(_)));
            if let Ok(Some(chunk)) = &chunk {
                self.came.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                let at = start + block.len() as u64;
                if chunk.len() as u64 > end - at {
                    return Err(self.too_long(start..end));
                }
                // Filled to the brim and no further: a block that grows is copied.
                let mut left: &[u8] = chunk;
                while !left.is_empty() {
                    let room = BLOCK - block.len();
                    let (now, later) = left.split_at(room.min(left.len()));
                    block.extend_from_slice(now);
                    left = later;
                    if block.len() == BLOCK {
                        self.put(&mut start, end, &mut block).await?;
                    }
                }
                let length = chunk.len() as u64;
                let received = self.received.fetch_add(length, Ordering::Relaxed) + length;
                let (sha256, size) = (self.job.sha256, self.job.size);
                self.job.reporter.report(Event::Progressed { sha256, received, size });
            }
            let complete = start + block.len() as u64 == end;
            if !block.is_empty() && (ended || complete) {
                self.put(&mut start, end, &mut block).await?;
            }
            match chunk {
                Ok(Some(_)) => {}
                Ok(None) if start == end => return Ok(()),
                Ok(None) => return Err(self.failed(start..end, TransportErrorKind::Truncated)),
                Err(error) => return Err((start..end, Setback::Transport(error))),
            }
        }
    }

    /// Writes a block at its place; the next one starts behind it.
    async fn put(&self, start: &mut u64, end: u64, block: &mut BytesMut) -> Ended {
        let length = block.len() as u64;
        let written = self.ranged.put(*start, std::mem::take(block)).await;
        *block = written.map_err(|cause| (*start..end, Setback::Store(cause)))?;
        *start += length;
        Ok(())
    }

    /// More came than was asked for.
    fn too_long(&self, rest: Range<u64>) -> (Range<u64>, Setback) {
        let Job { sha256, size, .. } = *self.job;
        if rest.end == size {
            return (rest, Setback::Store(crate::store::StoreError::TooLong { sha256, size }));
        }
        self.failed(rest, TransportErrorKind::Protocol)
    }
}

#[cfg(test)]
mod tests;
