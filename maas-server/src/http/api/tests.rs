//! The table at work, without a socket.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::http::{
    Credentials, FileContent, Identified, NonceWindow, OauthError, Param, Role, UserCaller, delete,
    post, put,
};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;

pub(in crate::http) struct App {
    nonces: NonceWindow,
    file: tempfile::NamedTempFile,
    big: tempfile::NamedTempFile,
}

/// The length of `/big`: more than the kernel buffers for one connection.
pub(in crate::http) const BIG: u64 = 64 << 20;

impl App {
    fn new() -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"bytes").unwrap();
        let big = tempfile::NamedTempFile::new().unwrap();
        big.as_file().set_len(BIG).unwrap();
        Self { nonces: NonceWindow::default(), file, big }
    }
}

struct Keys;

const NOW: i64 = 1_795_356_549;

impl Authenticator<App> for Keys {
    fn identify<'a>(&'a self, app: &'a App, request: &'a Request, _: Access) -> Identified<'a> {
        Box::pin(async move {
            let Some(signed) = Credentials::of_request(request)? else {
                return Ok(Caller::Anonymous);
            };
            let role = match signed.token.as_str() {
                "TK" => Role::User,
                "ADMIN" => Role::Admin,
                _ => return Err(OauthError::UnknownKey.into()),
            };
            signed.check_signature("TS")?;
            signed.check_time(NOW)?;
            app.nonces.check(&signed, NOW).map_err(OauthError::from)?;
            Ok(Caller::User(UserCaller { id: 1, name: signed.token, role }))
        })
    }
}

async fn echo(_: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let fields: Vec<String> = request
        .fields()
        .iter()
        .map(|f| format!("{}={}", f.name, String::from_utf8_lossy(&f.value.content)))
        .collect();
    let caller = request.caller().user().map_or("nobody", |user| user.name.as_str());
    let params: Vec<&str> = request.params.iter().map(|(_, v)| v.as_str()).collect();
    Ok(Reply::text(format!(
        "{} op={} params=[{}] fields=[{}] by {caller}",
        request.method(),
        request.op().unwrap_or("-"),
        params.join(","),
        fields.join("&"),
    )))
}

async fn upload(_: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let mut sum = 0;
    while let Some(bytes) = request.chunk().await? {
        sum += bytes.len();
    }
    Ok(Reply::text(sum.to_string()))
}

async fn image(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let file = FileContent::open(app.file.path(), Some(5)).await?;
    Ok(file.digest("d1").reply(request.headers()))
}

async fn big(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let file = FileContent::open(app.big.path(), Some(BIG)).await?;
    Ok(file.reply(request.headers()))
}

async fn fall_over(_: Arc<App>, request: Request) -> Result<Reply, Problem> {
    assert!(request.op().is_some(), "secret text");
    Ok(Reply::ok())
}

const MACHINE: &str = "/MAAS/api/2.0/machines/{system_id}/";
const MACHINES: &str = "/MAAS/api/2.0/machines/";

fn rows() -> Vec<Operation<App>> {
    vec![
        get("MachinesHandler", MACHINES, "Lists machines.", echo),
        post("MachinesHandler", MACHINES, "Enlists a machine.", echo).access(Access::Anyone),
        post("MachinesHandler", MACHINES, "Allocates a machine.", echo)
            .op("allocate")
            .params(&[Param::repeated("tags", "Tags the machine must have.")]),
        get("MachinesHandler", MACHINES, "Says whether a machine is known.", echo)
            .op("is_registered")
            .access(Access::Anonymous),
        get("MachineHandler", MACHINE, "Reads a machine.", echo).access(Access::Anonymous),
        post("MachineHandler", MACHINE, "Deploys a machine.", echo)
            .op("deploy")
            .params(&[Param::optional("distro_series", "The series.")]),
        put("MachineHandler", MACHINE, "Changes a machine.", echo).access(Access::Admin),
        delete("MachineHandler", MACHINE, "Deletes a machine.", |_, _| async {
            Ok(Reply::no_content())
        }),
        post(
            "EventHandler",
            "/MAAS/metadata/status/{system_id}",
            "Takes an event.",
            |_, r| async move { Ok(Reply::text(String::from_utf8_lossy(r.body()).into_owned())) },
        )
        .access(Access::Anonymous)
        .body(BodyRule::Raw)
        .body_limit(100),
        put(
            "UploadHandler",
            "/MAAS/api/2.0/boot-resources/{id}/upload/{file}/",
            "Takes bytes.",
            upload,
        )
        .access(Access::Anonymous)
        .body(BodyRule::Stream)
        .body_limit(1000),
        get("BootFiles", "/images/{*rest}", "Sends an image.", image).access(Access::Anonymous),
        get("BootFiles", "/ipxe.cfg-{name}", "Sends a script.", echo).access(Access::Anonymous),
        get("BootFiles", "/ipxe.cfg", "Sends the first script.", echo).access(Access::Anonymous),
        get("PoolsHandler", "/MAAS/api/2.0/resourcepools/", "Lists pools.", echo)
            .alias("/MAAS/api/2.0/pools/")
            .access(Access::Anonymous),
        get("BootFiles", "/big", "Sends a large file.", big).access(Access::Anonymous),
        post("Panic", "/panic", "Falls over.", fall_over).access(Access::Anonymous),
    ]
}

