//! The suite on a private PostgreSQL server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use maas_core::secret::Secret;

use super::load::{measure, report};
use crate::store::conformance::cases;
use crate::store::{NewMachine, SqlStore, Store, StoreError};

/// A server of this test's own, on a Unix socket in a temporary folder.
struct Server {
    child: Child,
    directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM would wait for clients, SIGKILL leaves shared memory: SIGQUIT does neither.
        let _ = Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// The folder of `initdb` and `postgres`.
fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

/// The first line of `id` with this option and user.
fn id(option: &str, user: &str) -> Option<u32> {
    let output = Command::new("id").args([option, user]).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// Who must run the server: PostgreSQL refuses to be root.
fn runs_as(directory: &Path) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata(directory).unwrap().uid() != 0 {
        return None;
    }
    let user = ["postgres", "nobody"].into_iter().find(|user| id("-u", user).is_some()).unwrap();
    Some((id("-u", user).unwrap(), id("-g", user).unwrap()))
}

impl Server {
    async fn start(programs: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        let who = runs_as(directory.path());
        if let Some((user, group)) = who {
            std::os::unix::fs::chown(directory.path(), Some(user), Some(group)).unwrap();
        }
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.current_dir(directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
            if let Some((user, group)) = who {
                command.uid(user).gid(group);
            }
            command
        };
        let made = command("initdb")
            .args(["-D", "data", "-U", "maas", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"])
            .status()
            .unwrap();
        assert!(made.success(), "initdb: {made}");
        let socket = directory.path().to_str().unwrap();
        let child = command("postgres")
            .args(["-D", "data", "-k", socket, "-c", "listen_addresses="])
            .args(["-c", "fsync=off", "-c", "max_connections=60"])
            .spawn()
            .unwrap();
        let server = Self { child, directory };
        let begin = Instant::now();
        while let Err(error) = PgConnection::connect(&server.url("public")).await {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "the server does not answer: {error}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    /// The address of a schema, which is much quicker to make than a database of its own.
    fn url(&self, schema: &str) -> String {
        let socket = self.directory.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://maas@{socket}/postgres?options[search_path]={schema}")
    }

    /// A store in a new schema.
    async fn store(&self, schema: &str) -> SqlStore {
        self.execute(format!("CREATE SCHEMA {schema}")).await;
        SqlStore::postgres(&Secret::new(self.url(schema))).await.unwrap()
    }

    async fn execute(&self, statement: String) {
        let mut connection = PgConnection::connect(&self.url("public")).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_keeps_every_promise_too() {
    let Some(programs) = programs() else {
        assert_ne!(
            std::env::var("MAAS_TEST_PEERS").as_deref(),
            Ok("require"),
            "MAAS_TEST_PEERS=require, but PostgreSQL's initdb and postgres are not there"
        );
        // Past the harness, which keeps what passing tests print to itself.
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!(
                "SKIPPED: PostgreSQL's initdb and postgres are not there; nothing was tested\n"
            ),
        )
        .ok();
        return;
    };
    let server = Server::start(&programs).await;
    let mut ran = 0;
    for (name, case) in cases() {
        println!("{name}");
        let store = Arc::new(server.store(&format!("case_{ran}")).await);
        case(store.clone()).await;
        store.close().await.unwrap();
        ran += 1;
    }
    assert!(ran > 30, "{ran} cases");
    servers_that_start_together_agree_on_the_tables(&server).await;
    errors_name_the_server_without_its_password(&server).await;

    let each = std::env::var("MAAS_STORE_TEST_COMMITS").map_or(5, |text| text.parse().unwrap());
    let store = Arc::new(server.store("load").await);
    report("PostgreSQL without fsync", each, measure(store.clone(), each).await);
    store.close().await.unwrap();
}

async fn servers_that_start_together_agree_on_the_tables(server: &Server) {
    server.execute("CREATE SCHEMA together".to_owned()).await;
    let url = Secret::new(server.url("together"));
    let (first, second) = tokio::join!(SqlStore::postgres(&url), SqlStore::open(&url));
    let (first, second) = (first.unwrap(), second.unwrap());
    let machine = first.add(NewMachine::new(crate::store::conformance::sample(1))).await.unwrap();
    assert_eq!(second.machine(&machine.system_id).await.unwrap(), Some(Arc::new(machine)));
    first.close().await.unwrap();
    second.close().await.unwrap();
}

async fn errors_name_the_server_without_its_password(server: &Server) {
    let url =
        server.url("public").replace("maas@", "maas:hunter2@").replace("/postgres", "/nowhere");
    let error = SqlStore::postgres(&Secret::new(url)).await.unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
    let text = format!("{error} {error:?}");
    assert!(text.contains("nowhere") && !text.contains("hunter2"), "{text}");
}
