//! Files that a user keeps here (Juju keeps its own state so).

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::actor;
use crate::entropy;
use crate::http::{Access, Operation, Param, Problem, Reply, Request, delete, get, post};
use crate::places::segment;
use crate::region::Region;
use crate::store::{Document, DocumentError, Stored};

const FILES: &str = "/MAAS/api/2.0/files/";
const FILE: &str = "/MAAS/api/2.0/files/{*filename}";

/// The largest file in bytes; larger ones belong into object stores.
const LARGEST: usize = 5 << 20;
/// The most files of one user.
const MOST: usize = 10_000;

/// A file as the database keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct File {
    owner: String,
    filename: String,
    /// Whoever knows it may read the file.
    key: String,
}

/// A file's content, found by the file's key; apart, so that lists stay small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    key: String,
    base64: String,
}

impl Document for Content {
    const KIND: &'static str = "file-content";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.key))
    }
}

impl Document for File {
    const KIND: &'static str = "file";

    fn key(&self) -> Option<Cow<'_, str>> {
        // User names have no slash.
        Some(Cow::Owned(format!("{}/{}", self.owner, self.filename)))
    }
}

pub(super) fn operations() -> Vec<Operation<Region>> {
    let named = || [Param::required("filename", "The file's name.")];
    vec![
        get("FilesHandler", FILES, "The caller's files, without their content.", list)
            .params(&[Param::optional("prefix", "Only names that begin so.")]),
        post("FilesHandler", FILES, "Keeps a file; one of the same name is replaced.", create)
            .params(&[
                Param::required("filename", "The file's name."),
                Param::required("file", "The content, as a file part."),
            ]),
        get("FilesHandler", FILES, "The content of a file.", content).op("get").params(&named()),
        get("FilesHandler", FILES, "The content of a file, for whoever knows its key.", by_key)
            .op("get_by_key")
            .access(Access::Anonymous)
            .params(&[Param::required("key", "The key that the file's address holds.")]),
        get("FileHandler", FILE, "One file with its content in base64.", read),
        delete("FileHandler", FILE, "Deletes a file.", remove),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let owner = actor(&request)?.username;
    let prefix = request.fields().text("prefix")?.unwrap_or_default();
    let mut files = own(&region, &owner).await?;
    files.retain(|stored| stored.value.filename.starts_with(prefix));
    files.sort_by(|left, right| left.value.filename.cmp(&right.value.filename));
    Reply::json(&files.iter().map(|stored| view(&stored.value)).collect::<Vec<_>>())
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let owner = actor(&request)?.username;
    let fields = request.fields();
    let filename =
        fields.filled("filename")?.ok_or_else(|| Problem::bad_request("Filename not supplied"))?;
    let fits = |letter: char| !letter.is_control();
    if filename.len() > 255 || !filename.chars().all(fits) || filename.starts_with('/') {
        return Err(Problem::field("filename", "Invalid file name."));
    }
    let mut files = fields.files();
    let (Some(file), None) = (files.next(), files.next()) else {
        return Err(Problem::bad_request("Exactly one file must be supplied"));
    };
    let bytes = &file.value.content;
    if bytes.len() > LARGEST {
        return Err(Problem::TooLarge { limit: LARGEST as u64 });
    }
    let known = find(&region, &owner, filename).await?;
    if known.is_none() && own(&region, &owner).await?.len() >= MOST {
        return Err(Problem::bad_request(format!("A user can keep at most {MOST} files.")));
    }
    let key = match known {
        Some(stored) => stored.value.key,
        None => entropy::letters_and_digits(32).map_err(Problem::internal)?,
    };
    let base64 = BASE64_STANDARD.encode(bytes);
    region.store.put(Content { key: key.clone(), base64 }).await.map_err(Problem::internal)?;
    let file = File { owner, filename: filename.to_owned(), key };
    let stored = region.store.put(file).await.map_err(Problem::internal)?;
    Reply::json(&view(&stored.value))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let file = named(&region, &request).await?.value;
    let mut view = view(&file);
    view["content"] = Value::String(content_of(&region, &file.key).await?.value.base64);
    Reply::json(&view)
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let stored = named(&region, &request).await?;
    let content = region.store.by_key::<Content>(&stored.value.key).await;
    if let Some(content) = content.map_err(Problem::internal)? {
        match region.store.remove::<Content>(content.id, content.version).await {
            Ok(()) | Err(DocumentError::Gone { .. }) => {}
            Err(DocumentError::Conflict { .. }) => return Err(super::zones::busy()),
            Err(error) => return Err(Problem::internal(error)),
        }
    }
    match region.store.remove::<File>(stored.id, stored.version).await {
        Ok(()) | Err(DocumentError::Gone { .. }) => Ok(Reply::no_content()),
        Err(DocumentError::Conflict { .. }) => Err(super::zones::busy()),
        Err(error) => Err(Problem::internal(error)),
    }
}

async fn content(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let owner = actor(&request)?.username;
    let filename = request.fields().required("filename")?;
    let file = find(&region, &owner, filename).await?.ok_or_else(not_found)?;
    bytes(&region, &file.value.key).await
}

async fn by_key(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    bytes(&region, request.fields().required("key")?).await
}

async fn bytes(region: &Region, key: &str) -> Result<Reply, Problem> {
    let content = content_of(region, key).await?.value;
    let bytes = BASE64_STANDARD.decode(&content.base64).map_err(Problem::internal)?;
    Ok(Reply::bytes("application/octet-stream", bytes))
}

async fn content_of(region: &Region, key: &str) -> Result<Stored<Content>, Problem> {
    let found = region.store.by_key::<Content>(key).await.map_err(Problem::internal)?;
    found.ok_or_else(not_found)
}

async fn own(region: &Region, owner: &str) -> Result<Vec<Stored<File>>, Problem> {
    let mut files = region.store.list::<File>().await.map_err(Problem::internal)?;
    files.retain(|stored| stored.value.owner == owner);
    Ok(files)
}

async fn find(
    region: &Region,
    owner: &str,
    filename: &str,
) -> Result<Option<Stored<File>>, Problem> {
    region.store.by_key(&format!("{owner}/{filename}")).await.map_err(Problem::internal)
}

async fn named(region: &Region, request: &Request) -> Result<Stored<File>, Problem> {
    let owner = actor(request)?.username;
    let filename = request.param("filename").trim_end_matches('/');
    find(region, &owner, filename).await?.ok_or_else(not_found)
}

fn not_found() -> Problem {
    Problem::not_found("File not found")
}

fn view(file: &File) -> Value {
    json!({
        "filename": file.filename,
        "anon_resource_uri": format!("{FILES}?op=get_by_key&key={}", file.key),
        "resource_uri": format!("{FILES}{}/", segment(&file.filename)),
    })
}
