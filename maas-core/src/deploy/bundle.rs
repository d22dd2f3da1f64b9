//! A plan as one file: a tar with a manifest, that can be kept, compared and used again.

use std::io::Read;

use super::plan::DeploymentPlan;
use crate::secret::Secret;

/// The largest bundle that is read, in bytes.
const LARGEST: u64 = 128 << 20;
/// The most files that one holds.
const MOST_FILES: usize = 256;
/// The member that holds the plan itself.
const PLAN: &str = "plan.json";

/// Why a bundle cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The tar cannot be written or read.
    #[error("the bundle is not a readable tar")]
    Archive(#[from] std::io::Error),
    /// The plan in it cannot be written or read.
    #[error("the plan in the bundle cannot be read")]
    Plan(#[from] serde_json::Error),
    /// There is no plan in it.
    #[error("the bundle has no {PLAN}")]
    NoPlan,
    /// It is larger than any bundle is.
    #[error("the bundle exceeds {LARGEST} bytes or {MOST_FILES} files")]
    TooLarge,
    /// A document is not the one that the plan decided.
    #[error("{name} in the bundle is not the plan's own: expected {expected}, found {found}")]
    Altered {
        /// The document.
        name: String,
        /// The digest that the plan has.
        expected: String,
        /// The digest that was found.
        found: String,
    },
}

impl DeploymentPlan {
    /// The plan and every document as a tar; the same plan gives the same bytes. It holds the
    /// machine's credentials.
    ///
    /// # Errors
    ///
    /// [`BundleError`] when the tar cannot be written.
    pub fn bundle(&self) -> Result<Secret<Vec<u8>>, BundleError> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut append = |name: &str, content: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            archive.append_data(&mut header, name, content)
        };
        append(PLAN, &serde_json::to_vec_pretty(self)?)?;
        for artefact in self.artefacts() {
            append(&format!("artefacts/{}", artefact.name), artefact.bytes.expose())?;
        }
        Ok(Secret::new(archive.into_inner()?))
    }

    /// Reads a bundle back and checks that its documents are those that the plan decided.
    ///
    /// # Errors
    ///
    /// [`BundleError`] for what is no bundle, is too large, or was altered.
    pub fn from_bundle(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() as u64 > LARGEST {
            return Err(BundleError::TooLarge);
        }
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        let mut archive = tar::Archive::new(bytes);
        for entry in archive.entries()? {
            let mut entry = entry?;
            if files.len() == MOST_FILES || entry.size() > LARGEST {
                return Err(BundleError::TooLarge);
            }
            let name = entry.path()?.to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.push((name, content));
        }
        let plan = files.iter().find(|(name, _)| name == PLAN).ok_or(BundleError::NoPlan)?;
        let plan: Self = serde_json::from_slice(&plan.1)?;
        let digest = plan.computed_digest();
        if digest != plan.digest() {
            return Err(BundleError::Altered {
                name: PLAN.to_owned(),
                expected: plan.digest().to_owned(),
                found: digest,
            });
        }
        for artefact in plan.artefacts() {
            let name = format!("artefacts/{}", artefact.name);
            let found = files
                .iter()
                .find(|(have, _)| *have == name)
                .map_or_else(String::new, |(_, content)| super::sha256_hex(content));
            if found != artefact.sha256 {
                return Err(BundleError::Altered {
                    name,
                    expected: artefact.sha256.clone(),
                    found,
                });
            }
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::deploy::plan::tests::sample;

    #[test]
    fn a_bundle_comes_back_as_the_plan_it_was_made_from() {
        let plan = sample();
        let bundle = plan.bundle().unwrap();
        assert_eq!(bundle, sample().bundle().unwrap());
        assert_eq!(DeploymentPlan::from_bundle(bundle.expose()).unwrap(), plan);
    }

    #[test]
    fn an_altered_document_is_found() {
        let bytes = sample().bundle().unwrap().into_inner();
        let needle = b"#!ipxe";
        let at: Vec<usize> = bytes
            .windows(needle.len())
            .enumerate()
            .filter(|(_, window)| window == needle)
            .map(|(at, _)| at)
            .collect();
        for at in at {
            let mut altered = bytes.clone();
            altered[at + 2] = b'I';
            assert!(
                matches!(DeploymentPlan::from_bundle(&altered), Err(BundleError::Altered { .. })),
                "at {at}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            prop_assert!(DeploymentPlan::from_bundle(&bytes).is_err());
        }
    }
}
