#![allow(clippy::unwrap_used)]

use super::*;
use crate::store::{Change, NewMachine};
use crate::testing::{machine, region, run as script_run};

fn report(origin: &str, name: &str, phase: ReportPhase) -> Report {
    Report { origin: origin.into(), name: name.into(), description: format!("{name}!"), phase }
}

fn deploying(run_id: u64) -> Machine {
    let mut machine = machine(1);
    machine.status = Status::Deploying;
    machine.scripts = vec![script_run(run_id, "50-curtin-install", ScriptType::Deployment)].into();
    machine
}

#[tokio::test]
async fn a_trail_survives_in_the_database_and_the_next_run_begins_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let machine = region.store.add(NewMachine::new(deploying(7))).await.unwrap();
    for (at, name, phase) in [
        (1, "cmd-install", ReportPhase::Start),
        (2, "cmd-install/stage-extract", ReportPhase::Start),
        (5, "cmd-install/stage-extract", ReportPhase::Success),
    ] {
        let at = Timestamp::from_seconds(at);
        let reports = record(&region, &machine, at, &report("curtin", name, phase)).await.unwrap();
        let stored = region.store.machine(&machine.system_id).await.unwrap().unwrap();
        let change = Change { reports, ..Change::new(Machine::clone(&stored), at) };
        region.store.commit(change).await.unwrap();
    }
    // As after a crash: memory is empty.
    region.trails.all().clear();
    let known = explanation(&region, &machine).await.unwrap();
    let shown = shown(&known);
    assert_eq!(shown["stages"][0]["name"], "cmd-install");
    assert_eq!(shown["stages"][0]["outcome"], "running");
    assert_eq!(shown["stages"][0]["stages"][0]["duration"], 3.0);
    assert_eq!(shown["failure"], Value::Null);
    let next = deploying(8);
    let first = report("cloudinit", "init-local/check-cache", ReportPhase::Success);
    let fresh = record(&region, &next, Timestamp::from_seconds(9), &first).await.unwrap();
    assert_eq!(fresh.iter().map(|one| one.number).collect::<Vec<_>>(), Vec::<u64>::new());
    assert_eq!(region.trails.reports(&next.system_id).unwrap().len(), 1);
    let last = report("cloudinit", "modules-final", ReportPhase::Success);
    let fresh = record(&region, &next, Timestamp::from_seconds(10), &last).await.unwrap();
    assert_eq!(fresh.iter().map(|one| one.number).collect::<Vec<_>>(), [0, 1]);
    // What could not be stored is stored with the next one.
    region.trails.take_back(&next.system_id, fresh);
    let fresh = record(&region, &next, Timestamp::from_seconds(11), &last).await.unwrap();
    assert_eq!(fresh.iter().map(|one| one.number).collect::<Vec<_>>(), [0, 1, 2]);
    forget(&region, &next.system_id);
    assert_eq!(region.trails.reports(&next.system_id), None);
}

#[tokio::test]
async fn a_trail_is_bounded_and_keeps_its_beginning_and_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let machine = deploying(7);
    for count in 0..FIRST + LAST + 50 {
        let name = format!("modules-final/config-{count}");
        let at = Timestamp::from_seconds(i64::try_from(count).unwrap());
        let report = report("cloudinit", &name, ReportPhase::Success);
        record(&region, &machine, at, &report).await.unwrap();
    }
    let reports = region.trails.reports(&machine.system_id).unwrap();
    assert_eq!(reports.len(), FIRST + LAST);
    assert!(reports[0].report.name.ends_with("-0"));
    assert!(reports[FIRST].report.name.ends_with("-150"));
    assert!(reports[FIRST + LAST - 1].report.name.ends_with("-649"));
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
