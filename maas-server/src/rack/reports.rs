//! What a rack sees of machines and the region has to know: leases, netboots, ephemeral systems
//! that are loaded.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use maas_core::boot::{BootRequest, Client, FetchedOver};
use maas_core::dhcp::{Lease, LeaseChange, lease_changes};
use maas_core::machine::{Event, Machine};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::region::{ApplyError, Extras, Region};
use crate::store::StoreError;

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RackReport {
    /// DHCP gave an address, or gives it on.
    Leased {
        /// The card.
        mac: String,
        /// The address.
        address: IpAddr,
    },
    /// An address is free again.
    LeaseEnded {
        /// The card.
        mac: String,
        /// The address.
        address: IpAddr,
    },
    /// A boot loader was given a configuration that the region had made before.
    Netbooted {
        /// The path that it asked for.
        path: String,
        /// The address by which it reached the rack.
        reached: SocketAddr,
    },
    /// The squashfs of the ephemeral system was fetched.
    EphemeralFetched {
        /// The card that asked.
        mac: String,
    },
}

/// Who takes reports.
pub trait Reported: Send + Sync {
    /// Takes one; whatever becomes of it, the reporter goes on.
    fn report(&self, report: RackReport) -> BoxFuture<'_, ()>;
}

impl Reported for Region {
    fn report(&self, report: RackReport) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(error) = take(self, &report).await {
                let error = crate::with_causes(&error);
                tracing::warn!(?report, error, "a rack's report is lost");
            }
        })
    }
}

