//! The region's settings (API 2.0 `maas/`): their names, what they may hold, and what is in force.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::parse_flag;
use crate::store::{Document, DocumentError, Store, StoreError};

/// What a setting may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One line of text, perhaps empty.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number in this range.
    Whole(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An `http://` or `https://` URL, or empty.
    HttpUrl,
    /// A word of letters, digits, `.`, `_` and `-`.
    Word,
}

/// One setting that exists.
#[derive(Debug, Clone, Copy)]
struct Known {
    name: &'static str,
    kind: Kind,
    /// As it is written in a form.
    default: &'static str,
}

const fn known(name: &'static str, kind: Kind, default: &'static str) -> Known {
    Known { name, kind, default }
}

/// Every setting, by name. None of them is a secret: secrets belong to machines and users.
const ALL: [Known; 31] = [
    known("boot_images_auto_import", Kind::Flag, "true"),
    // Ours: with several boot sources, their priorities settle which image is taken.
    known("boot_source_priorities", Kind::Flag, "false"),
    known("commissioning_distro_series", Kind::Word, "noble"),
    known("completed_intro", Kind::Flag, "false"),
    known("curtin_verbose", Kind::Flag, "true"),
    known("default_distro_series", Kind::Word, "noble"),
    known("default_dns_ttl", Kind::Whole(1, 7 * 24 * 3600), "30"),
    known("default_min_hwe_kernel", Kind::Text, ""),
    known("default_osystem", Kind::Word, "ubuntu"),
    known(
        "default_storage_layout",
        Kind::Choice(&["flat", "lvm", "bcache", "vmfs6", "vmfs7", "blank"]),
        "flat",
    ),
    known("disk_erase_with_quick_erase", Kind::Flag, "false"),
    known("disk_erase_with_secure_erase", Kind::Flag, "true"),
    known("dnssec_validation", Kind::Choice(&["auto", "yes", "no"]), "auto"),
    known("enable_analytics", Kind::Flag, "false"),
    known("enable_disk_erasing_on_release", Kind::Flag, "false"),
    known("enable_http_proxy", Kind::Flag, "true"),
    known("enable_third_party_drivers", Kind::Flag, "true"),
    known("enlist_commissioning", Kind::Flag, "true"),
    known("http_proxy", Kind::HttpUrl, ""),
    known("kernel_opts", Kind::Text, ""),
    known("maas_name", Kind::Text, "maas"),
    known("main_archive", Kind::HttpUrl, "http://archive.ubuntu.com/ubuntu"),
    known("network_discovery", Kind::Choice(&["enabled", "disabled"]), "disabled"),
    known("node_timeout", Kind::Whole(1, 7 * 24 * 60), "30"),
    known("ntp_servers", Kind::Text, ""),
    known("ports_archive", Kind::HttpUrl, "http://ports.ubuntu.com/ubuntu-ports"),
    known("release_notifications", Kind::Flag, "false"),
    known("session_length", Kind::Whole(60, 31 * 24 * 3600), "1209600"),
    known("theme", Kind::Text, ""),
    known("upstream_dns", Kind::Text, ""),
    known("windows_kms_host", Kind::Text, ""),
];

/// The longest value, in bytes.
const LONGEST: usize = 4096;

/// A setting as the database keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    name: String,
    value: Value,
}

impl Document for Kept {
    const KIND: &'static str = "setting";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.name))
    }
}

/// Why a setting was not changed; the sentences are for whoever sent it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// No setting has this name.
    #[error("{name} is not a valid config setting (valid settings are: {valid}).")]
    Unknown {
        /// What was given.
        name: String,
        /// The names that exist.
        valid: String,
    },
    /// The value does not fit.
    #[error("Expected {expected}, found {found:?}.")]
    Value {
        /// The setting.
        name: &'static str,
        /// What would fit.
        expected: String,
        /// The beginning of what was given.
        found: String,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database failed.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// What is in force: the defaults, under what operators have set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    set: BTreeMap<String, Value>,
}

impl Settings {
    /// What the database keeps; one query.
    ///
    /// # Errors
    ///
    /// The database's failure.
    pub async fn load(store: &dyn Store) -> Result<Self, StoreError> {
        let kept = store.list::<Kept>().await?;
        Ok(Self { set: kept.into_iter().map(|kept| (kept.value.name, kept.value.value)).collect() })
    }

    /// The value of a setting: text, number or truth value; null for a text that is empty.
    ///
    /// # Errors
    ///
    /// [`SettingError::Unknown`].
    pub fn value(&self, name: &str) -> Result<Value, SettingError> {
        let known = find(name)?;
        let value = match self.set.get(known.name) {
            Some(value) => value.clone(),
            None => known.parse(known.default).unwrap_or(Value::Null),
        };
        let empty = value.as_str().is_some_and(str::is_empty);
        Ok(if empty { Value::Null } else { value })
    }

    /// Whether an operator has set it.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    /// A text; empty for what is none.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        let value = self.value(name).unwrap_or_default();
        value.as_str().unwrap_or_default().to_owned()
    }

    /// A truth value; false for what is none.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.value(name).unwrap_or_default().as_bool().unwrap_or(false)
    }

    /// A whole number; 0 for what is none.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        self.value(name).unwrap_or_default().as_u64().unwrap_or(0)
    }

    /// The longest silence of a machine in a transient status; `None` when no operator set it.
    #[must_use]
    pub fn node_timeout(&self) -> Option<Duration> {
        self.is_set("node_timeout").then(|| Duration::from_secs(self.number("node_timeout") * 60))
    }

    /// The time servers, in their order.
    #[must_use]
    pub fn ntp_servers(&self) -> Vec<String> {
        self.text("ntp_servers")
            .split([',', ' '])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The proxy for packages, unless it is switched off.
    #[must_use]
    pub fn http_proxy(&self) -> Option<String> {
        Some(self.text("http_proxy"))
            .filter(|proxy| !proxy.is_empty() && self.flag("enable_http_proxy"))
    }
}

