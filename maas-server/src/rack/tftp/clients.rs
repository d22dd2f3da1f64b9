//! Who is being served, and how many may be.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

/// The transfers under way.
#[derive(Debug)]
pub(super) struct Clients {
    most: usize,
    most_of_one: usize,
    busy: Mutex<Busy>,
}

#[derive(Debug, Default)]
struct Busy {
    sockets: HashSet<SocketAddr>,
    by_address: HashMap<IpAddr, usize>,
}

/// The right to one transfer, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    clients: Arc<Clients>,
    peer: SocketAddr,
}

impl Clients {
    pub(super) fn new(most: usize, most_of_one: usize) -> Self {
        Self { most, most_of_one, busy: Mutex::default() }
    }

    /// Admits a transfer; `None` when this socket has one already, or there are too many.
    pub(super) fn admit(self: &Arc<Self>, peer: SocketAddr) -> Option<Slot> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = busy.by_address.get(&peer.ip()).copied().unwrap_or_default();
        if busy.sockets.contains(&peer) {
            return None;
        }
        if busy.sockets.len() >= self.most || of_one >= self.most_of_one {
            tracing::warn!(%peer, transfers = busy.sockets.len(), "TFTP: too many transfers");
            return None;
        }
        busy.sockets.insert(peer);
        busy.by_address.insert(peer.ip(), of_one + 1);
        Some(Slot { clients: Arc::clone(self), peer })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut busy = self.clients.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.sockets.remove(&self.peer);
        if let Some(count) = busy.by_address.get_mut(&self.peer.ip()) {
            *count -= 1;
            if *count == 0 {
                busy.by_address.remove(&self.peer.ip());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_socket_has_one_transfer_and_an_address_and_all_have_so_many() {
        let clients = Arc::new(Clients::new(3, 2));
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let first = clients.admit(at("10.0.0.1:1")).unwrap();
        assert!(clients.admit(at("10.0.0.1:1")).is_none());
        let _second = clients.admit(at("10.0.0.1:2")).unwrap();
        assert!(clients.admit(at("10.0.0.1:3")).is_none());
        let _third = clients.admit(at("10.0.0.2:1")).unwrap();
        assert!(clients.admit(at("10.0.0.3:1")).is_none());
        drop(first);
        let _again = clients.admit(at("10.0.0.1:1")).unwrap();
    }
}
