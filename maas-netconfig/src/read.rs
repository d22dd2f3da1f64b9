//! Reading a located YAML tree field by field, collecting every problem with its position.

use std::fmt::Display;
use std::str::FromStr;

use crate::error::{Code, Problem, Refused};
use crate::model::Network;
use crate::params;
use crate::topology::Topology;
use crate::yaml::{self, Key, Node, NodeKind};

/// A network that was read, with what should be known about it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Parsed {
    /// The network.
    pub topology: Topology,
    /// Warnings: what the text says but no reader of the format honours, and the like.
    pub warnings: Vec<Problem>,
}

/// Room for a whole curtin configuration with hundreds of interfaces.
const LIMITS: yaml::Limits = yaml::Limits { bytes: 4 << 20, depth: 48, nodes: 32_768 };

/// The tree below `network` of a document, whether bare, alone or inside a curtin configuration.
pub(crate) fn network_section(text: &str) -> Result<Node, Refused> {
    let root: Node = yaml::from_str_within(text, &LIMITS)
        .map_err(|error| Refused { problems: vec![syntax(&error)] })?;
    if !matches!(root.kind, NodeKind::Map(_)) {
        let problem =
            Problem::error(Code::Syntax, "", format!("expected a mapping, found {}", root.noun()));
        return Err(Refused { problems: vec![problem.at(root.line, root.column)] });
    }
    Ok(match root.get("network") {
        Some(network) => network.clone(),
        None => root,
    })
}

/// The problem that a text which cannot be read is.
pub(crate) fn syntax(error: &yaml::Error) -> Problem {
    let message = match error {
        yaml::Error::Read { message, .. } => message.clone(),
        other => other.to_string(),
    };
    let problem = Problem::error(Code::Syntax, "", message);
    match (error.line(), error.column()) {
        (Some(line), Some(column)) => problem.at(line, column),
        _ => problem,
    }
}

/// Reads a wanted network in the form that [`crate::model`] documents, as YAML or JSON.
///
/// # Errors
/// [`Refused`] with the first thing that does not read, with line and column where known.
/// [`Network::validate`] finds what is wrong beyond that.
pub fn read_model(text: &str) -> Result<Network, Refused> {
    yaml::from_str_within(text, &LIMITS).map_err(|error| Refused { problems: vec![syntax(&error)] })
}

/// Collects what is found while reading.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
}

impl Findings {
    pub(crate) fn error(
        &mut self,
        node: &Node,
        path: &str,
        code: Code,
        message: impl Into<String>,
    ) {
        self.problems.push(Problem::error(code, path, message).at(node.line, node.column));
    }

    pub(crate) fn warn(&mut self, node: &Node, path: &str, code: Code, message: impl Into<String>) {
        self.problems.push(Problem::warning(code, path, message).at(node.line, node.column));
    }

    fn unfit(&mut self, node: &Node, path: &str, expected: &str) {
        let found = match &node.kind {
            NodeKind::String(text) => format!("{:?}", shorten(text)),
            NodeKind::Int(number) => number.to_string(),
            NodeKind::Bool(flag) => flag.to_string(),
            _ => node.noun().to_owned(),
        };
        self.error(node, path, Code::ValueUnfit, format!("{found} is not {expected}"));
    }

    /// The text of a scalar as it was meant: numbers and booleans are texts too.
    pub(crate) fn text(&mut self, node: &Node, path: &str) -> Option<String> {
        let text = scalar(node);
        if text.is_none() {
            self.unfit(node, path, "a text");
        }
        text
    }

    /// A scalar of a type that checks itself.
    pub(crate) fn parsed<T>(&mut self, node: &Node, path: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.text(node, path)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let error: T::Err = error;
                self.error(node, path, Code::ValueUnfit, error.to_string());
                None
            }
        }
    }

    /// A scalar of a type whose own error says too little.
    pub(crate) fn expected<T: FromStr>(
        &mut self,
        node: &Node,
        path: &str,
        what: &str,
    ) -> Option<T> {
        let value = scalar(node).and_then(|text| text.trim().parse().ok());
        if value.is_none() {
            self.unfit(node, path, what);
        }
        value
    }

    pub(crate) fn boolean(&mut self, node: &Node, path: &str) -> Option<bool> {
        let value = scalar(node).and_then(|text| params::boolean(&text).ok());
        if value.is_none() {
            self.unfit(node, path, "a boolean");
        }
        value
    }

    /// The items of a list; one scalar counts as a list of one.
    pub(crate) fn list<'a>(&mut self, node: &'a Node, path: &str) -> Vec<&'a Node> {
        match &node.kind {
            NodeKind::List(items) => items.iter().collect(),
            NodeKind::Null => Vec::new(),
            NodeKind::Map(_) => {
                self.unfit(node, path, "a list");
                Vec::new()
            }
            _ => vec![node],
        }
    }

    /// The fields of a mapping.
    pub(crate) fn fields<'a>(&mut self, node: &'a Node, path: &str) -> Option<Fields<'a>> {
        match &node.kind {
            NodeKind::Map(entries) => Some(Fields { entries, used: vec![false; entries.len()] }),
            _ => {
                self.unfit(node, path, "a mapping");
                None
            }
        }
    }

    /// What was read, or the refusal.
    pub(crate) fn finish(self, topology: Topology) -> Result<Parsed, Refused> {
        Refused::unless_clean(self.problems).map(|warnings| Parsed { topology, warnings })
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The text of a scalar; `None` for nothing, lists and mappings.
pub(crate) fn scalar(node: &Node) -> Option<String> {
    match &node.kind {
        NodeKind::String(text) => Some(text.clone()),
        NodeKind::Int(number) => Some(number.to_string()),
        NodeKind::Float(number) => Some(number.to_string()),
        NodeKind::Bool(flag) => Some(flag.to_string()),
        NodeKind::Null | NodeKind::List(_) | NodeKind::Map(_) => None,
    }
}

/// The entries of a mapping, taken out one by one.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    entries: &'a [(Key, Node)],
    used: Vec<bool>,
}

impl<'a> Fields<'a> {
    /// Takes the value of a key; a key with nothing after it counts as absent.
    pub(crate) fn take(&mut self, key: &str) -> Option<&'a Node> {
        let at = self.entries.iter().position(|(have, _)| have.text == key)?;
        self.used[at] = true;
        let node = &self.entries[at].1;
        (!matches!(node.kind, NodeKind::Null)).then_some(node)
    }

    /// All entries that nobody took.
    pub(crate) fn rest(&self) -> impl Iterator<Item = &'a (Key, Node)> {
        self.entries.iter().zip(&self.used).filter(|(_, used)| !**used).map(|(entry, _)| entry)
    }
}
