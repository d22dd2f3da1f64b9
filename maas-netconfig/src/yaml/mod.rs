//! The only YAML reader and writer of the workspace: what it writes, PyYAML reads back unchanged.
//!
//! The consumers of our documents (cloud-init, curtin, netplan, the ESXi scripts) read YAML 1.1,
//! where a bare `on` is a boolean and a bare `52:54:00:00:00:10` is the integer 41135040010. The
//! writer quotes every scalar that YAML 1.1 would read as anything but the string it is, never
//! writes anchors or aliases, and is deterministic: the same value gives the same bytes.
//!
//! The reader bounds what it accepts ([`Limits`]), refuses duplicate keys, resolves aliases and
//! merge keys (MAAS writes them), and reports line and column of what is wrong.
//!
//! ```
//! use maas_netconfig::yaml::{self, Value};
//!
//! let text = yaml::to_string(&Value::map([("mac", Value::from("52:54:00:00:00:10"))]))?;
//! assert_eq!(text, "mac: \"52:54:00:00:00:10\"\n");
//!
//! let error = yaml::from_str::<Value>("a: [1,\nb: 2\n").unwrap_err();
//! assert!(error.line().is_some());
//! # Ok::<(), maas_netconfig::yaml::Error>(())
//! ```

mod node;
mod value;
mod write;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_saphyr::{DefaultMessageFormatter, DuplicateKeyPolicy, MessageFormatter};

pub(crate) use node::{Key, Node, NodeKind};
pub use value::{Map, Value};

/// Bounds on a document that comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest accepted text in bytes; 4 MiB by default.
    pub bytes: usize,
    /// Deepest nesting of lists and mappings; 48 by default.
    pub depth: usize,
    /// Most values (scalars, lists, mappings) after alias expansion; 200,000 by default.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 4 << 20, depth: 48, nodes: 200_000 }
    }
}

/// Why a text is not accepted, or a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not YAML, breaks a limit, or does not have the expected shape.
    #[error("{}{message}", at(*line, *column))]
    Read {
        /// Line of the fault, from 1, where the parser knows it.
        line: Option<usize>,
        /// Column of the fault, from 1, where the parser knows it.
        column: Option<usize>,
        /// What is wrong, in lower case and without the position.
        message: String,
    },
    /// The text is longer than [`Limits::bytes`].
    #[error("document of {actual} bytes is longer than the limit of {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
        /// Length of the text in bytes.
        actual: usize,
    },
    /// The value has no YAML form (a map with compound keys, a failing `Serialize`).
    #[error("value cannot be written as YAML: {message}")]
    Write {
        /// What the serializer said.
        message: String,
    },
}

impl Error {
    /// Line of the fault, counted from 1.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::Read { line, .. } => *line,
            _ => None,
        }
    }

    /// Column of the fault, counted from 1.
    pub fn column(&self) -> Option<usize> {
        match self {
            Self::Read { column, .. } => *column,
            _ => None,
        }
    }
}

fn at(line: Option<usize>, column: Option<usize>) -> String {
    match (line, column) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: "),
        (Some(line), None) => format!("line {line}: "),
        _ => String::new(),
    }
}

/// Writes a value as one YAML document in block style, ending with a newline.
///
/// # Errors
/// [`Error::Write`] when the value has no YAML form.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    let options = serde_saphyr::ser_options! {
        // A block scalar whose first line starts with a tab is refused by libyaml.
        prefer_block_scalars: false,
    };
    let mut text = serde_saphyr::to_string_with_options(&value, options)
        .map_err(|error| Error::Write { message: error.to_string() })?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Writes a tree as one YAML document in block style, ending with a newline.
///
/// Reads back as the same values as the text of [`to_string`], and costs a fraction of it.
pub fn write(value: &Value) -> String {
    write::document(value)
}

/// Reads one YAML document within the default [`Limits`].
///
/// # Errors
/// [`Error::Read`] with line and column, or [`Error::TooLong`].
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    from_str_within(text, &Limits::default())
}

/// Reads one YAML document within the given limits.
///
/// # Errors
/// [`Error::Read`] with line and column, or [`Error::TooLong`].
pub fn from_str_within<T: DeserializeOwned>(text: &str, limits: &Limits) -> Result<T, Error> {
    if text.len() > limits.bytes {
        return Err(Error::TooLong { limit: limits.bytes, actual: text.len() });
    }
    let budget = serde_saphyr::budget! {
        max_depth: limits.depth,
        max_nodes: limits.nodes,
        max_events: limits.nodes.saturating_mul(4),
        max_documents: 1,
        max_total_scalar_bytes: limits.bytes.saturating_mul(4)
    };
    let alias_limits = serde_saphyr::alias_limits! {
        max_total_replayed_events: limits.nodes.saturating_mul(4),
        max_replay_stack_depth: 16
    };
    let options = serde_saphyr::options! {
        budget: budget,
        alias_limits: alias_limits,
        duplicate_keys: DuplicateKeyPolicy::Error,
        // `0755` and `1_000` are kept as they were written instead of becoming 755.0 and 1000.
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let location = error.location();
        Error::Read {
            line: location.map(|at| usize::try_from(at.line()).unwrap_or(usize::MAX)),
            column: location.map(|at| usize::try_from(at.column()).unwrap_or(usize::MAX)),
            message: DefaultMessageFormatter.format_message(&error).into_owned(),
        }
    })
}

#[cfg(test)]
mod tests;
