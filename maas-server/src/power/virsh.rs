//! The virsh driver: a virtual machine is switched by its hypervisor's libvirt (MAAS `virsh`).

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use maas_core::machine::PowerState;
use url::Url;

use super::child::{Finished, Program, is_installed};
use super::setting::Setting;
use super::{BoxFuture, PowerDriver, PowerError, Target};

/// How long one call may take; ssh alone may wait for half of it.
const DEADLINE: Duration = Duration::from_secs(60);

const SETTINGS: &[Setting] = &[
    Setting::text("power_address", "Address").required(),
    Setting::password("power_pass", "Password"),
    Setting::text("power_id", "Virsh VM ID").required().of_the_node(),
];

/// The parameters of a connection's URI that are handed on. Others name programs and sockets of
/// this host (`command`, `netcat`, `socket`).
const KNOWN_PARAMETERS: [&str; 8] = [
    "keyfile",
    "known_hosts",
    "known_hosts_verify",
    "mode",
    "name",
    "no_tty",
    "no_verify",
    "sshauth",
];

/// Talks to libvirt by `virsh`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Virsh;

impl PowerDriver for Virsh {
    fn name(&self) -> &'static str {
        "virsh"
    }

    fn description(&self) -> &'static str {
        "Virsh (virtual systems)"
    }

    fn is_chassis(&self) -> bool {
        true
    }

    fn settings(&self) -> &'static [Setting] {
        SETTINGS
    }

    fn missing_packages(&self) -> Vec<&'static str> {
        if is_installed("virsh") { Vec::new() } else { vec!["libvirt-clients"] }
    }

    fn power_on<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), PowerError>> {
        Box::pin(async move { call(target, "start").await.map(drop) })
    }

    fn power_off<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), PowerError>> {
        Box::pin(async move { call(target, "destroy").await.map(drop) })
    }

    fn query<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<PowerState, PowerError>> {
        Box::pin(async move { Ok(state(&call(target, "domstate").await?)) })
    }
}

/// The state in virsh's words.
fn state(answer: &str) -> PowerState {
    match answer.trim() {
        "running" | "idle" | "paused" | "in shutdown" | "blocked" => PowerState::On,
        "shut off" | "crashed" | "pmsuspended" => PowerState::Off,
        _ => PowerState::Unknown,
    }
}

async fn call(target: Target<'_>, command: &str) -> Result<String, PowerError> {
    super::setting::check(SETTINGS, target.parameters)?;
    let uri = uri(target.word("power_address")?.unwrap_or_default())?;
    let id = target.word("power_id")?.unwrap_or_default();
    let askpass = match target.given("power_pass") {
        Some(_) => Some(Askpass::write()?),
        None => None,
    };
    let path = askpass.as_ref().map(|askpass| askpass.0.to_string_lossy().into_owned());
    let mut variables = Vec::new();
    if let (Some(password), Some(path)) = (target.given("power_pass"), &path) {
        variables.push(("MAAS_POWER_PASS", password));
        variables.push(("SSH_ASKPASS", path.as_str()));
        variables.push(("SSH_ASKPASS_REQUIRE", "force"));
    }
    let words = vec!["--connect", uri.as_str(), command, "--domain", id];
    let program =
        Program { name: "virsh", package: "libvirt-clients", words, variables, deadline: DEADLINE };
    let finished = program.run().await?;
    if finished.is_success { Ok(finished.stdout) } else { Err(refusal(&finished)) }
}

/// The connection's URI, without what could start programs on this host.
fn uri(address: &str) -> Result<String, PowerError> {
    let wrong =
        |problem: &str| PowerError::Setting { name: "power_address", problem: problem.to_owned() };
    let url: Url = address.parse().map_err(|_| wrong("is no URI of libvirt"))?;
    if url.host_str().is_some_and(|host| host.starts_with('-')) || url.username().starts_with('-') {
        return Err(wrong("has a host or user that begins with '-'"));
    }
    if url.password().is_some() {
        return Err(wrong("holds a password, which belongs into power_pass"));
    }
    for (name, _) in url.query_pairs() {
        if !KNOWN_PARAMETERS.contains(&&*name) {
            let name: String = name.chars().take(32).collect();
            return Err(wrong(&format!("has the parameter `{name}`, which is not handed on")));
        }
    }
    Ok(address.to_owned())
}

fn refusal(finished: &Finished) -> PowerError {
    let said = |words: &[&str]| words.iter().any(|word| finished.stderr.contains(word));
    let detail = finished.last_words();
    let line = finished.stderr.lines().find(|line| line.starts_with("error:"));
    let detail = line.map_or(detail, |line| line.chars().take(200).collect());
    if said(&["Permission denied", "authentication failed", "Authentication failed"]) {
        PowerError::Auth { detail }
    } else if said(&["failed to get domain", "Domain not found", "no domain with matching"]) {
        PowerError::Setting { name: "power_id", problem: format!("is not known there ({detail})") }
    } else if said(&["failed to connect", "Host key verification failed", "End of file"]) {
        PowerError::Connection { detail }
    } else {
        PowerError::Action { detail }
    }
}

/// A program that tells ssh the password of its environment; removed when dropped.
#[derive(Debug)]
struct Askpass(PathBuf);

impl Askpass {
    fn write() -> Result<Self, PowerError> {
        let tool = |source| PowerError::Tool { tool: "ssh", package: "openssh-client", source };
        let name = crate::entropy::number().map_err(|error| tool(std::io::Error::other(error)))?;
        let path = std::env::temp_dir().join(format!("maas-askpass-{name:016x}"));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o700)
            .open(&path)
            .map_err(tool)?;
        let askpass = Self(path);
        file.write_all(b"#!/bin/sh\nprintf '%s\\n' \"$MAAS_POWER_PASS\"\n").map_err(tool)?;
        Ok(askpass)
    }
}

impl Drop for Askpass {
    fn drop(&mut self) {
        // What cannot be removed holds no secret.
        drop(std::fs::remove_file(&self.0));
    }
}

#[cfg(test)]
mod tests;
