//! How many transfers go on at once, and which file may have more than one of them.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// The transfers that several files share: every stream, also of a range, holds one.
///
/// A file may take spare ones for its ranges in proportion to its share of the bytes that are on
/// their way, so that the largest file, which takes longest, is not left with one stream.
#[derive(Debug)]
pub(crate) struct Transfers {
    places: Semaphore,
    jobs: usize,
    /// Bytes that the files under way lack, as each one began.
    under_way: AtomicU64,
}

/// A file under way; it counts until this is dropped.
#[derive(Debug)]
pub(super) struct Share<'a> {
    transfers: &'a Transfers,
    bytes: u64,
}

impl Transfers {
    /// So many at once.
    pub(crate) fn new(jobs: usize) -> Self {
        Self { places: Semaphore::new(jobs), jobs, under_way: AtomicU64::new(0) }
    }

    /// Waits for the transfer of a file itself.
    pub(super) async fn acquire(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.places.acquire().await.ok()
    }

    /// A file begins that lacks so many bytes.
    pub(super) fn share(&self, bytes: u64) -> Share<'_> {
        self.under_way.fetch_add(bytes, Ordering::Relaxed);
        Share { transfers: self, bytes }
    }
}

impl Share<'_> {
    /// How many streams the file may have: its part of all, rounded up.
    fn quota(&self) -> usize {
        let all = u128::from(self.transfers.under_way.load(Ordering::Relaxed).max(1));
        let part = (self.transfers.jobs as u128 * u128::from(self.bytes)).div_ceil(all);
        usize::try_from(part).unwrap_or(usize::MAX).max(1)
    }

    /// How many streams a file that has `streams` can expect to have.
    pub(super) fn expected(&self, streams: usize) -> usize {
        let free = self.transfers.places.available_permits();
        (streams + free).min(self.quota()).max(1)
    }

    /// One more for a file that has `streams`, when one is free and the file may have it.
    pub(super) fn try_join(&self, streams: usize) -> Option<SemaphorePermit<'_>> {
        if streams >= self.quota() {
            return None;
        }
        self.transfers.places.try_acquire().ok()
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.transfers.under_way.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_larger_file_may_have_more_streams() {
        let transfers = Transfers::new(6);
        let large = transfers.share(96);
        let small = transfers.share(32);
        assert_eq!((large.quota(), small.quota()), (5, 2));
        assert_eq!(small.expected(1), 2);
        let joined = small.try_join(1).unwrap();
        assert!(small.try_join(2).is_none());
        drop((joined, large));
        assert_eq!(small.quota(), 6);
        assert_eq!(small.expected(1), 6);
    }

    #[tokio::test]
    async fn no_stream_joins_where_all_transfers_are_taken() {
        let transfers = Transfers::new(2);
        let first = transfers.acquire().await;
        let file = transfers.share(10);
        let second = file.try_join(1).unwrap();
        assert!(file.try_join(1).is_none());
        drop((first, second));
        assert!(file.try_join(1).is_some());
    }

    #[test]
    fn a_file_that_lacks_nothing_has_one_stream() {
        let transfers = Transfers::new(4);
        assert_eq!(transfers.share(0).quota(), 1);
    }
}
