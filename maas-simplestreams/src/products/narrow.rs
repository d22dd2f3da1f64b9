//! Which products filters can rule out by the text alone.

use std::borrow::Cow;

use memchr::memmem;

use super::{Products, flat_value};
use crate::document::Skimmed;
use crate::filter::Filter;
use crate::value::Value;

/// Whether an item of this product may meet all filters. Says yes whenever that takes more than
/// the fields of the product and of the document above it.
pub(super) fn may_match(
    text: &[u8],
    product: &Skimmed,
    document: &Products,
    filters: &[Filter],
) -> bool {
    if product.has_escapes || document.tags.get("_aliases").is_some() {
        return true;
    }
    filters.iter().all(|filter| {
        let key = filter.key();
        if matches!(key, "version_name" | "item_name") {
            return true;
        }
        let value = inherited(text, product, document, key);
        filter.matches_text(&value) || is_below(text, product, key)
    })
}

/// What items inherit when no level below the product says otherwise.
fn inherited<'a>(
    text: &'a [u8],
    product: &Skimmed,
    document: &'a Products,
    key: &str,
) -> Cow<'a, str> {
    let part = |range: &std::ops::Range<usize>| text.get(range.clone()).unwrap_or_default();
    if key == "product_name" {
        return String::from_utf8_lossy(part(&product.name));
    }
    let own = product.tags.iter().find(|(name, _)| part(name) == key.as_bytes());
    let own = own.and_then(|(_, value)| Value::from_json(part(value)).ok());
    if let Some(own) = own.as_ref().and_then(flat_value) {
        return Cow::Owned(own.into_owned());
    }
    document.tags.get(key).and_then(flat_value).unwrap_or_default()
}

/// Whether a level below the product may have a field of this name.
fn is_below(text: &[u8], product: &Skimmed, key: &str) -> bool {
    let versions = text.get(product.versions.clone()).unwrap_or_default();
    memmem::find(versions, format!("\"{key}\"").as_bytes()).is_some()
}
