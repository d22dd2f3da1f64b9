//! Writes a [`Value`] tree directly: the fast path for documents that this crate makes itself.
//!
//! A text is bare only when no YAML 1.1 reader can take it for anything else; everything else is
//! in double quotes, with escapes for whatever is not plainly printable.

use std::fmt::Write as _;

use super::{Map, Value};

/// Longest key in the short form; YAML readers give up on implicit keys of 1024 characters.
const LONG_KEY: usize = 900;

/// Writes a tree as one document in block style, ending with a newline.
pub(super) fn document(value: &Value) -> String {
    let mut text = String::with_capacity(4096);
    match value {
        Value::Map(map) if !map.is_empty() => mapping(&mut text, map, 0, Position::LineStart),
        Value::List(items) if !items.is_empty() => list(&mut text, items, 0, Position::LineStart),
        other => {
            scalar(&mut text, other);
            text.push('\n');
        }
    }
    text
}

/// Where the first line of a block goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// On a line of its own.
    LineStart,
    /// Behind the dash of a list item.
    BehindDash,
}

fn indent(text: &mut String, depth: usize) {
    const SPACES: &str = "                                ";
    let mut left = depth * 2;
    while left > 0 {
        let now = left.min(SPACES.len());
        text.push_str(&SPACES[..now]);
        left -= now;
    }
}

fn mapping(text: &mut String, map: &Map, depth: usize, mut position: Position) {
    for (key, value) in map.iter() {
        if position == Position::LineStart {
            indent(text, depth);
        }
        position = Position::LineStart;
        if key.len() > LONG_KEY {
            text.push_str("? ");
            string(text, key);
            text.push('\n');
            indent(text, depth);
        } else {
            string(text, key);
        }
        text.push(':');
        match value {
            Value::Map(map) if !map.is_empty() => {
                text.push('\n');
                mapping(text, map, depth + 1, Position::LineStart);
            }
            Value::List(items) if !items.is_empty() => {
                text.push('\n');
                list(text, items, depth, Position::LineStart);
            }
            other => {
                text.push(' ');
                scalar(text, other);
                text.push('\n');
            }
        }
    }
}

fn list(text: &mut String, items: &[Value], depth: usize, mut position: Position) {
    for item in items {
        if position == Position::LineStart {
            indent(text, depth);
        }
        position = Position::LineStart;
        text.push_str("- ");
        match item {
            Value::Map(map) if !map.is_empty() => {
                mapping(text, map, depth + 1, Position::BehindDash);
            }
            Value::List(items) if !items.is_empty() => {
                list(text, items, depth + 1, Position::BehindDash);
            }
            other => {
                scalar(text, other);
                text.push('\n');
            }
        }
    }
}

fn scalar(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) => {
            // Writing to a string cannot fail, here and below.
            write!(text, "{number}").ok();
        }
        Value::Float(number) => float(text, *number),
        Value::String(value) => string(text, value),
        Value::List(_) => text.push_str("[]"),
        Value::Map(_) => text.push_str("{}"),
    }
}

/// YAML 1.1 wants a point and a signed exponent.
fn float(text: &mut String, number: f64) {
    if number.is_nan() {
        text.push_str(".nan");
    } else if number.is_infinite() {
        text.push_str(if number > 0.0 { ".inf" } else { "-.inf" });
    } else {
        let plain = format!("{number:?}");
        match plain.split_once('e') {
            None => text.push_str(&plain),
            Some((mantissa, exponent)) => {
                let point = if mantissa.contains('.') { "" } else { ".0" };
                let sign = if exponent.starts_with('-') { "" } else { "+" };
                write!(text, "{mantissa}{point}e{sign}{exponent}").ok();
            }
        }
    }
}

/// Words that some YAML reader takes for a boolean or for nothing.
const WORDS: &[&str] = &["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// Whether a text means itself without quotes: a word, an IPv4 address, or a path-like text.
fn is_bare(value: &str) -> bool {
    let bytes = value.as_bytes();
    match bytes.first() {
        Some(first) if first.is_ascii_alphabetic() => {
            bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_./@%+-".contains(byte))
                && (bytes.len() > 5 || !WORDS.iter().any(|word| word.eq_ignore_ascii_case(value)))
        }
        Some(b'0'..=b'9') => {
            // Three dots or a slash: neither a number nor a date.
            bytes.iter().all(|byte| byte.is_ascii_digit() || b"./".contains(byte))
                && (bytes.contains(&b'/')
                    || bytes.iter().filter(|byte| **byte == b'.').count() == 3)
        }
        _ => false,
    }
}

fn string(text: &mut String, value: &str) {
    if is_bare(value) {
        text.push_str(value);
        return;
    }
    text.push('"');
    for char in value.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            ' '..='~' => text.push(char),
            _ if char.is_alphanumeric() => text.push(char),
            _ => {
                let code = u32::from(char);
                match code {
                    0..=0xff => write!(text, "\\x{code:02x}").ok(),
                    0x100..=0xffff => write!(text, "\\u{code:04x}").ok(),
                    _ => write!(text, "\\U{code:08x}").ok(),
                };
            }
        }
    }
    text.push('"');
}
