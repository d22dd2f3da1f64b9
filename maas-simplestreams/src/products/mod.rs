//! The products file (`products:1.0`): products, their versions, and the items of each.

mod flat;
mod narrow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

pub(crate) use flat::flat_value;
pub use flat::{File, ItemRef};

use crate::date::Timestamp;
use crate::document::{self, DocumentError, Level, Nothing, Problem, Skim};
use crate::filter::Filter;
use crate::limits::{LimitExceeded, Limits};
use crate::ordered::{Ordered, Tags};
use crate::path::ContentId;

/// The `format` of a products file.
pub const FORMAT: &str = "products:1.0";

/// A products file. Unknown fields at every level are kept and written back.
///
/// A field may stand at any level and holds for everything below it; [`ItemRef`] is the view that
/// resolves this.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Products {
    /// Every field of the top level but `products`.
    pub tags: Tags,
    /// Product name to product, in document order.
    pub products: Ordered<Product>,
    pub(crate) problems: Vec<Problem>,
}

/// One product: something that appears in versions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Product {
    /// Every field but `versions`.
    pub tags: Tags,
    /// Version name to version, in document order.
    pub versions: Ordered<Version>,
}

/// One version of a product.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Version {
    /// Every field but `items`.
    pub tags: Tags,
    /// Item name to item, in document order.
    pub items: Ordered<Item>,
}

/// One item of a version: a file, or a reference to an image elsewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// Every field.
    pub tags: Tags,
}

impl Products {
    /// Reads a products file.
    ///
    /// A bad product, version or item is skipped and listed by [`Self::problems`]; duplicate keys,
    /// unsafe paths, exceeded limits and another format refuse the document.
    pub fn parse(text: &[u8], limits: &Limits) -> Result<Self, DocumentError> {
        if text.len() as u64 > limits.products_bytes {
            return Err(DocumentError::Limit(LimitExceeded::Bytes {
                limit: limits.products_bytes,
            }));
        }
        let read = document::read::<Self>(text, limits)?;
        let products = Self { problems: read.problems, ..read.level };
        products.check_head()?;
        Ok(products)
    }

    /// Reads only the fields of the top level and the names of the products.
    pub(crate) fn outline(
        text: &[u8],
        limits: &Limits,
    ) -> Result<(Self, Vec<String>), DocumentError> {
        if text.len() as u64 > limits.products_bytes {
            let limit = limits.products_bytes;
            return Err(DocumentError::Limit(LimitExceeded::Bytes { limit }));
        }
        let (tags, names) = document::outline::<Self>(text, limits)?;
        let head = Self { tags, ..Self::default() };
        head.check_head()?;
        Ok((head, names))
    }

    /// Reads a products file product by product: `each` sees a document with one product at a
    /// time, in document order, so that memory holds little more than the text. Answers with the
    /// entries that were skipped.
    ///
    /// What refuses the document may come to light after some products were seen.
    pub fn scan(
        text: &[u8],
        limits: &Limits,
        mut each: impl FnMut(&Self),
    ) -> Result<Vec<Problem>, DocumentError> {
        let (mut holder, _) = Self::outline(text, limits)?;
        document::scan::<Self>(text, limits, &mut |name, product| {
            holder.products = [(name, product)].into_iter().collect();
            each(&holder);
        })
    }

    /// Like [`Self::scan`], but passes over products of which no item can meet the filters: their
    /// text is checked, nothing is built. A product that `each` sees may still hold no item that
    /// does. Skipped entries are those of the products that were read.
    pub fn scan_matching(
        text: &[u8],
        limits: &Limits,
        filters: &[Filter],
        each: impl FnMut(&Self),
    ) -> Result<Vec<Problem>, DocumentError> {
        if text.len() as u64 > limits.products_bytes {
            let limit = limits.products_bytes;
            return Err(DocumentError::Limit(LimitExceeded::Bytes { limit }));
        }
        match Skim::of(text, limits) {
            Some(skim) => Self::scan_skimmed(text, &skim, limits, filters, each),
            None => Self::scan(text, limits, each),
        }
    }

