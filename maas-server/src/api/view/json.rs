//! JSON that is written once and copied wherever it is shown: a list of many machines shows the
//! same disks, interfaces, VLANs and subnets again and again.

use std::ops::Range;

use serde::Serialize;
use serde_json::Value;

const NULL: &[u8] = b"null";

/// A value that is written already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Json(Vec<u8>);

impl Json {
    /// Null.
    #[cfg(test)]
    pub(crate) fn null() -> Self {
        Self(NULL.to_vec())
    }

    /// A value as serde writes it.
    pub(crate) fn of(value: &impl Serialize) -> Self {
        let mut out = Vec::new();
        write(&mut out, value);
        Self(out)
    }

    /// A list of what is written already.
    pub(crate) fn list<'a>(values: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut out = Vec::new();
        write_list(&mut out, values);
        Self(out)
    }

    /// The text.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, given away.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The value, read again.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.0).unwrap_or_default()
    }
}

/// An object that is being written, member by member.
#[derive(Debug)]
pub(crate) struct Object {
    out: Vec<u8>,
    members: Vec<(&'static str, Range<usize>)>,
}

impl Object {
    /// An object without members, with room for so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes);
        out.push(b'{');
        Self { out, members: Vec::with_capacity(if bytes > 8192 { 96 } else { 24 }) }
    }

    /// Adds a member. The name is never one that needs escaping.
    pub(crate) fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        self.member(name, |out| write(out, value));
    }

    /// Adds a member that is written already.
    pub(crate) fn json(&mut self, name: &'static str, value: &Json) {
        self.member(name, |out| out.extend_from_slice(&value.0));
    }

    /// Adds a member that is a list of what is written already.
    pub(crate) fn list<'a>(
        &mut self,
        name: &'static str,
        values: impl IntoIterator<Item = &'a Json>,
    ) {
        self.member(name, |out| write_list(out, values));
    }

    /// The object as it is now, without the index of its members.
    pub(crate) fn end(mut self) -> Json {
        self.out.push(b'}');
        Json(self.out)
    }

    /// An object of only these members, in this order; names that it does not have are left out.
    pub(crate) fn only(&self, names: &[String]) -> Json {
        let mut out = vec![b'{'];
        for (index, name) in names.iter().enumerate() {
            let twice = names.iter().take(index).any(|before| before == name);
            let Some((_, range)) = self.members.iter().find(|(own, _)| own == name) else {
                continue;
            };
            if twice {
                continue;
            }
            if out.len() > 1 {
                out.push(b',');
            }
            out.extend_from_slice(self.out.get(range.clone()).unwrap_or_default());
        }
        out.push(b'}');
        Json(out)
    }

    fn member(&mut self, name: &'static str, value: impl FnOnce(&mut Vec<u8>)) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        let from = self.out.len();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        value(&mut self.out);
        self.members.push((name, from..self.out.len()));
    }
}

fn write_list<'a>(out: &mut Vec<u8>, values: impl IntoIterator<Item = &'a Json>) {
    out.push(b'[');
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&value.0);
    }
    out.push(b']');
}

/// Writing into memory fails for values that are no JSON only (a map without text keys); such a
/// value is null.
fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let from = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(from);
        out.extend_from_slice(NULL);
    }
}

/// Adds members to an [`Object`] in the form of an object's text.
macro_rules! fields {
    ($object:expr, $($name:literal : $value:expr),+ $(,)?) => {
        $($object.field($name, &$value);)+
    };
}
pub(crate) use fields;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn object() -> Object {
        let mut object = Object::with_room(16);
        fields!(object, "a": 1, "b": "x\"y", "c": ());
        object.json("d", &Json::of(&[1, 2]));
        object.list("e", [&Json::null(), &Json::of(&true)]);
        object
    }

    #[test]
    fn an_object_is_what_its_members_say() {
        let object = object().end();
        assert_eq!(object.bytes(), br#"{"a":1,"b":"x\"y","c":null,"d":[1,2],"e":[null,true]}"#);
        assert_eq!(object.value()["e"][1], true);
        assert_eq!(Object::with_room(0).end().bytes(), b"{}");
    }

    #[test]
    fn members_are_chosen_by_name_once_each() {
        let names = ["e", "nothing", "a", "e"].map(str::to_owned);
        assert_eq!(object().only(&names).bytes(), br#"{"e":[null,true],"a":1}"#);
        assert_eq!(object().only(&[]).bytes(), b"{}");
    }

    #[test]
    fn what_is_no_json_is_null() {
        let mut object = Object::with_room(0);
        object.field("a", &BTreeMap::from([((1, 2), 3)]));
        assert_eq!(object.end().bytes(), br#"{"a":null}"#);
    }
}
