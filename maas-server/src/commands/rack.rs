//! `maas-server rack`: a rack on another host than the region's, and the token that lets it in.

use std::sync::Arc;

use maas_core::dhcp::DhcpPlan;
use maas_core::secret::Secret;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Failure, say};
use crate::cli::{RackArgs, RackTokenArgs};
use crate::config::{Config, LogFormat};
use crate::http::{Listener, ServeOptions};
use crate::rack::dhcp::{Dhcp, follow};
use crate::rack::remote::{RackSettings, RemoteRack};
use crate::rack::tftp::{TftpLimits, TftpServer};
use crate::rack::{enrolment, reports};
use crate::signals::Shutdown;
use crate::{data_dir, log};

pub(super) async fn run(args: RackArgs) -> Result<(), Failure> {
    log::install(&args.log, LogFormat::Text)?;
    let token = std::fs::read_to_string(&args.token_file)
        .map_err(|error| format!("token file {}: {error}", args.token_file.display()))?;
    data_dir::prepare(&args.data_dir)?;
    let lock = data_dir::lock(&args.data_dir)?;
    let shutdown = Shutdown::listen();
    let listener = Listener::bind(args.listen).await?;
    let address = listener.address();
    let dhcp_dir = args.data_dir.join("dhcp");
    let settings = RackSettings {
        region: args.region,
        token: Secret::new(token.trim().to_owned()),
        data_dir: args.data_dir,
        cache_limit: args.cache_gib << 30,
    };
    let rack = Arc::new(RemoteRack::open(&settings, address.port())?);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    if let Some(tftp) = args.tftp_listen {
        let tftp = TftpServer::bind(tftp).await?;
        tracing::info!(address = %tftp.address(), "TFTP");
        tasks.spawn(tftp.serve(Arc::clone(&rack) as _, TftpLimits::default(), stop.clone()));
    }
    tasks.spawn(listener.serve(Arc::clone(&rack), ServeOptions::default(), stop.clone()));
    if args.dhcp {
        let (sender, plan) = watch::channel(DhcpPlan::new(Vec::new()));
        sender.send_modify(|plan| plan.rack_port = address.port());
        let dhcp = Dhcp::prepare(dhcp_dir, plan, Arc::clone(&rack) as _).await?;
        let offered = rack.dhcp_offers();
        tasks.spawn(follow::plan_for_this_host(Vec::new(), offered, sender, stop.clone()));
        tasks.spawn(reports::leases(dhcp.leases(), Arc::clone(&rack) as _, stop.clone()));
        tasks.spawn(dhcp.run(stop.clone()));
    }
    tasks.spawn(Arc::clone(&rack).deliver(stop.clone()));
    tasks.spawn(rack.follow(stop.clone()));
    tracing::info!(rack = %address, region = %settings.region, "serving");
    shutdown.requested().await;
    stop.cancel();
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task ended badly");
        }
    }
    drop(lock);
    Ok(())
}

pub(super) async fn token(args: RackTokenArgs) -> Result<(), Failure> {
    let store = data_dir::open_existing_store(&Config::load(&args.location)?).await?;
    let token = enrolment::enrol(&*store, &args.name).await;
    store.close().await?;
    say(token?.expose())
}
