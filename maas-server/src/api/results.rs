//! What scripts reported.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maas_core::commission::result::ScriptType;
use maas_core::machine::Machine;
use maas_core::machine::permission::Permission;
use serde_json::{Value, json};

use super::machines;
use super::view::script_result::{SETS, runs, set, set_id};
use crate::http::{Operation, Param, Problem, Reply, Request, get};
use crate::region::Region;
use crate::store::Stream;
use crate::trail;

const RESULTS: &str = "/MAAS/api/2.0/nodes/{system_id}/results/";
const RESULT: &str = "/MAAS/api/2.0/nodes/{system_id}/results/{id}/";

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("NodeScriptResultsHandler", RESULTS, "A machine's script sets.", list).params(&[
            Param::optional("type", "commissioning, testing, installation or release."),
            Param::optional("include_output", "Whether outputs are shown, in base64."),
        ]),
        get("NodeScriptResultHandler", RESULT, "One script set.", read)
            .params(&[Param::optional("include_output", "Whether outputs are shown, in base64.")]),
        get("NodeScriptResultHandler", RESULT, "The outputs of a script set.", download)
            .op("download")
            .params(&[Param::optional("output", "combined (default), stdout, stderr or all.")]),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = machines::find(&region, &request, Permission::View).await?;
    let wanted = request.fields().filled("type")?.map(str::to_ascii_lowercase);
    let mut sets = Vec::new();
    for (kind, number, name) in SETS {
        let fits = wanted
            .as_deref()
            .is_none_or(|word| word == name.to_ascii_lowercase() || word == number.to_string());
        if fits && let Some(set) = with_outputs(&region, &request, &machine, kind).await? {
            sets.push(set);
        }
    }
    Reply::json(&sets)
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = machines::find(&region, &request, Permission::View).await?;
    let kind = kind(&machine, request.param("id"))?;
    let set = with_outputs(&region, &request, &machine, kind).await?;
    let mut set = set.ok_or_else(not_found)?;
    if kind == ScriptType::Deployment {
        let explanation = trail::explanation(&region, &machine).await.map_err(Problem::internal)?;
        set["explanation"] = trail::shown(&explanation);
    }
    Reply::json(&set)
}

async fn download(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = machines::find(&region, &request, Permission::View).await?;
    let kind = kind(&machine, request.param("id"))?;
    let streams: &[Stream] = match request.fields().filled("output")?.unwrap_or("combined") {
        "combined" => &[Stream::Combined],
        "stdout" => &[Stream::Stdout],
        "stderr" => &[Stream::Stderr],
        "result" => &[Stream::Result],
        "all" => &[Stream::Combined, Stream::Stdout, Stream::Stderr, Stream::Result],
        _ => {
            return Err(Problem::field(
                "output",
                "Expected combined, stdout, stderr, result or all.",
            ));
        }
    };
    let mut text = Vec::new();
    for run in runs(&machine, kind) {
        let outputs = region.store.outputs(run.id).await.map_err(Problem::internal)?;
        for output in outputs.iter().filter(|output| streams.contains(&output.stream)) {
            let line = "-".repeat(80);
            text.extend_from_slice(format!("{line}\n{}\n{line}\n", run.name).as_bytes());
            text.extend_from_slice(&output.bytes);
            text.push(b'\n');
        }
    }
    Ok(Reply::bytes("text/plain; charset=utf-8", text))
}

/// A set by its number or its name: `current-commissioning`…
fn kind(machine: &Machine, id: &str) -> Result<ScriptType, Problem> {
    let named = SETS.iter().find(|(kind, _, name)| {
        id == format!("current-{}", name.to_ascii_lowercase())
            || set_id(machine, *kind).is_some_and(|number| id == number.to_string())
    });
    named.map(|(kind, _, _)| *kind).ok_or_else(not_found)
}

fn not_found() -> Problem {
    Problem::not_found("No ScriptSet matches the given query.")
}

async fn with_outputs(
    region: &Region,
    request: &Request,
    machine: &Machine,
    kind: ScriptType,
) -> Result<Option<Value>, Problem> {
    let Some(mut set) = set(machine, kind) else { return Ok(None) };
    if !request.fields().flag("include_output")?.unwrap_or(false) {
        return Ok(Some(set));
    }
    if let Some(results) = set["results"].as_array_mut() {
        for result in results {
            let Some(id) = result["id"].as_u64() else { continue };
            let outputs = region.store.outputs(id).await.map_err(Problem::internal)?;
            for (field, stream) in [
                ("output", Stream::Combined),
                ("stdout", Stream::Stdout),
                ("stderr", Stream::Stderr),
                ("result", Stream::Result),
            ] {
                let output = outputs.iter().find(|output| output.stream == stream);
                let bytes = output.map_or(&[] as &[u8], |output| &output.bytes);
                result[field] = json!(BASE64_STANDARD.encode(bytes));
            }
        }
    }
    Ok(Some(set))
}
