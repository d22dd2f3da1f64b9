//! The sentences of the history: what failed, at which step, and what was waited for.

use std::time::Duration;

use crate::machine::{Deadline, Machine, Waiting};
use crate::time::Timestamp;

/// The longest sentence kept from outside, in characters.
pub(super) const SENTENCE: usize = 2000;
/// The longest name kept from outside, in characters.
pub(super) const NAME: usize = 200;

/// A text from outside, cut to `limit` characters.
pub(super) fn clip(text: &str, limit: usize) -> &str {
    let text = text.trim();
    text.char_indices().nth(limit).map_or(text, |(end, _)| &text[..end])
}

/// What a wait is for.
pub(super) const fn waiting(waiting_for: Waiting) -> &'static str {
    match waiting_for {
        Waiting::NetworkBoot => "the machine's firmware to ask for a boot file",
        Waiting::EphemeralOs => "the ephemeral OS to ask the metadata service",
        Waiting::Scripts => "the scripts to report",
        Waiting::Installer => "the installer",
        Waiting::InstalledSystem => "the installed system to ask for its user data",
        Waiting::PowerOff => "the machine to be off",
        Waiting::PowerOn => "the machine to be on",
    }
}

/// The failure of the present operation, with the step at which it stopped.
pub(super) fn failure(machine: &Machine, reason: &str) -> String {
    let operation = machine.status.display_name();
    let reason = clip(reason, SENTENCE);
    let reason = if reason.is_empty() { "no reason was given" } else { reason };
    match (&machine.last_step, &machine.deadline) {
        (Some(step), _) => {
            format!("Node operation '{operation}' failed at '{}': {reason}", step.what)
        }
        (None, Some(deadline)) => format!(
            "Node operation '{operation}' failed while waiting for {}: {reason}",
            waiting(deadline.waiting_for)
        ),
        (None, None) => format!("Node operation '{operation}' failed at its start: {reason}"),
    }
}

/// The end of a wait.
pub(super) fn timed_out(machine: &Machine, deadline: &Deadline, now: Timestamp) -> String {
    let mut sentence = format!(
        "Node operation '{}' timed out after {}: ",
        machine.status.display_name(),
        span(now.since(deadline.since))
    );
    if deadline.waiting_for == Waiting::InstalledSystem && !machine.netboot {
        sentence.push_str(
            "the installation had finished, but the installed system never asked the metadata \
             service for its user data (can its network reach the rack?); ",
        );
    }
    match &machine.last_step {
        Some(step) => {
            sentence.push_str(&format!(
                "the last thing seen was '{}' at {}",
                step.what,
                utc(step.at)
            ));
            if let Some(ping) = machine.last_ping.filter(|&ping| ping > step.at) {
                sentence.push_str(&format!(", the last heartbeat came at {}", utc(ping)));
            }
        }
        None => sentence.push_str("nothing was seen of the machine since the start"),
    }
    sentence.push_str("; waited for ");
    sentence.push_str(waiting(deadline.waiting_for));
    sentence
}

/// A duration in words: whole minutes, or seconds below one minute.
pub(super) fn span(duration: Duration) -> String {
    let count =
        |number: u64, unit: &str| format!("{number} {unit}{}", if number == 1 { "" } else { "s" });
    match duration.as_secs() {
        seconds @ 0..=59 => count(seconds, "second"),
        seconds => count(seconds / 60, "minute"),
    }
}

/// An instant as `2026-11-22 17:05:09 UTC`.
pub(super) fn utc(at: Timestamp) -> String {
    let seconds = at.seconds();
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01, in eras of 400 years, so that leap days come last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_the_calendar_has_them() {
        assert_eq!(utc(Timestamp::from_seconds(0)), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(Timestamp::from_seconds(951_782_399)), "2000-02-28 23:59:59 UTC");
        assert_eq!(utc(Timestamp::from_seconds(951_782_400)), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(Timestamp::from_seconds(1_795_366_800)), "2026-11-22 17:00:00 UTC");
        assert_eq!(utc(Timestamp::from_seconds(-1)), "1969-12-31 23:59:59 UTC");
        for extreme in [i64::MIN, i64::MAX] {
            assert!(utc(Timestamp(extreme)).ends_with(" UTC"));
        }
    }

    #[test]
    fn texts_from_outside_are_cut_between_characters() {
        assert_eq!(clip(" äöü ", 2), "äö");
        assert_eq!(clip("ab", 2), "ab");
    }

    #[test]
    fn durations_are_in_words() {
        assert_eq!(span(Duration::from_secs(1)), "1 second");
        assert_eq!(span(Duration::from_secs(1800)), "30 minutes");
    }
}
