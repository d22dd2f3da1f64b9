//! Changes of one machine take turns within this program: a compare-and-set that somebody else
//! was faster at is work for nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use maas_core::id::SystemId;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// After so many machines, those that nobody changes are forgotten.
const MANY: usize = 1024;

/// Whose turn it is at each machine.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<SystemId, Weak<Turn<()>>>>);

impl Turns {
    /// Waits until nobody else changes the machine; the turn ends with the guard.
    pub(super) async fn wait(&self, id: &SystemId) -> OwnedMutexGuard<()> {
        self.turn(id).lock_owned().await
    }

    fn turn(&self, id: &SystemId) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(id).and_then(Weak::upgrade) {
            return turn;
        }
        if turns.len() >= MANY {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::new(Turn::new(()));
        turns.insert(id.clone(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::machine;

    #[tokio::test]
    async fn one_machine_has_one_turn_and_others_do_not_wait_for_it() {
        let turns = Turns::default();
        let (one, other) = (machine(1).system_id, machine(2).system_id);
        let first = turns.wait(&one).await;
        turns.wait(&other).await;
        let waiting = turns.wait(&one);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(first);
        waiting.await;
        // Nothing is kept of machines that nobody changes.
        for number in 0..3000 {
            turns.wait(&SystemId::from_entropy(number)).await;
        }
        assert!(turns.0.lock().unwrap().len() <= MANY);
    }
}
