//! The addresses that links hold: claimed before a change is stored, given back when it is not or
//! when it no longer needs them.
//!
//! An address is claimed by storing its lease, whose key is the address: of all who want it one
//! gets it. A claim is never shared between two changes of the same node, so that the one that
//! fails takes nothing from the one that succeeds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use maas_core::id::SystemId;
use maas_core::ipam::{AllocType, Holder, Lease, Networks};
use maas_core::machine::interface::{HeldAddress, Interfaces, LinkMode};

use crate::clock;
use crate::devices::Device;
use crate::http::Problem;
use crate::ipam::lease::{free, leases, release_address, release_addresses};
use crate::region::Region;
use crate::store::{DocumentError, MachineFilter, Store, StoreError};

/// After so many addresses were taken by others the list of leases is read again.
const REREAD: usize = 8;

/// A claim that no node knows of is left over from a crash after this many milliseconds.
const LEFT_OVER: i64 = 10 * 60 * 1000;

/// When a client may ask again for an address that was not free.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(5);

/// The claims of one change of one node.
pub(crate) struct Claims<'a> {
    region: &'a Region,
    system_id: SystemId,
    username: &'a str,
    made: BTreeMap<IpAddr, Holder>,
}

impl<'a> Claims<'a> {
    pub(crate) fn new(region: &'a Region, system_id: SystemId, username: &'a str) -> Self {
        Self { region, system_id, username, made: BTreeMap::new() }
    }

    /// Claims what `after` holds and `before` did not, and an address for every link of this mode
    /// that has none yet. When it fails, [`Claims::undo`] gives back what it had got.
    pub(crate) async fn cover(
        &mut self,
        before: &Interfaces,
        after: &mut Interfaces,
        mode: LinkMode,
    ) -> Result<(), Problem> {
        let had = before.held();
        let new: Vec<HeldAddress> =
            after.held().into_values().filter(|held| !had.contains_key(&held.ip)).collect();
        let wanting: Vec<(u64, u64, u64)> = after
            .without_address(mode)
            .map(|(interface, link, subnet)| (interface.id, link.id, subnet))
            .collect();
        if new.is_empty() && wanting.is_empty() {
            return Ok(());
        }
        let store = &*self.region.store;
        let networks = self.region.ipam.networks(store).await.map_err(Problem::internal)?;
        for held in new {
            self.exactly(&networks, held).await?;
        }
        for (interface, link, subnet) in wanting {
            let ip = self.any(&networks, interface, link, subnet, mode).await?;
            after.assign(link, ip);
        }
        Ok(())
    }

    async fn exactly(&mut self, networks: &Networks, held: HeldAddress) -> Result<(), Problem> {
        if let Some(reason) = networks.refuses_address(held.subnet, &held.ip) {
            return Err(Problem::field("ip_address", reason));
        }
        if self.take(held).await? {
            return Ok(());
        }
        Err(Problem::field("ip_address", format!("The IP address {} is already in use.", held.ip)))
    }

    async fn any(
        &mut self,
        networks: &Networks,
        interface: u64,
        link: u64,
        subnet: u64,
        mode: LinkMode,
    ) -> Result<IpAddr, Problem> {
        let mut swept = false;
        loop {
            let all = leases(&*self.region.store).await.map_err(Problem::internal)?;
            let mut leased: BTreeSet<IpAddr> = all.iter().map(|lease| lease.value.ip).collect();
            for _ in 0..REREAD {
                match networks.free_address(subnet, &leased) {
                    Some(ip) => {
                        let held = HeldAddress { ip, subnet, interface, link, mode };
                        if self.take(held).await? {
                            return Ok(ip);
                        }
                        leased.insert(ip);
                    }
                    // What a crash left over may be all that is missing.
                    None if !swept => {
                        swept = true;
                        sweep(self.region).await.map_err(Problem::internal)?;
                        break;
                    }
                    None => return Err(none_left(networks, subnet)),
                }
            }
        }
    }

