//! Which image a machine boots and which it is given.

use serde::{Deserialize, Serialize};

use super::ephemeral::EphemeralImage;
use super::kernel::Kernel;
use super::resource::{BootResource, Origin};
use super::series::Series;
use crate::machine::{Architecture, Precondition};

/// Every image that the racks can serve, in no particular order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Images(pub Vec<BootResource>);

/// The operating system that machines boot when the target cannot be booted itself (MAAS
/// `commissioning_osystem`, `commissioning_distro_series`, `default_min_hwe_kernel`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EphemeralDefaults {
    /// The operating system; `ubuntu`.
    pub osystem: String,
    /// The series, e.g. `noble`.
    pub release: String,
    /// The lowest kernel for every machine; empty for none.
    pub min_hwe_kernel: String,
}

impl Default for EphemeralDefaults {
    fn default() -> Self {
        Self {
            osystem: "ubuntu".to_owned(),
            release: "noble".to_owned(),
            min_hwe_kernel: String::new(),
        }
    }
}

impl Images {
    /// The ephemeral OS for commissioning, testing, rescue and everything else that is not a
    /// deployment; also for machines that are not known yet.
    ///
    /// # Errors
    ///
    /// [`Precondition::EphemeralImage`] with what was looked for.
    pub fn commissioning(
        &self,
        architecture: &Architecture,
        min_hwe_kernel: &str,
        defaults: &EphemeralDefaults,
    ) -> Result<EphemeralImage, Precondition> {
        self.ephemeral(
            &defaults.osystem,
            &defaults.release,
            architecture,
            "",
            later_of(min_hwe_kernel, &defaults.min_hwe_kernel),
        )
    }

    /// The ephemeral OS that installs a target: the target itself when it is a standard Ubuntu,
    /// its base when it is a custom Ubuntu and that is there, else the commissioning OS.
    ///
    /// # Errors
    ///
    /// [`Precondition::EphemeralImage`] with what was looked for.
    pub fn installer_of(
        &self,
        target: &BootResource,
        architecture: &Architecture,
        hwe_kernel: &str,
        min_hwe_kernel: &str,
        defaults: &EphemeralDefaults,
    ) -> Result<EphemeralImage, Precondition> {
        let minimum = later_of(min_hwe_kernel, &defaults.min_hwe_kernel);
        match &target.origin {
            // Precise is too old to run today's installer.
            Origin::Standard { .. } if target.os == "ubuntu" && target.release != "precise" => {
                self.ephemeral("ubuntu", &target.release, architecture, hwe_kernel, minimum)
            }
            Origin::Custom { base_image, .. } => {
                let based = base_image.strip_prefix("ubuntu/").and_then(|release| {
                    self.ephemeral("ubuntu", release, architecture, hwe_kernel, minimum).ok()
                });
                match based {
                    Some(image) => Ok(image),
                    None => self.commissioning(architecture, min_hwe_kernel, defaults),
                }
            }
            Origin::Standard { .. } => self.commissioning(architecture, min_hwe_kernel, defaults),
        }
    }

