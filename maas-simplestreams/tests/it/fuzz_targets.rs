//! What must hold for any input, whoever makes it up: shared by the tests and by `fuzz/`.

#![allow(unreachable_pub, reason = "fuzz/ takes it as a public module")]

use std::path::{Component, Path};

use maas_simplestreams::boot::Catalogue;
use maas_simplestreams::filter::Filter;
use maas_simplestreams::index::Index;
use maas_simplestreams::limits::Limits;
use maas_simplestreams::path::{ContentId, SafePath};
use maas_simplestreams::products::{ItemRef, Products};
use maas_simplestreams::query::query;
use maas_simplestreams::signature::Clearsigned;
use maas_simplestreams::transport::SourceUrl;
use maas_simplestreams::work::Retention;

/// A reader, the inputs to start from, and the words of its language.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Names it on the command line and in the corpus.
    pub name: &'static str,
    /// Takes one input; panics when something does not hold.
    pub check: fn(&[u8]),
    /// Well-formed inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces worth putting in.
    pub words: &'static [&'static [u8]],
}

/// Every target.
pub const TARGETS: [Target; 5] = [
    Target { name: "index", check: index, seeds: index_seeds, words: JSON },
    Target { name: "products", check: products, seeds: products_seeds, words: JSON },
    Target { name: "clearsign", check: clearsign, seeds: clearsign_seeds, words: ARMOR },
    Target { name: "filter", check: filter, seeds: filter_seeds, words: FILTER },
    Target { name: "path", check: path, seeds: path_seeds, words: PATH },
];

/// Index files: what is read is written back and read the same, and no name or path leads out.
pub fn index(input: &[u8]) {
    let limits = Limits::default();
    let Ok(index) = Index::parse(input, &limits) else { return };
    for (name, entry) in index.entries.iter() {
        assert!(ContentId::new(name).is_ok());
        assert_eq!(entry.path().is_some(), entry.tags.text("path").is_some());
    }
    let written = serde_json::to_vec(&index).expect("what was read can be written");
    let again = Index::parse(&written, &limits).expect("what was written can be read");
    assert_eq!((&again.tags, &again.entries), (&index.tags, &index.entries));
}

/// Products files: as for index files; and reading whole and reading in passing agree.
pub fn products(input: &[u8]) {
    let limits = Limits::default();
    let whole = Products::parse(input, &limits);
    let mut scanned = 0;
    let scan = Products::scan(input, &limits, |one| scanned += one.items().count());
    assert_eq!(whole.is_ok(), scan.is_ok(), "{whole:?} {scan:?}");
    // The abbreviated pass must not let in what the reader refuses, nor lose an item.
    let filters: Vec<Filter> =
        ["arch=amd64", "label~stab"].map(|text| text.parse().expect("a filter")).into();
    let mut matching = Vec::new();
    let narrow = Products::scan_matching(input, &limits, &filters, |one| {
        matching.extend(query(one, &filters, Retention::AsSource).iter().map(ItemRef::pedigree));
    });
    assert_eq!(whole.is_ok(), narrow.is_ok(), "{whole:?} {narrow:?}");
    let Ok(products) = whole else { return };
    let chosen = query(&products, &filters, Retention::AsSource);
    assert_eq!(matching, chosen.iter().map(ItemRef::pedigree).collect::<Vec<_>>());
    assert_eq!(scanned, products.items().count());
    for item in products.items() {
        for (name, value) in &item.flattened() {
            assert_eq!(item.flat(name).as_ref(), Some(value));
        }
        if let Ok(file) = item.file() {
            assert!(SafePath::new(file.path.as_str()).is_ok());
        }
    }
    let newest = query(&products, &[], Retention::Newest(1)).len();
    assert!(newest <= products.items().count());
    let _catalogue = Catalogue::from_products(&products);
    let written = serde_json::to_vec(&products).expect("what was read can be written");
    let again = Products::parse(&written, &limits).expect("what was written can be read");
    assert_eq!((&again.tags, &again.products), (&products.tags, &products.products));
}

/// Clearsigned documents: only one message, and nothing around it.
pub fn clearsign(input: &[u8]) {
    let Ok(parts) = Clearsigned::split(input) else { return };
    assert!(input.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----"));
    assert!(parts.signature.starts_with(b"-----BEGIN PGP SIGNATURE-----"));
    assert!(parts.signed.split(|byte| *byte == b'\n').all(|line| !line.ends_with(b" ")));
    let place = input.windows(parts.signature.len()).position(|part| part == parts.signature);
    let after = place.expect("the signature is a part of the input") + parts.signature.len();
    assert!(input[after..].trim_ascii().is_empty());
    let begins = |line: &[u8]| line.starts_with(b"-----BEGIN PGP");
    let armor = input.split(|byte| *byte == b'\n').filter(|line| begins(line)).count();
    assert_eq!(armor, 2, "one message, one signature block");
}

/// Filters: a filter is written as it was read, and `!=` and `!~` are the opposites.
pub fn filter(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(filter) = text.parse::<Filter>() else { return };
    assert_eq!(filter.to_string(), text);
    for value in ["", "amd64", "noble", text] {
        let _answer = filter.matches_text(value);
    }
}

/// Paths, content ids and source URLs: nothing leads out of its root.
pub fn path(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let root = SourceUrl::parse("http://mirror/root").expect("a URL");
    if let Ok(path) = SafePath::new(text) {
        let url = root.join(&path);
        assert!(url.as_str().starts_with("http://mirror/root/"), "{url}");
        assert!(url.query().is_none() && url.fragment().is_none());
        let below = path.below(Path::new("/r"));
        assert!(below.starts_with("/r"));
        assert!(below.components().skip(1).all(|part| matches!(part, Component::Normal(_))));
    }
    if let Ok(id) = ContentId::new(text) {
        assert!(!id.as_str().contains('/') && id.as_str() != "..");
    }
    if let Ok(source) = SourceUrl::parse(text) {
        assert!(source.root().path().ends_with('/'));
    }
}

fn index_seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![b"{}".to_vec()];
    for (kind, format) in [("image-ids", "products:1.0"), ("image-downloads", "index:1.0")] {
        seeds.push(
            serde_json::json!({"format": "index:1.0", "updated": "Thu, 24 Jul 2025 08:01:49 +0000",
            "_aliases": {"crsn": {"e": {"region": "r"}}}, "x": [1, 1.5, null, true],
            "index": {"a:b": {"path": "streams/v1/a:b.sjson", "format": format, "datatype": kind,
                "updated": null, "crsn": "e", "products": ["p", "q"],
                "clouds": [{"region": "r", "endpoint": "https://e/"}]},
                "c": {"path": 5}, "d": []}})
            .to_string()
            .into_bytes(),
        );
    }
    seeds
}

