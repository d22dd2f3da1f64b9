//! What a root file system in an archive holds, gathered member by member.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use maas_netconfig::yaml::{self, Value};
use serde::{Deserialize, Serialize};

use super::elf;
use super::finding::Finding;
use super::limits::Limits;
use super::tape::{Kind, Member, fill};
use crate::image::PackedSeed;

/// Folders in which a shell looks for programs.
const PROGRAMS: [&str; 6] =
    ["bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin"];
/// The most programs whose architecture is looked at, and names that are kept of one kind.
const MOST_PROGRAMS: usize = 256;
const MOST_NAMES: usize = 64;

/// What a root file system holds, as far as a deployment depends on it. Paths begin with `/`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RootFacts {
    /// Which distribution it is.
    pub os_release: Option<OsRelease>,
    /// The Debian architecture of most of its programs.
    pub architecture: Option<String>,
    /// Kernels below `/boot`.
    pub kernels: Vec<String>,
    /// Initial RAM disks below `/boot`.
    pub initrds: Vec<String>,
    /// The program cloud-init.
    pub cloud_init: Option<String>,
    /// Whether netplan is there.
    pub netplan: bool,
    /// What applies network configuration: `netplan`, `ifupdown`, `network-manager`, `networkd`,
    /// `network-scripts`.
    pub network_renderers: BTreeSet<String>,
    /// curtin's hooks that are there: `/curtin/curtin-hooks`, `/curtin/finalize`…
    pub curtin_hooks: Vec<String>,
    /// cloud-init configuration that decides on the data source.
    pub packed_seeds: Vec<PackedSeed>,
}

/// Which distribution it is (`/etc/os-release`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OsRelease {
    /// `ID`, e.g. `debian`.
    pub id: String,
    /// `VERSION_ID`, e.g. `12`.
    pub version_id: String,
    /// `PRETTY_NAME`.
    pub pretty_name: String,
}

/// Gathers [`RootFacts`].
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    facts: RootFacts,
    findings: Vec<Finding>,
    programs: BTreeMap<&'static str, usize>,
    programs_seen: usize,
    nocloud: BTreeSet<String>,
    has_etc: bool,
    has_programs: bool,
    /// Folders that hold an `etc` of their own, one level down.
    nested: BTreeSet<String>,
}

impl Gatherer {
    /// Takes a member in; reads of its content what it needs.
    pub(super) fn member(
        &mut self,
        member: &Member,
        content: &mut dyn Read,
        limits: &Limits,
    ) -> io::Result<()> {
        let path = member.path.as_str();
        if member.is_unsafe && !path.is_empty() && self.findings.len() < MOST_NAMES {
            let member = path.chars().take(200).collect();
            self.findings.push(Finding::UnsafeMember { member });
        }
        self.place(path);
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if member.kind == Kind::Directory {
            self.directory(path);
            return Ok(());
        }
        if PROGRAMS.contains(&folder) {
            self.program(member, folder, name, content)?;
        }
        let absolute = || format!("/{path}");
        match folder {
            "boot" => {
                let (kernels, initrds) = (&mut self.facts.kernels, &mut self.facts.initrds);
                if ["vmlinuz", "vmlinux", "Image", "kernel-"].iter().any(|n| name.starts_with(n)) {
                    push(kernels, absolute());
                } else if ["initrd", "initramfs"].iter().any(|n| name.starts_with(n)) {
                    push(initrds, absolute());
                }
            }
            "curtin" => {
                if matches!(name, "curtin-hooks" | "finalize") && member.mode & 0o111 == 0 {
                    self.findings.push(Finding::HooksNotExecutable { path: absolute() });
                }
                push(&mut self.facts.curtin_hooks, absolute());
            }
            "etc/ssh" if name.starts_with("ssh_host_") && name.ends_with("_key") => {
                self.findings.push(Finding::HostKeys { path: absolute() });
            }
            "etc/cloud" if name == "cloud-init.disabled" => {
                self.findings.push(Finding::CloudInitDisabled { path: absolute() });
            }
            "etc/cloud/cloud.cfg.d" if name.ends_with(".cfg") => {
                let text = text(content, limits)?;
                self.cloud_config(absolute(), &text);
            }
            "var/lib/cloud/seed/nocloud" | "var/lib/cloud/seed/nocloud-net" => {
                self.nocloud.insert(format!("/{folder}"));
            }
            _ => {}
        }
        match path {
            "etc/os-release" | "usr/lib/os-release" if member.kind == Kind::File => {
                self.facts.os_release = Some(os_release(&text(content, limits)?));
            }
            "etc/network/interfaces" => self.renderer("ifupdown"),
            "usr/lib/systemd/systemd-networkd" | "lib/systemd/systemd-networkd" => {
                self.renderer("networkd");
            }
            _ => {}
        }
        Ok(())
    }