    /// The bootable image of this operating system, release and kernel.
    ///
    /// `hwe_kernel` asks for one kernel by name (`ga-24.04`, `hwe-24.04-lowlatency`, or the bare
    /// words `ga`, `hwe`, `edge`, `lowlatency` for the series' own); empty takes the released
    /// kernel, or the lowest that is not below `min_hwe_kernel`. The newest version of the one
    /// chosen wins.
    ///
    /// # Errors
    ///
    /// [`Precondition::EphemeralImage`] with what was looked for.
    pub fn ephemeral(
        &self,
        os: &str,
        release: &str,
        architecture: &Architecture,
        hwe_kernel: &str,
        min_hwe_kernel: &str,
    ) -> Result<EphemeralImage, Precondition> {
        let missing = || {
            let wanted = match (hwe_kernel, min_hwe_kernel) {
                ("", "") => format!("{os}/{release}"),
                ("", minimum) => format!("{os}/{release} with kernel {minimum} or newer"),
                (kernel, _) => format!("{os}/{release} with kernel {kernel}"),
            };
            Precondition::EphemeralImage {
                architecture: format!("{}/{}", architecture.arch, architecture.subarch),
                wanted,
            }
        };
        let wanted = wanted_kernel(hwe_kernel, release);
        if wanted.is_none() && !matches!(hwe_kernel, "" | "generic") {
            return Err(missing());
        }
        let minimum = match min_hwe_kernel {
            "" | "generic" => None,
            name => Some(name.parse::<Kernel>().map_err(|_| missing())?),
        };
        let fits = |resource: &&BootResource| {
            let kernel = resource.kernel();
            let named = match &wanted {
                Some(wanted) => kernel.as_ref() == Some(wanted),
                None => kernel.as_ref().is_none_or(|kernel| {
                    !kernel.edge && kernel.flavour == "generic" && kernel.version.is_some()
                }),
            };
            let new_enough = match (&minimum, &kernel) {
                (Some(minimum), Some(kernel)) => kernel.satisfies(minimum),
                (Some(_), None) => false,
                (None, _) => true,
            };
            resource.os == os
                && resource.release == release
                && resource.boots(architecture)
                && named
                && new_enough
        };
        let mut candidates: Vec<&BootResource> = self.0.iter().filter(fits).collect();
        // Oldest kernel first, newest version of it first.
        candidates.sort_by(|a, b| {
            let age = |resource: &BootResource| resource.kernel().map(|kernel| kernel.age());
            age(a).cmp(&age(b)).then_with(|| b.version.cmp(&a.version))
        });
        candidates
            .into_iter()
            .find_map(|resource| EphemeralImage::try_from(resource.clone()).ok())
            .ok_or_else(missing)
    }

    /// The image to install.
    ///
    /// `osystem` may be empty: a custom image of that name is then looked for first. Ubuntu's
    /// image is taken with the kernel that the machine will boot.
    ///
    /// # Errors
    ///
    /// [`Precondition::TargetImage`] with what was looked for.
    pub fn target(
        &self,
        osystem: &str,
        release: &str,
        architecture: &Architecture,
    ) -> Result<&BootResource, Precondition> {
        let newest = |os: &str| {
            self.0
                .iter()
                .filter(|resource| {
                    resource.os == os
                        && resource.release == release
                        && resource.boots(architecture)
                        && resource.root_file().is_some()
                })
                .max_by(|a, b| {
                    // The released kernel's image first, then the newest version.
                    let rank = |resource: &BootResource| {
                        std::cmp::Reverse(resource.kernel().map(|kernel| kernel.age()))
                    };
                    rank(a).cmp(&rank(b)).then_with(|| a.version.cmp(&b.version))
                })
        };
        let found = match osystem {
            "" => newest("custom").or_else(|| newest("ubuntu")),
            os => newest(os),
        };
        found.ok_or_else(|| Precondition::TargetImage {
            image: if osystem.is_empty() {
                release.to_owned()
            } else {
                format!("{osystem}/{release}")
            },
            architecture: format!("{}/{}", architecture.arch, architecture.subarch),
        })
    }
}

/// The kernel that a request names; `None` for none, and for a text that names none.
fn wanted_kernel(name: &str, release: &str) -> Option<Kernel> {
    let (branch, rest) = match name.split_once('-') {
        _ if name.is_empty() => return None,
        Some((branch, rest)) => (branch, rest),
        None => (name, ""),
    };
    if let Ok(kernel) = name.parse::<Kernel>() {
        return Some(kernel);
    }
    let number = Series::find(release)?.number();
    let text = match (branch, rest) {
        ("ga" | "hwe", "") => format!("{branch}-{number}"),
        ("ga" | "hwe", rest) => format!("{branch}-{number}-{rest}"),
        ("edge", "") => format!("hwe-{number}-edge"),
        ("lowlatency", "") => format!("ga-{number}-lowlatency"),
        ("lowlatency", "edge") => format!("hwe-{number}-lowlatency-edge"),
        _ => return None,
    };
    text.parse().ok()
}

/// The newer of two kernels' names; a text that names none counts as none.
fn later_of<'a>(one: &'a str, other: &'a str) -> &'a str {
    match (one.parse::<Kernel>(), other.parse::<Kernel>()) {
        (Ok(a), Ok(b)) if b.satisfies(&a) => other,
        (Err(_), Ok(_)) => other,
        _ => one,
    }
}

#[cfg(test)]
mod tests;
