//! The table put to work: from an HTTP request to its response.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};

use super::budget::Budget;
use super::describe::{describe, hash};
use super::form::{FormKind, form_kind};
use super::openapi::openapi;
use super::reference::reference;
use super::reply::Extent;
use super::router::{Route, Router};
use super::{
    API_ROOT, Access, Authenticator, BodyRule, BoxError, Caller, Connection, Fields, Operation,
    Problem, Reply, ReplyBody, Request, RequestBody, TableError, canonical_path, get,
    ignore_range_unless_get, parse_body, parse_urlencoded,
};

/// What requests may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest body that is read into memory, in bytes, where the row says nothing else.
    pub body: u64,
    /// The largest body of a [`BodyRule::Stream`] row, in bytes, where the row says nothing else.
    pub stream: u64,
    /// The memory for the bodies of all requests together, in bytes.
    pub all_bodies: u64,
    /// The longest wait for more of a body.
    pub body_idle: Duration,
    /// The longest time for a body that is read into memory.
    pub body_total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 8 << 20,
            stream: 64 << 30,
            all_bodies: 512 << 20,
            body_idle: Duration::from_secs(30),
            body_total: Duration::from_secs(120),
        }
    }
}

impl Limits {
    /// With another limit for bodies in memory, in bytes.
    #[must_use]
    pub fn with_body(mut self, bytes: u64) -> Self {
        self.body = bytes;
        self
    }

    /// With another limit for all bodies together, in bytes.
    #[must_use]
    pub fn with_all_bodies(mut self, bytes: u64) -> Self {
        self.all_bodies = bytes;
        self
    }

    /// With other times for bodies.
    #[must_use]
    pub fn with_times(mut self, idle: Duration, total: Duration) -> Self {
        self.body_idle = idle;
        self.body_total = total;
        self
    }
}

/// What the documents made from the table call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiTitle {
    /// Its name.
    pub title: String,
    /// Its version.
    pub version: String,
    /// A paragraph about it.
    pub doc: String,
}

/// The rendered documents.
#[derive(Debug)]
struct Documents {
    hash: HeaderValue,
    openapi: Bytes,
    reference: String,
}

/// An HTTP server without a socket: a table of operations over the state `S`.
pub struct Api<S> {
    state: Arc<S>,
    shared: Arc<Shared<S>>,
    authenticator: Box<dyn Authenticator<S>>,
    limits: Limits,
    budget: Budget,
    observer: Option<Observer>,
}

/// Told the status of every answer.
type Observer = Box<dyn Fn(StatusCode) + Send + Sync>;

/// What the built-in rows read: the table they are part of.
struct Shared<S> {
    title: ApiTitle,
    router: OnceLock<Router<S>>,
    documents: OnceLock<Documents>,
}

