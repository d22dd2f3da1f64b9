//! Requests to a Redfish service: credentials, redirects, bounded answers, errors by kind.

use std::sync::OnceLock;

use reqwest::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_MATCH, LOCATION};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use crate::power::http_client::{self, Redirects, Tls};
use crate::power::{PowerError, Target};

/// The most that is read of an answer, in bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// How many redirects are followed (as MAAS does).
const MOST_REDIRECTS: usize = 5;

/// The HTTP clients, made on first use.
#[derive(Debug, Default)]
pub(super) struct Clients {
    verifying: OnceLock<reqwest::Client>,
    trusting: OnceLock<reqwest::Client>,
}

impl Clients {
    /// The client of a machine's controller.
    pub(super) fn client<'a>(&'a self, target: Target<'a>) -> Result<Client<'a>, PowerError> {
        let address = target.required("power_address")?;
        let wrong = |problem: &str| PowerError::Setting {
            name: "power_address",
            problem: problem.to_owned(),
        };
        let is_url = address.contains("://");
        let text = if is_url { address.to_owned() } else { format!("https://{address}") };
        let base: Url = text.parse().map_err(|_| wrong("is neither a host nor a URL"))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(wrong("is neither a host nor an http or https URL"));
        }
        let (slot, tls) = match target.given("power_verify_ssl") {
            Some("n") => (&self.trusting, Tls::Trust),
            _ => (&self.verifying, Tls::Verify),
        };
        let http = match slot.get() {
            Some(client) => client,
            None => {
                let client = http_client::build(tls, Redirects::Tell).map_err(connection)?;
                slot.get_or_init(|| client)
            }
        };
        let user = target.required("power_user")?;
        let password = target.required("power_pass")?;
        Ok(Client { http, base, user, password })
    }
}

/// One controller's service.
pub(super) struct Client<'a> {
    http: &'a reqwest::Client,
    base: Url,
    user: &'a str,
    password: &'a str,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) etag: Option<String>,
    pub(super) body: Value,
}

impl Client<'_> {
    /// Reads a resource.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, PowerError> {
        self.send(Method::GET, path, None, None).await?.into_success()
    }

    /// Sends a request and follows its redirects, on this host only: the credentials go along.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        etag: Option<&str>,
    ) -> Result<Answer, PowerError> {
        let mut url = self.on_this_host(&self.base, path)?;
        let mut with_slash = false;
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self
                .http
                .request(method.clone(), url.clone())
                .basic_auth(self.user, Some(self.password))
                .header(ACCEPT, "application/json");
            if let Some(body) = body {
                request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
            }
            if let Some(etag) = etag {
                request = request.header(IF_MATCH, etag);
            }
            let answer = request.send().await.map_err(connection)?;
            let status = answer.status();
            if status.is_redirection() {
                let to = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                let to = to.ok_or_else(|| action("a redirect to nowhere"))?;
                url = self.on_this_host(&url, to)?;
                continue;
            }
            // Some services know their resources only with a trailing slash.
            if status == StatusCode::NOT_FOUND && !with_slash && !url.path().ends_with('/') {
                with_slash = true;
                url.set_path(&format!("{}/", url.path()));
                continue;
            }
            return read(answer).await;
        }
        Err(action("more redirects than are followed"))
    }

    fn on_this_host(&self, from: &Url, to: &str) -> Result<Url, PowerError> {
        let url = from.join(to).map_err(|_| action("a reference that is no URL"))?;
        let place = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
        let upgrades = self.base.scheme() == "http" && url.scheme() == "https";
        let is_same = url.scheme() == self.base.scheme() && place(&url) == place(&self.base)
            || upgrades && url.host_str() == self.base.host_str();
        if is_same {
            Ok(url)
        } else {
            Err(action("a reference to another host, to which no credentials are sent"))
        }
    }
}

impl Answer {
    /// Itself, or why it is no success.
    pub(super) fn into_success(self) -> Result<Self, PowerError> {
        if matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(PowerError::Auth { detail: self.status.to_string() });
        }
        if !self.status.is_success() {
            return Err(PowerError::Action { detail: self.sentence() });
        }
        Ok(self)
    }

    /// The status with the service's own words, where it has some.
    fn sentence(&self) -> String {
        let error = &self.body["error"];
        let words = error["@Message.ExtendedInfo"][0]["Message"]
            .as_str()
            .or_else(|| error["message"].as_str())
            .unwrap_or_default();
        let words: String = words.chars().filter(|c| !c.is_control()).take(200).collect();
        if words.is_empty() { self.status.to_string() } else { format!("{}: {words}", self.status) }
    }
}

async fn read(mut answer: reqwest::Response) -> Result<Answer, PowerError> {
    let status = answer.status();
    let etag = answer.headers().get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(connection)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LONGEST_ANSWER {
            return Err(action("more than a MiB"));
        }
    }
    // Errors of a proxy before the service are HTML; an empty body is common for changes.
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Ok(Answer { status, etag, body })
}

pub(super) fn action(detail: &str) -> PowerError {
    PowerError::Action { detail: detail.to_owned() }
}

/// The URL is left out: it may hold credentials.
fn connection(error: reqwest::Error) -> PowerError {
    PowerError::Connection { detail: crate::with_causes(&error.without_url()) }
}
