//! Pre-seed templates and deployment hooks; MAAS keeps the first in files and has no second.

use std::sync::Arc;

use ::http::StatusCode;
use maas_core::template::{Variables, render};
use serde_json::{Value, json};

use crate::http::{
    Access, FieldErrors, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::preseeds::{
    HookDocument, LARGEST_TEMPLATE, Phase, PreseedDocument, Scope, is_template_name,
};
use crate::region::Region;
use crate::store::{DocumentError, Stored};

const PRESEEDS: &str = "/MAAS/api/2.0/preseeds/";
const PRESEED: &str = "/MAAS/api/2.0/preseeds/{name}/";
const HOOKS: &str = "/MAAS/api/2.0/deployment-hooks/";
const HOOK: &str = "/MAAS/api/2.0/deployment-hooks/{id}/";

const CONTENT: Param = Param::required("content", "The Jinja template of a curtin configuration.");

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("PreseedsHandler", PRESEEDS, "The stored pre-seed templates; an extension.", list)
            .access(Access::Admin),
        post("PreseedsHandler", PRESEEDS, "Stores a pre-seed template.", create)
            .params(&[
                Param::required(
                    "name",
                    "curtin_userdata, or with _OS, _ARCH, _SUBARCH, _SERIES, _HOSTNAME after it.",
                ),
                CONTENT,
            ])
            .access(Access::Admin),
        get("PreseedHandler", PRESEED, "One pre-seed template with its text.", read)
            .access(Access::Admin),
        put("PreseedHandler", PRESEED, "Replaces a pre-seed template's text.", update)
            .params(&[CONTENT])
            .access(Access::Admin),
        delete("PreseedHandler", PRESEED, "Deletes a pre-seed template.", remove)
            .access(Access::Admin),
        get("DeploymentHooksHandler", HOOKS, "The deployment hooks; an extension.", hooks)
            .access(Access::Admin),
        post("DeploymentHooksHandler", HOOKS, "Adds a command that curtin runs.", create_hook)
            .params(&[
                Param::required("scope", "machine, tag or pool."),
                Param::required("target", "The machine's system id, or the tag's or pool's name."),
                Param::required("phase", "early or late."),
                Param::required("name", "A name; hooks of one scope run in their names' order."),
                Param::repeated("command", "The command's words; one alone is run by a shell."),
                Param::optional("in_target", "Whether it runs in the installed system."),
            ])
            .access(Access::Admin),
        get("DeploymentHookHandler", HOOK, "One deployment hook.", read_hook).access(Access::Admin),
        delete("DeploymentHookHandler", HOOK, "Deletes a deployment hook.", remove_hook)
            .access(Access::Admin),
    ]
}

async fn list(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let stored = region.store.list::<PreseedDocument>().await.map_err(Problem::internal)?;
    Reply::json(&stored.iter().map(|it| view(&it.value)).collect::<Vec<_>>())
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let mut errors = FieldErrors::new();
    let name = errors.collect(fields.required("name")).to_owned();
    let content = errors.collect(fields.required("content")).to_owned();
    if fields.contains("name") && !is_template_name(&name) {
        errors.add("name", "Expected generic, curtin_userdata, or curtin_userdata_… .");
    }
    check_content(&name, &content, &mut errors);
    errors.done()?;
    let document = PreseedDocument { name, content };
    let stored = region.store.insert(document).await.map_err(|error| match error {
        DocumentError::DuplicateKey { .. } => {
            Problem::field("name", "A template with this name already exists.")
        }
        error => Problem::internal(error),
    })?;
    Ok(Reply::json(&with_content(&stored.value))?.status(StatusCode::CREATED))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    Reply::json(&with_content(&find(&region, &request).await?.value))
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let mut stored = find(&region, &request).await?;
    let mut errors = FieldErrors::new();
    let content = errors.collect(request.fields().required("content")).to_owned();
    check_content(&stored.value.name, &content, &mut errors);
    errors.done()?;
    stored.value.content = content;
    let stored = region.store.update(stored).await.map_err(changed)?;
    Reply::json(&with_content(&stored.value))
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let stored = find(&region, &request).await?;
    let removed = region.store.remove::<PreseedDocument>(stored.id, stored.version).await;
    removed.map_err(changed)?;
    Ok(Reply::no_content())
}

async fn find(region: &Region, request: &Request) -> Result<Stored<PreseedDocument>, Problem> {
    let found = region.store.by_key::<PreseedDocument>(request.param("name")).await;
    found
        .map_err(Problem::internal)?
        .ok_or_else(|| Problem::not_found("No Preseed matches the given query."))
}

