//! The three ways in which API 2.0 writes a date.

use jiff::Timestamp as Instant;
use jiff::fmt::strtime;
use maas_core::time::Timestamp;

/// `2018-12-04T18:34:59.543`: boot sources; always with a fraction, never with a zone.
pub(crate) fn iso(at: Timestamp) -> String {
    format!("{}.{:03}", format("%Y-%m-%dT%H:%M:%S", at), at.0.rem_euclid(1_000_000) / 1000)
}

/// `Fri, 07 Dec. 2018 20:11:08`: events.
pub(crate) fn event(at: Timestamp) -> String {
    format("%a, %d %b. %Y %H:%M:%S", at)
}

/// `Thu, 06 Dec 2018 20:41:55 -0000`: scripts and results.
pub(crate) fn rfc2822(at: Timestamp) -> String {
    format("%a, %d %b %Y %H:%M:%S -0000", at)
}

/// `0:01:03`.
pub(crate) fn runtime(seconds: u64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Instants beyond what a calendar holds are written as the epoch.
fn format(pattern: &str, at: Timestamp) -> String {
    let instant = Instant::from_microsecond(at.0).unwrap_or(Instant::UNIX_EPOCH);
    strtime::format(pattern, instant).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_has_its_own_form() {
        let at = Timestamp(1_544_213_468_543_000);
        assert_eq!(iso(at), "2018-12-07T20:11:08.543");
        assert_eq!(event(at), "Fri, 07 Dec. 2018 20:11:08");
        assert_eq!(rfc2822(at), "Fri, 07 Dec 2018 20:11:08 -0000");
        assert_eq!(runtime(3723), "1:02:03");
        assert_eq!(event(Timestamp(i64::MAX)), "Thu, 01 Jan. 1970 00:00:00");
    }
}
