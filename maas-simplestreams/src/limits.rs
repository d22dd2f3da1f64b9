//! How much of everything a document may contain.

use crate::value::{Numbers, number_extent};

/// As deep as the JSON parser goes.
const DEEPEST: usize = 127;

/// Limits on documents, checked before or while they are read.
///
/// The defaults leave a factor of twenty and more over the largest genuine documents (index
/// 28 kB, products 2.6 MB).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Largest index, in bytes. Default 4 MiB.
    pub index_bytes: u64,
    /// Largest products file, in bytes. Default 64 MiB.
    pub products_bytes: u64,
    /// Largest detached signature, in bytes. Default 64 KiB.
    pub signature_bytes: u64,
    /// Deepest nesting of objects and lists, at most 127. Default 32.
    pub nesting: usize,
    /// Longest string, in bytes as it stands in the document. Default 4 KiB.
    pub string_bytes: usize,
    /// Most items in one products file. Default 1,000,000.
    pub items: usize,
    /// How deep an index may refer to another index. Default 2.
    pub index_depth: usize,
    /// Most problems that are kept for one document; later ones are only counted. Default 1,000.
    pub problems: usize,
}

/// A limit that a document exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitExceeded {
    /// The document is longer than allowed.
    #[error("the document is longer than {limit} bytes")]
    Bytes {
        /// The largest size, in bytes.
        limit: u64,
    },
    /// Objects or lists are nested deeper than allowed.
    #[error("objects are nested deeper than {limit} levels")]
    Nesting {
        /// The deepest level.
        limit: usize,
    },
    /// A string is longer than allowed.
    #[error("a string is longer than {limit} bytes")]
    String {
        /// The longest string, in bytes.
        limit: usize,
    },
    /// There are more items than allowed.
    #[error("the document holds more than {limit} items")]
    Items {
        /// The largest number of items.
        limit: usize,
    },
    /// Indexes refer to indexes deeper than allowed.
    #[error("indexes refer to each other deeper than {limit} levels")]
    IndexDepth {
        /// The deepest level.
        limit: usize,
    },
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            index_bytes: 4 << 20,
            products_bytes: 64 << 20,
            signature_bytes: 64 << 10,
            nesting: 32,
            string_bytes: 4 << 10,
            items: 1_000_000,
            index_depth: 2,
            problems: 1_000,
        }
    }
}

impl Limits {
    /// The largest size of a document that nothing but its file name is known of: what is called
    /// an index is held to the limit of one.
    pub fn for_document(&self, file_name: &str) -> u64 {
        if file_name.starts_with("index") { self.index_bytes } else { self.products_bytes }
    }

    /// How deep a document may be nested whatever [`Self::nesting`] says: one level of the call
    /// stack for each has to do.
    pub(crate) fn deepest(&self) -> usize {
        self.nesting.min(DEEPEST)
    }

    /// Checks nesting and string lengths of a JSON text without building anything. Answers with
    /// how its numbers have to be read.
    pub(crate) fn check_shape(&self, text: &[u8]) -> Result<Numbers, LimitExceeded> {
        let mut depth = 0usize;
        let mut numbers = Numbers::Plain;
        let mut rest = text.iter();
        loop {
            let before = rest.as_slice();
            let Some(byte) = rest.next() else { break };
            match byte {
                b'{' | b'[' => {
                    depth += 1;
                    if depth > self.deepest() {
                        return Err(LimitExceeded::Nesting { limit: self.deepest() });
                    }
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                b'"' => {
                    let mut length = 0usize;
                    while let Some(byte) = rest.next() {
                        match byte {
                            b'"' => break,
                            b'\\' => {
                                rest.next();
                                length += 2;
                            }
                            _ => length += 1,
                        }
                    }
                    if length > self.string_bytes {
                        return Err(LimitExceeded::String { limit: self.string_bytes });
                    }
                }
                b'-' | b'0'..=b'9' => {
                    let (number, more) = before.split_at(number_extent(before));
                    numbers = numbers.and(Numbers::of(number));
                    rest = more.iter();
                }
                _ => {}
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_counts_objects_and_lists_but_not_brackets_in_strings() {
        let limits = Limits { nesting: 3, ..Limits::default() };
        assert_eq!(limits.check_shape(br#"{"a":[{"b":"[[[[{{{{\"[["}]}"#), Ok(Numbers::Plain));
        assert_eq!(
            limits.check_shape(br#"{"a":[{"b":[]}]}"#),
            Err(LimitExceeded::Nesting { limit: 3 })
        );
    }

    #[test]
    fn long_strings_are_found() {
        let limits = Limits { string_bytes: 4, ..Limits::default() };
        assert_eq!(limits.check_shape(br#"["abcd"]"#), Ok(Numbers::Plain));
        assert_eq!(limits.check_shape(br#"["abcde"]"#), Err(LimitExceeded::String { limit: 4 }));
    }
}
