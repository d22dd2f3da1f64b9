//! How fast simulated time runs: work that real hardware takes minutes for, and pauses between
//! attempts, which the network needs in full.

use std::time::Duration;

/// Factors on the time that a real machine would take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    work: f64,
    pauses: f64,
}

impl Pace {
    /// Nothing takes time but the network; pauses between attempts are real.
    pub const INSTANT: Self = Self { work: 0.0, pauses: 1.0 };
    /// A deployment takes a few seconds, so that a person can follow it.
    pub const DEMO: Self = Self { work: 0.02, pauses: 1.0 };
    /// As slow as hardware.
    pub const REALISTIC: Self = Self { work: 1.0, pauses: 1.0 };

    /// A pace of one's own: `work` scales what the machine does, `pauses` what it waits before it
    /// tries again. Values below 0 and other than numbers count as 0, those above 100 as 100.
    pub fn new(work: f64, pauses: f64) -> Self {
        let bounded = |value: f64| if value.is_finite() { value.clamp(0.0, 100.0) } else { 0.0 };
        Self { work: bounded(work), pauses: bounded(pauses) }
    }

    /// Ten times slower work, for the fault `slow`. An instant machine becomes as slow as a
    /// demo's.
    pub(crate) fn slowed(self) -> Self {
        Self { work: (self.work * 10.0).max(Self::DEMO.work), ..self }
    }

    /// Lets the time pass that some work takes.
    pub(crate) async fn work(self, seconds: f64) {
        pass(seconds * self.work).await;
    }

    /// Waits before another attempt.
    pub(crate) async fn pause(self, seconds: f64) {
        pass(seconds * self.pauses).await;
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::DEMO
    }
}

async fn pass(seconds: f64) {
    if seconds > 0.0 {
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    }
}
