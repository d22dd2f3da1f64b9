//! The region: what every handler and worker shares.

mod controller;

use std::sync::Arc;

use tokio::sync::watch;

pub use controller::{AllocateError, ApplyError, Extras};

use crate::config::Config;
use crate::images::Images;
use crate::metrics::Metrics;
use crate::power::Drivers;
use crate::store::Store;

/// The region's shared state: storage, images, power drivers and settings.
#[derive(Debug)]
pub struct Region {
    /// Machines, users and everything small.
    pub store: Arc<dyn Store>,
    /// Boot sources and boot resources.
    pub images: Images,
    /// Power drivers.
    pub drivers: Drivers,
    /// Settings.
    pub config: Config,
    /// Counters.
    pub metrics: Metrics,
    wake: watch::Sender<u64>,
}

impl Region {
    /// A region over a store and an image store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, images: Images, config: Config) -> Self {
        Self {
            store,
            images,
            drivers: Drivers::default(),
            config,
            metrics: Metrics::default(),
            wake: watch::Sender::new(0),
        }
    }

    /// Tells the workers that there may be something to do.
    pub fn wake_workers(&self) {
        self.wake.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A bell that rings at every change.
    #[must_use]
    pub fn bell(&self) -> watch::Receiver<u64> {
        self.wake.subscribe()
    }
}
