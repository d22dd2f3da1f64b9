//! Values for the places of a query; each knows its type even when it is absent.

use std::borrow::Cow;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Value<'q> {
    /// A number.
    Integer(Option<i64>),
    /// A text.
    Text(Option<Cow<'q, str>>),
    /// Bytes.
    Bytes(Cow<'q, [u8]>),
}

macro_rules! from {
    ($($given:ty => $make:expr),* $(,)?) => {
        $(impl<'q> From<$given> for Value<'q> {
            fn from(given: $given) -> Self {
                $make(given)
            }
        })*
    };
}

from! {
    i64 => |number| Value::Integer(Some(number)),
    Option<i64> => Value::Integer,
    &'q str => |text| Value::Text(Some(Cow::Borrowed(text))),
    String => |text| Value::Text(Some(Cow::Owned(text))),
    Cow<'q, str> => |text| Value::Text(Some(text)),
    Option<&'q str> => |text: Option<&'q str>| Value::Text(text.map(Cow::Borrowed)),
    Option<Cow<'q, str>> => Value::Text,
    &'q [u8] => |bytes| Value::Bytes(Cow::Borrowed(bytes)),
    Vec<u8> => |bytes| Value::Bytes(Cow::Owned(bytes)),
}

#[cfg(feature = "sqlite")]
impl Value<'_> {
    /// The same without anything borrowed.
    pub(super) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Integer(number) => Value::Integer(number),
            Self::Text(text) => Value::Text(text.map(|text| Cow::Owned(text.into_owned()))),
            Self::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
        }
    }
}
