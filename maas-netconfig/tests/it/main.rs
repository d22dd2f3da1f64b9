//! The crate as a whole: its properties, its binary, and its output in front of real readers.
#![allow(clippy::unwrap_used, missing_docs)]

#[cfg(feature = "cli")]
mod cli;
mod esxi;
mod peers;
mod properties;
mod shared;
