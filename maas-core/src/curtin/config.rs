//! The documents of a curtin configuration, each by what it is about.

use maas_netconfig::yaml::{self, Map, Value};
use serde::{Deserialize, Serialize};

use crate::cloud_init::{credentials_document, reporting_document};
use crate::deploy::{AptSettings, Endpoints};
use crate::id::SystemId;
use crate::machine::NodeCredentials;
use crate::secret::Secret;
use crate::storage::Storage;

/// One file of the configuration; curtin merges them in the order of their names, later over
/// earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// `config-000.cfg`, `config-001.cfg`…
    pub name: String,
    /// YAML; some hold credentials.
    pub content: Secret<String>,
}

impl ConfigFile {
    /// The file for a document at its place in the list.
    #[must_use]
    pub fn new(at: usize, document: &Value) -> Self {
        Self {
            name: format!("config-{at:03}.cfg"),
            // The writer fails for compound keys only, which this type cannot hold.
            content: Secret::new(yaml::to_string(document).unwrap_or_default()),
        }
    }
}

/// Puts `over` over `under` as curtin merges configurations: mappings key by key, anything else
/// replaced.
pub fn merge(under: &mut Map, over: &Map) {
    for (key, value) in over.iter() {
        match (under.get_mut(key), value) {
            (Some(Value::Map(below)), Value::Map(above)) => merge(below, above),
            _ => under.insert(key, value.clone()),
        }
    }
}

/// All documents merged into one.
#[must_use]
pub fn merged<'a>(documents: impl IntoIterator<Item = &'a Value>) -> Value {
    let mut all = Map::new();
    for document in documents {
        if let Value::Map(map) = document {
            merge(&mut all, map);
        }
    }
    Value::Map(all)
}

fn section(key: &str, value: Value) -> Value {
    Value::map([(key, value)])
}

fn builtin(words: &[&str]) -> Value {
    Value::map([("builtin", Value::list(words.iter().copied()))])
}

/// `storage` and the command that lays it out.
#[must_use]
pub fn storage(storage: &Storage, seed: &str) -> Value {
    Value::map([
        ("partitioning_commands", builtin(&["curtin", "block-meta", "custom"])),
        (
            "storage",
            Value::map([("version", Value::from(1_u32)), ("config", storage.curtin(seed))]),
        ),
    ])
}

/// The disk that a disk image is written to.
#[must_use]
pub fn block_meta(path: &str) -> Value {
    Value::map([
        ("partitioning_commands", builtin(&["curtin", "block-meta", "simple"])),
        ("block-meta", Value::map([("devices", Value::list([path]))])),
    ])
}

/// `apt`.
#[must_use]
pub fn apt(settings: &AptSettings, os: &str, release: &str, arch: &str) -> Value {
    section("apt", settings.document(os, release, arch))
}

/// `reporting` to the status webhook, and `install`'s log files that go with it.
#[must_use]
pub fn reporting(
    machine: &SystemId,
    credentials: &NodeCredentials,
    endpoints: &Endpoints,
) -> Value {
    const LOG: &str = "/tmp/install.log";
    const TAR: &str = "/tmp/curtin-logs.tar";
    Value::map([
        ("reporting", reporting_document(machine, credentials, endpoints)),
        (
            "install",
            Value::map([
                ("log_file", Value::from(LOG)),
                ("error_tarfile", Value::from(TAR)),
                ("post_files", Value::list([LOG, TAR])),
            ]),
        ),
    ])
}

/// `network`, given what goes below that key, and the command that applies it.
#[must_use]
pub fn network(network: &Value) -> Value {
    Value::map([
        ("network_commands", builtin(&["curtin", "net-meta", "custom"])),
        ("network", network.clone()),
    ])
}

/// `swap`: the size of the swap file in bytes, 0 for none.
#[must_use]
pub fn swap(bytes: u64) -> Value {
    section("swap", Value::map([("size", Value::from(format!("{bytes}B")))]))
}

/// `kernel`: the package to install, or none.
#[must_use]
pub fn kernel(package: Option<&str>) -> Value {
    let kernel = match package {
        Some(package) => {
            Value::map([("package", Value::from(package)), ("mapping", Value::Map(Map::new()))])
        }
        None => Value::map([("install", Value::from(false))]),
    };
    section("kernel", kernel)
}

/// How much curtin says.
#[must_use]
pub fn verbosity() -> Value {
    Value::map([("verbosity", Value::from(3_u32)), ("showtrace", Value::from(true))])
}

/// `kernel-crash-dumps`.
#[must_use]
pub fn crash_dumps(enabled: bool) -> Value {
    section("kernel-crash-dumps", Value::map([("enabled", Value::from(enabled))]))
}

/// `proxy` for everything that curtin fetches.
#[must_use]
pub fn proxy(url: &str) -> Value {
    section(
        "proxy",
        Value::map([("http_proxy", Value::from(url)), ("https_proxy", Value::from(url))]),
    )
}

/// `cloudconfig`: the target's datasource with its credentials, and its reporting. The files
/// with credentials are readable by root only.
#[must_use]
pub fn cloud_config(
    machine: &SystemId,
    credentials: &NodeCredentials,
    endpoints: &Endpoints,
) -> Value {
    let file = |path: &str, permissions: &str, content: String| {
        Value::map([
            ("path", Value::from(format!("/etc/cloud/cloud.cfg.d/{path}"))),
            ("permissions", Value::from(permissions)),
            ("content", Value::from(content)),
        ])
    };
    let text = |document: &Value| crate::cloud_init::cloud_config(document);
    let mut maas = credentials_document(credentials);
    maas.insert("metadata_url", endpoints.metadata());
    let datasource = section("datasource", section("MAAS", Value::Map(maas)));
    let reporting = section("reporting", reporting_document(machine, credentials, endpoints));
    section(
        "cloudconfig",
        Value::map([
            (
                "maas-datasource",
                file("90_maas_datasource.cfg", "0644", "datasource_list: [ MAAS ]\n".to_owned()),
            ),
            ("maas-cloud-config", file("90_maas_cloud_config.cfg", "0600", text(&datasource))),
            ("maas-reporting", file("90_maas_cloud_init_reporting.cfg", "0600", text(&reporting))),
        ]),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn merging_goes_into_mappings_and_replaces_the_rest() {
        let read = |text: &str| yaml::from_str::<Value>(text).unwrap();
        let all =
            merged(&[read("a: {x: 1, y: [1, 2]}\nb: 1\n"), read("a: {y: [3], z: 4}\nb: {c: 1}\n")]);
        assert_eq!(all, read("a: {x: 1, y: [3], z: 4}\nb: {c: 1}\n"));
    }

    #[test]
    fn credentials_are_readable_by_root_only() {
        let credentials = NodeCredentials {
            consumer_key: "ck".into(),
            token_key: "tk".into(),
            token_secret: Secret::new("hunter2".into()),
        };
        let document =
            cloud_config(&SystemId::from_entropy(1), &credentials, &Endpoints::new("10.0.0.1"));
        let files = document.get("cloudconfig").unwrap().as_map().unwrap();
        let mut secret = 0;
        for (_, file) in files.iter() {
            let content = file.get("content").unwrap().as_str().unwrap();
            if content.contains("hunter2") {
                secret += 1;
                assert_eq!(file.get("permissions").unwrap().as_str(), Some("0600"));
            }
        }
        assert_eq!(secret, 2);
    }
}
