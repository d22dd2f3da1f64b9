//! The archives of Debian packages, as cloud-init and curtin are told.

use maas_netconfig::yaml::{Map, Value};
use serde::{Deserialize, Serialize};

use crate::image::Series;

/// Archives and proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AptSettings {
    /// Ubuntu's archive for amd64 and i386.
    pub main_archive: String,
    /// Ubuntu's archive for all other architectures.
    pub ports_archive: String,
    /// The archive of security updates, when it is not the main one.
    pub security_archive: Option<String>,
    /// The components, e.g. `main`.
    pub components: Vec<String>,
    /// Pockets left out: `updates`, `security`, `backports`.
    pub disabled_pockets: Vec<String>,
    /// Further repositories.
    pub repositories: Vec<Repository>,
    /// The proxy for packages.
    pub http_proxy: Option<String>,
}

/// A further repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its name, also its file's.
    pub name: String,
    /// Its URL, or `ppa:USER/NAME`.
    pub url: String,
    /// Its distributions; the series when empty.
    #[serde(default)]
    pub distributions: Vec<String>,
    /// Its components; `main` when empty.
    #[serde(default)]
    pub components: Vec<String>,
    /// Its ASCII-armoured public key.
    #[serde(default)]
    pub key: Option<String>,
}

impl Default for AptSettings {
    fn default() -> Self {
        Self {
            main_archive: "http://archive.ubuntu.com/ubuntu".to_owned(),
            ports_archive: "http://ports.ubuntu.com/ubuntu-ports".to_owned(),
            security_archive: None,
            components: ["main", "universe", "restricted", "multiverse"].map(str::to_owned).into(),
            disabled_pockets: Vec::new(),
            repositories: Vec::new(),
            http_proxy: None,
        }
    }
}

impl AptSettings {
    /// The `apt` section for an operating system; both cloud-init and curtin read it.
    ///
    /// Ubuntu from 24.04 on gets its sources in deb822 form, older series in one-line form.
    /// Other systems keep the sources that their images bring.
    #[must_use]
    pub fn document(&self, os: &str, release: &str, arch: &str) -> Value {
        let mut apt = Map::new();
        if os == "ubuntu" {
            let archive = self.archive(arch);
            let security = self.security_archive.as_deref().unwrap_or(archive);
            let mirror = |uri: &str| {
                Value::List(vec![Value::map([
                    ("arches", Value::list(["default"])),
                    ("uri", Value::from(uri)),
                ])])
            };
            apt.insert("preserve_sources_list", false);
            apt.insert("primary", mirror(archive));
            apt.insert("security", mirror(security));
            apt.insert("sources_list", self.sources_list(release, archive, security));
        } else {
            apt.insert("preserve_sources_list", true);
        }
        if let Some(proxy) = &self.http_proxy {
            apt.insert("proxy", proxy.as_str());
        }
        if !self.repositories.is_empty() && (os == "ubuntu" || os == "debian") {
            let sources = self.repositories.iter().map(|repository| {
                let mut source = Map::new();
                source.insert("source", repository.line(release));
                if let Some(key) = &repository.key {
                    source.insert("key", key.as_str());
                }
                (format!("{}.list", repository.name), Value::Map(source))
            });
            apt.insert("sources", Value::Map(sources.collect()));
        }
        Value::Map(apt)
    }

    fn archive(&self, arch: &str) -> &str {
        match arch {
            "amd64" | "i386" => &self.main_archive,
            _ => &self.ports_archive,
        }
    }

    fn sources_list(&self, release: &str, archive: &str, security: &str) -> String {
        let release = Series::find(release).map_or(release, |series| series.codename);
        let components = self.components.join(" ");
        let enabled = |pocket: &&&str| !self.disabled_pockets.iter().any(|p| p == **pocket);
        let mut suites = vec![release.to_owned()];
        suites.extend(
            ["updates", "backports"].iter().filter(enabled).map(|p| format!("{release}-{p}")),
        );
        let with_security = enabled(&&"security");
        if Series::is_before(release, (24, 4)) {
            let mut text: String = suites
                .iter()
                .map(|suite| format!("deb {archive} {suite} {components}\n"))
                .collect();
            if with_security {
                text.push_str(&format!("deb {security} {release}-security {components}\n"));
            }
            return text;
        }
        let stanza = |uri: &str, suites: &str| {
            format!(
                "Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: {components}\n\
                 Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n"
            )
        };
        let mut text = stanza(archive, &suites.join(" "));
        if with_security {
            text.push('\n');
            text.push_str(&stanza(security, &format!("{release}-security")));
        }
        text
    }
}

impl Repository {
    fn line(&self, release: &str) -> String {
        if self.url.starts_with("ppa:") {
            return self.url.clone();
        }
        let distributions = if self.distributions.is_empty() {
            release.to_owned()
        } else {
            self.distributions.join(" ")
        };
        let components =
            if self.components.is_empty() { "main".to_owned() } else { self.components.join(" ") };
        format!("deb {} {distributions} {components}", self.url)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn sources(release: &str, arch: &str) -> String {
        let settings =
            AptSettings { disabled_pockets: vec!["backports".into()], ..Default::default() };
        let document = settings.document("ubuntu", release, arch);
        document.get("sources_list").unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn ubuntu_changes_its_form_with_noble() {
        assert_eq!(
            sources("jammy", "amd64"),
            "deb http://archive.ubuntu.com/ubuntu jammy main universe restricted multiverse\n\
             deb http://archive.ubuntu.com/ubuntu jammy-updates main universe restricted multiverse\n\
             deb http://archive.ubuntu.com/ubuntu jammy-security main universe restricted multiverse\n"
        );
        let noble = sources("noble", "arm64");
        assert!(noble.starts_with(
            "Types: deb\nURIs: http://ports.ubuntu.com/ubuntu-ports\nSuites: noble noble-updates\n"
        ));
        assert!(noble.contains(
            "\n\nTypes: deb\nURIs: http://ports.ubuntu.com/ubuntu-ports\nSuites: noble-security\n"
        ));
    }

    #[test]
    fn other_systems_keep_their_own_sources() {
        let document = AptSettings::default().document("debian", "bookworm", "amd64");
        assert_eq!(document.get("preserve_sources_list"), Some(&Value::Bool(true)));
        assert_eq!(document.get("sources_list"), None);
    }
}