/// Takes a report into the machine that it is about. One about no machine that is known, or that
/// its lifecycle does not want, is done with.
///
/// # Errors
///
/// The database's failure: the report can be made again.
pub(super) async fn take(region: &Region, report: &RackReport) -> Result<(), ApplyError> {
    let by_mac = |mac| region.store.machine_by_mac(mac);
    let (machine, event) = match report {
        RackReport::Leased { mac, address } => {
            let event = Event::AddressLeased { mac: mac.clone(), address: *address };
            (by_mac(mac).await?, event)
        }
        RackReport::LeaseEnded { mac, address } => {
            let event = Event::LeaseEnded { mac: mac.clone(), address: *address };
            (by_mac(mac).await?, event)
        }
        RackReport::EphemeralFetched { mac } => (by_mac(mac).await?, Event::EphemeralFetched),
        RackReport::Netbooted { path, reached } => {
            let Some((machine, event)) = netbooted(region, path, reached.ip()).await? else {
                return Ok(());
            };
            (Some(machine), event)
        }
    };
    let Some(machine) = machine else { return Ok(()) };
    match region.apply(&machine.system_id, &event, Extras::default()).await {
        Ok(_) | Err(ApplyError::Refused(_) | ApplyError::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn netbooted(
    region: &Region,
    path: &str,
    reached: IpAddr,
) -> Result<Option<(Arc<Machine>, Event)>, StoreError> {
    let Ok(BootRequest::Config { loader, client }) = BootRequest::parse(path) else {
        return Ok(None);
    };
    let (machine, mac) = match &client {
        Client::Mac(mac) => (region.store.machine_by_mac(mac).await?, Some(mac.clone())),
        Client::Uuid(uuid) => (region.store.machine_by_uuid(uuid).await?, None),
        _ => (None, None),
    };
    Ok(machine.map(|machine| {
        let boot_method = loader.boot_method(machine.architecture.arch == "ppc64el").to_owned();
        let rack = reached.to_canonical().to_string();
        (machine, Event::BootRequested { boot_method, mac, rack })
    }))
}

/// Reports leases as they come and go, until `stop` or the end of DHCP.
pub async fn leases(
    mut leases: watch::Receiver<Vec<Lease>>,
    to: std::sync::Arc<dyn Reported>,
    stop: CancellationToken,
) {
    let mut before: Vec<Lease> = Vec::new();
    loop {
        let now = leases.borrow_and_update().clone();
        for change in of_addresses(&before, &now) {
            to.report(change).await;
        }
        before = now;
        tokio::select! {
            () = stop.cancelled() => return,
            changed = leases.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// Changes of who has which address; a lease that was only made longer is none.
fn of_addresses(before: &[Lease], now: &[Lease]) -> Vec<RackReport> {
    let bare = |leases: &[Lease]| -> Vec<Lease> {
        let leases = leases.iter().cloned();
        leases.map(|lease| Lease { expires: None, hostname: None, ..lease }).collect()
    };
    let reports = lease_changes(&bare(before), &bare(now)).into_iter();
    reports
        .filter_map(|change| match change {
            LeaseChange::Commit(Lease { mac, address, .. }) => {
                Some(RackReport::Leased { mac, address: address.into() })
            }
            LeaseChange::Release(Lease { mac, address, .. }) => {
                Some(RackReport::LeaseEnded { mac, address: address.into() })
            }
            _ => None,
        })
        .collect()
}

/// What the fetch of a file tells of the machine that fetches it: who asks for all of a squashfs
/// loads its ephemeral system.
#[must_use]
pub fn fetch(
    path: &str,
    method: &http::Method,
    headers: &http::HeaderMap,
    peer: Option<SocketAddr>,
) -> Option<RackReport> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_whole = *method == http::Method::GET && !headers.contains_key(http::header::RANGE);
    if !is_whole || !name.contains("squashfs") {
        return None;
    }
    let table = std::fs::read_to_string("/proc/net/arp").ok()?;
    Some(RackReport::EphemeralFetched { mac: neighbour(&table, peer?.ip().to_canonical())? })
}

/// The MAC address of an IPv4 neighbour (`/proc/net/arp`, proc(5)).
fn neighbour(table: &str, address: IpAddr) -> Option<String> {
    let address = address.to_string();
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        if words.next()? != address {
            return None;
        }
        let mac = maas_core::machine::normal_mac(words.nth(2)?)?;
        (mac != "00:00:00:00:00:00").then_some(mac)
    })
}

/// How a loader fetches, as a rack and its region write it.
#[must_use]
pub const fn over_word(over: FetchedOver) -> &'static str {
    match over {
        FetchedOver::Tftp => "tftp",
        FetchedOver::Http => "http",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::{HeaderMap, Method, header};

    use super::*;

    const ARP: &str = "IP address       HW type     Flags       HW address            Mask     Device\n\
        10.0.0.5         0x1         0x2         52:54:00:AA:00:01     *        eth1\n\
        10.0.0.6         0x1         0x0         00:00:00:00:00:00     *        eth1\n";

    #[test]
    fn a_neighbour_is_found_by_its_address() {
        let at = |text: &str| neighbour(ARP, text.parse().unwrap());
        assert_eq!(at("10.0.0.5").as_deref(), Some("52:54:00:aa:00:01"));
        assert_eq!(at("10.0.0.6"), None, "who did not answer is nobody");
        assert_eq!(at("10.0.0.50"), None);
    }

    #[test]
    fn only_a_whole_squashfs_is_a_system_that_is_loaded() {
        let path = "/images/0123456/ubuntu/amd64/generic/noble/stable/squashfs";
        let peer = Some("127.0.0.1:1".parse().unwrap());
        let mut part = HeaderMap::new();
        part.insert(header::RANGE, "bytes=1-".parse().unwrap());
        for (path, method, headers) in [
            (path, Method::HEAD, HeaderMap::new()),
            (path, Method::GET, part),
            ("/images/0123456/ubuntu/boot-kernel", Method::GET, HeaderMap::new()),
            // This host is no neighbour of its own.
            (path, Method::GET, HeaderMap::new()),
        ] {
            assert_eq!(fetch(path, &method, &headers, peer), None, "{method} {path}");
        }
    }

    #[test]
    fn a_lease_that_is_made_longer_is_not_reported_again() {
        let lease = |last, expires| Lease {
            address: [10, 0, 0, last].into(),
            mac: "52:54:00:00:00:01".to_owned(),
            hostname: None,
            expires: Some(expires),
        };
        assert_eq!(of_addresses(&[lease(5, 1)], &[lease(5, 2)]), []);
        assert_eq!(of_addresses(&[lease(5, 1)], &[lease(6, 2)]).len(), 2);
    }

    #[test]
    fn reports_are_read_back_as_they_were_written() {
        let reports = [
            RackReport::Leased { mac: "a".to_owned(), address: [10, 0, 0, 1].into() },
            RackReport::LeaseEnded { mac: "a".to_owned(), address: [10, 0, 0, 1].into() },
            RackReport::Netbooted {
                path: "ipxe.cfg-52:54:00:00:00:01".to_owned(),
                reached: "10.0.0.1:5248".parse().unwrap(),
            },
            RackReport::EphemeralFetched { mac: "a".to_owned() },
        ];
        for report in reports {
            let text = serde_json::to_string(&report).unwrap();
            assert_eq!(serde_json::from_str::<RackReport>(&text).unwrap(), report, "{text}");
        }
    }
}