impl<S: Send + Sync + 'static> Api<S> {
    /// Puts a table to work. Three rows are added: `describe/`, `openapi.json` (both below
    /// [`API_ROOT`]) and the reference page `/MAAS/docs/api.md`.
    ///
    /// # Errors
    /// [`TableError`] when the table contradicts itself.
    pub fn new(
        state: Arc<S>,
        mut rows: Vec<Operation<S>>,
        authenticator: impl Authenticator<S>,
        title: ApiTitle,
        limits: Limits,
    ) -> Result<Self, TableError> {
        let shared =
            Arc::new(Shared { title, router: OnceLock::new(), documents: OnceLock::new() });
        rows.extend(document_rows(&shared));
        let router = Router::new(rows)?;
        let _ = shared.documents.set(Documents::new(&router.rows, &shared.title));
        let _ = shared.router.set(router);
        let budget = Budget::new(limits.all_bodies);
        let authenticator = Box::new(authenticator);
        Ok(Self { state, shared, authenticator, limits, budget, observer: None })
    }

    /// With somebody who is told the status of every answer, to count them.
    #[must_use]
    pub fn observed_by(mut self, observer: impl Fn(StatusCode) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// The state the handlers get.
    #[must_use]
    pub fn state(&self) -> &Arc<S> {
        &self.state
    }

    /// The rows, the built-in ones last.
    #[must_use]
    pub fn rows(&self) -> &[Operation<S>] {
        self.shared.rows()
    }

    /// Answers one request. Whatever happens, there is a response; a panic in a handler is a 500.
    pub async fn call<B>(
        &self,
        request: http::Request<B>,
        connection: Connection,
    ) -> http::Response<ReplyBody>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let started = Instant::now();
        let (mut parts, body) = request.into_parts();
        ignore_range_unless_get(&parts.method, &mut parts.headers);
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let extent = if method == Method::HEAD { Extent::Head } else { Extent::Whole };
        let asked = parts.headers.get(header::IF_NONE_MATCH).cloned();
        let limits = self.limits;
        let body = RequestBody::new(body, limits.stream, limits.body_idle, limits.body_total);
        let answer = AssertUnwindSafe(self.answer(parts, body, connection)).catch_unwind().await;
        let answer = answer.unwrap_or_else(|panic| Err(Problem::internal(panic_text(&*panic))));
        let reply = answer.unwrap_or_else(Problem::into_reply);
        // What a client has already is not sent again, whatever resource it is of.
        let reads = matches!(method, Method::GET | Method::HEAD) && path.starts_with(API_ROOT);
        let reply = if reads { reply.unless_known(asked.as_ref()) } else { reply };
        let mut response = reply.into_response(extent);
        self.add_headers(&path, response.headers_mut());
        let status = response.status();
        if let Some(observer) = &self.observer {
            observer(status);
        }
        let op = named_op(&query);
        macro_rules! access {
            ($level:ident) => {
                tracing::event!(
                    target: "maas_server::access",
                    tracing::Level::$level,
                    peer = connection.peer.map(tracing::field::display),
                    %method,
                    path = %printable(&path),
                    op,
                    status = status.as_u16(),
                    ms = started.elapsed().as_millis(),
                    "request"
                )
            };
        }
        // What people and programs change, and what goes wrong, is worth a line; what machines
        // and pollers ask for is there when it is looked for.
        if status.is_server_error() {
            access!(WARN);
        } else if status.is_client_error() || (!method.is_safe() && path.starts_with(API_ROOT)) {
            access!(INFO);
        } else {
            access!(DEBUG);
        }
        response
    }

    fn add_headers(&self, path: &str, headers: &mut http::HeaderMap) {
        const SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
        headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(SNIFF);
        if !path.starts_with("/MAAS/api/") {
            return;
        }
        const VARY: HeaderValue = HeaderValue::from_static("Authorization, Cookie");
        headers.entry(header::VARY).or_insert(VARY);
        if let Some(documents) = self.shared.documents.get() {
            headers.insert("x-maas-api-hash", documents.hash.clone());
        }
    }

    async fn answer(
        &self,
        parts: Parts,
        body: RequestBody,
        connection: Connection,
    ) -> Result<Reply, Problem> {
        let Some(router) = self.shared.router.get() else {
            return Err(Problem::internal("the table is not ready"));
        };
        let raw_path = parts.uri.path();
        let unknown = || Problem::NotFound(unknown_path(raw_path));
        let path = canonical_path(raw_path).map_err(|_| unknown())?;
        let route = router.route(&path).ok_or_else(unknown)?;
        let method = match parts.method {
            Method::HEAD => Method::GET,
            ref other => other.clone(),
        };
        router.check_method(&route, &method)?;
        let query = parse_urlencoded(parts.uri.query().unwrap_or_default().as_bytes())?;
        let mut request = build(parts, &route, method, query, connection);

        // The name of the operation decides who may call and how much may be sent; only when it
        // can be nowhere else, the body is read before that.
        let kind = form_kind(request.header(&header::CONTENT_TYPE));
        let mut pending = Some(body);
        let mut op = match route.op.clone() {
            Some(op) => Some(op),
            None => request.query.filled("op")?.map(str::to_owned),
        };
        let in_body = kind != FormKind::None && router.op_may_be_in_body(&route, &request.method);
        if op.is_none() && in_body {
            let limit = router.largest_body(&route, &request.method, self.limits.body);
            let form = self.read_form(&mut request, pending.take(), limit).await?;
            op = form.filled("op")?.map(str::to_owned);
            request.take_form(form);
        }
        let row = router.select(&route, &request.method, op.as_deref())?;
        request.op = op;

        if row.access != Access::Anonymous {
            let signed_in_form = request.signed.is_empty()
                && matches!(kind, FormKind::Urlencoded | FormKind::Multipart)
                && row.body == BodyRule::Form
                && !request.headers.contains_key(header::AUTHORIZATION)
                && !request.headers.contains_key(header::COOKIE);
            if signed_in_form && let Some(body) = pending.take() {
                let form = self.read_form(&mut request, Some(body), self.limit_of(row)).await?;
                request.take_form(form);
            }
            request.caller = self.authenticator.identify(&self.state, &request, row.access).await?;
            self.authenticator.admit(row.access, &request.caller, &request)?;
        }

        if let Some(body) = pending {
            match row.body {
                BodyRule::Stream => {
                    request.stream =
                        Some(body.with_limit(row.body_limit.unwrap_or(self.limits.stream)));
                }
                BodyRule::Raw => self.read(&mut request, body, self.limit_of(row)).await?,
                BodyRule::Form => {
                    let limit = self.limit_of(row);
                    let form = self.read_form(&mut request, Some(body), limit).await?;
                    request.take_form(form);
                }
            }
        }
        (row.handler)(Arc::clone(&self.state), request).await
    }

    fn limit_of(&self, row: &Operation<S>) -> u64 {
        row.body_limit.unwrap_or(self.limits.body)
    }

    async fn read(
        &self,
        request: &mut Request,
        body: RequestBody,
        limit: u64,
    ) -> Result<(), Problem> {
        let (bytes, hold) = body.with_limit(limit).whole_within(&self.budget).await?;
        request.body = bytes;
        request.hold = Some(hold);
        Ok(())
    }

    async fn read_form(
        &self,
        request: &mut Request,
        body: Option<RequestBody>,
        limit: u64,
    ) -> Result<Fields, Problem> {
        if let Some(body) = body {
            self.read(request, body, limit).await?;
        }
        parse_body(request.header(&header::CONTENT_TYPE), &request.body)
    }
}

