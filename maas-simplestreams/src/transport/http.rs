//! Mirrors behind HTTP and HTTPS.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use reqwest::{Client, ClientBuilder, StatusCode, redirect};
use url::Url;

use super::{
    Body, BoxFuture, FileTransport, Request, Response, Transport, TransportError,
    TransportErrorKind,
};

/// Most redirects that are followed.
const MOST_REDIRECTS: usize = 5;

/// How the HTTP back end behaves.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpOptions {
    /// The value of `User-Agent`.
    pub user_agent: String,
    /// Longest time for a connection to come about. Default 10 s.
    pub connect_timeout: Duration,
    /// Longest time without a byte. Default 30 s.
    pub idle_timeout: Duration,
    /// A proxy for all requests; `None` uses the environment (`http_proxy`, `https_proxy`,
    /// `no_proxy`).
    pub proxy: Option<Url>,
    /// Hosts that are reached without the proxy, as in `no_proxy`.
    pub no_proxy: Option<String>,
    /// Whether a proxy is used at all.
    pub proxy_use: ProxyUse,
}

/// Whether a proxy is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyUse {
    /// As configured.
    #[default]
    Allowed,
    /// Never.
    Never,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("maas-simplestreams/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            proxy: None,
            no_proxy: None,
            proxy_use: ProxyUse::Allowed,
        }
    }
}

impl std::fmt::Debug for HttpOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("HttpOptions")
            .field("user_agent", &self.user_agent)
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("proxy", &self.proxy.as_ref().map(super::shown))
            .finish_non_exhaustive()
    }
}

/// Fetches `http:` and `https:` URLs.
///
/// Redirects: at most five, to http and https only, never from https to http. Bodies are taken as
/// they are: no decompression.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    client: Client,
}

impl HttpTransport {
    /// A client of its own.
    pub fn new(options: &HttpOptions) -> Result<Self, TransportError> {
        let builder = || -> Result<ClientBuilder, reqwest::Error> {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            let mut builder = Client::builder()
                .user_agent(&options.user_agent)
                .default_headers(headers)
                .connect_timeout(options.connect_timeout)
                .read_timeout(options.idle_timeout)
                .redirect(redirect::Policy::custom(redirect_rule));
            if options.proxy_use == ProxyUse::Never {
                builder = builder.no_proxy();
            } else if let Some(proxy) = &options.proxy {
                let exceptions =
                    options.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string);
                builder = builder.proxy(reqwest::Proxy::all(proxy.clone())?.no_proxy(exceptions));
            }
            Ok(builder)
        };
        // Without CA certificates on the machine the first attempt fails even for plain http; a
        // client that trusts no certificate still serves http, and https fails with its own words.
        let client = builder()
            .and_then(ClientBuilder::build)
            .or_else(|_| builder()?.tls_certs_only(Vec::new()).build());
        match client {
            Ok(client) => Ok(Self { client }),
            Err(cause) => Err(TransportError {
                url: String::new(),
                kind: TransportErrorKind::Protocol,
                cause: Some(Box::new(cause)),
            }),
        }
    }

    /// A client that the embedder configured; its redirect rules are its own.
    pub fn with_client(client: Client) -> Self {
        Self { client }
    }
}

/// Marks a redirect that was refused, to be told from other failures.
#[derive(Debug, thiserror::Error)]
#[error("the redirect leads where none may lead")]
struct RedirectRefused;

fn redirect_rule(attempt: redirect::Attempt<'_>) -> redirect::Action {
    if may_lead(attempt.previous(), attempt.url()) {
        attempt.follow()
    } else {
        attempt.error(RedirectRefused)
    }
}

/// Whether a redirect may lead from the URLs that were asked so far to this one.
fn may_lead(asked: &[Url], to: &Url) -> bool {
    let allowed = matches!(to.scheme(), "http" | "https");
    let downgrade =
        asked.last().is_some_and(|from| from.scheme() == "https") && to.scheme() == "http";
    allowed && !downgrade && asked.len() <= MOST_REDIRECTS
}

