//! An upload as the database keeps it.

use std::borrow::Cow;

use maas_core::image::FileType;
use maas_core::image_pack::Inspection;
use maas_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::Document;

/// One version of a custom image: declared, on its way, or complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadDocument {
    /// The boot resource that it is a version of.
    pub resource_id: u64,
    /// The version: `YYYYMMDD`, or `YYYYMMDD.N` for later ones of a day.
    pub version: String,
    /// What it is declared to be.
    pub filetype: FileType,
    /// The image that it was built from, e.g. `ubuntu/noble`; empty when not told.
    pub base_image: String,
    /// SHA-256 of the whole, 64 lower-case hex digits.
    pub sha256: String,
    /// Its whole length in bytes.
    pub size: u64,
    /// Bytes that have come and were acknowledged.
    pub received: u64,
    /// Whether it is in the image store.
    pub complete: bool,
    /// Whether versions before it stay when it is complete.
    pub keep_old: bool,
    /// When the last piece came.
    pub touched: Timestamp,
    /// What was found in it.
    #[serde(default)]
    pub inspection: Option<Inspection>,
}

impl Document for UploadDocument {
    const KIND: &'static str = "boot-resource-upload";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Owned(format!("{}/{}", self.resource_id, self.version)))
    }
}

impl UploadDocument {
    /// How much has come, in whole percent; 100 only when it is complete.
    #[must_use]
    pub fn progress(&self) -> u64 {
        if self.complete {
            return 100;
        }
        let percent = u128::from(self.received) * 100 / u128::from(self.size.max(1));
        u64::try_from(percent).unwrap_or(100).min(99)
    }
}

/// The next version of a resource on a day: greater, as text, than every version that it has,
/// because clients take the greatest for the newest.
pub(super) fn next_version<'a>(day: &str, have: impl Iterator<Item = &'a str>) -> String {
    let newest = have.filter(|version| version.starts_with(day)).max();
    let Some(newest) = newest else { return day.to_owned() };
    let number: u64 = newest
        .strip_prefix(day)
        .and_then(|rest| rest.strip_prefix('.'))
        .map_or(0, |number| number.parse().unwrap_or_default());
    let next = format!("{day}.{}", number.saturating_add(1));
    // `.10` would sort before `.9`; `.9001` does not, and leaves room for many more.
    if next.as_str() > newest { next } else { format!("{newest}001") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_day_grow_as_texts() {
        let mut have: Vec<String> = Vec::new();
        for _ in 0..250 {
            let next = next_version("20261122", have.iter().map(String::as_str));
            assert!(have.last().is_none_or(|last| *last < next), "{have:?} {next}");
            assert!(next.len() < 60);
            have.push(next);
        }
        assert_eq!(&have[..3], ["20261122", "20261122.1", "20261122.2"]);
        assert_eq!(have[10], "20261122.9001");
        assert_eq!(next_version("20261123", have.iter().map(String::as_str)), "20261123");
    }
}
