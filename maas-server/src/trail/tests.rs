#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::{machine, region, run as script_run};

fn report(origin: &str, name: &str, phase: ReportPhase) -> Report {
    Report { origin: origin.into(), name: name.into(), description: format!("{name}!"), phase }
}

fn deploying(run_id: u64) -> Machine {
    let mut machine = machine(1);
    machine.status = Status::Deploying;
    machine.scripts = vec![script_run(run_id, "50-curtin-install", ScriptType::Deployment)];
    machine
}

#[tokio::test]
async fn a_trail_survives_in_the_database_and_the_next_run_begins_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let machine = deploying(7);
    for (at, name, phase) in [
        (1, "cmd-install", ReportPhase::Start),
        (2, "cmd-install/stage-extract", ReportPhase::Start),
        (5, "cmd-install/stage-extract", ReportPhase::Success),
    ] {
        let at = Timestamp::from_seconds(at);
        record(&region, &machine, at, &report("curtin", name, phase)).await.unwrap();
    }
    // As after a crash: memory is empty.
    region.trails.0.lock().unwrap().clear();
    let known = explanation(&region, &machine).await.unwrap();
    let shown = shown(&known);
    assert_eq!(shown["stages"][0]["name"], "cmd-install");
    assert_eq!(shown["stages"][0]["outcome"], "running");
    assert_eq!(shown["stages"][0]["stages"][0]["duration"], 3.0);
    assert_eq!(shown["failure"], Value::Null);
    let next = deploying(8);
    let first = report("cloudinit", "init-local", ReportPhase::Success);
    let trail = record(&region, &next, Timestamp::from_seconds(9), &first).await.unwrap();
    assert_eq!(trail.reports.len(), 1);
    forget(&region, &next.system_id).await.unwrap();
    assert!(explanation(&region, &next).await.unwrap().stages.is_empty());
}

#[tokio::test]
async fn a_trail_is_bounded_and_keeps_its_beginning_and_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let machine = deploying(7);
    let mut trail = None;
    for count in 0..MOST + 50 {
        let name = format!("modules-final/config-{count}");
        let at = Timestamp::from_seconds(i64::try_from(count).unwrap());
        let report = report("cloudinit", &name, ReportPhase::Success);
        trail = Some(record(&region, &machine, at, &report).await.unwrap());
    }
    let trail = trail.unwrap();
    assert_eq!((trail.reports.len(), trail.left_out), (MOST, 50));
    assert!(trail.reports[0].report.name.ends_with("-0"));
    assert!(trail.reports[MOST - 1].report.name.ends_with("-649"));
}

#[test]
fn a_failure_is_told_with_its_command_its_cause_and_its_remedy() {
    let reports: Vec<Reported> =
        [("cmd-install", ReportPhase::Start), ("cmd-install", ReportPhase::Fail)]
            .map(|(name, phase)| Reported {
                at: Timestamp::from_seconds(0),
                report: report("curtin", name, phase),
            })
            .into();
    let log = "Command: ['mkfs.ext4', '/dev/vda1']\nExit code: 1\nmkfs.ext4: Input/output error\n";
    let failure = explain(&reports, Some(log)).failure.unwrap();
    let sentence = sentence("curtin command install", &failure);
    assert!(
        sentence.starts_with(
            "curtin command install; the command ['mkfs.ext4', '/dev/vda1'] ended with exit code 1; \
             a disk reports errors"
        ) && sentence.ends_with("replace the disk"),
        "{sentence}"
    );
}
