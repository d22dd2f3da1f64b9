//! SSH keys that a user has published at Launchpad or GitHub.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::ssh_keys::{KEYS, is_public_key, view};
use crate::http::{Operation, Param, Problem, Reply, Request, post};
use crate::region::Region;
use crate::store::{AccountError, SshKey};

/// The longest answer, in bytes.
const LONGEST: usize = 512 * 1024;
/// How long the other side may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        post("SSHKeysHandler", KEYS, "Adds the keys published at Launchpad or GitHub.", import)
            .op("import")
            .params(&[Param::required("keysource", "lp:USER or gh:USER.")]),
    ]
}

async fn import(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let source = request.fields().required("keysource")?;
    let user = super::actor(&request)?.username;
    let (url, site) = published_at(source, "https://launchpad.net", "https://api.github.com")?;
    let text = fetch(&url, site).await?;
    let keys = keys(&text);
    if keys.is_empty() {
        return Err(Problem::bad_request(format!(
            "Unable to import SSH keys. There are no SSH keys for {source}."
        )));
    }
    let mut imported = Vec::new();
    for line in keys {
        let mut key =
            SshKey { id: 0, username: user.clone(), key: line, source: source.to_owned() };
        match region.store.create_ssh_key(key.clone()).await {
            Ok(id) => {
                key.id = id;
                imported.push(view(&key));
            }
            // The user has it already.
            Err(AccountError::Exists { .. }) => {}
            Err(error) => return Err(Problem::internal(error)),
        }
    }
    Reply::json(&imported)
}

/// Where the keys are and what the site is called.
fn published_at(
    source: &str,
    launchpad: &str,
    github: &str,
) -> Result<(String, &'static str), Problem> {
    let wrong = || Problem::field("keysource", "Expected lp:USER or gh:USER.");
    let (site, name) = source.split_once(':').ok_or_else(wrong)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    let is_name = (1..=64).contains(&name.len())
        && name.bytes().all(fits)
        && name.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    match site {
        "lp" if is_name => Ok((format!("{launchpad}/~{name}/+sshkeys"), "Launchpad")),
        "gh" if is_name => Ok((format!("{github}/users/{name}/keys"), "GitHub")),
        _ => Err(wrong()),
    }
}

async fn fetch(url: &str, site: &str) -> Result<String, Problem> {
    let failed = |why: &dyn std::fmt::Display| {
        Problem::bad_request(format!("Unable to import SSH keys. {site}: {why}."))
    };
    let builder = || {
        reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(PATIENCE)
            .user_agent(concat!("maas-server/", env!("CARGO_PKG_VERSION")))
    };
    // A machine without CA certificates cannot build the default client, not even for plain http.
    let client = builder().build().or_else(|_| builder().tls_certs_only(Vec::new()).build());
    let client = client.map_err(Problem::internal)?;
    let mut answer =
        client.get(url).send().await.map_err(|error| failed(&crate::with_causes(&error)))?;
    if answer.status() == reqwest::StatusCode::NOT_FOUND {
        return Err(failed(&"there is no such user"));
    }
    if !answer.status().is_success() {
        return Err(failed(&format!("it answered {}", answer.status())));
    }
    let mut text = Vec::new();
    while let Some(chunk) =
        answer.chunk().await.map_err(|error| failed(&crate::with_causes(&error)))?
    {
        text.extend_from_slice(&chunk);
        if text.len() > LONGEST {
            return Err(failed(&"its answer is too long"));
        }
    }
    String::from_utf8(text).map_err(|_| failed(&"its answer is not text"))
}

/// One key a line (Launchpad), or a JSON list of objects with a `key` (GitHub).
fn keys(text: &str) -> Vec<String> {
    let lines: Vec<String> = match serde_json::from_str::<Vec<Value>>(text) {
        Ok(list) => {
            list.iter().filter_map(|one| one.get("key")?.as_str().map(str::to_owned)).collect()
        }
        Err(_) => text.lines().map(str::to_owned).collect(),
    };
    let trimmed = lines.iter().map(|line| line.trim());
    trimmed.filter(|line| is_public_key(line)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk";

    #[test]
    fn both_forms_of_publishing_are_read_and_other_lines_left_out() {
        assert_eq!(keys(&format!("{KEY}\r\n\r\nnonsense\n{KEY} me\n")).len(), 2);
        let json = serde_json::json!([{"id": 1, "key": KEY}, {"id": 2}, {"key": "x"}]).to_string();
        assert_eq!(keys(&json), [KEY]);
        assert!(keys("").is_empty() && keys("<html>").is_empty());
    }

    #[test]
    fn a_source_is_a_site_and_a_name() {
        let (url, _) = published_at("gh:some-one", "L", "G").unwrap();
        assert_eq!(url, "G/users/some-one/keys");
        assert_eq!(published_at("lp:me", "L", "G").unwrap().0, "L/~me/+sshkeys");
        for wrong in ["", "me", "xy:me", "gh:", "gh:../x", "gh:a/b", "lp:a?b", "gh:.."] {
            assert!(published_at(wrong, "L", "G").is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn what_the_site_answers_is_said_in_a_sentence() {
        for (answer, expected) in [
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "no such user"),
            ("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "answered 500"),
            ("nonsense", "GitHub:"),
        ] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/", listener.local_addr().unwrap());
            let site = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
            let refused = fetch(&url, "GitHub").await.unwrap_err();
            assert_eq!(refused.status(), ::http::StatusCode::BAD_REQUEST);
            assert!(refused.to_string().contains(expected), "{refused}");
            site.await.unwrap();
        }
    }
}
