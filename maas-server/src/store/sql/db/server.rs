//! PostgreSQL servers.

use std::str::FromStr;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool, Postgres};

use super::super::Fault;
use super::{Query, Row, Value};

/// Connections at a time, for readers and writers together.
const CONNECTIONS: u32 = 16;

/// How many rows are read before others get their turn on the thread.
const AT_ONCE: usize = 32;

/// Opens the connections to a server.
pub(in super::super) async fn connect(url: &str) -> Result<PgPool, Fault> {
    let options = PgConnectOptions::from_str(url)?;
    Ok(PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await?)
}

/// An open transaction.
pub(in super::super) struct Transaction(sqlx::Transaction<'static, Postgres>);

impl Transaction {
    pub(in super::super) async fn begin(pool: &PgPool) -> Result<Self, sqlx::Error> {
        pool.begin().await.map(Self)
    }

    pub(in super::super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.0.commit().await
    }

    pub(in super::super) async fn rollback(self) -> Result<(), sqlx::Error> {
        self.0.rollback().await
    }

    pub(super) async fn execute(&mut self, query: Query<'_>) -> Result<u64, sqlx::Error> {
        Ok(bound(query).execute(&mut *self.0).await?.rows_affected())
    }

    pub(super) async fn fetch_all(&mut self, query: Query<'_>) -> Result<Vec<Row>, sqlx::Error> {
        let rows = bound(query).fetch_all(&mut *self.0).await?;
        Ok(rows.into_iter().map(Row::Server).collect())
    }

    /// Carries out several statements without values.
    pub(in super::super) async fn execute_all(
        &mut self,
        statements: String,
    ) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *self.0).await?;
        Ok(())
    }
}

pub(super) async fn fetch_all(query: Query<'_>, pool: &PgPool) -> Result<Vec<Row>, sqlx::Error> {
    let rows = bound(query).fetch_all(pool).await?;
    Ok(rows.into_iter().map(Row::Server).collect())
}

pub(super) async fn fetch_many<T>(
    query: Query<'_>,
    pool: &PgPool,
    read: fn(&Row) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut rows = bound(query).fetch(pool);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        found.push(read(&Row::Server(row))?);
        if found.len() % AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(found)
}

fn bound(query: Query<'_>) -> sqlx::query::Query<'static, Postgres, PgArguments> {
    let mut bound = sqlx::query(AssertSqlSafe(query.sql.into_owned()));
    for value in query.values {
        bound = match value {
            Value::Integer(number) => bound.bind(number),
            Value::Text(text) => bound.bind(text.map(std::borrow::Cow::into_owned)),
            Value::Bytes(bytes) => bound.bind(bytes.into_owned()),
        };
    }
    bound
}

/// The server's sentence, which names the index.
pub(super) fn unique_violation(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    error.is_unique_violation().then(|| error.message().to_owned())
}
