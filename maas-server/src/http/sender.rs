//! Threads that do nothing but send files, so that no other answer waits behind one.
//!
//! An image keeps a processor busy for as long as its client reads fast, and dozens of them at a
//! time are what a rack is for. So a file that does not go out at once is lent, with its
//! connection's socket, to one of these threads, which run at a lower priority than those that
//! answer requests. Each has a runtime of its own for one thread: no transfer wanders between
//! processors, and all of a thread have their turn one after the other.

use std::future::Future;
use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::fs::Advice;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use super::file::FilePart;
use super::splice::{is_in_memory, send_some};

/// The most threads: a few processors fill any network card.
const MOST_THREADS: usize = 8;

/// How much nicer than others they are. Enough for the scheduler to let any answer go first, and
/// they still have their share when something else keeps the machine busy.
const NICER: i32 = 15;

/// How much of a transfer is sent before another one, or another thread, has its turn. Long turns
/// are cheap: most of the time a client's buffer is full before. Threads that give way after a
/// quarter of it take a tenth more CPU seconds, as clients then wake up for less.
const TURN: u64 = 4 << 20;

/// The threads of one listener; each starts when it is first needed.
#[derive(Debug)]
pub(super) struct Senders {
    threads: Vec<Thread>,
    _stop: DropGuard,
}

/// One thread.
#[derive(Debug)]
struct Thread {
    runtime: OnceLock<Handle>,
    transfers: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Default for Senders {
    fn default() -> Self {
        let stop = CancellationToken::new();
        let count = std::thread::available_parallelism().map_or(1, NonZero::get);
        let thread =
            || Thread { runtime: OnceLock::new(), transfers: Arc::default(), stop: stop.clone() };
        let threads = std::iter::repeat_with(thread).take(count.min(MOST_THREADS)).collect();
        Self { threads, _stop: stop.drop_guard() }
    }
}

/// A transfer under way with its socket, which comes back when all is sent. Dropping it ends the
/// transfer and the connection.
pub(super) type Transfer = AbortOnDropHandle<io::Result<std::net::TcpStream>>;

impl Senders {
    /// Sends a part of a file over a socket, with an error when the client takes nothing of it for
    /// as long as `patience`.
    pub(super) fn send(
        &self,
        socket: std::net::TcpStream,
        part: FilePart,
        patience: Duration,
    ) -> Transfer {
        let idlest = self.threads.iter().min_by_key(|it| it.transfers.load(Ordering::Relaxed));
        let counted = idlest.map(|thread| Counted::among(&thread.transfers));
        let runtime = idlest.and_then(Thread::runtime).unwrap_or_else(Handle::current);
        AbortOnDropHandle::new(runtime.spawn(async move {
            let _counted = counted;
            let stream = TcpStream::from_std(socket)?;
            send(&stream, part, patience).await?;
            stream.into_std()
        }))
    }
}

impl Thread {
    /// Its runtime; `None` when the system gives no thread.
    fn runtime(&self) -> Option<Handle> {
        if let Some(runtime) = self.runtime.get() {
            return Some(runtime.clone());
        }
        match self.start() {
            // Another one that was started at the same time runs empty.
            Ok(runtime) => Some(self.runtime.get_or_init(|| runtime).clone()),
            Err(error) => {
                tracing::warn!(%error, "no thread to send files: they share one with all answers");
                None
            }
        }
    }

    fn start(&self) -> io::Result<Handle> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (handle, stop) = (runtime.handle().clone(), self.stop.clone());
        let thread = std::thread::Builder::new().name("send-files".to_owned());
        thread.spawn(move || {
            // On Linux this is about the calling thread.
            if let Err(error) = rustix::process::nice(NICER) {
                tracing::debug!(%error, "files are sent with the priority of everything else");
            }
            runtime.block_on(stop.cancelled());
        })?;
        Ok(handle)
    }
}

/// One of the transfers of a thread, counted as long as it lasts.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn among(transfers: &Arc<AtomicUsize>) -> Self {
        transfers.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(transfers))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn send(stream: &TcpStream, mut part: FilePart, patience: Duration) -> io::Result<()> {
    while part.length() > 0 {
        let readable = part.readable().await?;
        within(patience, stream.writable()).await?;
        // What is driven out of memory before it is sent makes the thread wait for the disk, no
        // more.
        let mut turn = part.clone().split_to(readable.min(TURN));
        bring_in(&turn).await?;
        let whole = turn.length();
        send_turn(stream, &mut turn)?;
        drop(part.split_to(whole - turn.length()));
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Sends what the socket takes of a part, and cuts that off.
fn send_turn(stream: &TcpStream, part: &mut FilePart) -> io::Result<()> {
    while part.length() > 0 {
        match stream.try_io(Interest::WRITABLE, || send_some(stream, part, part.length())) {
            // The file has become shorter: the client sees fewer bytes than announced.
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(sent) => drop(part.split_to(sent)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(()),
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
        std::thread::yield_now();
    }
    Ok(())
}

async fn within<T>(patience: Duration, what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(patience, what).await {
        Ok(done) => done,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Reads a part into memory when it is not there yet. The other transfers of the thread go on
/// meanwhile.
async fn bring_in(part: &FilePart) -> io::Result<()> {
    if is_in_memory(part) {
        return Ok(());
    }
    let part = part.clone();
    let read = tokio::task::spawn_blocking(move || {
        let length = std::num::NonZeroU64::new(part.length());
        match rustix::fs::fadvise(part.file(), part.start(), length, Advice::WillNeed) {
            Ok(()) | Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
        // What was begun is waited for.
        let mut byte = [0];
        let last = part.start() + part.length().saturating_sub(1);
        for at in [part.start(), last] {
            rustix::io::pread(part.file(), &mut byte, at)?;
        }
        Ok(())
    });
    read.await.map_err(io::Error::other)?
}
