//! The region: what every handler and worker shares.

mod authenticator;
mod controller;
mod scripts;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use maas_core::deploy::Endpoints;
use maas_core::machine::Machine;

use tokio::sync::watch;

pub use authenticator::OauthAuthenticator;
pub use controller::{AllocateError, ApplyError, Extras};

use crate::config::Config;
use crate::http::Request;
use crate::images::Images;
use crate::metrics::Metrics;
use crate::power::Drivers;
use crate::rack::enrolment::Racks;
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
    /// Racks on other hosts.
    pub racks: Racks,
    /// A curtin tree for ephemeral systems whose archive has none, as a tar file.
    pub curtin_pack: Option<Vec<u8>>,
    rack: SocketAddr,
    wake: watch::Sender<u64>,
}

impl Region {
    /// A region over a store and an image store, whose rack listens on `rack`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        images: Images,
        config: Config,
        rack: SocketAddr,
        curtin_pack: Option<Vec<u8>>,
    ) -> Self {
        Self {
            store,
            images,
            drivers: Drivers::default(),
            config,
            metrics: Metrics::default(),
            racks: Racks::default(),
            curtin_pack,
            rack,
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

    /// The rack's URLs for whoever sent this request: by the address that the request reached,
    /// never by its Host header, which firmware writes without the port.
    #[must_use]
    pub fn endpoints(&self, request: &Request) -> Endpoints {
        if let Some(of_another_rack) = self.racks.endpoints(request.headers()) {
            return of_another_rack;
        }
        self.endpoints_reached(request.connection().local.map(|address| address.ip()))
    }

    /// The rack's URLs for a machine that reached this host by this address.
    #[must_use]
    pub fn endpoints_reached(&self, reached: Option<IpAddr>) -> Endpoints {
        let listens = (!self.rack.ip().is_unspecified()).then(|| self.rack.ip());
        let host = listens.or(reached).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.endpoints_at(host.to_canonical().to_string())
    }

    /// The rack's URLs for a machine that somebody else asks about: by the address at which it
    /// last reached the rack.
    #[must_use]
    pub fn endpoints_for(&self, machine: &Machine, request: &Request) -> Endpoints {
        match &machine.boot.rack {
            Some(host) => self.endpoints_at(host.clone()),
            None => self.endpoints(request),
        }
    }

    fn endpoints_at(&self, host: String) -> Endpoints {
        let mut endpoints = Endpoints::new(host);
        endpoints.rack_port = self.rack.port();
        endpoints
    }
}
