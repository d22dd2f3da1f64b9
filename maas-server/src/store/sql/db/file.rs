//! SQLite files.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, OpenFlags, ffi};

use super::super::Fault;
use super::{DbError, Query, Row, Value};

/// Statements that a connection keeps compiled.
const STATEMENTS: usize = 128;

/// Connections for readers that are kept open; more are opened when more read at once.
const IDLE_READERS: usize = 4;

/// How long a connection waits for another process' transaction.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the writer needs: never to lose a commit when the power fails, and to let readers work at
/// the same time.
///
/// The log is emptied at 16 MB instead of 4: each time costs two flushes of everything.
const WRITER: &[&str] = &[
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA wal_autocheckpoint = 4000",
];

/// What a reader needs.
const READER: &[&str] = &["PRAGMA query_only = ON"];

/// A connection to a file.
pub(in super::super) struct Connection(rusqlite::Connection);

impl Connection {
    /// Opens a file for writing, and makes it when it is missing.
    pub(in super::super) fn open(file: &Path) -> Result<Self, Fault> {
        create(file)?;
        Ok(Self::prepared(file, WRITER)?)
    }

    fn prepared(file: &Path, pragmas: &[&str]) -> Result<Self, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = rusqlite::Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        for pragma in pragmas {
            let begin = Instant::now();
            // Two processes that turn a new file to the write-ahead log at the same time are told
            // that it is busy at once, whatever the timeout.
            while let Err(error) = connection.execute_batch(pragma) {
                if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy)
                    || begin.elapsed() > PATIENCE
                {
                    return Err(error);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(Self(connection))
    }

    /// Carries out a statement that gives no rows; says how many it changed.
    pub(super) fn execute(&mut self, query: &Query<'_>) -> Result<u64, rusqlite::Error> {
        let mut statement = self.0.prepare_cached(&query.sql)?;
        bind(&mut statement, &query.values)?;
        Ok(statement.raw_execute()? as u64)
    }

    /// Hands every row on.
    pub(super) fn read(
        &self,
        query: &Query<'_>,
        mut take: impl FnMut(Row),
    ) -> Result<(), rusqlite::Error> {
        let mut statement = self.0.prepare_cached(&query.sql)?;
        bind(&mut statement, &query.values)?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            let values = (0..columns).map(|index| row.get(index)).collect::<Result<_, _>>()?;
            take(Row::File(values));
        }
        Ok(())
    }

    /// Carries out several statements without values.
    pub(in super::super) fn execute_all(&mut self, statements: &str) -> Result<(), DbError> {
        Ok(self.0.execute_batch(statements)?)
    }

    /// Closes it and says what went wrong.
    pub(in super::super) fn close(self) -> Result<(), DbError> {
        Ok(self.0.close().map_err(|(_, error)| error)?)
    }
}

/// SQLite numbers `$2` by where it stands, not by its name.
fn bind(
    statement: &mut rusqlite::CachedStatement<'_>,
    values: &[Value<'_>],
) -> Result<(), rusqlite::Error> {
    for place in 1..=statement.parameter_count() {
        let name = statement.parameter_name(place).and_then(|name| name.get(1..));
        let number = name.and_then(|name| name.parse::<usize>().ok()).unwrap_or(place);
        let value = number.checked_sub(1).and_then(|index| values.get(index));
        let value = value.ok_or(rusqlite::Error::InvalidParameterCount(number, values.len()))?;
        statement.raw_bind_parameter(place, value)?;
    }
    Ok(())
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>, rusqlite::Error> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Integer(Some(number)) => ValueRef::Integer(*number),
            Self::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Integer(None) | Self::Text(None) => ValueRef::Null,
        }))
    }
}

/// The connections of a file's readers.
#[derive(Clone)]
pub(in super::super) struct Readers(Arc<Shared>);

struct Shared {
    file: PathBuf,
    /// `None` after the end.
    idle: Mutex<Option<Vec<Connection>>>,
}

impl Readers {
    /// Of a file that is there.
    pub(in super::super) fn of(file: &Path) -> Self {
        Self(Arc::new(Shared { file: file.to_owned(), idle: Mutex::new(Some(Vec::new())) }))
    }

    /// Hands every row on, on this thread.
    pub(super) fn read(&self, query: &Query<'_>, take: impl FnMut(Row)) -> Result<(), DbError> {
        let idle = || self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle().as_mut().ok_or(DbError::Closed)?.pop();
        let connection = match found {
            Some(connection) => connection,
            None => Connection::prepared(&self.0.file, READER)?,
        };
        let read = connection.read(query, take);
        if let Some(idle) = &mut *idle()
            && idle.len() < IDLE_READERS
        {
            idle.push(connection);
        }
        Ok(read?)
    }

    /// Closes what nobody uses; the rest follows when it is given back.
    pub(super) fn close(&self) {
        drop(self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// SQLite's sentence, which names the column.
pub(super) fn unique_violation(error: &rusqlite::Error) -> Option<String> {
    let rusqlite::Error::SqliteFailure(code, sentence) = error else { return None };
    let unique = [ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CONSTRAINT_PRIMARYKEY]
        .contains(&code.extended_code);
    unique.then(|| sentence.clone().unwrap_or_default())
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
