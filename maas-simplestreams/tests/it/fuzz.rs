//! Mutated documents against every reader: no panic, no endless loop, and what is read once reads
//! the same again.
//!
//! Each target runs for a moment by default; `MAAS_TEST_FUZZ_SECONDS` sets how long.

use std::time::{Duration, Instant};

use maas_simplestreams::boot::Catalogue;
use maas_simplestreams::filter::Filter;
use maas_simplestreams::index::Index;
use maas_simplestreams::limits::Limits;
use maas_simplestreams::path::{ContentId, SafePath};
use maas_simplestreams::products::Products;
use maas_simplestreams::signature::Clearsigned;
use maas_simplestreams::transport::SourceUrl;

/// A small generator of its own: the same seed, the same inputs.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % bound.max(1)
    }

    fn pick<'a>(&mut self, from: &[&'a [u8]]) -> &'a [u8] {
        from[self.below(from.len())]
    }

    /// Changes a few places: bytes, words of the language, pieces of other seeds, cuts.
    fn mutate(&mut self, seeds: &[&[u8]], words: &[&[u8]]) -> Vec<u8> {
        let mut input = self.pick(seeds).to_vec();
        for _ in 0..=self.below(6) {
            let place = self.below(input.len() + 1);
            match self.below(7) {
                0 if !input.is_empty() => {
                    let place = place % input.len();
                    input[place] = u8::try_from(self.below(256)).unwrap();
                }
                1 => input.truncate(place),
                2 => {
                    let end = (place + self.below(12)).min(input.len());
                    input.drain(place..end);
                }
                3 | 4 => {
                    input.splice(place..place, self.pick(words).iter().copied());
                }
                5 => {
                    let other = self.pick(seeds);
                    let start = self.below(other.len() + 1);
                    let end = (start + self.below(200)).min(other.len());
                    input.splice(place..place, other[start..end].iter().copied());
                }
                _ => {
                    let end = (place + self.below(40)).min(input.len());
                    let piece = input[place..end].to_vec();
                    input.splice(place..place, piece);
                }
            }
        }
        input
    }
}

fn run(name: &str, seeds: &[&[u8]], words: &[&[u8]], target: impl Fn(&[u8])) {
    let seconds = std::env::var("MAAS_TEST_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let span = seconds.map_or(Duration::from_millis(300), Duration::from_secs);
    let mut random = Random(name.bytes().fold(0x9e37_79b9_7f4a_7c15, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    }));
    let start = Instant::now();
    let mut runs = 0u64;
    while start.elapsed() < span {
        for _ in 0..64 {
            let input = random.mutate(seeds, words);
            let begun = Instant::now();
            target(&input);
            let took = begun.elapsed();
            assert!(
                took < Duration::from_secs(10),
                "{took:?} for {:?}",
                String::from_utf8_lossy(&input)
            );
            runs += 1;
        }
    }
    println!("{name}: {runs} inputs in {:?}", start.elapsed());
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
    b"18446744073709551616",
    b"\"path\":",
    b"\"../x\"",
    b"\"sha256\":",
    b"\"size\":",
    b"\"versions\":",
    b"\"items\":",
    b"\"products\":",
    b"\"index\":",
    b"\"_aliases\":",
    b"\"format\":\"products:1.0\",",
    b"\\u0000",
    b"\\ud800",
    b"[[[[[[[[[[[[[[[[[",
];

const PRODUCTS: &[u8] = br#"{"format":"products:1.0","content_id":"c","updated":"Thu, 24 Jul 2025 08:01:49 +0000",
"_aliases":{"crsn":{"e":{"region":"r"}}},"products":{"x:v3:boot:24.04:amd64:ga-24.04":{"os":"ubuntu","arch":"amd64",
"release":"noble","subarches":"generic,hwe-p","versions":{"1":{"crsn":"e","items":{"k":{"ftype":"boot-kernel","path":"a/b",
"size":"5","sha256":"0000000000000000000000000000000000000000000000000000000000000000"}}}}},
"b":{"bootloader-type":"pxe","os":"pxelinux","arch":"i386","versions":{"2":{"items":{"s":{"path":"x","size":1,
"sha512":"00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"}}}}}}}"#;
const INDEX: &[u8] = br#"{"format":"index:1.0","updated":"x","index":{"a:b":{"path":"streams/v1/a.json",
"format":"products:1.0","datatype":"image-ids","products":["p","q"],"clouds":[{"region":"r","endpoint":"e"}]}}}"#;
const CLEARSIGNED: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{\n- -x \n}\n\
-----BEGIN PGP SIGNATURE-----\n\niQ==\n=abcd\n-----END PGP SIGNATURE-----\n";

