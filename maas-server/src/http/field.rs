//! Named values of a query or a form, with readers that name the field they complain about.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Serialize, Serializer};

/// What a field holds. Its Debug text shows the length only: forms carry passwords.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Value {
    /// The bytes, transfer encoding removed.
    pub content: Bytes,
    /// The file name of a file part.
    pub file_name: Option<String>,
    /// The media type of a multipart part, as sent.
    pub content_type: Option<String>,
}

/// One name and what came under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name, case kept.
    pub name: String,
    /// The value.
    pub value: Value,
}

/// The values of a query, a form or both, in the order they came; names may repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    items: Vec<Field>,
}

/// One value that cannot be used; becomes `{"field": ["message"]}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// The field's name.
    pub field: String,
    /// A sentence for the person who sent it.
    pub message: String,
}

/// Every field that cannot be used; the body of a 400 in MAAS's form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    messages: BTreeMap<String, Vec<String>>,
}

const REQUIRED: &str = "This field is required.";

impl Fields {
    /// No fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text value.
    pub fn push_text(&mut self, name: impl Into<String>, text: impl Into<String>) {
        let content = Bytes::from(text.into());
        self.push(name, Value { content, file_name: None, content_type: None });
    }

    /// Adds a value.
    pub fn push(&mut self, name: impl Into<String>, value: Value) {
        self.items.push(Field { name: name.into(), value });
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Field> {
        self.items.iter()
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether the name occurs, with any value.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.items.iter().any(|field| field.name == name)
    }

    /// The names, each once, in the order of their first occurrence.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        self.items
            .iter()
            .map(|field| field.name.as_str())
            .filter(|name| seen.insert(*name))
            .collect()
    }

    /// The last value under `name` (as Django and so MAAS does).
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.items.iter().rev().find(|field| field.name == name).map(|field| &field.value)
    }

    /// The last value as text, also when empty.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<&str>, FieldError> {
        self.value(name).map(|value| utf8(name, value)).transpose()
    }

    /// The last value as text; an empty one counts as absent.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn filled(&self, name: &str) -> Result<Option<&str>, FieldError> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    /// The text that must be there and not be empty.
    ///
    /// # Errors
    /// `This field is required.`, or when it is not UTF-8.
    pub fn required(&self, name: &str) -> Result<&str, FieldError> {
        self.filled(name)?.ok_or_else(|| FieldError::new(name, REQUIRED))
    }

    /// Every value under `name`, empty ones too.
    ///
    /// # Errors
    /// When one is not UTF-8.
    pub fn texts(&self, name: &str) -> Result<Vec<&str>, FieldError> {
        let of_name = self.items.iter().filter(|field| field.name == name);
        of_name.map(|field| utf8(name, &field.value)).collect()
    }

    /// Every word under `name`: repeated values and lists separated by commas or white space
    /// mean the same (`tags=a,b` and `tags=a&tags=b`).
    ///
    /// # Errors
    /// When one is not UTF-8.
    pub fn words(&self, name: &str) -> Result<Vec<&str>, FieldError> {
        let split = |c: char| c == ',' || c.is_whitespace();
        let texts = self.texts(name)?;
        Ok(texts.iter().flat_map(|t| t.split(split)).filter(|w| !w.is_empty()).collect())
    }

    /// A yes or no in any of MAAS's spellings ([`parse_flag`]); empty counts as absent.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, FieldError> {
        let Some(text) = self.filled(name)? else { return Ok(None) };
        let refuse = || FieldError::new(name, "Value should be a boolean, such as true or false.");
        parse_flag(text).ok_or_else(refuse).map(Some)
    }

    /// A whole number; empty counts as absent.
    ///
    /// # Errors
    /// `Enter a whole number.` also when it does not fit `T`.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, FieldError> {
        let Some(text) = self.filled(name)? else { return Ok(None) };
        let refuse = |_| FieldError::new(name, "Enter a whole number.");
        text.trim().parse().map(Some).map_err(refuse)
    }

    /// A value of a type that reads itself; its error text becomes the message. Empty counts as
    /// absent.
    ///
    /// # Errors
    /// What `T` says.
    pub fn parsed<T>(&self, name: &str) -> Result<Option<T>, FieldError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let Some(text) = self.filled(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|error: T::Err| FieldError::new(name, error.to_string()))
    }

    /// The file parts, in order.
    pub fn files(&self) -> impl Iterator<Item = &Field> {
        self.items.iter().filter(|field| field.value.file_name.is_some())
    }

    /// These fields, with those of `other` whose names do not occur here added. Empty values of
    /// `other` are left out: clients send `?Type=` and mean nothing by it.
    #[must_use]
    pub fn completed_by(mut self, other: &Self) -> Self {
        let names: HashSet<&str> = self.items.iter().map(|field| field.name.as_str()).collect();
        let absent = |field: &&Field| {
            !field.value.content.is_empty() && !names.contains(field.name.as_str())
        };
        let added: Vec<Field> = other.iter().filter(absent).cloned().collect();
        self.items.extend(added);
        self
    }

    /// The fields whose name `keep` wants.
    #[must_use]
    pub(super) fn only(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.items.retain(|field| keep(&field.name));
        self
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = &'a Field;
    type IntoIter = std::slice::Iter<'a, Field>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<(String, String)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut fields = Self::new();
        for (name, text) in pairs {
            fields.push_text(name, text);
        }
        fields
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value")
            .field("length", &self.content.len())
            .field("file_name", &self.file_name)
            .field("content_type", &self.content_type)
            .finish()
    }
}

