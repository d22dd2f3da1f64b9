//! One pass over the text of a products file: it proves the whole well-formed and finds where each
//! product stands, so that only products that matter are read.
//!
//! The pass is an abbreviation, not another reader: it gives up at everything that is unusual, and
//! then the ordinary reader decides what the document is worth.

use std::ops::Range;

use crate::limits::Limits;
use crate::path::is_safe_path;
use crate::value::Numbers;

/// Where the parts of a products file stand in its text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Skim {
    /// Name and value of each field of the top level but `products`.
    pub(crate) tags: Vec<Field>,
    /// Every product, in document order.
    pub(crate) products: Vec<Skimmed>,
}

/// The name of a field, without its quotes, and its value.
pub(crate) type Field = (Range<usize>, Range<usize>);

/// Where a product stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Skimmed {
    /// Its name, without quotes.
    pub(crate) name: Range<usize>,
    /// The object.
    pub(crate) value: Range<usize>,
    /// Its own fields but `versions`.
    pub(crate) tags: Vec<Field>,
    /// What stands in `versions`.
    pub(crate) versions: Range<usize>,
    /// Whether a string in it holds an escape, so that searching its text proves nothing.
    pub(crate) has_escapes: bool,
    /// How its numbers have to be read.
    pub(crate) numbers: Numbers,
}

/// What an object is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Document,
    Products,
    Product,
    Versions,
    Version,
    Items,
    Item,
    Value,
}

impl Place {
    /// What stands in a field of an object here.
    fn inside(self, key: &[u8]) -> Self {
        match self {
            Self::Document if key == b"products" => Self::Products,
            Self::Products => Self::Product,
            Self::Product if key == b"versions" => Self::Versions,
            Self::Versions => Self::Version,
            Self::Version if key == b"items" => Self::Items,
            Self::Items => Self::Item,
            _ => Self::Value,
        }
    }

    /// Whether an object here has fields of its own, rather than children alone.
    fn is_level(self) -> bool {
        matches!(self, Self::Document | Self::Product | Self::Version | Self::Item)
    }
}

/// Keys of one object that are compared one by one; more are sorted.
const COMPARED: usize = 16;

struct Pass<'t> {
    text: &'t [u8],
    at: usize,
    limits: &'t Limits,
    depth: usize,
    items: usize,
    /// The keys of the objects around this place.
    keys: Vec<&'t [u8]>,
    has_escapes: bool,
    numbers: Numbers,
    found: Skim,
}

impl Skim {
    /// Passes over a text; `None` when anything in it is unusual or wrong.
    pub(crate) fn of(text: &[u8], limits: &Limits) -> Option<Self> {
        std::str::from_utf8(text).ok()?;
        let mut pass = Pass {
            text,
            at: 0,
            limits,
            depth: 0,
            items: 0,
            keys: Vec::new(),
            has_escapes: false,
            numbers: Numbers::Plain,
            found: Self::default(),
        };
        pass.blanks();
        pass.value(Place::Document)?;
        pass.blanks();
        (pass.at == text.len()).then_some(pass.found)
    }
}

impl<'t> Pass<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn value(&mut self, place: Place) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(place),
            // A level that is no object is a matter for the ordinary reader.
            _ if place != Place::Value => None,
            b'[' => self.list(),
            b'"' => self.string().map(|_| ()),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        if self.peek()? == b'-' {
            self.at += 1;
        }
        let integer = self.at;
        self.digits()?;
        if self.text.get(integer) == Some(&b'0') && self.at > integer + 1 {
            return None;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        self.numbers = self.numbers.and(Numbers::of(self.text.get(start..self.at)?));
        Some(())
    }

    fn deeper(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth <= self.limits.deepest()).then_some(())
    }

    fn list(&mut self) -> Option<()> {
        self.deeper()?;
        self.at += 1;
        self.blanks();
        if self.peek()? != b']' {
            loop {
                self.value(Place::Value)?;
                self.blanks();
                match self.peek()? {
                    b',' => self.at += 1,
                    b']' => break,
                    _ => return None,
                }
                self.blanks();
            }
        }
        self.at += 1;
        self.depth -= 1;
        Some(())
    }

    fn object(&mut self, place: Place) -> Option<()> {
        self.deeper()?;
        if place == Place::Item {
            self.items += 1;
            if self.items > self.limits.items {
                return None;
            }
        }
        self.at += 1;
        self.blanks();
        let outer = self.keys.len();
        // One bit for each form of key that was seen: most keys differ in it.
        let mut forms = 0u64;
        if self.peek()? != b'}' {
            loop {
                self.field(place, outer, &mut forms)?;
                self.blanks();
                match self.peek()? {
                    b',' => self.at += 1,
                    b'}' => break,
                    _ => return None,
                }
                self.blanks();
            }
        }
        self.at += 1;
        self.depth -= 1;
        if self.keys.len() - outer > COMPARED {
            let keys = self.keys.get_mut(outer..)?;
            keys.sort_unstable();
            if keys.windows(2).any(|pair| pair.first() == pair.last()) {
                return None;
            }
        }
        self.keys.truncate(outer);
        Some(())
    }

    fn field(&mut self, place: Place, outer: usize, forms: &mut u64) -> Option<()> {
        let name = self.string()?;
        let key: &'t [u8] = self.text.get(name.clone())?;
        // The same key may be written in several ways.
        if key.contains(&b'\\') {
            return None;
        }
        let form = key.first().zip(key.last()).map_or(0, |(first, last)| {
            1u64 << ((usize::from(*first) + 7 * usize::from(*last) + 13 * key.len()) % 64)
        });
        if *forms & form != 0 || form == 0 {
            let others = self.keys.get(outer..)?;
            if others.len() <= COMPARED && others.contains(&key) {
                return None;
            }
        }
        *forms |= form;
        self.keys.push(key);
        self.blanks();
        self.expect(b':')?;
        self.blanks();
        let inside = place.inside(key);
        let start = self.at;
        if place == Place::Products {
            self.has_escapes = false;
            self.numbers = Numbers::Plain;
            self.found.products.push(Skimmed::default());
        }
        if place.is_level() && key == b"path" {
            let path = self.string()?;
            if !is_safe_path(std::str::from_utf8(self.text.get(path)?).ok()?) {
                return None;
            }
        } else {
            self.value(inside)?;
        }
        let value = start..self.at;
        match place {
            Place::Document if inside == Place::Value => self.found.tags.push((name, value)),
            Place::Products => {
                let product = self.found.products.last_mut()?;
                (product.name, product.value) = (name, value);
                product.has_escapes = self.has_escapes;
                product.numbers = self.numbers;
            }
            Place::Product => {
                let product = self.found.products.last_mut()?;
                if inside == Place::Versions {
                    product.versions = value;
                } else {
                    product.tags.push((name, value));
                }
            }
            _ => {}
        }
        Some(())
    }

    /// A string; answers with what stands between its quotes.
    fn string(&mut self) -> Option<Range<usize>> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            self.at += plain(self.text.get(self.at..)?);
            match self.peek()? {
                b'"' => break,
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
        let inner = start..self.at;
        self.at += 1;
        (inner.len() <= self.limits.string_bytes).then_some(inner)
    }

    fn escape(&mut self) -> Option<()> {
        self.has_escapes = true;
        self.at += 1;
        let letter = self.peek()?;
        self.at += 1;
        match letter {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                // Halves of a pair belong together: a matter for the ordinary reader.
                let is_half =
                    matches!(digits, [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..]);
                (!is_half && digits.iter().all(u8::is_ascii_hexdigit)).then(|| self.at += 4)
            }
            _ => None,
        }
    }
}

