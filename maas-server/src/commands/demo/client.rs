//! A user at the API: signs requests as MAAS's clients do and speaks form bodies.

use std::time::Duration;

use form_urlencoded::Serializer;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::commands::oauth;
use crate::entropy;
use crate::store::ApiKey;

/// A user's connection to the region.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    key: ApiKey,
}

/// An answer that is not a success: the status and the region's own sentence.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path}: {status}: {text}")]
pub(super) struct Refused {
    method: Method,
    path: String,
    /// The status.
    pub(super) status: StatusCode,
    /// The sentence.
    pub(super) text: String,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The region refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The region could not be reached.
    #[error("the region cannot be reached")]
    Http(#[from] reqwest::Error),
    /// No random numbers for a nonce.
    #[error(transparent)]
    Entropy(#[from] entropy::EntropyError),
    /// The answer is not JSON.
    #[error("the region's answer to {path} is not JSON")]
    Json {
        /// What was asked for.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Client {
    /// A user with this key at the region's URL, e.g. `http://127.0.0.1:5240`.
    pub(super) fn new(region_url: &str, key: ApiKey) -> Result<Self, reqwest::Error> {
        let builder = || reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
        // A machine without CA certificates cannot build the default client.
        let http = builder().build().or_else(|_| builder().tls_certs_only(Vec::new()).build())?;
        let base = format!("{}/MAAS/api/2.0/", region_url.trim_end_matches('/'));
        Ok(Self { http, base, key })
    }

    /// The user's name.
    pub(super) fn username(&self) -> &str {
        &self.key.username
    }

    /// The user's key as people carry it.
    pub(super) fn key_text(&self) -> String {
        crate::accounts::api_key_text(&self.key)
    }

    /// Reads; `path` is relative to the API, e.g. `machines/`.
    pub(super) async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Method::GET, path, &[]).await
    }

    /// Writes; `path` may end in `?op=…`.
    pub(super) async fn post(
        &self,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Value, CallError> {
        self.call(Method::POST, path, fields).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Value, CallError> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base))
            .header(AUTHORIZATION, self.authorization()?);
        if method != Method::GET {
            let body = Serializer::new(String::new()).extend_pairs(fields).finish();
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            return Err(Refused { method, path: path.to_owned(), status, text }.into());
        }
        if text.is_empty() || text == "OK" {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text)
            .map_err(|source| CallError::Json { path: path.to_owned(), source })
    }

    fn authorization(&self) -> Result<String, entropy::EntropyError> {
        let ApiKey { consumer_key, token_key, token_secret, .. } = &self.key;
        oauth::authorization(consumer_key, token_key, token_secret)
    }
}
