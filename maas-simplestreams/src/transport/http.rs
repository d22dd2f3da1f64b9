//! Mirrors behind HTTP and HTTPS.

mod connect;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, IF_RANGE, LOCATION, RANGE, USER_AGENT,
};
use hyper::{StatusCode, Uri};
use percent_encoding::percent_decode_str;
use url::Url;

use super::{
    Body, BoxFuture, FileTransport, Request, Response, Transport, TransportError,
    TransportErrorKind, has_credentials,
};
use connect::{BoxError, Clients};

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
    /// Hosts that are reached without a proxy, as in `no_proxy`; beside those of the environment
    /// when the proxy is the environment's.
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
    clients: Clients,
    user_agent: HeaderValue,
    /// Longest time for the head of an answer, a new connection included.
    head_timeout: Duration,
    idle_timeout: Duration,
}

impl HttpTransport {
    /// A client of its own.
    pub fn new(options: &HttpOptions) -> Result<Self, TransportError> {
        let user_agent = HeaderValue::from_str(&options.user_agent).map_err(|cause| {
            let kind = TransportErrorKind::Protocol;
            TransportError { url: String::new(), kind, cause: Some(Box::new(cause)) }
        })?;
        Ok(Self {
            clients: Clients::new(options),
            user_agent,
            head_timeout: options.connect_timeout + options.idle_timeout,
            idle_timeout: options.idle_timeout,
        })
    }

    /// Sends a request and follows redirects; answers with the URL that answered.
    async fn send(
        &self,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<(hyper::Response<Incoming>, Url), TransportError> {
        let mut asked = vec![url.clone()];
        let mut at = url.clone();
        loop {
            let request = self.request(&at, headers)?;
            let answer = tokio::time::timeout(self.head_timeout, self.clients.send(request)).await;
            let answer = match answer {
                Ok(answer) => answer.map_err(|cause| failed(&at, cause))?,
                Err(_) => return Err(TransportError::new(&at, TransportErrorKind::TimedOut)),
            };
            let Some(to) = redirect(&answer, &at) else { return Ok((answer, at)) };
            if !may_lead(&asked, &to) {
                return Err(TransportError::new(&at, TransportErrorKind::Redirect));
            }
            asked.push(to.clone());
            at = to;
        }
    }

    fn request(
        &self,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<hyper::Request<Empty<Bytes>>, TransportError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(TransportError::new(url, TransportErrorKind::UnsupportedScheme));
        }
        let protocol =
            |cause: BoxError| TransportError::new(url, TransportErrorKind::Protocol).because(cause);
        let uri: Uri = match has_credentials(url) || url.fragment().is_some() {
            true => without_credentials(url).parse(),
            false => url.as_str().parse(),
        }
        .map_err(|e| protocol(Box::new(e)))?;
        let mut request = hyper::Request::new(Empty::new());
        *request.uri_mut() = uri;
        let fields = request.headers_mut();
        fields.clone_from(headers);
        fields.insert(ACCEPT, HeaderValue::from_static("*/*"));
        fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        fields.insert(USER_AGENT, self.user_agent.clone());
        if let Some(credentials) = credentials(url) {
            fields.insert(AUTHORIZATION, credentials);
        }
        Ok(request)
    }
}

