//! What only a database can show: crashes, other processes, other versions, other servers.

#![allow(clippy::unwrap_used)]

#[cfg(feature = "sqlite")]
mod crash;
#[cfg(feature = "sqlite")]
mod load;
#[cfg(all(feature = "sqlite", feature = "postgres", unix))]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