fn utf8<'a>(name: &str, value: &'a Value) -> Result<&'a str, FieldError> {
    let refuse = |_| FieldError::new(name, "Value must be text in UTF-8.");
    std::str::from_utf8(&value.content).map_err(refuse)
}

impl FieldError {
    /// A complaint about one field.
    #[must_use]
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl FieldErrors {
    /// The name under which complaints about no single field go.
    pub const ALL: &'static str = "__all__";

    /// No complaint yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is no complaint.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Adds a complaint.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.messages.entry(field.into()).or_default().push(message.into());
    }

    /// Takes the value out of `read`, or keeps its complaint and returns the default, so that a
    /// handler can tell the caller about all fields at once.
    pub fn collect<T: Default>(&mut self, read: Result<T, FieldError>) -> T {
        read.unwrap_or_else(|error| {
            self.add(error.field, error.message);
            T::default()
        })
    }

    /// Goes on when there is no complaint.
    ///
    /// # Errors
    /// Itself, when there is one.
    pub fn done(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The messages by field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.messages.iter().map(|(field, messages)| (field.as_str(), messages.as_slice()))
    }
}

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        let mut errors = Self::new();
        errors.add(error.field, error.message);
        errors
    }
}

impl Serialize for FieldErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.messages.serialize(serializer)
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (field, messages)) in self.messages.iter().enumerate() {
            let comma = if at == 0 { "" } else { "; " };
            write!(f, "{comma}{field}: {}", messages.join(" "))?;
        }
        Ok(())
    }
}

/// Reads MAAS's spellings of a truth value: true, t, yes, y, on, 1 and their opposites, in any
/// case (Go sends `true`, python-libmaas `True`, gomaasclient `1`).
#[must_use]
pub fn parse_flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect()
    }

    #[test]
    fn flags_are_read_in_the_spelling_of_every_client() {
        for yes in ["true", "True", "T", "yes", "Y", "on", "ON", "1"] {
            assert_eq!(parse_flag(yes), Some(true), "{yes}");
        }
        for no in ["false", "False", "f", "no", "N", "off", "0"] {
            assert_eq!(parse_flag(no), Some(false), "{no}");
        }
        assert_eq!(parse_flag("2"), None);
        assert_eq!(parse_flag("ja"), None);
    }

    #[test]
    fn the_last_of_repeated_values_counts_and_all_can_be_read() {
        let sent = fields(&[("tags", "a,b"), ("zone", "z1"), ("tags", "c d"), ("zone", "z2")]);
        assert_eq!(sent.text("zone"), Ok(Some("z2")));
        assert_eq!(sent.texts("zone").unwrap(), ["z1", "z2"]);
        assert_eq!(sent.words("tags").unwrap(), ["a", "b", "c", "d"]);
        assert_eq!(sent.names(), ["tags", "zone"]);
    }

    #[test]
    fn complaints_name_their_field() {
        let sent = fields(&[("mem", "much"), ("force", "maybe"), ("name", "")]);
        let mut errors = FieldErrors::new();
        assert_eq!(errors.collect(sent.number::<u64>("mem")), None);
        assert_eq!(errors.collect(sent.flag("force")), None);
        assert_eq!(errors.collect(sent.required("name")), "");
        let json = serde_json::to_value(&errors).unwrap();
        assert_eq!(json["mem"][0], "Enter a whole number.");
        assert_eq!(json["name"][0], "This field is required.");
        assert!(json["force"][0].as_str().unwrap().contains("boolean"));
        assert!(errors.done().is_err());
    }

    #[test]
    fn an_empty_value_is_absent_for_everything_but_text() {
        let sent = fields(&[("mem", ""), ("force", ""), ("description", "")]);
        assert_eq!(sent.number::<u64>("mem"), Ok(None));
        assert_eq!(sent.flag("force"), Ok(None));
        assert_eq!(sent.text("description"), Ok(Some("")));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_as_text() {
        let mut sent = Fields::new();
        let content = Bytes::from_static(b"\xff\xfe");
        sent.push("blob", Value { content, ..Value::default() });
        assert_eq!(sent.text("blob").unwrap_err().field, "blob");
        assert!(sent.value("blob").is_some());
    }

    #[test]
    fn a_password_is_in_no_debug_text() {
        let sent = fields(&[("power_pass", "hunter2")]);
        let text = format!("{sent:?}");
        assert!(text.contains("power_pass") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_query_completes_a_form_without_overruling_it() {
        let form = fields(&[("name", "form")]);
        let both = form.completed_by(&fields(&[("name", "query"), ("zone", "z"), ("Type", "")]));
        assert_eq!(both, fields(&[("name", "form"), ("zone", "z")]));
    }
}
