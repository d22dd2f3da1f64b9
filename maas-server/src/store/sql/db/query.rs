//! A query and its values, on whichever database.

use std::borrow::Cow;

use super::super::Fault;
use super::{Connection, DbError, Pool, Row, Target, Value};

/// A text of this program's own and the values for its `$1`, `$2`…
#[derive(Debug, Clone)]
pub(in super::super) struct Query<'q> {
    pub(super) sql: Cow<'static, str>,
    pub(super) values: Vec<Value<'q>>,
}

/// A query that is the same every time.
pub(in super::super) const fn query<'q>(sql: &'static str) -> Query<'q> {
    Query { sql: Cow::Borrowed(sql), values: Vec::new() }
}

impl<'q> Query<'q> {
    /// A query whose text was put together; never from what came from outside.
    pub(in super::super) const fn composed(sql: String, values: Vec<Value<'q>>) -> Self {
        Self { sql: Cow::Owned(sql), values }
    }

    /// With the next value.
    pub(in super::super) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Carries it out; says how many rows it changed.
    pub(in super::super) async fn execute(
        self,
        connection: &mut Connection,
    ) -> Result<u64, DbError> {
        match connection {
            #[cfg(feature = "sqlite")]
            Connection::File(file) => Ok(file.execute(&self)?),
            #[cfg(feature = "postgres")]
            Connection::Server(server) => Ok(server.execute(self).await?),
        }
    }

    /// The first row, if there is any.
    pub(in super::super) async fn fetch_optional(
        self,
        on: impl Into<Target<'_>>,
    ) -> Result<Option<Row>, DbError> {
        Ok(self.fetch_all(on).await?.into_iter().next())
    }

    /// The one row.
    pub(in super::super) async fn fetch_one(self, on: impl Into<Target<'_>>) -> Result<Row, Fault> {
        self.fetch_optional(on).await?.ok_or_else(|| "the database gave no row".into())
    }

    /// All rows, which are few.
    pub(in super::super) async fn fetch_all(
        self,
        on: impl Into<Target<'_>>,
    ) -> Result<Vec<Row>, DbError> {
        match on.into() {
            #[cfg(feature = "sqlite")]
            Target::Pool(Pool::File(readers)) => {
                let mut rows = Vec::new();
                readers.read(&self, |row| rows.push(row))?;
                Ok(rows)
            }
            #[cfg(feature = "sqlite")]
            Target::Connection(Connection::File(file)) => {
                let mut rows = Vec::new();
                file.read(&self, |row| rows.push(row))?;
                Ok(rows)
            }
            #[cfg(feature = "postgres")]
            Target::Pool(Pool::Server(pool)) => Ok(super::server::fetch_all(self, pool).await?),
            #[cfg(feature = "postgres")]
            Target::Connection(Connection::Server(server)) => Ok(server.fetch_all(self).await?),
        }
    }

    /// What `read` makes of the first row, if there is any.
    pub(in super::super) async fn read_one<T>(
        self,
        on: impl Into<Target<'_>>,
        read: impl Fn(&Row) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.fetch_optional(on).await?.as_ref().map(read).transpose()
    }

    /// What `read` makes of every row; they are few.
    pub(in super::super) async fn read_all<T>(
        self,
        on: impl Into<Target<'_>>,
        read: impl Fn(&Row) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        self.fetch_all(on).await?.iter().map(read).collect()
    }

    /// What `read` makes of every row. There may be thousands, so that nobody else waits for them
    /// on this thread.
    pub(in super::super) async fn fetch_many<T: Send + 'static>(
        self,
        pool: &Pool,
        read: fn(&Row) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        match pool {
            #[cfg(feature = "sqlite")]
            Pool::File(readers) => {
                let (readers, query) = (readers.clone(), self.into_owned());
                let work = tokio::task::spawn_blocking(move || {
                    let mut found = Vec::new();
                    let mut failed = None;
                    readers.read(&query, |row| match read(&row) {
                        Ok(value) => found.push(value),
                        Err(fault) => failed = failed.take().or(Some(fault)),
                    })?;
                    failed.map_or(Ok(found), Err)
                });
                work.await?
            }
            #[cfg(feature = "postgres")]
            Pool::Server(pool) => super::server::fetch_many(self, pool, read).await,
        }
    }

    #[cfg(feature = "sqlite")]
    fn into_owned(self) -> Query<'static> {
        let values = self.values.into_iter().map(Value::into_owned).collect();
        Query { sql: self.sql, values }
    }
}
