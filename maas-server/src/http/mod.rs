//! The HTTP layer: bytes to [`Request`], [`Reply`] or [`Problem`] to bytes, and one table of
//! operations in between.
//!
//! It knows no machine and no database. A program hands it a table of [`Operation`]s over its
//! own state, an [`Authenticator`], and gets an [`Api`]: a function from request to response
//! which tests call without a socket and [`Listener::serve`] puts on one.
//!
//! From the same table come the router, the `describe/` document that python-libmaas and the
//! `maas` command line build themselves from, an OpenAPI document and a reference page.
//!
//! ```
//! use std::sync::Arc;
//!
//! use maas_server::http::{
//!     Access, Api, ApiTitle, Authenticator, Caller, Connection, FileContent, Identified, Limits,
//!     Param, Problem, Reply, Request, get, post,
//! };
//!
//! struct App {
//!     kernel: std::path::PathBuf,
//! }
//!
//! async fn deploy(_: Arc<App>, request: Request) -> Result<Reply, Problem> {
//!     // A value that cannot be read becomes `{"field": ["message"]}`.
//!     let dry = request.fields().flag("dry_run")?.unwrap_or(false);
//!     let series = request.fields().filled("distro_series")?.unwrap_or("noble");
//!     let machine = request.param("system_id");
//!     Reply::json(&serde_json::json!({"system_id": machine, "series": series, "dry": dry}))
//! }
//!
//! async fn image(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
//!     let file = FileContent::open(&app.kernel, None).await?;
//!     Ok(file.reply(request.headers()))
//! }
//!
//! struct Nobody;
//! impl Authenticator<App> for Nobody {
//!     fn identify<'a>(&'a self, _: &'a App, _: &'a Request, _: Access) -> Identified<'a> {
//!         Box::pin(async { Ok(Caller::Anonymous) })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let path = "/MAAS/api/2.0/machines/{system_id}/";
//! let rows = vec![
//!     post("MachineHandler", path, "Deploys a machine.", deploy)
//!         .op("deploy")
//!         .access(Access::Anonymous)
//!         .params(&[Param::optional("distro_series", "The series to deploy.")]),
//!     get("BootFiles", "/images/{*rest}", "Sends an image.", image).access(Access::Anonymous),
//! ];
//! let title = ApiTitle { title: "MAAS".into(), version: "2.0".into(), doc: "Machines.".into() };
//! let app = Arc::new(App { kernel: "/boot/vmlinuz".into() });
//! let api = Api::new(app, rows, Nobody, title, Limits::default())?;
//!
//! // Without a socket; with one: `Listener::bind(address).await?.serve(api, options, stop)`.
//! let request = http::Request::post("/MAAS/api/2.0/machines/abc/?op=deploy")
//!     .body(http_body_util::Empty::new())?;
//! let response = api.call(request, Connection::default()).await;
//! assert_eq!(response.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! What it promises: no input makes it panic, every buffer has a limit, no reply carries the
//! text of an internal error, no log line carries a query string or a credential, and a file is
//! never answered shorter than its `Content-Length` without the connection being cut.

mod access;
mod api;
mod body;
mod budget;
mod describe;
mod disposition;
mod field;
mod file;
mod form;
mod listen;
mod multipart;
mod nonce;
mod oauth;
mod openapi;
mod path;
mod problem;
mod reference;
mod reply;
mod request;
mod router;
mod sender;
mod splice;
mod stall;
mod table;

pub use access::{
    Access, Authenticator, Caller, Identified, Learned, NodeCaller, Role, UserCaller,
};
pub use api::{Api, ApiTitle, Limits};
pub use body::{BodyError, BoxError, ReplyBody, RequestBody};
pub use field::{Field, FieldError, FieldErrors, Fields, Value, parse_flag};
pub use file::{
    CHUNK_LEN, FileContent, FileError, Range, Reach, growing_reply, if_none_match,
    ignore_range_unless_get, parse_range,
};
pub use form::{parse_body, parse_json_object, parse_urlencoded};
pub use listen::{Answer, BindError, Listener, ServeOptions, serve_connection};
pub use multipart::{MultipartError, MultipartLimits, boundary_of, parse_multipart};
pub use nonce::{NonceError, NonceWindow};
pub use oauth::{Credentials, MAX_CLOCK_LAG, OauthError, SignatureMethod};
pub use path::{PathError, canonical_path, decode_segment};
pub use problem::{Challenge, Problem};
pub use reply::Reply;
pub use request::{Connection, Request, Transport};
pub use router::TableError;
pub use table::{API_ROOT, BodyRule, Need, Operation, Param, delete, get, post, put};
