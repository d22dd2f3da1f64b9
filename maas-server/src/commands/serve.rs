//! `maas-server serve`: region and rack until the process is asked to end.

use super::Failure;
use crate::cli::ServeArgs;
use crate::config::Config;
use crate::server::Server;
use crate::{log, signals};

pub(super) async fn run(args: ServeArgs) -> Result<(), Failure> {
    let mut config = Config::load(&args.location)?;
    if let Some(address) = args.region_listen {
        config.region_listen = address;
    }
    if let Some(address) = args.rack_listen {
        config.rack_listen = address;
    }
    log::install(&config.log, config.log_format);
    let server = Server::start(config).await?;
    tracing::info!(region = %server.region_address(), rack = %server.rack_address(), "serving");
    signals::shutdown_requested().await;
    tracing::info!("shutting down");
    server.shutdown().await;
    Ok(())
}
