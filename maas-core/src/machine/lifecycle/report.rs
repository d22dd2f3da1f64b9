//! Events of cloud-init's and curtin's reporting webhook (`boot-and-metadata.md` §2.4).

use super::change::Change;
use super::{commission, deploy, release, words};
use crate::commission::result::ScriptStatus;
use crate::machine::{Level, Refusal, Report, ReportPhase, Status, Waiting};

pub(super) fn report(change: &mut Change<'_>, report: &Report) -> Result<(), Refusal> {
    let status = change.machine.status;
    if !status.is_transient() {
        after_the_end(change, report);
        return Ok(());
    }
    if change.waits_for_power() || is_trifle(report) {
        return Ok(());
    }
    // What would end the run must come from this run.
    let believed = change.was_seen();
    witness(change, report);
    if !believed || !is_top_level(report) {
        return Ok(());
    }
    match (status, report.phase) {
        (_, ReportPhase::Start) => Ok(()),
        (Status::Commissioning, ReportPhase::Fail) if may_reboot(change) => Ok(()),
        (
            Status::Commissioning | Status::Deploying | Status::DiskErasing | Status::Releasing,
            ReportPhase::Fail,
        ) => {
            let sentence = words::failure(&change.machine, &report.description);
            commission::fail(change, sentence)
        }
        (_, ReportPhase::Fail) => Ok(()),
        (Status::Deploying, _) if is_last_stage(report) && deploy::is_up_by_report(change) => {
            deploy::arrived(change, "the deployed system reported the end of its first boot")
        }
        (Status::Deploying, _) if is_last_stage(report) => ephemeral_os_finished(change),
        (Status::Deploying, _) if report.origin != "curtin" => {
            deploy::cloud_init_began(change);
            Ok(())
        }
        (Status::DiskErasing | Status::Releasing, _) if is_last_stage(report) => {
            release::scripts_finished(change)
        }
        _ => Ok(()),
    }
}

/// The ephemeral OS came to its end while deploying.
fn ephemeral_os_finished(change: &mut Change<'_>) -> Result<(), Refusal> {
    let ephemeral =
        change.machine.deployment.as_ref().is_some_and(|deployment| deployment.ephemeral);
    if change.machine.netboot && !ephemeral {
        // It would reboot into the installer, again and again.
        let sentence = words::failure(
            &change.machine,
            "the ephemeral OS ended, but no installer ran to its end and switched netboot off",
        );
        return commission::fail(change, sentence);
    }
    change.note(Level::Info, "Rebooting", "the installation is finished");
    Ok(())
}

/// Notes the report as a sign of life.
fn witness(change: &mut Change<'_>, report: &Report) {
    let what = step(report);
    // A failure is told once per level, from the inside out: the innermost says most.
    let told = report.phase == ReportPhase::Fail
        && change.machine.last_step.as_ref().is_some_and(|last| {
            let outer = format!("{}/", what.trim_end_matches(" failed"));
            last.what.starts_with(&outer) && last.what.ends_with(" failed")
        });
    if !told {
        change.saw(what);
    }
    let level = match report.phase {
        ReportPhase::Fail => Level::Error,
        ReportPhase::Warn => Level::Warning,
        _ if is_top_level(report) => Level::Info,
        _ => Level::Debug,
    };
    let description =
        format!("{}: {}", step(report), words::clip(&report.description, words::SENTENCE));
    change.note(level, milestone(report).unwrap_or("Node status event"), description);
    if change.machine.status == Status::Deploying {
        let ephemeral =
            change.machine.deployment.as_ref().is_some_and(|deployment| deployment.ephemeral);
        let installed = ephemeral || !change.machine.netboot;
        change.wait_for(if installed { Waiting::InstalledSystem } else { Waiting::Installer });
    } else {
        change.wait_for(Waiting::Scripts);
    }
}

/// Nothing is under way: only failures are worth a line.
fn after_the_end(change: &mut Change<'_>, report: &Report) {
    if !is_top_level(report) || report.phase != ReportPhase::Fail {
        return;
    }
    let description =
        format!("{}: {}", step(report), words::clip(&report.description, words::SENTENCE));
    if change.machine.status == Status::Deployed {
        change.note(Level::Error, "Node post-installation failure", description);
    } else {
        change.aside(Level::Warning, "Node status event", description);
    }
}

/// Whether it says nothing that the next report will not say: cloud-init's small steps follow
/// each other within milliseconds, and eighty of them make one boot.
fn is_trifle(report: &Report) -> bool {
    report.origin != "curtin" && !is_top_level(report) && report.phase == ReportPhase::Success
}

fn is_top_level(report: &Report) -> bool {
    !report.name.contains('/')
}

fn is_last_stage(report: &Report) -> bool {
    report.origin != "curtin" && report.name == "modules-final"
}

/// MAAS's own words for the stages that people wait for.
fn milestone(report: &Report) -> Option<&'static str> {
    if report.phase != ReportPhase::Start {
        return None;
    }
    match report.name.as_str() {
        "cmd-install/stage-partitioning" => Some("Configuring storage"),
        "cmd-install/stage-extract" => Some("Installing OS"),
        "cmd-install/stage-curthooks" => Some("Configuring OS"),
        _ => None,
    }
}

fn step(report: &Report) -> String {
    let origin = match report.origin.as_str() {
        "cloudinit" => "cloud-init",
        other => words::clip(other, words::NAME),
    };
    let ending = match report.phase {
        ReportPhase::Start => "",
        ReportPhase::Success => " finished",
        ReportPhase::Warn => " finished with a warning",
        ReportPhase::Fail => " failed",
    };
    format!("{origin}: {}{ending}", words::clip(&report.name, words::NAME))
}

/// Whether a script that runs or ran may have rebooted the machine under cloud-init.
fn may_reboot(change: &Change<'_>) -> bool {
    change.machine.scripts.iter().any(|run| {
        run.may_reboot && matches!(run.status, ScriptStatus::Running | ScriptStatus::Passed)
    })
}
