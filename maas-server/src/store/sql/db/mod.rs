//! One way to ask either database: a text with `$1`, `$2`…, values, rows.
//!
//! A SQLite file is asked on the calling thread. That takes microseconds; a hop to another thread
//! and back takes longer. What reads many rows says so ([`Query::fetch_many`]) and has a thread
//! of its own.

#[cfg(feature = "sqlite")]
pub(super) mod file;
mod query;
mod row;
#[cfg(feature = "postgres")]
pub(super) mod server;
mod value;

pub(super) use query::{Query, query};
pub(super) use row::Row;
pub(super) use value::Value;

/// Where work is done that may write: an open transaction, or the connection of the one writer.
pub(super) enum Connection {
    /// A file.
    #[cfg(feature = "sqlite")]
    File(file::Connection),
    /// A server; undone when it is dropped.
    #[cfg(feature = "postgres")]
    Server(server::Transaction),
}

/// Where readers ask.
pub(super) enum Pool {
    /// A file.
    #[cfg(feature = "sqlite")]
    File(file::Readers),
    /// A server.
    #[cfg(feature = "postgres")]
    Server(sqlx::PgPool),
}

impl Pool {
    /// Ends it; who asks later is refused.
    pub(super) async fn close(&self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(readers) => readers.close(),
            #[cfg(feature = "postgres")]
            Self::Server(pool) => pool.close().await,
        }
    }
}

/// Where a query goes.
pub(super) enum Target<'c> {
    /// Any connection for readers.
    Pool(&'c Pool),
    /// This one.
    Connection(&'c mut Connection),
}

impl<'c> From<&'c Pool> for Target<'c> {
    fn from(pool: &'c Pool) -> Self {
        Self::Pool(pool)
    }
}

impl<'c> From<&'c mut Connection> for Target<'c> {
    fn from(connection: &'c mut Connection) -> Self {
        Self::Connection(connection)
    }
}

/// What a database answers instead of rows.
#[derive(Debug, thiserror::Error)]
pub(super) enum DbError {
    /// The store was closed.
    #[cfg(feature = "sqlite")]
    #[error("the database is closed")]
    Closed,
    /// SQLite's words.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    File(#[from] rusqlite::Error),
    /// The server's, or the way to it.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Server(#[from] sqlx::Error),
}

impl DbError {
    /// Whether the store was closed before.
    pub(super) const fn is_closed(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Closed => true,
            #[cfg(feature = "sqlite")]
            Self::File(_) => false,
            #[cfg(feature = "postgres")]
            Self::Server(error) => matches!(error, sqlx::Error::PoolClosed),
        }
    }

    /// The database's sentence when a value that must be unique is there already: SQLite names the
    /// column in it, PostgreSQL the index.
    pub(super) fn unique_violation(&self) -> Option<String> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Closed => None,
            #[cfg(feature = "sqlite")]
            Self::File(error) => file::unique_violation(error),
            #[cfg(feature = "postgres")]
            Self::Server(error) => server::unique_violation(error),
        }
    }
}

impl Connection {
    /// Carries out several statements without values.
    pub(super) async fn execute_all(&mut self, statements: String) -> Result<(), DbError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(file) => file.execute_all(&statements),
            #[cfg(feature = "postgres")]
            Self::Server(server) => Ok(server.execute_all(statements).await?),
        }
    }
}
