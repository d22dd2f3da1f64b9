//! Where a machine finds the rack: every URL in every document is built here.

use serde::{Deserialize, Serialize};

use crate::id::SystemId;
use crate::image::{BootResource, ImageFile};

/// The addresses by which one machine reaches its rack.
///
/// They are the rack's own, never taken from a request's Host header: GRUB and UEFI send it
/// without the port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// The rack's IP address or name, an IPv6 address without brackets.
    pub rack_host: String,
    /// The rack's HTTP port; MAAS's is 5248.
    pub rack_port: u16,
    /// The host name by which ephemeral systems reach the metadata service when their DNS is
    /// the rack's (`10-0-0-0--24.maas-internal`); the rack's address when `None`.
    #[serde(default)]
    pub metadata_host: Option<String>,
    /// Where syslog goes; the rack when `None`.
    #[serde(default)]
    pub log_host: Option<String>,
    /// Syslog's port; MAAS's is 5247.
    pub log_port: u16,
}

impl Endpoints {
    /// A rack with MAAS's own ports.
    #[must_use]
    pub fn new(rack_host: impl Into<String>) -> Self {
        Self {
            rack_host: rack_host.into(),
            rack_port: 5248,
            metadata_host: None,
            log_host: None,
            log_port: 5247,
        }
    }

    /// Whether the rack is reached by an IPv6 address.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.rack_host.contains(':')
    }

    /// The rack's host as a URL writes it, IPv6 in brackets.
    #[must_use]
    pub fn url_host(&self) -> String {
        bracketed(&self.rack_host)
    }

    /// `http://R:5248`, without a slash at the end.
    #[must_use]
    pub fn rack(&self) -> String {
        format!("http://{}:{}", self.url_host(), self.rack_port)
    }

    /// The base by which an ephemeral OS asks for its pre-seed, without a slash at the end.
    #[must_use]
    pub fn preseed_base(&self) -> String {
        self.metadata_host.as_ref().map_or_else(
            || self.rack(),
            |host| format!("http://{}:{}", bracketed(host), self.rack_port),
        )
    }

    /// The URL of a path below `/images/`.
    #[must_use]
    pub fn image(&self, path: &str) -> String {
        format!("{}/images/{path}", self.rack())
    }

    /// The URL of a file of an image.
    #[must_use]
    pub fn image_url(&self, resource: &BootResource, file: &ImageFile) -> String {
        self.image(&resource.image_path(file))
    }

    /// The metadata service as a datasource is told, with a slash at the end.
    #[must_use]
    pub fn metadata(&self) -> String {
        format!("{}/MAAS/metadata/", self.rack())
    }

    /// The metadata service for the ephemeral OS of a deployment, where asking for user data
    /// does not mean that the installed system is up.
    #[must_use]
    pub fn curtin_metadata(&self) -> String {
        format!("{}/MAAS/metadata/curtin", self.rack())
    }

    /// Where a machine's reporting webhook posts.
    #[must_use]
    pub fn status(&self, machine: &SystemId) -> String {
        format!("{}/MAAS/metadata/status/{machine}", self.rack())
    }

    /// Where a machine switches its netboot off, without credentials.
    #[must_use]
    pub fn by_id(&self, machine: &SystemId) -> String {
        format!("{}/MAAS/metadata/latest/by-id/{machine}/", self.rack())
    }

    /// The pre-seed of a known machine (`cloud-config-url`).
    #[must_use]
    pub fn preseed(&self, machine: &SystemId) -> String {
        format!("{}/MAAS/metadata/latest/by-id/{machine}/?op=get_preseed", self.preseed_base())
    }

    /// The pre-seed of a machine that is not known (`cloud-config-url`).
    #[must_use]
    pub fn enlist_preseed(&self) -> String {
        format!(
            "{}/MAAS/metadata/latest/enlist-preseed/?op=get_enlist_preseed",
            self.preseed_base()
        )
    }

    /// The host that takes syslog.
    #[must_use]
    pub fn log_host(&self) -> &str {
        self.log_host.as_deref().unwrap_or(&self.rack_host)
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
