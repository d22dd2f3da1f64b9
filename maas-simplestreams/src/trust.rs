//! Trust over time: no document older than one already seen, none that empties a mirror.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::date::Timestamp;
use crate::digest::Sha256;
use crate::document::Pedigree;
use crate::path::ContentId;
use crate::products::Products;

/// What a source was seen to publish: keep it beside the mirror, hand it in at the next visit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrustMemory {
    documents: BTreeMap<String, Remembered>,
}

/// What is remembered of one document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Remembered {
    /// The newest `updated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
    /// The newest signature time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<Timestamp>,
    /// The digest of the document as it was fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Sha256>,
    /// The names of the products (or of the entries of an index).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub names: BTreeSet<String>,
}

/// Whether an older document than one seen before is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rollback {
    /// It is refused.
    #[default]
    Refuse,
    /// It is accepted: an operator says that the publisher went back on purpose.
    Allow,
}

/// Whether a document that removes most of what was there is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MassRemoval {
    /// It is refused.
    #[default]
    Refuse,
    /// It is accepted: an operator says that this is meant.
    Allow,
}

/// What to hold against the documents of one source.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrustPolicy {
    /// Older documents. Default: refused.
    pub rollback: Rollback,
    /// An alarm is raised when a document has not changed for longer. Default 14 days.
    pub max_age: Option<Duration>,
    /// An alarm is raised when a key expires sooner. Default 60 days.
    pub key_notice: Duration,
    /// Documents that remove most. Default: refused.
    pub mass_removal: MassRemoval,
    /// The largest share of remembered names, in percent, that may vanish at once. Default 50.
    pub removed_percent: u8,
    /// Only these content ids are accepted; `None` accepts all. Default: all.
    pub content_ids: Option<BTreeSet<ContentId>>,
    /// Only documents are accepted whose items carry one of these labels or none, for instance
    /// `stable`: one key signs all channels, and only the label of the items tells them apart.
    /// `None` accepts all. Default: all.
    pub labels: Option<BTreeSet<String>>,
}

impl Default for TrustPolicy {
    fn default() -> Self {
        Self {
            rollback: Rollback::Refuse,
            max_age: Some(Duration::from_secs(14 * 86_400)),
            key_notice: Duration::from_secs(60 * 86_400),
            mass_removal: MassRemoval::Refuse,
            removed_percent: 50,
            content_ids: None,
            labels: None,
        }
    }
}

impl TrustPolicy {
    /// Refuses items of other labels than those that are allowed.
    pub(crate) fn check_labels(&self, products: &Products) -> Result<(), Distrust> {
        let Some(allowed) = &self.labels else { return Ok(()) };
        let labelled = products.items().filter_map(|item| Some((item.flat("label")?, item)));
        for (label, item) in labelled {
            if !allowed.contains(&*label) {
                let found = label.into_owned();
                return Err(Distrust::LabelNotAllowed { item: item.pedigree(), found });
            }
        }
        Ok(())
    }
}

/// Why a document is not trusted although its signature is good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// Its `updated` or its signature is older than one seen before.
    #[error("the document dates from {got}, one of {had} was seen before")]
    RolledBack {
        /// The newest date seen.
        had: Timestamp,
        /// The date of this document.
        got: Timestamp,
    },
    /// A document without a date follows one with a date.
    #[error("the document has no date, one of {had} was seen before")]
    DateMissing {
        /// The newest date seen.
        had: Timestamp,
    },
    /// It lacks most of the products that were there.
    #[error("{missing} of {had} products would vanish, more than {percent} percent")]
    RemovesTooMuch {
        /// How many names vanish.
        missing: usize,
        /// How many there were.
        had: usize,
        /// The largest share allowed.
        percent: u8,
    },
    /// The document says that it is another one than the index says.
    #[error("the document calls itself `{found}`, the index calls it `{expected}`")]
    WrongContentId {
        /// The key in the index.
        expected: String,
        /// The `content_id` of the document.
        found: String,
    },
    /// `datatype` differs between index and document.
    #[error("the datatype is `{found}`, the index says `{expected}`")]
    WrongDatatype {
        /// What the index says.
        expected: String,
        /// What the document says.
        found: String,
    },
    /// An item carries a label that the operator does not allow.
    #[error("`{item}` is labelled `{found}`, which is not among the labels that are allowed")]
    LabelNotAllowed {
        /// Product, version and item.
        item: Pedigree,
        /// The label.
        found: String,
    },
    /// The content id is not one that the operator allows.
    #[error("the content id `{found}` is not among those that are allowed")]
    ContentIdNotAllowed {
        /// The content id.
        found: String,
    },
}

