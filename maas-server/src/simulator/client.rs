//! The one HTTP client behind all simulated programs, with each program's own header fields.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Method, Url};
use sha2::{Digest, Sha256};

use super::error::{SimulatorError, WireError};

/// The most that is read of anything that is not an image, in bytes.
pub(crate) const DOCUMENT_LIMIT: usize = 64 * 1024 * 1024;
/// The most that a boot script may have, in bytes.
pub(crate) const SCRIPT_LIMIT: usize = 1024 * 1024;

/// The program on the machine that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agent {
    UefiHttp,
    Grub,
    Ipxe,
    Pxelinux,
    /// The initrd and late commands.
    Wget,
    CloudInit,
    Runner,
    Curtin,
}

impl Agent {
    const fn name(self) -> &'static str {
        match self {
            Self::UefiHttp => "UefiHttpBoot/1.0",
            Self::Grub => "GRUB 2.06-13+deb12u2",
            Self::Ipxe => "iPXE/1.0.0+git-20190125.36a4c85-5.1",
            Self::Pxelinux => "Syslinux/6.04",
            Self::Wget => "Wget/1.21.3",
            Self::CloudInit => "python-requests/2.28.1",
            Self::Runner => "maas-runner",
            Self::Curtin => "Curtin/23.1.1",
        }
    }

    /// How long the program waits for an answer to begin and for each further part, in seconds.
    const fn patience(self) -> u64 {
        match self {
            Self::CloudInit => 50,
            Self::Runner | Self::Curtin => 60,
            Self::Wget => 900,
            _ => 30,
        }
    }
}

/// One request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) agent: Agent,
    pub(crate) method: Method,
    pub(crate) url: &'a str,
    pub(crate) authorization: Option<String>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) limit: usize,
}

impl<'a> Request<'a> {
    pub(crate) fn get(agent: Agent, url: &'a str) -> Self {
        Self {
            agent,
            method: Method::GET,
            url,
            authorization: None,
            content_type: None,
            body: None,
            limit: DOCUMENT_LIMIT,
        }
    }

    pub(crate) fn post(agent: Agent, url: &'a str, body: Vec<u8>) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(agent, url) }
    }

    pub(crate) fn content_type(mut self, value: &'a str) -> Self {
        self.content_type = Some(value);
        self
    }

    pub(crate) fn authorization(mut self, value: Option<String>) -> Self {
        self.authorization = value;
        self
    }

    pub(crate) fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// An image that was streamed through the hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Download {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// The client; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    client: reqwest::Client,
}

impl Wire {
    pub(crate) fn new() -> Result<Self, SimulatorError> {
        let builder = || {
            reqwest::Client::builder()
                .no_proxy()
                .connect_timeout(Duration::from_secs(10))
                .pool_max_idle_per_host(32)
                .pool_idle_timeout(Duration::from_secs(5))
                .redirect(reqwest::redirect::Policy::limited(5))
                .tcp_nodelay(true)
                .http1_title_case_headers()
        };
        // A machine without CA certificates cannot build the default client, not even for http.
        let client = builder()
            .build()
            .or_else(|_| builder().tls_certs_only([]).build())
            .map_err(SimulatorError::Client)?;
        Ok(Self { client })
    }

    /// Sends a request and reads the whole answer; any status but 2xx is an error.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Reply, WireError> {
        let (url, limit) = (request.url.to_owned(), request.limit);
        let patience = Duration::from_secs(request.agent.patience());
        let mut answer = self.open(request).await?;
        let status = answer.status();
        let date =
            answer.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        let limit = if status.is_success() { limit } else { 16 * 1024 };
        let mut body = Vec::new();
        while let Some(chunk) = next_chunk(&mut answer, patience, &url).await? {
            if body.len() + chunk.len() > limit {
                if status.is_success() {
                    return Err(WireError::TooLarge { url, limit });
                }
                break;
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            let body = String::from_utf8_lossy(&body).into_owned();
            return Err(WireError::Status { url, status: status.as_u16(), body, date });
        }
        Ok(Reply { status: status.as_u16(), body })
    }

