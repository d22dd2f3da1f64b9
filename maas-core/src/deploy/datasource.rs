//! Which datasource the installed system's cloud-init will take, and why.

use maas_netconfig::yaml::{Map, Value};
use serde::{Deserialize, Serialize};

use crate::image::{BootResource, Origin, PackedSeed};

/// What the user wants of the datasource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasourceChoice {
    /// Let cloud-init decide by its own rules.
    #[default]
    Closest,
    /// Take MAAS's metadata service, whatever the image has packed: curtin writes a file that comes
    /// after every other.
    MetadataService,
    /// The same by the installed system's kernel command line, for images into which curtin cannot
    /// write; curtin or the image's own hooks must hand the parameters on to its boot loader.
    KernelCommandLine,
    /// Take what the image has packed.
    Packed,
}

/// A datasource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Datasource {
    /// MAAS's metadata service, through the rack.
    MetadataService,
    /// What the image has packed.
    Packed,
}

/// Which datasource wins, and why.
///
/// A system that takes [`Datasource::Packed`] never asks the metadata service for its user data;
/// that it is up is then told by its cloud-init's report of `modules-final` alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasourceVerdict {
    /// The winner.
    pub winner: Datasource,
    /// Why, in a sentence.
    pub reason: String,
}

/// The file by which a choice is forced: it sorts after every file that an image may bring.
const LAST: &str = "/etc/cloud/cloud.cfg.d/zz-datasource.cfg";
/// The kernel parameter by which cloud-init takes one datasource and no other.
const PARAMETER: &str = "ci.ds=MAAS";
/// Where curtin puts our list of datasources.
const OURS: &str = "/etc/cloud/cloud.cfg.d/95-cloudconfig-maas-datasource.cfg";

impl DatasourceVerdict {
    /// Decides for a target image and a choice.
    #[must_use]
    pub fn decide(target: &BootResource, choice: DatasourceChoice) -> Self {
        let seed = match &target.origin {
            Origin::Custom { packed_seed, .. } => packed_seed.as_ref(),
            Origin::Standard { .. } => None,
        };
        let (winner, reason) = match (choice, seed) {
            (_, None) => (
                Datasource::MetadataService,
                "the image has no packed cloud-init configuration".to_owned(),
            ),
            (DatasourceChoice::MetadataService, Some(seed)) => (
                Datasource::MetadataService,
                format!("it was chosen; {LAST} comes after {}", seed.path()),
            ),
            (DatasourceChoice::KernelCommandLine, Some(seed)) => (
                Datasource::MetadataService,
                format!(
                    "it was chosen; {PARAMETER} on the installed kernel's command line overrules {}",
                    seed.path()
                ),
            ),
            (DatasourceChoice::Packed, Some(seed)) => (
                Datasource::Packed,
                format!(
                    "it was chosen; the system asks the metadata service for nothing, and {} applies",
                    seed.path()
                ),
            ),
            (DatasourceChoice::Closest, Some(PackedSeed::NoCloud { path })) => (
                Datasource::MetadataService,
                format!("{OURS} lists MAAS alone, so the seed in {path} is not looked at"),
            ),
            (DatasourceChoice::Closest, Some(PackedSeed::DatasourceList { path, names })) => {
                let ours_is_last = OURS > path.as_str();
                let lists_maas = names.iter().any(|name| name == "MAAS");
                if ours_is_last {
                    (
                        Datasource::MetadataService,
                        format!("{OURS} sorts after {path}, and the last list wins"),
                    )
                } else if lists_maas {
                    (Datasource::MetadataService, format!("{path} lists MAAS too"))
                } else {
                    (
                        Datasource::Packed,
                        format!(
                            "{path} sorts after {OURS}, the last list wins, and it names {}",
                            names.join(", ")
                        ),
                    )
                }
            }
        };
        Self { winner, reason }
    }

    /// The kernel parameter that the installed system keeps for the choice's sake.
    pub(super) fn kernel_parameter(
        choice: DatasourceChoice,
        target: &BootResource,
    ) -> Option<&'static str> {
        let has_seed = matches!(&target.origin, Origin::Custom { packed_seed: Some(_), .. });
        (choice == DatasourceChoice::KernelCommandLine && has_seed).then_some(PARAMETER)
    }

    /// What must be written besides to make it so: curtin's `write_files`.
    pub(super) fn forcing_file(choice: DatasourceChoice, target: &BootResource) -> Option<Value> {
        let Origin::Custom { packed_seed: Some(seed), .. } = &target.origin else { return None };
        let list = match (choice, seed) {
            (DatasourceChoice::MetadataService, _) => "[ MAAS ]",
            (DatasourceChoice::Packed, PackedSeed::NoCloud { .. }) => "[ NoCloud, None ]",
            _ => return None,
        };
        let file = Value::map([
            ("path", Value::from(LAST)),
            ("permissions", Value::from("0644")),
            ("content", Value::from(format!("datasource_list: {list}\n"))),
        ]);
        let files = Map::from_iter([("maas_datasource", file)]);
        Some(Value::map([("write_files", Value::Map(files))]))
    }
}

impl PackedSeed {
    /// The directory or file in the image.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::NoCloud { path } | Self::DatasourceList { path, .. } => path,
        }
    }
}
