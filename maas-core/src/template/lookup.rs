//! The look-up order of pre-seeds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Template texts by name, e.g. `curtin_userdata_ubuntu_amd64`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Library(pub BTreeMap<String, String>);

impl Library {
    /// The template that applies: the most specific of the [`candidates`] that exists.
    #[must_use]
    pub fn find(&self, prefix: &str, specifics: &[&str]) -> Option<(&str, &str)> {
        candidates(prefix, specifics)
            .iter()
            .find_map(|name| self.0.get_key_value(name))
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

/// The names that are looked up for a prefix (`curtin_userdata`) and specifics from general to
/// special (operating system, architecture, sub-architecture, series, host name): the most
/// specific first, then `generic`.
#[must_use]
pub fn candidates(prefix: &str, specifics: &[&str]) -> Vec<String> {
    let mut names = vec![prefix.to_owned()];
    for part in specifics {
        let longer = match names.last() {
            Some(last) => format!("{last}_{part}"),
            None => (*part).to_owned(),
        };
        names.push(longer);
    }
    names.reverse();
    names.push("generic".to_owned());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_name_comes_first() {
        assert_eq!(
            candidates("curtin_userdata", &["ubuntu", "amd64", "generic", "noble", "node1"]),
            [
                "curtin_userdata_ubuntu_amd64_generic_noble_node1",
                "curtin_userdata_ubuntu_amd64_generic_noble",
                "curtin_userdata_ubuntu_amd64_generic",
                "curtin_userdata_ubuntu_amd64",
                "curtin_userdata_ubuntu",
                "curtin_userdata",
                "generic",
            ]
        );
    }

    #[test]
    fn a_library_gives_the_closest_template() {
        let library = Library(
            [("curtin_userdata", "a"), ("curtin_userdata_ubuntu", "b")]
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .into(),
        );
        assert_eq!(
            library.find("curtin_userdata", &["ubuntu", "arm64"]),
            Some(("curtin_userdata_ubuntu", "b"))
        );
        assert_eq!(library.find("curtin_userdata", &["centos"]), Some(("curtin_userdata", "a")));
        assert_eq!(library.find("enlist", &[]), None);
    }
}
