//! Which commands a user could give a machine now.

use std::time::Duration;

use super::lifecycle::{Context, apply};
use super::{Actor, DeploymentSummary, Erase, Event, Machine, Refusal};

/// A command and why it would be refused now, if it would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PossibleCommand {
    /// The API's word for it, e.g. `mark_broken` (`api.md` §1.3).
    pub op: &'static str,
    /// Why it is refused; `None` when the machine's state and the actor's role allow it. Scripts,
    /// images and other parameters of the command can still be wrong.
    pub refusal: Option<Refusal>,
}

/// Every command, tried on a copy of the machine.
///
/// `allocate` is left to those who do not deploy at once: deploying allocates.
#[must_use]
pub fn possible_commands(machine: &Machine, actor: &Actor) -> Vec<PossibleCommand> {
    let context = Context {
        now: machine.updated,
        fresh_credentials: machine.credentials.clone(),
        node_timeout: Duration::from_secs(60),
    };
    let actor = || actor.clone();
    let comment = String::new;
    let deployment = DeploymentSummary {
        osystem: String::new(),
        distro_series: String::new(),
        hwe_kernel: String::new(),
        ephemeral: false,
        plan_digest: String::new(),
    };
    let commands = [
        (
            "commission",
            Event::Commission {
                actor: actor(),
                enable_ssh: false,
                skip_networking: false,
                scripts: Vec::new(),
            },
        ),
        ("test", Event::Test { actor: actor(), enable_ssh: false, scripts: Vec::new() }),
        (
            "allocate",
            Event::Allocate { actor: actor(), agent_name: String::new(), comment: comment() },
        ),
        (
            "deploy",
            Event::Deploy {
                actor: actor(),
                deployment: Box::new(deployment),
                scripts: Vec::new(),
                comment: comment(),
            },
        ),
        (
            "release",
            Event::Release {
                actor: actor(),
                erase: Erase::Keep,
                scripts: Vec::new(),
                comment: comment(),
            },
        ),
        ("abort", Event::Abort { actor: actor(), comment: comment() }),
        ("mark_broken", Event::MarkBroken { actor: actor(), comment: comment() }),
        ("mark_fixed", Event::MarkFixed { actor: actor(), comment: comment() }),
        (
            "override_failed_testing",
            Event::OverrideFailedTesting { actor: actor(), comment: comment() },
        ),
        ("rescue_mode", Event::EnterRescueMode { actor: actor() }),
        ("exit_rescue_mode", Event::ExitRescueMode { actor: actor() }),
        ("lock", Event::Lock { actor: actor(), comment: comment() }),
        ("unlock", Event::Unlock { actor: actor(), comment: comment() }),
        ("power_on", Event::PowerOn { actor: actor() }),
        ("power_off", Event::PowerOff { actor: actor() }),
    ];
    commands
        .into_iter()
        .map(|(op, event)| PossibleCommand { op, refusal: apply(machine, &event, &context).err() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::super::lifecycle::tests::{admin, machine, user};
    use super::*;

    fn in_status(status: Status) -> Machine {
        let mut machine = machine();
        machine.status = status;
        machine
    }

    fn allowed(machine: &Machine, actor: &Actor) -> Vec<&'static str> {
        possible_commands(machine, actor)
            .into_iter()
            .filter(|command| command.refusal.is_none())
            .map(|command| command.op)
            .collect()
    }

    #[test]
    fn a_ready_machine_can_be_deployed_by_anybody_and_commissioned_by_an_administrator() {
        let ready = in_status(Status::Ready);
        let ann = user("ann");
        assert!(allowed(&ready, &ann).contains(&"deploy"));
        assert!(!allowed(&ready, &ann).contains(&"commission"));
        assert!(allowed(&ready, &admin()).contains(&"commission"));
        assert!(!allowed(&ready, &admin()).contains(&"mark_fixed"));
    }

    #[test]
    fn a_locked_machine_can_only_be_unlocked() {
        let mut deployed = in_status(Status::Deployed);
        deployed.owner = Some(admin().username);
        deployed.locked = true;
        assert_eq!(allowed(&deployed, &admin()), ["unlock"]);
    }
}
