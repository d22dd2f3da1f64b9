//! The program itself, as another process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program with a clean environment.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maas-server"));
    command
        .args(args)
        .env_remove("MAAS_SERVER_CONFIG")
        .env_remove("MAAS_SERVER_DATA_DIR")
        .env_remove("MAAS_SERVER_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs it to its end, with this on standard input.
pub(crate) fn run(args: &[&str], input: &str) -> Ended {
    let mut child = command(args).stdin(Stdio::piped()).spawn().unwrap();
    // A program that reads no input has closed it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let ended = child.wait_with_output().unwrap();
    Ended {
        code: ended.status.code(),
        out: String::from_utf8(ended.stdout).unwrap(),
        err: String::from_utf8(ended.stderr).unwrap(),
    }
}

/// A process that runs beside the test and is killed with it.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
    /// Every line of standard output so far.
    pub(crate) seen: Vec<String>,
}

impl Process {
    pub(crate) fn spawn(args: &[&str]) -> Self {
        let mut child = command(args).spawn().unwrap();
        let lines = pump(child.stdout.take().unwrap());
        let errors = pump(child.stderr.take().unwrap());
        Self { child, lines, errors, seen: Vec::new() }
    }

    /// The first line of standard output, from here on, that `wanted` takes something from.
    #[track_caller]
    pub(crate) fn wait_for<T>(
        &mut self,
        patience: Duration,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> T {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if let Some(found) = wanted(&line) {
                        return found;
                    }
                }
                Err(error) => panic!(
                    "{error} after {patience:?}\nout: {}\nerr: {}",
                    self.seen.join("\n"),
                    self.errors()
                ),
            }
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end and takes all its output in.
    #[track_caller]
    pub(crate) fn wait(&mut self, patience: Duration) -> ExitStatus {
        let until = Instant::now() + patience;
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            if Instant::now() > until {
                self.kill();
                self.take_rest();
                panic!(
                    "it still runs after {patience:?}\nout: {}\nerr: {}",
                    self.seen.join("\n"),
                    self.errors()
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        self.take_rest();
        status
    }

    fn take_rest(&mut self) {
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(5)) {
            self.seen.push(line);
        }
    }

    /// What it wrote to standard error so far.
    pub(crate) fn errors(&self) -> String {
        let mut all = Vec::new();
        while let Ok(line) = self.errors.recv_timeout(Duration::from_millis(100)) {
            all.push(line);
        }
        all.join("\n")
    }

    /// SIGKILL: it gets no chance to do anything.
    pub(crate) fn kill(&mut self) {
        // It may have ended a moment ago.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// SIGTERM: it is asked to end.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines in a thread, so that the process never waits for its reader.
fn pump(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Runs a demo to its end and says how long it took.
pub(crate) fn whole_demo(dir: &Path) -> Duration {
    let started = Instant::now();
    let mut demo = Process::spawn(&["demo", "--json", "--data-dir", dir.to_str().unwrap()]);
    let status = demo.wait(Duration::from_secs(180));
    let last = last_object(&demo.seen);
    assert!(status.success(), "{last}\n{}", demo.errors());
    assert_eq!(last["result"], "deployed", "{last}");
    started.elapsed()
}

/// The last line of `--json` output.
pub(crate) fn last_object(lines: &[String]) -> Value {
    let last = lines.last().map_or("null", String::as_str);
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
}

/// Ports that nobody listens on. Below those that the system gives away by itself, so that
/// nobody takes one while its owner is restarted.
pub(crate) fn free_ports<const N: usize>(random: &mut super::random::Random) -> [SocketAddr; N] {
    let mut held: Vec<TcpListener> = Vec::new();
    while held.len() < N {
        let port = u16::try_from(12_000 + random.below(7_000)).unwrap();
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push(listener);
        }
    }
    std::array::from_fn(|n| held[n].local_addr().unwrap())
}
