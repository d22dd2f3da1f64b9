//! The failing command in curtin's installation log.

use serde::{Deserialize, Serialize};

/// The most that is looked at, from the end of the log.
const LOOKED_AT: usize = 1 << 20;
/// The last lines that are kept, and how long each may be.
const LINES: usize = 12;
const LINE: usize = 300;

/// A command that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCommand {
    /// The command as the log has it, e.g. `['wget', '--no-proxy', …]`.
    pub command: String,
    /// Its exit code.
    pub exit_code: Option<i32>,
}

/// The command that failed, from the blocks that curtin writes (`Command:`, `Exit code:`): the
/// last that is not curtin's own call of a sub-command, since that only passes a failure on.
#[must_use]
pub fn failed_command(log: &str) -> Option<FailedCommand> {
    let mut found: Option<FailedCommand> = None;
    let mut wrapper: Option<FailedCommand> = None;
    let mut lines = tail(log).lines().peekable();
    while let Some(line) = lines.next() {
        let Some(command) = line.trim_start().strip_prefix("Command:") else { continue };
        let exit_code = lines
            .peek()
            .and_then(|next| next.trim_start().strip_prefix("Exit code:"))
            .and_then(|code| code.trim().parse().ok());
        if exit_code == Some(0) {
            continue;
        }
        let failed = FailedCommand { command: cut(command.trim()), exit_code };
        if command.trim_start().starts_with("['curtin'") {
            wrapper = Some(failed);
        } else {
            found = Some(failed);
        }
    }
    found.or(wrapper)
}

/// The last lines of a log that say something.
pub(super) fn last_lines(log: &str) -> Vec<String> {
    let lines: Vec<&str> = tail(log).lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(LINES);
    lines.iter().skip(from).map(|line| cut(line)).collect()
}

/// The end of a log, cut between characters.
pub(super) fn tail(log: &str) -> &str {
    let mut from = log.len().saturating_sub(LOOKED_AT);
    while !log.is_char_boundary(from) {
        from += 1;
    }
    log.get(from..).unwrap_or_default()
}

fn cut(line: &str) -> String {
    line.chars().filter(|c| !c.is_control() || *c == '\t').take(LINE).collect()
}
