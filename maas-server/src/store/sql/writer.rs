//! The one writer of a SQLite file: takes queued work and commits many pieces at once.
//!
//! Every commit waits for the disk. While one is under way, more work arrives; all of it shares
//! the next commit. Each caller is answered only after the commit that carries its work.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};

use super::address::Dialect;
use super::db::{Connection, DbError, file, query};
use super::schema::{self, Standing};
use super::{Fault, Worked, Working};
use crate::store::error::Cause;

/// Work that waits; more callers wait for a place.
const QUEUE: usize = 1024;

/// The longest that work waits for other work when there was more of it a moment ago.
const GATHER: Duration = Duration::from_millis(1);

/// The queue's end that callers hold, and the end of the thread behind it.
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

/// Opens a file and brings its tables up to date, on a thread that may wait for other processes.
pub(super) async fn open(file: &Path, dialect: Dialect) -> Result<(Connection, Standing), Fault> {
    let file = file.to_owned();
    let work = tokio::task::spawn_blocking(move || {
        let mut connection = Connection::File(file::Connection::open(&file)?);
        let standing = at_once(async {
            execute(&mut connection, "BEGIN IMMEDIATE").await?;
            let standing = schema::migrate(&mut connection, dialect).await;
            let keep = matches!(standing, Ok(Standing::Current));
            execute(&mut connection, if keep { "COMMIT" } else { "ROLLBACK" }).await?;
            standing
        })?;
        Ok((connection, standing))
    });
    work.await?
}

/// The outcome of work on a file, which never waits for anything but the disk.
fn at_once<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    work.now_or_never().ok_or("work on a file waits for nothing else")?
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
    pub(super) fn start(
        file: PathBuf,
        connection: Connection,
        batch: usize,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (tell, ended) = oneshot::channel();
        std::thread::Builder::new().name("maas-store".to_owned()).spawn(move || {
            serve(&file, connection, receiver, batch);
            // Nobody may wait for it.
            let _ = tell.send(());
        })?;
        Ok(Self { queue: Mutex::new(Some(sender)), ended: Mutex::new(Some(ended)) })
    }

    /// Queues work and waits until it is committed, or refused and undone.
    pub(super) async fn write<T, R, F>(&self, work: F) -> Result<Result<T, R>, Unwritten>
    where
        T: Send + 'static,
        R: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> Working<'c, T, R> + Send + 'static,
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
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            // It fails only when the thread is gone, which is what is waited for.
            let _ = ended.await;
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
        connection: &'c mut Connection,
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
    F: for<'c> FnOnce(&'c mut Connection) -> Working<'c, T, R> + Send + 'static,
{
    fn run<'c>(
        &'c mut self,
        connection: &'c mut Connection,
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

fn serve(
    file: &Path,
    connection: Connection,
    mut queue: mpsc::Receiver<Box<dyn Job>>,
    limit: usize,
) {
    let mut connection = Some(connection);
    let mut batch = Vec::with_capacity(limit);
    let (mut last, mut took) = (1, Duration::ZERO);
    while queue.blocking_recv_many(&mut batch, limit) > 0 {
        // Those whose work shared the last commit have been answered just now: they will soon ask
        // again, and a commit for each costs far more than one for all. Half of a commit's time is
        // soon won back.
        if batch.len() < last {
            std::thread::sleep(GATHER.min(took / 2));
            while batch.len() < limit
                && let Ok(job) = queue.try_recv()
            {
                batch.push(job);
            }
        }
        last = batch.len();
        let began = Instant::now();
        let committed = match &mut connection {
            Some(open) => commit(open, &mut batch),
            None => match file::Connection::open(file) {
                Ok(open) => commit(connection.insert(Connection::File(open)), &mut batch),
                Err(fault) => Err(fault),
            },
        };
        took = began.elapsed();
        let failed = committed.err().map(|fault| Cause::of(&*fault));
        if let Some(cause) = &failed {
            tracing::warn!(database = %file.display(), %cause, "the database refused a commit");
            // Nobody knows what state the connection is in: the next batch takes a new one.
            connection = None;
        }
        for job in batch.drain(..) {
            job.answer(failed.as_ref().map_or(Ok(()), Err));
        }
    }
    if let Some(Connection::File(open)) = connection
        && let Err(error) = open.close()
    {
        tracing::warn!(database = %file.display(), %error, "the database did not close cleanly");
    }
}

/// Carries out a batch in one transaction; a piece that fails is undone alone.
fn commit(connection: &mut Connection, batch: &mut [Box<dyn Job>]) -> Result<(), Fault> {
    let result = at_once(attempt(connection, batch));
    if result.is_err() {
        // The connection is given up anyway.
        let _ = at_once(async { Ok(execute(connection, "ROLLBACK").await?) });
    }
    result
}

async fn attempt(connection: &mut Connection, batch: &mut [Box<dyn Job>]) -> Result<(), Fault> {
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
    execute(connection, if kept > 0 { "COMMIT" } else { "ROLLBACK" }).await?;
    Ok(())
}

async fn execute(connection: &mut Connection, statement: &'static str) -> Result<(), DbError> {
    query(statement).execute(connection).await?;
    Ok(())
}
