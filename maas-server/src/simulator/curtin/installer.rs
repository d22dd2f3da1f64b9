//! The packed installer: a shell script with a base64 tar behind a marker line.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::simulator::cloud_init::yaml;

const MARKER: &[u8] = b"\n_____PAYLOAD_____";
/// The most that the unpacked archive and one configuration may have, in bytes.
const ARCHIVE_LIMIT: u64 = 256 * 1024 * 1024;
const CONFIG_LIMIT: u64 = 4 * 1024 * 1024;

/// Why an installer cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InstallerError {
    #[error("the installer has no line _____PAYLOAD_____")]
    NoPayload,
    #[error("the installer's payload is not base64: {0}")]
    Base64(String),
    #[error("the installer's archive cannot be read: {0}")]
    Archive(String),
    #[error("the installer's archive has no configs/*.cfg")]
    NoConfig,
    #[error("{name}: {reason}")]
    Config { name: String, reason: String },
}

/// What the installer would run curtin with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Installer {
    /// All configurations merged, later ones over earlier ones.
    pub(super) config: Value,
    /// The source on curtin's command line, if there is one.
    pub(super) source: Option<String>,
}

impl Installer {
    pub(super) fn parse(script: &[u8]) -> Result<Self, InstallerError> {
        let start = script
            .windows(MARKER.len())
            .rposition(|window| window == MARKER)
            .ok_or(InstallerError::NoPayload)?;
        let (header, rest) = script.split_at(start);
        let packed: Vec<u8> = rest[MARKER.len()..]
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        let archive =
            STANDARD.decode(packed).map_err(|error| InstallerError::Base64(error.to_string()))?;
        let mut configs =
            configs(&archive).map_err(|error| InstallerError::Archive(error.to_string()))?;
        if configs.is_empty() {
            return Err(InstallerError::NoConfig);
        }
        configs.sort();
        let mut merged = Value::Object(serde_json::Map::new());
        for (name, text) in configs {
            let config = yaml(&text)
                .map_err(|reason| InstallerError::Config { name: name.clone(), reason })?;
            merge(&mut merged, config);
        }
        Ok(Self { config: merged, source: source(&String::from_utf8_lossy(header)) })
    }
}

fn configs(archive: &[u8]) -> std::io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let unzipped = flate2::read::MultiGzDecoder::new(archive).take(ARCHIVE_LIMIT);
    for entry in tar::Archive::new(unzipped).entries()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        let is_config = path.extension().is_some_and(|extension| extension == "cfg")
            && path.parent().and_then(|folder| folder.file_name()).is_some_and(|n| n == "configs");
        if !is_config || !entry.header().entry_type().is_file() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut text = String::new();
        entry.take(CONFIG_LIMIT).read_to_string(&mut text)?;
        found.push((name, text));
    }
    Ok(found)
}

/// Mappings are merged, everything else is replaced.
pub(super) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match into.get_mut(&key) {
                    Some(old) => merge(old, value),
                    None => {
                        into.insert(key, value);
                    }
                }
            }
        }
        // An empty document changes nothing.
        (_, Value::Null) => {}
        (into, from) => *into = from,
    }
}

/// The last word of the line that runs `install --config=…`.
fn source(header: &str) -> Option<String> {
    let line =
        header.lines().rfind(|line| line.contains("install") && line.contains("--config"))?;
    line.split(|sign: char| sign.is_whitespace() || matches!(sign, '"' | '\'' | '(' | ')'))
        .rfind(|word| word.contains(":/"))
        .filter(|word| !word.starts_with("--"))
        .map(str::to_owned)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// An installer with these configurations.
    pub(crate) fn pack(configs: &[(&str, String)]) -> Vec<u8> {
        let zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut builder = tar::Builder::new(zip);
        for (name, text) in configs {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        let archive = builder.into_inner().unwrap().finish().unwrap();
        let packed = STANDARD.encode(archive);
        let lines: Vec<&str> =
            packed.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!(
            "#!/bin/bash\nPREFIX=\"curtin\"\nCOMMAND=( bin/curtin install --config=configs/config-000.cfg \
             cp:///media/root-ro )\nexit\n_____PAYLOAD_____\n{}\n",
            lines.join("\n")
        )
        .into_bytes()
    }

    #[test]
    fn configurations_are_merged_in_the_order_of_their_names() {
        let script = pack(&[
            ("curtin/configs/config-001.cfg", "a: {b: 2, c: 3}\nlist: [9]\n".to_owned()),
            ("curtin/configs/config-000.cfg", "a: {b: 1, d: 4}\nlist: [1, 2]\n".to_owned()),
            ("curtin/bin/curtin", "no".to_owned()),
        ]);
        let installer = Installer::parse(&script).unwrap();
        assert_eq!(installer.config, json!({"a": {"b": 2, "c": 3, "d": 4}, "list": [9]}));
        assert_eq!(installer.source.as_deref(), Some("cp:///media/root-ro"));
    }

    #[test]
    fn the_regions_own_installer_is_read() {
        use maas_core::curtin::{ConfigFile, installer};
        use maas_core::deploy::Endpoints;
        use maas_core::id::SystemId;
        use maas_core::machine::NodeCredentials;
        use maas_netconfig::yaml::Value as Yaml;

        let config = |at, key: &str| ConfigFile::new(at, &Yaml::map([(key, Yaml::from("x"))]));
        let credentials = NodeCredentials {
            consumer_key: "ck".to_owned(),
            token_key: "tk".to_owned(),
            token_secret: "ts".to_owned().into(),
        };
        let script = installer(
            &[config(0, "a"), config(1, "b")],
            &SystemId::from_entropy(7),
            &credentials,
            &Endpoints::new("10.0.0.1"),
            None,
        )
        .unwrap();
        let read = Installer::parse(script.expose()).unwrap();
        assert_eq!(read, Installer { config: json!({"a": "x", "b": "x"}), source: None });
    }

    #[test]
    fn each_broken_part_is_named() {
        let said = |script: &[u8]| Installer::parse(script).unwrap_err().to_string();
        assert!(said(b"#!/bin/sh\n").contains("_____PAYLOAD_____"));
        assert!(said(b"#\n_____PAYLOAD_____\n*").contains("base64"));
        assert!(said(b"#\n_____PAYLOAD_____\nAAAA").contains("archive"));
        assert!(said(&pack(&[("configs/x.txt", String::new())])).contains("no configs/*.cfg"));
        assert!(said(&pack(&[("configs/x.cfg", "{".to_owned())])).starts_with("x.cfg: "));
    }

    proptest! {
        #[test]
        fn any_installer_is_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            text in "[ -~\n]{0,80}",
        ) {
            let _ = Installer::parse(&bytes);
            let _ = Installer::parse(format!("x\n_____PAYLOAD_____\n{text}").as_bytes());
            let packed = STANDARD.encode(&bytes);
            let _ = Installer::parse(format!("x\n_____PAYLOAD_____\n{packed}").as_bytes());
            let _ = Installer::parse(&pack(&[("configs/config-000.cfg", text)]));
        }
    }
}
