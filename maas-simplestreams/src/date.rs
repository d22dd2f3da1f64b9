//! Points in time as simplestreams writes them: RFC 2822, with RFC 3339 understood too.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Whole seconds since 1970-01-01T00:00:00Z.
///
/// Documents carry dates to the second (`Thu, 24 Jul 2025 08:01:49 +0000`), and OpenPGP signature
/// times have the same resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// A date that is neither RFC 2822 nor RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a date in the form of RFC 2822 or RFC 3339")]
#[non_exhaustive]
pub struct DateError {
    /// The text that was read, at most 64 characters of it.
    pub text: String,
}

impl Timestamp {
    /// A point in time from seconds since the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    pub const fn as_seconds(self) -> i64 {
        self.0
    }

    /// Reads `Thu, 24 Jul 2025 08:01:49 +0000` (any zone) or `2025-07-24T08:01:49Z`.
    pub fn parse(text: &str) -> Result<Self, DateError> {
        let text = text.trim();
        if let Ok(zoned) = jiff::fmt::rfc2822::parse(text) {
            return Ok(Self(zoned.timestamp().as_second()));
        }
        text.parse::<jiff::Timestamp>()
            .map(|timestamp| Self(timestamp.as_second()))
            .map_err(|_| DateError { text: text.chars().take(64).collect() })
    }

    /// The time that lies `span` later.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_secs()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 2822 in UTC, the form of the `updated` field.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(timestamp) => write!(
                formatter,
                "{}",
                timestamp.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
            ),
            Err(_) => write!(formatter, "{} seconds since the epoch", self.0),
        }
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(span) => Self(i64::try_from(span.as_secs()).unwrap_or(i64::MAX)),
            Err(before) => {
                Self(i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |s| -s))
            }
        }
    }
}

impl From<Timestamp> for SystemTime {
    /// Times outside the range of the system's clock become the epoch.
    fn from(timestamp: Timestamp) -> Self {
        let span = Duration::from_secs(timestamp.0.unsigned_abs());
        let time = if timestamp.0 >= 0 {
            UNIX_EPOCH.checked_add(span)
        } else {
            UNIX_EPOCH.checked_sub(span)
        };
        time.unwrap_or(UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_date_of_a_genuine_document_is_read_and_written_alike() {
        let text = "Thu, 24 Jul 2025 08:01:49 +0000";
        let timestamp = Timestamp::parse(text).unwrap();
        assert_eq!(timestamp.as_seconds(), 1_753_344_109);
        assert_eq!(timestamp.to_string(), text);
    }

    #[test]
    fn other_zones_and_rfc_3339_name_the_same_instant() {
        let utc = Timestamp::parse("Thu, 24 Jul 2025 08:01:49 +0000").unwrap();
        assert_eq!(Timestamp::parse("Thu, 24 Jul 2025 04:01:49 -0400").unwrap(), utc);
        assert_eq!(Timestamp::parse("2025-07-24T08:01:49Z").unwrap(), utc);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "yesterday", "2025-07-24", "Thu, 32 Jul 2025 08:01:49 +0000"] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn system_time_makes_the_round_trip() {
        for seconds in [0, 1, -1, 1_753_344_109] {
            let timestamp = Timestamp::from_seconds(seconds);
            assert_eq!(Timestamp::from(SystemTime::from(timestamp)), timestamp);
        }
    }
}
