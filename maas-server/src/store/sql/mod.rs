//! The store on SQLite and PostgreSQL: one SQL text for both.

mod address;
mod db;
mod documents;
mod history;
mod machines;
mod outbox;
mod port;
mod recent;
mod schema;
#[cfg(test)]
mod tests;
mod text;
mod users;
#[cfg(feature = "sqlite")]
mod writer;

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use maas_core::secret::Secret;

use self::address::Address;
use self::db::{Connection, DbError, Pool};
use self::recent::Recent;
use self::schema::Standing;
#[cfg(feature = "sqlite")]
use self::writer::{Unwritten, Writer};
use super::error::{Cause, StoreError};

/// Whatever went wrong below; becomes a [`StoreError`] that names the database.
type Fault = Box<dyn Error + Send + Sync>;

/// The outcome of work: a fault of the database outside, a refusal inside.
type Worked<T, R> = Result<Result<T, R>, Fault>;

/// A future of the outcome of work on a connection.
type Working<'c, T, R> = Pin<Box<dyn Future<Output = Worked<T, R>> + Send + 'c>>;

/// The largest number of pieces of work in one transaction on a file.
const BATCH: usize = 512;

/// The store in a SQLite file or a PostgreSQL database.
///
/// Several processes may open the same one. A SQLite file has one writer per process, which
/// commits the work of many callers at once; it ends with [`close`](super::Store::close) or when
/// the store is dropped.
pub struct SqlStore {
    /// The database's name for messages.
    database: String,
    pool: Pool,
    recent: Recent,
    writes: Writes,
}

/// Who writes.
enum Writes {
    /// The one writer of a file.
    #[cfg(feature = "sqlite")]
    Queue(Writer),
    /// Every connection to a server.
    #[cfg(feature = "postgres")]
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
        let failed = |fault: Fault| StoreError::Open {
            database: database.clone(),
            source: Cause::of(&*fault),
        };
        let newer = |standing: Standing| match standing {
            Standing::Newer { found } => {
                Err(StoreError::Newer { database: database.clone(), found, known: schema::VERSION })
            }
            Standing::Current => Ok(()),
        };
        let dialect = address.dialect();
        let (pool, writes) = match address {
            #[cfg(feature = "sqlite")]
            Address::File(file) => {
                let (connection, standing) = writer::open(&file, dialect).await.map_err(failed)?;
                newer(standing)?;
                let pool = Pool::File(db::file::Readers::of(&file));
                let writer =
                    Writer::start(file, connection, batch).map_err(|e| failed(e.into()))?;
                (pool, Writes::Queue(writer))
            }
            #[cfg(feature = "postgres")]
            Address::Server(url) => {
                let pool = db::server::connect(url.expose()).await.map_err(failed)?;
                let pool = Pool::Server(pool);
                let migrated = Self::transact_on(&pool, move |connection| {
                    Box::pin(async move {
                        let standing = schema::migrate(connection, dialect).await?;
                        Ok(if standing == Standing::Current { Ok(()) } else { Err(standing) })
                    })
                });
                if let Err(standing) = migrated.await.map_err(failed)? {
                    newer(standing)?;
                }
                (pool, Writes::Pool)
            }
            #[cfg(not(feature = "sqlite"))]
            Address::File(_) => {
                let _ = (batch, dialect);
                return Err(StoreError::Address { database, expected: "postgres://…" });
            }
            #[cfg(not(feature = "postgres"))]
            Address::Server(_) => return Err(StoreError::Address { database, expected: "a file" }),
        };
        Ok(Self { database, pool, recent: Recent::default(), writes })
    }

    /// Does work in a transaction of its own or together with others' work; the answer comes
    /// after the commit. Refused work is undone.
    async fn write<T, R, F>(&self, work: F) -> Result<Result<T, R>, StoreError>
    where
        T: Send + 'static,
        R: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> Working<'c, T, R> + Send + 'static,
    {
        match &self.writes {
            #[cfg(feature = "sqlite")]
            Writes::Queue(writer) => {
                writer.write(work).await.map_err(|unwritten| match unwritten {
                    Unwritten::Closed => self.closed(),
                    Unwritten::Failed(source) => {
                        StoreError::Backend { database: self.database.clone(), source }
                    }
                })
            }
            #[cfg(feature = "postgres")]
            Writes::Pool => {
                Self::transact_on(&self.pool, work).await.map_err(|fault| self.failed(&fault))
            }
        }
    }

    /// As [`write`](Self::write), for work that is never refused.
    async fn perform<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> Working<'c, T, Infallible> + Send + 'static,
    {
        let Ok(value) = self.write(work).await?;
        Ok(value)
    }

    #[cfg(feature = "postgres")]
    async fn transact_on<T, R, F>(pool: &Pool, work: F) -> Worked<T, R>
    where
        F: for<'c> FnOnce(&'c mut Connection) -> Working<'c, T, R>,
    {
        #[cfg(feature = "sqlite")]
        let Pool::Server(pool) = pool else {
            return Err("a file has one writer".into());
        };
        #[cfg(not(feature = "sqlite"))]
        let Pool::Server(pool) = pool;
        let transaction = db::server::Transaction::begin(pool).await.map_err(DbError::from)?;
        let mut connection = Connection::Server(transaction);
        let outcome = work(&mut connection).await;
        #[cfg(feature = "sqlite")]
        let Connection::Server(transaction) = connection else { return outcome };
        #[cfg(not(feature = "sqlite"))]
        let Connection::Server(transaction) = connection;
        if matches!(outcome, Ok(Ok(_))) {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        outcome
    }

    fn failed(&self, fault: &Fault) -> StoreError {
        if fault.downcast_ref().is_some_and(DbError::is_closed) {
            return self.closed();
        }
        StoreError::Backend { database: self.database.clone(), source: Cause::of(&**fault) }
    }

    fn closed(&self) -> StoreError {
        StoreError::Closed { database: self.database.clone() }
    }
}
