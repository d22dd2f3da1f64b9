//! What a user and an operator ask of a deployment.

use std::collections::BTreeMap;

use maas_netconfig::Network;
use serde::{Deserialize, Serialize};

use super::apt::AptSettings;
use super::datasource::DatasourceChoice;
use crate::cloud_init::{DefaultUser, HardwareSync, WriteFile};
use crate::image::EphemeralDefaults;
use crate::machine::Role;
use crate::secret::Secret;
use crate::storage::LayoutRequest;
use crate::template::Library;

/// Everything that can be asked of a deployment; the defaults install Ubuntu's default series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeploymentOptions {
    /// Who asks; the machine must be allocated to them. `None` asks for a preview that does not
    /// look at the allocation.
    pub requester: Option<Requester>,
    /// The operating system: `ubuntu`, `centos`, `custom`…; empty finds an image by its name.
    pub osystem: String,
    /// The series, or a custom image's name.
    pub distro_series: String,
    /// The kernel by name (`hwe-24.04`, `ga-24.04-lowlatency`); empty for the image's own.
    pub hwe_kernel: String,
    /// Run the system from memory; nothing is installed.
    pub ephemeral: bool,
    /// The user's cloud-init data, as cloud-init gets it.
    #[serde(with = "base64_bytes")]
    pub user_data: Option<Secret<Vec<u8>>>,
    /// The storage layout; the machine's own choice when `None`.
    pub storage: Option<LayoutRequest>,
    /// The network; the machine's own choice when `None`.
    pub network: Option<Network>,
    /// Kernel parameters that the installed system keeps, after those of the machine.
    pub kernel_options: String,
    /// The size of the swap file in bytes, 0 for none; `None` leaves it to curtin.
    pub swap_size: Option<u64>,
    /// The owner's SSH keys.
    pub ssh_keys: Vec<String>,
    /// Time servers.
    pub ntp: Vec<String>,
    /// Archives and proxy.
    pub apt: AptSettings,
    /// The image's first user.
    pub default_user: Option<DefaultUser>,
    /// Regular reports of the deployed machine's hardware.
    pub hardware_sync: Option<HardwareSync>,
    /// Whether the installed kernel saves a memory dump when it crashes.
    pub crash_dumps: bool,
    /// Which datasource the installed system's cloud-init is to take.
    pub datasource: DatasourceChoice,
    /// The operator's pre-seed templates.
    pub preseeds: Library,
    /// Commands that curtin runs before everything else, by name, in the order of the names.
    pub early_commands: BTreeMap<String, Vec<String>>,
    /// Commands that curtin runs on the installed system, by name, in the order of the names.
    pub late_commands: BTreeMap<String, Vec<String>>,
    /// Files that cloud-init writes on the installed system.
    pub write_files: Vec<WriteFile>,
    /// Windows' licence key.
    pub license_key: Option<Secret<String>>,
    /// What machines boot when the target cannot be booted itself.
    pub ephemeral_defaults: EphemeralDefaults,
    /// Packages to install in the ephemeral OS.
    pub ephemeral_packages: Vec<String>,
}

/// Who asks for a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// The user's name.
    pub username: String,
    /// What the user may do.
    pub role: Role,
}

impl Default for DeploymentOptions {
    fn default() -> Self {
        Self {
            requester: None,
            osystem: "ubuntu".to_owned(),
            distro_series: "noble".to_owned(),
            hwe_kernel: String::new(),
            ephemeral: false,
            user_data: None,
            storage: None,
            network: None,
            kernel_options: String::new(),
            swap_size: None,
            ssh_keys: Vec::new(),
            ntp: Vec::new(),
            apt: AptSettings::default(),
            default_user: None,
            hardware_sync: None,
            crash_dumps: false,
            datasource: DatasourceChoice::default(),
            preseeds: Library::default(),
            early_commands: BTreeMap::new(),
            late_commands: BTreeMap::new(),
            write_files: Vec::new(),
            license_key: None,
            ephemeral_defaults: EphemeralDefaults::default(),
            ephemeral_packages: Vec::new(),
        }
    }
}

/// Bytes as text where they are text, as base64 otherwise.
mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::secret::Secret;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Encoded { base64: String },
    }

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Secret<Vec<u8>>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value
            .as_ref()
            .map(|bytes| match std::str::from_utf8(bytes.expose()) {
                Ok(text) => Form::Text(text.to_owned()),
                Err(_) => Form::Encoded { base64: STANDARD.encode(bytes.expose()) },
            })
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Secret<Vec<u8>>>, D::Error> {
        Ok(match Option::<Form>::deserialize(deserializer)? {
            None => None,
            Some(Form::Text(text)) => Some(Secret::new(text.into_bytes())),
            Some(Form::Encoded { base64 }) => {
                let bytes = STANDARD
                    .decode(base64)
                    .map_err(|_| D::Error::custom("user_data.base64 is not base64"))?;
                Some(Secret::new(bytes))
            }
        })
    }
}
