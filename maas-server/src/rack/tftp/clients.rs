//! Who is being served, and how many may be.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use maas_core::tftp::ReadRequest;
use tokio_util::sync::CancellationToken;

/// The transfers under way.
#[derive(Debug)]
pub(super) struct Clients {
    most: usize,
    most_of_one: usize,
    stop: CancellationToken,
    busy: Mutex<Busy>,
}

#[derive(Debug, Default)]
struct Busy {
    transfers: HashMap<SocketAddr, Arc<Transfer>>,
    by_address: HashMap<IpAddr, usize>,
}

/// What is known of a transfer while it runs.
#[derive(Debug)]
struct Transfer {
    request: ReadRequest,
    over: CancellationToken,
    /// The client answered before, and does not any more.
    silent: AtomicBool,
}

/// The right to one transfer, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    clients: Arc<Clients>,
    peer: SocketAddr,
    transfer: Arc<Transfer>,
}

impl Clients {
    /// At most so many transfers, all over when `stop` is cancelled.
    pub(super) fn new(most: usize, most_of_one: usize, stop: CancellationToken) -> Self {
        Self { most, most_of_one, stop, busy: Mutex::default() }
    }

    /// Admits a transfer; `None` when its client has one already, or there are too many.
    ///
    /// Firmware that starts anew uses the same port again: a transfer to it that it wants no more
    /// is then over.
    pub(super) fn admit(self: &Arc<Self>, peer: SocketAddr, request: &ReadRequest) -> Option<Slot> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = busy.transfers.get(&peer) {
            if !old.gives_way_to(request) {
                return None;
            }
            tracing::debug!(%peer, path = ?old.request.path, "TFTP: the client asks anew");
            old.over.cancel();
            busy.remove(peer);
        }
        let of_one = busy.by_address.get(&peer.ip()).copied().unwrap_or_default();
        if busy.transfers.len() >= self.most || of_one >= self.most_of_one {
            tracing::warn!(%peer, transfers = busy.transfers.len(), "TFTP: too many transfers");
            return None;
        }
        let transfer = Arc::new(Transfer {
            request: request.clone(),
            over: self.stop.child_token(),
            silent: AtomicBool::new(false),
        });
        busy.transfers.insert(peer, Arc::clone(&transfer));
        busy.by_address.insert(peer.ip(), of_one + 1);
        Some(Slot { clients: Arc::clone(self), peer, transfer })
    }
}

impl Busy {
    fn remove(&mut self, peer: SocketAddr) {
        self.transfers.remove(&peer);
        if let Some(count) = self.by_address.get_mut(&peer.ip()) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&peer.ip());
            }
        }
    }
}

impl Transfer {
    /// The same request again is a repetition by a client that has not seen the first packet yet,
    /// unless it had seen packets before and fell silent.
    fn gives_way_to(&self, request: &ReadRequest) -> bool {
        self.request != *request || self.silent.load(Ordering::Relaxed)
    }
}

impl Slot {
    /// Cancelled when the transfer is to end: the server stops, or the client asks anew.
    pub(super) fn over(&self) -> &CancellationToken {
        &self.transfer.over
    }

    /// Notes whether the client answers.
    pub(super) fn note(&self, hearing: Hearing) {
        self.transfer.silent.store(hearing == Hearing::FellSilent, Ordering::Relaxed);
    }
}

/// Whether a client answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hearing {
    /// It answered the last packet, or has not answered any yet.
    Answers,
    /// It answered packets, but not the last one.
    FellSilent,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut busy = self.clients.busy.lock().unwrap_or_else(PoisonError::into_inner);
        // Another transfer of this client may have its place.
        if busy.transfers.get(&self.peer).is_some_and(|own| Arc::ptr_eq(own, &self.transfer)) {
            busy.remove(self.peer);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use maas_core::tftp::Mode;

    use super::*;

    fn clients() -> Arc<Clients> {
        Arc::new(Clients::new(3, 2, CancellationToken::new()))
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn request(path: &str) -> ReadRequest {
        ReadRequest { path: path.to_owned(), mode: Mode::Octet, options: Default::default() }
    }

    #[test]
    fn an_address_and_all_together_have_so_many_transfers() {
        let clients = clients();
        let file = request("file");
        let first = clients.admit(at("10.0.0.1:1"), &file).unwrap();
        let _second = clients.admit(at("10.0.0.1:2"), &file).unwrap();
        assert!(clients.admit(at("10.0.0.1:3"), &file).is_none());
        let _third = clients.admit(at("10.0.0.2:1"), &file).unwrap();
        assert!(clients.admit(at("10.0.0.3:1"), &file).is_none());
        drop(first);
        let _again = clients.admit(at("10.0.0.1:1"), &file).unwrap();
    }

    #[test]
    fn a_request_is_repeated_until_it_is_answered_and_new_when_the_client_fell_silent() {
        let clients = clients();
        let peer = at("10.0.0.1:1");
        let first = clients.admit(peer, &request("file")).unwrap();
        assert!(clients.admit(peer, &request("file")).is_none());
        first.note(Hearing::FellSilent);
        let second = clients.admit(peer, &request("file")).unwrap();
        assert!(first.over().is_cancelled() && !second.over().is_cancelled());
        drop(first);
        assert!(clients.admit(peer, &request("file")).is_none(), "the second has the place");
        second.note(Hearing::FellSilent);
        second.note(Hearing::Answers);
        assert!(clients.admit(peer, &request("file")).is_none());
    }

    #[test]
    fn another_file_is_a_new_transfer_in_the_place_of_the_old_one() {
        let clients = clients();
        let peer = at("10.0.0.1:1");
        let _other = clients.admit(at("10.0.0.1:2"), &request("file")).unwrap();
        let mut slots = Vec::new();
        for path in ["one", "two", "three", "four"] {
            slots.push(clients.admit(peer, &request(path)).unwrap());
        }
        let over: Vec<bool> = slots.iter().map(|slot| slot.over().is_cancelled()).collect();
        assert_eq!(over, [true, true, true, false]);
        drop(slots);
        assert_eq!(clients.busy.lock().unwrap().by_address.len(), 1);
    }

    #[test]
    fn all_are_over_when_the_server_stops() {
        let stop = CancellationToken::new();
        let clients = Arc::new(Clients::new(3, 2, stop.clone()));
        let slot = clients.admit(at("10.0.0.1:1"), &request("file")).unwrap();
        stop.cancel();
        assert!(slot.over().is_cancelled());
    }
}
