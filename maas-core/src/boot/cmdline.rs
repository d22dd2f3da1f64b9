//! The kernel command line of the ephemeral OS, part by part in MAAS's order.

use serde::{Deserialize, Serialize};

use crate::deploy::Endpoints;
use crate::image::Series;

/// What becomes the root file system of an ephemeral boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootFileSystem {
    /// A squashfs, mounted read-only below a writable layer in memory.
    Squash {
        /// Its path below `/images/`.
        path: String,
    },
    /// A tar archive, unpacked into memory.
    Tar {
        /// Its path below `/images/`.
        path: String,
    },
}

impl RootFileSystem {
    /// The root for a file of this path, by its name's ending.
    #[must_use]
    pub fn for_path(path: impl Into<String>) -> Self {
        let path = path.into();
        let is_tar = [".tgz", ".txz", "root-tgz", "root-txz"].iter().any(|end| path.ends_with(end));
        if is_tar { Self::Tar { path } } else { Self::Squash { path } }
    }
}

/// The kernel command line of an ephemeral boot, without the loader's own `BOOTIF`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandLine {
    /// The root file system.
    pub root: RootFileSystem,
    /// The host name for the initial RAM disk's network; `maas-enlist` for an unknown machine.
    pub hostname: String,
    /// The pre-seed's whole URL.
    pub preseed_url: String,
    /// The ephemeral operating system.
    pub os: String,
    /// Its series.
    pub release: String,
    /// The Debian architecture.
    pub arch: String,
    /// Parameters for the ephemeral OS alone.
    #[serde(default)]
    pub ephemeral_options: String,
    /// Parameters that the installed system keeps (curtin copies what follows `---`).
    #[serde(default)]
    pub extra_options: String,
}

impl CommandLine {
    /// The text.
    #[must_use]
    pub fn render(&self, endpoints: &Endpoints) -> String {
        let mut words: Vec<String> = vec!["nomodeset".to_owned()];
        match &self.root {
            RootFileSystem::Squash { path } => {
                words.push(format!("root=squash:{}", endpoints.image(path)));
            }
            RootFileSystem::Tar { path } => {
                words.push(format!("root=tar:{}", endpoints.image(path)));
            }
        }
        if endpoints.is_ipv6() {
            words.push("ip=off".to_owned());
            words.push("ip6=dhcp".to_owned());
        } else {
            words.push(format!("ip=::::{}:BOOTIF:dhcp", word(&self.hostname)));
            words.push("ip6=off".to_owned());
        }
        words.push("cc:{'datasource_list': ['MAAS']}end_cc".to_owned());
        words.push(format!("cloud-config-url={}", self.preseed_url));
        if matches!(self.root, RootFileSystem::Squash { .. }) {
            words.push("ro overlayroot=tmpfs overlayroot_cfgdisk=disabled".to_owned());
        }
        if self.os == "ubuntu" && Series::is_before(&self.release, (22, 4)) {
            words.push("apparmor=0".to_owned());
        }
        words.push(format!("log_host={}", word(endpoints.log_host())));
        words.push(format!("log_port={}", endpoints.log_port));
        match self.arch.as_str() {
            "armhf" => words.push("console=ttyAMA0".to_owned()),
            "ppc64el" => words.push("rootdelay=60".to_owned()),
            _ => {}
        }
        words.extend(parameters(&self.ephemeral_options));
        let extra = parameters(&self.extra_options);
        if !extra.is_empty() {
            words.push("---".to_owned());
            words.extend(extra);
        }
        words.join(" ")
    }
}

/// Free parameters as single words, so that no line break ends a configuration's line early.
fn parameters(text: &str) -> Vec<String> {
    text.split_whitespace().map(word).filter(|word| !word.is_empty()).collect()
}

fn word(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect()
}
