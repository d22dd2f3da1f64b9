//! The scripts that a machine's runner fetches.

use std::sync::Arc;

use maas_core::commission::bundle::{
    self, EnlistCommissioning, Entry, Include, Outputs, enlistment_scripts,
};
use maas_core::commission::result::{ScriptRun, ScriptType};
use maas_core::commission::script::Script;
use maas_core::machine::{Machine, Status};

use super::{caller, check_version, known_caller};
use crate::http::{Problem, Reply, Request};
use crate::region::Region;
use crate::store::{ScriptOutput, Stream};

const MEDIA_TYPE: &str = "application/x-tar";

/// `GET …/maas-scripts`
pub(super) async fn waiting(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    let all = region.scripts().await?;
    let scripts = all.as_slice();
    let tar = match caller(&region, &request).await? {
        // A machine that is known but was never commissioned makes up for it.
        Some(machine) if machine.status != Status::New => {
            let runs: Vec<&ScriptRun> = machine
                .scripts
                .iter()
                .filter(|run| concerns(machine.status, run.script_type))
                .collect();
            archive(&region, scripts, &runs, Include::Unfinished).await?
        }
        _ => {
            let chosen = enlistment_scripts(scripts, EnlistCommissioning::Yes);
            let entries: Vec<Entry<'_>> = chosen
                .into_iter()
                .map(|script| Entry { script, run: None, outputs: Outputs::default() })
                .collect();
            bundle::archive(&entries, Include::Unfinished).map_err(Problem::internal)?
        }
    };
    Ok(tar.map_or_else(Reply::no_content, |tar| Reply::bytes(MEDIA_TYPE, tar)))
}

/// `GET …/maas-commissioning-scripts`
pub(super) async fn commissioning(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    check_version(&request)?;
    known_caller(&region, &request).await?;
    let scripts = region.scripts().await?;
    let entries: Vec<Entry<'_>> = scripts
        .iter()
        .filter(|script| script.script_type == ScriptType::Commissioning)
        .map(|script| Entry { script, run: None, outputs: Outputs::default() })
        .collect();
    let tar = bundle::archive(&entries, Include::All).map_err(Problem::internal)?;
    Ok(tar.map_or_else(Reply::no_content, |tar| Reply::bytes(MEDIA_TYPE, tar)))
}

/// Which sets a machine in this status runs (boot-and-metadata §3.3).
fn concerns(status: Status, kind: ScriptType) -> bool {
    match kind {
        ScriptType::Commissioning => matches!(
            status,
            Status::Commissioning
                | Status::Deployed
                | Status::EnteringRescueMode
                | Status::RescueMode
        ),
        ScriptType::Release => matches!(status, Status::Releasing | Status::DiskErasing),
        ScriptType::Deployment => status == Status::Deploying,
        ScriptType::Testing => matches!(status, Status::Commissioning | Status::Testing),
    }
}

async fn archive(
    region: &Region,
    scripts: &[Script],
    runs: &[&ScriptRun],
    include: Include,
) -> Result<Option<Vec<u8>>, Problem> {
    let mut found: Vec<(&Script, &ScriptRun, Vec<ScriptOutput>)> = Vec::new();
    for run in runs {
        let same =
            |script: &&Script| script.name == run.name && script.script_type == run.script_type;
        // A script that was deleted meanwhile is not run.
        if let Some(script) = scripts.iter().find(same) {
            let outputs = match run.started {
                Some(_) => region.store.outputs(run.id).await.map_err(Problem::internal)?,
                None => Vec::new(),
            };
            found.push((script, run, outputs));
        }
    }
    let entries: Vec<Entry<'_>> = found
        .iter()
        .map(|(script, run, outputs)| {
            let bytes = |stream| {
                let output = outputs.iter().find(|output| output.stream == stream);
                output.map_or(&[] as &[u8], |output| output.bytes.as_slice())
            };
            Entry {
                script,
                run: Some(run),
                outputs: Outputs {
                    combined: bytes(Stream::Combined),
                    stdout: bytes(Stream::Stdout),
                    stderr: bytes(Stream::Stderr),
                    result: bytes(Stream::Result),
                },
            }
        })
        .collect();
    bundle::archive(&entries, include).map_err(Problem::internal)
}

/// The runs of a machine that its commissioning or testing would have.
pub(crate) async fn enlistment_runs(
    region: &Region,
    machine: &Machine,
) -> Result<Vec<ScriptRun>, Problem> {
    let scripts = region.scripts().await?;
    let chosen = enlistment_scripts(&scripts, EnlistCommissioning::Yes);
    region.runs(machine, &chosen, &std::collections::BTreeMap::new()).await
}