/// A template that no machine could use is refused at once, not at the next deployment.
fn check_content(name: &str, content: &str, errors: &mut FieldErrors) {
    if content.len() as u64 > LARGEST_TEMPLATE {
        errors.add("content", format!("At most {LARGEST_TEMPLATE} bytes are taken."));
    } else if let Err(error) = render(name, content, &Variables::default()) {
        // What is looked up in a variable may be there for a real machine.
        let depends = error.variable.as_ref().is_some_and(|it| it.contains(['.', '[', '|', '(']));
        if !depends {
            errors.add("content", format!("{error}."));
        }
    }
}

fn changed(error: DocumentError) -> Problem {
    match error {
        DocumentError::Conflict { .. } | DocumentError::Gone { .. } => {
            Problem::Conflict("Somebody else changed it at the same moment.".to_owned())
        }
        error => Problem::internal(error),
    }
}

fn view(preseed: &PreseedDocument) -> Value {
    json!({"name": preseed.name, "resource_uri": format!("{PRESEEDS}{}/", preseed.name)})
}

fn with_content(preseed: &PreseedDocument) -> Value {
    let mut view = view(preseed);
    view["content"] = json!(preseed.content);
    view
}

async fn hooks(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let stored = region.store.list::<HookDocument>().await.map_err(Problem::internal)?;
    Reply::json(&stored.iter().map(hook_view).collect::<Vec<_>>())
}

async fn create_hook(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let mut errors = FieldErrors::new();
    let scope = errors.collect(fields.required("scope"));
    let scope = Scope::ALL.into_iter().find(|known| known.word() == scope);
    if fields.contains("scope") && scope.is_none() {
        errors.add("scope", "Expected machine, tag or pool.");
    }
    let phase = errors.collect(fields.required("phase"));
    let phase = Phase::ALL.into_iter().find(|known| known.word() == phase);
    if fields.contains("phase") && phase.is_none() {
        errors.add("phase", "Expected early or late.");
    }
    let target = errors.collect(fields.required("target")).to_owned();
    let name = errors.collect(fields.required("name")).to_owned();
    for (field, text) in [("target", &target), ("name", &name)] {
        if fields.contains(field) && !crate::images::bootloaders::is_plain_name(text) {
            errors.add(field, "Expected letters, digits and any of . _ - .");
        }
    }
    let words = errors.collect(fields.texts("command"));
    let mut command: Vec<String> = match words.as_slice() {
        [] => {
            errors.add("command", "This field is required.");
            Vec::new()
        }
        [line] => vec!["sh".to_owned(), "-c".to_owned(), (*line).to_owned()],
        words => words.iter().map(|word| (*word).to_owned()).collect(),
    };
    if errors.collect(fields.flag("in_target")).unwrap_or(false) {
        command.splice(0..0, ["curtin", "in-target", "--"].map(str::to_owned));
    }
    errors.done()?;
    let (Some(scope), Some(phase)) = (scope, phase) else {
        return Err(Problem::internal("a hook was read without scope or phase"));
    };
    let document = HookDocument { scope, target, phase, name, command };
    let stored = region.store.insert(document).await.map_err(|error| match error {
        DocumentError::DuplicateKey { .. } => {
            Problem::field("name", "A hook with this scope, target, phase and name already exists.")
        }
        error => Problem::internal(error),
    })?;
    Ok(Reply::json(&hook_view(&stored))?.status(StatusCode::CREATED))
}

async fn read_hook(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    Reply::json(&hook_view(&find_hook(&region, &request).await?))
}

async fn remove_hook(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let stored = find_hook(&region, &request).await?;
    let removed = region.store.remove::<HookDocument>(stored.id, stored.version).await;
    removed.map_err(changed)?;
    Ok(Reply::no_content())
}

async fn find_hook(region: &Region, request: &Request) -> Result<Stored<HookDocument>, Problem> {
    let id = request.parsed_param("id")?;
    let found = region.store.find::<HookDocument>(id).await.map_err(Problem::internal)?;
    found.ok_or_else(|| Problem::not_found("No DeploymentHook matches the given query."))
}

fn hook_view(stored: &Stored<HookDocument>) -> Value {
    let HookDocument { scope, target, phase, name, command } = &stored.value;
    json!({
        "id": stored.id, "scope": scope, "target": target, "phase": phase, "name": name,
        "command": command, "resource_uri": format!("{HOOKS}{}/", stored.id),
    })
}
