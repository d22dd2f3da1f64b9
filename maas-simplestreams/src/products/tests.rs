#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn parse(value: &Value) -> Result<Products, DocumentError> {
    Products::parse(value.to_string().as_bytes(), &Limits::default())
}

fn sample() -> Value {
    json!({
        "format": "products:1.0", "content_id": "c", "datatype": "image-ids", "updated": "x",
        "license": "l", "n": 3, "nothing": null, "list": [1],
        "_aliases": {"crsn": {"east": {"endpoint": "https://east", "region": "east-1"}}},
        "products": {"p": {
            "arch": "amd64", "label": "top", "flag": true,
            "versions": {"20240101.2": {"label": "version", "crsn": "east", "items": {
                "i": {"path": "a/b", "size": "12", "sha256": "0".repeat(64), "ratio": 1.5,
                      "region": "overridden", "md5": "0".repeat(32)}}},
                "20240101.10": {"items": {}}}}}
    })
}

#[test]
fn the_flattened_view_inherits_renders_scalars_and_expands_aliases() {
    let products = parse(&sample()).unwrap();
    let item = products.items().next().unwrap();
    let flat = item.flattened();
    let expected = [
        ("arch", "amd64"),
        ("content_id", "c"),
        ("crsn", "east"),
        ("datatype", "image-ids"),
        ("endpoint", "https://east"),
        ("flag", "True"),
        ("format", "products:1.0"),
        ("item_name", "i"),
        ("label", "version"),
        ("license", "l"),
        ("md5", "00000000000000000000000000000000"),
        ("n", "3"),
        ("path", "a/b"),
        ("product_name", "p"),
        ("ratio", "1.5"),
        ("region", "overridden"),
        ("sha256", "0000000000000000000000000000000000000000000000000000000000000000"),
        ("size", "12"),
        ("updated", "x"),
        ("version_name", "20240101.2"),
    ];
    assert_eq!(flat.iter().map(|(k, v)| (*k, v.as_ref())).collect::<Vec<_>>(), expected);
    for (key, value) in expected {
        assert_eq!(item.flat(key).unwrap(), value, "{key}");
    }
}

#[test]
fn an_alias_overrides_the_fields_of_its_own_level() {
    let mut value = sample();
    value["products"]["p"]["versions"]["20240101.2"]["region"] = json!("mine");
    value["products"]["p"]["versions"]["20240101.2"]["items"]["i"]
        .as_object_mut()
        .unwrap()
        .remove("region");
    let products = parse(&value).unwrap();
    assert_eq!(products.items().next().unwrap().flattened()["region"], "east-1");
}

#[test]
fn an_alias_without_the_value_changes_nothing() {
    let mut value = sample();
    value["products"]["p"]["versions"]["20240101.2"]["crsn"] = json!("west");
    let products = parse(&value).unwrap();
    assert!(products.items().next().unwrap().flat("endpoint").is_none());
}

#[test]
fn the_newest_version_is_the_bytewise_greatest_name() {
    let products = parse(&sample()).unwrap();
    let names: Vec<_> =
        products.products.get("p").unwrap().newest_first().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["20240101.2", "20240101.10"]);
}

#[test]
fn hoisted_integrity_fields_count_and_md5_alone_does_not() {
    let mut value = sample();
    let digest = value["products"]["p"]["versions"]["20240101.2"]["items"]["i"]
        .as_object_mut()
        .unwrap()
        .remove("sha256")
        .unwrap();
    let products = parse(&value).unwrap();
    assert_eq!(
        products.items().next().unwrap().file(),
        Err(crate::document::Complaint::WeakDigest { field: "md5" })
    );
    value["products"]["p"]["sha256"] = digest;
    let products = parse(&value).unwrap();
    assert_eq!(products.items().next().unwrap().file().unwrap().size, 12);
}

#[test]
fn bad_entries_are_skipped_with_their_pedigree() {
    let mut value = sample();
    value["products"]["bad1"] = json!("text");
    value["products"]["bad2"] = json!({"versions": [1, {"a": 2}]});
    value["products"]["p"]["versions"]["bad3"] = json!(null);
    value["products"]["p"]["versions"]["20240101.2"]["items"]["bad4"] = json!({"size": -1});
    value["products"]["p"]["versions"]["20240101.2"]["items"]["bad5"] = json!({"sha256": "zz"});
    value["products"]["p"]["versions"]["20240101.2"]["items"]["bad6"] = json!({"path": 1});
    let products = parse(&value).unwrap();
    let mut found: Vec<_> = products.problems().iter().map(|p| p.pedigree.to_string()).collect();
    found.sort();
    assert_eq!(
        found,
        ["bad1", "bad2", "p/20240101.2/bad4", "p/20240101.2/bad5", "p/20240101.2/bad6", "p/bad3"]
    );
    assert_eq!(products.items().count(), 1);
}

