//! Whether a cloud-config says what cloud-init's modules understand: its keys, and the type of what
//! stands below them.
//!
//! cloud-init warns about such mistakes in the log of the machine that booted with them, and leaves
//! out what it did not understand. Here they are said before the deployment.

mod keys;

use maas_netconfig::yaml::{Map, Value};

use self::keys::KEYS;

/// More mistakes than these are not listed: the first ones explain the rest.
const MOST: usize = 20;

/// What may stand in a place.
#[derive(Clone, Copy)]
enum Shape {
    /// Anything: the module has no rules, or rules that are not worth repeating.
    Any,
    Null,
    Flag,
    Whole,
    Text,
    /// One of these texts.
    Word(&'static [&'static str]),
    List(&'static Self),
    /// A mapping with these keys and no others.
    Map(&'static [Field]),
    /// A mapping whose keys are names that the user chooses.
    Names(&'static Self),
    /// A mapping of any content.
    Open,
    OneOf(&'static [Self]),
}

/// A key of a mapping.
struct Field {
    name: &'static str,
    needed: bool,
    shape: Shape,
}

/// What is wrong with a cloud-config, each with its place; nothing when cloud-init takes all of it.
/// Keys that cloud-init renamed are taken under either name.
pub(super) fn mistakes(config: &Map) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in config.iter() {
        match KEYS.iter().find(|field| field.name == key) {
            Some(field) => check(value, &field.shape, key, &mut found),
            None => found.push(format!("cloud-init knows no key {key:?}; it is ignored")),
        }
    }
    let more = found.len().saturating_sub(MOST);
    if more > 0 {
        found.truncate(MOST);
        found.push(format!("{more} more mistakes of this kind"));
    }
    found
}

fn check(value: &Value, shape: &Shape, place: &str, found: &mut Vec<String>) {
    match (shape, value) {
        (Shape::List(inner), Value::List(items)) => {
            for (at, item) in items.iter().enumerate() {
                check(item, inner, &format!("{place}[{at}]"), found);
            }
        }
        (Shape::Map(fields), Value::Map(map)) => {
            for (key, value) in map.iter() {
                match fields.iter().find(|field| field.name == key) {
                    Some(field) => check(value, &field.shape, &format!("{place}.{key}"), found),
                    None => found.push(format!("{place}: cloud-init knows no key {key:?} here")),
                }
            }
            for field in fields.iter().filter(|field| field.needed) {
                if map.get(field.name).is_none() {
                    found.push(format!("{place}: {:?} is missing", field.name));
                }
            }
        }
        (Shape::Names(inner), Value::Map(map)) => {
            for (key, value) in map.iter() {
                check(value, inner, &format!("{place}.{key}"), found);
            }
        }
        (Shape::OneOf(shapes), _) => {
            // The one that has the value's own kind explains best what is wrong inside.
            match shapes.iter().find(|one| fits(value, one)) {
                Some(one) => check(value, one, place, found),
                None => wrong(value, shape, place, found),
            }
        }
        _ if fits(value, shape) => {}
        _ => wrong(value, shape, place, found),
    }
}

fn wrong(value: &Value, shape: &Shape, place: &str, found: &mut Vec<String>) {
    found.push(format!("{place}: expected {}, found {}", name(shape), kind(value)));
}

/// Whether a value is of the kind that a shape asks for; what is inside is not looked at.
fn fits(value: &Value, shape: &Shape) -> bool {
    match (shape, value) {
        (Shape::Any, _)
        | (Shape::Null, Value::Null)
        | (Shape::Flag, Value::Bool(_))
        | (Shape::Whole, Value::Int(_))
        | (Shape::Text, Value::String(_))
        | (Shape::List(_), Value::List(_))
        | (Shape::Map(_) | Shape::Names(_) | Shape::Open, Value::Map(_)) => true,
        // cloud-init reads YAML 1.1, where these words are booleans.
        (Shape::Flag, Value::String(text)) => {
            matches!(text.to_ascii_lowercase().as_str(), "yes" | "no" | "on" | "off")
        }
        (Shape::Word(words), Value::String(text)) => words.contains(&text.as_str()),
        (Shape::OneOf(shapes), _) => shapes.iter().any(|shape| fits(value, shape)),
        _ => false,
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => format!("the number {number}"),
        Value::Float(number) => format!("the number {number}"),
        // A text may be a password.
        Value::String(_) => "a text".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}

fn name(shape: &Shape) -> String {
    match shape {
        Shape::Any => "anything".to_owned(),
        Shape::Null => "nothing".to_owned(),
        Shape::Flag => "true or false".to_owned(),
        Shape::Whole => "a whole number".to_owned(),
        Shape::Text => "a text".to_owned(),
        Shape::Word(words) => format!("one of {}", words.join(", ")),
        Shape::List(_) => "a list".to_owned(),
        Shape::Map(_) | Shape::Names(_) | Shape::Open => "a mapping".to_owned(),
        Shape::OneOf(shapes) => {
            let mut names: Vec<String> = shapes.iter().map(name).collect();
            names.dedup();
            names.join(" or ")
        }
    }
}

#[cfg(test)]
mod tests;
