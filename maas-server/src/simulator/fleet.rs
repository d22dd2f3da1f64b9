//! All simulated machines of one simulator, by their MAC addresses.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::boot::{Machine, Shared};
use super::mac::Mac;
use super::machine::{MachineState, nth_firmware, nth_mac};

#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) shared: Arc<Shared>,
    seed: u64,
    machines: RwLock<BTreeMap<Mac, Arc<Machine>>>,
}

impl Fleet {
    pub(crate) fn new(shared: Arc<Shared>, seed: u64, known: Vec<MachineState>) -> Self {
        let machines =
            known.into_iter().map(|state| (state.mac(), Arc::new(Machine::new(state)))).collect();
        Self { shared, seed, machines: RwLock::new(machines) }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Machine>> {
        let machines = self.machines.read().unwrap_or_else(PoisonError::into_inner);
        machines.values().cloned().collect()
    }

    /// The machine that has a port with this address.
    pub(crate) fn find(&self, mac: Mac) -> Option<Arc<Machine>> {
        let machines = self.machines.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(machine) = machines.get(&mac) {
            return Some(Arc::clone(machine));
        }
        machines.values().find(|m| m.read(|state| state.macs.contains(&mac))).cloned()
    }

    pub(crate) fn find_or_add(&self, mac: Mac) -> Arc<Machine> {
        match self.find(mac) {
            Some(machine) => machine,
            None => self.add(MachineState::at(mac, self.seed, None)),
        }
    }

    fn add(&self, state: MachineState) -> Arc<Machine> {
        let mut machines = self.machines.write().unwrap_or_else(PoisonError::into_inner);
        // Two callers may have looked for it at the same time.
        let machine = machines.entry(state.mac()).or_insert_with(|| Arc::new(Machine::new(state)));
        machine.change(&self.shared, |_| {});
        Arc::clone(machine)
    }

    /// Boots the machines that were on when the simulator ended.
    pub(crate) fn resume(&self) {
        for machine in self.all() {
            machine.resume(&self.shared);
        }
    }

    /// Adds the machines that enlist themselves and switches on those that are new.
    pub(crate) fn populate(&self, count: u32) {
        for n in 0..count {
            let mac = nth_mac(self.seed, n);
            if self.find(mac).is_none() {
                let firmware = Some(nth_firmware(self.seed, n));
                self.add(MachineState::at(mac, self.seed, firmware)).power_on(&self.shared);
            }
        }
    }
}
