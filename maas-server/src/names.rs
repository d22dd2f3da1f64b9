//! Host names for machines that come without one.

use crate::entropy::{self, EntropyError};

const ADJECTIVES: [&str; 32] = [
    "amber", "bold", "brisk", "calm", "clear", "crisp", "deft", "eager", "fair", "fleet", "fond",
    "frank", "glad", "grand", "keen", "kind", "light", "lucid", "mild", "neat", "noble", "plain",
    "proud", "quick", "quiet", "ready", "sharp", "sound", "still", "swift", "warm", "wise",
];

const NOUNS: [&str; 64] = [
    "acorn", "adder", "alder", "aspen", "badger", "beaver", "birch", "bison", "cedar", "cobra",
    "crane", "crow", "deer", "dove", "eagle", "egret", "elder", "elk", "falcon", "fern", "finch",
    "fox", "gecko", "goose", "hare", "hawk", "hazel", "heron", "holly", "ibex", "iris", "jay",
    "kite", "lark", "larch", "lily", "lion", "llama", "lynx", "maple", "marten", "moose", "newt",
    "oak", "orca", "otter", "owl", "panda", "perch", "pine", "puma", "quail", "raven", "robin",
    "rowan", "salmon", "seal", "stoat", "stork", "swan", "tern", "trout", "willow", "wren",
];

/// A random name such as `swift-otter`; with a number once in a while, so that there are enough.
pub(crate) fn draw() -> Result<String, EntropyError> {
    let number = entropy::number()?;
    let pick = |list: &[&'static str], shift: u32| {
        let index = usize::try_from((number >> shift) & 0xffff).unwrap_or(0) % list.len();
        list[index]
    };
    let name = format!("{}-{}", pick(&ADJECTIVES, 0), pick(&NOUNS, 16));
    // Two thousand names fill up; the number keeps drawing cheap in a full house.
    Ok(match (number >> 32) % 4 {
        0 => name,
        _ => format!("{name}-{}", (number >> 34) % 10_000),
    })
}

/// Whether a text can be a machine's name: one DNS label.
pub(crate) fn is_hostname(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_thousand_draws_are_nearly_all_different() {
        let names: std::collections::BTreeSet<String> =
            (0..1000).map(|_| draw().unwrap()).collect();
        assert!(names.len() > 900, "{}", names.len());
    }

    #[test]
    fn drawn_names_are_hostnames() {
        for _ in 0..200 {
            assert!(is_hostname(&draw().unwrap()));
        }
        for wrong in ["", "-a", "a-", "a.b", "a_b", &"a".repeat(64)] {
            assert!(!is_hostname(wrong), "{wrong}");
        }
    }
}