fn failed(url: &Url, error: reqwest::Error) -> TransportError {
    let kind = if error.is_timeout() {
        TransportErrorKind::TimedOut
    } else if error.is_redirect() {
        TransportErrorKind::Redirect
    } else if error.is_builder() {
        TransportErrorKind::UnsupportedScheme
    } else {
        TransportErrorKind::Connection
    };
    // The back end's text may hold the URL with its credentials.
    TransportError::new(url, kind).because(error.without_url())
}

/// The first byte and the size of the whole in `bytes 5-9/10`.
fn content_range(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

struct Stream {
    url: Url,
    response: reqwest::Response,
}

impl Body for Stream {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(
            async move { self.response.chunk().await.map_err(|error| failed(&self.url, error)) },
        )
    }
}

impl Transport for HttpTransport {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let url = request.url;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(TransportError::new(&url, TransportErrorKind::UnsupportedScheme));
            }
            let mut get = self.client.get(url.clone());
            if request.offset > 0 || request.end.is_some() {
                let last = request.end.map(|end| end.saturating_sub(1).to_string());
                let range = format!("bytes={}-{}", request.offset, last.unwrap_or_default());
                get = get.header(RANGE, range);
                if let Some(tag) = request.if_range {
                    get = get.header(IF_RANGE, tag);
                }
            }
            if let Some(tag) = request.if_none_match {
                get = get.header(IF_NONE_MATCH, tag);
            }
            let response = get.send().await.map_err(|error| failed(&url, error))?;
            let refused = |kind| Err(TransportError::new(&url, kind));
            let offset = match response.status() {
                StatusCode::OK => 0,
                StatusCode::PARTIAL_CONTENT => match content_range(response.headers()) {
                    Some(start) => start,
                    None => return refused(TransportErrorKind::Protocol),
                },
                StatusCode::NOT_MODIFIED => return refused(TransportErrorKind::NotModified),
                StatusCode::NOT_FOUND | StatusCode::GONE => {
                    return refused(TransportErrorKind::NotFound);
                }
                StatusCode::RANGE_NOT_SATISFIABLE => {
                    return refused(TransportErrorKind::RangeNotSatisfiable);
                }
                status if status.is_redirection() => return refused(TransportErrorKind::Redirect),
                status => return refused(TransportErrorKind::Status(status.as_u16())),
            };
            let etag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
            let etag = etag.filter(|tag| !tag.starts_with("W/")).map(str::to_owned);
            let length = response.content_length();
            Ok(Response { offset, length, etag, body: Box::new(Stream { url, response }) })
        })
    }
}

/// Fetches `http:`, `https:` and `file:` URLs.
#[derive(Clone, Debug)]
pub struct Standard {
    http: HttpTransport,
    file: FileTransport,
}

impl Standard {
    /// With a client of its own.
    pub fn new(options: &HttpOptions) -> Result<Self, TransportError> {
        Ok(Self { http: HttpTransport::new(options)?, file: FileTransport })
    }

    /// To be shared between tasks.
    pub fn shared(options: &HttpOptions) -> Result<Arc<dyn Transport>, TransportError> {
        Ok(Arc::new(Self::new(options)?))
    }
}

impl Transport for Standard {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        match request.url.scheme() {
            "file" => self.file.fetch(request),
            _ => self.http.fetch(request),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn redirects_never_lead_from_https_to_http_nor_elsewhere() {
        let url = |text: &str| text.parse::<Url>().unwrap();
        for (from, to, may) in [
            ("http://a/x", "http://b/x", true),
            ("http://a/x", "https://a/x", true),
            ("https://a/x", "https://b/x", true),
            ("https://a/x", "http://a/x", false),
            ("http://a/x", "file:///etc/passwd", false),
            ("http://a/x", "ftp://a/x", false),
            ("https://a/x", "data:,x", false),
        ] {
            assert_eq!(may_lead(&[url(from)], &url(to)), may, "{from} to {to}");
        }
        let many = |count| vec![url("http://a/x"); count];
        assert!(may_lead(&many(MOST_REDIRECTS), &url("http://b/")));
        assert!(!may_lead(&many(MOST_REDIRECTS + 1), &url("http://b/")));
    }
}
