#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use maas_core::id::SystemId;
use maas_core::ipam::{AllocType, DEFAULT_VLAN, Fabric, Holder, Networks, Refusal, Subnet};
use tokio::task::JoinSet;

use super::*;
use crate::store::{MemoryStore, SqlStore};

fn holder(number: u64) -> Holder {
    Holder::Link { system_id: SystemId::from_entropy(number), interface: 1, link: number }
}

fn claim(subnet_id: u64, number: u64) -> Claim {
    Claim {
        subnet_id,
        wanted: None,
        holder: holder(number),
        alloc_type: AllocType::Auto,
        user: None,
    }
}

async fn stores() -> (tempfile::TempDir, Vec<Arc<dyn Store>>) {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = SqlStore::sqlite(&directory.path().join("maas.db")).await.unwrap();
    (directory, vec![Arc::new(MemoryStore::new()), Arc::new(sqlite)])
}

#[derive(Debug)]
struct Failed;

impl From<EditError> for Failed {
    fn from(error: EditError) -> Self {
        panic!("{error:?}")
    }
}

impl From<Refusal> for Failed {
    fn from(_: Refusal) -> Self {
        Self
    }
}

async fn with_subnet(store: &dyn Store, cidr: &str) -> (u64, Arc<Networks>) {
    let subnet = Subnet {
        gateway_ip: Some(cidr.parse::<ipnet::IpNet>().unwrap().hosts().next().unwrap()),
        ..Subnet::new(cidr.parse().unwrap(), DEFAULT_VLAN)
    };
    Ipam::default()
        .edit(store, |networks| Ok::<_, Failed>(networks.add_subnet(subnet.clone())?))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_claimers_of_a_small_subnet_each_gets_an_address_of_its_own_or_none() {
    let (_directory, stores) = stores().await;
    for store in stores {
        let (subnet, networks) = with_subnet(&*store, "10.0.0.0/26").await;
        let mut tasks = JoinSet::new();
        for number in 0..64 {
            let (store, networks) = (Arc::clone(&store), Arc::clone(&networks));
            tasks.spawn(
                async move { claim_address(&*store, &networks, claim(subnet, number)).await },
            );
        }
        let (won, lost): (Vec<_>, Vec<_>) =
            tasks.join_all().await.into_iter().partition(Result::is_ok);
        // 62 hosts, one of them the gateway.
        assert_eq!((won.len(), lost.len()), (61, 3));
        let addresses: BTreeSet<IpAddr> =
            won.into_iter().map(|lease| lease.unwrap().value.ip).collect();
        assert_eq!(addresses.len(), 61, "no address twice");
        assert!(!addresses.contains(&"10.0.0.1".parse().unwrap()), "the gateway");
        for error in lost {
            let text = error.unwrap_err().to_string();
            assert!(text.contains("no free addresses"), "{text}");
        }
        assert_eq!(leases(&*store).await.unwrap().len(), 61);

        let freed = release_addresses(&*store, &SystemId::from_entropy(5), |_| true).await.unwrap();
        let again = claim_address(&*store, &networks, claim(subnet, 99)).await;
        assert!(freed.is_empty() || freed == [again.unwrap().value.ip]);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_holder_gets_again_what_it_has_and_nobody_else_does() {
    let (_directory, stores) = stores().await;
    for store in stores {
        let (subnet, networks) = with_subnet(&*store, "10.0.0.0/24").await;
        let first = claim_address(&*store, &networks, claim(subnet, 1)).await.unwrap();
        assert_eq!(first.value.ip, "10.0.0.2".parse::<IpAddr>().unwrap());
        let again = claim_address(&*store, &networks, claim(subnet, 1)).await.unwrap();
        assert_eq!(first, again);

        let wanted = |number, address: &str| Claim {
            wanted: Some(address.parse().unwrap()),
            alloc_type: AllocType::Sticky,
            ..claim(subnet, number)
        };
        let refused = claim_address(&*store, &networks, wanted(2, "10.0.0.2")).await.unwrap_err();
        assert!(matches!(refused, ClaimError::InUse { .. }), "{refused}");
        let refused = claim_address(&*store, &networks, wanted(2, "10.0.0.1")).await.unwrap_err();
        assert!(matches!(refused, ClaimError::Refused { .. }), "{refused}");
        claim_address(&*store, &networks, wanted(2, "10.0.0.9")).await.unwrap();
        claim_address(&*store, &networks, wanted(2, "10.0.0.9")).await.unwrap();

        let address = first.value.ip;
        assert!(!release_address(&*store, &address, &holder(2)).await.unwrap(), "not its own");
        assert!(release_address(&*store, &address, &holder(1)).await.unwrap());
        assert!(!release_address(&*store, &address, &holder(1)).await.unwrap());
        let next = claim_address(&*store, &networks, claim(subnet, 3)).await.unwrap();
        assert_eq!(next.value.ip, address, "a freed address is given again");
        let two = SystemId::from_entropy(2);
        let only_auto = |lease: &maas_core::ipam::Lease| lease.alloc_type == AllocType::Auto;
        assert!(release_addresses(&*store, &two, only_auto).await.unwrap().is_empty());
        assert_eq!(release_addresses(&*store, &two, |_| true).await.unwrap().len(), 1);
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_edits_at_once_none_is_lost_and_each_server_sees_all() {
    let (_directory, stores) = stores().await;
    for store in stores {
        let (one, other) = (Arc::new(Ipam::default()), Ipam::default());
        assert_eq!(*other.networks(&*store).await.unwrap(), Networks::default());
        let mut tasks = JoinSet::new();
        for number in 0..12 {
            let (store, ipam) = (Arc::clone(&store), Arc::clone(&one));
            tasks.spawn(async move {
                let name = format!("fabric of {}", number % 11);
                ipam.edit(&*store, |networks| {
                    Ok::<_, Failed>(networks.add_fabric(Fabric::new(&name))?)
                })
                .await
                .map(drop)
            });
        }
        let results = tasks.join_all().await;
        let refused = results.iter().filter(|result| result.is_err()).count();
        assert_eq!(refused, 1, "two asked for the same name");
        let networks = other.networks(&*store).await.unwrap();
        assert_eq!(networks.fabrics().len(), 12);
        assert!(Arc::ptr_eq(&networks, &other.networks(&*store).await.unwrap()), "parsed once");
        store.close().await.unwrap();
    }
}
