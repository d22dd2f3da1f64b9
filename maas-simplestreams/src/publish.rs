//! Publishing a stream: describe it, write the tree, sign it.

mod condense;
mod generations;
mod records;
#[cfg(feature = "openpgp")]
mod resign;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::Digest as _;

pub use condense::condense;
pub use generations::{GenerationError, Generations};
#[cfg(feature = "openpgp")]
pub use resign::{Listing, sign_unverified_tree};

use crate::date::Timestamp;
use crate::digest::Sha256;
use crate::document::DocumentError;
use crate::index::{self, Entry, Index};
use crate::ordered::{Ordered, Tags};
use crate::path::{ContentId, SafePath, UnsafePath};
use crate::products::{self, Item, Product, Products, Version};
#[cfg(feature = "openpgp")]
use crate::sign::{SigningError, SigningKey};
use crate::store::sync_directory;
use crate::value::Value;

/// Where metadata stands in a tree.
const METADATA: &str = "streams/v1";

/// A stream to be published: an index and the products files that it lists.
///
/// ```
/// use maas_simplestreams::date::Timestamp;
/// use maas_simplestreams::publish::{Content, NewItem, NewProduct, NewVersion, Signing, Stream};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kernel = NewItem::from_bytes("noble/amd64/20260101/boot-kernel", &b"a kernel"[..])
///     .tag("ftype", "boot-kernel")
///     .tag("kpackage", "linux-generic");
/// let noble = NewProduct::new("com.ubuntu.maas.stable:v3:boot:24.04:amd64:ga-24.04")
///     .tag("os", "ubuntu")
///     .tag("release", "noble")
///     .tag("arch", "amd64")
///     .version(NewVersion::new("20260101").item("boot-kernel", kernel));
/// let content = Content::new("com.ubuntu.maas:stable:v3:download", "image-ids").product(noble);
/// let directory = tempfile::tempdir()?;
/// Stream::new(Timestamp::from_seconds(1_767_225_600))
///     .content(content)
///     .write(directory.path(), Signing::Unsigned)?;
/// assert!(directory.path().join("streams/v1/index.json").is_file());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    updated: Timestamp,
    contents: Vec<Content>,
    form: Form,
}

/// Whether shared fields are said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    AsDescribed,
    Condensed,
}

/// One products file.
#[derive(Clone, Debug)]
pub struct Content {
    content_id: String,
    tags: Tags,
    products: Vec<NewProduct>,
}

/// One product.
#[derive(Clone, Debug)]
pub struct NewProduct {
    name: String,
    tags: Tags,
    versions: Vec<NewVersion>,
}

/// One version.
#[derive(Clone, Debug)]
pub struct NewVersion {
    name: String,
    tags: Tags,
    items: Vec<(String, NewItem)>,
}

/// One item with its content.
#[derive(Clone, Debug)]
pub struct NewItem {
    tags: Tags,
    content: ItemContent,
}

#[derive(Clone, Debug)]
enum ItemContent {
    None,
    Bytes(String, Bytes),
    File(String, PathBuf),
}

/// Whether and with what the documents are signed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Signing<'a> {
    /// Only `.json` files are written.
    Unsigned,
    /// `.json`, `.json.gpg` and `.sjson` files are written; signatures carry the `updated` time
    /// of the stream, or `at` when it is later.
    #[cfg(feature = "openpgp")]
    Signed {
        /// The key.
        key: &'a SigningKey,
        /// The time of the signatures.
        at: Timestamp,
    },
    /// Keeps the lifetime in builds without OpenPGP; never made.
    #[cfg(not(feature = "openpgp"))]
    #[doc(hidden)]
    Never(&'a std::convert::Infallible),
}

/// What was written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Published {
    /// The unsigned index.
    pub index: Index,
    /// The products files.
    pub products: Vec<Products>,
    /// Bytes of all items, each path once.
    pub bytes: u64,
}

