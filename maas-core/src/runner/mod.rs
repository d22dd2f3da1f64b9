//! Our own runner for the ephemeral OS, and the user data that starts it.

#[cfg(test)]
mod tests;

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};

/// The runner: fetches the scripts, runs them and signals their results. Python 3.6 or later,
/// standard library only.
pub const RUNNER: &str = include_str!("maas_runner.py");

/// The program that prints the resources document; also served at
/// `/MAAS/machine-resources/<architecture>`.
pub const MACHINE_RESOURCES: &str = include_str!("machine_resources.py");

/// The content type of [`user_data`] as a mail message; it is served as an octet stream.
const BOUNDARY: &str = "===============maas-user-data==";

/// What the ephemeral OS is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Task {
    /// Enlist, or run the machine's commissioning, testing, release or deployment scripts,
    /// `wipe-disks` among them.
    RunScripts,
    /// Nothing: cloud-init's `power_state` switches the machine off.
    PowerOff,
}

/// The user data of the ephemeral OS: a MIME message with one shell script.
///
/// Equal tasks give equal bytes.
///
/// # Errors
/// When the archive of the programs could not be written, which does not happen in memory.
pub fn user_data(task: Task) -> std::io::Result<Vec<u8>> {
    let script = match task {
        Task::RunScripts => run_script()?,
        Task::PowerOff => POWER_OFF.to_owned(),
    };
    let mut message = format!(
        "Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\r\nMIME-Version: 1.0\r\n\r\n\
         --{BOUNDARY}\r\n\
         Content-Type: text/x-shellscript; charset=\"utf-8\"\r\n\
         MIME-Version: 1.0\r\n\
         Content-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"user_data.sh\"\r\n\r\n"
    )
    .replace("\r\n", "\n");
    message.push_str(&lines(&STANDARD.encode(script)));
    message.push_str(&format!("\n--{BOUNDARY}--\n"));
    Ok(message.into_bytes())
}

/// cloud-init runs it, and then its power_state module does the rest.
const POWER_OFF: &str = "#!/bin/sh\necho 'Nothing to do here: switching off.'\n";

/// The shell script with the programs packed into it.
fn run_script() -> std::io::Result<String> {
    let mut tar =
        tar::Builder::new(GzBuilder::new().mtime(0).write(Vec::new(), Compression::best()));
    for (name, text) in [("maas_runner.py", RUNNER), ("machine_resources.py", MACHINE_RESOURCES)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(0);
        tar.append_data(&mut header, name, text.as_bytes())?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    let packed = lines(&STANDARD.encode(gzip.finish()?));
    Ok(format!(
        "#!/bin/sh\n\
         # Unpacks the runner and starts it.\n\
         set -eu\n\
         umask 077\n\
         # Not below /run: scripts cannot be executed there everywhere.\n\
         folder=$(mktemp -d /var/tmp/maas-runner.XXXXXX)\n\
         base64 -d << 'END_OF_PROGRAMS' | tar -xz -C \"$folder\"\n\
         {packed}\n\
         END_OF_PROGRAMS\n\
         mkdir \"$folder/work\"\n\
         exec python3 \"$folder/maas_runner.py\" run \"$folder/work\"\n"
    ))
}

/// Breaks base64 into lines that mail and shells take.
fn lines(base64: &str) -> String {
    let mut text = String::with_capacity(base64.len() + base64.len() / 76 + 1);
    for (index, letter) in base64.chars().enumerate() {
        if index > 0 && index % 76 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text
}
