//! The one writer of a SQLite file: takes queued work and commits many pieces at once.
//!
//! Every commit waits for the disk. While one is under way, more work arrives; all of it shares
//! the next commit. Each caller is answered only after the commit that carries its work.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use sqlx::{AnyConnection, Connection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::address::Address;
use super::{Fault, Worked};
use crate::store::error::Cause;

/// Work that waits; more callers wait for a place.
const QUEUE: usize = 1024;

/// The largest number of pieces in one transaction.
pub(super) const BATCH: usize = 512;

/// A future of the outcome of work on a connection.
pub(super) type Working<'c, T, R> = Pin<Box<dyn Future<Output = Worked<T, R>> + Send + 'c>>;

/// The queue's end that callers hold, and the task behind it.
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Why work was not answered by its own outcome.
pub(super) enum Unwritten {
    /// The writer has been closed.
    Closed,
    /// The database failed.
    Failed(Cause),
}

impl Writer {
    /// Starts the writer on its connection; it ends when the `Writer` is closed or dropped.
    pub(super) fn start(address: Address, connection: AnyConnection, batch: usize) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let task = tokio::spawn(serve(address, connection, receiver, batch));
        Self { queue: Mutex::new(Some(sender)), task: Mutex::new(Some(task)) }
    }

    /// Queues work and waits until it is committed, or refused and undone.
    pub(super) async fn write<T, R, F>(&self, work: F) -> Result<Result<T, R>, Unwritten>
    where
        T: Send + 'static,
        R: Send + 'static,
        F: for<'c> FnOnce(&'c mut AnyConnection) -> Working<'c, T, R> + Send + 'static,
    {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = queue.ok_or(Unwritten::Closed)?;
        let (reply, answer) = oneshot::channel();
        let piece = Piece { work: Some(work), outcome: None, reply };
        queue.send(Box::new(piece)).await.map_err(|_| Unwritten::Closed)?;
        drop(queue);
        answer.await.map_err(|_| Unwritten::Closed)?.map_err(Unwritten::Failed)
    }

    /// Carries out what is queued, closes the connection and waits for all that.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // It fails only when the runtime is being torn down.
            let _ = task.await;
        }
    }
}

/// What became of one piece of work inside the transaction.
enum Verdict {
    /// It is done.
    Keep,
    /// It was refused or failed.
    Undo,
    /// The caller has gone: it was not begun.
    Nothing,
}

/// A piece of work whatever its type.
trait Job: Send {
    /// Does the work.
    fn run<'c>(
        &'c mut self,
        connection: &'c mut AnyConnection,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'c>>;

    /// Answers the caller, once the fate of the transaction is known.
    fn answer(self: Box<Self>, committed: Result<(), &Cause>);
}

struct Piece<T, R, F> {
    work: Option<F>,
    outcome: Option<Worked<T, R>>,
    reply: oneshot::Sender<Result<Result<T, R>, Cause>>,
}

impl<T, R, F> Job for Piece<T, R, F>
where
    T: Send + 'static,
    R: Send + 'static,
    F: for<'c> FnOnce(&'c mut AnyConnection) -> Working<'c, T, R> + Send + 'static,
{
    fn run<'c>(
        &'c mut self,
        connection: &'c mut AnyConnection,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'c>> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return Verdict::Nothing };
            if self.reply.is_closed() {
                return Verdict::Nothing;
            }
            let outcome = work(connection).await;
            let verdict = if matches!(outcome, Ok(Ok(_))) { Verdict::Keep } else { Verdict::Undo };
            self.outcome = Some(outcome);
            verdict
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), &Cause>) {
        let Self { outcome, reply, .. } = *self;
        let answer = match (outcome, committed) {
            (Some(Err(fault)), _) => Err(Cause::of(&*fault)),
            (Some(Ok(Err(refused))), _) => Ok(Err(refused)),
            (_, Err(cause)) => Err(cause.clone()),
            (Some(Ok(Ok(value))), Ok(())) => Ok(Ok(value)),
            (None, Ok(())) => return,
        };
        // The caller may have gone.
        let _ = reply.send(answer);
    }
}

async fn serve(
    address: Address,
    connection: AnyConnection,
    mut queue: mpsc::Receiver<Box<dyn Job>>,
    limit: usize,
) {
    let mut connection = Some(connection);
    let mut batch = Vec::with_capacity(limit);
    while queue.recv_many(&mut batch, limit).await > 0 {
        let committed = match &mut connection {
            Some(open) => commit(open, &mut batch).await,
            None => match address.connect().await {
                Ok(open) => commit(connection.insert(open), &mut batch).await,
                Err(fault) => Err(fault),
            },
        };
        let failed = committed.err().map(|fault| Cause::of(&*fault));
        if let Some(cause) = &failed {
            tracing::warn!(database = %address.label(), %cause, "the database refused a commit");
            // Nobody knows what state the connection is in: the next batch takes a new one.
            connection = None;
        }
        for job in batch.drain(..) {
            job.answer(failed.as_ref().map_or(Ok(()), Err));
        }
    }
    if let Some(open) = connection
        && let Err(error) = open.close().await
    {
        tracing::warn!(database = %address.label(), %error, "the database did not close cleanly");
    }
}

/// Carries out a batch in one transaction; a piece that fails is undone alone.
async fn commit(connection: &mut AnyConnection, batch: &mut [Box<dyn Job>]) -> Result<(), Fault> {
    let result = attempt(connection, batch).await;
    if result.is_err() {
        // The connection is given up anyway.
        let _ = execute(connection, "ROLLBACK").await;
    }
    result
}

async fn attempt(connection: &mut AnyConnection, batch: &mut [Box<dyn Job>]) -> Result<(), Fault> {
    execute(connection, "BEGIN IMMEDIATE").await?;
    let mut kept = 0;
    for job in batch {
        execute(connection, "SAVEPOINT piece").await?;
        if matches!(job.run(connection).await, Verdict::Keep) {
            kept += 1;
        } else {
            execute(connection, "ROLLBACK TO piece").await?;
        }
        execute(connection, "RELEASE piece").await?;
    }
    execute(connection, if kept > 0 { "COMMIT" } else { "ROLLBACK" }).await
}

async fn execute(connection: &mut AnyConnection, statement: &'static str) -> Result<(), Fault> {
    sqlx::query(statement).execute(connection).await?;
    Ok(())
}
