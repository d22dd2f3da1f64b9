//! The store on SQLite and PostgreSQL: one SQL text for both.

mod address;
mod documents;
mod history;
mod machines;
mod outbox;
mod port;
mod schema;
#[cfg(test)]
mod tests;
mod text;
mod users;
mod writer;

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::path::Path;

use sqlx::{AnyConnection, AnyPool, Connection};

use maas_core::secret::Secret;

use self::address::{Address, Dialect};
use self::schema::Standing;
use self::writer::{BATCH, Unwritten, Working, Writer};
use super::error::{Cause, StoreError};

/// Whatever went wrong below; becomes a [`StoreError`] that names the database.
type Fault = Box<dyn Error + Send + Sync>;

/// The outcome of work: a fault of the database outside, a refusal inside.
type Worked<T, R> = Result<Result<T, R>, Fault>;

/// The store in a SQLite file or a PostgreSQL database.
///
/// Several processes may open the same one. A SQLite file has one writer per process, which
/// commits the work of many callers at once; it ends with [`close`](super::Store::close) or when
/// the store is dropped.
///
/// The database drivers are installed in `sqlx` for the whole process; a program that installs
/// others there itself cannot use this store.
pub struct SqlStore {
    /// The database's name for messages.
    database: String,
    pool: AnyPool,
    writes: Writes,
}

/// Who writes.
enum Writes {
    /// The one writer of a file.
    Queue(Writer),
    /// Every connection of the pool.
    Pool,
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SqlStore").field(&self.database).finish()
    }
}

impl SqlStore {
    /// Opens `postgres://…`, or a SQLite file given as a path or as `sqlite:FILE`; creates what
    /// is missing and brings the tables up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError::Newer`] when a newer program wrote it, [`StoreError::Open`] otherwise.
    pub async fn open(address: &Secret<String>) -> Result<Self, StoreError> {
        Self::at(Address::parse(address), BATCH).await
    }

    /// Opens a SQLite file, creates it when it is missing (readable by its owner only), and
    /// brings the tables up to date.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn sqlite(file: &Path) -> Result<Self, StoreError> {
        Self::at(Address::File(file.to_owned()), BATCH).await
    }

    /// Opens a PostgreSQL database, which must exist, and brings the tables up to date.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn postgres(url: &Secret<String>) -> Result<Self, StoreError> {
        Self::at(Address::Server(url.clone()), BATCH).await
    }

    async fn at(address: Address, batch: usize) -> Result<Self, StoreError> {
        let database = address.label();
        match address.dialect() {
            Dialect::Sqlite if !cfg!(feature = "sqlite") => {
                return Err(StoreError::Address { database, expected: "postgres://…" });
            }
            Dialect::Postgres if !cfg!(feature = "postgres") => {
                return Err(StoreError::Address { database, expected: "a file" });
            }
            _ => {}
        }
        let failed = |fault: Fault| StoreError::Open {
            database: database.clone(),
            source: Cause::of(&*fault),
        };
        let mut connection = address.connect().await.map_err(failed)?;
        let standing = schema::migrate(&mut connection, address.dialect()).await.map_err(failed)?;
        if let Standing::Newer { found } = standing {
            return Err(StoreError::Newer { database, found, known: schema::VERSION });
        }
        let pool = address.pool().await.map_err(failed)?;
        let writes = match address.dialect() {
            Dialect::Sqlite => Writes::Queue(Writer::start(address, connection, batch)),
            Dialect::Postgres => {
                connection.close().await.map_err(|error| failed(error.into()))?;
                Writes::Pool
            }
        };
        Ok(Self { database, pool, writes })
    }

    /// Does work in a transaction of its own or together with others' work; the answer comes
    /// after the commit. Refused work is undone.
    async fn write<T, R, F>(&self, work: F) -> Result<Result<T, R>, StoreError>
    where
        T: Send + 'static,
        R: Send + 'static,
        F: for<'c> FnOnce(&'c mut AnyConnection) -> Working<'c, T, R> + Send + 'static,
    {
        match &self.writes {
            Writes::Queue(writer) => {
                writer.write(work).await.map_err(|unwritten| match unwritten {
                    Unwritten::Closed => self.closed(),
                    Unwritten::Failed(source) => {
                        StoreError::Backend { database: self.database.clone(), source }
                    }
                })
            }
            Writes::Pool => self.transact(work).await.map_err(|fault| self.failed(&fault)),
        }
    }

    /// As [`write`](Self::write), for work that is never refused.
    async fn perform<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut AnyConnection) -> Working<'c, T, Infallible> + Send + 'static,
    {
        let Ok(value) = self.write(work).await?;
        Ok(value)
    }

    async fn transact<T, R, F>(&self, work: F) -> Worked<T, R>
    where
        F: for<'c> FnOnce(&'c mut AnyConnection) -> Working<'c, T, R>,
    {
        let mut transaction = self.pool.begin().await?;
        let outcome = work(&mut transaction).await;
        if matches!(outcome, Ok(Ok(_))) {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        outcome
    }

    fn failed(&self, fault: &Fault) -> StoreError {
        match fault.downcast_ref() {
            Some(sqlx::Error::PoolClosed) => self.closed(),
            _ => {
                StoreError::Backend { database: self.database.clone(), source: Cause::of(&**fault) }
            }
        }
    }

    fn closed(&self) -> StoreError {
        StoreError::Closed { database: self.database.clone() }
    }
}
