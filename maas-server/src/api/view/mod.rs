//! Domain values as the JSON that MAAS's clients expect (API 2.0): one file per resource.

pub(crate) mod bcache;
pub(crate) mod block_device;
pub(crate) mod datastore;
pub(crate) mod device;
pub(crate) mod interface;
pub(crate) mod json;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod partition;
pub(crate) mod raid;
pub(crate) mod script_result;
pub(crate) mod storage;
#[cfg(test)]
mod tests;
pub(crate) mod volume_group;

/// Text, or MAAS's word for what is not known.
fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "Unknown" } else { text }
}
