//! An open upload: its file, and the thread that hashes it and looks into it as it grows.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use maas_core::image_pack::{Declared, Inspection, Limits, inspect};
use sha2::Digest;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

/// What the whole of an upload turned out to be.
#[derive(Debug)]
pub(super) struct Whole {
    /// 64 lower-case hex digits.
    pub(super) sha256: String,
    pub(super) inspection: Inspection,
}

/// An open upload.
#[derive(Debug)]
pub(super) struct Session {
    file: tokio::fs::File,
    /// Bytes that were acknowledged; what lies beyond them in the file is cut off.
    pub(super) received: u64,
    reach: Guard,
    reader: JoinHandle<io::Result<Whole>>,
    pub(super) used: Instant,
}

/// Tells the reader to stop when the session is dropped before its end.
#[derive(Debug)]
struct Guard {
    reach: Arc<Reach>,
    armed: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.armed {
            self.reach.change(|state| state.abandoned = true);
        }
    }
}

/// How far the reader may go.
#[derive(Debug, Default)]
struct Reach {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    available: u64,
    ended: bool,
    abandoned: bool,
}

impl Session {
    /// Opens the file at `path`, made when needed, of which `acknowledged` bytes count.
    pub(super) async fn open(
        path: &Path,
        acknowledged: u64,
        declared: Declared,
    ) -> io::Result<Self> {
        let file = tokio::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .await?;
        // A file system that lost its newest writes has fewer bytes than the database says.
        let received = file.metadata().await?.len().min(acknowledged);
        file.set_len(received).await?;
        let reach = Arc::new(Reach::default());
        let growing = Growing { file: File::open(path)?, at: 0, reach: Arc::clone(&reach) };
        let reader = std::thread::Builder::new()
            .name("image-upload".to_owned())
            .spawn(move || read_whole(growing, &declared))?;
        reach.change(|state| state.available = received);
        let reach = Guard { reach, armed: true };
        Ok(Self { file, received, reach, reader, used: Instant::now() })
    }

    /// Makes ready for a piece: what an earlier one left beyond the acknowledged bytes goes.
    pub(super) async fn begin(&mut self) -> io::Result<()> {
        self.used = Instant::now();
        self.file.set_len(self.received).await?;
        self.file.seek(io::SeekFrom::Start(self.received)).await?;
        Ok(())
    }

    /// Appends bytes of a piece that is not acknowledged yet.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await
    }

    /// Makes a piece of this many bytes durable; afterwards it may be acknowledged.
    pub(super) async fn keep(&mut self, bytes: u64) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_data().await?;
        self.received += bytes;
        self.used = Instant::now();
        let received = self.received;
        self.reach.reach.change(|state| state.available = received);
        Ok(())
    }

    /// Waits until everything was hashed and looked into.
    pub(super) async fn finish(mut self) -> io::Result<Whole> {
        self.reach.reach.change(|state| state.ended = true);
        self.reach.armed = false;
        let reader = self.reader;
        tokio::task::spawn_blocking(move || {
            reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

impl Reach {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

/// A file that is read as far as it was acknowledged, and waits for more.
#[derive(Debug)]
struct Growing {
    file: File,
    at: u64,
    reach: Arc<Reach>,
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.reach.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.abandoned {
                return Err(io::Error::other("the upload was abandoned"));
            }
            if self.at < state.available {
                break;
            }
            if state.ended {
                return Ok(0);
            }
            state = self.reach.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let there = usize::try_from(state.available - self.at).unwrap_or(usize::MAX);
        drop(state);
        let most = buffer.len().min(there);
        let read = self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        Ok(read)
    }
}

/// Hashes what is read through it.
struct Hashing<R> {
    reader: R,
    hasher: sha2::Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// Hashes and looks into an image in one pass.
pub(super) fn read_whole(reader: impl Read, declared: &Declared) -> io::Result<Whole> {
    let mut hashing = Hashing { reader, hasher: sha2::Sha256::new() };
    let inspection = inspect(&mut hashing, declared, &Limits::default())?;
    io::copy(&mut hashing, &mut io::sink())?;
    let digest = hashing.hasher.finalize();
    let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Whole { sha256, inspection })
}
