//! `maas-server dhcp-config`: the configuration's subnets for an operator's own DHCP server.

use std::path::Path;

use maas_core::dhcp::{dnsmasq, isc, kea};

use super::{Failure, say};
use crate::cli::{DhcpConfigArgs, DhcpServer};
use crate::config::Config;
use crate::data_dir;
use crate::rack::dhcp::settings;
use crate::rack::loaders::Loaders;

pub(super) fn run(args: &DhcpConfigArgs) -> Result<(), Failure> {
    let config = Config::load(&args.location)?;
    let mut plan = settings::plan(&config.dhcp_subnets, config.rack_listen.port())?;
    let images = data_dir::image_dir(&config.data_dir);
    plan.loaders = Loaders::new(&images, config.bootloader_dir.as_deref()).usable();
    let text = match args.server {
        DhcpServer::Dnsmasq => dnsmasq::render(&plan, Path::new("/var/lib/misc/dnsmasq.leases"))?,
        DhcpServer::Isc => isc::render(&plan)?,
        DhcpServer::Kea => kea::render(&plan)?,
    };
    say(text.trim_end())
}
