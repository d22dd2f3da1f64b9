//! A stream from a flat list of items, as the tool `json2streams` takes it.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Content, NewItem, NewProduct, NewVersion, PublishError, Stream};
use crate::date::Timestamp;
use crate::ordered::Tags;
use crate::path::SafePath;
use crate::value::Value;

/// Fields that say where an item belongs.
const PLACE: [&str; 4] = ["content_id", "product_name", "version_name", "item_name"];

impl Stream {
    /// A stream from flat records: each names its `content_id`, `product_name`, `version_name` and
    /// `item_name`; all its other fields are fields of the item.
    ///
    /// A `path` names a file below `files`; its size and digest are measured. Fields that all
    /// siblings share are moved up when the stream is written. The `datatype` of a content id is
    /// the one of its first record, else `image-downloads` when it has a path and `image-ids` when
    /// it has none.
    pub fn from_records(
        records: Vec<Tags>,
        files: &Path,
        updated: Timestamp,
    ) -> Result<Self, PublishError> {
        type Versions = BTreeMap<String, Vec<(String, NewItem)>>;
        let mut contents: BTreeMap<String, (String, BTreeMap<String, Versions>)> = BTreeMap::new();
        for (place, mut record) in records.into_iter().enumerate() {
            let mut names = Vec::new();
            for field in PLACE {
                match record.remove(field) {
                    Some(Value::String(name)) => names.push(name),
                    _ => return Err(PublishError::Record { place, field }),
                }
            }
            let [content_id, product, version, item_name] = <[String; 4]>::try_from(names)
                .map_err(|_| PublishError::Record { place, field: "content_id" })?;
            let datatype = match record.remove("datatype") {
                Some(Value::String(datatype)) => datatype,
                _ if record.get("path").is_some() => "image-downloads".to_owned(),
                _ => "image-ids".to_owned(),
            };
            for field in ["format", "updated", "item_url"] {
                record.remove(field);
            }
            let mut item = match record.remove("path") {
                Some(Value::String(path)) => {
                    let safe = SafePath::new(&path).map_err(PublishError::Unsafe)?;
                    NewItem::from_file(path, safe.below(files))
                }
                Some(_) => return Err(PublishError::Record { place, field: "path" }),
                None => NewItem::without_file(),
            };
            for (name, value) in record.iter() {
                item = item.tag(name, value.clone());
            }
            let (_, products) =
                contents.entry(content_id).or_insert_with(|| (datatype, BTreeMap::new()));
            let versions = products.entry(product).or_default();
            versions.entry(version).or_default().push((item_name, item));
        }
        let mut stream = Self::new(updated).condensed();
        for (content_id, (datatype, products)) in contents {
            let mut content = Content::new(content_id, &datatype);
            for (name, versions) in products {
                let mut product = NewProduct::new(name);
                for (name, items) in versions {
                    let mut version = NewVersion::new(name);
                    for (name, item) in items {
                        version = version.item(name, item);
                    }
                    product = product.version(version);
                }
                content = content.product(product);
            }
            stream = stream.content(content);
        }
        Ok(stream)
    }
}