#[test]
fn dangerous_documents_are_refused() {
    for path in ["/x", "../x", "a/..", "http://evil/x", "a\\b", "%2e%2e/x"] {
        let mut value = sample();
        value["products"]["p"]["versions"]["20240101.2"]["items"]["i"]["path"] = json!(path);
        assert!(matches!(parse(&value), Err(DocumentError::UnsafePath { .. })), "{path}");
    }
    let mut value = sample();
    value["content_id"] = json!("../../etc");
    assert!(matches!(parse(&value), Err(DocumentError::UnsafePath { .. })));
    let text = r#"{"format":"products:1.0","content_id":"c","products":{"p":{"versions":{"v":
        {"items":{"i":{"path":"a","path":"b"}}}}}}}"#;
    let refused = Products::parse(text.as_bytes(), &Limits::default()).unwrap_err();
    assert_eq!(refused.to_string(), "`p/v/i` holds the key `path` twice");
    let text = r#"{"format":"products:1.0","content_id":"c","x":{"y":1,"y":1},"products":{}}"#;
    assert!(matches!(
        Products::parse(text.as_bytes(), &Limits::default()),
        Err(DocumentError::DuplicateKey { .. })
    ));
    let text = format!(
        r#"{{"content_id":"c","format":"products:1.0","x":{}1{}}}"#,
        "[".repeat(500),
        "]".repeat(500)
    );
    assert!(matches!(
        Products::parse(text.as_bytes(), &Limits::default()),
        Err(DocumentError::Limit(LimitExceeded::Nesting { .. }))
    ));
    let limits = Limits { items: 0, ..Limits::default() };
    assert!(matches!(
        Products::parse(sample().to_string().as_bytes(), &limits),
        Err(DocumentError::Limit(LimitExceeded::Items { .. }))
    ));
    let limits = Limits { products_bytes: 10, ..Limits::default() };
    assert!(matches!(
        Products::parse(sample().to_string().as_bytes(), &limits),
        Err(DocumentError::Limit(LimitExceeded::Bytes { .. }))
    ));
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-zA-Z0-9 _äöü\"\\\\]{0,8}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(Value::from),
    ]
}

fn fields() -> impl Strategy<Value = serde_json::Map<String, Value>> {
    prop::collection::btree_map("x[a-z]{0,3}", scalar(), 0..5)
        .prop_map(|map| map.into_iter().collect())
}

#[test]
fn a_scan_sees_what_parsing_sees_product_by_product() {
    let mut value = sample();
    value["products"]["q"] = value["products"]["p"].clone();
    value["products"]["bad"] = json!(1);
    let whole = parse(&value).unwrap();
    let mut seen = Vec::new();
    let problems = Products::scan(value.to_string().as_bytes(), &Limits::default(), |one| {
        assert_eq!(one.products.len(), 1);
        seen.extend(one.items().map(|item| {
            item.flattened()
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v.into_owned()))
                .collect::<Vec<_>>()
        }));
    });
    assert_eq!(problems.unwrap(), whole.problems());
    let expected: Vec<Vec<_>> = whole
        .items()
        .map(|item| {
            item.flattened().into_iter().map(|(k, v)| (k.to_owned(), v.into_owned())).collect()
        })
        .collect();
    assert_eq!(seen, expected);
    let twice = r#"{"format":"products:1.0","content_id":"c","products":{"a":{},"a":{}}}"#;
    assert!(matches!(
        Products::scan(twice.as_bytes(), &Limits::default(), |_| ()),
        Err(DocumentError::DuplicateKey { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn reading_and_writing_keeps_every_field(
        top in fields(),
        products in prop::collection::btree_map("[a-z:.]{1,6}", (fields(), prop::collection::btree_map(
            "[0-9.]{1,6}", (fields(), prop::collection::btree_map("[a-z]{1,5}", fields(), 0..3)), 0..3)), 0..4),
    ) {
        let mut value = Value::Object(top);
        value["format"] = json!("products:1.0");
        value["content_id"] = json!("c");
        value["products"] = json!({});
        for (name, (tags, versions)) in products {
            let mut product = Value::Object(tags);
            product["versions"] = json!({});
            for (name, (tags, items)) in versions {
                let mut version = Value::Object(tags);
                version["items"] = serde_json::to_value(items).unwrap();
                product["versions"][name] = version;
            }
            value["products"][name] = product;
        }
        let parsed = parse(&value).unwrap();
        prop_assert!(parsed.problems().is_empty());
        prop_assert_eq!(serde_json::to_value(&parsed).unwrap(), value);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _answer = Products::parse(&bytes, &Limits::default());
    }
}
