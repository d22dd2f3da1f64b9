#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::machine::{Report, ReportPhase};
use crate::time::Timestamp;

fn reported(second: i64, origin: &str, name: &str, phase: ReportPhase, text: &str) -> Reported {
    Reported {
        at: Timestamp::from_seconds(second),
        report: Report {
            origin: origin.into(),
            name: name.into(),
            description: text.into(),
            phase,
        },
    }
}

fn failed_installation() -> Vec<Reported> {
    use ReportPhase::{Fail, Start, Success};
    vec![
        reported(1, "cloudinit", "init-network", Success, "searching"),
        reported(10, "curtin", "cmd-install", Start, "curtin command install"),
        reported(11, "curtin", "cmd-install/stage-partitioning", Start, "partitioning"),
        reported(
            12,
            "curtin",
            "cmd-install/stage-partitioning/builtin",
            Start,
            "running 'curtin block-meta custom'",
        ),
        reported(
            20,
            "curtin",
            "cmd-install/stage-partitioning/builtin",
            Fail,
            "running 'curtin block-meta custom'",
        ),
        reported(21, "curtin", "cmd-install/stage-partitioning", Fail, "partitioning"),
        reported(22, "curtin", "cmd-install", Fail, "curtin command install"),
        reported(23, "cloudinit", "modules-final", Fail, "running modules for final"),
    ]
}

const LOG: &str = "\
start: cmd-install/stage-partitioning/builtin/cmd-block-meta: curtin command block-meta
An error occured handling 'md0': ProcessExecutionError - Unexpected error while running command.
Command: ['mdadm', '--create', '/dev/md0', '--run']
Exit code: 2
Reason: -
Stderr: mdadm: cannot open /dev/sdb2: Device or resource busy

Unexpected error while running command.
Command: ['curtin', 'block-meta', 'custom']
Exit code: 3
Reason: -
";

#[test]
fn the_innermost_stage_and_the_real_command_are_named() {
    let explanation = explain(&failed_installation()[..7], Some(LOG));
    let failure = explanation.failure.unwrap();
    assert_eq!(failure.stage, "cmd-install/stage-partitioning/builtin");
    assert_eq!(
        failure.command,
        Some(FailedCommand {
            command: "['mdadm', '--create', '/dev/md0', '--run']".into(),
            exit_code: Some(2)
        })
    );
    assert_eq!(failure.hint.unwrap().code, "disk-busy");
    assert_eq!(failure.last_lines.last().unwrap(), "Reason: -");
}

#[test]
fn stages_form_trees_with_durations() {
    let stages = stages(&failed_installation());
    let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["init-network", "cmd-install", "modules-final"]);
    let install = &stages[1];
    assert_eq!(install.duration(), Some(Duration::from_secs(12)));
    assert_eq!(install.inside[0].inside[0].duration(), Some(Duration::from_secs(8)));
    assert_eq!(stages[0].duration(), None);
}

#[test]
fn an_activity_that_begins_again_is_a_new_stage() {
    use ReportPhase::{Fail, Start, Success};
    let reports = [
        reported(1, "cloudinit", "modules-final", Start, ""),
        reported(2, "cloudinit", "modules-final", Fail, ""),
        reported(9, "cloudinit", "modules-final", Start, ""),
        reported(12, "cloudinit", "modules-final", Success, ""),
    ];
    let stages = stages(&reports);
    assert_eq!(stages.len(), 2);
    assert_eq!(stages[1].duration(), Some(Duration::from_secs(3)));
}

#[test]
fn a_success_has_no_failure_and_warnings_are_none() {
    let reports = [
        reported(1, "curtin", "cmd-install", ReportPhase::Start, ""),
        reported(2, "curtin", "cmd-install", ReportPhase::Warn, ""),
    ];
    assert_eq!(explain(&reports, Some("No space left on device")).failure, None);
    assert_eq!(explain(&[], None).failure, None);
}

#[test]
fn what_the_installer_itself_reports_is_explained() {
    let reports = [reported(
        5,
        "curtin",
        "cmd-install",
        ReportPhase::Fail,
        "curtin is not on this system, there is no operator's curtin pack, and it cannot be installed from the archive",
    )];
    assert_eq!(explain(&reports, None).failure.unwrap().hint.unwrap().code, "no-curtin");
}

#[test]
fn the_table_has_each_code_once_and_a_remedy_for_each() {
    let mut codes = BTreeSet::new();
    for hint in super::super::hints() {
        assert!(codes.insert(hint.code), "{}", hint.code);
        assert!(!hint.cause.is_empty() && !hint.remedy.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn explaining_never_panics_and_loses_no_report(
        names in proptest::collection::vec("[a-c/]{0,6}", 0..20),
        log in proptest::option::of("\\PC{0,80}|(Command: |Exit code: |\\n|x|'){0,20}"),
    ) {
        let reports: Vec<Reported> = names
            .iter()
            .zip([ReportPhase::Start, ReportPhase::Fail, ReportPhase::Success].iter().cycle())
            .zip(0..)
            .map(|((name, phase), at)| reported(at, "curtin", name, *phase, ""))
            .collect();
        let explanation = explain(&reports, log.as_deref());
        let named = names.iter().any(|name| name.split('/').any(|part| !part.is_empty()));
        prop_assert_eq!(explanation.stages.is_empty(), !named);
    }
}
