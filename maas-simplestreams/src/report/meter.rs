//! Rates and remaining times, worked out from events.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Event;
use crate::digest::Sha256;

/// The time over which rates are averaged.
const WINDOW: Duration = Duration::from_secs(10);
/// What comes within this time is one mark.
const MARK: Duration = Duration::from_millis(100);

/// Keeps count of transfers. It reads no clock: every event comes with the time since the start.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    expected: u64,
    files: BTreeMap<Sha256, Track>,
    all: Track,
}

/// Bytes, rate and remaining time of one file or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Measured {
    /// Bytes that are there.
    pub received: u64,
    /// Bytes in all, as far as they are known.
    pub size: u64,
    /// Bytes per second over the last ten seconds.
    pub rate: f64,
    /// How long the rest takes at this rate; `None` while nothing moves.
    pub remaining: Option<Duration>,
}

#[derive(Clone, Debug, Default)]
struct Track {
    received: u64,
    size: u64,
    /// When bytes came, and how many had come over the network by then.
    marks: Vec<(Duration, u64)>,
    transferred: u64,
}

impl Track {
    fn add(&mut self, bytes: u64, at: Duration) {
        self.transferred += bytes;
        let marks = self.marks.len();
        match self.marks.last_mut() {
            Some((time, transferred)) if marks > 1 && at < *time + MARK => {
                *transferred = self.transferred;
            }
            _ => self.marks.push((at, self.transferred)),
        }
        // One mark beyond the window stays, as the point to measure from.
        let old = self.marks.iter().take_while(|(time, _)| *time + WINDOW < at).count();
        self.marks.drain(..old.saturating_sub(1));
    }

    fn measure(&self, at: Duration) -> Measured {
        let first = self.marks.iter().find(|(time, _)| *time + WINDOW >= at);
        let rate = first.map_or(0.0, |(time, before)| {
            let span = at.saturating_sub(*time).as_secs_f64();
            let bytes = self.transferred.saturating_sub(*before);
            #[expect(clippy::cast_precision_loss, reason = "a rate needs no more precision")]
            let rate = if span > 0.0 { bytes as f64 / span } else { 0.0 };
            rate
        });
        #[expect(clippy::cast_precision_loss, reason = "a time needs no more precision")]
        let left = self.size.saturating_sub(self.received) as f64;
        let remaining = (rate > 0.0).then(|| left / rate);
        let remaining = remaining.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Measured { received: self.received, size: self.size, rate, remaining }
    }
}

impl Meter {
    /// A meter for transfers of this many bytes in all; files that turn up beyond that add to it.
    pub fn new(expected: u64) -> Self {
        Self { expected, ..Self::default() }
    }

    /// Takes an event; `at` is the time since the start.
    pub fn take(&mut self, event: &Event, at: Duration) {
        let (sha256, size, received) = match event {
            Event::Planned { bytes, .. } => {
                self.expected = *bytes;
                return;
            }
            Event::Started { sha256, size, resumed_at, .. } => (sha256, *size, *resumed_at),
            Event::Progressed { sha256, received, size } => (sha256, *size, *received),
            Event::Finished { sha256, size } | Event::AlreadyPresent { sha256, size } => {
                (sha256, *size, *size)
            }
            _ => return,
        };
        let file = self.files.entry(*sha256).or_default();
        if file.size == 0 {
            file.size = size;
            self.all.size += size;
        }
        let came = received.saturating_sub(file.received);
        self.all.received = self.all.received.saturating_sub(file.received) + received;
        file.received = received;
        match event {
            Event::Progressed { .. } => {
                file.add(came, at);
                self.all.add(came, at);
            }
            // From here on the rate is measured.
            Event::Started { .. } => {
                file.add(0, at);
                self.all.add(0, at);
            }
            _ => {}
        }
    }

    /// One file; `None` when no event was about it.
    pub fn file(&self, sha256: &Sha256, at: Duration) -> Option<Measured> {
        self.files.get(sha256).map(|track| track.measure(at))
    }

    /// All files together.
    pub fn total(&self, at: Duration) -> Measured {
        let mut all = self.all.clone();
        all.size = all.size.max(self.expected);
        all.measure(at)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn progressed(name: &[u8], received: u64) -> Event {
        Event::Progressed { sha256: Sha256::of(name), received, size: 1000 }
    }

    #[test]
    fn rate_and_remaining_time_follow_from_what_came() {
        let mut meter = Meter::new(2000);
        let second = Duration::from_secs;
        meter.take(&progressed(b"a", 0), second(0));
        meter.take(&progressed(b"a", 100), second(1));
        meter.take(&progressed(b"a", 200), second(2));
        let file = meter.file(&Sha256::of(b"a"), second(2)).unwrap();
        assert_eq!((file.received, file.size, file.rate), (200, 1000, 100.0));
        assert_eq!(file.remaining, Some(second(8)));
        assert_eq!(meter.total(second(2)).remaining, Some(second(18)));
        assert_eq!(meter.file(&Sha256::of(b"b"), second(2)), None);
    }

    #[test]
    fn what_was_there_counts_as_received_but_not_as_rate() {
        let mut meter = Meter::new(0);
        let started = Event::Started {
            sha256: Sha256::of(b"a"),
            url: String::new(),
            size: 1000,
            resumed_at: 900,
        };
        meter.take(&started, Duration::ZERO);
        let total = meter.total(Duration::from_secs(1));
        assert_eq!((total.received, total.rate, total.remaining), (900, 0.0, None));
    }

    #[test]
    fn old_transfers_no_longer_count_towards_the_rate() {
        let mut meter = Meter::new(0);
        for time in 0..100 {
            meter.take(&progressed(b"a", time * 10), Duration::from_secs(time));
        }
        assert_eq!(meter.total(Duration::from_secs(99)).rate, 10.0);
        assert_eq!(meter.total(Duration::from_secs(500)).rate, 0.0);
        assert!(meter.all.marks.len() < 20);
    }

    #[test]
    fn a_restart_takes_back_what_was_counted() {
        let mut meter = Meter::new(0);
        meter.take(&progressed(b"a", 500), Duration::ZERO);
        meter.take(&progressed(b"a", 100), Duration::from_secs(1));
        assert_eq!(meter.total(Duration::from_secs(1)).received, 100);
    }
}
