//! The table of operations: one row says everything about one call.

use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::Method;

use super::{Access, Problem, Reply, Request};

/// Where the MAAS API 2.0 lives. Rows below it appear in `describe/`.
pub const API_ROOT: &str = "/MAAS/api/2.0/";

/// Whether a parameter must be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It must.
    Required,
    /// It may.
    Optional,
    /// It may, several times.
    Repeated,
}

/// One parameter of an operation, for documents; the handler reads it itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Whether it must be given.
    pub need: Need,
}

impl Param {
    /// One that must be given.
    #[must_use]
    pub const fn required(name: &'static str, doc: &'static str) -> Self {
        Self { name, doc, need: Need::Required }
    }

    /// One that may be given.
    #[must_use]
    pub const fn optional(name: &'static str, doc: &'static str) -> Self {
        Self { name, doc, need: Need::Optional }
    }

    /// One that may be given several times.
    #[must_use]
    pub const fn repeated(name: &'static str, doc: &'static str) -> Self {
        Self { name, doc, need: Need::Repeated }
    }
}

/// What is done with the request body before the handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyRule {
    /// Read whole and, when it is a form (urlencoded, multipart or a JSON object), parsed into
    /// [`Request::fields`]; a form that cannot be read is a 400. The default.
    Form,
    /// Read whole and left as it is, whatever its type.
    Raw,
    /// Not read: the handler takes it piece by piece.
    Stream,
}

pub(super) type Handler<S> =
    Arc<dyn Fn(Arc<S>, Request) -> BoxFuture<'static, Result<Reply, Problem>> + Send + Sync>;

/// One row of the table: a call over the state `S`.
#[non_exhaustive]
pub struct Operation<S> {
    /// The name clients know the resource by.
    pub resource: &'static str,
    /// The method; HEAD comes with GET.
    pub method: Method,
    /// The path with its parameters in braces.
    pub path: &'static str,
    /// Further paths that lead here.
    pub aliases: Vec<&'static str>,
    /// The name of the operation.
    pub op: Option<&'static str>,
    /// What it does, in a sentence or more.
    pub doc: &'static str,
    /// The parameters it reads.
    pub params: Vec<Param>,
    /// Who may call it.
    pub access: Access,
    /// What is done with the body.
    pub body: BodyRule,
    /// The largest body in bytes, where it is not the server's.
    pub body_limit: Option<u64>,
    pub(super) handler: Handler<S>,
}

impl<S> Operation<S> {
    /// A row. `resource` is the name clients know (`MachinesHandler`), `path` has `{name}` for a
    /// parameter (also within a segment: `ipxe.cfg-{name}`) and `{*rest}` for all the rest;
    /// its slash at the end is what documents show, requests may leave it out.
    ///
    /// Access is [`Access::User`] unless [`Operation::access`] says otherwise.
    ///
    /// The handler's future is dropped when the client goes away: what must not be half done
    /// belongs into one transaction.
    pub fn new<F, Fut>(
        resource: &'static str,
        method: Method,
        path: &'static str,
        doc: &'static str,
        handler: F,
    ) -> Self
    where
        F: Fn(Arc<S>, Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply, Problem>> + Send + 'static,
    {
        let handler: Handler<S> = Arc::new(move |state, request| Box::pin(handler(state, request)));
        Self {
            resource,
            method,
            path,
            aliases: Vec::new(),
            op: None,
            doc,
            params: Vec::new(),
            access: Access::User,
            body: BodyRule::Form,
            body_limit: None,
            handler,
        }
    }

    /// The row of a named operation (`?op=NAME`).
    #[must_use]
    pub fn op(mut self, name: &'static str) -> Self {
        self.op = Some(name);
        self
    }

    /// Who may call it.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Its parameters, for documents; called again, it adds more (those of a whole family, say).
    #[must_use]
    pub fn params(mut self, params: &[Param]) -> Self {
        self.params.extend_from_slice(params);
        self
    }

    /// What is done with the body.
    #[must_use]
    pub fn body(mut self, rule: BodyRule) -> Self {
        self.body = rule;
        self
    }

    /// The largest body in bytes, in place of the server's limit.
    #[must_use]
    pub fn body_limit(mut self, bytes: u64) -> Self {
        self.body_limit = Some(bytes);
        self
    }

    /// One more path that leads to the same row; documents do not show it.
    #[must_use]
    pub fn alias(mut self, path: &'static str) -> Self {
        self.aliases.push(path);
        self
    }

    /// The name clients give the action: `read`, `create`, `update`, `delete` or the operation's.
    #[must_use]
    pub fn action(&self) -> &str {
        match (self.op, self.method.as_str()) {
            (Some(op), _) => op,
            (None, "GET") => "read",
            (None, "POST") => "create",
            (None, "PUT") => "update",
            (None, "DELETE") => "delete",
            (None, other) => other,
        }
    }

    /// The parameters in its path, without `*`.
    #[must_use]
    pub fn path_params(&self) -> Vec<&'static str> {
        let after = self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        after.map(|name| name.trim_start_matches('*')).collect()
    }
}

impl<S> std::fmt::Debug for Operation<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let op = self.op.map(|op| format!(" op={op}")).unwrap_or_default();
        write!(f, "{} {}{op}", self.method, self.path)
    }
}

macro_rules! by_method {
    ($($name:ident $method:ident $word:literal),*) => {$(
        #[doc = concat!("A row for ", $word, "; see [`Operation::new`].")]
        pub fn $name<S, F, Fut>(
            resource: &'static str,
            path: &'static str,
            doc: &'static str,
            handler: F,
        ) -> Operation<S>
        where
            F: Fn(Arc<S>, Request) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<Reply, Problem>> + Send + 'static,
        {
            Operation::new(resource, Method::$method, path, doc, handler)
        }
    )*};
}
by_method!(get GET "GET", post POST "POST", put PUT "PUT", delete DELETE "DELETE");
