//! Numbers of any length, kept as they were written.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON number of any length and precision.
///
/// Two numbers are equal when they are written alike: `1.50` is not `1.5`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number(Form);

/// The usual ones take no memory of their own; each number has one form only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Form {
    Unsigned(u64),
    Negative(i64),
    /// Any other number, as it was written.
    Written(Box<str>),
}

/// A text that is not a JSON number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a number as JSON writes it")]
pub struct NumberError;

/// How the numbers of a text have to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// All are integers of a length that the JSON parser reads exactly.
    #[default]
    Plain,
    /// The JSON parser would round, rewrite or refuse some: their text has to be kept.
    AsWritten,
}

/// Digits of the longest integers that surely fit.
const PLAIN_DIGITS: usize = 18;

impl Numbers {
    /// What one number asks for.
    pub(crate) fn of(number: &[u8]) -> Self {
        let digits = number.strip_prefix(b"-").unwrap_or(number);
        let is_plain = digits.len() <= PLAIN_DIGITS
            && digits.iter().all(u8::is_ascii_digit)
            && number != b"-0";
        if is_plain { Self::Plain } else { Self::AsWritten }
    }

    /// What two parts of a text ask for together.
    pub(crate) fn and(self, other: Self) -> Self {
        if self == Self::Plain { other } else { self }
    }
}

/// How many bytes at the start of a text belong to a number, be it well-formed or not.
pub(crate) fn extent(text: &[u8]) -> usize {
    let belongs =
        |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    text.iter().position(|byte| !belongs(byte)).unwrap_or(text.len())
}

/// Whether JSON allows this text as a number.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (integer, fraction) = match mantissa.split_once('.') {
        Some((integer, fraction)) => (integer, Some(fraction)),
        None => (mantissa, None),
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits(integer)
        && (integer == "0" || !integer.starts_with('0'))
        && fraction.is_none_or(is_digits)
        && exponent.is_none_or(|text| is_digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

impl Number {
    /// The number, when it is an integer from 0 to 2⁶⁴ − 1, written as one.
    pub fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Form::Unsigned(number) => Some(number),
            Form::Negative(_) | Form::Written(_) => None,
        }
    }

    /// The number as the tools written in Python print it: integers digit by digit, all others in
    /// the shortest form that is the same double, with an exponent from 1e16 and below 1e-4, and
    /// `inf` beyond the range of a double.
    pub fn flat(&self) -> String {
        let Form::Written(text) = &self.0 else { return self.to_string() };
        if &**text == "-0" {
            return "0".to_owned();
        }
        if !text.contains(['.', 'e', 'E']) {
            return text.to_string();
        }
        match text.parse::<f64>() {
            Ok(double) => double_text(double),
            Err(_) => text.to_string(),
        }
    }
}

fn double_text(double: f64) -> String {
    if double.is_infinite() {
        return double.to_string();
    }
    let scientific = format!("{double:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = double.to_string();
        if plain.contains('.') { plain } else { format!("{plain}.0") }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self(Form::Unsigned(number))
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Self(u64::try_from(number).map_or(Form::Negative(number), Form::Unsigned))
    }
}

impl From<serde_json::Number> for Number {
    fn from(number: serde_json::Number) -> Self {
        match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => Self(Form::Written(number.to_string().into())),
        }
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        if !is_number(text) {
            return Err(NumberError);
        }
        if let Ok(number) = text.parse::<u64>() {
            return Ok(number.into());
        }
        match text.parse::<i64>() {
            Ok(number) if number != 0 => Ok(number.into()),
            _ => Ok(Self(Form::Written(text.into()))),
        }
    }
}

impl fmt::Display for Number {
    /// As it was written.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Unsigned(number) => number.fmt(formatter),
            Form::Negative(number) => number.fmt(formatter),
            Form::Written(text) => formatter.write_str(text),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Form::Unsigned(number) => serializer.serialize_u64(*number),
            Form::Negative(number) => serializer.serialize_i64(*number),
            Form::Written(text) => RawValue::from_string(text.to_string())
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::super::tests::NUMBER;
    use super::*;

    #[test]
    fn numbers_are_spelled_as_the_tools_spell_them() {
        let long = "9".repeat(5000);
        for (text, expected) in [
            ("1", "1"),
            ("-1", "-1"),
            ("-0", "0"),
            ("1.0", "1.0"),
            ("1.50", "1.5"),
            ("-0.0", "-0.0"),
            ("0e5", "0.0"),
            ("0.5", "0.5"),
            ("1E2", "100.0"),
            ("1e16", "1e+16"),
            ("1e15", "1000000000000000.0"),
            ("12345678901234567890.0", "1.2345678901234567e+19"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1.5e300", "1.5e+300"),
            ("1e400", "inf"),
            ("-1e400", "-inf"),
            ("1e-400", "0.0"),
            ("5e-324", "5e-324"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "18446744073709551616"),
            ("-9223372036854775809", "-9223372036854775809"),
            (&long, &long),
        ] {
            assert_eq!(text.parse::<Number>().unwrap().flat(), expected, "{text}");
        }
    }

    #[test]
    fn what_json_does_not_call_a_number_is_refused() {
        for text in [
            "", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "1.e1", "0x1", "1_0", "NaN",
            "inf", "Infinity", "1 ", "1.5.1", "1e1e1", "--1", "１",
        ] {
            assert_eq!(text.parse::<Number>(), Err(NumberError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_written_as_it_was_read(text in NUMBER) {
            let number: Number = text.parse().unwrap();
            prop_assert_eq!(&number.to_string(), &text);
            prop_assert_eq!(&serde_json::to_string(&number).unwrap(), &text);
            prop_assert_eq!(number.as_u64(), text.parse().ok());
        }

        #[test]
        fn the_grammar_is_that_of_the_json_parser(text in "[-+0-9.eE]{0,8}") {
            let known = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(text.parse::<Number>().is_ok(), known);
            prop_assert_eq!(extent(text.as_bytes()), text.len());
        }

        #[test]
        fn plain_numbers_are_exact_in_the_json_parser(text in NUMBER) {
            if Numbers::of(text.as_bytes()) == Numbers::Plain {
                let read: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(read.to_string(), text);
            }
        }

        #[test]
        fn a_double_keeps_its_value(double in any::<f64>()) {
            prop_assume!(double.is_finite());
            let text = double_text(double);
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), double.to_bits());
            prop_assert!(text.parse::<Number>().is_ok());
        }
    }
}
