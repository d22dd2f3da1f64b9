//! Vendor data: the operator's cloud-config beside the user's.

use std::net::IpAddr;

use maas_netconfig::yaml::{self, Map, Value};
use serde::{Deserialize, Serialize};

use super::preseed::{cloud_config, credentials_document};
use crate::deploy::Endpoints;
use crate::id::SystemId;
use crate::machine::NodeCredentials;
use crate::secret::Secret;

/// What vendor data is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VendorData {
    /// The image's first user, when it is not the image's own choice.
    pub default_user: Option<DefaultUser>,
    /// Time servers, by address or name.
    pub ntp: Vec<String>,
    /// Packages to install.
    pub packages: Vec<String>,
    /// Files to write.
    pub write_files: Vec<WriteFile>,
    /// Commands to run once, in order.
    pub run_commands: Vec<String>,
    /// Commands that set snapd up.
    pub snap_commands: Vec<String>,
}

/// The image's first user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultUser {
    /// The login name.
    pub name: String,
    /// The full name.
    pub gecos: String,
}

/// A file that cloud-init writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteFile {
    /// The absolute path.
    pub path: String,
    /// The mode in octal, e.g. `0600`.
    pub permissions: String,
    /// The content; it may hold credentials.
    pub content: Secret<String>,
}

/// Regular reports of a deployed machine's hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardwareSync {
    /// Seconds between two reports.
    pub interval_seconds: u32,
}

impl VendorData {
    /// Adds the unit and timer that report the machine's hardware, and its credentials.
    pub fn add_hardware_sync(
        &mut self,
        sync: HardwareSync,
        machine: &SystemId,
        credentials: &NodeCredentials,
        endpoints: &Endpoints,
    ) {
        let script = format!("{}/MAAS/maas-run-scripts", endpoints.rack());
        let service = format!(
            "[Unit]\nDescription=Report this machine's hardware to MAAS\nWants=network-online.target\nAfter=network-online.target\n\n\
             [Service]\nType=oneshot\nExecStartPre=/usr/bin/wget --no-proxy -O /usr/bin/maas-run-scripts {script}\n\
             ExecStartPre=/bin/chmod 0755 /usr/bin/maas-run-scripts\n\
             ExecStart=/usr/bin/maas-run-scripts report-results --config /etc/maas/maas-machine-creds.yml\n"
        );
        let timer = format!(
            "[Unit]\nDescription=Report this machine's hardware to MAAS regularly\n\n\
             [Timer]\nOnBootSec={0}\nOnUnitActiveSec={0}\n\n[Install]\nWantedBy=timers.target\n",
            sync.interval_seconds
        );
        let mut maas = Map::new();
        maas.insert("endpoint", endpoints.status(machine));
        for (key, value) in credentials_document(credentials) {
            maas.insert(key, value);
        }
        let reporting = Value::map([("reporting", Value::map([("maas", Value::Map(maas))]))]);
        let credentials = yaml::to_string(&reporting).unwrap_or_default();
        for (path, permissions, content) in [
            ("/lib/systemd/system/maas_hardware_sync.service", "0644", service),
            ("/lib/systemd/system/maas_hardware_sync.timer", "0644", timer),
            ("/etc/maas/maas-machine-creds.yml", "0600", credentials),
        ] {
            self.write_files.push(WriteFile {
                path: path.to_owned(),
                permissions: permissions.to_owned(),
                content: Secret::new(content),
            });
        }
        self.run_commands.push("systemctl daemon-reload".to_owned());
        self.run_commands.push("systemctl enable --now maas_hardware_sync.timer".to_owned());
    }

    /// The cloud-config as a value.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut document = Map::new();
        if let Some(user) = &self.default_user {
            let user = Value::map([
                ("name", Value::from(user.name.as_str())),
                ("gecos", Value::from(user.gecos.as_str())),
            ]);
            document.insert("system_info", Value::map([("default_user", user)]));
        }
        if !self.ntp.is_empty() {
            let (servers, pools): (Vec<_>, Vec<_>) =
                self.ntp.iter().map(String::as_str).partition(|name| is_address(name));
            document.insert(
                "ntp",
                Value::map([("servers", Value::list(servers)), ("pools", Value::list(pools))]),
            );
        }
        if !self.packages.is_empty() {
            document.insert("packages", Value::list(self.packages.iter().map(String::as_str)));
        }
        if !self.write_files.is_empty() {
            let files = self.write_files.iter().map(|file| {
                Value::map([
                    ("path", Value::from(file.path.as_str())),
                    ("permissions", Value::from(file.permissions.as_str())),
                    ("content", Value::from(file.content.expose().as_str())),
                ])
            });
            document.insert("write_files", Value::list(files));
        }
        if !self.snap_commands.is_empty() {
            let commands = Value::list(self.snap_commands.iter().map(String::as_str));
            document.insert("snap", Value::map([("commands", commands)]));
        }
        if !self.run_commands.is_empty() {
            document.insert("runcmd", Value::list(self.run_commands.iter().map(String::as_str)));
        }
        Value::Map(document)
    }

    /// The `vendor-data` item of the metadata service: YAML whose `cloud-init` is a
    /// cloud-config text.
    #[must_use]
    pub fn item(&self) -> Secret<String> {
        let text = cloud_config(&self.document());
        let item = Value::map([("cloud-init", Value::from(text))]);
        Secret::new(yaml::to_string(&item).unwrap_or_default())
    }
}

fn is_address(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn inner(vendor: &VendorData) -> Value {
        let item: Value = yaml::from_str(vendor.item().expose()).unwrap();
        let text = item.get("cloud-init").unwrap().as_str().unwrap();
        yaml::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap()
    }

    #[test]
    fn time_servers_are_sorted_into_addresses_and_names() {
        let vendor = VendorData {
            ntp: vec!["10.0.0.1".into(), "ntp.ubuntu.com".into(), "fd00::1".into()],
            ..Default::default()
        };
        let ntp = inner(&vendor);
        let ntp = ntp.get("ntp").unwrap();
        assert_eq!(ntp.get("servers"), Some(&Value::list(["10.0.0.1", "fd00::1"])));
        assert_eq!(ntp.get("pools"), Some(&Value::list(["ntp.ubuntu.com"])));
    }

    #[test]
    fn empty_vendor_data_is_an_empty_mapping() {
        assert_eq!(inner(&VendorData::default()), Value::Map(Map::new()));
    }

    #[test]
    fn hardware_sync_hides_its_credentials_from_other_users() {
        let mut vendor = VendorData::default();
        let credentials = NodeCredentials {
            consumer_key: "ck".into(),
            token_key: "tk".into(),
            token_secret: Secret::new("hunter2".into()),
        };
        vendor.add_hardware_sync(
            HardwareSync { interval_seconds: 900 },
            &SystemId::from_entropy(7),
            &credentials,
            &Endpoints::new("10.0.0.1"),
        );
        let secret =
            vendor.write_files.iter().find(|f| f.content.expose().contains("hunter2")).unwrap();
        assert_eq!(secret.permissions, "0600");
        assert!(!format!("{vendor:?}").contains("hunter2"));
        assert_eq!(inner(&vendor).get("runcmd").unwrap().as_list().unwrap().len(), 2);
    }
}
