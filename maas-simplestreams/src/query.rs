//! Listing the items of a products file that filters choose.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::filter::{Filter, matches_all};
use crate::products::{ItemRef, Products};
use crate::transport::SourceUrl;
use crate::work::{Retention, resolve_work};

/// The items that meet all filters, of the versions that are wanted: products in document order,
/// versions newest first, items in document order.
///
/// A version counts towards the wanted number only when one of its items meets the filters.
pub fn query<'a>(
    products: &'a Products,
    filters: &[Filter],
    retention: Retention,
) -> Vec<ItemRef<'a>> {
    let mut chosen = Vec::new();
    for (product_name, product) in products.products.iter() {
        let mut versions: BTreeMap<&str, Vec<ItemRef<'a>>> = BTreeMap::new();
        for (version_name, version) in product.versions.iter() {
            let items = version.items.iter().map(|(item_name, item)| ItemRef {
                products,
                product_name,
                product,
                version_name,
                version,
                item_name,
                item,
            });
            let items: Vec<_> = items.filter(|item| matches_all(filters, item)).collect();
            if !items.is_empty() {
                versions.insert(version_name, items);
            }
        }
        let work = resolve_work(versions.keys().copied(), [], retention);
        for version in work.add {
            chosen.extend(versions.remove(version.as_str()).unwrap_or_default());
        }
    }
    chosen
}

/// The flattened view of an item with `item_url` added: where its file is, as the tools write it
/// (root and path, not percent-encoded).
pub fn record<'a>(item: &ItemRef<'a>, source: &SourceUrl) -> BTreeMap<&'a str, Cow<'a, str>> {
    record_fields(item, source).into_iter().collect()
}

/// [`record`] as a list in order of name.
pub fn record_fields<'a>(item: &ItemRef<'a>, source: &SourceUrl) -> Vec<(&'a str, Cow<'a, str>)> {
    const URL: &str = "item_url";
    let mut fields = item.flat_fields();
    if let Ok(path) = fields.binary_search_by_key(&"path", |(name, _)| name)
        && let Some((_, path)) = fields.get(path)
    {
        let url = Cow::Owned(source.root_as_given() + path);
        match fields.binary_search_by_key(&URL, |(name, _)| name) {
            Ok(place) => fields.splice(place..=place, [(URL, url)]).for_each(drop),
            Err(place) => fields.insert(place, (URL, url)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::limits::Limits;

    #[test]
    fn a_version_counts_only_when_an_item_of_it_is_chosen() {
        let item = |ftype: &str| json!({"ftype": ftype});
        let document = json!({"format": "products:1.0", "content_id": "c", "products": {"p": {
            "versions": {
                "1": {"items": {"b": item("kernel"), "a": item("kernel")}},
                "3": {"items": {"x": item("manifest")}},
                "2": {"items": {"y": item("kernel")}}}}}});
        let products =
            Products::parse(document.to_string().as_bytes(), &Limits::default()).unwrap();
        let filters = ["ftype=kernel".parse().unwrap()];
        let names = |retention| -> Vec<&str> {
            query(&products, &filters, retention).iter().map(|item| item.item_name).collect()
        };
        assert_eq!(names(Retention::Newest(1)), ["y"]);
        let mut all = names(Retention::AsSource);
        assert_eq!(all.remove(0), "y");
        all.sort_unstable();
        assert_eq!(all, ["a", "b"]);
    }
}
