//! Signing a tree that is there: as it stands, or cut down to the files that it holds.

use std::fs;
use std::path::Path;

use super::{PublishError, io_error, signed_form, text_of, write_file};
use crate::date::Timestamp;
use crate::document::DocumentError;
use crate::index::{self, Index};
use crate::limits::Limits;
use crate::path::SafePath;
use crate::products::Products;
use crate::sign::SigningKey;
use crate::signature::clearsign::unverified_text;

/// What a signed tree lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listing {
    /// What its documents list: they are signed as they are.
    #[default]
    AsIs,
    /// Only items whose file is there: versions and products without any are dropped.
    Present,
}

/// Signs every index and products file below `streams/v1` of a tree with another key.
///
/// Every document gets its `.json`, `.json.gpg` and `.sjson` form. The documents of the tree are
/// taken as they are, without looking at their signatures: this is for one's own tree. Returns how
/// many documents were signed.
pub fn sign_unverified_tree(
    root: &Path,
    key: &SigningKey,
    listing: Listing,
    at: Timestamp,
) -> Result<usize, PublishError> {
    let directory = root.join("streams/v1");
    let mut stems: Vec<String> = Vec::new();
    for entry in fs::read_dir(&directory).map_err(io_error(&directory))? {
        let name = entry.map_err(io_error(&directory))?.file_name();
        let Some(name) = name.to_str() else { continue };
        let stem = name.strip_suffix(".sjson").or_else(|| name.strip_suffix(".json"));
        if let Some(stem) = stem.filter(|stem| !stem.starts_with('.')) {
            stems.push(stem.to_owned());
        }
    }
    stems.sort();
    stems.dedup();
    let mut indexes = Vec::new();
    let mut signed = 0;
    for stem in stems {
        let path = format!("streams/v1/{stem}");
        let text = read_text(root, &path)?;
        match read(&text) {
            Ok(Read::Products(mut products)) => {
                let text = match listing {
                    Listing::AsIs => text,
                    Listing::Present => {
                        keep_present(root, &mut products);
                        text_of(&products)?
                    }
                };
                sign_forms(root, &path, &text, &text, key, at)?;
                signed += 1;
            }
            Ok(Read::Index(index)) => indexes.push((path, index)),
            Err(cause) => {
                let path = SafePath::new(&path).map_err(PublishError::Unsafe)?;
                return Err(PublishError::Document { path, cause });
            }
        }
    }
    // Indexes come last, so that what they name is there.
    for (path, mut index) in indexes {
        for entry in index.entries.values_mut() {
            let plain = entry.tags.text("path").and_then(|path| path.strip_suffix(".sjson"));
            if let Some(path) = plain.map(|stem| format!("{stem}.json")) {
                entry.tags.insert("path", path.into());
            }
            if listing == Listing::Present
                && let Some(path) = entry.path()
                && let Ok(text) = fs::read(path.below(root))
                && let Ok(products) = Products::parse(&text, &Limits::default())
            {
                let names: Vec<&str> = products.products.names().collect();
                entry.tags.insert("products", names.into());
            }
        }
        sign_forms(root, &path, &text_of(&index)?, &text_of(&signed_form(&index))?, key, at)?;
        signed += 1;
    }
    Ok(signed)
}

enum Read {
    Index(Index),
    Products(Products),
}

fn read(text: &[u8]) -> Result<Read, DocumentError> {
    let limits = Limits::default();
    match Index::parse(text, &limits) {
        Err(DocumentError::Format { found: Some(found), .. }) if found != index::FORMAT => {
            Products::parse(text, &limits).map(Read::Products)
        }
        Err(DocumentError::Limit(_)) => Products::parse(text, &limits).map(Read::Products),
        other => other.map(Read::Index),
    }
}

/// The document in its plain form, or the text of its clearsigned form.
fn read_text(root: &Path, path: &str) -> Result<Vec<u8>, PublishError> {
    let plain = root.join(format!("{path}.json"));
    if plain.is_file() {
        return fs::read(&plain).map_err(io_error(&plain));
    }
    let clearsigned = root.join(format!("{path}.sjson"));
    let raw = fs::read(&clearsigned).map_err(io_error(&clearsigned))?;
    match unverified_text(&raw) {
        Ok(text) => Ok(text.into_owned()),
        Err(malformed) => {
            let error = std::io::Error::new(std::io::ErrorKind::InvalidData, malformed);
            Err(io_error(&clearsigned)(error))
        }
    }
}