#[test]
fn products_and_everything_that_reads_them() {
    let limits = Limits::default();
    run("products", &[PRODUCTS, INDEX, b"{}"], JSON, |input| {
        let Ok(products) = Products::parse(input, &limits) else { return };
        for item in products.items() {
            let flat = item.flattened();
            for (name, value) in &flat {
                assert_eq!(item.flat(name).as_ref(), Some(value));
            }
            if let Ok(file) = item.file() {
                assert!(SafePath::new(file.path.as_str()).is_ok());
            }
        }
        let _catalogue = Catalogue::from_products(&products);
        let written = serde_json::to_vec(&products).unwrap();
        let again = Products::parse(&written, &limits).unwrap();
        assert_eq!((&again.tags, &again.products), (&products.tags, &products.products));
    });
}

#[test]
fn index() {
    let limits = Limits::default();
    run("index", &[INDEX, PRODUCTS, b"{}"], JSON, |input| {
        let Ok(index) = Index::parse(input, &limits) else { return };
        for (name, entry) in index.entries.iter() {
            assert!(ContentId::new(name).is_ok());
            assert_eq!(entry.path().is_some(), entry.tags.text("path").is_some());
        }
        let written = serde_json::to_vec(&index).unwrap();
        let again = Index::parse(&written, &limits).unwrap();
        assert_eq!((&again.tags, &again.entries), (&index.tags, &index.entries));
    });
}

#[test]
fn clearsigned() {
    let words: &[&[u8]] = &[
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
    run("clearsigned", &[CLEARSIGNED, b""], words, |input| {
        let Ok(parts) = Clearsigned::split(input) else { return };
        assert!(input.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----"));
        assert!(parts.signature.starts_with(b"-----BEGIN PGP SIGNATURE-----"));
        assert!(parts.signed.split(|byte| *byte == b'\n').all(|line| !line.ends_with(b" ")));
        let after = input.windows(parts.signature.len()).position(|part| part == parts.signature);
        let after = &input[after.unwrap() + parts.signature.len()..];
        assert!(String::from_utf8_lossy(after).trim().is_empty());
    });
}

#[test]
fn filter() {
    let words: &[&[u8]] = &[
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
    run(
        "filter",
        &[b"arch=amd64", b"release~(jammy|noble)", b"x!~^a.*b$", b"ftype != x"],
        words,
        |input| {
            let Ok(text) = std::str::from_utf8(input) else { return };
            let Ok(filter) = text.parse::<Filter>() else { return };
            let _answers =
                (filter.matches_text(""), filter.matches_text("amd64"), filter.matches_text(text));
            assert_eq!(filter.to_string(), text);
        },
    );
}

#[test]
fn paths_and_urls() {
    let words: &[&[u8]] = &[
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
    ];
    let root = SourceUrl::parse("http://mirror/root").unwrap();
    run(
        "paths",
        &[b"streams/v1/a:b.sjson", b"a/b", b"http://u:p@h/r/streams/v1/index.json", b"../x"],
        words,
        |input| {
            let Ok(text) = std::str::from_utf8(input) else { return };
            if let Ok(path) = SafePath::new(text) {
                let url = root.join(&path);
                assert!(url.as_str().starts_with("http://mirror/root/"), "{url}");
                assert!(url.query().is_none() && url.fragment().is_none());
                let below = path.below(std::path::Path::new("/r"));
                assert!(below.components().all(|part| part != std::path::Component::ParentDir));
            }
            if let Ok(source) = SourceUrl::parse(text) {
                assert!(source.root().path().ends_with('/'));
            }
        },
    );
}
