//! `maas-server serve`: region and rack until the process is asked to end.

use super::Failure;
use crate::cli::ServeArgs;
use crate::config::Config;
use crate::log;
use crate::server::Server;
use crate::signals::Shutdown;

pub(super) async fn run(args: ServeArgs) -> Result<(), Failure> {
    let mut config = Config::load(&args.location)?;
    if let Some(address) = args.region_listen {
        config.region_listen = address;
    }
    if let Some(address) = args.rack_listen {
        config.rack_listen = address;
    }
    if let Some(filter) = args.log {
        config.log = filter;
    }
    log::install(&config.log, config.log_format)?;
    let shutdown = Shutdown::listen();
    let data_dir = config.data_dir.clone();
    let server = Server::start(config).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        region = format!("{}/MAAS/", server.region_url()),
        rack = server.rack_url(),
        data_dir = %data_dir.display(),
        "serving"
    );
    shutdown.requested().await;
    tracing::info!("shutting down: requests under way are finished first");
    server.shutdown().await;
    tracing::info!("shut down");
    Ok(())
}
