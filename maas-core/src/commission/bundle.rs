//! The archive of scripts that the metadata service answers `maas-scripts` with.

use serde_json::{Value, json};

use super::result::{ScriptRun, ScriptStatus, ScriptType};
use super::script::Script;

/// One script in an archive.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The script.
    pub script: &'a Script,
    /// Its run on the machine; `None` for a machine that is not known yet.
    pub run: Option<&'a ScriptRun>,
    /// What the run wrote before a reboot, as far as it was reported.
    pub outputs: Outputs<'a>,
}

/// What a run wrote; empty when nothing was stored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outputs<'a> {
    /// Standard output and standard error in the order of writing.
    pub combined: &'a [u8],
    /// Standard output.
    pub stdout: &'a [u8],
    /// Standard error.
    pub stderr: &'a [u8],
    /// The RESULT document.
    pub result: &'a [u8],
}

/// Which runs an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    /// Those that have not ended.
    Unfinished,
    /// All, as a deployed machine asks that reports its hardware again.
    All,
}

/// The archive could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write the archive of scripts")]
pub struct BundleError(#[source] std::io::Error);

/// The archive (tar) with `index.json`, the scripts and what started ones wrote; `None` when
/// there is nothing to run, which is answered with 204.
///
/// Equal entries give equal bytes.
///
/// # Errors
/// [`BundleError`] when a script's name does not fit a tar header.
pub fn archive(entries: &[Entry<'_>], include: Include) -> Result<Option<Vec<u8>>, BundleError> {
    let mut chosen: Vec<Entry<'_>> = entries
        .iter()
        .filter(|entry| {
            include == Include::All || entry.run.is_none_or(|run| !run.status.is_finished())
        })
        .copied()
        .collect();
    if chosen.is_empty() {
        return Ok(None);
    }
    chosen.sort_by_key(|entry| {
        (entry.script.script_type as u8, entry.script.name.as_str(), entry.run.map(|run| run.id))
    });

    let index = json!({"1.0": {
        "commissioning_scripts": items(&chosen, ScriptType::Commissioning),
        "testing_scripts": items(&chosen, ScriptType::Testing),
        "release_scripts": items(&chosen, ScriptType::Release),
        "deployment_scripts": items(&chosen, ScriptType::Deployment),
    }});
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, mode, bytes: &[u8]| append(&mut tar, path, mode, bytes);
    let mut written: Option<(ScriptType, &str)> = None;
    for entry in &chosen {
        let this = (entry.script.script_type, entry.script.name.as_str());
        // Several runs of a script, e.g. one for each disk, share its file.
        if written != Some(this) {
            add(&path(entry.script), 0o755, entry.script.body.as_bytes())?;
            written = Some(this);
        }
        if let Some(run) = entry.run.filter(|run| run.status != ScriptStatus::Pending) {
            let base = format!("out/{}.{}", run.name, run.id);
            for (suffix, bytes) in [
                ("", entry.outputs.combined),
                (".out", entry.outputs.stdout),
                (".err", entry.outputs.stderr),
                (".yaml", entry.outputs.result),
            ] {
                if !bytes.is_empty() {
                    add(&format!("{base}{suffix}"), 0o644, bytes)?;
                }
            }
        }
    }
    add("index.json", 0o644, index.to_string().as_bytes())?;
    tar.into_inner().map(Some).map_err(BundleError)
}

/// The archive of the older `maas-commissioning-scripts`: every commissioning script below
/// `commissioning.d/`, without an index.
///
/// # Errors
/// [`BundleError`] when a script's name does not fit a tar header.
pub fn commissioning_archive(scripts: &[Script]) -> Result<Vec<u8>, BundleError> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut chosen: Vec<&Script> =
        scripts.iter().filter(|script| script.script_type == ScriptType::Commissioning).collect();
    chosen.sort_by_key(|script| &script.name);
    for script in chosen {
        let path = format!("commissioning.d/{}", script.name);
        append(&mut tar, &path, 0o755, script.body.as_bytes())?;
    }
    tar.into_inner().map_err(BundleError)
}

fn append(
    tar: &mut tar::Builder<Vec<u8>>,
    path: &str,
    mode: u32,
    bytes: &[u8],
) -> Result<(), BundleError> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, path, bytes).map_err(BundleError)
}

/// The scripts that a machine runs before it is known: the built-in ones and those with the tag
/// `enlisting` when enlisted machines are commissioned, otherwise only those with the tag
/// `bmc-config`.
#[must_use]
pub fn enlistment_scripts(scripts: &[Script], commission: EnlistCommissioning) -> Vec<&Script> {
    scripts
        .iter()
        .filter(|script| {
            script.script_type == ScriptType::Commissioning
                && match commission {
                    EnlistCommissioning::Yes => script.is_builtin || script.has_tag("enlisting"),
                    EnlistCommissioning::No => script.has_tag("bmc-config"),
                }
        })
        .collect()
}

/// Whether enlisting machines are commissioned at once (MAAS setting `enlist_commissioning`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnlistCommissioning {
    /// The default.
    Yes,
    /// They stay New.
    No,
}

fn path(script: &Script) -> String {
    let folder = match script.script_type {
        ScriptType::Commissioning => "commissioning",
        ScriptType::Testing => "testing",
        ScriptType::Release => "release",
        ScriptType::Deployment => "deployment",
    };
    format!("{folder}/{}", script.name)
}

fn items(entries: &[Entry<'_>], script_type: ScriptType) -> Vec<Value> {
    entries
        .iter()
        .filter(|entry| entry.script.script_type == script_type)
        .map(|entry| {
            let script = entry.script;
            let mut item = json!({
                "name": script.name,
                "path": path(script),
                "timeout_seconds": entry.run
                    .map_or(script.timeout_seconds, |run| run.timeout_seconds) as f64,
                "parallel": script.parallel.number(),
                "hardware_type": script.hardware_type.number(),
                "parameters": entry.run.map_or(&script.parameters, |run| &run.parameters),
                "packages": script.packages,
                "for_hardware": script.for_hardware,
                "apply_configured_networking": script.apply_configured_networking,
                "default": script.is_builtin,
                "tags": script.tags,
                "has_started": entry.run.is_some_and(|run| run.status != ScriptStatus::Pending),
                "has_finished": entry.run.is_some_and(|run| run.status.is_finished()),
            });
            if let (Some(run), Value::Object(members)) = (entry.run, &mut item) {
                members.insert("script_result_id".to_owned(), run.id.into());
            }
            item
        })
        .collect()
}

#[cfg(test)]
mod tests;
