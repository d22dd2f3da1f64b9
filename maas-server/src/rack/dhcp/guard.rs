//! A child process that never outlives this one.

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// Runs a program beside a reader of standard input. When this process ends, however it ends, the
/// system closes its end of the pipe; the reader then ends the program. Descriptor 3 takes the
/// pipe to the reader, because a shell gives its background jobs an empty standard input.
const SCRIPT: &str = r#"exec 3<&0
"$@" 3<&- </dev/null &
child=$!
{ read -r _ <&3; kill "$child"; } 2>/dev/null &
reader=$!
exec 3<&-
wait "$child"
status=$?
kill "$reader" 2>/dev/null
exit "$status"
"#;

/// How long a program may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running program.
#[derive(Debug)]
pub(super) struct Guarded {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Guarded {
    /// Starts a program; every line that it writes to standard error goes to `log`.
    pub(super) fn start(
        command: &[&OsStr],
        log: impl Fn(&str) + Send + 'static,
    ) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "guard"])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal goes to the whole group; this child is ended in order.
            .process_group(0)
            .spawn()?;
        let pipe = shell.stdin.take();
        if let Some(errors) = shell.stderr.take() {
            tokio::spawn(async move {
                let mut lines = BufReader::new(errors).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    log(&line);
                }
            });
        }
        Ok(Self { shell, pipe })
    }

    /// Waits until the program ends by itself.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        // Not `Child::wait`, which closes the pipe that keeps the program alive.
        loop {
            if let Some(status) = self.shell.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Ends the program.
    pub(super) async fn stop(mut self) {
        drop(self.pipe.take());
        if tokio::time::timeout(PATIENCE, self.shell.wait()).await.is_err() {
            tracing::warn!("a child process does not end");
            if let Err(error) = self.shell.kill().await {
                tracing::warn!(%error, "a child process cannot be killed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc;

    use super::*;

    fn alive(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }

    /// A program that says its process id and sleeps.
    fn sleeper() -> (Guarded, String) {
        let (sender, receiver) = mpsc::channel();
        let script = "echo $$ >&2; exec sleep 1000";
        let command = ["/bin/sh", "-c", script].map(OsStr::new);
        let guarded = Guarded::start(&command, move |line| {
            sender.send(line.to_owned()).ok();
        });
        (guarded.unwrap(), receiver.recv_timeout(Duration::from_secs(10)).unwrap())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_program_ends_when_it_is_told_to() {
        let (guarded, pid) = sleeper();
        assert!(alive(&pid));
        guarded.stop().await;
        assert!(!alive(&pid));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_program_ends_when_the_pipe_to_it_is_closed_by_whatever() {
        let (mut guarded, pid) = sleeper();
        // What the system does for a process that was killed.
        drop(guarded.pipe.take());
        tokio::time::timeout(Duration::from_secs(10), guarded.ended()).await.unwrap().unwrap();
        assert!(!alive(&pid));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_program_that_ends_by_itself_is_noticed_with_its_status() {
        let command = ["/bin/sh", "-c", "exit 7"].map(OsStr::new);
        let mut guarded = Guarded::start(&command, |_| {}).unwrap();
        assert_eq!(guarded.ended().await.unwrap().code(), Some(7));
    }
}
