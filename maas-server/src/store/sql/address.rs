//! Which database is meant, and how it is opened.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions};
use url::Url;

use maas_core::secret::Secret;

use super::Fault;

/// Readers of one SQLite file at a time; each is a thread.
const SQLITE_READERS: u32 = 4;

/// Connections to PostgreSQL at a time, for readers and writers together.
const POSTGRES_CONNECTIONS: u32 = 16;

/// What every SQLite connection needs: to wait for another process' transaction, never to lose a
/// commit when the power fails, and to let readers and the writer work at the same time.
const PRAGMAS: &[&str] = &[
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
];

/// How long a new connection tries to get the file to itself; as `busy_timeout`.
const PATIENCE: Duration = Duration::from_secs(10);

/// What stays as it is in the path of a `sqlite:` URL.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// The differences between the two databases that SQL text must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// One file.
    Sqlite,
    /// A server.
    Postgres,
}

impl Dialect {
    /// Begins a transaction that will write. SQLite takes its lock at once: a reader that wants
    /// to write later would be refused instead of made to wait.
    pub(super) const fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// The type of bytes.
    pub(super) const fn bytes(self) -> &'static str {
        match self {
            Self::Sqlite => "BLOB",
            Self::Postgres => "BYTEA",
        }
    }

    /// A primary key that counts up by itself and never gives a number twice.
    pub(super) const fn counted(self) -> &'static str {
        match self {
            Self::Sqlite => "INTEGER PRIMARY KEY AUTOINCREMENT",
            Self::Postgres => "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        }
    }
}

/// A database that can be named in messages.
#[derive(Debug, Clone)]
pub(super) enum Address {
    /// A file.
    File(PathBuf),
    /// A PostgreSQL URL.
    Server(Secret<String>),
}

impl Address {
    /// Reads `postgres://…`, `postgresql://…`, `sqlite:FILE` or `FILE`.
    pub(super) fn parse(text: &Secret<String>) -> Self {
        let plain = text.expose();
        if plain.starts_with("postgres:") || plain.starts_with("postgresql:") {
            return Self::Server(text.clone());
        }
        let file = plain.strip_prefix("sqlite:").unwrap_or(plain);
        Self::File(PathBuf::from(file.strip_prefix("//").unwrap_or(file)))
    }

    pub(super) const fn dialect(&self) -> Dialect {
        match self {
            Self::File(_) => Dialect::Sqlite,
            Self::Server(_) => Dialect::Postgres,
        }
    }

    /// What messages may show: the file, or the URL without password and parameters.
    pub(super) fn label(&self) -> String {
        match self {
            Self::File(file) => file.display().to_string(),
            Self::Server(url) => match Url::parse(url.expose()) {
                Ok(mut url) => {
                    url.set_query(None);
                    url.set_fragment(None);
                    // Fails only for URLs that cannot carry a password.
                    let _ = url.set_password(None);
                    url.to_string()
                }
                Err(_) => "postgres://(not a URL)".to_owned(),
            },
        }
    }

    /// The driver's options for a connection of its own.
    fn options(&self) -> Result<AnyConnectOptions, Fault> {
        sqlx::any::install_default_drivers();
        Ok(match self {
            Self::File(file) => {
                let path = file.to_str().ok_or("the file name is not UTF-8")?;
                let path = utf8_percent_encode(path, PATH);
                AnyConnectOptions::from_str(&format!("sqlite:{path}?mode=rw"))?
            }
            Self::Server(url) => AnyConnectOptions::from_str(url.expose())?,
        })
    }

    /// Opens a connection that may write.
    pub(super) async fn connect(&self) -> Result<AnyConnection, Fault> {
        if let Self::File(file) = self {
            create(file)?;
        }
        let mut connection = self.options()?.connect().await?;
        if self.dialect() == Dialect::Sqlite {
            prepare(&mut connection).await?;
        }
        Ok(connection)
    }

    /// Opens the connections for readers, which on PostgreSQL write as well.
    pub(super) async fn pool(&self) -> Result<AnyPool, Fault> {
        let options = AnyPoolOptions::new();
        let options = match self.dialect() {
            Dialect::Postgres => options.max_connections(POSTGRES_CONNECTIONS),
            Dialect::Sqlite => options
                .max_connections(SQLITE_READERS)
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
                .after_connect(|connection, _| {
                    Box::pin(async move {
                        prepare(connection).await?;
                        sqlx::query("PRAGMA query_only = ON").execute(connection).await?;
                        Ok(())
                    })
                }),
        };
        Ok(options.connect_with(self.options()?).await?)
    }
}

async fn prepare(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    for pragma in PRAGMAS {
        let begin = Instant::now();
        // Two processes that turn a new file to the write-ahead log at the same time are told that
        // it is busy at once, whatever the timeout.
        while let Err(error) = sqlx::query(*pragma).execute(&mut *connection).await {
            if !is_busy(&error) || begin.elapsed() > PATIENCE {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

/// Whether SQLite says that another connection holds the file; its extended codes keep the
/// primary one in the lowest byte.
fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: u32 = 5;
    error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<u32>().ok())
        .is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

/// Makes sure that the file is there and, being full of secrets, is its owner's alone. SQLite
/// gives its companion files the same permissions.
fn create(file: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(address: &str) -> String {
        Address::parse(&Secret::new(address.to_owned())).label()
    }

    #[test]
    fn a_label_shows_no_password() {
        assert_eq!(
            label("postgres://maas:hunter2@db.example/maas?password=hunter2&sslmode=require"),
            "postgres://maas@db.example/maas"
        );
        assert_eq!(label("postgres://maas:hunter2@[bad"), "postgres://(not a URL)");
    }

    #[test]
    fn a_file_may_be_written_with_and_without_the_scheme() {
        assert_eq!(label("/var/lib/maas/maas.db"), "/var/lib/maas/maas.db");
        assert_eq!(label("sqlite:///var/lib/maas/maas.db"), "/var/lib/maas/maas.db");
        assert_eq!(label("sqlite:maas.db"), "maas.db");
    }
}