fn products_seeds() -> Vec<Vec<u8>> {
    let item = |digest: &str, digits: usize, size: serde_json::Value| {
        serde_json::json!({"ftype": "boot-kernel", "path": "a/b", digest: "0".repeat(digits),
            "size": size, "kpackage": "linux-generic"})
    };
    let product = |items: serde_json::Value| {
        serde_json::json!({"format": "products:1.0", "content_id": "c:d", "datatype": "image-ids",
            "updated": "Thu, 24 Jul 2025 08:01:49 +0000",
            "_aliases": {"crsn": {"e": {"region": "r"}}},
            "products": {"x:v3:boot:24.04:amd64:ga-24.04": {"os": "ubuntu", "arch": "amd64",
                "release": "noble", "subarches": "generic,hwe-p", "support_eol": "2029-05-31",
                "versions": {"20250101": {"crsn": "e", "label": "stable", "items": items.clone()},
                    "20250102.1": {"items": items}}},
            "y:1:pxelinux:pxe:i386": {"bootloader-type": "pxe", "os": "pxelinux", "arch": "i386"}}})
        .to_string()
        .into_bytes()
    };
    vec![
        b"{}".to_vec(),
        product(serde_json::json!({"k": item("sha256", 64, 5.into()), "bad": 7})),
        product(serde_json::json!({"k": item("sha512", 128, "5".into()),
            "s": {"id": "ami-1", "virt": true, "root_store": 1.5}})),
        product(serde_json::json!({"k": item("md5", 32, 5.into())})),
    ]
}

fn clearsign_seeds() -> Vec<Vec<u8>> {
    let armor =
        "-----BEGIN PGP SIGNATURE-----\n\niQIzBAEBCgAdFiEE\n=abcd\n-----END PGP SIGNATURE-----\n";
    let mut seeds = Vec::new();
    for hash in ["Hash: SHA512\n\n", "Hash: SHA256\nHash: SHA512\n\n", "\n"] {
        for body in ["{\n- -x \n}\n", "{\"a\": 1}\n", "\n", "a\t \r\nb\n"] {
            let text = format!("-----BEGIN PGP SIGNED MESSAGE-----\n{hash}{body}{armor}");
            seeds.push(text.into_bytes());
        }
    }
    seeds
}

fn filter_seeds() -> Vec<Vec<u8>> {
    ["arch=amd64", "release~(jammy|noble)", "x!~^a.*b$", "ftype != x ", "a|b-c = ", "nosuch="]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}

fn path_seeds() -> Vec<Vec<u8>> {
    [
        "streams/v1/a:b.sjson",
        "a/b",
        "com.ubuntu.maas:stable:v3:download",
        "http://u:p@h/r/streams/v1/index.json",
        "../x",
        "file:///r/",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

const JSON: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"1.50",
    b"-0",
    b"18446744073709551616",
    b"\"path\":",
    b"\"../x\"",
    b"\"sha256\":",
    b"\"sha512\":",
    b"\"size\":",
    b"\"versions\":",
    b"\"items\":",
    b"\"products\":",
    b"\"index\":",
    b"\"_aliases\":",
    b"\"format\":\"products:1.0\",",
    b"\"format\":\"index:1.0\",",
    b"\\u0000",
    b"\\ud800",
    b"[[[[[[[[[[[[[[[[[",
];

const ARMOR: &[&[u8]] = &[
    b"-----BEGIN PGP SIGNED MESSAGE-----\n",
    b"-----BEGIN PGP SIGNATURE-----\n",
    b"-----END PGP SIGNATURE-----\n",
    b"Hash: SHA256\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"- ",
    b"-",
    b" ",
    b"\t",
    b"\xff",
    b"\xc2\x85",
    b"Comment: x\n",
];

const FILTER: &[&[u8]] = &[
    b"=",
    b"!=",
    b"~",
    b"!~",
    b"(",
    b")",
    b"|",
    b"*",
    b"{9999}",
    b"[^",
    b"\\",
    b" ",
    b"\n",
    b"\xc3\xa9",
];

const PATH: &[&[u8]] = &[
    b"/",
    b"..",
    b".",
    b"\\",
    b"%2e",
    b"%2F",
    b":",
    b"//",
    b"?",
    b"#",
    b"@",
    b"\0",
    b"\xe2\x80\xa8",
    b"file:",
    b"streams/v1/",
    b".json",
];
