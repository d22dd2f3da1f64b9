//! What operators add to every installation: pre-seed templates and hooks.
//!
//! Templates are files `DATA_DIR/preseeds/curtin_userdata…` or stored by the API; a stored one comes
//! before a file of the same name. Which one applies is MAAS's look-up order
//! ([`maas_core::template::candidates`]). Hooks are commands that curtin runs early or late on
//! machines of a pool, with a tag, or on one machine.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use maas_core::deploy::DeploymentOptions;
use maas_core::machine::{Machine, Precondition, Refusal};
use maas_core::template::Library;
use serde::{Deserialize, Serialize};

use crate::http::Problem;
use crate::images::bootloaders::is_plain_name;
use crate::region::Region;
use crate::store::Document;

/// The largest template, in bytes.
pub const LARGEST_TEMPLATE: u64 = 256 << 10;
/// The most files that are read.
const MOST_FILES: usize = 1000;

/// A template that the API stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreseedDocument {
    /// Its name, e.g. `curtin_userdata_ubuntu`.
    pub name: String,
    /// The text.
    pub content: String,
}

impl Document for PreseedDocument {
    const KIND: &'static str = "preseed";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.name))
    }
}

/// Which machines a hook is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Those of a resource pool.
    Pool,
    /// Those with a tag.
    Tag,
    /// One, by its system id.
    Machine,
}

impl Scope {
    /// All of them in the order in which their hooks run.
    pub const ALL: [Self; 3] = [Self::Pool, Self::Tag, Self::Machine];

    /// The API's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Tag => "tag",
            Self::Machine => "machine",
        }
    }
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before everything else.
    Early,
    /// When the system is installed, before the machine's netboot is switched off.
    Late,
}

impl Phase {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Early, Self::Late];

    /// The API's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::Late => "late",
        }
    }
}

/// A command that curtin runs on some machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookDocument {
    /// For which kind of thing.
    pub scope: Scope,
    /// The pool's, tag's or machine's name.
    pub target: String,
    /// When.
    pub phase: Phase,
    /// What people call it; hooks of one scope run in the order of their names.
    pub name: String,
    /// The words of the command.
    pub command: Vec<String>,
}

impl Document for HookDocument {
    const KIND: &'static str = "deployment-hook";

    fn key(&self) -> Option<Cow<'_, str>> {
        let Self { scope, target, phase, name, .. } = self;
        Some(Cow::Owned(format!("{}/{target}/{}/{name}", scope.word(), phase.word())))
    }
}

impl HookDocument {
    /// Whether it is for this machine.
    #[must_use]
    pub fn is_for(&self, machine: &Machine) -> bool {
        match self.scope {
            Scope::Pool => machine.pool == self.target,
            Scope::Tag => machine.tags.contains(&self.target),
            Scope::Machine => machine.system_id.as_str() == self.target,
        }
    }

    /// Its name among curtin's commands, which run in the order of their names: after ours that
    /// begin with a digit, before `maas`, which ends the installation.
    fn curtin_name(&self) -> String {
        let rank = match self.scope {
            Scope::Pool => 1,
            Scope::Tag => 2,
            Scope::Machine => 3,
        };
        format!("hook-{rank}-{}-{}-{}", self.scope.word(), self.target, self.name)
    }
}

/// The folder of the template files.
#[must_use]
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("preseeds")
}

/// Adds templates and hooks to what is asked of a deployment.
pub(crate) async fn apply(
    region: &Region,
    machine: &Machine,
    options: &mut DeploymentOptions,
) -> Result<(), Problem> {
    let folder = folder(&region.config.data_dir);
    let read = tokio::task::spawn_blocking(move || files(&folder))
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    let mut templates = read.map_err(|problem| {
        Problem::from(Refusal::Precondition(Precondition::Preseed { problem }))
    })?;
    let stored = region.store.list::<PreseedDocument>().await.map_err(Problem::internal)?;
    templates.extend(stored.into_iter().map(|it| (it.value.name, it.value.content)));
    options.preseeds = Library(templates);
    let hooks = region.store.list::<HookDocument>().await.map_err(Problem::internal)?;
    for hook in hooks.into_iter().map(|it| it.value).filter(|hook| hook.is_for(machine)) {
        let commands = match hook.phase {
            Phase::Early => &mut options.early_commands,
            Phase::Late => &mut options.late_commands,
        };
        commands.insert(hook.curtin_name(), hook.command);
    }
    Ok(())
}