/// The credentials in a URL as the value of `Authorization`.
fn credentials(url: &Url) -> Option<HeaderValue> {
    if !has_credentials(url) {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A URL as it may go over the network.
fn without_credentials(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that cannot carry credentials.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.set_fragment(None);
    url.into()
}

/// Where an answer sends us; `None` when it is an answer of its own.
fn redirect(answer: &hyper::Response<Incoming>, at: &Url) -> Option<Url> {
    let follows = [301, 302, 303, 307, 308].contains(&answer.status().as_u16());
    let to = answer.headers().get(LOCATION).filter(|_| follows)?.to_str().ok()?;
    let mut to = at.join(to).ok()?;
    // Credentials go on to the same server only.
    if to.origin() == at.origin() && to.username().is_empty() && to.password().is_none() {
        to.set_username(at.username()).ok();
        to.set_password(at.password()).ok();
    }
    Some(to)
}

/// Whether a redirect may lead from the URLs that were asked so far to this one.
fn may_lead(asked: &[Url], to: &Url) -> bool {
    let allowed = matches!(to.scheme(), "http" | "https");
    let downgrade =
        asked.last().is_some_and(|from| from.scheme() == "https") && to.scheme() == "http";
    allowed && !downgrade && asked.len() <= MOST_REDIRECTS
}

fn failed(url: &Url, error: BoxError) -> TransportError {
    let kind = if is_timeout(&*error) {
        TransportErrorKind::TimedOut
    } else {
        TransportErrorKind::Connection
    };
    TransportError::new(url, kind).because(error)
}

fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut link = Some(error);
    while let Some(error) = link {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
            return true;
        }
        link = error.source();
    }
    false
}

/// The first byte and the size of the whole in `bytes 5-9/10`.
fn content_range(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

struct Stream {
    url: Url,
    body: Incoming,
    idle_timeout: Duration,
}

impl Body for Stream {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(async move {
            loop {
                let frame = tokio::time::timeout(self.idle_timeout, self.body.frame()).await;
                match frame {
                    Ok(Some(Ok(frame))) => {
                        // Trailers are of no interest.
                        if let Ok(data) = frame.into_data() {
                            return Ok(Some(data));
                        }
                    }
                    Ok(Some(Err(error))) => return Err(failed(&self.url, error.into())),
                    Ok(None) => return Ok(None),
                    Err(_) => {
                        return Err(TransportError::new(&self.url, TransportErrorKind::TimedOut));
                    }
                }
            }
        })
    }
}

/// The conditions and the range of a request as headers.
fn headers(request: &Request) -> Result<HeaderMap, TransportError> {
    let mut headers = HeaderMap::new();
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|cause| {
            TransportError::new(&request.url, TransportErrorKind::Protocol).because(cause)
        })
    };
    if request.offset > 0 || request.end.is_some() {
        let last = request.end.map(|end| end.saturating_sub(1).to_string());
        let range = format!("bytes={}-{}", request.offset, last.unwrap_or_default());
        headers.insert(RANGE, value(&range)?);
        if let Some(tag) = &request.if_range {
            headers.insert(IF_RANGE, value(tag)?);
        }
    }
    if let Some(tag) = &request.if_none_match {
        headers.insert(IF_NONE_MATCH, value(tag)?);
    }
    Ok(headers)
}

impl Transport for HttpTransport {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let headers = headers(&request)?;
            let (response, url) = self.send(&request.url, &headers).await?;
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
            let body = response.into_body();
            let length = body.size_hint().exact();
            let body = Stream { url, body, idle_timeout: self.idle_timeout };
            Ok(Response { offset, length, etag, body: Box::new(body) })
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
    fn credentials_of_a_url_go_into_a_header_and_not_over_the_network_as_they_are() {
        let url: Url = "http://us%40er:p%3Aw@host:8080/a?b#c".parse().unwrap();
        // us@er:p:w
        assert_eq!(credentials(&url).unwrap(), "Basic dXNAZXI6cDp3");
        assert_eq!(without_credentials(&url), "http://host:8080/a?b");
        assert_eq!(credentials(&"http://host/".parse().unwrap()), None);
    }

    #[test]
    fn a_time_out_is_found_behind_other_errors() {
        let inner = std::io::Error::from(std::io::ErrorKind::TimedOut);
        let url = "http://host/".parse().unwrap();
        let outer = TransportError::new(&url, TransportErrorKind::Connection).because(inner);
        assert!(is_timeout(&outer));
        let kind = TransportErrorKind::Connection;
        assert!(!is_timeout(&TransportError::new(&url, kind)));
    }

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