    /// Stores the lease; `false` when the address has one.
    async fn take(&mut self, held: HeldAddress) -> Result<bool, Problem> {
        let holder = holder(&self.system_id, &held);
        let lease = Lease {
            ip: held.ip,
            subnet_id: held.subnet,
            alloc_type: match held.mode {
                LinkMode::Auto => AllocType::Auto,
                _ => AllocType::Sticky,
            },
            holder: holder.clone(),
            user: Some(self.username.to_owned()),
            created: clock::now(),
        };
        match self.region.store.insert(lease).await {
            Ok(stored) => {
                // Who reserves an address looks at the leases after it is written down, and so
                // this looks at the reservations after the lease is: one of two sees the other.
                let store = &*self.region.store;
                let networks = self.region.ipam.networks(store).await.map_err(Problem::internal)?;
                if networks.refuses_address(held.subnet, &held.ip).is_some() {
                    free(store, &stored).await.map_err(Problem::internal)?;
                    return Ok(false);
                }
                self.made.insert(held.ip, holder);
                Ok(true)
            }
            Err(DocumentError::DuplicateKey { .. }) => Ok(false),
            Err(error) => Err(Problem::internal(error)),
        }
    }

    /// Gives back everything that was claimed.
    pub(crate) async fn undo(self) {
        for (ip, holder) in self.made {
            release_one(&*self.region.store, ip, &holder).await;
        }
    }
}

fn none_left(networks: &Networks, subnet: u64) -> Problem {
    let cidr = networks
        .subnets()
        .get(subnet)
        .map_or_else(|| subnet.to_string(), |subnet| subnet.cidr.to_string());
    Problem::Unavailable {
        text: format!("No more IPs available in subnet: {cidr}."),
        retry_after: RETRY_AFTER,
    }
}

fn holder(system_id: &SystemId, held: &HeldAddress) -> Holder {
    Holder::Link { system_id: system_id.clone(), interface: held.interface, link: held.link }
}

/// Gives back what a node held before a change and no longer holds after it.
pub(crate) async fn give_back(
    store: &dyn Store,
    system_id: &SystemId,
    before: &Interfaces,
    after: &Interfaces,
) {
    let has = after.held();
    for held in before.held().values().filter(|held| !has.contains_key(&held.ip)) {
        release_one(store, held.ip, &holder(system_id, held)).await;
    }
}

/// Gives back everything that a node held: it was deleted.
pub(crate) async fn release_all(region: &Region, system_id: &SystemId) {
    if let Err(error) = release_addresses(&*region.store, system_id, |_| true).await {
        tracing::warn!(%system_id, error = %error, "addresses not given back; the next sweep will");
    }
}

async fn release_one(store: &dyn Store, ip: IpAddr, holder: &Holder) {
    // The change itself is stored already, or was refused: this is no reason to fail it.
    if let Err(error) = release_address(store, &ip, holder).await {
        tracing::warn!(%ip, error = %error, "address not given back; the next sweep will");
    }
}

/// Frees addresses whose node does not have them, or is gone: a crash between a claim and its
/// change, or between a change and the giving back, leaves such. Returns how many.
///
/// # Errors
///
/// [`StoreError`] when the database fails.
pub(crate) async fn sweep(region: &Region) -> Result<usize, StoreError> {
    let store = &*region.store;
    let before = clock::now().0.saturating_sub(LEFT_OVER);
    let mut old = leases(store).await?;
    old.retain(|lease| lease.value.created.0 < before && lease.value.holder.system_id().is_some());
    if old.is_empty() {
        return Ok(0);
    }
    let mut held: BTreeMap<SystemId, BTreeSet<IpAddr>> = BTreeMap::new();
    for machine in store.machines(&MachineFilter::all()).await? {
        held.insert(machine.system_id, machine.interfaces.held().into_keys().collect());
    }
    for device in store.list::<Device>().await? {
        held.insert(device.value.system_id, device.value.interfaces.held().into_keys().collect());
    }
    let mut freed = 0;
    for lease in old {
        let known = lease.value.holder.system_id().and_then(|id| held.get(id));
        if known.is_none_or(|ips| !ips.contains(&lease.value.ip)) && free(store, &lease).await? {
            tracing::info!(ip = %lease.value.ip, "an address that nobody had is free again");
            freed += 1;
        }
    }
    Ok(freed)
}
