//! One account for the memory that all buffered request bodies use together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::BodyError;

/// The account; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    used: Arc<AtomicU64>,
    limit: u64,
}

/// What one request has taken from the account; given back when dropped.
#[derive(Debug)]
pub(super) struct Hold {
    budget: Budget,
    taken: u64,
}

impl Budget {
    /// At most `limit` bytes in all.
    pub(super) fn new(limit: u64) -> Self {
        Self { used: Arc::default(), limit }
    }

    pub(super) fn unlimited() -> Self {
        Self::new(u64::MAX)
    }

    pub(super) fn hold(&self) -> Hold {
        Hold { budget: self.clone(), taken: 0 }
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }
}

impl Hold {
    /// Takes `more` bytes, or nothing when the account has not that much left. It refuses and
    /// does not wait: two half-read bodies that wait for each other would never end.
    pub(super) fn grow(&mut self, more: usize) -> Result<(), BodyError> {
        let more = more as u64;
        let take = |used: u64| used.checked_add(more).filter(|sum| *sum <= self.budget.limit);
        let taken = self.budget.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, take);
        taken.map_err(|_| BodyError::Busy)?;
        self.taken += more;
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.taken, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_full_account_refuses_and_gives_back_what_is_dropped() {
        let budget = Budget::new(10);
        let mut first = budget.hold();
        first.grow(7).unwrap();
        let mut second = budget.hold();
        assert!(second.grow(4).is_err());
        assert_eq!(budget.used(), 7);
        drop(first);
        second.grow(10).unwrap();
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}
