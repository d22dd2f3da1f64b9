//! Domain values as the JSON that MAAS's clients expect (API 2.0): one file per resource.

pub(crate) mod block_device;
pub(crate) mod device;
pub(crate) mod interface;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod places;
pub(crate) mod script_result;
#[cfg(test)]
mod tests;

/// Text, or MAAS's word for what is not known.
fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "Unknown" } else { text }
}
