//! A JSON value that knows where in the document it stands, so that errors can say it.

use serde_json::Value;

use super::resources::ResourcesError;

/// One value with its path, e.g. `resources.cpu.sockets[0].name`.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    path: String,
    value: Option<&'a Value>,
}

impl<'a> Node<'a> {
    pub(crate) const fn root(value: &'a Value) -> Self {
        Self { path: String::new(), value: Some(value) }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The value unless it is missing or null, which are the same to Go's encoder.
    pub(crate) fn present(&self) -> Option<&'a Value> {
        self.value.filter(|value| !value.is_null())
    }

    /// The member of an object; nothing when the object itself is missing.
    pub(crate) fn get(&self, key: &str) -> Result<Self, ResourcesError> {
        let value = match self.present() {
            None => None,
            Some(Value::Object(members)) => members.get(key),
            Some(other) => return Err(self.wrong("an object", other)),
        };
        let path =
            if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Ok(Self { path, value })
    }

    /// The members of an object in the document's order of keys; none when it is missing.
    pub(crate) fn members(&self, limit: usize) -> Result<Vec<(&'a str, Self)>, ResourcesError> {
        match self.present() {
            None => Ok(Vec::new()),
            Some(Value::Object(members)) => {
                self.bounded(members.len(), limit)?;
                Ok(members
                    .iter()
                    .map(|(key, value)| {
                        let path = format!("{}[{key:?}]", self.path);
                        (key.as_str(), Self { path, value: Some(value) })
                    })
                    .collect())
            }
            Some(other) => Err(self.wrong("an object", other)),
        }
    }

    /// The items of a list; none when it is missing.
    pub(crate) fn items(&self, limit: usize) -> Result<Vec<Self>, ResourcesError> {
        match self.present() {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                self.bounded(items.len(), limit)?;
                Ok(items
                    .iter()
                    .enumerate()
                    .map(|(index, value)| Self {
                        path: format!("{}[{index}]", self.path),
                        value: Some(value),
                    })
                    .collect())
            }
            Some(other) => Err(self.wrong("a list", other)),
        }
    }

    /// A text without surrounding white space; empty when it is missing.
    pub(crate) fn text(&self) -> Result<String, ResourcesError> {
        match self.present() {
            None => Ok(String::new()),
            Some(Value::String(text)) => {
                let text = text.trim();
                self.bounded(text.len(), TEXT_LIMIT)?;
                Ok(text.to_owned())
            }
            Some(other) => Err(self.wrong("a text", other)),
        }
    }

    /// A text, or nothing when it is missing or empty.
    pub(crate) fn some_text(&self) -> Result<Option<String>, ResourcesError> {
        Ok(Some(self.text()?).filter(|text| !text.is_empty()))
    }

    /// Whether it is true; false when it is missing.
    pub(crate) fn flag(&self) -> Result<bool, ResourcesError> {
        match self.present() {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong("true or false", other)),
        }
    }

    /// A whole number from 0 on; 0 when it is missing.
    pub(crate) fn number(&self) -> Result<u64, ResourcesError> {
        match self.present() {
            None => Ok(0),
            Some(value) => {
                value.as_u64().ok_or_else(|| self.wrong("a whole number from 0 on", value))
            }
        }
    }

    /// A whole number of 32 bits; 0 when it is missing.
    pub(crate) fn small(&self) -> Result<u32, ResourcesError> {
        let number = self.number()?;
        u32::try_from(number).map_err(|_| ResourcesError::OutOfRange {
            path: self.path.clone(),
            expected: "0 to 4294967295",
            found: number.to_string(),
        })
    }

    pub(crate) fn wrong(&self, expected: &'static str, found: &Value) -> ResourcesError {
        ResourcesError::WrongType { path: self.path.clone(), expected, found: noun(found) }
    }

    pub(crate) fn out_of_range(&self, expected: &'static str, found: &str) -> ResourcesError {
        ResourcesError::OutOfRange {
            path: self.path.clone(),
            expected,
            found: found.chars().take(64).collect(),
        }
    }

    fn bounded(&self, found: usize, limit: usize) -> Result<(), ResourcesError> {
        if found > limit {
            return Err(ResourcesError::TooMany { path: self.path.clone(), found, limit });
        }
        Ok(())
    }
}

/// The longest text, in bytes, that a field may hold.
const TEXT_LIMIT: usize = 4096;

fn noun(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
