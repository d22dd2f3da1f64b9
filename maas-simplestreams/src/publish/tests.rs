#![allow(clippy::unwrap_used)]
use serde_json::json;

use super::*;
use crate::limits::Limits;

const UPDATED: Timestamp = Timestamp::from_seconds(1_780_000_000);

fn one(item: NewItem) -> Stream {
    let version = NewVersion::new("1").item("i", item);
    let product = NewProduct::new("p").tag("arch", "amd64").version(version);
    Stream::new(UPDATED).content(Content::new("c:download", "image-ids").product(product))
}

#[test]
fn the_tree_reads_back_as_what_was_described() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("source");
    fs::write(&file, b"from a file").unwrap();
    let stream = one(NewItem::from_file("dir/f", &file).tag("ftype", "squashfs"));
    let published = stream.write(&root.path().join("out"), Signing::Unsigned).unwrap();
    assert_eq!(published.bytes, 11);
    let out = root.path().join("out");
    let text = fs::read(out.join("streams/v1/c:download.json")).unwrap();
    let products = Products::parse(&text, &Limits::default()).unwrap();
    let item = products.items().next().unwrap();
    assert_eq!(item.file().unwrap().size, 11);
    assert_eq!(item.sha256(), Some(Sha256::of(b"from a file")));
    assert_eq!(item.flat("arch").unwrap(), "amd64");
    assert_eq!(fs::read(out.join("dir/f")).unwrap(), b"from a file");
    let index =
        Index::parse(&fs::read(out.join("streams/v1/index.json")).unwrap(), &Limits::default())
            .unwrap();
    let entry = index.entries.get("c:download").unwrap();
    assert_eq!(entry.products().collect::<Vec<_>>(), ["p"]);
    assert_eq!(index.updated(), Some(UPDATED));
    assert!(!out.join("streams/v1/index.sjson").exists());
}

#[test]
fn the_content_of_a_path_never_changes() {
    let root = tempfile::tempdir().unwrap();
    let write = |content: &'static str| {
        one(NewItem::from_bytes("f", content)).write(root.path(), Signing::Unsigned)
    };
    write("one").unwrap();
    write("one").unwrap();
    assert!(matches!(write("two"), Err(PublishError::Changed { .. })));
    assert_eq!(fs::read(root.path().join("f")).unwrap(), b"one");
}

#[test]
fn unsafe_paths_and_names_that_occur_twice_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let stream = one(NewItem::from_bytes("../f", "x"));
    assert!(matches!(stream.write(root.path(), Signing::Unsigned), Err(PublishError::Unsafe(_))));
    let stream = Stream::new(UPDATED)
        .content(Content::new("c", "image-ids"))
        .content(Content::new("c", "image-ids"));
    assert!(matches!(
        stream.write(root.path(), Signing::Unsigned),
        Err(PublishError::Twice { .. })
    ));
}

#[test]
fn a_flat_list_becomes_a_condensed_stream() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f1"), "one").unwrap();
    let records = json!([
        {"content_id": "c:d", "product_name": "p", "version_name": "1", "item_name": "a",
         "path": "f1", "arch": "amd64", "datatype": "image-downloads"},
        {"content_id": "c:d", "product_name": "p", "version_name": "1", "item_name": "b",
         "arch": "amd64", "id": "ami-1"}]);
    let records = Value::from(records);
    let records: Vec<_> =
        records.as_array().unwrap().iter().map(|r| r.as_object().unwrap().clone()).collect();
    let stream = Stream::from_records(records.clone(), root.path(), UPDATED).unwrap();
    let out = root.path().join("out");
    stream.write(&out, Signing::Unsigned).unwrap();
    let text = fs::read(out.join("streams/v1/c:d.json")).unwrap();
    let products = Products::parse(&text, &Limits::default()).unwrap();
    assert_eq!(products.products.get("p").unwrap().tags.text("arch"), Some("amd64"));
    assert_eq!(products.items().count(), 2);
    let mut broken = records;
    broken[1].remove("version_name");
    let refused = Stream::from_records(broken, root.path(), UPDATED).unwrap_err();
    assert!(matches!(refused, PublishError::Record { place: 1, field: "version_name" }));
}

#[cfg(feature = "openpgp")]
#[test]
fn the_signed_index_leads_to_signed_documents() {
    use crate::signature::{Keyring, OpenPgp, Verified};
    let root = tempfile::tempdir().unwrap();
    let key = SigningKey::generate("Throw-away", UPDATED).unwrap();
    one(NewItem::from_bytes("f", "x"))
        .write(root.path(), Signing::Signed { key: &key, at: UPDATED })
        .unwrap();
    let verifier = OpenPgp::new(Keyring::from_bytes(&key.public_keyring().unwrap()).unwrap());
    let read = |name: &str| fs::read(root.path().join("streams/v1").join(name)).unwrap();
    let signed = Verified::from_clearsigned(&read("index.sjson"), &verifier, UPDATED).unwrap();
    let index = signed.parse_index(&Limits::default()).unwrap();
    assert_eq!(
        index.entries.get("c:download").unwrap().path().unwrap().as_str(),
        "streams/v1/c:download.sjson"
    );
    let products =
        Verified::from_clearsigned(&read("c:download.sjson"), &verifier, UPDATED).unwrap();
    // The clearsigned document is the plain one, save for the last line end.
    assert_eq!(&products[..], read("c:download.json").trim_ascii_end());
    let plain = Verified::from_detached(
        read("index.json").into(),
        &read("index.json.gpg"),
        &verifier,
        UPDATED,
    )
    .unwrap();
    let plain = plain.parse_index(&Limits::default()).unwrap();
    assert_eq!(
        plain.entries.get("c:download").unwrap().path().unwrap().as_str(),
        "streams/v1/c:download.json"
    );
}
