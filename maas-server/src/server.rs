//! The whole server: opened, started, stopped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use maas_core::dhcp::Lease;
use maas_simplestreams::report::Reporter;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::{Config, DhcpMode};
use crate::data_dir::{self, DataDirError, DataDirLock};
use crate::http::{
    Access, Api, ApiTitle, BindError, Limits, Listener, Operation, Problem, Reply, Request,
    ServeOptions, TableError, get,
};
use crate::images::documents::{BootSource, Selection};
use crate::images::sync::{self, Summary, SyncError};
use crate::images::{Images, ImagesError, uploads};
use crate::rack::dhcp::settings::{self, NoRackAddress};
use crate::rack::dhcp::{Dhcp, DhcpError, DhcpStatus, follow};
use crate::rack::files::RegionFiles;
use crate::rack::loaders::Loaders;
use crate::rack::reports;
use crate::rack::tftp::{TftpBindError, TftpLimits, TftpServer};
use crate::region::{OauthAuthenticator, Region};
use crate::store::{DocumentError, Store, StoreError};
use crate::{api, metadata, rack, ui, worker};

/// A running server: region and rack listen, workers work.
#[derive(Debug)]
pub struct Server {
    region: Arc<Region>,
    region_address: SocketAddr,
    rack_address: SocketAddr,
    tftp_address: Option<SocketAddr>,
    leases: Option<watch::Receiver<Vec<Lease>>>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    /// Held until the end: the operating system releases it even when the process is killed.
    _lock: DataDirLock,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory or the database.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The image store.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// A port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The port of TFTP.
    #[error(transparent)]
    Tftp(#[from] TftpBindError),
    /// The subnets of DHCP.
    #[error("DHCP: {0}")]
    DhcpSubnets(#[from] NoRackAddress),
    /// DHCP.
    #[error("DHCP cannot be served")]
    Dhcp(#[from] DhcpError),
    /// The keyring of the default boot source.
    #[error("boot source keyring {path}: cannot be read")]
    Keyring {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The curtin pack.
    #[error("curtin pack {path}: cannot be read")]
    CurtinPack {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A mistake in the table of operations.
    #[error("the table of operations is wrong")]
    Table(#[from] TableError),
}

impl Server {
    /// Opens the data directory, takes both ports and starts the workers.
    ///
    /// Ports are taken before anything is changed, so that a second server on the same ports
    /// leaves the first one's data alone.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        data_dir::prepare(&config.data_dir)?;
        let region_listener = Listener::bind(config.region_listen).await?;
        let rack_listener = Listener::bind(config.rack_listen).await?;
        let tftp = match config.tftp_listen {
            None => None,
            Some(address) => Some(TftpServer::bind(address).await?),
        };
        let tftp_address = tftp.as_ref().map(TftpServer::address);
        let (region_address, rack_address) = (region_listener.address(), rack_listener.address());
        let lock = data_dir::lock(&config.data_dir)?;
        let curtin_pack = match &config.curtin_pack {
            None => None,
            Some(path) => Some(
                std::fs::read(path)
                    .map_err(|source| StartError::CurtinPack { path: path.clone(), source })?,
            ),
        };
        let store = data_dir::open_store(&config).await?;
        add_default_boot_source(&*store, &config).await?;
        let images = Images::open(data_dir::image_dir(&config.data_dir), &*store).await?;
        let region = Arc::new(Region::new(store, images, config, rack_address, curtin_pack));
        region.reload_settings().await?;
        crate::places::settle(&region).await?;

        region.racks.reload(&*region.store).await?;

        let title = || ApiTitle {
            title: "MAAS API".to_owned(),
            version: api::MAAS_VERSION.to_owned(),
            doc: "The MAAS API 2.0 and the metadata service.".to_owned(),
        };
        let authenticator = OauthAuthenticator::default();
        let limits = Limits::default;
        let mut operations = region_operations();
        operations.extend(ui::operations());
        let region_api = Arc::new(
            Api::new(Arc::clone(&region), operations, authenticator.clone(), title(), limits())?
                .observed_by(counter(&region, "region")),
        );
        // The rack hands on what is below /MAAS/: machines often reach only the rack.
        let mut operations = region_operations();
        operations.extend(rack::operations());
        let rack_api = Arc::new(
            Api::new(Arc::clone(&region), operations, authenticator, title(), limits())?
                .observed_by(counter(&region, "rack")),
        );

        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(region_listener.serve(region_api, ServeOptions::default(), stop.clone()));
        tasks.spawn(rack_listener.serve(rack_api, ServeOptions::default(), stop.clone()));
        if let Some(tftp) = tftp {
            let files = Arc::new(RegionFiles(Arc::clone(&region)));
            tasks.spawn(tftp.serve(files, TftpLimits::default(), stop.clone()));
        }
        let offers = region.dhcp_offers.clone();
        tasks.spawn(follow::follow(Arc::clone(&region), offers, stop.clone()));
        let mut leases = None;
        if let Some((dhcp, follows)) = dhcp(&region, rack_address.port(), &stop).await? {
            leases = Some(dhcp.leases());
            tasks.spawn(follows);
            let region = Arc::clone(&region);
            tasks.spawn(reports::leases(dhcp.leases(), region.clone(), stop.clone()));
            tasks.spawn(tell_of_refusals(region, stop.clone()));
            tasks.spawn(dhcp.run(stop.clone()));
        }
        worker::start(&region, &mut tasks, &stop);
        tasks.spawn(sync::run(Arc::clone(&region), stop.clone()));
        tasks.spawn(uploads::run(Arc::clone(&region), stop.clone()));
        Ok(Self {
            region,
            region_address,
            rack_address,
            tftp_address,
            leases,
            tasks,
            stop,
            _lock: lock,
        })
    }

    /// Where the region listens.
    #[must_use]
    pub const fn region_address(&self) -> SocketAddr {
        self.region_address
    }

    /// Where the rack listens.
    #[must_use]
    pub const fn rack_address(&self) -> SocketAddr {
        self.rack_address
    }

    /// Where TFTP is served, if anywhere.
    #[must_use]
    pub const fn tftp_address(&self) -> Option<SocketAddr> {
        self.tftp_address
    }

    /// The leases of DHCP as they come and go, if this server answers DHCP.
    #[must_use]
    pub const fn leases(&self) -> Option<&watch::Receiver<Vec<Lease>>> {
        self.leases.as_ref()
    }

    /// The region's URL, without a slash at the end.
    #[must_use]
    pub fn region_url(&self) -> String {
        url(self.region_address)
    }

    /// The rack's URL, without a slash at the end.
    #[must_use]
    pub fn rack_url(&self) -> String {
        url(self.rack_address)
    }

    /// The shared state, for embedders and tests.
    #[must_use]
    pub const fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.region.store
    }

    /// Synchronises the boot sources now.
    ///
    /// # Errors
    ///
    /// [`SyncError`].
    pub async fn synchronise(&self, reporter: &dyn Reporter) -> Result<Summary, SyncError> {
        sync::synchronise(&self.region, reporter).await
    }

    /// Lets requests under way end, stops the workers and closes the database.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(error = %error, "a task ended badly");
            }
        }
        if let Err(error) = self.region.store.close().await {
            tracing::error!(error = %error, "the database did not close");
        }
    }
}

/// The DHCP service that the configuration asks for, and what keeps its plan up to date.
async fn dhcp(
    region: &Arc<Region>,
    rack_port: u16,
    stop: &CancellationToken,
) -> Result<Option<(Dhcp, impl Future<Output = ()> + Send + 'static)>, StartError> {
    let config = &region.config;
    if config.dhcp == DhcpMode::Off {
        return Ok(None);
    }
    let plan = settings::plan(&config.dhcp_subnets, rack_port)?;
    let loaders = Loaders::new(region.images.dir(), config.bootloader_dir.as_deref());
    let dir = config.data_dir.join("dhcp");
    let configured = plan.subnets.clone();
    let (sender, plan) = watch::channel(plan);
    let dhcp = Dhcp::prepare(dir, plan, Arc::new(Mutex::new(loaders))).await?;
    let dhcp = dhcp.with_status(region.dhcp_status.clone());
    let offered = region.dhcp_offers.subscribe();
    let follows = follow::plan_for_this_host(configured, offered, sender, stop.clone());
    Ok(Some((dhcp, follows)))
}

/// Writes a refused change of DHCP into the history of the machines that live from it.
async fn tell_of_refusals(region: Arc<Region>, stop: CancellationToken) {
    let mut status = region.dhcp_status.subscribe();
    loop {
        let now = status.borrow_and_update().clone();
        if let DhcpStatus::Refused(reason) = now
            && let Err(error) = follow::tell_machines(&region, &reason).await
        {
            tracing::warn!(error = crate::with_causes(&error), "a refusal is only logged");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = status.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// Counts the answers of one listener.
fn counter(
    region: &Arc<Region>,
    listener: &'static str,
) -> impl Fn(::http::StatusCode) + Send + Sync + 'static {
    let region = Arc::clone(region);
    move |status| region.metrics.answered(listener, status.as_u16())
}

/// An address that listens everywhere is reached on this host by the loopback address.
fn url(address: SocketAddr) -> String {
    let mut reachable = address;
    if address.ip().is_unspecified() {
        reachable.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{reachable}")
}

/// What the region answers.
fn region_operations() -> Vec<Operation<Region>> {
    let mut operations = api::operations();
    operations.extend(metadata::operations());
    operations.extend(rack::region_operations());
    operations.extend([
        get("Health", "/healthz", "Whether the server and its database work.", health)
            .access(Access::Anonymous),
        get("Metrics", "/metrics", "Counters in Prometheus's text format.", metrics)
            .access(Access::Anonymous),
    ]);
    operations
}

async fn health(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    // Asks the database: a server that cannot reach it is of no use.
    region.store.next_wakeup().await.map_err(|_| Problem::Unavailable {
        text: "The database does not answer.".to_owned(),
        retry_after: std::time::Duration::from_secs(5),
    })?;
    Ok(Reply::ok())
}

async fn metrics(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let machines = region
        .store
        .machines(&crate::store::MachineFilter::all())
        .await
        .map_err(Problem::internal)?;
    let statuses: Vec<(&'static str, i64)> = maas_core::machine::Status::ALL
        .into_iter()
        .map(|status| {
            let count = machines.iter().filter(|machine| machine.status == status).count();
            (status.display_name(), i64::try_from(count).unwrap_or(i64::MAX))
        })
        .collect();
    let text = region.metrics.text(&statuses);
    Ok(Reply::bytes("application/openmetrics-text; version=1.0.0; charset=utf-8", text))
}

/// A new data directory starts with the default boot source and one selection.
async fn add_default_boot_source(store: &dyn Store, config: &Config) -> Result<(), StartError> {
    let Some(url) = &config.boot_source_url else { return Ok(()) };
    // An operator who deleted every source meant it.
    let first = store.next_ids("default-boot-source", 1).await?;
    if first != 1 {
        return Ok(());
    }
    let keyring_data = match &config.boot_source_keyring {
        None => Vec::new(),
        Some(path) => std::fs::read(path)
            .map_err(|source| StartError::Keyring { path: path.clone(), source })?,
    };
    let now = clock::now();
    let source = store
        .insert(BootSource {
            name: "MAAS Stable".to_owned(),
            url: url.clone(),
            keyring_filename: String::new(),
            keyring_data,
            priority: 1,
            enabled: true,
            skip_keyring_verification: false,
            created: now,
            updated: now,
        })
        .await?;
    store
        .insert(Selection {
            boot_source_id: source.id,
            os: "ubuntu".to_owned(),
            release: "noble".to_owned(),
            arches: vec!["amd64".to_owned()],
            subarches: vec!["*".to_owned()],
            labels: vec!["*".to_owned()],
        })
        .await?;
    Ok(())
}
