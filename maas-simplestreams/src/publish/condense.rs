//! Saying once what holds for all: fields that every sibling shares move one level up.

use crate::ordered::{Ordered, Tags};
use crate::products::Products;
use crate::value::Value;

/// Fields that never move: they belong to one file, or name a level.
const STICKY: [&str; 9] = [
    "path",
    "sha256",
    "sha512",
    "md5",
    "size",
    "mirrors",
    "product_name",
    "version_name",
    "item_name",
];

/// Moves every text that all items of a version share to the version, and every text that all
/// versions of a product share to the product. The flattened view of no item changes.
///
/// Documents with `_aliases` are left as they are: moving a field could change what an alias
/// overrides.
pub fn condense(products: &mut Products) {
    if products.tags.get("_aliases").is_some() {
        return;
    }
    for product in products.products.values_mut() {
        for version in product.versions.values_mut() {
            hoist(&mut version.tags, &mut version.items, |item| &mut item.tags);
        }
        hoist(&mut product.tags, &mut product.versions, |version| &mut version.tags);
    }
}

fn hoist<C>(parent: &mut Tags, children: &mut Ordered<C>, tags: impl Fn(&mut C) -> &mut Tags) {
    let mut shared: Option<Vec<(String, String)>> = None;
    for child in children.values_mut() {
        let own = tags(child);
        match &mut shared {
            None => {
                let texts = own.iter().filter_map(|(name, value)| {
                    let text = value.as_str().filter(|_| !STICKY.contains(&name))?;
                    Some((name.to_owned(), text.to_owned()))
                });
                shared = Some(texts.collect());
            }
            Some(shared) => shared.retain(|(name, text)| own.text(name) == Some(text)),
        }
    }
    for (name, text) in shared.unwrap_or_default() {
        for child in children.values_mut() {
            tags(child).remove(&name);
        }
        parent.insert(name, Value::String(text));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{Products, condense};
    use crate::limits::Limits;

    fn fields() -> impl Strategy<Value = serde_json::Map<String, Value>> {
        let value = prop_oneof![
            "[ab]".prop_map(Value::from),
            (0..2i64).prop_map(Value::from),
            Just(json!([1]))
        ];
        prop::collection::btree_map("[abc]|label|item_name", value, 0..5)
            .prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_flattened_view_changes(
            product in fields(),
            versions in prop::collection::vec((fields(), prop::collection::vec(fields(), 0..3)), 0..3),
        ) {
            let mut p = Value::Object(product);
            p["versions"] = json!({});
            for (place, (tags, items)) in versions.into_iter().enumerate() {
                let mut version = Value::Object(tags);
                version["items"] = json!({});
                for (place, item) in items.into_iter().enumerate() {
                    version["items"][place.to_string()] = Value::Object(item);
                }
                p["versions"][place.to_string()] = version;
            }
            let document = json!({"format": "products:1.0", "content_id": "c", "products": {"p": p}});
            let before =
                Products::parse(document.to_string().as_bytes(), &Limits::default()).unwrap();
            let mut after = before.clone();
            condense(&mut after);
            for (one, other) in before.items().zip(after.items()) {
                prop_assert_eq!(one.flattened(), other.flattened());
            }
        }
    }

    #[test]
    fn what_all_share_is_said_once() {
        let item = |path: &str| json!({"path": path, "label": "stable", "arch": "amd64"});
        let document = json!({"format": "products:1.0", "content_id": "c", "products": {"p": {
            "versions": {
                "1": {"items": {"a": item("a"), "b": item("b")}},
                "2": {"label": "daily", "items": {"a": {"path": "c", "arch": "amd64"}}}}}}});
        let mut products =
            Products::parse(document.to_string().as_bytes(), &Limits::default()).unwrap();
        condense(&mut products);
        assert_eq!(
            serde_json::to_value(&products).unwrap()["products"]["p"],
            json!({
            "arch": "amd64",
            "versions": {
                "1": {"label": "stable", "items": {"a": {"path": "a"}, "b": {"path": "b"}}},
                "2": {"label": "daily", "items": {"a": {"path": "c"}}}}})
        );
    }
}