/// How many bytes from the start stand in a string as they are: no quote, no backslash, no control
/// character. Eight at a time.
fn plain(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, rest) = text.as_chunks::<8>();
    let mut count = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quotes = zeros(word ^ (ONES * u64::from(b'"')));
        let backslashes = zeros(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let special = quotes | backslashes | controls;
        if special != 0 {
            return count + special.trailing_zeros() as usize / 8;
        }
        count += 8;
    }
    let special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < 0x20;
    count + rest.iter().position(special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn skim(text: &str) -> Option<Skim> {
        Skim::of(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn products_and_their_fields_are_found() {
        let text = r#"{"a": 1, "products": {"p": {"arch": "amd64", "versions": {"1": {"items":
            {"i": {"path": "x/y", "note": "\u00e9"}}}}}, "q": {}}, "b": [true, null, -1.5]}"#;
        let found = skim(text).unwrap();
        let part = |range: &Range<usize>| &text[range.clone()];
        let tags: Vec<_> = found.tags.iter().map(|(key, value)| (part(key), part(value))).collect();
        assert_eq!(tags, [("a", "1"), ("b", "[true, null, -1.5]")]);
        let names: Vec<_> = found.products.iter().map(|found| part(&found.name)).collect();
        assert_eq!(names, ["p", "q"]);
        let product = &found.products[0];
        assert_eq!(part(&product.tags[0].0), "arch");
        assert!(part(&product.versions).starts_with(r#"{"1""#));
        assert!(product.has_escapes && !found.products[1].has_escapes);
        assert_eq!(part(&found.products[1].value), "{}");
    }

    #[test]
    fn whatever_is_unusual_is_left_to_the_ordinary_reader() {
        let many = (0..30).map(|n| format!("\"k{n}\":0,")).collect::<String>();
        for text in [
            "",
            "[]",
            "{",
            "{}x",
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1,"c":2,"b":3}}"#,
            &format!("{{{many}\"k3\":1}}"),
            r#"{"products":[]}"#,
            r#"{"products":{"p":null}}"#,
            r#"{"products":{"p":{"versions":7}}}"#,
            r#"{"path":"../x"}"#,
            r#"{"products":{"p":{"versions":{"1":{"items":{"i":{"path":"/etc"}}}}}}}"#,
            r#"{"a":01}"#,
            r#"{"a":1e}"#,
            r#"{"a":1e+}"#,
            r#"{"a":-}"#,
            r#"{"a":1.}"#,
            r#"{"a":tru}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"\u{1}\"}",
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            &format!("{}{}", "[".repeat(40), "]".repeat(40)),
            &format!("{{\"a\":\"{}\"}}", "x".repeat(5000)),
        ] {
            assert!(skim(text).is_none(), "{text}");
        }
        assert!(Skim::of(b"{\"a\":\"\xff\"}", &Limits::default()).is_none());
        let limits = Limits { items: 1, ..Limits::default() };
        let text = r#"{"products":{"p":{"versions":{"1":{"items":{"i":{},"j":{}}}}}}}"#;
        assert!(Skim::of(text.as_bytes(), &limits).is_none());
    }

    proptest! {
        #[test]
        fn the_fast_search_finds_what_the_slow_one_does(text in "[ -~é\"\\\\\u{1f}]{0,40}") {
            let slow = text.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < 0x20);
            prop_assert_eq!(plain(text.as_bytes()), slow.unwrap_or(text.len()));
        }
    }
}
