//! Connections to servers, straight or through a proxy, and the clients that keep them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{HeaderValue, PROXY_AUTHORIZATION};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower_service::Service;

use super::{HttpOptions, ProxyUse};

/// Most bytes that are read from a connection at once: each holds up to two such pieces.
const READ: usize = 64 << 10;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Clients for plain and for encrypted connections.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    hop: Hop,
    plain: Client<Hop, Empty<Bytes>>,
    /// Made for the first `https:` URL: the certificates of the system cost time and memory.
    secure: Arc<OnceLock<Result<Secure, Arc<rustls::Error>>>>,
}

type Secure = Client<HttpsConnector<Hop>, Empty<Bytes>>;

impl Clients {
    pub(super) fn new(options: &HttpOptions) -> Self {
        let hop = Hop::new(options);
        Self { plain: builder().build(hop.clone()), hop, secure: Arc::default() }
    }

    /// Sends a request with an absolute URI and waits for the head of the answer.
    pub(super) async fn send(
        &self,
        mut request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, BoxError> {
        if request.uri().scheme_str() == Some("https") {
            let secure = self.secure.get_or_init(|| secure(&self.hop).map_err(Arc::new));
            return match secure {
                Ok(client) => client.request(request).await.map_err(Into::into),
                Err(cause) => Err(Arc::clone(cause).into()),
            };
        }
        let proxy = self.hop.proxy(request.uri());
        if let Some(proof) = proxy.as_ref().and_then(Intercept::basic_auth) {
            let proof: HeaderValue = proof.clone();
            request.headers_mut().insert(PROXY_AUTHORIZATION, proof);
        }
        self.plain.request(request).await.map_err(Into::into)
    }
}

fn builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).http1_max_buf_size(READ);
    builder
}

/// A client that trusts the certificates that the system trusts.
fn secure(hop: &Hop) -> Result<Secure, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(&provider))?;
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .wrap_connector(hop.clone());
    Ok(builder().build(connector))
}

/// Connects to a server, or to the proxy that stands before it.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    tcp: HttpConnector,
    proxies: Option<Arc<Matcher>>,
    /// Finds no proxy for the hosts that need none although the environment names one.
    exceptions: Option<Arc<Matcher>>,
}

impl Hop {
    fn new(options: &HttpOptions) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(options.connect_timeout));
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        let proxies = match (options.proxy_use, &options.proxy) {
            (ProxyUse::Never, _) => None,
            (ProxyUse::Allowed, None) => Some(Matcher::from_env()),
            (ProxyUse::Allowed, Some(proxy)) => {
                Some(Matcher::builder().all(proxy.as_str()).build())
            }
        };
        let exceptions = options
            .no_proxy
            .clone()
            .map(|hosts| Matcher::builder().all("http://proxy.invalid").no(hosts).build());
        Self { tcp, proxies: proxies.map(Arc::new), exceptions: exceptions.map(Arc::new) }
    }

    /// The proxy for a URI.
    fn proxy(&self, uri: &Uri) -> Option<Intercept> {
        if self.exceptions.as_ref().is_some_and(|needed| needed.intercept(uri).is_none()) {
            return None;
        }
        self.proxies.as_ref()?.intercept(uri)
    }
}

impl Service<Uri> for Hop {
    type Response = Link;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Link, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let mut tcp = self.tcp.clone();
        let Some(proxy) = self.proxy(&to) else {
            return Box::pin(
                async move { Ok(Link { stream: tcp.call(to).await?, by_proxy: false }) },
            );
        };
        if proxy.uri().scheme_str() != Some("http") {
            return Box::pin(std::future::ready(Err(ProxyScheme.into())));
        }
        if to.scheme_str() == Some("https") {
            let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
            if let Some(proof) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(proof.clone());
            }
            return Box::pin(async move {
                Ok(Link { stream: tunnel.call(to).await?, by_proxy: false })
            });
        }
        Box::pin(async move {
            Ok(Link { stream: tcp.call(proxy.uri().clone()).await?, by_proxy: true })
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the URL of a proxy starts with http://")]
struct ProxyScheme;

/// A connection that knows whether requests on it are for a proxy: they name the whole URL.
#[derive(Debug)]
pub(super) struct Link {
    stream: TokioIo<TcpStream>,
    by_proxy: bool,
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.by_proxy)
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }
}
