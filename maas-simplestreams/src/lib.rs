//! A simplestreams client, mirror and publisher.
//!
//! Simplestreams is the format in which images are published by Ubuntu, MAAS, LXD and others: an
//! index lists products files, a products file lists products, their versions, and the items
//! (files) of each version with size and digest. Index and products files are signed with OpenPGP.
//!
//! # What this crate guarantees
//!
//! * A sync that is interrupted anywhere, be it by `kill -9`, leaves a mirror that serves a whole
//!   generation, and fetches again at most one block for each stream ([`mirror`], [`fetch`]).
//! * Content that comes out of [`repository`] is [`signature::Verified`]: exactly the bytes that a
//!   signature covers, by keys that were pinned, with algorithms that are strong. Unverified
//!   content comes only from sources opened with a function that has `unverified` in its name, and
//!   in types that have `Unverified` in theirs.
//! * A products file is the one that the index names, and none is older than one seen before
//!   ([`trust`]).
//! * No path or name from a document leads out of its place ([`path`]).
//! * A file in the store has the digest of its name: it appears there after its bytes were checked
//!   and flushed, or not at all ([`store`]).
//! * Everything that comes in has a limit ([`limits`]).
//!
//! # What it does not
//!
//! * A signature covers neither URL nor channel: a key that signs two streams can sign one in
//!   place of the other. The content id tells them apart; restrict it with
//!   [`trust::TrustPolicy::content_ids`] where that matters.
//! * The first visit trusts whatever correctly signed document it finds, however old; an alarm is
//!   raised when it is old.
//! * Content of which a document names only the SHA-512 is proved by it and kept under its SHA-256;
//!   content with an MD5 alone is left out. SHA-1 signatures are accepted nowhere but on the two old
//!   keys of Ubuntu's images, by name ([`signature::LegacySelfSignatures`]).
//! * Who can write to the local disk can change what is stored; [`store::BlobStore::check`] finds
//!   it.
//!
//! # Examples
//!
//! `examples/verify.rs` verifies a document, `examples/mirror.rs` mirrors a source and
//! `examples/publish.rs` publishes a file as a signed stream. In short:
//!
//! ```no_run
//! # #[cfg(all(feature = "http", feature = "openpgp"))]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use std::time::SystemTime;
//!
//! use maas_simplestreams::date::Timestamp;
//! use maas_simplestreams::mirror::{Mirror, MirrorOptions};
//! use maas_simplestreams::repository::Source;
//! use maas_simplestreams::signature::OpenPgp;
//! use maas_simplestreams::transport::{HttpOptions, Standard};
//!
//! let url = "http://images.maas.io/ephemeral-v3/stable".parse()?;
//! let source = Source::verified(url, Arc::new(OpenPgp::ubuntu_cloudimage()?));
//! let mut options = MirrorOptions::default();
//! options.filters = vec!["arch=amd64".parse()?, "release~(jammy|noble)".parse()?];
//! let transport = Standard::shared(&HttpOptions::default())?;
//! let now = Timestamp::from(SystemTime::now());
//! let mut mirror = Mirror::open("/srv/images").await?;
//! let outcome = mirror.sync(source, transport, &options, &(), now).await?;
//! println!("{} bytes came", outcome.bytes);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! `http` (default) fetches over HTTP and HTTPS, `openpgp` (default) verifies and signs in process
//! (sequoia-openpgp, LGPL-2.0-or-later), `archive` carries mirrors over an air gap,
//! `cli` builds the program `sstream`, `test-support` publishes and serves signed streams in tests. Without default
//! features the crate reads local mirrors and takes any [`signature::Verifier`].

pub mod boot;
pub mod date;
pub mod digest;
mod document;
pub mod fetch;
pub mod filter;
pub mod index;
pub mod limits;
pub mod mirror;
pub mod ordered;
pub mod path;
pub mod products;
pub mod publish;
pub mod query;
pub mod report;
pub mod repository;
pub mod select;
#[cfg(test)]
mod shared;
#[cfg(feature = "openpgp")]
pub mod sign;
pub mod signature;
pub mod store;
#[cfg(feature = "test-support")]
pub mod test_support;
pub mod transport;
pub mod trust;
pub mod value;
pub mod work;

pub use document::{Complaint, DocumentError, Pedigree, Problem};
