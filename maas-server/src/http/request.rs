//! One request as a handler sees it.

use std::net::SocketAddr;
use std::str::FromStr;

use bytes::Bytes;
use http::{HeaderMap, Method, header};

use super::budget::Hold;
use super::{BodyError, Caller, Fields, Problem, RequestBody};

/// How the bytes travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP.
    #[default]
    Plain,
    /// HTTP over TLS.
    Tls,
}

/// What is known of the connection a request came on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// The other end; `None` when there is no socket.
    pub peer: Option<SocketAddr>,
    /// This end: the address by which the client reached this host; `None` without a socket.
    pub local: Option<SocketAddr>,
    /// How the bytes travel.
    pub transport: Transport,
}

/// A request: routed, its caller identified, its form read. Its Debug text has no header and no
/// field: they carry credentials and passwords.
pub struct Request {
    pub(super) method: Method,
    pub(super) only_head: bool,
    pub(super) path: String,
    pub(super) op: Option<String>,
    pub(super) params: Vec<(String, String)>,
    pub(super) query: Fields,
    pub(super) fields: Fields,
    /// The `oauth_…` fields of the query or form.
    pub(super) signed: Fields,
    pub(super) headers: HeaderMap,
    pub(super) authority: Option<String>,
    pub(super) connection: Connection,
    pub(super) caller: Caller,
    pub(super) body: Bytes,
    pub(super) stream: Option<RequestBody>,
    pub(super) hold: Option<Hold>,
}

impl Request {
    /// The method; HEAD is shown as GET, the reply's body is dropped afterwards.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Whether only the head of the answer was asked for.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.only_head
    }

    /// The path in canonical form (see [`canonical_path`](super::canonical_path)), without an
    /// `/op-NAME` suffix.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The named operation, from wherever it was given.
    #[must_use]
    pub fn op(&self) -> Option<&str> {
        self.op.as_deref()
    }

    /// A parameter of the path, decoded. One that the row's path does not have is empty.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// A parameter of the path as a type that reads itself.
    ///
    /// # Errors
    /// 404 `Not Found`: a path that cannot name anything names nothing.
    pub fn parsed_param<T: FromStr>(&self, name: &str) -> Result<T, Problem> {
        self.param(name).parse().map_err(|_| Problem::not_found("Not Found"))
    }

    /// The operation's parameters: the form's fields, completed by the query's. `op` and the
    /// OAuth parameters are not among them.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The query alone, as sent.
    #[must_use]
    pub fn query(&self) -> &Fields {
        &self.query
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header as text; `None` when absent or no text.
    #[must_use]
    pub fn header(&self, name: &header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value of a cookie.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let lines = self.headers.get_all(header::COOKIE).iter();
        let pairs = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
        let mut named = pairs.filter_map(|pair| pair.trim().split_once('='));
        named.find(|(n, _)| *n == name).map(|(_, value)| value.trim_matches('"'))
    }

    /// Host and port as the client wrote them. GRUB and UEFI leave the port out: what machines
    /// are told must never be built from this, only what goes back to the same client.
    #[must_use]
    pub fn host(&self) -> &str {
        let in_header = self.header(&header::HOST).filter(|host| !host.is_empty());
        in_header.or(self.authority.as_deref()).unwrap_or("localhost")
    }

    /// `http://HOST` or `https://HOST` as the client sees this server.
    #[must_use]
    pub fn base_url(&self) -> String {
        let scheme = match self.connection.transport {
            Transport::Plain => "http",
            Transport::Tls => "https",
        };
        format!("{scheme}://{}", self.host())
    }

    /// The connection it came on.
    #[must_use]
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Who sent it.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The raw body, for rows that are not [`BodyRule::Stream`](super::BodyRule::Stream).
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body of a [`BodyRule::Stream`](super::BodyRule::Stream) row, to read piece by piece;
    /// empty for other rows and the second time.
    #[must_use]
    pub fn take_stream(&mut self) -> RequestBody {
        self.stream.take().unwrap_or_else(|| {
            let none = http_body_util::Empty::<Bytes>::new();
            RequestBody::new(none, 0, std::time::Duration::ZERO, std::time::Duration::ZERO)
        })
    }

    /// The next bytes of a streamed body, `None` at its end.
    ///
    /// # Errors
    /// [`BodyError`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        match &mut self.stream {
            Some(stream) => stream.chunk().await,
            None => Ok(None),
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("op", &self.op)
            .field("caller", &self.caller)
            .field("peer", &self.connection.peer)
            .finish_non_exhaustive()
    }
}
