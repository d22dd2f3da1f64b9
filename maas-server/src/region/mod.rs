//! The region: what every handler and worker shares.

mod authenticator;
mod controller;
mod kept_nonces;
pub(crate) mod scripts;
pub(crate) mod shown;
mod turns;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use maas_core::deploy::Endpoints;
use maas_core::dhcp::Offer;
use maas_core::machine::Machine;

use tokio::sync::watch;

pub use authenticator::OauthAuthenticator;
pub use controller::{AllocateError, ApplyError, Extras};

use crate::config::Config;
use crate::http::Request;
use crate::images::Images;
use crate::ipam::Ipam;
use crate::metrics::Metrics;
use crate::power::Drivers;
use crate::rack::dhcp::DhcpStatus;
use crate::rack::enrolment::Racks;
use crate::settings::Settings;
use crate::store::{Store, StoreError};
use crate::trail::Trails;

/// The region's shared state: storage, images, power drivers and settings.
#[derive(Debug)]
pub struct Region {
    /// Machines, users and everything small.
    pub store: Arc<dyn Store>,
    /// Boot sources and boot resources.
    pub images: Images,
    /// Networks, and addresses that are given out.
    pub ipam: Ipam,
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
    /// Machines as JSON that was written before.
    pub(crate) shown: shown::Shown,
    settings: RwLock<Arc<Settings>>,
    /// What machines reported in their present runs.
    pub trails: Trails,
    /// What DHCP is to serve, for the racks that do.
    pub dhcp_offers: watch::Sender<Arc<Vec<Offer>>>,
    /// How this server's own DHCP is doing.
    pub dhcp_status: watch::Sender<DhcpStatus>,
    rack: SocketAddr,
    turns: turns::Turns,
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
            ipam: Ipam::default(),
            drivers: Drivers::default(),
            config,
            metrics: Metrics::default(),
            racks: Racks::default(),
            curtin_pack,
            shown: shown::Shown::default(),
            settings: RwLock::default(),
            trails: Trails::default(),
            dhcp_offers: watch::Sender::default(),
            dhcp_status: watch::Sender::default(),
            rack,
            turns: turns::Turns::default(),
            wake: watch::Sender::new(0),
        }
    }

    /// The operators' settings as they were last loaded.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Loads the operators' settings, at the start and after each change.
    ///
    /// # Errors
    ///
    /// The database's failure; the settings stay as they were.
    pub async fn reload_settings(&self) -> Result<(), StoreError> {
        let settings = Arc::new(Settings::load(&*self.store).await?);
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
        Ok(())
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
