//! Machines that were asked for a moment ago, already parsed.
//!
//! Nothing here is believed by itself: whoever uses one has asked the database whether that
//! version is still the present one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use maas_core::id::SystemId;
use maas_core::machine::Machine;

use super::machines::By;

/// How many ways to a machine each of the two generations has.
const GENERATION: usize = 256;

/// A machine and its number in the order of creation, which no other machine ever has.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) order: i64,
    pub(super) machine: Arc<Machine>,
}

impl Known {
    pub(super) fn version(&self) -> u64 {
        self.machine.version
    }
}

type Ways = HashMap<(By, String), Known>;

/// A cache of two generations: what the young one has no room for becomes old, and what nobody
/// asked for since is forgotten with it.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: Ways,
    old: Ways,
}

impl Recent {
    /// The machine that this led to.
    pub(super) fn known(&self, by: By, value: &str) -> Option<Known> {
        let way = (by, value.to_owned());
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(machine) = generations.young.get(&way) {
            return Some(machine.clone());
        }
        let machine = generations.old.remove(&way)?;
        generations.keep(way, machine.clone());
        Some(machine)
    }

    /// Remembers what this led to.
    pub(super) fn keep(&self, by: By, value: &str, machine: &Known) {
        let way = (by, value.to_owned());
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.keep(way, machine.clone());
    }

    /// Forgets a machine that is deleted.
    pub(super) fn forget(&self, id: &SystemId) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.young.retain(|_, known| known.machine.system_id != *id);
        generations.old.retain(|_, known| known.machine.system_id != *id);
    }
}

impl Generations {
    fn keep(&mut self, way: (By, String), machine: Known) {
        if self.young.len() >= GENERATION && !self.young.contains_key(&way) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(way, machine);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::store::conformance::sample;

    #[test]
    fn what_is_asked_for_stays_and_the_room_is_bounded() {
        let recent = Recent::default();
        let favourite = Known { order: 1, machine: Arc::new(sample(0)) };
        recent.keep(By::Id, "favourite", &favourite);
        for number in 0..GENERATION * 3 {
            recent.keep(By::Mac, &number.to_string(), &favourite);
            assert_eq!(recent.known(By::Id, "favourite").unwrap().order, 1);
        }
        assert!(recent.known(By::Mac, "0").is_none());
        assert!(recent.known(By::Token, "favourite").is_none());
        {
            let generations = recent.0.lock().unwrap();
            assert!(generations.young.len() <= GENERATION && generations.old.len() <= GENERATION);
        }
        recent.forget(&favourite.machine.system_id);
        assert!(recent.known(By::Id, "favourite").is_none());
    }
}
