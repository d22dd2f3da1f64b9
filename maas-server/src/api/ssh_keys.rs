//! A user's SSH keys: who may log in to what the user deploys.

use std::sync::Arc;

use ::http::StatusCode;
use serde_json::{Value, json};

use crate::http::{Operation, Param, Problem, Reply, Request, delete, get, post};
use crate::region::Region;
use crate::store::{AccountError, SshKey};

pub(super) const KEYS: &str = "/MAAS/api/2.0/account/prefs/sshkeys/";
const KEY: &str = "/MAAS/api/2.0/account/prefs/sshkeys/{id}/";

/// The longest key that is taken, in bytes.
const LONGEST: usize = 16 * 1024;

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("SSHKeysHandler", KEYS, "The caller's SSH keys.", list),
        post("SSHKeysHandler", KEYS, "Adds an SSH key.", create)
            .params(&[Param::required("key", "A public key in OpenSSH's one-line form.")]),
        get("SSHKeyHandler", KEY, "One SSH key.", read),
        delete("SSHKeyHandler", KEY, "Deletes an SSH key.", remove),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let user = super::actor(&request)?.username;
    let keys = region.store.ssh_keys(&user).await.map_err(Problem::internal)?;
    Reply::json(&keys.iter().map(view).collect::<Vec<_>>())
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let text = request.fields().required("key")?.trim();
    if !is_public_key(text) {
        return Err(Problem::field("key", "Invalid SSH public key."));
    }
    let mut key = SshKey {
        id: 0,
        username: super::actor(&request)?.username,
        key: text.to_owned(),
        source: String::new(),
    };
    key.id = region.store.create_ssh_key(key.clone()).await.map_err(|error| match error {
        AccountError::Exists { .. } => {
            Problem::field("key", "This key has already been added for this user.")
        }
        other => Problem::internal(other),
    })?;
    Ok(Reply::json(&view(&key))?.status(StatusCode::CREATED))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    Reply::json(&view(&own(&region, &request).await?))
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let key = own(&region, &request).await?;
    region.store.delete_ssh_key(key.id).await.map_err(Problem::internal)?;
    Ok(Reply::no_content())
}

async fn own(region: &Region, request: &Request) -> Result<SshKey, Problem> {
    let user = super::actor(request)?.username;
    let id = request.parsed_param("id")?;
    let key = region.store.ssh_key(id).await.map_err(Problem::internal)?;
    key.filter(|key| key.username == user)
        .ok_or_else(|| Problem::not_found("No SSHKey matches the given query."))
}

/// `TYPE BASE64 [COMMENT]` on one line, the type one that OpenSSH has.
pub(super) fn is_public_key(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let (Some(kind), Some(body)) = (words.next(), words.next()) else { return false };
    let known = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    text.len() <= LONGEST
        && !text.contains(['\n', '\r', '\0'])
        && known.iter().any(|start| kind.starts_with(start))
        && body.starts_with("AAAA")
        && body.bytes().all(base64)
}

pub(super) fn view(key: &SshKey) -> Value {
    json!({
        "id": key.id, "key": key.key, "keysource": key.source,
        "resource_uri": format!("/MAAS/api/2.0/account/prefs/sshkeys/{}/", key.id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_line_keys_of_known_types_are_taken() {
        assert!(is_public_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk me@here"));
        for wrong in ["", "ssh-rsa", "ssh-rsa hello", "ssh-rsa AAAA\nssh-rsa AAAA", "rsa AAAA"] {
            assert!(!is_public_key(wrong), "{wrong}");
        }
    }
}