impl<S> Shared<S> {
    fn rows(&self) -> &[Operation<S>] {
        self.router.get().map(|router| router.rows.as_slice()).unwrap_or_default()
    }
}

impl Documents {
    fn new<S>(rows: &[Operation<S>], title: &ApiTitle) -> Self {
        let ApiTitle { title, version, doc } = title;
        let hash = hash(rows, doc);
        Self {
            hash: HeaderValue::from_str(&hash).unwrap_or(HeaderValue::from_static("")),
            openapi: Bytes::from(openapi(rows, title, version, doc).to_string()),
            reference: reference(rows, title, doc),
        }
    }
}

/// The rows that show the table.
fn document_rows<S: Send + Sync + 'static>(shared: &Arc<Shared<S>>) -> Vec<Operation<S>> {
    let row = |resource, path, doc, show: fn(&Shared<S>, &Documents, &Request) -> Reply| {
        // Weak: the table that the row is in belongs to what it shows.
        let shared = Arc::downgrade(shared);
        let handler = move |_state: Arc<S>, request: Request| {
            let reply = shared.upgrade().and_then(|shared| {
                shared.documents.get().map(|documents| show(&shared, documents, &request))
            });
            async move { reply.ok_or_else(|| Problem::internal("the table is gone")) }
        };
        get(resource, path, doc, handler).access(Access::Anonymous)
    };
    vec![
        row(
            "DescribeHandler",
            "/MAAS/api/2.0/describe/",
            "Describes the whole API for clients that build themselves from it.",
            |shared, documents, request| {
                let hash = documents.hash.to_str().unwrap_or_default();
                let document =
                    describe(shared.rows(), &shared.title.doc, &request.base_url(), hash);
                // Without a charset: the maas command line compares the type as a string.
                Reply::bytes("application/json", document.to_string())
            },
        ),
        row(
            "OpenApiHandler",
            "/MAAS/api/2.0/openapi.json",
            "Describes every operation as an OpenAPI 3.1 document.",
            |_, documents, _| Reply::json_bytes(documents.openapi.clone()),
        ),
        row(
            "ReferenceHandler",
            "/MAAS/docs/api.md",
            "Shows the reference page of every operation.",
            |_, documents, _| {
                Reply::bytes("text/markdown; charset=utf-8", documents.reference.clone())
            },
        ),
    ]
}

fn build(
    parts: Parts,
    route: &Route,
    method: Method,
    query: Fields,
    connection: Connection,
) -> Request {
    let authority = parts.uri.authority().map(ToString::to_string);
    let mut request = Request {
        only_head: parts.method == Method::HEAD,
        method,
        path: route.path.clone(),
        op: None,
        params: route.params.clone(),
        signed: query.clone().only(is_signature),
        query,
        fields: Fields::new(),
        headers: parts.headers,
        authority,
        connection,
        caller: Caller::Anonymous,
        body: Bytes::new(),
        stream: None,
        hold: None,
    };
    request.take_form(Fields::new());
    request
}

fn is_signature(name: &str) -> bool {
    name.starts_with("oauth_")
}

impl Request {
    /// Makes a form's fields the operation's parameters, completed by the query.
    fn take_form(&mut self, form: Fields) {
        if self.signed.is_empty() {
            self.signed = form.clone().only(is_signature);
        }
        let all = form.completed_by(&self.query);
        self.fields = all.only(|name| name != "op" && !is_signature(name));
    }
}

fn unknown_path(path: &str) -> String {
    if path.starts_with(API_ROOT) {
        format!("Unknown API endpoint: {}.", printable(path))
    } else {
        "Not Found".to_owned()
    }
}

/// The beginning of a path, without control characters.
fn printable(path: &str) -> String {
    path.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// The operation that a query names; nothing else of a query is ever logged.
fn named_op(query: &str) -> Option<&str> {
    let name = query.split('&').find_map(|pair| pair.strip_prefix("op="))?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (is_name && (1..=40).contains(&name.len())).then_some(name)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a handler panicked: {}", text.unwrap_or_default())
}

impl<S> std::fmt::Debug for Api<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("title", &self.shared.title.title)
            .field("rows", &self.shared.rows().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(in crate::http) mod tests;
