//! Giving out addresses: the core chooses, storing claims. An address is the key of its document,
//! so that of all who want it, on any number of servers, exactly one gets it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;

use maas_core::id::SystemId;
use maas_core::ipam::{AllocType, Holder, Lease, Networks};

use crate::clock;
use crate::store::{Document, DocumentError, Store, StoreError, Stored};

/// After so many addresses were taken by others the list of leases is read again.
const REREAD: usize = 8;

impl Document for Lease {
    const KIND: &'static str = "ip-address";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Owned(key(&self.ip)))
    }
}

fn key(address: &IpAddr) -> String {
    address.to_canonical().to_string()
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// From which subnet.
    pub subnet_id: u64,
    /// This very address, or any.
    pub wanted: Option<IpAddr>,
    /// For whom.
    pub holder: Holder,
    /// How it is given.
    pub alloc_type: AllocType,
    /// The user on whose behalf, if any.
    pub user: Option<String>,
}

/// Why no address was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// All of the subnet is kept or given out.
    #[error("there are no free addresses in subnet {subnet}")]
    NoFreeAddress {
        /// The subnet's name.
        subnet: String,
    },
    /// The address that was asked for has a holder.
    #[error("the IP address {ip} is already in use")]
    InUse {
        /// The address.
        ip: IpAddr,
    },
    /// The address that was asked for cannot be given from the subnet.
    #[error("{reason}")]
    Refused {
        /// Why, in a sentence.
        reason: String,
    },
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// The database does not take the document.
    #[error("the address cannot be stored")]
    Document(#[source] DocumentError),
}

/// Claims an address of a subnet. What the same holder has already is given again, so that a step
/// that is repeated after a crash changes nothing.
///
/// # Errors
///
/// [`ClaimError`]; nothing is held then.
pub async fn claim_address(
    store: &dyn Store,
    networks: &Networks,
    claim: Claim,
) -> Result<Stored<Lease>, ClaimError> {
    give(store, networks, claim, Repeated::GivesTheSame).await
}

/// Claims an address that is new to the holder: two reservations of one user are two.
///
/// # Errors
///
/// [`ClaimError`]; nothing new is held then.
pub async fn claim_new(
    store: &dyn Store,
    networks: &Networks,
    claim: Claim,
) -> Result<Stored<Lease>, ClaimError> {
    give(store, networks, claim, Repeated::GivesAnother).await
}

/// What asking twice for one holder means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeated {
    GivesTheSame,
    GivesAnother,
}

async fn give(
    store: &dyn Store,
    networks: &Networks,
    claim: Claim,
    repeated: Repeated,
) -> Result<Stored<Lease>, ClaimError> {
    let had = |lease: &Lease| repeated == Repeated::GivesTheSame && lease.holder == claim.holder;
    if let Some(wanted) = claim.wanted {
        let wanted = wanted.to_canonical();
        if let Some(reason) = networks.refuses_address(claim.subnet_id, &wanted) {
            return Err(ClaimError::Refused { reason });
        }
        return match take(store, &claim, wanted).await? {
            Some(lease) => Ok(lease),
            None => match store.by_key::<Lease>(&key(&wanted)).await? {
                Some(lease) if had(&lease.value) => Ok(lease),
                _ => Err(ClaimError::InUse { ip: wanted }),
            },
        };
    }
    loop {
        let mut leased = BTreeSet::new();
        for lease in leases(store).await? {
            if had(&lease.value) && lease.value.subnet_id == claim.subnet_id {
                return Ok(lease);
            }
            leased.insert(lease.value.ip);
        }
        for _ in 0..REREAD {
            let Some(address) = networks.free_address(claim.subnet_id, &leased) else {
                let subnet = networks
                    .subnets()
                    .get(claim.subnet_id)
                    .map_or_else(|| claim.subnet_id.to_string(), |subnet| subnet.name.clone());
                return Err(ClaimError::NoFreeAddress { subnet });
            };
            match take(store, &claim, address).await? {
                Some(lease) => return Ok(lease),
                // Somebody else was faster.
                None => leased.insert(address),
            };
        }
    }
}

/// Stores the lease; `None` when the address has one.
async fn take(
    store: &dyn Store,
    claim: &Claim,
    ip: IpAddr,
) -> Result<Option<Stored<Lease>>, ClaimError> {
    let lease = Lease {
        ip,
        subnet_id: claim.subnet_id,
        alloc_type: claim.alloc_type,
        holder: claim.holder.clone(),
        user: claim.user.clone(),
        created: clock::now(),
    };
    match store.insert(lease).await {
        Ok(stored) => Ok(Some(stored)),
        Err(DocumentError::DuplicateKey { .. }) => Ok(None),
        Err(DocumentError::Backend(error)) => Err(error.into()),
        Err(error) => Err(ClaimError::Document(error)),
    }
}

/// All addresses that are given out; one query.
///
/// # Errors
///
/// [`StoreError`] when the database fails.
pub async fn leases(store: &dyn Store) -> Result<Vec<Stored<Lease>>, StoreError> {
    store.list::<Lease>().await
}

/// The lease of an address.
///
/// # Errors
///
/// [`StoreError`] when the database fails.
pub async fn lease_of(
    store: &dyn Store,
    address: &IpAddr,
) -> Result<Option<Stored<Lease>>, StoreError> {
    store.by_key::<Lease>(&key(address)).await
}

/// Frees an address if this holder has it; says whether it did. Two queries, however many
/// addresses are given out.
///
/// # Errors
///
/// [`StoreError`] when the database fails.
pub async fn release_address(
    store: &dyn Store,
    address: &IpAddr,
    holder: &Holder,
) -> Result<bool, StoreError> {
    match lease_of(store, address).await? {
        Some(lease) if lease.value.holder == *holder => free(store, &lease).await,
        _ => Ok(false),
    }
}

/// Frees every address of a machine or device that `which` names; returns them.
///
/// # Errors
///
/// [`StoreError`] when the database fails; some may be freed then, and calling again frees the
/// rest.
pub async fn release_addresses(
    store: &dyn Store,
    system_id: &SystemId,
    which: impl Fn(&Lease) -> bool,
) -> Result<Vec<IpAddr>, StoreError> {
    let mut freed = Vec::new();
    for lease in leases(store).await? {
        if lease.value.holder.system_id() == Some(system_id)
            && which(&lease.value)
            && free(store, &lease).await?
        {
            freed.push(lease.value.ip);
        }
    }
    Ok(freed)
}

/// Frees an address; says whether it was still held.
///
/// # Errors
///
/// [`StoreError`] when the database fails.
pub async fn free(store: &dyn Store, lease: &Stored<Lease>) -> Result<bool, StoreError> {
    match store.remove::<Lease>(lease.id, lease.version).await {
        Ok(()) => Ok(true),
        Err(DocumentError::Backend(error)) => Err(error),
        Err(_) => Ok(false),
    }
}
