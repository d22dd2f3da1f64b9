//! The rack's side of the one channel to its region.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt};
use http::StatusCode;
use maas_core::boot::FetchedOver;
use maas_core::secret::Secret;
use url::Url;

use crate::http::BoxError;
use crate::rack::cache::{Fetched, Upstream};
use crate::rack::enrolment::{REACHED_HEADER, RackReports, RackState, TOKEN_HEADER};
use crate::rack::reports::{RackReport, over_word};

/// The longest answers that are read, in bytes.
const LONGEST_STATE: usize = 16 << 20;
const LONGEST_BOOT: usize = 1 << 20;

/// Why the region did not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// It cannot be reached or breaks off.
    #[error("the region cannot be reached")]
    Http(#[from] reqwest::Error),
    /// It says no.
    #[error("the region answers {status}: {text}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// What it says.
        text: String,
    },
    /// It answers with an error of its own or nonsense.
    #[error("the region answers {status}, which helps nobody")]
    Failed {
        /// The HTTP status.
        status: StatusCode,
    },
    /// It answers with something else than was asked for.
    #[error("the region's answer cannot be read")]
    Unreadable(#[source] BoxError),
}

/// A client of the region.
#[derive(Debug)]
pub(super) struct RegionClient {
    client: reqwest::Client,
    base: Url,
    token: Secret<String>,
}

impl RegionClient {
    pub(super) fn new(base: Url, token: Secret<String>) -> Result<Self, RegionError> {
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(5))
                .read_timeout(Duration::from_secs(60))
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
        };
        // A host without CA certificates cannot build the default client, not even for plain http.
        let client = builder().build().or_else(|_| builder().tls_certs_only(Vec::new()).build())?;
        Ok(Self { client, base, token })
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub(super) fn token(&self) -> &Secret<String> {
        &self.token
    }

    /// The region's URL of a path with its query.
    pub(super) fn url(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.base.as_str().trim_end_matches('/'))
    }

    /// The state when it is another than the known one; waits for that for a while.
    pub(super) async fn state(&self, known: &str) -> Result<Option<RackState>, RegionError> {
        let url = self.url(&format!("/MAAS/rack/v1/state?known={known}"));
        let request = self.client.get(url).header(TOKEN_HEADER, self.token.expose());
        let answer = request.timeout(Duration::from_secs(60)).send().await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let bytes = whole(answer, LONGEST_STATE).await?;
        let state = serde_json::from_slice(&bytes);
        state.map(Some).map_err(|error| RegionError::Unreadable(error.into()))
    }

    /// The configuration that a boot loader asks for.
    pub(super) async fn boot(
        &self,
        path: &str,
        reached: SocketAddr,
        over: FetchedOver,
    ) -> Result<String, RegionError> {
        let over = over_word(over);
        let path = percent_encoding::utf8_percent_encode(path, PATH);
        let url = self.url(&format!("/MAAS/rack/v1/boot/{path}?over={over}"));
        let request = self
            .client
            .get(url)
            .header(TOKEN_HEADER, self.token.expose())
            .header(REACHED_HEADER, reached.to_string())
            .timeout(Duration::from_secs(20));
        let bytes = whole(request.send().await?, LONGEST_BOOT).await?;
        String::from_utf8(bytes).map_err(|error| RegionError::Unreadable(error.into()))
    }
}

impl RegionClient {
    /// Hands reports over; with `Ok` they are durable with the region.
    pub(super) async fn report(&self, reports: Vec<RackReport>) -> Result<(), RegionError> {
        let body = serde_json::to_vec(&RackReports { reports });
        let body = body.map_err(|error| RegionError::Unreadable(error.into()))?;
        let request = self.client.post(self.url("/MAAS/rack/v1/reports"));
        let request = request.header(TOKEN_HEADER, self.token.expose()).body(body);
        let answer = request.timeout(Duration::from_secs(60)).send().await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(());
        }
        whole(answer, LONGEST_BOOT).await.map(|_| ())
    }
}

/// What a path of a URL cannot hold as it is; a slash stays one.
const PATH: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// The body of a success.
async fn whole(answer: reqwest::Response, longest: usize) -> Result<Vec<u8>, RegionError> {
    let status = answer.status();
    let mut stream = answer.bytes_stream();
    let mut all = Vec::new();
    while let Some(bytes) = stream.try_next().await? {
        all.extend_from_slice(&bytes);
        if all.len() > longest {
            return Err(RegionError::Failed { status });
        }
    }
    if status == StatusCode::OK {
        return Ok(all);
    }
    if status.is_client_error() {
        let text = String::from_utf8_lossy(&all).chars().take(400).collect();
        return Err(RegionError::Refused { status, text });
    }
    Err(RegionError::Failed { status })
}

impl Upstream for RegionClient {
    fn fetch<'a>(&'a self, path: &'a str, from: u64) -> BoxFuture<'a, Fetched> {
        Box::pin(async move {
            let url = self.url(&format!("/MAAS/boot-resources/{path}"));
            let mut request = self.client.get(url);
            let mut expected = StatusCode::OK;
            if from > 0 {
                request = request.header(http::header::RANGE, format!("bytes={from}-"));
                expected = StatusCode::PARTIAL_CONTENT;
            }
            let answer = request.send().await?;
            if answer.status() != expected {
                return Err(RegionError::Failed { status: answer.status() }.into());
            }
            let stream = answer.bytes_stream().map_err(BoxError::from);
            Ok(stream.map_ok(Bytes::from).boxed())
        })
    }
}
