//! Programs that switch machines: run with a deadline, a bounded output and no secret in sight.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::PowerError;

/// The most that is kept of what a program prints, in bytes.
const LONGEST_OUTPUT: u64 = 64 * 1024;

/// What a program printed and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finished {
    /// Whether it ended with 0.
    pub(super) is_success: bool,
    /// Standard output.
    pub(super) stdout: String,
    /// Standard error.
    pub(super) stderr: String,
}

impl Finished {
    /// The last line that says something, for an error's text.
    pub(super) fn last_words(&self) -> String {
        let last = |text: &'_ str| -> Option<String> {
            let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
            Some(line.chars().take(200).collect())
        };
        last(&self.stderr).or_else(|| last(&self.stdout)).unwrap_or_else(|| "nothing".to_owned())
    }
}

/// A program with its words and the variables that carry its secrets.
#[derive(Debug)]
pub(super) struct Program<'a> {
    /// Its name, found by the search path.
    pub(super) name: &'static str,
    /// The Debian package that has it.
    pub(super) package: &'static str,
    /// Its words; they can be seen by every user of this host.
    pub(super) words: Vec<&'a str>,
    /// Variables; only root and the program's user can see them.
    pub(super) variables: Vec<(&'static str, &'a str)>,
    /// How long it may take.
    pub(super) deadline: Duration,
}

impl Program<'_> {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// [`PowerError::Tool`] when it is not installed or cannot be started,
    /// [`PowerError::Connection`] when it does not end in time; it is killed then.
    pub(super) async fn run(&self) -> Result<Finished, PowerError> {
        let tool = |source| PowerError::Tool { tool: self.name, package: self.package, source };
        let mut command = Command::new(self.name);
        command
            .args(&self.words)
            .env("LC_ALL", "C")
            .envs(self.variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(tool)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let all = async {
            let (stdout, stderr) = tokio::join!(text(stdout), text(stderr));
            let status = child.wait().await.map_err(tool)?;
            Ok(Finished { is_success: status.success(), stdout: stdout?, stderr: stderr? })
        };
        match tokio::time::timeout(self.deadline, all).await {
            Ok(finished) => finished,
            Err(_) => Err(PowerError::Connection {
                detail: format!("{} did not end within {} s", self.name, self.deadline.as_secs()),
            }),
        }
    }
}

/// Reads to the end, so that the program can end, and keeps the beginning.
async fn text(stream: Option<impl AsyncRead + Unpin>) -> Result<String, PowerError> {
    let Some(mut stream) = stream else { return Ok(String::new()) };
    let broken = |error: std::io::Error| PowerError::Connection { detail: error.to_string() };
    let mut kept = Vec::new();
    (&mut stream).take(LONGEST_OUTPUT).read_to_end(&mut kept).await.map_err(broken)?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map_err(broken)?;
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

/// Whether a program can be found.
pub(super) fn is_installed(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shell(script: &str) -> Program<'_> {
        Program {
            name: "sh",
            package: "dash",
            words: vec!["-c", script],
            variables: vec![("SECRET", "hunter2")],
            deadline: Duration::from_millis(500),
        }
    }

    #[tokio::test]
    async fn output_and_variables_go_through() {
        let finished = shell("echo out; echo $SECRET >&2; exit 3").run().await.unwrap();
        let wanted = Finished {
            is_success: false,
            stdout: "out\n".to_owned(),
            stderr: "hunter2\n".to_owned(),
        };
        assert_eq!(finished, wanted);
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed_and_one_that_is_missing_is_named() {
        let error = shell("exec sleep 60").run().await.unwrap_err();
        assert!(matches!(error, PowerError::Connection { .. }), "{error}");
        let missing = Program { name: "no-such-program", ..shell("") };
        let error = missing.run().await.unwrap_err();
        assert!(matches!(error, PowerError::Tool { .. }) && !error.is_retryable(), "{error}");
        assert!(error.to_string().contains("no-such-program"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_prints_for_ever_is_bounded() {
        let finished = shell("head -c 1000000 /dev/zero").run().await.unwrap();
        assert!(finished.is_success);
        assert_eq!(finished.stdout.len() as u64, LONGEST_OUTPUT);
    }
}