    /// [`Self::scan_matching`] of a text that was skimmed already.
    pub(crate) fn scan_skimmed(
        text: &[u8],
        skim: &Skim,
        limits: &Limits,
        filters: &[Filter],
        mut each: impl FnMut(&Self),
    ) -> Result<Vec<Problem>, DocumentError> {
        let head = Self::head(text, skim)?;
        let mut holder = head.clone();
        document::scan_skimmed::<Self>(
            text,
            skim,
            limits,
            &|product| narrow::may_match(text, product, &head, filters),
            &mut |name, product| {
                holder.products = [(name, product)].into_iter().collect();
                each(&holder);
            },
        )
    }

    /// The fields of the top level of a text that was skimmed.
    pub(crate) fn head(text: &[u8], skim: &Skim) -> Result<Self, DocumentError> {
        let head = Self { tags: document::read_top(text, skim)?, ..Self::default() };
        head.check_head()?;
        Ok(head)
    }

    /// Checks format and content id.
    fn check_head(&self) -> Result<(), DocumentError> {
        match self.tags.text("format") {
            Some(FORMAT) => {}
            found => {
                let found = found.map(str::to_owned);
                return Err(DocumentError::Format { expected: FORMAT, found });
            }
        }
        let content_id =
            self.tags.text("content_id").ok_or(DocumentError::Field { field: "content_id" })?;
        match ContentId::new(content_id) {
            Ok(_) => Ok(()),
            Err(cause) => {
                Err(DocumentError::UnsafePath { pedigree: document::Pedigree::default(), cause })
            }
        }
    }

    /// The name that the index must know this document by.
    pub fn content_id(&self) -> Option<ContentId> {
        ContentId::new(self.tags.text("content_id")?).ok()
    }

    /// `image-ids`, `image-downloads` and so on.
    pub fn datatype(&self) -> Option<&str> {
        self.tags.text("datatype")
    }

    /// When the document was last changed.
    pub fn updated(&self) -> Option<Timestamp> {
        Timestamp::parse(self.tags.text("updated")?).ok()
    }

    /// The products, versions and items that were skipped while the document was read.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Every item with what it inherits, in document order.
    pub fn items(&self) -> impl Iterator<Item = ItemRef<'_>> {
        self.products.iter().flat_map(move |(product_name, product)| {
            product.versions.iter().flat_map(move |(version_name, version)| {
                version.items.iter().map(move |(item_name, item)| ItemRef {
                    products: self,
                    product_name,
                    product,
                    version_name,
                    version,
                    item_name,
                    item,
                })
            })
        })
    }
}

impl Product {
    /// The versions, newest first: names are compared byte by byte, the greatest is the newest.
    pub fn newest_first(&self) -> Vec<(&str, &Version)> {
        let mut versions: Vec<_> = self.versions.iter().collect();
        versions.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        versions
    }
}

macro_rules! level {
    ($level:ident, $children:ident, $name:literal, $child:ident $(, $more:ident)?) => {
        impl Level for $level {
            const CHILDREN: Option<&'static str> = Some($name);
            type Child = $child;

            fn build(tags: Tags, $children: Ordered<$child>) -> Self {
                Self { tags, $children $(, $more: Vec::new())? }
            }
        }

        impl Serialize for $level {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(self.tags.len() + 1))?;
                self.tags.write_entries(&mut map)?;
                map.serialize_entry($name, &self.$children)?;
                map.end()
            }
        }
    };
}

level!(Products, products, "products", Product, problems);
level!(Product, versions, "versions", Version);
level!(Version, items, "items", Item);

impl Level for Item {
    const CHILDREN: Option<&'static str> = None;
    const COUNTED: bool = true;
    type Child = Nothing;

    fn build(tags: Tags, _: Ordered<Nothing>) -> Self {
        Self { tags }
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.tags.serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