fn keep_present(root: &Path, products: &mut Products) {
    let present: std::collections::HashSet<(String, String, String)> = products
        .items()
        .filter(|item| match item.file() {
            Ok(file) => {
                let facts = fs::metadata(file.path.below(root));
                facts.is_ok_and(|facts| facts.is_file() && facts.len() == file.size)
            }
            Err(_) => !item.has_path(),
        })
        .map(|item| {
            (item.product_name.to_owned(), item.version_name.to_owned(), item.item_name.to_owned())
        })
        .collect();
    products.products.retain(|product_name, product| {
        product.versions.retain(|version_name, version| {
            version.items.retain(|item_name, _| {
                let name = (product_name.to_owned(), version_name.to_owned(), item_name.to_owned());
                present.contains(&name)
            });
            !version.items.is_empty()
        });
        !product.versions.is_empty()
    });
}

fn sign_forms(
    root: &Path,
    stem: &str,
    plain: &[u8],
    clear: &[u8],
    key: &SigningKey,
    at: Timestamp,
) -> Result<(), PublishError> {
    let write = |ending: &str, content: &[u8]| {
        let path = SafePath::new(format!("{stem}{ending}")).map_err(PublishError::Unsafe)?;
        write_file(&path.below(root), content)
    };
    write(".json", plain)?;
    write(".json.gpg", &key.sign_detached(plain, at).map_err(PublishError::Sign)?)?;
    write(".sjson", &key.clearsign(clear, at).map_err(PublishError::Sign)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::publish::{Content, NewItem, NewProduct, NewVersion, Signing, Stream};
    use crate::signature::{Keyring, OpenPgp, Verified};

    #[test]
    fn a_tree_cut_down_to_its_files_lists_exactly_them() {
        let root = tempfile::tempdir().unwrap();
        let at = Timestamp::from_seconds(1_780_000_000);
        let mut content = Content::new("c:d", "image-ids");
        for name in ["a", "b"] {
            let item =
                |number: &str| NewItem::from_bytes(format!("{name}/{number}"), number.to_owned());
            content = content.product(
                NewProduct::new(name)
                    .version(NewVersion::new("1").item("i", item("1")))
                    .version(NewVersion::new("2").item("i", item("2")).item("j", item("3"))),
            );
        }
        let old = SigningKey::generate("old", at).unwrap();
        let signing = Signing::Signed { key: &old, at };
        Stream::new(at).content(content).write(root.path(), signing).unwrap();
        for lost in ["a/1", "a/2", "a/3", "b/3"] {
            fs::remove_file(root.path().join(lost)).unwrap();
        }
        let key = SigningKey::generate("new", at).unwrap();
        assert_eq!(sign_unverified_tree(root.path(), &key, Listing::Present, at).unwrap(), 2);
        let verifier = OpenPgp::new(Keyring::from_bytes(&key.public_keyring().unwrap()).unwrap());
        let read = |name: &str| {
            let raw = fs::read(root.path().join("streams/v1").join(name)).unwrap();
            Verified::from_clearsigned(&raw, &verifier, at).unwrap()
        };
        let index = read("index.sjson").parse_index(&Limits::default()).unwrap();
        let entry = index.entries.get("c:d").unwrap();
        assert_eq!(entry.products().collect::<Vec<_>>(), ["b"]);
        assert_eq!(entry.path().unwrap().as_str(), "streams/v1/c:d.sjson");
        let products = read("c:d.sjson").parse_products(&Limits::default()).unwrap();
        let paths: Vec<String> =
            products.items().map(|item| item.file().unwrap().path.to_string()).collect();
        assert_eq!(paths, ["b/1", "b/2"]);
    }

    #[test]
    fn what_is_signed_again_keeps_its_numbers() {
        let root = tempfile::tempdir().unwrap();
        let at = Timestamp::from_seconds(1_780_000_000);
        let write = |name: &str, text: &str| {
            write_file(&root.path().join("streams/v1").join(name), text.as_bytes()).unwrap();
        };
        let numbers = "\"numbers\":[1.50,1e400,123456789012345678901234567890]";
        write(
            "c:d.json",
            &format!(r#"{{"format":"products:1.0","content_id":"c:d",{numbers},"products":{{}}}}"#),
        );
        write(
            "index.json",
            &format!(
                r#"{{"format":"index:1.0","index":{{"c:d":{{{numbers},"path":"streams/v1/c:d.json"}}}}}}"#
            ),
        );
        let key = SigningKey::generate("new", at).unwrap();
        assert_eq!(sign_unverified_tree(root.path(), &key, Listing::Present, at).unwrap(), 2);
        for name in ["c:d", "index"] {
            for ending in ["json", "sjson"] {
                let path = root.path().join(format!("streams/v1/{name}.{ending}"));
                let text = fs::read_to_string(path).unwrap().replace([' ', '\n'], "");
                assert!(text.contains(numbers), "{text}");
            }
        }
    }
}
