//! The webhook driver: an operator's own HTTP service switches the machine (MAAS `webhook`).

use std::sync::OnceLock;

use maas_core::machine::PowerState;
use regex::{Regex, RegexBuilder};
use reqwest::header::{ACCEPT, AUTHORIZATION};
use reqwest::{Client, Method, RequestBuilder, StatusCode};

use super::http_client::{self, Redirects, Tls};
use super::setting::Setting;
use super::{BoxFuture, PowerDriver, PowerError, Target};

/// The most that is read of an answer, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

const YES_NO: &[(&str, &str)] = &[("n", "No"), ("y", "Yes")];

const SETTINGS: &[Setting] = &[
    Setting::text("power_on_uri", "URI to power on the node").required(),
    Setting::text("power_off_uri", "URI to power off the node").required(),
    Setting::text("power_query_uri", "URI to query the nodes power status").required(),
    Setting {
        default: ON_REGEX,
        ..Setting::text("power_on_regex", "Regex to confirm the node is on").required()
    },
    Setting {
        default: OFF_REGEX,
        ..Setting::text("power_off_regex", "Regex to confirm the node is off").required()
    },
    Setting::text("power_user", "Power user"),
    Setting::password("power_pass", "Power password"),
    Setting::password(
        "power_token",
        "Power token, will be used in place of power user and password",
    ),
    Setting::choice(
        "power_verify_ssl",
        "Verify SSL connections with system CA certificates",
        YES_NO,
        "y",
    )
    .required(),
];

const ON_REGEX: &str = r"status.*\:.*running";
const OFF_REGEX: &str = r"status.*\:.*stopped";

/// Talks HTTP to the URIs in the machine's parameters.
#[derive(Debug, Default)]
pub(super) struct Webhook {
    verifying: OnceLock<Client>,
    trusting: OnceLock<Client>,
}

impl PowerDriver for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn description(&self) -> &'static str {
        "Webhook"
    }

    fn settings(&self) -> &'static [Setting] {
        SETTINGS
    }

    fn power_on<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), PowerError>> {
        Box::pin(async move { self.send(Method::POST, "power_on_uri", target).await.map(drop) })
    }

    fn power_off<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), PowerError>> {
        Box::pin(async move { self.send(Method::POST, "power_off_uri", target).await.map(drop) })
    }

    fn query<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<PowerState, PowerError>> {
        Box::pin(async move {
            let on = pattern(target, "power_on_regex", ON_REGEX)?;
            let off = pattern(target, "power_off_regex", OFF_REGEX)?;
            let answer = self.send(Method::GET, "power_query_uri", target).await?;
            Ok(if on.is_match(&answer) {
                PowerState::On
            } else if off.is_match(&answer) {
                PowerState::Off
            } else {
                PowerState::Unknown
            })
        })
    }
}

impl Webhook {
    async fn send(
        &self,
        method: Method,
        uri: &'static str,
        target: Target<'_>,
    ) -> Result<String, PowerError> {
        let url = target.required(uri)?;
        let url: reqwest::Url = url
            .parse()
            .map_err(|_| PowerError::Setting { name: uri, problem: "is not a URL".to_owned() })?;
        let client = self.client(target)?;
        let mut answer =
            self.request(client, &method, url.clone(), target).send().await.map_err(connection)?;
        // Some services know their resources only with a trailing slash.
        if answer.status() == StatusCode::NOT_FOUND && !url.path().ends_with('/') {
            let mut with_slash = url.clone();
            with_slash.set_path(&format!("{}/", url.path()));
            answer = self
                .request(client, &method, with_slash, target)
                .send()
                .await
                .map_err(connection)?;
        }
        let status = answer.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(PowerError::Auth { detail: status.to_string() });
        }
        if !status.is_success() {
            return Err(PowerError::Action { detail: status.to_string() });
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(connection)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                return Err(PowerError::Action {
                    detail: format!("more than {LONGEST_ANSWER} bytes"),
                });
            }
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn request(
        &self,
        client: &Client,
        method: &Method,
        url: reqwest::Url,
        target: Target<'_>,
    ) -> RequestBuilder {
        let request = client
            .request(method.clone(), url)
            .header(ACCEPT, "application/json")
            .header("System_Id", target.system_id.as_str());
        if let Some(token) = target.given("power_token") {
            return request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        match target.given("power_user") {
            Some(user) => request.basic_auth(user, target.given("power_pass")),
            None => request,
        }
    }

    fn client(&self, target: Target<'_>) -> Result<&Client, PowerError> {
        let (slot, tls) = match target.given("power_verify_ssl") {
            Some("n") => (&self.trusting, Tls::Trust),
            _ => (&self.verifying, Tls::Verify),
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = http_client::build(tls, Redirects::Follow).map_err(connection)?;
        Ok(slot.get_or_init(|| client))
    }
}

fn pattern(target: Target<'_>, name: &'static str, default: &str) -> Result<Regex, PowerError> {
    RegexBuilder::new(target.given(name).unwrap_or(default))
        .size_limit(1 << 20)
        .build()
        .map_err(|error| PowerError::Setting { name, problem: error.to_string() })
}

/// The URL is left out: it may hold credentials.
fn connection(error: reqwest::Error) -> PowerError {
    let detail = crate::with_causes(&error.without_url());
    PowerError::Connection { detail }
}

#[cfg(test)]
mod tests;