fn title() -> ApiTitle {
    ApiTitle { title: "Test".into(), version: "2.0".into(), doc: "An API.".into() }
}

pub(in crate::http) fn api_with(limits: Limits) -> Api<App> {
    Api::new(Arc::new(App::new()), rows(), Keys, title(), limits).unwrap()
}

pub(in crate::http) fn api() -> Api<App> {
    api_with(Limits::default())
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn send(api: &Api<App>, request: http::Request<Full<Bytes>>) -> Answer {
    let (parts, body) = api.call(request, Connection::default()).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

fn request(method: &str, uri: &str) -> http::request::Builder {
    http::Request::builder().method(method).uri(uri).header("host", "maas.example:5240")
}

async fn plain(method: &str, uri: &str) -> Answer {
    send(&api(), request(method, uri).body(Full::default()).unwrap()).await
}

fn key(token: &str, nonce: &str) -> String {
    format!(
        "OAuth oauth_version=1.0, oauth_signature_method=PLAINTEXT, oauth_consumer_key=CK, \
         oauth_token={token}, oauth_signature=&TS, oauth_nonce={nonce}, oauth_timestamp={NOW}"
    )
}

fn signed(method: &str, uri: &str) -> http::request::Builder {
    request(method, uri).header("authorization", key("TK", "n1"))
}

const URLENCODED: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn slashes_and_percent_signs_do_not_hide_a_path() {
    for path in [
        "/MAAS/api/2.0/machines/abc/",
        "/MAAS/api/2.0/machines/abc",
        "//MAAS//api/2.0/machines/%61bc//",
    ] {
        assert_eq!(plain("GET", path).await.text(), "GET op=- params=[abc] fields=[] by nobody");
    }
    let script = plain("GET", "/ipxe.cfg-52%3A54%3A00%3A00%3A00%3A01").await;
    assert!(script.text().contains("params=[52:54:00:00:00:01]"), "{}", script.text());
    assert!(plain("GET", "/ipxe.cfg").await.text().contains("params=[]"));
    assert_eq!(plain("GET", "/MAAS/api/2.0/pools").await.status, 200);
}

#[tokio::test]
async fn an_unknown_path_method_or_operation_has_its_own_answer() {
    let unknown = plain("GET", "/MAAS/api/2.0/x/").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.text(), "Unknown API endpoint: /MAAS/api/2.0/x/.");
    assert_eq!(unknown.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(plain("GET", "/x").await.text(), "Not Found");
    assert_eq!(plain("GET", "/images/a/../../etc/passwd").await.status, 404);
    assert_eq!(plain("GET", "/images/a/%2e%2e/etc/passwd").await.status, 404);

    let method = plain("PUT", MACHINES).await;
    assert_eq!(method.status, 405);
    assert_eq!(method.headers["allow"], "GET, POST, HEAD");

    let op = plain("GET", "/MAAS/api/2.0/machines/?op=foo").await;
    assert_eq!((op.status, op.text()), (400, "Unrecognised signature: method=GET op=foo"));
    let none = plain("POST", "/MAAS/api/2.0/machines/abc/").await;
    assert_eq!((none.status, none.text()), (400, "Unrecognised signature: method=POST op=None"));
}

#[tokio::test]
async fn an_operation_is_found_in_query_body_and_path() {
    let expected = "POST op=allocate params=[] fields=[tags=a] by TK";
    let form = |builder: http::request::Builder, body: &'static str| {
        builder.header("content-type", URLENCODED).body(Full::from(body)).unwrap()
    };
    let query = form(signed("POST", "/MAAS/api/2.0/machines/?op=allocate"), "tags=a");
    assert_eq!(send(&api(), query).await.text(), expected);
    let body = form(signed("POST", MACHINES), "op=allocate&tags=a");
    assert_eq!(send(&api(), body).await.text(), expected);
    let path = form(signed("POST", "/MAAS/api/2.0/machines/op-allocate"), "tags=a");
    assert_eq!(send(&api(), path).await.text(), expected);
    let none = form(signed("POST", "/MAAS/api/2.0/machines/?op="), "tags=a");
    assert_eq!(send(&api(), none).await.text(), "POST op=- params=[] fields=[tags=a] by TK");
    // A machine whose name only looks like an operation.
    let machine = plain("GET", "/MAAS/api/2.0/machines/op-unheard/").await;
    assert!(machine.text().contains("params=[op-unheard]"));
}

#[tokio::test]
async fn the_empty_multipart_of_python_libmaas_is_no_hindrance() {
    for method in ["DELETE", "POST"] {
        let uri = if method == "POST" {
            "/MAAS/api/2.0/machines/?op=allocate"
        } else {
            "/MAAS/api/2.0/machines/abc/"
        };
        let request = signed(method, uri)
            .header("content-type", "multipart/form-data; boundary=\"===============1==\"")
            .header("mime-version", "1.0")
            .body(Full::from("--===============1==\r\n\r\n--===============1==--"))
            .unwrap();
        let answer = send(&api(), request).await;
        assert!(
            answer.status == 200 || answer.status == 204,
            "{} {}",
            answer.status,
            answer.text()
        );
    }
}

#[tokio::test]
async fn credentials_may_stand_in_the_form_or_query() {
    let pairs = format!(
        "oauth_signature_method=PLAINTEXT&oauth_consumer_key=CK&oauth_token=TK&\
         oauth_signature=%26TS&oauth_nonce=1&oauth_timestamp={NOW}"
    );
    let request = request("POST", "/MAAS/api/2.0/machines/?op=allocate")
        .header("content-type", URLENCODED)
        .body(Full::from(format!("tags=x&{pairs}")))
        .unwrap();
    let answer = send(&api(), request).await;
    assert_eq!(answer.text(), "POST op=allocate params=[] fields=[tags=x] by TK");
    let answer = plain("GET", &format!("/MAAS/api/2.0/machines/?zone=z&{pairs}")).await;
    assert_eq!(answer.text(), "GET op=- params=[] fields=[zone=z] by TK");
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let none = plain("GET", MACHINES).await;
    assert_eq!(none.status, 401);
    assert_eq!(none.headers["www-authenticate"], "OAuth realm=\"OAuth\"");

    let wrong = request("GET", MACHINES).header("authorization", key("X", "1"));
    let wrong = send(&api(), wrong.body(Full::default()).unwrap()).await;
    assert_eq!((wrong.status, wrong.text()), (401, "Authorization Error: Invalid API key."));

    let user = signed("PUT", "/MAAS/api/2.0/machines/abc/").body(Full::default()).unwrap();
    assert_eq!(send(&api(), user).await.status, 403);
    let admin =
        request("PUT", "/MAAS/api/2.0/machines/abc/").header("authorization", key("ADMIN", "1"));
    assert_eq!(send(&api(), admin.body(Full::default()).unwrap()).await.status, 200);

    let api = api();
    let once = || signed("GET", MACHINES).body(Full::default()).unwrap();
    assert_eq!(send(&api, once()).await.status, 200);
    let again = send(&api, once()).await;
    assert_eq!(
        (again.status, again.text()),
        (401, "Authorization Error: 'Nonce already used: n1'")
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_before_the_handler() {
    let request =
        request("POST", "/MAAS/metadata/status/abc").body(Full::from(vec![b'x'; 101])).unwrap();
    assert_eq!(send(&api(), request).await.status, 413);
    let upload = |length: usize| {
        let uri = "/MAAS/api/2.0/boot-resources/1/upload/2/";
        http::Request::put(uri).body(Full::from(vec![0; length])).unwrap()
    };
    assert_eq!(send(&api(), upload(1000)).await.text(), "1000");
    assert_eq!(send(&api(), upload(1001)).await.status, 413);
    let small = api_with(Limits::default().with_all_bodies(10));
    let event =
        http::Request::post("/MAAS/metadata/status/abc").body(Full::from("01234567890")).unwrap();
    let busy = send(&small, event).await;
    assert_eq!(busy.status, 503);
    assert!(busy.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn an_event_without_a_content_type_arrives_as_it_is() {
    let request =
        request("POST", "/MAAS/metadata/status/abc").body(Full::from("{\"name\":1")).unwrap();
    assert_eq!(send(&api(), request).await.text(), "{\"name\":1");
}

#[tokio::test]
async fn a_body_that_never_comes_is_408() {
    struct Never;
    impl http_body::Body for Never {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
            std::task::Poll::Pending
        }
    }
    let moment = Duration::from_millis(20);
    let api = api_with(Limits::default().with_times(moment, moment));
    let request = request("POST", "/MAAS/metadata/status/abc").body(Never).unwrap();
    assert_eq!(api.call(request, Connection::default()).await.status(), 408);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    for path in ["/images/abcdef0/ubuntu/kernel", "/ipxe.cfg", "/MAAS/api/2.0/describe/"] {
        let (head, get) = (plain("HEAD", path).await, plain("GET", path).await);
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.headers["content-length"], get.body.len().to_string());
    }
}

#[tokio::test]
async fn a_range_is_heeded_for_get_alone() {
    for (method, status, length) in [("GET", 206, 2), ("HEAD", 200, 5)] {
        let request = request(method, "/images/abcdef0/ubuntu/kernel").header("range", "bytes=1-2");
        let answer = send(&api(), request.body(Full::default()).unwrap()).await;
        assert_eq!(
            (answer.status, &answer.headers["content-length"]),
            (status, &HeaderValue::from(length))
        );
        assert_eq!(answer.headers.contains_key("content-range"), method == "GET");
        assert_eq!(answer.headers["etag"], "\"d1\"");
    }
}

#[tokio::test]
async fn a_panic_is_a_500_that_tells_nothing() {
    let answer = plain("POST", "/panic").await;
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("secret"), "{}", answer.text());
}

#[tokio::test]
async fn api_replies_carry_the_headers_clients_look_at() {
    let answer = plain("GET", "/MAAS/api/2.0/machines/abc/").await;
    assert_eq!(answer.headers["vary"], "Authorization, Cookie");
    let described = plain("GET", "/MAAS/api/2.0/describe/").await;
    assert_eq!(described.headers["content-type"], "application/json");
    assert_eq!(described.json()["hash"], answer.headers["x-maas-api-hash"].to_str().unwrap());
    assert!(!plain("GET", "/ipxe.cfg").await.headers.contains_key("x-maas-api-hash"));
    let gone = send(
        &api(),
        signed("DELETE", "/MAAS/api/2.0/machines/abc/").body(Full::default()).unwrap(),
    )
    .await;
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    assert!(!gone.headers.contains_key("content-length"));
}

#[tokio::test]
async fn describe_has_the_shape_that_python_libmaas_reads() {
    let json = plain("GET", "/MAAS/api/2.0/describe/").await.json();
    let named = |name: &str| {
        let all = json["resources"].as_array().unwrap();
        all.iter().find(|resource| resource["name"] == name).unwrap().clone()
    };
    let machines = named("MachinesHandler");
    assert_eq!(machines["auth"]["uri"], "http://maas.example:5240/MAAS/api/2.0/machines/");
    assert_eq!(machines["anon"]["name"], "AnonMachinesHandler");
    let actions = machines["anon"]["actions"].as_array().unwrap();
    let names: Vec<&str> = actions.iter().map(|action| action["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["create", "is_registered"]);
    assert_eq!(machines["auth"]["actions"].as_array().unwrap().len(), 4);
    let machine = named("MachineHandler");
    assert_eq!(machine["auth"]["params"], serde_json::json!(["system_id"]));
    assert_eq!(machine["auth"]["path"], MACHINE);
    let deploy = &machine["auth"]["actions"][1];
    assert_eq!((&deploy["op"], &deploy["restful"]), (&"deploy".into(), &false.into()));
    // Nobody needs to sign in for these: there is no second half.
    assert!(named("PoolsHandler")["auth"].is_null());
    assert!(json["resources"].as_array().unwrap().iter().all(|r| r["name"] != "BootFiles"));
    let halves = json["handlers"].as_array().unwrap();
    assert!(halves.iter().all(|half| half["actions"].is_array()));
}

#[tokio::test]
async fn every_row_is_in_all_documents() {
    let api = api();
    let described = plain("GET", "/MAAS/api/2.0/describe/").await.json();
    let openapi = plain("GET", "/MAAS/api/2.0/openapi.json").await.json();
    let page = plain("GET", "/MAAS/docs/api.md").await;
    let mut ids = std::collections::HashSet::new();
    for row in api.rows() {
        assert!(!row.doc.trim().is_empty());
        let path = crate::http::openapi::document_path(row);
        let operation = &openapi["paths"][&path][row.method.as_str().to_ascii_lowercase()];
        assert!(operation.is_object(), "{row:?}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{row:?}");
        assert!(page.text().contains(&crate::http::reference::heading(row)), "{row:?}");
        if row.path.starts_with(API_ROOT) {
            let resources = described["resources"].as_array().unwrap();
            let resource = resources.iter().find(|r| r["name"] == row.resource).unwrap();
            let half =
                if resource["auth"].is_null() { &resource["anon"] } else { &resource["auth"] };
            let actions = half["actions"].as_array().unwrap();
            let found = actions
                .iter()
                .find(|a| a["name"] == row.action() && a["method"] == row.method.as_str())
                .unwrap_or_else(|| panic!("{row:?}"));
            let (_, after) = found["doc"].as_str().unwrap().split_once("\n\n").unwrap();
            assert!(after.contains(":param "), "{row:?}");
        }
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_has_path_and_status_but_no_query_and_no_credential() {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone());
    let guard = tracing::subscriber::set_default(log.finish());
    let uri = "/MAAS/api/2.0/machines/?op=is_registered&oauth_signature=%26QUERYSECRET";
    let request = || signed("GET", uri).body(Full::default()).unwrap();
    // A log line belongs to the log of the thread that came by it first, until it is rebuilt.
    send(&api(), request()).await;
    tracing::callsite::rebuild_interest_cache();
    assert_eq!(send(&api(), request()).await.status, 200);
    drop(guard);
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("path=/MAAS/api/2.0/machines/") && log.contains("status=200"), "{log}");
    assert!(log.contains("op=\"is_registered\""), "{log}");
    assert!(!log.contains("SECRET") && !log.contains("oauth") && !log.contains("TS"), "{log}");
}

#[test]
fn a_table_that_contradicts_itself_is_refused() {
    let new =
        |rows| Api::new(Arc::new(App::new()), rows, Keys, title(), Limits::default()).map(|_| ());
    let row = |path, doc| get("X", path, doc, echo);
    assert_eq!(new(vec![row("/a/{b}/", "Reads.")]), Ok(()));
    assert!(matches!(new(vec![row("/a", "x"), row("/a/", "y")]), Err(TableError::Twice { .. })));
    assert!(matches!(new(vec![row("/a", " ")]), Err(TableError::NoDoc { .. })));
    assert!(matches!(new(vec![row("/{*a}/b", "x")]), Err(TableError::Path { .. })));
    let two = vec![row("/MAAS/api/2.0/a/", "x"), row("/MAAS/api/2.0/b/", "y")];
    assert!(matches!(new(two), Err(TableError::TwoPaths { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_request_is_answered_without_a_500(
        method in prop_oneof![Just("GET"), Just("POST"), Just("PUT"), Just("DELETE"), Just("HEAD"), Just("BREW")],
        path in prop_oneof![
            Just("/MAAS/api/2.0/machines/".to_owned()),
            "/MAAS/api/2\\.0/machines/[a-z%0-9.]{0,6}/(op-[a-z]{1,3})?",
            "/[a-zA-Z0-9/%._-]{0,30}",
        ],
        query in "([a-z]{0,3}=[a-z%0-9]{0,4}&?){0,3}|op=[a-z]{0,6}",
        kind in prop_oneof![
            Just("application/x-www-form-urlencoded"), Just("application/json"),
            Just("multipart/form-data; boundary=B"), Just("multipart/form-data"), Just("x"),
        ],
        authorization in prop_oneof![Just(key("TK", "1")), Just(key("TK", "")), "OAuth [a-z=\",]{0,30}"],
        body in prop_oneof![Just("--B--".to_owned()), "op=[a-z]{0,8}", ".{0,40}"],
    ) {
        prop_assume!(!path.starts_with("/panic") && !path.starts_with("//"));
        let request = request(method, &format!("{path}?{query}"))
            .header("content-type", kind)
            .header("authorization", authorization)
            .body(Full::from(body));
        prop_assume!(request.is_ok());
        let request = request.unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(send(&api(), request));
        prop_assert!(answer.status < 500, "{} {}", answer.status, answer.text());
    }
}
