//! The part of a machine that moves with every sign of life. It is stored apart: a report of an
//! installation is a small row, not the whole machine written again.

use maas_core::machine::{Deadline, Machine, Step};
use maas_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    updated: Timestamp,
    deadline: Option<Deadline>,
    last_step: Option<Step>,
    last_ping: Option<Timestamp>,
    status_message: String,
}

impl Progress {
    /// How far a machine is.
    pub(super) fn of(machine: &Machine) -> Self {
        Self {
            updated: machine.updated,
            deadline: machine.deadline.clone(),
            last_step: machine.last_step.clone(),
            last_ping: machine.last_ping,
            status_message: machine.status_message.clone(),
        }
    }

    /// Exchanges it with a machine's.
    pub(super) fn swap(&mut self, machine: &mut Machine) {
        std::mem::swap(&mut self.updated, &mut machine.updated);
        std::mem::swap(&mut self.deadline, &mut machine.deadline);
        std::mem::swap(&mut self.last_step, &mut machine.last_step);
        std::mem::swap(&mut self.last_ping, &mut machine.last_ping);
        std::mem::swap(&mut self.status_message, &mut machine.status_message);
    }

    /// Whether nothing else changed since `before`.
    pub(super) fn is_all_that_changed(before: &Machine, after: &mut Machine) -> bool {
        let mut progress = Self::of(before);
        progress.swap(after);
        let is_all = *after == *before;
        progress.swap(after);
        is_all
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::store::conformance::sample;

    #[test]
    fn what_moves_is_told_from_what_does_not_and_nothing_is_lost() {
        let before = sample(0);
        let mut after = before.clone();
        after.last_step = Some(Step { at: Timestamp(7), what: "curtin: cmd-install".to_owned() });
        after.status_message = "installing".to_owned();
        after.updated = Timestamp(9);
        let moved = after.clone();
        assert!(Progress::is_all_that_changed(&before, &mut after));
        assert_eq!(after, moved);

        let text = serde_json::to_string(&Progress::of(&moved)).unwrap();
        let mut read = before.clone();
        serde_json::from_str::<Progress>(&text).unwrap().swap(&mut read);
        assert_eq!(read, moved);

        after.hostname.push('x');
        let renamed = after.clone();
        assert!(!Progress::is_all_that_changed(&before, &mut after));
        assert_eq!(after, renamed);
    }
}