    fn place(&mut self, path: &str) {
        let mut parts = path.split('/');
        match (parts.next(), parts.next()) {
            (Some("etc"), _) => self.has_etc = true,
            (Some("bin" | "sbin"), _) | (Some("usr"), Some("bin" | "sbin")) => {
                self.has_programs = true;
            }
            (Some(folder), Some("etc")) if self.nested.len() < MOST_NAMES => {
                self.nested.insert(folder.to_owned());
            }
            _ => {}
        }
    }

    fn directory(&mut self, path: &str) {
        match path {
            "etc/netplan" => self.facts.netplan = true,
            "etc/sysconfig/network-scripts" => self.renderer("network-scripts"),
            _ => {}
        }
    }

    fn program(
        &mut self,
        member: &Member,
        folder: &str,
        name: &str,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        match name {
            "cloud-init" => self.facts.cloud_init = Some(format!("/{folder}/{name}")),
            "netplan" => {
                self.facts.netplan = true;
                self.renderer("netplan");
            }
            "ifup" => self.renderer("ifupdown"),
            "NetworkManager" => self.renderer("network-manager"),
            _ => {}
        }
        if member.kind == Kind::File && self.programs_seen < MOST_PROGRAMS {
            let mut start = [0; elf::HEADER];
            let read = fill(content, &mut start)?;
            if let Some(arch) = start.get(..read).and_then(elf::architecture) {
                *self.programs.entry(arch).or_default() += 1;
                self.programs_seen += 1;
            }
        }
        Ok(())
    }

    fn renderer(&mut self, name: &str) {
        self.facts.network_renderers.insert(name.to_owned());
    }

    fn cloud_config(&mut self, path: String, text: &str) {
        let Ok(document) = yaml::from_str::<Value>(text) else { return };
        let Some(list) = document.get("datasource_list").and_then(Value::as_list) else { return };
        let names: Vec<String> =
            list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        if self.facts.packed_seeds.len() < MOST_NAMES {
            self.facts.packed_seeds.push(PackedSeed::DatasourceList { path, names });
        }
    }

    /// What was found; `whole` when every member was seen, so that what is missing is missing.
    pub(super) fn finish(mut self, whole: bool) -> (RootFacts, Vec<Finding>) {
        let seeds = self.nocloud.into_iter().map(|path| PackedSeed::NoCloud { path });
        self.facts.packed_seeds.extend(seeds);
        self.facts.architecture = self
            .programs
            .iter()
            .max_by_key(|(_, count)| **count)
            .map(|(architecture, _)| (*architecture).to_owned());
        let (facts, mut findings) = (self.facts, self.findings);
        for seed in &facts.packed_seeds {
            findings.push(Finding::PackedSeed { path: seed.path().to_owned() });
        }
        if !whole {
            return (facts, findings);
        }
        if !(self.has_etc && self.has_programs) {
            findings.push(Finding::NoRootFileSystem { below: self.nested.into_iter().next() });
            return (facts, findings);
        }
        if facts.cloud_init.is_none() {
            findings.push(Finding::NoCloudInit);
        }
        if facts.kernels.is_empty() {
            findings.push(Finding::NoKernel);
        } else if facts.initrds.is_empty() {
            findings.push(Finding::NoInitrd);
        }
        if facts.network_renderers.is_empty() {
            findings.push(Finding::NoNetworkRenderer);
        }
        (facts, findings)
    }
}

fn push(names: &mut Vec<String>, name: String) {
    if names.len() < MOST_NAMES {
        names.push(name);
    }
}

fn text(content: &mut dyn Read, limits: &Limits) -> io::Result<String> {
    let mut bytes = Vec::new();
    content.take(limits.text).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn os_release(text: &str) -> OsRelease {
    let value = |key: &str| {
        text.lines()
            .filter_map(|line| line.trim().split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.trim().trim_matches(['"', '\'']).chars().take(200).collect())
            .unwrap_or_default()
    };
    OsRelease {
        id: value("ID"),
        version_id: value("VERSION_ID"),
        pretty_name: value("PRETTY_NAME"),
    }
}