/// Why a stream cannot be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// A path or content id is unsafe.
    #[error("a path or content id is unsafe")]
    Unsafe(#[source] UnsafePath),
    /// Two things have the same name.
    #[error("`{name}` is there twice")]
    Twice {
        /// The content id, product, version or item.
        name: String,
    },
    /// The content of a path would change: paths are immutable.
    #[error("`{path}` has another content already")]
    Changed {
        /// The path.
        path: SafePath,
    },
    /// The disk.
    #[error("`{path}` cannot be accessed")]
    Io {
        /// What was accessed.
        path: PathBuf,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
    /// A record lacks a field, or has another type there.
    #[error("record {place} has no text in its field `{field}`")]
    Record {
        /// Counted from 0.
        place: usize,
        /// The field.
        field: &'static str,
    },
    /// A document of the tree cannot be read.
    #[error("`{path}` cannot be read")]
    Document {
        /// The document without its ending.
        path: SafePath,
        /// Why.
        #[source]
        cause: DocumentError,
    },
    /// A document cannot be written as JSON.
    #[error("a document cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    /// What was described makes no document: a field is there twice or nested too deep.
    #[error("what was described makes no document")]
    Shape(#[source] DocumentError),
    /// A document cannot be signed.
    #[cfg(feature = "openpgp")]
    #[error("a document cannot be signed")]
    Sign(#[source] SigningError),
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> PublishError {
    let path = path.to_path_buf();
    move |cause| PublishError::Io { path, cause }
}

impl Stream {
    /// A stream without content; `updated` goes into every document.
    pub fn new(updated: Timestamp) -> Self {
        Self { updated, contents: Vec::new(), form: Form::AsDescribed }
    }

    /// Moves fields that all siblings share up when the stream is written; see [`condense`].
    #[must_use]
    pub fn condensed(mut self) -> Self {
        self.form = Form::Condensed;
        self
    }

    /// Adds a products file.
    #[must_use]
    pub fn content(mut self, content: Content) -> Self {
        self.contents.push(content);
        self
    }

    /// Writes the tree: items first, then products files, then the index, each by a rename, so
    /// that readers never find a document whose files are missing.
    ///
    /// An item path that is there already must have the same content.
    pub fn write(self, root: &Path, signing: Signing<'_>) -> Result<Published, PublishError> {
        let updated = self.updated.to_string();
        let mut files = Files { root, bytes: 0, written: Ordered::new() };
        let mut all_products: Vec<(ContentId, Products)> = Vec::new();
        for content in self.contents {
            let content_id = ContentId::new(&content.content_id).map_err(PublishError::Unsafe)?;
            if all_products.iter().any(|(known, _)| *known == content_id) {
                return Err(PublishError::Twice { name: content.content_id });
            }
            let mut products = content.build(&updated, &mut files)?;
            if self.form == Form::Condensed {
                condense(&mut products);
            }
            all_products.push((content_id, products));
        }
        let mut entries = Ordered::new();
        for (content_id, products) in &all_products {
            let names: Vec<&str> = products.products.names().collect();
            let mut tags = Tags::new();
            for field in ["datatype", "format", "updated"] {
                if let Some(value) = products.tags.get(field) {
                    tags.insert(field, value.clone());
                }
            }
            tags.insert("path", format!("{METADATA}/{content_id}.json").into());
            tags.insert("products", Value::from(names));
            entries.insert(content_id.as_str(), Entry { tags });
            files.document(&format!("{METADATA}/{content_id}"), products, None, signing)?;
        }
        let mut tags = Tags::new();
        tags.insert("format", Value::from(index::FORMAT));
        tags.insert("updated", Value::from(updated));
        let index = Index { tags, entries, ..Index::default() };
        let signed = signed_form(&index);
        files.document(&format!("{METADATA}/index"), &index, Some(&signed), signing)?;
        let products = all_products.into_iter().map(|(_, products)| products).collect();
        Ok(Published { index, products, bytes: files.bytes })
    }
}

/// The index for the signed tree: paths lead to `.sjson` documents.
pub fn signed_form(index: &Index) -> Index {
    let mut signed = index.clone();
    for entry in signed.entries.values_mut() {
        let path = entry.tags.text("path").and_then(|path| path.strip_suffix(".json"));
        if let Some(path) = path.map(|stem| format!("{stem}.sjson")) {
            entry.tags.insert("path", Value::from(path));
        }
    }
    signed
}

impl Content {
    /// A products file; `datatype` is `image-ids` for MAAS streams, `image-downloads` for others.
    pub fn new(content_id: impl Into<String>, datatype: &str) -> Self {
        let mut tags = Tags::new();
        tags.insert("datatype", Value::from(datatype));
        Self { content_id: content_id.into(), tags, products: Vec::new() }
    }

    /// Sets a field of the top level.
    #[must_use]
    pub fn tag(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.tags.insert(name, value.into());
        self
    }

    /// Adds a product.
    #[must_use]
    pub fn product(mut self, product: NewProduct) -> Self {
        self.products.push(product);
        self
    }

    fn build(self, updated: &str, files: &mut Files<'_>) -> Result<Products, PublishError> {
        let mut tags = self.tags;
        tags.insert("content_id", Value::from(self.content_id));
        tags.insert("format", Value::from(products::FORMAT));
        tags.insert("updated", Value::from(updated));
        let mut products = Products { tags, ..Products::default() };
        for product in self.products {
            let mut versions = Ordered::new();
            for version in product.versions {
                let mut items = Ordered::new();
                for (name, item) in version.items {
                    let item = files.item(item)?;
                    insert_once(&mut items, name, item)?;
                }
                let built = Version { tags: version.tags, items };
                insert_once(&mut versions, version.name, built)?;
            }
            let built = Product { tags: product.tags, versions };
            insert_once(&mut products.products, product.name, built)?;
        }
        Ok(products)
    }
}

fn insert_once<V>(map: &mut Ordered<V>, name: String, value: V) -> Result<(), PublishError> {
    match map.insert(name.as_str(), value) {
        None => Ok(()),
        Some(_) => Err(PublishError::Twice { name }),
    }
}

impl NewProduct {
    /// A product without versions.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), tags: Tags::new(), versions: Vec::new() }
    }

    /// Sets a field.
    #[must_use]
    pub fn tag(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.tags.insert(name, value.into());
        self
    }

    /// Adds a version.
    #[must_use]
    pub fn version(mut self, version: NewVersion) -> Self {
        self.versions.push(version);
        self
    }
}

impl NewVersion {
    /// A version without items.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), tags: Tags::new(), items: Vec::new() }
    }

    /// Sets a field.
    #[must_use]
    pub fn tag(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.tags.insert(name, value.into());
        self
    }

    /// Adds an item.
    #[must_use]
    pub fn item(mut self, name: impl Into<String>, item: NewItem) -> Self {
        self.items.push((name.into(), item));
        self
    }
}

impl NewItem {
    /// An item whose content is in memory; `path` is relative to the root of the tree.
    pub fn from_bytes(path: impl Into<String>, content: impl Into<Bytes>) -> Self {
        Self { tags: Tags::new(), content: ItemContent::Bytes(path.into(), content.into()) }
    }

    /// An item whose content is in a file, which is copied.
    pub fn from_file(path: impl Into<String>, file: impl Into<PathBuf>) -> Self {
        Self { tags: Tags::new(), content: ItemContent::File(path.into(), file.into()) }
    }

    /// An item that refers to no file, for instance an image in a cloud.
    pub fn without_file() -> Self {
        Self { tags: Tags::new(), content: ItemContent::None }
    }

    /// Sets a field. `path`, `size` and `sha256` come from the content.
    #[must_use]
    pub fn tag(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.tags.insert(name, value.into());
        self
    }
}

/// Writes the tree.
struct Files<'a> {
    root: &'a Path,
    bytes: u64,
    written: Ordered<(Sha256, u64)>,
}

impl Files<'_> {
    fn item(&mut self, item: NewItem) -> Result<Item, PublishError> {
        let (path, mut source): (String, Box<dyn Read>) = match item.content {
            ItemContent::None => return Ok(Item { tags: item.tags }),
            ItemContent::Bytes(path, bytes) => (path, Box::new(io::Cursor::new(bytes))),
            ItemContent::File(path, file) => {
                (path, Box::new(File::open(&file).map_err(io_error(&file))?))
            }
        };
        let path = SafePath::new(&path).map_err(PublishError::Unsafe)?;
        let target = path.below(self.root);
        let (sha256, size) = if let Some(known) = existing(&target)? {
            let same = digest_of(&mut *source).map_err(io_error(&target))?;
            if same != known {
                return Err(PublishError::Changed { path });
            }
            known
        } else {
            let new = new_file(&target)?;
            let mut sink = Hashing { file: new.file, hasher: sha2::Sha256::new(), size: 0 };
            io::copy(&mut source, &mut sink).map_err(io_error(&target))?;
            let (sha256, size) = (Sha256::from_hasher(sink.hasher), sink.size);
            finish_file(&sink.file, &new.path, &target)?;
            (sha256, size)
        };
        if self.written.insert(path.as_str(), (sha256, size)).is_none() {
            self.bytes += size;
        }
        let mut tags = item.tags;
        tags.insert("path", Value::from(path.as_str()));
        tags.insert("size", Value::from(size));
        tags.insert("sha256", Value::from(sha256.to_string()));
        Ok(Item { tags })
    }

    /// Writes a document in all its forms; `signed` replaces it in the clearsigned form.
    fn document<T: serde::Serialize>(
        &self,
        stem: &str,
        document: &T,
        signed: Option<&T>,
        signing: Signing<'_>,
    ) -> Result<(), PublishError> {
        let text = text_of(document)?;
        self.metadata(&format!("{stem}.json"), &text)?;
        match signing {
            Signing::Unsigned => Ok(()),
            #[cfg(feature = "openpgp")]
            Signing::Signed { key, at } => {
                let detached = key.sign_detached(&text, at).map_err(PublishError::Sign)?;
                self.metadata(&format!("{stem}.json.gpg"), &detached)?;
                let text = signed.map(text_of).transpose()?.unwrap_or(text);
                let clearsigned = key.clearsign(&text, at).map_err(PublishError::Sign)?;
                self.metadata(&format!("{stem}.sjson"), &clearsigned)
            }
            #[cfg(not(feature = "openpgp"))]
            Signing::Never(never) => {
                let _ = signed;
                match *never {}
            }
        }
    }

    fn metadata(&self, path: &str, content: &[u8]) -> Result<(), PublishError> {
        let target = SafePath::new(path).map_err(PublishError::Unsafe)?.below(self.root);
        write_file(&target, content)
    }
}

