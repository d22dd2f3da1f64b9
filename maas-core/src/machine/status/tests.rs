#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// The reference's table by its own names, to compare ours with.
const TABLE: &str = "
    NEW: BROKEN COMMISSIONING ENTERING_RESCUE_MODE MISSING READY RETIRED TESTING
    COMMISSIONING: BROKEN FAILED_COMMISSIONING MISSING NEW READY RETIRED TESTING
    FAILED_COMMISSIONING: BROKEN COMMISSIONING ENTERING_RESCUE_MODE MISSING RETIRED TESTING
    READY: ALLOCATED BROKEN COMMISSIONING ENTERING_RESCUE_MODE MISSING RESERVED RETIRED TESTING
    RESERVED: ALLOCATED BROKEN DISK_ERASING ENTERING_RESCUE_MODE MISSING READY RELEASING RETIRED TESTING
    ALLOCATED: BROKEN DEPLOYING DISK_ERASING ENTERING_RESCUE_MODE MISSING READY RELEASING RETIRED TESTING
    DEPLOYING: ALLOCATED BROKEN DEPLOYED DISK_ERASING FAILED_DEPLOYMENT MISSING READY RELEASING
    DEPLOYED: ALLOCATED BROKEN DISK_ERASING ENTERING_RESCUE_MODE MISSING READY RELEASING TESTING
    FAILED_DEPLOYMENT: ALLOCATED BROKEN DISK_ERASING ENTERING_RESCUE_MODE MISSING READY RELEASING TESTING
    RELEASING: ALLOCATED BROKEN DEPLOYED FAILED_DEPLOYMENT FAILED_DISK_ERASING FAILED_RELEASING MISSING NEW READY RESERVED
    FAILED_RELEASING: BROKEN DISK_ERASING READY RELEASING TESTING
    DISK_ERASING: BROKEN DISK_ERASING FAILED_DISK_ERASING READY RELEASING
    FAILED_DISK_ERASING: ALLOCATED BROKEN DISK_ERASING ENTERING_RESCUE_MODE READY RELEASING TESTING
    MISSING: ALLOCATED BROKEN COMMISSIONING ENTERING_RESCUE_MODE NEW READY TESTING
    RETIRED: BROKEN ENTERING_RESCUE_MODE MISSING NEW READY TESTING
    BROKEN: COMMISSIONING DEPLOYED DISK_ERASING ENTERING_RESCUE_MODE READY RELEASING TESTING
    ENTERING_RESCUE_MODE: BROKEN DEPLOYED EXITING_RESCUE_MODE FAILED_ENTERING_RESCUE_MODE READY RESCUE_MODE
    FAILED_ENTERING_RESCUE_MODE: BROKEN ENTERING_RESCUE_MODE EXITING_RESCUE_MODE TESTING
    RESCUE_MODE: BROKEN EXITING_RESCUE_MODE TESTING
    EXITING_RESCUE_MODE: ALLOCATED BROKEN DEPLOYED FAILED_COMMISSIONING FAILED_DEPLOYMENT FAILED_DISK_ERASING FAILED_ENTERING_RESCUE_MODE FAILED_EXITING_RESCUE_MODE FAILED_RELEASING FAILED_TESTING MISSING NEW READY RESCUE_MODE RESERVED RETIRED
    FAILED_EXITING_RESCUE_MODE: BROKEN EXITING_RESCUE_MODE TESTING
    TESTING: ALLOCATED BROKEN COMMISSIONING DEPLOYED FAILED_DEPLOYMENT FAILED_DISK_ERASING FAILED_ENTERING_RESCUE_MODE FAILED_EXITING_RESCUE_MODE FAILED_RELEASING FAILED_TESTING MISSING NEW READY RESERVED RETIRED
    FAILED_TESTING: BROKEN COMMISSIONING DEPLOYED ENTERING_RESCUE_MODE MISSING READY TESTING
";

fn named(name: &str) -> Status {
    name.parse().unwrap()
}

#[test]
fn the_table_is_the_references() {
    let mut rows = 0;
    for line in TABLE.lines().filter(|line| !line.trim().is_empty()) {
        let (from, to) = line.split_once(':').unwrap();
        let mut expected: Vec<Status> = to.split_whitespace().map(named).collect();
        let mut found = named(from.trim()).next().to_vec();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "after {from}");
        rows += 1;
    }
    assert_eq!(rows, Status::ALL.len());
}

#[test]
fn what_the_reference_forbids_is_forbidden() {
    assert!(!Status::FailedDeployment.can_become(Status::Deploying));
    assert!(!Status::FailedCommissioning.can_become(Status::Ready));
    assert!(!Status::Ready.can_become(Status::Deploying));
}

#[test]
fn numbers_and_names_lead_back() {
    for (number, status) in (0u8..).zip(Status::ALL) {
        assert_eq!(status.number(), number);
        assert_eq!(Status::try_from(number).unwrap(), status);
        assert_eq!(named(status.name()), status);
        assert_eq!(named(&status.name().to_uppercase()), status);
    }
    assert_eq!(Status::try_from(23).unwrap_err().found, "23");
}

#[test]
fn every_transient_status_can_fail_and_has_a_limit() {
    let timeout = Duration::from_secs(1800);
    for status in Status::ALL {
        assert_eq!(status.is_transient(), status.limit(timeout).is_some(), "{status}");
        if let Some(failure) = status.failure() {
            assert!(status.can_become(failure), "{status} -> {failure}");
            assert!(failure.is_failed());
        } else {
            assert_eq!(status.hard_stop(timeout), None);
        }
    }
    assert_eq!(Status::ALL.into_iter().filter(|status| status.is_failed()).count(), 7);
}

#[test]
fn groups_are_the_references() {
    let numbers = |group: fn(Status) -> bool| -> Vec<u8> {
        Status::ALL.into_iter().filter(|&status| group(status)).map(Status::number).collect()
    };
    assert_eq!(numbers(Status::is_failed), [2, 11, 13, 15, 18, 20, 22]);
    assert_eq!(numbers(|status| status.simple() == "Other"), [3, 5, 7]);
    assert_eq!(numbers(|status| status.simple() == "Releasing"), [12, 14]);
    assert_eq!(numbers(|status| status.simple() == "Rescue Mode"), [16, 17, 19]);
    assert_eq!(
        numbers(Status::is_in_use),
        [6, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22]
    );
    assert_eq!(numbers(Status::is_releasable), [5, 6, 8, 9, 10, 11, 13, 15]);
    assert_eq!(numbers(Status::is_commissioning_like), [0, 1, 12, 14, 16, 17, 21]);
}

proptest! {
    #[test]
    fn any_word_is_read_or_refused(word in "\\PC{0,20}") {
        if let Ok(status) = word.parse::<Status>() {
            let by_number = word.parse() == Ok(status.number());
            prop_assert!(by_number || status.name().eq_ignore_ascii_case(&word));
        }
    }
}

#[test]
fn a_filter_names_a_status_by_word_or_number() {
    for status in Status::ALL {
        assert_eq!(status.name().to_uppercase().parse(), Ok(status));
        assert_eq!(status.number().to_string().parse(), Ok(status));
    }
    for wrong in ["", "23", "-1", "happy", "4 "] {
        assert!(wrong.parse::<Status>().is_err(), "{wrong:?}");
    }
}
