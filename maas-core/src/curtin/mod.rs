//! curtin's configuration, and the installer that brings it to the ephemeral OS.

mod config;
mod installer;
mod source;

pub use config::{
    ConfigFile, apt, block_meta, cloud_config, crash_dumps, kernel, merge, merged, network, proxy,
    reporting, storage, swap, verbosity,
};
pub use installer::{InstallerError, PAYLOAD_MARKER, installer};
pub use source::{Source, source};
