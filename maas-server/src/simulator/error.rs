//! Why the simulator cannot start or a machine cannot go on.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the simulator cannot do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulatorError {
    /// A URL is not one that a machine can boot from.
    #[error("{field} {url:?} is not an http URL with a host")]
    Url {
        /// Which setting it is.
        field: &'static str,
        /// Its value.
        url: String,
    },
    /// The power switches cannot listen there.
    #[error("cannot listen for power commands on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The state directory cannot be used.
    #[error("cannot use the state file or directory {}", path.display())]
    State {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// The simulator is shutting down.
    #[error("the simulator is shutting down")]
    ShuttingDown,
}

/// Why one request did not bring what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("{url}: {}", cause(source))]
    Transport {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{url} answered {status}{}", said(body))]
    Status { url: String, status: u16, body: String, date: Option<String> },
    #[error("{url} sent more than {limit} bytes")]
    TooLarge { url: String, limit: usize },
    #[error("{url:?} is not a URL")]
    Url { url: String },
}

impl WireError {
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// The innermost reason: reqwest's own text only says that sending failed.
fn cause(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    reason.to_string()
}

fn said(body: &str) -> String {
    let line: String = body.trim().chars().take(200).collect();
    if line.is_empty() { String::new() } else { format!(": {line}") }
}

/// A machine stops where it is: the reason, for the timeline.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Stuck(pub(crate) String);

impl From<WireError> for Stuck {
    fn from(error: WireError) -> Self {
        Self(error.to_string())
    }
}
