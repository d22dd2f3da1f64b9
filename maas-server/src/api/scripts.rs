//! Scripts that machines run: the built-in ones and those that operators add.

use std::sync::Arc;

use maas_core::commission::result::ScriptType;
use maas_core::commission::script::{HardwareType, Parallel, SCRIPT_LIMIT, Script};
use serde_json::{Value, json};

use super::dates;
use super::zones::busy;
use crate::clock;
use crate::http::{
    Access, FieldErrors, Fields, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::region::Region;
use crate::region::scripts::{KeptScript, ListedScript, Revision};
use crate::store::{DocumentError, Stored};

const SCRIPTS: &str = "/MAAS/api/2.0/scripts/";
const SCRIPT: &str = "/MAAS/api/2.0/scripts/{name}";
const OLD_SCRIPTS: &str = "/MAAS/api/2.0/commissioning-scripts/";
const OLD_SCRIPT: &str = "/MAAS/api/2.0/commissioning-scripts/{name}";

/// How often a change is tried again when somebody else was faster.
const ATTEMPTS: usize = 16;
/// The most revisions that are kept of one script.
const HISTORY: usize = 32;

const FIELDS: &[Param] = &[
    Param::optional("script", "The script, as a file part or a text."),
    Param::optional("title", "A short title."),
    Param::optional("description", "What it does."),
    Param::repeated(
        "tags",
        "Tags; enlisting, commissioning, bmc-config and noauto mean something.",
    ),
    Param::optional("type", "commissioning (default), testing, release or deployment."),
    Param::optional("hardware_type", "node (default), cpu, memory, storage, network or gpu."),
    Param::optional("parallel", "disabled (default), instance or any."),
    Param::optional("timeout", "Seconds, or H:MM:SS; 0 for none."),
    Param::optional("destructive", "Whether it destroys data."),
    Param::optional("may_reboot", "Whether it may reboot the machine."),
    Param::optional("recommission", "Whether the machine is commissioned again after it."),
    Param::repeated("for_hardware", "Only machines with this hardware."),
    Param::optional("apply_configured_networking", "Whether the machine's own network is applied."),
    Param::optional("comment", "What this revision changes."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    let named = Param::optional("name", "The unique name; the script's own metadata may have it.");
    vec![
        get("ScriptsHandler", SCRIPTS, "Scripts that match every filter.", list).params(&[
            Param::optional("type", "commissioning, testing, release or deployment."),
            Param::optional("hardware_type", "node, cpu, memory, storage, network or gpu."),
            Param::repeated("filters", "Names and tags, any of them."),
            Param::optional("include_script", "Whether the text is shown, in base64."),
        ]),
        post("ScriptsHandler", SCRIPTS, "Adds a script.", create)
            .access(Access::Admin)
            .params(&[named])
            .params(FIELDS),
        get("ScriptHandler", SCRIPT, "One script, by name or number.", read)
            .params(&[Param::optional("include_script", "Whether the text is shown, in base64.")]),
        put("ScriptHandler", SCRIPT, "Changes a script.", update)
            .access(Access::Admin)
            .params(&[named])
            .params(FIELDS),
        delete("ScriptHandler", SCRIPT, "Deletes a script.", remove).access(Access::Admin),
        get("ScriptHandler", SCRIPT, "The text of a script.", download)
            .op("download")
            .params(&[Param::optional("revision", "A number of the history; the newest.")]),
        post("ScriptHandler", SCRIPT, "Goes back to an earlier text.", revert)
            .op("revert")
            .access(Access::Admin)
            .params(&[Param::required("to", "A number of the history, or -1, -2… steps back.")]),
        post("ScriptHandler", SCRIPT, "Adds a tag.", |region, request| {
            retag(region, request, true)
        })
        .op("add_tag")
        .access(Access::Admin)
        .params(&[Param::required("tag", "The tag.")]),
        post("ScriptHandler", SCRIPT, "Takes a tag away.", |region, request| {
            retag(region, request, false)
        })
        .op("remove_tag")
        .access(Access::Admin)
        .params(&[Param::required("tag", "The tag.")]),
        get("CommissioningScriptsHandler", OLD_SCRIPTS, "Names of commissioning scripts.", names)
            .access(Access::Admin),
        post(
            "CommissioningScriptsHandler",
            OLD_SCRIPTS,
            "Adds a commissioning script.",
            old_create,
        )
        .access(Access::Admin)
        .params(&[
            Param::required("name", "The unique name."),
            Param::required("content", "The script, as a file part or a text."),
        ]),
        get("CommissioningScriptHandler", OLD_SCRIPT, "The text of a script.", download)
            .access(Access::Admin),
        put("CommissioningScriptHandler", OLD_SCRIPT, "Replaces the text of a script.", old_update)
            .access(Access::Admin)
            .params(&[Param::required("content", "The script, as a file part or a text.")]),
        delete("CommissioningScriptHandler", OLD_SCRIPT, "Deletes a script.", remove)
            .access(Access::Admin),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let kind = fields.filled("type")?.map(script_type).transpose()?;
    let hardware = fields.filled("hardware_type")?.map(hardware_type).transpose()?;
    let filters = fields.words("filters")?;
    let with_text = fields.flag("include_script")?.unwrap_or(false);
    let mut scripts = region.listed_scripts().await.map_err(Problem::internal)?;
    scripts.retain(|listed| {
        let script = &listed.script;
        kind.is_none_or(|kind| script.script_type == kind)
            && hardware.is_none_or(|hardware| script.hardware_type == hardware)
            && (filters.is_empty()
                || filters.iter().any(|word| script.name == *word || script.has_tag(word)))
    });
    Reply::json(&scripts.iter().map(|listed| view(listed, with_text)).collect::<Vec<_>>())
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let body = text(fields, "script")?
        .ok_or_else(|| Problem::field("script", "This field is required."))?;
    let name = fields.filled("name")?.unwrap_or_default();
    add(&region, name, &body, fields).await
}

async fn old_create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let body = text(fields, "content")?
        .ok_or_else(|| Problem::field("content", "This field is required."))?;
    add(&region, fields.required("name")?, &body, &Fields::new()).await
}

async fn add(region: &Region, name: &str, body: &str, fields: &Fields) -> Result<Reply, Problem> {
    let mut script = parse(name, body)?;
    if !name.is_empty() {
        name.clone_into(&mut script.name);
    }
    apply(&mut script, fields)?;
    // Parsed again under its final name: that is where names are checked.
    parse_name(&script.name)?;
    if maas_core::commission::builtin::script(&script.name).is_some() {
        return Err(taken());
    }
    let revision = revision(region, fields, body).await?;
    let kept = KeptScript { script, history: vec![revision] };
    let stored = region.store.insert(kept).await.map_err(refused)?;
    Reply::json(&view(&ListedScript::kept(stored), false))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let with_text = request.fields().flag("include_script")?.unwrap_or(false);
    Reply::json(&view(&find(&region, &request).await?, with_text))
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let body = text(fields, "script")?;
    let renamed = fields.filled("name")?.map(str::to_owned);
    if let Some(name) = &renamed {
        parse_name(name)?;
        if maas_core::commission::builtin::script(name).is_some() {
            return Err(taken());
        }
    }
    let fresh = match &body {
        Some(body) => Some(revision(&region, fields, body).await?),
        None => None,
    };
    change(&region, &request, |kept: &mut KeptScript| {
        if let Some(body) = &body {
            let name = kept.script.name.clone();
            kept.script = Script { name, ..parse(&kept.script.name, body)? };
            kept.history.extend(fresh.clone());
            kept.history.rotate_right(1);
            kept.history.truncate(HISTORY);
        }
        if let Some(name) = &renamed {
            kept.script.name.clone_from(name);
        }
        apply(&mut kept.script, fields)
    })
    .await
}

async fn old_update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let body = text(request.fields(), "content")?
        .ok_or_else(|| Problem::field("content", "This field is required."))?;
    let fresh = revision(&region, &Fields::new(), &body).await?;
    change(&region, &request, |kept: &mut KeptScript| {
        let name = kept.script.name.clone();
        kept.script = Script { name, ..parse(&kept.script.name, &body)? };
        kept.history.insert(0, fresh.clone());
        kept.history.truncate(HISTORY);
        Ok(())
    })
    .await
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    for _ in 0..ATTEMPTS {
        let stored = own(&region, &request).await?;
        match region.store.remove::<KeptScript>(stored.id, stored.version).await {
            Ok(()) | Err(DocumentError::Gone { .. }) => return Ok(Reply::no_content()),
            Err(DocumentError::Conflict { .. }) => {}
            Err(error) => return Err(Problem::internal(error)),
        }
    }
    Err(busy())
}

async fn download(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let listed = find(&region, &request).await?;
    let body = match request.fields().number::<u64>("revision")? {
        None => listed.script.body,
        Some(id) => {
            let found = listed.history.into_iter().find(|revision| revision.id == id);
            found.map(|revision| revision.body).ok_or_else(not_found)?
        }
    };
    Ok(Reply::bytes("application/octet-stream", body))
}

async fn revert(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let to: i64 = request
        .fields()
        .number("to")?
        .ok_or_else(|| Problem::field("to", "This field is required."))?;
    change(&region, &request, |kept: &mut KeptScript| {
        let found = if to < 0 {
            let back = usize::try_from(to.unsigned_abs()).unwrap_or(usize::MAX);
            // The newest is where we are.
            (back < kept.history.len()).then_some(back)
        } else {
            kept.history.iter().position(|revision| i64::try_from(revision.id) == Ok(to))
        };
        let Some(index) = found else {
            return Err(Problem::bad_request(format!("Invalid script history ID: {to}.")));
        };
        let Some(body) = kept.history.get(index).map(|revision| revision.body.clone()) else {
            return Err(not_found());
        };
        let name = kept.script.name.clone();
        kept.script = Script { name, ..parse(&kept.script.name, &body)? };
        kept.history.drain(..index);
        Ok(())
    })
    .await
}

async fn retag(region: Arc<Region>, request: Request, add: bool) -> Result<Reply, Problem> {
    let tag = request.fields().required("tag")?.to_owned();
    if tag.contains(',') || tag.chars().any(char::is_whitespace) {
        return Err(Problem::field("tag", "Cannot contain a comma or white space."));
    }
    change(&region, &request, |kept: &mut KeptScript| {
        kept.script.tags.retain(|own| *own != tag);
        if add {
            kept.script.tags.push(tag.clone());
        }
        Ok(())
    })
    .await
}

async fn names(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let scripts = region.listed_scripts().await.map_err(Problem::internal)?;
    let mut names: Vec<&str> = scripts
        .iter()
        .filter(|listed| listed.script.script_type == ScriptType::Commissioning)
        .map(|listed| listed.script.name.as_str())
        .collect();
    names.sort_unstable();
    Reply::json(&names)
}

/// Changes a script that is no built-in one, again when somebody else was faster.
async fn change(
    region: &Region,
    request: &Request,
    edit: impl Fn(&mut KeptScript) -> Result<(), Problem>,
) -> Result<Reply, Problem> {
    for _ in 0..ATTEMPTS {
        let mut stored = own(region, request).await?;
        edit(&mut stored.value)?;
        match region.store.update(stored).await {
            Ok(stored) => return Reply::json(&view(&ListedScript::kept(stored), false)),
            Err(DocumentError::Conflict { .. }) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    Err(busy())
}

async fn find(region: &Region, request: &Request) -> Result<ListedScript, Problem> {
    let wanted = request.param("name");
    let scripts = region.listed_scripts().await.map_err(Problem::internal)?;
    let is_it =
        |listed: &ListedScript| listed.script.name == wanted || listed.id.to_string() == wanted;
    scripts.into_iter().find(is_it).ok_or_else(not_found)
}

async fn own(region: &Region, request: &Request) -> Result<Stored<KeptScript>, Problem> {
    let listed = find(region, request).await?;
    let Some(number) = listed.stored else {
        return Err(Problem::Forbidden("Unable to change or delete a built-in script.".to_owned()));
    };
    let stored = region.store.find::<KeptScript>(number).await.map_err(Problem::internal)?;
    stored.ok_or_else(not_found)
}

fn not_found() -> Problem {
    Problem::not_found("No Script matches the given query.")
}

fn taken() -> Problem {
    Problem::field("name", "Script with this Name already exists.")
}

fn refused(error: DocumentError) -> Problem {
    match error {
        DocumentError::DuplicateKey { .. } => taken(),
        DocumentError::Gone { .. } => not_found(),
        other => Problem::internal(other),
    }
}

/// The script's text: the part of that name, or the only file.
fn text(fields: &Fields, name: &str) -> Result<Option<String>, Problem> {
    let value = fields.value(name).or_else(|| {
        let mut files = fields.files();
        files.next().filter(|_| files.next().is_none()).map(|file| &file.value)
    });
    let Some(value) = value.filter(|value| !value.content.is_empty()) else { return Ok(None) };
    if value.content.len() > SCRIPT_LIMIT {
        return Err(Problem::field(name, format!("At most {SCRIPT_LIMIT} bytes are taken.")));
    }
    let text = std::str::from_utf8(&value.content)
        .map_err(|_| Problem::field(name, "Expected text in UTF-8."))?;
    Ok(Some(text.to_owned()))
}

fn parse(name: &str, body: &str) -> Result<Script, Problem> {
    // A name of its own is only needed where the metadata have none.
    Script::parse(name, body).map_err(|error| Problem::field("script", error.to_string()))
}

/// Whether a text can be a script's name.
fn parse_name(name: &str) -> Result<(), Problem> {
    Script::parse(name, "#!/bin/sh\n")
        .map(|_| ())
        .map_err(|error| Problem::field("name", error.to_string()))
}

async fn revision(region: &Region, fields: &Fields, body: &str) -> Result<Revision, Problem> {
    let id = region.store.next_ids("script-revision", 1).await.map_err(Problem::internal)?;
    Ok(Revision {
        id,
        comment: fields.filled("comment")?.map(str::to_owned),
        created: clock::now(),
        body: body.to_owned(),
    })
}

/// What the form says besides the text; it goes before what the text says of itself.
fn apply(script: &mut Script, fields: &Fields) -> Result<(), Problem> {
    let mut errors = FieldErrors::new();
    if let Some(title) = errors.collect(fields.text("title")) {
        title.clone_into(&mut script.title);
    }
    if let Some(description) = errors.collect(fields.text("description")) {
        description.clone_into(&mut script.description);
    }
    for (name, list) in [("tags", &mut script.tags), ("for_hardware", &mut script.for_hardware)] {
        if fields.contains(name) {
            *list = errors.collect(fields.words(name)).into_iter().map(str::to_owned).collect();
        }
    }
    for (name, flag) in [
        ("destructive", &mut script.destructive),
        ("may_reboot", &mut script.may_reboot),
        ("recommission", &mut script.recommission),
        ("apply_configured_networking", &mut script.apply_configured_networking),
    ] {
        if let Some(given) = errors.collect(fields.flag(name)) {
            *flag = given;
        }
    }
    if let Some(text) = errors.collect(fields.filled("timeout")) {
        match seconds(text) {
            Some(seconds) => script.timeout_seconds = seconds,
            None => errors.add("timeout", "Expected seconds or H:MM:SS."),
        }
    }
    errors.done()?;
    // `script_type` is what older clients call it.
    for name in ["script_type", "type"] {
        if let Some(text) = fields.filled(name)? {
            script.script_type = script_type(text)?;
        }
    }
    if let Some(text) = fields.filled("hardware_type")? {
        script.hardware_type = hardware_type(text)?;
    }
    if let Some(text) = fields.filled("parallel")? {
        script.parallel = match text.to_ascii_lowercase().as_str() {
            "0" | "disabled" | "none" => Parallel::Disabled,
            "1" | "instance" | "name" => Parallel::Instance,
            "2" | "any" | "enabled" => Parallel::Any,
            _ => return Err(Problem::field("parallel", "Expected disabled, instance or any.")),
        };
    }
    Ok(())
}

fn seconds(text: &str) -> Option<u64> {
    let parts: Vec<u64> = text.trim().split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let total = match parts[..] {
        [seconds] => seconds,
        [minutes, seconds] => minutes.checked_mul(60)?.checked_add(seconds)?,
        [hours, minutes, seconds] => {
            hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?
        }
        _ => return None,
    };
    (total <= 31 * 24 * 3600).then_some(total)
}

fn script_type(text: &str) -> Result<ScriptType, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "0" | "commission" | "commissioning" => Ok(ScriptType::Commissioning),
        "2" | "test" | "testing" => Ok(ScriptType::Testing),
        "3" | "release" => Ok(ScriptType::Release),
        "4" | "deployment" => Ok(ScriptType::Deployment),
        _ => Err(Problem::field(
            "script_type",
            "Must be commissioning, testing, release or deployment.",
        )),
    }
}

fn hardware_type(text: &str) -> Result<HardwareType, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "0" | "node" => Ok(HardwareType::Node),
        "1" | "cpu" => Ok(HardwareType::Cpu),
        "2" | "memory" => Ok(HardwareType::Memory),
        "3" | "storage" => Ok(HardwareType::Storage),
        "4" | "network" => Ok(HardwareType::Network),
        "5" | "gpu" => Ok(HardwareType::Gpu),
        _ => Err(Problem::field(
            "hardware_type",
            "Must be node, cpu, memory, storage, network or gpu.",
        )),
    }
}