/// Something an operator should know although it stops nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Alarm {
    /// A document has not changed for long: someone may be holding newer ones back.
    #[error("`{document}` has not changed since {updated}")]
    Stale {
        /// The content id, or the path of an index.
        document: String,
        /// Its date.
        updated: Timestamp,
    },
    /// A signing key expires soon.
    #[error("the key {fingerprint} expires on {at}")]
    KeyExpires {
        /// The key.
        fingerprint: String,
        /// When.
        at: Timestamp,
    },
    /// The index lists products that the document does not have, or the other way round.
    #[error("index and `{document}` differ in {count} products")]
    ProductsDiffer {
        /// The content id.
        document: String,
        /// In how many names they differ.
        count: usize,
    },
    /// Parts of a document were skipped.
    #[error("{count} entries of `{document}` were skipped")]
    Skipped {
        /// The content id, or the path of an index.
        document: String,
        /// How many.
        count: usize,
    },
}

impl TrustMemory {
    /// What is remembered under `key`.
    pub fn get(&self, key: &str) -> Option<&Remembered> {
        self.documents.get(key)
    }

    /// Forgets what is remembered under `key`: the next document is taken as it comes.
    pub fn forget(&mut self, key: &str) -> Option<Remembered> {
        self.documents.remove(key)
    }

    /// Holds what was fetched against what is remembered.
    pub fn check(
        &self,
        key: &str,
        seen: &Remembered,
        policy: &TrustPolicy,
    ) -> Result<(), Distrust> {
        let Some(had) = self.documents.get(key) else { return Ok(()) };
        if policy.rollback == Rollback::Refuse {
            for (had, got) in [(had.updated, seen.updated), (had.signed_at, seen.signed_at)] {
                match (had, got) {
                    (Some(had), Some(got)) if got < had => {
                        return Err(Distrust::RolledBack { had, got });
                    }
                    (Some(had), None) => return Err(Distrust::DateMissing { had }),
                    _ => {}
                }
            }
        }
        if policy.mass_removal == MassRemoval::Refuse {
            let missing = had.names.difference(&seen.names).count();
            if missing * 100 > had.names.len() * usize::from(policy.removed_percent) {
                return Err(Distrust::RemovesTooMuch {
                    missing,
                    had: had.names.len(),
                    percent: policy.removed_percent,
                });
            }
        }
        Ok(())
    }

    /// Remembers what was fetched and accepted.
    pub fn remember(&mut self, key: &str, seen: Remembered) {
        self.documents.insert(key.to_owned(), seen);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn seen(updated: Option<i64>, signed: Option<i64>, names: &[&str]) -> Remembered {
        Remembered {
            updated: updated.map(Timestamp::from_seconds),
            signed_at: signed.map(Timestamp::from_seconds),
            digest: None,
            names: names.iter().map(ToString::to_string).collect(),
        }
    }

    fn memory() -> TrustMemory {
        let mut memory = TrustMemory::default();
        memory.remember("k", seen(Some(100), Some(200), &["a", "b", "c", "d"]));
        memory
    }

    #[test]
    fn newer_and_equal_documents_are_accepted() {
        let policy = TrustPolicy::default();
        let names = ["a", "b", "c", "d"];
        assert_eq!(memory().check("k", &seen(Some(100), Some(200), &names), &policy), Ok(()));
        assert_eq!(memory().check("k", &seen(Some(101), Some(201), &names), &policy), Ok(()));
        assert_eq!(memory().check("other", &seen(None, None, &[]), &policy), Ok(()));
    }

    #[test]
    fn older_documents_are_refused_unless_allowed() {
        let policy = TrustPolicy::default();
        let names = ["a", "b", "c", "d"];
        for older in [seen(Some(99), Some(300), &names), seen(Some(300), Some(199), &names)] {
            assert!(matches!(
                memory().check("k", &older, &policy),
                Err(Distrust::RolledBack { .. })
            ));
            let allowed = TrustPolicy { rollback: Rollback::Allow, ..policy.clone() };
            assert_eq!(memory().check("k", &older, &allowed), Ok(()));
        }
        let undated = seen(None, Some(300), &names);
        assert!(matches!(
            memory().check("k", &undated, &policy),
            Err(Distrust::DateMissing { .. })
        ));
    }

    #[test]
    fn a_document_that_empties_the_mirror_is_refused_unless_allowed() {
        let policy = TrustPolicy::default();
        let half = seen(Some(101), Some(201), &["a", "b"]);
        assert_eq!(memory().check("k", &half, &policy), Ok(()));
        let most_gone = seen(Some(101), Some(201), &["a", "x"]);
        assert_eq!(
            memory().check("k", &most_gone, &policy),
            Err(Distrust::RemovesTooMuch { missing: 3, had: 4, percent: 50 })
        );
        let allowed = TrustPolicy { mass_removal: MassRemoval::Allow, ..policy };
        assert_eq!(memory().check("k", &most_gone, &allowed), Ok(()));
    }

    #[test]
    fn the_memory_survives_serialisation() {
        let text = serde_json::to_string(&memory()).unwrap();
        assert_eq!(serde_json::from_str::<TrustMemory>(&text).unwrap(), memory());
    }
}
