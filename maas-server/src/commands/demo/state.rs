//! What a demo remembers from one run to the next: its ports, because documents that machines
//! keep hold them.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::entropy::{self, EntropyError};

/// Ports are drawn from here: below what operating systems give to outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How many ports are tried before giving up.
const ATTEMPTS: usize = 200;

/// The remembered facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) mirror_port: u16,
    pub(super) region_port: u16,
    pub(super) rack_port: u16,
    pub(super) power_port: u16,
    /// Decides the machine's hardware, addresses and firmware.
    pub(super) seed: u64,
}

/// Why the facts cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    #[error("{path}: cannot be read or written")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: is not what a demo leaves there")]
    Format {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("no free port on 127.0.0.1 between {} and {}", PORTS.start, PORTS.end)]
    NoPort,
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl State {
    /// What an earlier run left, or new facts that are on disk before anybody uses them.
    pub(super) fn load_or_create(dir: &Path) -> Result<Self, StateError> {
        let path = dir.join("demo.json");
        let io = |source| StateError::Io { path: path.clone(), source };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| StateError::Format { path: path.clone(), source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let state = Self::draw()?;
                let bytes = serde_json::to_vec_pretty(&state)
                    .map_err(|source| StateError::Format { path: path.clone(), source })?;
                super::artefacts::write_atomically(&path, &bytes).map_err(io)?;
                Ok(state)
            }
            Err(error) => Err(io(error)),
        }
    }

    fn draw() -> Result<Self, StateError> {
        let mut ports = Vec::new();
        for _ in 0..ATTEMPTS {
            let span = u64::from(PORTS.end - PORTS.start);
            let offset = u16::try_from(entropy::number()? % span).unwrap_or_default();
            let port = PORTS.start + offset;
            if !ports.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                ports.push(port);
            }
            if let [mirror_port, region_port, rack_port, power_port] = ports[..] {
                let seed = entropy::number()? >> 32;
                return Ok(Self { mirror_port, region_port, rack_port, power_port, seed });
            }
        }
        Err(StateError::NoPort)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_second_run_finds_the_same_ports() {
        let dir = tempfile::tempdir().unwrap();
        let first = State::load_or_create(dir.path()).unwrap();
        assert_eq!(State::load_or_create(dir.path()).unwrap(), first);
    }

    #[test]
    fn a_foreign_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("demo.json"), "[]").unwrap();
        let error = State::load_or_create(dir.path()).unwrap_err();
        assert!(error.to_string().contains("demo.json"));
    }
}