fn view(listed: &ListedScript, with_text: bool) -> Value {
    use base64::Engine;
    let script = &listed.script;
    let (number, name) = match script.script_type {
        ScriptType::Commissioning => (0, "Commissioning script"),
        ScriptType::Testing => (2, "Testing script"),
        ScriptType::Release => (3, "Release script"),
        ScriptType::Deployment => (4, "Deployment script"),
    };
    let history: Vec<Value> = listed
        .history
        .iter()
        .map(|revision| {
            json!({
                "id": revision.id, "comment": revision.comment,
                "created": dates::rfc2822(revision.created),
            })
        })
        .collect();
    let mut view = json!({
        "id": listed.id, "name": script.name, "title": script.title,
        "description": script.description, "tags": script.tags, "type": number,
        "type_name": name, "hardware_type": script.hardware_type.number(),
        "hardware_type_name": script.hardware_type.display_name(),
        "parallel": script.parallel.number(), "parallel_name": script.parallel.display_name(),
        "results": script.results, "parameters": script.parameters,
        "packages": script.packages, "timeout": dates::runtime(script.timeout_seconds),
        "destructive": script.destructive, "for_hardware": script.for_hardware,
        "may_reboot": script.may_reboot, "recommission": script.recommission,
        "history": history, "default": script.is_builtin,
        "apply_configured_networking": script.apply_configured_networking,
        "resource_uri": format!("{SCRIPTS}{}", script.name),
    });
    if with_text {
        view["script"] = json!(base64::prelude::BASE64_STANDARD.encode(&script.body));
    }
    view
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_limit_is_seconds_or_a_clock() {
        assert_eq!(seconds("90"), Some(90));
        assert_eq!(seconds("1:30"), Some(90));
        assert_eq!(seconds("1:00:30"), Some(3630));
        for wrong in ["", "a", "1:2:3:4", "-1", "99999999999999999999", "9999999999999999:0:0"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
