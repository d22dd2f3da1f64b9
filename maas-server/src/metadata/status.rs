//! The reporting webhook of cloud-init and curtin.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maas_core::commission::result::ScriptType;
use maas_core::machine::event::{Report, ReportPhase};
use maas_core::machine::{Event, Machine, Status};
use serde::Deserialize;

use super::known_caller;
use crate::http::{Problem, Reply, Request};
use crate::problems::applied;
use crate::region::{Extras, Region};
use crate::store::{ScriptOutput, Stream};
use crate::{clock, trail};

/// The most that is kept of one attached file, in bytes.
const LARGEST_FILE: usize = 8 << 20;

/// The wire form (boot-and-metadata §2.4); unknown members are the future's.
#[derive(Debug, Deserialize)]
struct Message {
    event_type: Option<String>,
    origin: Option<String>,
    name: Option<String>,
    description: Option<String>,
    result: Option<String>,
    #[serde(default)]
    files: Vec<File>,
}

#[derive(Debug, Deserialize)]
struct File {
    path: String,
    content: Option<String>,
    #[serde(default)]
    encoding: Option<String>,
    #[serde(default)]
    compression: Option<String>,
}

/// `POST …/status/{system_id}`: the token says which machine, as MAAS has it; answered 204.
pub(super) async fn report(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = known_caller(&region, &request).await?;
    let body = request.body();
    if !body.is_ascii() {
        return Err(Problem::bad_request("Status payload must be ASCII-only."));
    }
    let message: Message = serde_json::from_slice(body).map_err(|error| {
        Problem::bad_request(format!(
            "Status payload is not valid JSON: line {}, column {}.",
            error.line(),
            error.column()
        ))
    })?;
    let mut report = check(&message)?;
    let outputs = outputs(&message, &machine);
    let reports = trail::record(&region, &machine, clock::now(), &report).await;
    let reports = reports.map_err(Problem::internal)?;
    if report.phase == ReportPhase::Fail && !report.name.contains('/') {
        // Whoever reads why it failed shall not have to read a log.
        let log = outputs.iter().find(|output| output.stream == Stream::Combined);
        let log = log.map(|output| String::from_utf8_lossy(&output.bytes));
        if let Some(failure) = trail::failure(&region, &machine, log.as_deref()) {
            report.description = trail::sentence(&report.description, &failure);
        }
    }
    let extras = Extras { outputs, reports: reports.clone(), ..Extras::default() };
    let taken = region.apply(&machine.system_id, &Event::Report(report), extras).await;
    if taken.is_err() {
        region.trails.take_back(&machine.system_id, reports);
    }
    applied(taken)?;
    Ok(Reply::no_content())
}

fn check(message: &Message) -> Result<Report, Problem> {
    let mut missing = Vec::new();
    let mut take = |name: &'static str, value: &Option<String>| {
        if value.is_none() {
            missing.push(name);
        }
        value.clone().unwrap_or_default()
    };
    let event_type = take("event_type", &message.event_type);
    let origin = take("origin", &message.origin);
    let name = take("name", &message.name);
    let description = take("description", &message.description);
    if !missing.is_empty() {
        return Err(Problem::bad_request(format!("Missing parameter(s) {}", missing.join(", "))));
    }
    let phase = match (event_type.as_str(), message.result.as_deref()) {
        ("start", _) => ReportPhase::Start,
        (_, Some("FAIL" | "FAILURE")) => ReportPhase::Fail,
        (_, Some("WARN")) => ReportPhase::Warn,
        _ => ReportPhase::Success,
    };
    Ok(Report { origin, name, description, phase })
}

/// Attached files belong to the installation's run: curtin's log and its collected logs.
fn outputs(message: &Message, machine: &Machine) -> Vec<ScriptOutput> {
    let kind = match machine.status {
        Status::Deploying | Status::Deployed | Status::FailedDeployment => ScriptType::Deployment,
        Status::Testing | Status::FailedTesting => ScriptType::Testing,
        _ => ScriptType::Commissioning,
    };
    let Some(run) = machine.scripts.iter().find(|run| run.script_type == kind) else {
        return Vec::new();
    };
    let mut outputs: BTreeMap<Stream, ScriptOutput> = BTreeMap::new();
    for file in &message.files {
        let stream = match file.path.rsplit_once('.') {
            Some((_, "tar")) => continue,
            Some((_, "err")) => Stream::Stderr,
            Some((_, "yaml")) => Stream::Result,
            _ => Stream::Combined,
        };
        // Of several files the first is what people look for: the log.
        if !outputs.contains_key(&stream)
            && let Some(bytes) = decode(file)
        {
            outputs.insert(stream, ScriptOutput { run_id: run.id, stream, bytes });
        }
    }
    outputs.into_values().collect()
}

/// `None` for what is absent, too large or packed in a way that nobody sends.
fn decode(file: &File) -> Option<Vec<u8>> {
    let content = file.content.as_deref()?;
    if content.len() > LARGEST_FILE * 2 || file.compression.is_some() {
        tracing::debug!(path = file.path, "attached file left out");
        return None;
    }
    let bytes = match file.encoding.as_deref() {
        Some("base64") => BASE64_STANDARD
            .decode(content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<_>>())
            .ok()?,
        None => content.as_bytes().to_vec(),
        Some(_) => return None,
    };
    (bytes.len() <= LARGEST_FILE).then_some(bytes)
}

#[cfg(test)]
mod tests;
