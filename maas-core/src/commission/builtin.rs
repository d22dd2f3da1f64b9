//! The scripts that every region has.

use std::sync::LazyLock;

use super::script::Script;

/// Name and text of each.
const SOURCES: [(&str, &str); 10] = [
    ("20-maas-03-machine-resources", include_str!("scripts/20-maas-03-machine-resources")),
    ("30-maas-01-bmc-config", include_str!("scripts/30-maas-01-bmc-config")),
    ("50-curtin-install", include_str!("scripts/50-curtin-install")),
    (COMMISSIONING_SCRIPT, include_str!("scripts/50-maas-01-commissioning")),
    ("maas-kernel-cmdline", include_str!("scripts/maas-kernel-cmdline")),
    (MODALIASES_SCRIPT, include_str!("scripts/maas-list-modaliases")),
    ("maas-lshw", include_str!("scripts/maas-lshw")),
    ("maas-serial-ports", include_str!("scripts/maas-serial-ports")),
    ("maas-support-info", include_str!("scripts/maas-support-info")),
    ("smartctl-validate", include_str!("scripts/smartctl-validate")),
];

/// The script whose standard output is the resources document
/// ([`resources::parse`](super::resources::parse)).
pub const COMMISSIONING_SCRIPT: &str = "50-maas-01-commissioning";

/// The script whose standard output is the module aliases, one a line.
pub const MODALIASES_SCRIPT: &str = "maas-list-modaliases";

/// The release script that makes what is on the disks unreadable; parameters `secure_erase` and
/// `quick_erase`.
pub const WIPE_SCRIPT: &str = "wipe-disks";

static SCRIPTS: LazyLock<Vec<Script>> = LazyLock::new(|| {
    SOURCES
        .iter()
        .chain([&(WIPE_SCRIPT, include_str!("scripts/wipe-disks"))])
        // They are part of the program; a test parses every one.
        .filter_map(|(name, body)| Script::parse(name, body).ok())
        .map(|script| Script { is_builtin: true, ..script })
        .collect()
});

/// The built-in scripts.
#[must_use]
pub fn scripts() -> &'static [Script] {
    &SCRIPTS
}

/// The built-in script of that name.
#[must_use]
pub fn script(name: &str) -> Option<&'static Script> {
    SCRIPTS.iter().find(|script| script.name == name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::commission::result::ScriptType;

    #[test]
    fn every_builtin_script_parses_and_is_called_what_its_file_is_called() {
        for (name, body) in
            SOURCES.iter().chain([&(WIPE_SCRIPT, include_str!("scripts/wipe-disks"))])
        {
            let script = Script::parse("other", body).unwrap();
            assert_eq!(script.name, *name);
            assert!(!script.title.is_empty() && !script.description.is_empty(), "{name}");
            assert!(script.timeout_seconds > 0, "{name}");
        }
        assert_eq!(scripts().len(), SOURCES.len() + 1);
        assert!(scripts().iter().all(|script| script.is_builtin));
    }

    #[test]
    fn the_types_of_the_scripts_are_those_of_their_purpose() {
        assert_eq!(script("50-curtin-install").unwrap().script_type, ScriptType::Deployment);
        assert_eq!(script(WIPE_SCRIPT).unwrap().script_type, ScriptType::Release);
        assert_eq!(script("smartctl-validate").unwrap().script_type, ScriptType::Testing);
        assert_eq!(script(COMMISSIONING_SCRIPT).unwrap().script_type, ScriptType::Commissioning);
        assert_eq!(script(WIPE_SCRIPT).unwrap().timeout_seconds, 7 * 24 * 3600);
    }
}
