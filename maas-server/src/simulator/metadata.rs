//! Requests to the metadata service with a machine's keys and a clock that may be wrong.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::client::{Reply, Request, Wire};
use super::error::WireError;
use super::oauth::Credentials;
use super::pace::Pace;

/// Seconds between the attempts to post an event. The real reporters give an event up when the
/// region is away; real machines, though, take minutes for what takes milliseconds here, so that
/// a restart of the region costs them an event or two and not all.
pub(crate) const EVENT_PAUSES: [f64; 5] = [0.5, 1.0, 2.0, 4.0, 8.0];

/// How a program spells its `Authorization` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Python's oauthlib.
    Quoted,
    /// `50-curtin-install`.
    Unquoted,
}

/// A client that signs, and corrects its clock once when it is refused.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    wire: &'a Wire,
    pace: Pace,
    pub(crate) credentials: Option<Credentials>,
    dialect: Dialect,
    /// Seconds by which the server's clock is ahead.
    skew: AtomicI64,
}

impl<'a> Signed<'a> {
    pub(crate) fn new(
        wire: &'a Wire,
        pace: Pace,
        credentials: Option<Credentials>,
        dialect: Dialect,
    ) -> Self {
        Self { wire, pace, credentials, dialect, skew: AtomicI64::new(0) }
    }

    fn authorization(&self) -> Option<String> {
        let keys = self.credentials.as_ref()?;
        let timestamp = now() + self.skew.load(Ordering::Relaxed);
        let nonce = nonce();
        Some(match self.dialect {
            Dialect::Quoted => keys.quoted(&nonce, timestamp),
            Dialect::Unquoted => keys.unquoted(&nonce, timestamp),
        })
    }

    /// Sends what `request` makes, each time with a new nonce.
    pub(crate) async fn send<'r>(
        &self,
        request: &(dyn Fn() -> Request<'r> + Sync),
    ) -> Result<Reply, WireError> {
        let first = self.wire.send(request().authorization(self.authorization())).await;
        let Err(WireError::Status { status: 401 | 403, date: Some(date), .. }) = &first else {
            return first;
        };
        let Some(theirs) = seconds(date) else { return first };
        let skew = theirs - now();
        // The clock was right: another try would be refused as well.
        if (skew - self.skew.swap(skew, Ordering::Relaxed)).abs() <= 5 {
            return first;
        }
        self.pace.pause(1.0).await;
        self.wire.send(request().authorization(self.authorization())).await
    }

    /// Sends again after each pause, unless another try cannot help.
    pub(crate) async fn send_patiently<'r>(
        &self,
        pauses: &[f64],
        request: &(dyn Fn() -> Request<'r> + Sync),
    ) -> Result<Reply, WireError> {
        for pause in pauses {
            match self.send(request).await {
                Ok(reply) => return Ok(reply),
                Err(error) if is_final(&error) => return Err(error),
                Err(_) => self.pace.pause(*pause).await,
            }
        }
        self.send(request).await
    }
}

/// Whether the server said no for good, as opposed to being away or busy.
fn is_final(error: &WireError) -> bool {
    match error {
        WireError::Transport { .. } => false,
        WireError::Status { status, .. } => *status < 500 && !matches!(status, 408 | 425 | 429),
        WireError::TooLarge { .. } | WireError::Url { .. } => true,
    }
}

/// Seconds since 1970 by this computer's clock.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The same with a fraction.
pub(crate) fn now_precisely() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Decimal digits, as oauthlib makes them; never twice the same, not even after a restart.
pub(crate) fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}{:06}{count}", since.as_nanos(), std::process::id())
}

fn seconds(date: &str) -> Option<i64> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    parser.parse_timestamp(date).ok().map(jiff::Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_http_is_read() {
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("yesterday"), None);
    }

    #[test]
    fn nonces_differ() {
        let nonces: std::collections::BTreeSet<_> = (0..1000).map(|_| nonce()).collect();
        assert_eq!(nonces.len(), 1000);
    }
}
