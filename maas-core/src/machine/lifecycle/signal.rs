//! The runner's signals (`boot-and-metadata.md` §3.4).

use std::collections::BTreeMap;

use super::change::Change;
use super::{commission, scripts, test, words};
use crate::commission::result::{ScriptReport, ScriptRun};
use crate::machine::{Level, Refusal, SignalStatus, Status, Waiting};
use crate::secret::Secret;

/// The statuses in which a signal is an error; in others it counts, or is ignored.
const REFUSED: [Status; 8] = [
    Status::Missing,
    Status::Reserved,
    Status::Retired,
    Status::Allocated,
    Status::FailedReleasing,
    Status::FailedDiskErasing,
    Status::ExitingRescueMode,
    Status::FailedExitingRescueMode,
];

pub(super) fn signal(
    change: &mut Change<'_>,
    word: SignalStatus,
    error: &str,
    script: Option<&ScriptReport>,
    power: Option<&(String, BTreeMap<String, String>)>,
    fresh: &[ScriptRun],
) -> Result<(), Refusal> {
    let status = change.machine.status;
    if REFUSED.contains(&status) {
        return Err(change.wrong_status("signal"));
    }
    if status == Status::New && word == SignalStatus::Commissioning {
        commission::start_by_enlistment(change, fresh)?;
    }
    let status = change.machine.status;
    if matches!(status, Status::Deployed | Status::RescueMode) {
        if let Some(report) = script {
            scripts::record(change, word, report)?;
        }
        return Ok(());
    }
    // What switches off needs no word from the ephemeral OS any more.
    if !status.is_transient() || change.waits_for_power() {
        return Ok(());
    }
    let believed = change.was_seen();
    let told = match script {
        Some(report) => scripts::record(change, word, report)?,
        None => None,
    };
    if let Some((driver, parameters)) = power.filter(|_| status == Status::Commissioning) {
        learn_power(change, driver, parameters);
    }
    heard(change, word, told);
    // The word that ends a run must come from this run.
    if believed { conclude(change, word, error) } else { Ok(()) }
}

/// A sign of life.
fn heard(change: &mut Change<'_>, word: SignalStatus, told: Option<String>) {
    change.machine.last_ping = Some(change.now());
    match told {
        Some(told) => change.saw(format!("runner: {told}")),
        // A heartbeat says nothing of what is being done.
        None if word == SignalStatus::Working && change.was_seen() => {}
        None => change.saw(format!("runner: {}", spoken(word))),
    }
    if change.machine.status == Status::Deploying {
        if !change.machine.waits_for(Waiting::InstalledSystem) {
            change.wait_for(Waiting::Installer);
        }
    } else {
        change.wait_for(Waiting::Scripts);
    }
}

/// What the word means in the present status.
fn conclude(change: &mut Change<'_>, word: SignalStatus, error: &str) -> Result<(), Refusal> {
    match (change.machine.status, word) {
        (Status::Commissioning, SignalStatus::Ok) => commission::finish(change),
        (Status::Commissioning, SignalStatus::Testing) => commission::go_on_to_testing(change),
        (Status::Testing, SignalStatus::Ok) => test::finish(change),
        (Status::EnteringRescueMode, SignalStatus::Ok | SignalStatus::Working) => {
            change.move_to(Status::RescueMode)
        }
        (Status::DiskErasing | Status::Releasing, SignalStatus::Ok) => {
            change.note(
                Level::Info,
                "Release scripts finished",
                words::clip(error, words::SENTENCE),
            );
            Ok(())
        }
        (_, SignalStatus::Failed) => {
            let sentence = words::failure(&change.machine, &reason(change, error));
            commission::fail(change, sentence)
        }
        _ => Ok(()),
    }
}

/// The runner's sentence with the names of the scripts that failed.
fn reason(change: &Change<'_>, error: &str) -> String {
    use crate::commission::result::ScriptType;
    let script_type = match change.machine.status {
        Status::Commissioning => ScriptType::Commissioning,
        Status::Deploying => ScriptType::Deployment,
        Status::Testing => ScriptType::Testing,
        _ => ScriptType::Release,
    };
    let names = scripts::failed(&change.machine, script_type);
    let error = words::clip(error, words::SENTENCE);
    match (error.is_empty(), names.is_empty()) {
        (_, true) => error.to_owned(),
        (true, false) => format!("failed scripts: {}", names.join(", ")),
        (false, false) => format!("{error} (failed scripts: {})", names.join(", ")),
    }
}

/// Keeps the BMC that bmc-config found, unless an operator or a better finding chose another.
fn learn_power(change: &mut Change<'_>, driver: &str, parameters: &BTreeMap<String, String>) {
    /// What the reference keeps of a Redfish BMC.
    const REDFISH: [&str; 4] = ["node_id", "power_address", "power_pass", "power_user"];
    let power = &mut change.machine.power;
    let replaces = power.driver.is_empty()
        || power.driver == driver
        || (power.driver == "ipmi" && driver == "redfish");
    if driver.is_empty() || !replaces {
        return;
    }
    let mut parameters = parameters.clone();
    if driver == "redfish" {
        parameters.retain(|key, _| REDFISH.contains(&key.as_str()));
    }
    let parameters = Secret::new(parameters);
    if power.driver != driver || power.parameters != parameters {
        words::clip(driver, words::NAME).clone_into(&mut power.driver);
        power.parameters = parameters;
        change.note(Level::Info, "Power parameters found", words::clip(driver, words::NAME));
    }
}

const fn spoken(word: SignalStatus) -> &'static str {
    match word {
        SignalStatus::Ok => "all scripts ran",
        SignalStatus::Failed => "reported a failure",
        SignalStatus::Working => "is working",
        SignalStatus::Commissioning => "commissioning scripts begin",
        SignalStatus::Testing => "testing scripts begin",
        SignalStatus::Timedout => "a script ran out of time",
        SignalStatus::Installing => "installs packages",
        SignalStatus::ApplyingNetconf => "applies network configuration",
        SignalStatus::Releasing => "release scripts begin",
        SignalStatus::Deploying => "deployment scripts begin",
    }
}