/// Sets one setting, durably; the text is what a form holds.
///
/// # Errors
///
/// [`SettingError`].
pub async fn set(store: &dyn Store, name: &str, text: &str) -> Result<(), SettingError> {
    let known = find(name)?;
    let value = known.parse(text).ok_or_else(|| SettingError::Value {
        name: known.name,
        expected: known.kind.expected(),
        found: text.chars().take(64).collect(),
    })?;
    store.put(Kept { name: known.name.to_owned(), value }).await?;
    Ok(())
}

fn find(name: &str) -> Result<&'static Known, SettingError> {
    // Older clients know one time server.
    let name = if name == "ntp_server" { "ntp_servers" } else { name };
    ALL.iter().find(|known| known.name == name).ok_or_else(|| SettingError::Unknown {
        name: name.chars().filter(|letter| !letter.is_control()).take(64).collect(),
        valid: ALL.map(|known| known.name).join(", "),
    })
}

impl Known {
    fn parse(&self, text: &str) -> Option<Value> {
        let one_line = text.len() <= LONGEST && !text.chars().any(char::is_control);
        let text = text.trim();
        match self.kind {
            _ if !one_line => None,
            Kind::Text => Some(Value::from(text)),
            Kind::Flag => parse_flag(text).map(Value::from),
            Kind::Whole(least, most) => {
                let number: u64 = text.parse().ok()?;
                (least..=most).contains(&number).then(|| Value::from(number))
            }
            Kind::Choice(words) => words.contains(&text).then(|| Value::from(text)),
            Kind::HttpUrl if text.is_empty() => Some(Value::from("")),
            Kind::HttpUrl => {
                let url = url::Url::parse(text).ok()?;
                matches!(url.scheme(), "http" | "https").then(|| Value::from(text))
            }
            Kind::Word => {
                let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
                (!text.is_empty() && text.chars().all(fits)).then(|| Value::from(text))
            }
        }
    }
}

impl Kind {
    fn expected(self) -> String {
        match self {
            Self::Text => "one line of text".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Whole(least, most) => format!("a whole number from {least} to {most}"),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::HttpUrl => "an http or https URL".to_owned(),
            Self::Word => "a name of letters, digits and . _ -".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn what_is_set_is_in_force_and_the_rest_is_the_default() {
        let memory = MemoryStore::new();
        let store: &dyn Store = &memory;
        let fresh = Settings::load(store).await.unwrap();
        assert_eq!(fresh.value("default_osystem").unwrap(), "ubuntu");
        assert_eq!(fresh.value("http_proxy").unwrap(), Value::Null);
        assert_eq!(fresh.node_timeout(), None);
        for (name, text, value) in [
            ("maas_name", "rack 5", Value::from("rack 5")),
            ("node_timeout", "45", Value::from(45)),
            ("enable_disk_erasing_on_release", "True", Value::from(true)),
            ("http_proxy", "http://10.0.0.1:3128/", Value::from("http://10.0.0.1:3128/")),
            ("ntp_servers", "a.example, b.example", Value::from("a.example, b.example")),
        ] {
            set(store, name, text).await.unwrap();
            assert_eq!(Settings::load(store).await.unwrap().value(name).unwrap(), value, "{name}");
        }
        let now = Settings::load(store).await.unwrap();
        assert_eq!(now.node_timeout(), Some(Duration::from_secs(2700)));
        assert_eq!(now.ntp_servers(), ["a.example", "b.example"]);
        assert_eq!(now.http_proxy().as_deref(), Some("http://10.0.0.1:3128/"));
        set(store, "enable_http_proxy", "false").await.unwrap();
        assert_eq!(Settings::load(store).await.unwrap().http_proxy(), None);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_and_changes_nothing() {
        let memory = MemoryStore::new();
        let store: &dyn Store = &memory;
        for (name, text) in [
            ("node_timeout", "0"),
            ("node_timeout", "soon"),
            ("completed_intro", "perhaps"),
            ("default_storage_layout", "zfs"),
            ("http_proxy", "file:///etc/passwd"),
            ("default_osystem", "../x"),
            ("maas_name", "a\nb"),
        ] {
            let refused = set(store, name, text).await.unwrap_err();
            assert!(matches!(refused, SettingError::Value { .. }), "{name}={text}: {refused}");
        }
        let unknown = set(store, "colour", "blue").await.unwrap_err();
        assert!(unknown.to_string().starts_with("colour is not a valid config setting"));
        assert_eq!(Settings::load(store).await.unwrap(), Settings::default());
    }

    #[test]
    fn every_default_fits_its_own_kind_and_names_are_in_order() {
        for known in ALL {
            assert!(known.parse(known.default).is_some(), "{}", known.name);
        }
        assert!(ALL.is_sorted_by_key(|known| known.name));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_makes_it_panic(index in 0..ALL.len(), text in "\\PC{0,40}") {
            let _ = ALL[index].parse(&text);
            let _ = find(&text);
        }
    }
}