    /// Fetches an image, keeping nothing but its hash and length.
    pub(crate) async fn download(&self, agent: Agent, url: &str) -> Result<Download, WireError> {
        let patience = Duration::from_secs(agent.patience());
        let mut answer = self.open(Request::get(agent, url)).await?;
        if !answer.status().is_success() {
            return Err(WireError::Status {
                url: url.to_owned(),
                status: answer.status().as_u16(),
                body: String::new(),
                date: None,
            });
        }
        let mut hash = Sha256::new();
        let mut bytes = 0;
        while let Some(chunk) = next_chunk(&mut answer, patience, url).await? {
            hash.update(&chunk);
            bytes += chunk.len() as u64;
        }
        Ok(Download { bytes, sha256: hex(&hash.finalize()) })
    }

    async fn open(&self, request: Request<'_>) -> Result<reqwest::Response, WireError> {
        let wrong = || WireError::Url { url: request.url.to_owned() };
        let url = Url::parse(request.url).map_err(|_| wrong())?;
        let host = url.host_str().ok_or_else(wrong)?.to_owned();
        let mut headers = HeaderMap::new();
        let mut field = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        field(USER_AGENT, request.agent.name());
        match request.agent {
            // These two leave the port out of the Host field.
            Agent::UefiHttp | Agent::Grub => field(reqwest::header::HOST, &host),
            Agent::CloudInit => field(reqwest::header::ACCEPT_ENCODING, "gzip, deflate"),
            Agent::Runner => field(reqwest::header::ACCEPT_ENCODING, "identity"),
            Agent::Curtin => {
                field(reqwest::header::ACCEPT_ENCODING, "identity");
                field(reqwest::header::CONNECTION, "close");
            }
            Agent::Wget => field(reqwest::header::ACCEPT_ENCODING, "identity"),
            Agent::Ipxe | Agent::Pxelinux => {}
        }
        if let Some(value) = request.content_type {
            field(CONTENT_TYPE, value);
        }
        if let Some(value) = &request.authorization {
            field(reqwest::header::AUTHORIZATION, value);
        }
        let patience = Duration::from_secs(request.agent.patience());
        let mut builder = self.client.request(request.method, url).headers(headers);
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let transport = |source: reqwest::Error| WireError::Transport {
            url: request.url.to_owned(),
            source: source.without_url(),
        };
        match tokio::time::timeout(patience, builder.send()).await {
            Ok(answer) => answer.map_err(transport),
            Err(_) => Err(timed_out(request.url)),
        }
    }
}

async fn next_chunk(
    answer: &mut reqwest::Response,
    patience: Duration,
    url: &str,
) -> Result<Option<bytes::Bytes>, WireError> {
    match tokio::time::timeout(patience, answer.chunk()).await {
        Ok(chunk) => chunk.map_err(|source| WireError::Transport {
            url: url.to_owned(),
            source: source.without_url(),
        }),
        Err(_) => Err(timed_out(url)),
    }
}

fn timed_out(url: &str) -> WireError {
    WireError::Status {
        url: url.to_owned(),
        status: 408,
        body: "no answer in time".to_owned(),
        date: None,
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hash that an image URL promises: the component after `images` or `boot-resources`.
pub(crate) fn promised_hash(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let mut parts = url.path_segments()?;
    parts.find(|part| matches!(*part, "images" | "boot-resources"))?;
    let hash = percent_decode_str(parts.next()?).decode_utf8().ok()?.to_ascii_lowercase();
    parts.next()?;
    let is_hash = (7..=64).contains(&hash.len()) && hash.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then_some(hash)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_promised_hash_is_the_component_after_images() {
        let of = |url: &str| promised_hash(url);
        assert_eq!(
            of("http://r:5248/images/0123abcd/ubuntu/amd64/ga/noble/stable/boot-kernel").unwrap(),
            "0123abcd"
        );
        assert_eq!(of("http://r/images/bootx64.efi"), None);
        assert_eq!(of("http://r/images/0123ab/x"), None);
        assert_eq!(of("http://r/images/0123abz/x"), None);
        assert_eq!(of("nonsense"), None);
    }

    #[test]
    fn hexadecimal_digits_are_lower_case_and_padded() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }

    proptest! {
        #[test]
        fn any_url_is_read_without_panic(text in ".{0,60}") {
            let _ = promised_hash(&text);
        }
    }
}
