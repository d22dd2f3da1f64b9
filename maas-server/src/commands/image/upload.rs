//! `maas-server image upload`: in pieces, going on where an earlier upload broke off.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use form_urlencoded::Serializer;
use maas_core::image_pack::Severity;
use maas_core::secret::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sha2::Digest;

use super::lint;
use super::{Failure, say};
use crate::cli::UploadArgs;
use crate::commands::oauth;
use crate::with_causes;

/// One piece, in bytes; what other clients send too.
const PIECE: u64 = 4 << 20;
/// How often a piece is tried.
const ATTEMPTS: u32 = 8;

pub(super) async fn run(args: UploadArgs) -> Result<(), Failure> {
    let client = Client::new(&args.url, &args.apikey_file)?;
    let filetype = lint::filetype(&args.file, args.filetype.as_deref())?
        .and_then(|filetype| filetype.upload_word())
        .ok_or_else(|| {
            format!("{}: its name does not tell its type: give --filetype", args.file.display())
        })?;
    let path = args.file.clone();
    let (file, size, sha256) = tokio::task::spawn_blocking(move || hash(&path))
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        .map_err(|error| format!("{}: cannot be read: {error}", args.file.display()))?;
    let size_text = size.to_string();
    let mut fields = vec![
        ("name", args.name.as_str()),
        ("architecture", args.arch.as_str()),
        ("sha256", sha256.as_str()),
        ("size", size_text.as_str()),
        ("filetype", filetype),
        ("resume", "true"),
        ("keep_old", if args.keep_old { "true" } else { "false" }),
    ];
    fields.extend(args.title.as_deref().map(|title| ("title", title)));
    fields.extend(args.base_image.as_deref().map(|base| ("base_image", base)));
    let mut resource = client.declare(&fields).await?;
    let uri = resource["resource_uri"].as_str().ok_or("the answer has no resource_uri")?.to_owned();
    let mut failures = 0;
    loop {
        let uploading = newest_file(&resource)?;
        if uploading["complete"] == true {
            break;
        }
        let received = uploading["received"].as_u64().unwrap_or(0);
        let to = uploading["upload_uri"].as_str().ok_or("the answer has no upload_uri")?;
        match send(&client, to, &file, received, size).await {
            Ok(()) => failures = 0,
            // What a retry cannot help.
            Err(SendError::Refused(text)) => return Err(text.into()),
            Err(SendError::Interrupted { sent, reason }) => {
                failures = if sent > 0 { 1 } else { failures + 1 };
                if failures == ATTEMPTS {
                    return Err(format!("{reason}; the same command goes on from there").into());
                }
                tokio::time::sleep(pause(failures)).await;
            }
        }
        resource = client.get(&uri).await?;
    }
    let file = newest_file(&resource)?;
    say(&format!("{} {} is complete: {size} bytes, sha256 {sha256}", args.name, args.arch))?;
    let mut has_errors = false;
    for finding in file["findings"].as_array().into_iter().flatten() {
        let text = |name: &str| finding[name].as_str().unwrap_or_default();
        has_errors |= finding["severity"] == serde_json::to_value(Severity::Error)?;
        say(&format!("{}: {} [{}]", text("severity"), text("message"), text("code")))?;
    }
    if has_errors {
        return Err("the image is uploaded, but its deployment will be refused".into());
    }
    Ok(())
}

fn hash(path: &Path) -> std::io::Result<(File, u64, String)> {
    let mut file = File::open(path)?;
    let mut hasher = sha2::Sha256::new();
    let mut block = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            break;
        }
        size += read as u64;
        hasher.update(block.get(..read).unwrap_or_default());
    }
    let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((file, size, sha256))
}

/// The only file of the newest version.
fn newest_file(resource: &Value) -> Result<&Value, Failure> {
    let newest = resource["sets"].as_object().and_then(|sets| {
        sets.iter().max_by_key(|(version, _)| version.as_str()).map(|(_, set)| set)
    });
    let file = newest.and_then(|set| set["files"].as_object()?.values().next());
    file.ok_or_else(|| "the boot resource has no file".into())
}

/// Why pieces were not sent to the end.
enum SendError {
    Refused(String),
    Interrupted { sent: u64, reason: String },
}

