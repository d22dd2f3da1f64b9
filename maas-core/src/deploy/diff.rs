//! What differs between two plans, by meaning and not by line.

use maas_netconfig::yaml::{self, Value};
use serde::Serialize;

use super::artefact::Artefact;
use super::plan::DeploymentPlan;

/// One difference between two plans. The values themselves are left out, since many are
/// credentials; the path says what to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PlanDifference {
    /// The document, e.g. `curtin.yaml`.
    pub artefact: String,
    /// The place in it, e.g. `storage.config[sda-part1].size`; empty for the whole document.
    pub path: String,
    /// How it differs.
    pub change: Change,
}

/// How a place differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only the second plan has it.
    Added,
    /// Only the first plan has it.
    Removed,
    /// Both have it, with different values.
    Changed,
}

/// What differs from `one` to `other`: YAML and JSON documents key by key, lists of things with
/// an `id` or a `name` thing by thing, anything else as a whole.
#[must_use]
pub fn diff(one: &DeploymentPlan, other: &DeploymentPlan) -> Vec<PlanDifference> {
    // The parts say the same as the whole; the manifest is made of the digests.
    let counts = |name: &str| !(name.starts_with("curtin/") || name == "manifest.json");
    let mut differences = Vec::new();
    for artefact in one.artefacts().iter().filter(|artefact| counts(&artefact.name)) {
        match other.artefact(&artefact.name) {
            None => differences.push(whole(artefact, Change::Removed)),
            Some(there) if there.sha256 == artefact.sha256 => {}
            Some(there) => match (parsed(artefact), parsed(there)) {
                (Some(here), Some(there)) => {
                    compare(&artefact.name, "", &here, &there, &mut differences);
                }
                _ => differences.push(whole(artefact, Change::Changed)),
            },
        }
    }
    for artefact in other.artefacts().iter().filter(|artefact| counts(&artefact.name)) {
        if one.artefact(&artefact.name).is_none() {
            differences.push(whole(artefact, Change::Added));
        }
    }
    differences.sort();
    differences
}

fn whole(artefact: &Artefact, change: Change) -> PlanDifference {
    PlanDifference { artefact: artefact.name.clone(), path: String::new(), change }
}

fn parsed(artefact: &Artefact) -> Option<Value> {
    let structured =
        artefact.content_type.contains("yaml") || artefact.content_type.contains("json");
    yaml::from_str(artefact.text().filter(|_| structured)?).ok()
}

/// A list as its things by their names, when every thing has one of its own.
fn named(list: &[Value]) -> Option<Vec<(&str, &Value)>> {
    let mut things: Vec<(&str, &Value)> = Vec::new();
    for thing in list {
        let name = thing.get("id").or_else(|| thing.get("name"))?.as_str()?;
        if things.iter().any(|(have, _)| *have == name) {
            return None;
        }
        things.push((name, thing));
    }
    Some(things)
}

/// What is inside a value, by name.
type Entries<'a> = Vec<(&'a str, &'a Value)>;
/// How the path of something inside is made.
type Join = fn(&str, &str) -> String;

fn compare(
    artefact: &str,
    path: &str,
    one: &Value,
    other: &Value,
    differences: &mut Vec<PlanDifference>,
) {
    let mut push = |path: String, change| {
        differences.push(PlanDifference { artefact: artefact.to_owned(), path, change });
    };
    let (here, there, join): (Entries<'_>, Entries<'_>, Join) = match (one, other) {
        (Value::Map(here), Value::Map(there)) => {
            (here.iter().collect(), there.iter().collect(), |path, key| match path {
                "" => key.to_owned(),
                path => format!("{path}.{key}"),
            })
        }
        (Value::List(here), Value::List(there)) => match (named(here), named(there)) {
            (Some(here), Some(there)) => (here, there, |path, name| format!("{path}[{name}]")),
            _ => {
                if here != there {
                    push(path.to_owned(), Change::Changed);
                }
                return;
            }
        },
        _ => {
            if one != other {
                push(path.to_owned(), Change::Changed);
            }
            return;
        }
    };
    for (key, value) in &here {
        let path = join(path, key);
        match there.iter().find(|(have, _)| have == key) {
            None => differences.push(PlanDifference {
                artefact: artefact.to_owned(),
                path,
                change: Change::Removed,
            }),
            Some((_, now)) => compare(artefact, &path, value, now, differences),
        }
    }
    for (key, _) in &there {
        if !here.iter().any(|(have, _)| have == key) {
            differences.push(PlanDifference {
                artefact: artefact.to_owned(),
                path: join(path, key),
                change: Change::Added,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::plan::tests::{sample, sample_with};
    use crate::storage::{BasicOptions, LayoutRequest, Size};

    fn listed(other: &DeploymentPlan) -> Vec<(String, String, Change)> {
        diff(&sample(), other)
            .into_iter()
            .map(|found| (found.artefact, found.path, found.change))
            .collect()
    }

    #[test]
    fn a_plan_does_not_differ_from_itself() {
        assert_eq!(listed(&sample()), []);
    }

    #[test]
    fn differences_are_told_by_place() {
        let other = sample_with(|options| {
            options.swap_size = Some(0);
            options.user_data = None;
            options.kernel_options = "quiet".into();
            options.storage = Some(LayoutRequest::Flat(BasicOptions {
                root_size: Some(Size::Bytes(8 << 30)),
                ..Default::default()
            }));
        });
        let found = listed(&other);
        for (artefact, path, change) in [
            ("curtin.yaml", "swap", Change::Added),
            ("curtin.yaml", "storage.config[vda-part2].size", Change::Changed),
            ("user-data", "", Change::Removed),
            ("cmdline", "", Change::Changed),
            ("ipxe.cfg", "", Change::Changed),
        ] {
            assert!(
                found.contains(&(artefact.to_owned(), path.to_owned(), change)),
                "{artefact} {path}: {found:?}"
            );
        }
        assert_eq!(found.len(), 7, "{found:?}");
    }
}
