//! The tar of `maas-scripts`: its index and the scripts in it.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use serde::Deserialize;
use serde_json::Value;

/// The most that one script and the whole unpacked bundle may have, in bytes.
const SCRIPT_LIMIT: u64 = 16 * 1024 * 1024;
const BUNDLE_LIMIT: u64 = 256 * 1024 * 1024;

/// What a script is for; the runner takes them in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Commissioning,
    Testing,
    Release,
    Deployment,
}

impl Kind {
    pub(super) const ALL: [Self; 4] =
        [Self::Commissioning, Self::Testing, Self::Release, Self::Deployment];

    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::Commissioning => "commissioning",
            Self::Testing => "testing",
            Self::Release => "release",
            Self::Deployment => "deployment",
        }
    }

    /// The signal that announces scripts of this kind.
    pub(super) const fn status(self) -> &'static str {
        match self {
            Self::Commissioning => "COMMISSIONING",
            Self::Testing => "TESTING",
            Self::Release => "RELEASING",
            Self::Deployment => "DEPLOYING",
        }
    }
}

/// One entry of the index.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Script {
    pub(super) name: String,
    path: String,
    #[serde(default)]
    pub(super) script_result_id: Option<i64>,
    #[serde(default)]
    pub(super) script_version_id: Option<i64>,
    #[serde(default)]
    pub(super) parallel: u8,
    #[serde(default)]
    hardware_type: u8,
    #[serde(default)]
    packages: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) has_finished: bool,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(skip)]
    pub(super) body: Vec<u8>,
}

impl Script {
    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    pub(super) fn key(&self) -> (String, Option<i64>) {
        (self.name.clone(), self.script_result_id)
    }

    /// Whether its text has a word.
    pub(super) fn mentions(&self, word: &str) -> bool {
        self.body.windows(word.len()).any(|window| window == word.as_bytes())
    }

    pub(super) fn needs_packages(&self) -> bool {
        self.packages.values().any(|list| list.as_array().is_some_and(|list| !list.is_empty()))
    }

    /// cpu, memory, storage, network, gpu, and the node as a whole last; serial ones first.
    fn order(&self) -> (u8, u8, &str) {
        (
            self.parallel,
            if self.hardware_type == 0 { u8::MAX } else { self.hardware_type },
            &self.name,
        )
    }
}

/// The scripts that the region has for the machine.
#[derive(Debug, Default)]
pub(super) struct Bundle {
    scripts: Vec<(&'static str, Vec<Script>)>,
}

#[derive(Deserialize)]
struct Index {
    #[serde(rename = "1.0")]
    version_1: Lists,
}

#[derive(Deserialize)]
struct Lists {
    #[serde(default)]
    commissioning_scripts: Vec<Script>,
    #[serde(default)]
    testing_scripts: Vec<Script>,
    #[serde(default)]
    release_scripts: Vec<Script>,
    #[serde(default)]
    deployment_scripts: Vec<Script>,
}

impl Bundle {
    /// Reads a tar, plain or compressed with gzip or xz.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let files = unpack(bytes).map_err(|error| format!("the tar cannot be read: {error}"))?;
        let index = files.get("index.json").ok_or("the tar has no index.json")?;
        let index: Index = serde_json::from_slice(index)
            .map_err(|error| format!("index.json cannot be read: {error}"))?;
        let lists = index.version_1;
        let mut scripts = Vec::new();
        for (kind, list) in [
            (Kind::Commissioning, lists.commissioning_scripts),
            (Kind::Testing, lists.testing_scripts),
            (Kind::Release, lists.release_scripts),
            (Kind::Deployment, lists.deployment_scripts),
        ] {
            let mut filled = Vec::new();
            for mut script in list {
                script.body = files
                    .get(script.path.trim_start_matches("./"))
                    .ok_or_else(|| format!("the tar has no {}", script.path))?
                    .clone();
                filled.push(script);
            }
            filled.sort_by(|a, b| a.order().cmp(&b.order()));
            scripts.push((kind.folder(), filled));
        }
        Ok(Self { scripts })
    }

    /// The scripts of a kind, in the order in which they are run.
    pub(super) fn take(&mut self, kind: Kind) -> Vec<Script> {
        self.scripts
            .iter_mut()
            .find(|(folder, _)| *folder == kind.folder())
            .map(|(_, scripts)| std::mem::take(scripts))
            .unwrap_or_default()
    }

    /// A commissioning script by its name.
    pub(super) fn find(&self, name: &str) -> Option<&Script> {
        let (_, scripts) =
            self.scripts.iter().find(|(folder, _)| *folder == Kind::Commissioning.folder())?;
        scripts.iter().find(|script| script.name == name)
    }
}

fn unpack(bytes: &[u8]) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let source: Box<dyn Read + '_> = match bytes {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Box::new(liblzma::read::XzDecoder::new(bytes)),
        _ => Box::new(Cursor::new(bytes)),
    };
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(source.take(BUNDLE_LIMIT));
    for entry in archive.entries()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        let mut content = Vec::new();
        entry.take(SCRIPT_LIMIT).read_to_end(&mut content)?;
        files.insert(path, content);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn scripts_come_in_the_order_of_the_runner() {
        let item = |name: &str, parallel: u8, hardware: u8| {
            format!(
                r#"{{"name":"{name}","path":"commissioning/{name}","parallel":{parallel},
                "hardware_type":{hardware},"script_result_id":1}}"#
            )
        };
        let index = format!(
            r#"{{"1.0":{{"commissioning_scripts":[{},{},{},{}]}}}}"#,
            item("z", 0, 0),
            item("b", 0, 3),
            item("a", 2, 1),
            item("c", 0, 1)
        );
        let tar = tar_of(&[
            ("index.json", &index),
            ("./commissioning/z", ""),
            ("commissioning/a", ""),
            ("commissioning/b", "curtin-installer"),
            ("commissioning/c", ""),
        ]);
        let mut bundle = Bundle::read(&tar).unwrap();
        let scripts = bundle.take(Kind::Commissioning);
        let names: Vec<_> = scripts.iter().map(|script| script.name.as_str()).collect();
        assert_eq!(names, ["c", "b", "z", "a"]);
        assert!(scripts[1].mentions("curtin-installer"));
        assert!(bundle.take(Kind::Testing).is_empty());
    }

    #[test]
    fn a_script_that_is_not_in_the_tar_is_an_error() {
        let index = r#"{"1.0":{"testing_scripts":[{"name":"x","path":"testing/x"}]}}"#;
        let said = Bundle::read(&tar_of(&[("index.json", index)])).unwrap_err();
        assert_eq!(said, "the tar has no testing/x");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1100)) {
            let _ = Bundle::read(&bytes);
            let _ = Bundle::read(&[&[0x1f, 0x8b][..], &bytes].concat());
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let _ = Bundle::read(&tar_of(&[("index.json", &text)]));
        }
    }
}
