//! DHCP as the API's networks say it: what is offered follows VLANs, subnets, ranges and addresses.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use maas_core::dhcp::{Card, DhcpPlan, Offer, OfferDefaults, Subnet, offers, place};
use maas_core::ipam::Networks;
use maas_core::machine::Event;
use maas_core::machine::interface::Interfaces;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::host;
use crate::devices::Device;
use crate::region::{ApplyError, Extras, Region};
use crate::store::{MachineFilter, StoreError};

/// How often is looked whether something has changed.
const LOOK: Duration = Duration::from_secs(1);

/// How often it is worked out anew without a sign of change: another region may share the
/// database.
const ANYWAY: Duration = Duration::from_secs(30);

/// Works out what DHCP is to serve whenever the networks or the machines change, until `stop`.
pub async fn follow(
    region: Arc<Region>,
    offered: watch::Sender<Arc<Vec<Offer>>>,
    stop: CancellationToken,
) {
    let mut bell = region.bell();
    let mut known: Option<Arc<Networks>> = None;
    let mut looked = Instant::now();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        let networks = match region.ipam.networks(&*region.store).await {
            Ok(networks) => networks,
            Err(error) => {
                tracing::debug!(error = crate::with_causes(&error), "DHCP: no networks");
                continue;
            }
        };
        let same = known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &networks));
        if same && !bell.has_changed().unwrap_or(false) && looked.elapsed() < ANYWAY {
            continue;
        }
        bell.borrow_and_update();
        looked = Instant::now();
        match current(&region, &networks).await {
            Ok(now) => {
                known = Some(networks);
                offered.send_if_modified(|offers| {
                    let changed = **offers != now;
                    *offers = Arc::new(now);
                    changed
                });
            }
            Err(error) => {
                tracing::warn!(error = crate::with_causes(&error), "DHCP: machines unknown");
            }
        }
    }
}

async fn current(region: &Region, networks: &Networks) -> Result<Vec<Offer>, StoreError> {
    if networks.vlans().iter().all(|(_, vlan)| !vlan.dhcp_on) {
        return Ok(Vec::new());
    }
    let mut cards = Vec::new();
    for machine in region.store.machines(&MachineFilter::all()).await? {
        add_cards(&mut cards, &machine.hostname, &machine.interfaces);
    }
    for device in region.store.list::<Device>().await? {
        add_cards(&mut cards, &device.value.hostname, &device.value.interfaces);
    }
    let settings = region.settings();
    let defaults = OfferDefaults {
        dns_servers: addresses(&settings.text("upstream_dns")),
        ntp_servers: addresses(&settings.text("ntp_servers")),
        domain: networks.default_domain_name().to_owned(),
    };
    Ok(offers(networks, &cards, &defaults))
}

fn add_cards(cards: &mut Vec<Card>, hostname: &str, interfaces: &Interfaces) {
    for (interface, link) in interfaces.links() {
        if let (Some(address), Some(mac)) = (link.ip, interfaces.mac_of(interface)) {
            cards.push(Card { mac: mac.to_string(), address, hostname: hostname.to_owned() });
        }
    }
}

/// The IPv4 addresses of a list; names are for others than DHCP.
fn addresses(text: &str) -> Vec<Ipv4Addr> {
    text.split([',', ' ']).filter_map(|word| word.trim().parse().ok()).collect()
}

/// Makes a plan of what is offered and of the subnets that are configured by hand, which come
/// first, until `stop` or until nobody wants it any more.
pub async fn plan_for_this_host(
    configured: Vec<Subnet>,
    mut offered: watch::Receiver<Arc<Vec<Offer>>>,
    plan: watch::Sender<DhcpPlan>,
    stop: CancellationToken,
) {
    let mut told = Vec::new();
    loop {
        let offers = Arc::clone(&offered.borrow_and_update());
        let (placed, unplaced) = place(&offers, &host::connected());
        if unplaced != told {
            for one in &unplaced {
                tracing::warn!("DHCP: {one}");
            }
            told = unplaced;
        }
        let mut subnets = configured.clone();
        let apart = |one: &Subnet, other: &Subnet| {
            !one.cidr.contains(&other.cidr) && !other.cidr.contains(&one.cidr)
        };
        let new = placed.into_iter().filter(|one| configured.iter().all(|it| apart(one, it)));
        subnets.extend(new);
        plan.send_if_modified(|plan| {
            let changed = plan.subnets != subnets;
            plan.subnets = subnets;
            changed
        });
        tokio::select! {
            () = stop.cancelled() => return,
            () = plan.closed() => return,
            changed = offered.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            // Addresses of this host come and go too.
            () = tokio::time::sleep(ANYWAY) => {}
        }
    }
}

/// The most machines whose histories a refusal is written into.
const MOST_TOLD: usize = 500;

/// Writes into the history of every machine with a card on a VLAN whose DHCP is switched on that
/// a change was refused.
///
/// # Errors
///
/// The database's failure.
pub async fn tell_machines(region: &Region, reason: &str) -> Result<(), ApplyError> {
    let networks = region.ipam.networks(&*region.store).await?;
    let is_served = |vlan: Option<u64>| {
        let vlan = vlan.and_then(|vlan| networks.vlans().get(vlan));
        vlan.is_some_and(|vlan| vlan.dhcp_on || vlan.relay_vlan.is_some())
    };
    let machines = region.store.machines(&MachineFilter::all()).await?;
    let told = machines
        .into_iter()
        .filter(|machine| machine.interfaces.iter().any(|card| is_served(card.vlan)))
        .take(MOST_TOLD);
    let event = Event::DhcpRefused { reason: reason.to_owned() };
    for machine in told {
        match region.apply(&machine.system_id, &event, Extras::default()).await {
            Ok(_) | Err(ApplyError::NotFound(_) | ApplyError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
