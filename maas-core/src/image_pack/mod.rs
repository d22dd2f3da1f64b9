//! Custom images before they are deployed: packed from a tree, and looked into as they stream past.
//!
//! [`inspect`] reads an image once, from any [`std::io::Read`], and never unpacks it anywhere: it
//! walks tar archives and the partition tables of disk images in every compression and reports
//! what a deployment will depend on — kernel, cloud-init, network renderer, curtin hooks,
//! architecture, packed seeds — and what is wrong, as [`Finding`]s. [`Packer`] writes the archives
//! that can be uploaded.
//!
//! Everything is bounded by [`Limits`]; hostile input costs at most those.

mod compression;
mod disk;
mod elf;
mod finding;
mod inspect;
mod limits;
mod pack;
mod root;
mod sniff;
mod tape;

pub use compression::Compression;
pub use disk::{DiskFacts, Partition};
pub use finding::{Finding, Severity};
pub use inspect::{Declared, Inspection, inspect};
pub use limits::Limits;
pub use pack::{EntryFacts, Packer};
pub use root::{OsRelease, RootFacts};
pub use sniff::Content;

#[cfg(test)]
mod tests;
