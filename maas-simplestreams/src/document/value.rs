//! Reading one value: keys twice are refused at every depth, numbers are kept as they are written.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::{DocumentError, NameSeed, Reader};
use crate::limits::Limits;
use crate::ordered::Tags;
use crate::value::{Number, Numbers, Value};

/// Reads a text that is one value.
pub(crate) fn read_value(text: &[u8]) -> Result<Value, DocumentError> {
    let limits = Limits { nesting: usize::MAX, string_bytes: usize::MAX, ..Limits::default() };
    let numbers = limits.check_shape(text).map_err(DocumentError::Limit)?;
    let mut reader = Reader::new(&limits, numbers);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = ValueSeed { reader: &mut reader }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    match (value, reader.refusal) {
        (_, Some(refusal)) => Err(refusal),
        (value, None) => value.map_err(DocumentError::Json),
    }
}

/// Hands the next value to a visitor.
///
/// The JSON parser hands over numbers as `u64`, `i64` or `f64`, which not every number fits. Where
/// one does not, values are taken as text first, and a number goes to `visit_newtype_struct` with
/// that text.
pub(super) fn visit<'de, D: Deserializer<'de>, V: Visitor<'de>>(
    numbers: Numbers,
    deserializer: D,
    visitor: V,
) -> Result<V::Value, D::Error> {
    if numbers == Numbers::Plain {
        return deserializer.deserialize_any(visitor);
    }
    let text = <&RawValue>::deserialize(deserializer)?.get();
    if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return visitor.visit_newtype_struct(BorrowedStrDeserializer::new(text));
    }
    serde_json::Deserializer::from_str(text).deserialize_any(visitor).map_err(D::Error::custom)
}

/// Any JSON value, with duplicate keys refused at every depth.
pub(super) struct ValueSeed<'r, 'l> {
    pub(super) reader: &'r mut Reader<'l>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        visit(self.reader.numbers, deserializer, self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, number: D) -> Result<Value, D::Error> {
        let text = <&str>::deserialize(number)?;
        text.parse::<Number>().map(Value::Number).map_err(D::Error::custom)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(ValueSeed { reader: self.reader })? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Tags::new();
        while let Some(key) = map.next_key_seed(NameSeed { reader: self.reader })? {
            let value = map.next_value_seed(ValueSeed { reader: self.reader })?;
            if values.get(&key).is_some() {
                let pedigree = self.reader.pedigree();
                let key = key.to_string();
                return Err(self.reader.refuse(DocumentError::DuplicateKey { pedigree, key }));
            }
            values.insert(key, value);
        }
        Ok(values.into())
    }
}