/// Sends everything from `received` on.
async fn send(
    client: &Client,
    uri: &str,
    file: &File,
    received: u64,
    size: u64,
) -> Result<(), SendError> {
    let mut at = received;
    while at < size {
        let length = PIECE.min(size - at);
        let interrupted = |reason: String| SendError::Interrupted { sent: at - received, reason };
        let mut piece = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut piece, at)
            .map_err(|error| SendError::Refused(format!("the image changed meanwhile: {error}")))?;
        let end = at + length - 1;
        let request = client
            .request(Method::PUT, uri)
            .map_err(|error| SendError::Refused(with_causes(&*error)))?
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_RANGE, format!("bytes {at}-{end}/{size}"))
            .body(piece);
        let answer = request.send().await.map_err(|error| interrupted(with_causes(&error)))?;
        let status = answer.status();
        if !status.is_success() {
            let text = format!("{status}: {}", answer.text().await.unwrap_or_default());
            return Err(if status.is_server_error() || status == StatusCode::CONFLICT {
                interrupted(text)
            } else {
                SendError::Refused(text)
            });
        }
        at += length;
    }
    Ok(())
}

/// An administrator's connection to the region.
struct Client {
    http: reqwest::Client,
    base: String,
    consumer_key: String,
    token_key: String,
    token_secret: Secret<String>,
}

impl Client {
    fn new(url: &str, key_file: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(key_file)
            .map_err(|error| format!("{}: cannot be read: {error}", key_file.display()))?;
        let mut parts = text.trim().split(':');
        let (Some(consumer_key), Some(token_key), Some(secret), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            let file = key_file.display();
            return Err(format!("{file}: no API key: expected three words with : between").into());
        };
        // No limit for a whole request: a piece may wait until the image was looked into.
        let builder = || reqwest::Client::builder().connect_timeout(Duration::from_secs(30));
        let http = builder().build().or_else(|_| builder().tls_certs_only(Vec::new()).build())?;
        let url = url.trim_end_matches('/').trim_end_matches("/MAAS");
        Ok(Self {
            http,
            base: url.to_owned(),
            consumer_key: consumer_key.to_owned(),
            token_key: token_key.to_owned(),
            token_secret: Secret::new(secret.to_owned()),
        })
    }

    fn request(&self, method: Method, path: &str) -> Result<reqwest::RequestBuilder, Failure> {
        let signature =
            oauth::authorization(&self.consumer_key, &self.token_key, &self.token_secret)?;
        let request = self.http.request(method, format!("{}{path}", self.base));
        Ok(request.header(AUTHORIZATION, signature))
    }

    /// Declaring twice, because the first answer was lost, goes on with the same upload.
    async fn declare(&self, fields: &[(&str, &str)]) -> Result<Value, Failure> {
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        self.patiently(|| {
            let request = self.request(Method::POST, "/MAAS/api/2.0/boot-resources/")?;
            let form = "application/x-www-form-urlencoded";
            Ok(request.header(CONTENT_TYPE, form).body(body.clone()))
        })
        .await
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.patiently(|| self.request(Method::GET, path)).await
    }

    /// Asks again while the region cannot be reached, as while it is restarted.
    async fn patiently(
        &self,
        request: impl Fn() -> Result<reqwest::RequestBuilder, Failure>,
    ) -> Result<Value, Failure> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let failure = match request()?.send().await {
                Ok(answer) if answer.status().is_server_error() && attempt < ATTEMPTS => {
                    answer.status().to_string()
                }
                Ok(answer) => match json(answer).await {
                    Err(error) if error.is::<reqwest::Error>() && attempt < ATTEMPTS => {
                        with_causes(&*error)
                    }
                    read => return read,
                },
                Err(error) if attempt < ATTEMPTS => with_causes(&error),
                Err(error) => return Err(error.into()),
            };
            tracing::debug!(attempt, failure, "asking the region again");
            tokio::time::sleep(pause(attempt)).await;
        }
    }
}

fn pause(attempt: u32) -> Duration {
    Duration::from_millis(250 << attempt.min(6))
}

async fn json(answer: reqwest::Response) -> Result<Value, Failure> {
    let status = answer.status();
    let text = answer.text().await?;
    if !status.is_success() {
        return Err(format!("the region refuses: {status}: {text}").into());
    }
    Ok(serde_json::from_str(&text)?)
}
