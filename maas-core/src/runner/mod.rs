//! Our own runner for the ephemeral OS, and the user data that starts it.
//!
//! The programs in `programs/` are Python (3.6 or later, standard library only) and were written
//! from the protocol. They travel packed into a shell script, so that the ephemeral OS needs
//! nothing but what every Debian and Ubuntu has.

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};

/// Name and text of a program's file.
type Source = (&'static str, &'static str);

/// The runner: fetches the scripts, runs them and signals their results.
const RUNNER: [Source; 6] = [
    ("enlistment.py", include_str!("programs/enlistment.py")),
    ("executor.py", include_str!("programs/executor.py")),
    ("maas_runner.py", include_str!("programs/maas_runner.py")),
    ("region.py", include_str!("programs/region.py")),
    ("scripts.py", include_str!("programs/scripts.py")),
    ("settings.py", include_str!("programs/settings.py")),
];

/// The program that prints the resources document.
const MACHINE_RESOURCES: [Source; 6] = [
    ("hardware_compute.py", include_str!("programs/hardware_compute.py")),
    ("hardware_devices.py", include_str!("programs/hardware_devices.py")),
    ("hardware_network.py", include_str!("programs/hardware_network.py")),
    ("hardware_storage.py", include_str!("programs/hardware_storage.py")),
    ("hardware_tree.py", include_str!("programs/hardware_tree.py")),
    ("machine_resources.py", include_str!("programs/machine_resources.py")),
];

const BOUNDARY: &str = "===============maas-user-data==";

static USER_DATA: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let sources: Vec<Source> = RUNNER.iter().chain(&MACHINE_RESOURCES).copied().collect();
    let start = "mkdir \"$folder/work\"\n\
                 exec python3 \"$folder/maas_runner.py\" run \"$folder/work\"\n";
    message(&shell_archive(&sources, start)).into_bytes()
});

static RESOURCES_PROGRAM: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let start = "exec python3 \"$folder/machine_resources.py\" \"$@\"\n";
    shell_archive(&MACHINE_RESOURCES, start).into_bytes()
});

/// The user data of an ephemeral OS that enlists, or runs its machine's commissioning, testing,
/// release (`wipe-disks` among them) or deployment scripts: a MIME message with one shell script,
/// `user_data.sh`.
///
/// The bytes are the same at every call.
#[must_use]
pub fn user_data() -> Vec<u8> {
    USER_DATA.clone()
}

/// The user data of an ephemeral OS that has nothing to do but to switch the machine off, which
/// cloud-init's `power_state` does.
#[must_use]
pub fn poweroff_user_data() -> Vec<u8> {
    message("#!/bin/sh\necho 'Nothing to do here: switching off.'\n").into_bytes()
}

/// The executable that prints the resources document, as `GET /MAAS/machine-resources/<arch>`
/// answers it; the same for every architecture.
#[must_use]
pub fn machine_resources_program() -> Vec<u8> {
    RESOURCES_PROGRAM.clone()
}

/// A MIME message with a shell script as its only part.
fn message(script: &str) -> String {
    format!(
        "Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\n\
         MIME-Version: 1.0\n\n\
         --{BOUNDARY}\n\
         Content-Type: text/x-shellscript; charset=\"utf-8\"\n\
         MIME-Version: 1.0\n\
         Content-Transfer-Encoding: base64\n\
         Content-Disposition: attachment; filename=\"user_data.sh\"\n\n\
         {}\n--{BOUNDARY}--\n",
        lines(&STANDARD.encode(script))
    )
}

/// A shell script that unpacks files into a folder, `$folder`, and goes on with `start`.
fn shell_archive(sources: &[Source], start: &str) -> String {
    let packed = match pack(sources) {
        Ok(packed) => packed,
        // Only a file or a socket can fail to be written to, and this is memory; should it happen
        // nevertheless, the machine's log says so.
        Err(error) => return format!("#!/bin/sh\necho 'not packed: {error}' >&2\nexit 1\n"),
    };
    format!(
        "#!/bin/sh\n\
         # Unpacks programs and starts one.\n\
         set -eu\n\
         umask 077\n\
         # Not below /run: scripts cannot be executed there everywhere.\n\
         folder=$(mktemp -d /var/tmp/maas-runner.XXXXXX)\n\
         base64 -d << 'END_OF_PROGRAMS' | tar -xz -C \"$folder\"\n\
         {}\n\
         END_OF_PROGRAMS\n\
         {start}",
        lines(&STANDARD.encode(packed))
    )
}

/// A compressed archive; equal files give equal bytes.
fn pack(sources: &[Source]) -> io::Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    let mut tar = tar::Builder::new(gzip);
    for (name, text) in sources {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(0);
        tar.append_data(&mut header, name, text.as_bytes())?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    gzip.finish()
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
