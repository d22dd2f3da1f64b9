//! The metadata service's `meta-data/` items (MAAS datasource, version 2012-03-01).

use serde::{Deserialize, Serialize};

use crate::id::SystemId;

/// What the datasource asks for below `meta-data/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaData {
    /// `instance-id`.
    pub instance_id: String,
    /// `local-hostname`: the whole name with the domain.
    pub local_hostname: String,
    /// `public-keys`: SSH keys, one line each.
    pub public_keys: Vec<String>,
    /// `vendor-data`: a YAML mapping whose `cloud-init` is a cloud-config text.
    pub vendor_data: String,
}

impl MetaData {
    /// What an enlisting machine is told.
    #[must_use]
    pub fn enlistment(vendor_data: String) -> Self {
        Self {
            instance_id: "i-maas-enlistment".to_owned(),
            local_hostname: "maas-enlisting-node".to_owned(),
            public_keys: Vec::new(),
            vendor_data,
        }
    }

    /// What a known machine is told.
    #[must_use]
    pub fn of(
        machine: &SystemId,
        hostname: &str,
        domain: &str,
        public_keys: Vec<String>,
        vendor_data: String,
    ) -> Self {
        let local_hostname =
            if domain.is_empty() { hostname.to_owned() } else { format!("{hostname}.{domain}") };
        Self { instance_id: machine.to_string(), local_hostname, public_keys, vendor_data }
    }

    /// The items' names in order; the keys are not listed when there are none.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let mut names = vec!["instance-id", "local-hostname"];
        if !self.public_keys.is_empty() {
            names.push("public-keys");
        }
        names.push("vendor-data");
        names
    }

    /// The body of an item, and its content type; `None` for an item that does not exist.
    #[must_use]
    pub fn item(&self, name: &str) -> Option<(String, &'static str)> {
        const TEXT: &str = "text/plain; charset=utf-8";
        Some(match name {
            "instance-id" => (self.instance_id.clone(), TEXT),
            "local-hostname" => (self.local_hostname.clone(), TEXT),
            "public-keys" => (self.public_keys.join("\n"), TEXT),
            "x509" => (String::new(), TEXT),
            "vendor-data" => (self.vendor_data.clone(), "application/x-yaml; charset=utf-8"),
            _ => return None,
        })
    }
}

/// A listing as the metadata service writes it: one name per line.
#[must_use]
pub fn listing(names: &[&str]) -> String {
    names.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keys_are_listed_only_when_there_are_some_but_can_always_be_asked_for() {
        let mut meta = MetaData::enlistment(String::new());
        assert_eq!(listing(&meta.names()), "instance-id\nlocal-hostname\nvendor-data");
        assert_eq!(meta.item("public-keys").unwrap().0, "");
        meta.public_keys = vec!["ssh-ed25519 A a".into(), "ssh-ed25519 B b".into()];
        assert!(meta.names().contains(&"public-keys"));
        assert_eq!(meta.item("public-keys").unwrap().0, "ssh-ed25519 A a\nssh-ed25519 B b");
        assert_eq!(meta.item("nothing"), None);
    }
}
