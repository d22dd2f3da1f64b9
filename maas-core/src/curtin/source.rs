//! What curtin installs: the source of each image form.

use maas_netconfig::yaml::Value;
use serde::{Deserialize, Serialize};

use crate::deploy::Endpoints;
use crate::image::{BootResource, EphemeralImage, FileType};

/// Where curtin takes the target from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The root file system that the ephemeral OS itself runs from.
    RunningRoot,
    /// A file by URL.
    Url {
        /// curtin's type: `tgz`, `dd-gz`, `fsimage`…
        kind: String,
        /// The URL.
        uri: String,
    },
}

impl Source {
    /// curtin's `sources` section.
    #[must_use]
    pub fn document(&self) -> Value {
        let source = match self {
            Self::RunningRoot => Value::from("cp:///media/root-ro"),
            Self::Url { kind, uri } => Value::map([
                ("type", Value::from(kind.as_str())),
                ("uri", Value::from(uri.as_str())),
            ]),
        };
        Value::map([("sources", Value::map([("maas", source)]))])
    }

    /// Whether the source is a whole disk, which curtin writes without partitioning.
    #[must_use]
    pub fn is_disk_image(&self) -> bool {
        matches!(self, Self::Url { kind, .. } if kind.starts_with("dd-"))
    }
}

/// The source that installs `target` from `running`; `None` when the image has nothing that
/// curtin installs.
#[must_use]
pub fn source(
    target: &BootResource,
    running: &EphemeralImage,
    endpoints: &Endpoints,
) -> Option<Source> {
    let file = target.root_file()?;
    if file.filetype == FileType::Squashfs {
        // Same bytes: what runs is what is to be installed, and need not be fetched again.
        if running.root().sha256 == file.sha256 {
            return Some(Source::RunningRoot);
        }
        return Some(Source::Url {
            kind: "fsimage".to_owned(),
            uri: endpoints.image_url(target, file),
        });
    }
    Some(Source::Url {
        kind: file.filetype.curtin_type()?.to_owned(),
        uri: endpoints.image_url(target, file),
    })
}