/// Whether a text can be a template's name.
#[must_use]
pub fn is_template_name(name: &str) -> bool {
    let prefix = name == "generic" || name.starts_with("curtin_userdata");
    prefix && name.len() <= 200 && is_plain_name(name)
}

/// The template files; a folder that is not there has none. The error names the file.
fn files(folder: &Path) -> Result<BTreeMap<String, String>, String> {
    let failed = |path: &Path, what: &str| format!("{}: {what}", path.display());
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(failed(folder, &error.to_string())),
    };
    let mut templates = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(|error| failed(folder, &error.to_string()))?;
        let path = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_template_name(name)) else { continue };
        let facts = std::fs::metadata(&path).map_err(|error| failed(&path, &error.to_string()))?;
        if facts.len() > LARGEST_TEMPLATE {
            return Err(failed(&path, &format!("larger than {LARGEST_TEMPLATE} bytes")));
        }
        if templates.len() == MOST_FILES {
            return Err(failed(folder, &format!("more than {MOST_FILES} templates")));
        }
        let text =
            std::fs::read_to_string(&path).map_err(|error| failed(&path, &error.to_string()))?;
        templates.insert(name.to_owned(), text);
    }
    Ok(templates)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{machine, region};

    #[tokio::test]
    async fn stored_templates_come_before_files_and_hooks_follow_pool_tag_and_machine() {
        let dir = tempfile::tempdir().unwrap();
        let mut region = region(dir.path()).await;
        region.config.data_dir = dir.path().to_owned();
        let folder = folder(dir.path());
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["curtin_userdata", "curtin_userdata_ubuntu", ".hidden", "notes"] {
            std::fs::write(folder.join(name), format!("from: {name}\n")).unwrap();
        }
        let store = &*region.store;
        let stored = PreseedDocument {
            name: "curtin_userdata".to_owned(),
            content: "from: store\n".to_owned(),
        };
        store.put(stored).await.unwrap();
        let mut machine = machine(1);
        machine.tags.insert("gpu".to_owned());
        machine.pool = "lab".to_owned();
        for (scope, target) in [
            (Scope::Machine, machine.system_id.as_str()),
            (Scope::Machine, "other"),
            (Scope::Tag, "gpu"),
            (Scope::Tag, "fpga"),
            (Scope::Pool, "lab"),
            (Scope::Pool, "default"),
        ] {
            let hook = HookDocument {
                scope,
                target: target.to_owned(),
                phase: Phase::Late,
                name: "a".to_owned(),
                command: vec![target.to_owned()],
            };
            store.insert(hook).await.unwrap();
        }
        let mut options = DeploymentOptions::default();
        apply(&region, &machine, &mut options).await.unwrap();
        let texts: Vec<_> = options.preseeds.0.values().map(String::as_str).collect();
        assert_eq!(texts, ["from: store\n", "from: curtin_userdata_ubuntu\n"]);
        let ran: Vec<_> = options.late_commands.values().map(|words| words[0].as_str()).collect();
        assert_eq!(ran, ["lab", "gpu", machine.system_id.as_str()]);
        assert!(options.late_commands.keys().all(|name| name.as_str() < "maas"));
        assert!(options.early_commands.is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("curtin_userdata"), [0xff, 0xfe]).unwrap();
        let error = files(dir.path()).unwrap_err();
        assert!(error.contains("curtin_userdata"), "{error}");
        assert!(files(&dir.path().join("none")).unwrap().is_empty());
    }
}
