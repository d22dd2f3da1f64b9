//! Tags: words that machines carry, with kernel parameters of their own.

use std::sync::Arc;

use serde_json::{Value, json};

use super::list;
use super::zones::busy;
use crate::http::{
    Access, FieldErrors, Fields, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::places::{self, Tag};
use crate::region::{ApplyError, Region};
use crate::store::{DocumentError, Stored};

const TAGS: &str = "/MAAS/api/2.0/tags/";
const TAG: &str = "/MAAS/api/2.0/tags/{name}/";

/// How often a change is tried again when somebody else was faster.
const ATTEMPTS: usize = 16;

/// The longest kernel parameters, in bytes: a kernel's command line holds 2048.
const LONGEST_OPTIONS: usize = 1024;

const DEFINITION: Param =
    Param::optional("definition", "XPath over lshw: not supported, must be empty.");

pub(super) fn operations() -> Vec<Operation<Region>> {
    let fields: &[Param] = &[
        Param::optional("comment", "Free text."),
        Param::optional("kernel_opts", "Kernel parameters of machines with the tag."),
        DEFINITION,
    ];
    let nodes = |op: &'static str, doc: &'static str| get("TagHandler", TAG, doc, nobody).op(op);
    vec![
        get("TagsHandler", TAGS, "All tags.", list),
        post("TagsHandler", TAGS, "Adds a tag.", create)
            .access(Access::Admin)
            .params(&[Param::required("name", "The unique name: letters, digits, _ and -.")])
            .params(fields),
        get("TagHandler", TAG, "One tag.", read),
        put("TagHandler", TAG, "Changes a tag; renaming renames it on its machines.", update)
            .access(Access::Admin)
            .params(&[Param::optional("name", "The new name.")])
            .params(fields),
        delete("TagHandler", TAG, "Deletes a tag and takes it from its machines.", remove)
            .access(Access::Admin),
        get("TagHandler", TAG, "The machines that have the tag.", machines).op("machines"),
        get("TagHandler", TAG, "The nodes that have the tag.", machines).op("nodes"),
        nodes("devices", "The devices that have the tag; only machines have tags here."),
        nodes("rack_controllers", "The rack controllers that have the tag: none has one."),
        nodes("region_controllers", "The region controllers that have the tag: none has one."),
        post(
            "TagHandler",
            TAG,
            "Gives the tag to machines and takes it from others.",
            update_nodes,
        )
        .op("update_nodes")
        .access(Access::Admin)
        .params(&[
            Param::repeated("add", "System ids of machines that get the tag."),
            Param::repeated("remove", "System ids of machines that lose the tag."),
            DEFINITION,
        ]),
        post("TagHandler", TAG, "Matches the definition again; there is none.", rebuild)
            .op("rebuild")
            .access(Access::Admin),
    ]
}

async fn list(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let mut tags = region.store.list::<Tag>().await.map_err(Problem::internal)?;
    tags.sort_by(|left, right| left.value.name.cmp(&right.value.name));
    Reply::json(&tags.iter().map(view).collect::<Vec<_>>())
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let told = Told::read(request.fields())?;
    let Some(name) = told.name else {
        return Err(Problem::field("name", "This field is required."));
    };
    let tag = Tag {
        name,
        comment: told.comment.unwrap_or_default(),
        kernel_opts: told.kernel_opts.unwrap_or_default(),
        renamed_from: None,
    };
    Reply::json(&view(&region.store.insert(tag).await.map_err(refused)?))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    Reply::json(&view(&find(&region, &request).await?))
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let told = Told::read(request.fields())?;
    for _ in 0..ATTEMPTS {
        let mut stored = find(&region, &request).await?;
        let before = stored.value.name.clone();
        if let Some(name) = &told.name
            && *name != before
        {
            stored.value.name.clone_from(name);
            stored.value.renamed_from = Some(before.clone());
        }
        if let Some(comment) = &told.comment {
            stored.value.comment.clone_from(comment);
        }
        if let Some(options) = &told.kernel_opts {
            stored.value.kernel_opts.clone_from(options);
        }
        let mut stored = match region.store.update(stored).await {
            Ok(stored) => stored,
            Err(DocumentError::Conflict { .. }) => continue,
            Err(error) => return Err(refused(error)),
        };
        if stored.value.name != before {
            places::retag(&region, &before, Some(&stored.value.name)).await?;
            stored.value.renamed_from = None;
            stored = match region.store.update(stored.clone()).await {
                Ok(done) => done,
                Err(DocumentError::Conflict { .. }) => stored,
                Err(error) => return Err(refused(error)),
            };
        }
        return Reply::json(&view(&stored));
    }
    Err(busy())
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    for _ in 0..ATTEMPTS {
        let stored = find(&region, &request).await?;
        match region.store.remove::<Tag>(stored.id, stored.version).await {
            Ok(()) | Err(DocumentError::Gone { .. }) => {}
            Err(DocumentError::Conflict { .. }) => continue,
            Err(error) => return Err(Problem::internal(error)),
        }
        places::retag(&region, &stored.value.name, None).await?;
        return Ok(Reply::no_content());
    }
    Err(busy())
}

async fn machines(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let tag = find(&region, &request).await?;
    list::with_tag(region, &request, tag.value.name).await
}

/// Tags are given to machines only, so no other node ever has one.
async fn nobody(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    find(&region, &request).await?;
    Reply::json(&[(); 0])
}

async fn update_nodes(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let tag = find(&region, &request).await?.value.name;
    let fields = request.fields();
    if fields.filled("definition")?.is_some() {
        return Err(Problem::Conflict(
            "Definition supplied doesn't match current definition: tags have none here.".to_owned(),
        ));
    }
    let (add, remove) = (fields.words("add")?, fields.words("remove")?);
    let (mut added, mut removed) = (0, 0);
    // Removed first: a machine in both lists has the tag afterwards, as in MAAS.
    for (ids, gets) in [(remove, false), (add, true)] {
        for id in ids {
            // Unknown ids are passed over, as in MAAS.
            let Ok(id) = id.parse() else { continue };
            let edited = region
                .edit::<ApplyError>(&id, |machine| {
                    if gets {
                        machine.tags.insert(tag.clone());
                    } else {
                        machine.tags.remove(&tag);
                    }
                    Ok(Vec::new())
                })
                .await;
            match edited {
                Ok(_) if gets => added += 1,
                Ok(_) => removed += 1,
                Err(ApplyError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Reply::json(&json!({"added": added, "removed": removed}))
}

async fn rebuild(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let tag = find(&region, &request).await?;
    Reply::json(&json!({"rebuilding": tag.value.name}))
}

async fn find(region: &Region, request: &Request) -> Result<Stored<Tag>, Problem> {
    let found = region.store.by_key::<Tag>(request.param("name")).await;
    found
        .map_err(Problem::internal)?
        .ok_or_else(|| Problem::not_found("No Tag matches the given query."))
}

/// Says which of these words are no tags.
pub(super) async fn check(region: &Region, words: &[&str]) -> Result<(), Problem> {
    let mut unknown = Vec::new();
    for word in words {
        if region.store.by_key::<Tag>(word).await.map_err(Problem::internal)?.is_none() {
            unknown.push(format!("'{}'", word.chars().take(64).collect::<String>()));
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Problem::bad_request(format!("No such tag(s): {}.", unknown.join(", "))))
}

/// What a form says of a tag.
struct Told {
    name: Option<String>,
    comment: Option<String>,
    kernel_opts: Option<String>,
}

impl Told {
    fn read(fields: &Fields) -> Result<Self, Problem> {
        let mut errors = FieldErrors::new();
        let name = errors.collect(fields.filled("name")).map(str::to_owned);
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.as_ref().is_some_and(|name| name.len() > 256 || !name.bytes().all(fits)) {
            errors.add("name", "Invalid tag name: expected letters, digits, _ and -.");
        }
        if errors.collect(fields.filled("definition")).is_some() {
            errors.add(
                "definition",
                "Definitions are not supported: give the tag to machines with update_nodes.",
            );
        }
        let kernel_opts = errors.collect(fields.text("kernel_opts")).map(str::to_owned);
        if kernel_opts.as_ref().is_some_and(|options| {
            options.len() > LONGEST_OPTIONS || options.chars().any(char::is_control)
        }) {
            errors.add("kernel_opts", "Expected one line of at most 1024 bytes.");
        }
        let comment = errors.collect(fields.text("comment")).map(str::to_owned);
        errors.done()?;
        Ok(Self { name, comment, kernel_opts })
    }
}

fn refused(error: DocumentError) -> Problem {
    match error {
        DocumentError::DuplicateKey { .. } => {
            Problem::field("name", "Tag with this Name already exists.")
        }
        DocumentError::Gone { .. } => Problem::not_found("No Tag matches the given query."),
        other => Problem::internal(other),
    }
}

fn view(stored: &Stored<Tag>) -> Value {
    let tag = &stored.value;
    json!({
        "name": tag.name, "comment": tag.comment, "definition": "",
        "kernel_opts": tag.kernel_opts,
        "resource_uri": format!("/MAAS/api/2.0/tags/{}/", places::segment(&tag.name)),
    })
}
