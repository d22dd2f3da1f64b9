//! The runner's signals: how scripts went, what they printed, whether all is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use maas_core::commission::builtin::COMMISSIONING_SCRIPT;
use maas_core::commission::resources;
use maas_core::commission::result::{ResultDocument, ScriptReport, ScriptRun, ScriptStatus};
use maas_core::machine::event::SignalStatus;
use maas_core::machine::hardware::Hardware;
use maas_core::machine::{Event, Machine, Status};

use super::{check_version, known_caller, preseed, scripts};
use crate::http::{Fields, Param, Problem, Reply, Request};
use crate::ipam::EditError;
use crate::problems::applied;
use crate::region::{Extras, Region};
use crate::store::{ScriptOutput, Stream};

pub(super) const PARAMS: &[Param] = &[
    Param::required(
        "status",
        "OK, FAILED, WORKING, COMMISSIONING, TESTING, TIMEDOUT, INSTALLING, APPLYING_NETCONF, RELEASING or DEPLOYING.",
    ),
    Param::optional("error", "The runner's own sentence."),
    Param::optional("name", "The script that this is about."),
    Param::optional("script_result_id", "The run that this is about."),
    Param::optional("script_version_id", "Accepted and not used."),
    Param::optional("exit_status", "The script's exit status once it ended."),
    Param::optional("runtime", "Accepted and not used."),
    Param::optional("power_type", "The driver of the BMC that was found."),
    Param::optional("power_parameters", "Its parameters as JSON."),
];

/// `POST …/{version}/ op=signal`
pub(super) async fn signal(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    let machine = known_caller(&region, &request).await?;
    let fields = request.fields();
    let word = fields.required("status")?;
    let status = signal_status(word)
        .ok_or_else(|| Problem::bad_request(format!("Unknown status: '{}'", shown(word))))?;
    let error = fields.text("error")?.unwrap_or_default().to_owned();
    let power = power(fields)?;
    let runs = if machine.status == Status::New && status == SignalStatus::Commissioning {
        scripts::enlistment_runs(&region, &machine).await?
    } else {
        Vec::new()
    };
    let about = about(fields, status, &machine)?;
    let mut extras = Extras::default();
    let mut report = about;
    if let Some(report) = &mut report {
        let run = run_of(&machine, report);
        extras.outputs = outputs(fields, run)?;
        if let Some(run) = run {
            read_hardware(run, report, &mut extras);
        }
    }
    // Before the machine is told: its interfaces are plugged into what is learned here.
    if let Some(hardware) = &extras.hardware {
        learn_networks(&region, &machine, hardware).await;
    }
    let event = Event::Signal { status, error, script: report, power, scripts: runs };
    applied(region.apply(&machine.system_id, &event, extras).await)?;
    Ok(Reply::ok())
}

/// `POST …/{version}/ op=netboot_off`
pub(super) async fn netboot_off(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    let machine = known_caller(&region, &request).await?;
    applied(region.apply(&machine.system_id, &Event::NetbootOff, Extras::default()).await)?;
    Ok(Reply::ok())
}

/// `POST …/{version}/ op=netboot_on`
pub(super) async fn netboot_on(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    let machine = known_caller(&region, &request).await?;
    applied(region.apply(&machine.system_id, &Event::NetbootOn, Extras::default()).await)?;
    Ok(Reply::ok())
}

/// `POST …/by-id/{system_id}/ op=netboot_off`, without credentials: the installer's wget has none.
///
/// It counts only while the machine is being deployed, and is answered the same at any time: an
/// installation fails when its last command does.
pub(super) async fn netboot_off_by_id(
    region: Arc<Region>,
    request: Request,
) -> Result<Reply, Problem> {
    check_version(&request)?;
    let machine = preseed::by_id(&region, &request).await?;
    if machine.status == Status::Deploying {
        applied(region.apply(&machine.system_id, &Event::NetbootOff, Extras::default()).await)?;
    }
    Ok(Reply::ok())
}

fn signal_status(word: &str) -> Option<SignalStatus> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The driver of a BMC and its parameters, as the runner found them.
type FoundPower = (String, BTreeMap<String, String>);

fn power(fields: &Fields) -> Result<Option<FoundPower>, Problem> {
    let Some(driver) = fields.filled("power_type")? else { return Ok(None) };
    let Some(text) = fields.filled("power_parameters")? else {
        return Ok(Some((driver.to_owned(), BTreeMap::new())));
    };
    // The text holds passwords: the answer does not repeat it.
    let parameters = crate::api::power_parameters(text).ok_or_else(|| {
        Problem::field("power_parameters", "Expected a JSON object of texts and numbers.")
    })?;
    Ok(Some((driver.to_owned(), parameters)))
}

