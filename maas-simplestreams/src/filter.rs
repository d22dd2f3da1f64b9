//! The filter language of the simplestreams tools: `arch=amd64`, `release~(jammy|noble)`.

use std::fmt;
use std::str::FromStr;

use fancy_regex::{Regex, RegexBuilder};

use crate::products::ItemRef;

/// The largest compiled expression, in bytes: an expression cannot eat the memory.
const EXPRESSION_SIZE: usize = 1 << 20;

/// Most steps back in one search of an expression with look-around or back references.
const STEPS: usize = 20_000;

/// One condition on the flattened view of an item.
///
/// * `key=value` and `key!=value` compare the whole text, trailing blanks included;
/// * `key~expression` and `key!~expression` search for a regular expression anywhere in it.
///
/// An item without the key has the empty text there. Regular expressions are those of the `regex`
/// crate, which are never slow, and beside them look-around and back references as the original
/// tools have them. Such an expression is given up on a text that takes it too many steps: it is
/// then as if nothing was found.
#[derive(Clone, Debug)]
pub struct Filter {
    key: String,
    test: Test,
    sense: Sense,
    text: String,
}

#[derive(Clone, Debug)]
enum Test {
    Equals(String),
    Finds(Regex),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    Matching,
    NotMatching,
}

/// A text that is not a filter.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// It has no operator, no key, or a key with other characters than letters, digits, `_`, `-`
    /// and `|`.
    #[error("`{text}` is not a filter: KEY=VALUE, KEY!=VALUE, KEY~EXPRESSION, KEY!~EXPRESSION")]
    Syntax {
        /// The text.
        text: String,
    },
    /// The expression is not a regular expression.
    #[error("`{text}` holds no regular expression that is understood")]
    Expression {
        /// The text.
        text: String,
        /// What is wrong with it.
        #[source]
        cause: Box<fancy_regex::Error>,
    },
}

fn is_key(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '-' | '|')
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let syntax = || FilterError::Syntax { text: text.to_owned() };
        let end = text.find(|letter| !is_key(letter)).ok_or_else(syntax)?;
        let (key, rest) = text.split_at(end);
        if key.is_empty() {
            return Err(syntax());
        }
        let rest = rest.trim_start_matches(' ');
        let (sense, rest) = match rest.strip_prefix('!') {
            Some(rest) => (Sense::NotMatching, rest),
            None => (Sense::Matching, rest),
        };
        let mut letters = rest.chars();
        let operator = letters.next().ok_or_else(syntax)?;
        let value = letters.as_str().trim_start_matches(' ');
        // A value is one line; a line end after it is not part of it.
        let value = value.strip_suffix('\n').unwrap_or(value);
        if value.contains('\n') {
            return Err(syntax());
        }
        let test = match operator {
            '=' => Test::Equals(value.to_owned()),
            '~' => Test::Finds(
                RegexBuilder::new(value)
                    .delegate_size_limit(EXPRESSION_SIZE)
                    .backtrack_limit(STEPS)
                    .build()
                    .map_err(|cause| FilterError::Expression {
                        text: text.to_owned(),
                        cause: Box::new(cause),
                    })?,
            ),
            _ => return Err(syntax()),
        };
        Ok(Self { key: key.to_owned(), test, sense, text: text.to_owned() })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Filter {
    /// The field that is looked at.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether a text at the key meets the condition.
    pub fn matches_text(&self, text: &str) -> bool {
        let found = match &self.test {
            Test::Equals(value) => text == value,
            Test::Finds(expression) => expression.is_match(text).unwrap_or(false),
        };
        found == (self.sense == Sense::Matching)
    }

    /// Whether an item meets the condition.
    pub fn matches(&self, item: &ItemRef<'_>) -> bool {
        self.matches_text(item.flat(&self.key).as_deref().unwrap_or_default())
    }
}

/// Whether an item meets all conditions.
pub fn matches_all(filters: &[Filter], item: &ItemRef<'_>) -> bool {
    filters.iter().all(|filter| filter.matches(item))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn holds(filter: &str, text: &str) -> bool {
        filter.parse::<Filter>().unwrap().matches_text(text)
    }

    #[test]
    fn equality_is_of_the_whole_text_and_search_is_anywhere() {
        assert!(holds("release=jammy", "jammy"));
        assert!(!holds("release=jamm", "jammy"));
        assert!(holds("release~amm", "jammy"));
        assert!(holds("release~(jammy|noble)", "noble"));
        assert!(!holds("release~^amm", "jammy"));
        assert!(holds("release!=jammy", "noble"));
        assert!(!holds("release!~am", "jammy"));
    }

    #[test]
    fn expressions_may_look_around_and_refer_back() {
        assert!(holds("release~^(?!jam).*y$", "noby"));
        assert!(!holds("release~^(?!jam).*y$", "jammy"));
        assert!(holds("release~(.)\\1", "jammy"));
        assert!(!holds("release~(.)\\1", "noble"));
        assert!(holds("release~(?<=jam)my", "jammy"));
        assert!(holds("release!~(?<=jam)my", "mummy"));
    }

    #[test]
    fn an_expression_that_never_ends_finds_nothing() {
        assert!(!holds("a~(?=x)(a|aa)+\\1b", &"a".repeat(200)));
        assert!(!holds("a~^(?:(a+)+)\\1?$(?<!a)", &"a".repeat(60)));
    }

    #[test]
    fn blanks_around_the_operator_are_dropped_and_those_at_the_end_count() {
        assert!(holds("release  =  jammy", "jammy"));
        assert!(!holds("release=jammy ", "jammy"));
        assert!(holds("release=jammy ", "jammy "));
        assert!(holds("release ~ ja", "jammy"));
    }

    #[test]
    fn a_missing_key_is_the_empty_text() {
        assert!(holds("nosuch=", ""));
        assert!(!holds("nosuch!=", ""));
        assert!(holds("nosuch!=x", ""));
    }

    #[test]
    fn keys_may_hold_a_bar_and_values_an_operator() {
        assert!(holds("a|b=x", "x"));
        assert!(holds("bootloader-type=pxe", "pxe"));
        assert!(holds("a==b", "=b"));
        assert!(holds("a=~b", "~b"));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in ["", "x", "=x", " a=b", "a", "a!b", "a.b=c", "a<b", "a=b\nc", "a ! =b"] {
            assert!(matches!(text.parse::<Filter>(), Err(FilterError::Syntax { .. })), "{text:?}");
        }
        for text in ["a~(", "a~x{100000}{100000}"] {
            assert!(
                matches!(text.parse::<Filter>(), Err(FilterError::Expression { .. })),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_filter_or_refused_without_a_panic(text in ".{0,40}", value in ".{0,20}") {
            if let Ok(filter) = text.parse::<Filter>() {
                let _answer = filter.matches_text(&value);
            }
        }

        #[test]
        fn a_negated_filter_holds_exactly_when_the_plain_one_does_not(value in "[ab]{0,3}", text in "[ab]{0,4}") {
            for operator in ["=", "~"] {
                let plain = holds(&format!("k{operator}{value}"), &text);
                prop_assert_eq!(holds(&format!("k!{operator}{value}"), &text), !plain);
            }
        }
    }
}
