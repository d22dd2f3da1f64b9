//! Progress as typed events; whoever shows them decides how.

mod meter;

pub use meter::{Measured, Meter};

use crate::digest::Sha256;

/// Something that happened to a file on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A sync knows what it will fetch; comes before the first transfer.
    Planned {
        /// Files that need a transfer or at least a name.
        files: usize,
        /// Their bytes.
        bytes: u64,
        /// Those of their bytes that are not on the disk yet.
        missing: u64,
    },
    /// A transfer starts.
    Started {
        /// The file.
        sha256: Sha256,
        /// Where from, without credentials.
        url: String,
        /// Bytes in all.
        size: u64,
        /// Bytes that an earlier attempt left.
        resumed_at: u64,
    },
    /// Bytes arrived.
    Progressed {
        /// The file.
        sha256: Sha256,
        /// Bytes so far.
        received: u64,
        /// Bytes in all.
        size: u64,
    },
    /// An attempt failed and there will be another one.
    Retrying {
        /// The file.
        sha256: Sha256,
        /// Which attempt failed, from 1.
        attempt: u32,
        /// Why.
        reason: String,
    },
    /// The file is whole and proved; it is in the store at the latest when the call returns.
    Finished {
        /// The file.
        sha256: Sha256,
        /// Bytes in all.
        size: u64,
    },
    /// The file was in the store already.
    AlreadyPresent {
        /// The file.
        sha256: Sha256,
        /// Bytes in all.
        size: u64,
    },
    /// The file could not be fetched.
    Failed {
        /// The file.
        sha256: Sha256,
        /// Why.
        reason: String,
    },
}

/// An error with everything behind it, outermost first, for events and for people.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(link) = cause {
        text.push_str(": ");
        text.push_str(&link.to_string());
        cause = link.source();
    }
    text
}

/// Takes events. Every method of the crate that takes one calls it from its own task.
pub trait Reporter: Send + Sync {
    /// Takes one event; must not block.
    fn report(&self, event: Event);
}

/// Takes no notice.
impl Reporter for () {
    fn report(&self, _: Event) {}
}

impl<F: Fn(Event) + Send + Sync> Reporter for F {
    fn report(&self, event: Event) {
        self(event);
    }
}

/// A stream of events: the other end of the channel reads them.
#[derive(Clone, Debug)]
pub struct EventSender(tokio::sync::mpsc::UnboundedSender<Event>);

/// A reporter and the receiving end of its stream of events.
pub fn event_stream() -> (EventSender, tokio::sync::mpsc::UnboundedReceiver<Event>) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    (EventSender(sender), receiver)
}

impl Reporter for EventSender {
    fn report(&self, event: Event) {
        // Nobody listens any more: the work goes on.
        self.0.send(event).ok();
    }
}