/// Which script the signal is about and what it says of it.
fn about(
    fields: &Fields,
    status: SignalStatus,
    machine: &Machine,
) -> Result<Option<ScriptReport>, Problem> {
    let id: Option<u64> = fields.number("script_result_id")?;
    let name = fields.filled("name")?.map(str::to_owned).or_else(|| {
        // Deprecated runners name the script only by its file.
        let file = fields.files().next()?;
        let base = base_name(&file.name).0;
        machine.scripts.iter().any(|run| run.name == base).then(|| base.to_owned())
    });
    if id.is_none() && name.is_none() {
        return Ok(None);
    }
    let stated = match fields.files().find(|file| file.name.ends_with(".yaml")) {
        // A document that cannot be read says nothing.
        Some(file) => ResultDocument::parse(&file.value.content).ok().and_then(|it| it.status),
        None => None,
    };
    Ok(Some(ScriptReport {
        id,
        name,
        exit_status: fields.number("exit_status")?,
        timed_out: status == SignalStatus::Timedout,
        stated,
    }))
}

fn run_of<'a>(machine: &'a Machine, report: &ScriptReport) -> Option<&'a ScriptRun> {
    machine.scripts.iter().find(|run| match (report.id, &report.name) {
        (Some(id), _) => run.id == id,
        (None, Some(name)) => run.name == *name,
        (None, None) => false,
    })
}

/// `NAME.out` is standard output of `NAME`; without a suffix it is both streams.
fn base_name(file: &str) -> (&str, Stream) {
    for (suffix, stream) in
        [(".out", Stream::Stdout), (".err", Stream::Stderr), (".yaml", Stream::Result)]
    {
        if let Some(base) = file.strip_suffix(suffix) {
            return (base, stream);
        }
    }
    (file, Stream::Combined)
}

fn outputs(fields: &Fields, run: Option<&ScriptRun>) -> Result<Vec<ScriptOutput>, Problem> {
    let Some(run) = run else { return Ok(Vec::new()) };
    let limit = maas_core::commission::OUTPUT_LIMIT;
    let mut outputs: BTreeMap<Stream, ScriptOutput> = BTreeMap::new();
    for file in fields.files() {
        let (_, stream) = base_name(&file.name);
        let bytes = file.value.content.to_vec();
        if bytes.len() > limit {
            return Err(Problem::field(
                &file.name,
                format!("The output has {} bytes, at most {limit} are taken.", bytes.len()),
            ));
        }
        outputs.insert(stream, ScriptOutput { run_id: run.id, stream, bytes });
    }
    Ok(outputs.into_values().collect())
}

/// Subnets that the machine is in become known. Commissioning does not fail over it.
async fn learn_networks(region: &Region, machine: &Machine, hardware: &Hardware) {
    let learned = region
        .ipam
        .edit(&*region.store, |networks| Ok::<_, EditError>(networks.learn(hardware)))
        .await;
    match learned {
        Ok((learned, _)) if learned.is_empty() => {}
        Ok((learned, _)) => tracing::info!(
            system_id = %machine.system_id,
            subnets = learned.subnets.len(),
            vlans = learned.vlans.len(),
            "networks learned"
        ),
        Err(error) => {
            tracing::warn!(system_id = %machine.system_id, error = %error, "networks not learned");
        }
    }
}

/// The resources document becomes the machine's hardware; one that cannot be read fails its
/// script, because a machine without known hardware cannot be deployed.
fn read_hardware(run: &ScriptRun, report: &mut ScriptReport, extras: &mut Extras) {
    if run.name != COMMISSIONING_SCRIPT || report.exit_status != Some(0) {
        return;
    }
    let Some(output) = extras.outputs.iter().find(|output| output.stream == Stream::Stdout) else {
        return;
    };
    match resources::parse(&output.bytes) {
        Ok(hardware) => extras.hardware = Some(Box::<Hardware>::new(hardware)),
        Err(error) => {
            tracing::warn!(run = run.id, error = %error, "resources document refused");
            report.stated = Some(ScriptStatus::Failed);
            let sentence = format!("{error}\n").into_bytes();
            let stderr = extras.outputs.iter_mut().find(|output| output.stream == Stream::Stderr);
            match stderr {
                Some(stderr) => stderr.bytes.extend(sentence),
                None => extras.outputs.push(ScriptOutput {
                    run_id: run.id,
                    stream: Stream::Stderr,
                    bytes: sentence,
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests;