/// A document as it is published: keys sorted, one blank per level.
pub(crate) fn text_of<T: serde::Serialize>(document: &T) -> Result<Vec<u8>, PublishError> {
    let text = serde_json::to_vec(document).map_err(PublishError::Json)?;
    let mut value = Value::from_json(&text).map_err(PublishError::Shape)?;
    value.sort();
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    serde::Serialize::serialize(&value, &mut serializer).map_err(PublishError::Json)?;
    text.push(b'\n');
    Ok(text)
}

struct NewFile {
    file: File,
    path: PathBuf,
}

/// Creates the file that will be renamed to `target`.
fn new_file(target: &Path) -> Result<NewFile, PublishError> {
    let directory = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(io_error(directory))?;
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let path = directory.join(format!(".{name}.new"));
    let file = File::create(&path).map_err(io_error(&path))?;
    Ok(NewFile { file, path })
}

fn finish_file(file: &File, path: &Path, target: &Path) -> Result<(), PublishError> {
    file.sync_all().map_err(io_error(path))?;
    fs::rename(path, target).map_err(io_error(target))?;
    let directory = target.parent().unwrap_or(Path::new("."));
    sync_directory(directory).map_err(io_error(directory))
}

/// Replaces a file in one step.
pub(crate) fn write_file(target: &Path, content: &[u8]) -> Result<(), PublishError> {
    let mut new = new_file(target)?;
    new.file.write_all(content).map_err(io_error(&new.path))?;
    finish_file(&new.file, &new.path, target)
}

/// The digest and size of a file; `None` when it is not there.
fn existing(path: &Path) -> Result<Option<(Sha256, u64)>, PublishError> {
    match File::open(path) {
        Ok(mut file) => digest_of(&mut file).map(Some).map_err(io_error(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(path)(error)),
    }
}

fn digest_of(source: &mut dyn Read) -> io::Result<(Sha256, u64)> {
    let mut hasher = sha2::Sha256::new();
    let mut block = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        let read = source.read(&mut block)?;
        if read == 0 {
            return Ok((Sha256::from_hasher(hasher), size));
        }
        hasher.update(block.get(..read).unwrap_or_default());
        size += read as u64;
    }
}

/// Hashes what it writes.
struct Hashing {
    file: File,
    hasher: sha2::Sha256,
    size: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests;
