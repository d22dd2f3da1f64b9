//! Load, decide, commit: the only way in which a machine's state changes.

use std::sync::Arc;

use maas_core::id::SystemId;
use maas_core::machine::hardware::Hardware;
use maas_core::machine::interface::{Interfaces, NetworkFacts};
use maas_core::machine::lifecycle;
use maas_core::machine::{
    Actor, Context, Effect, Event, Machine, PowerState, Record, Refusal, Status,
};
use maas_core::shared::Shared;

use super::Region;
use crate::clock;
use crate::entropy::{self, EntropyError};
use crate::store::{
    AttachmentChange, Change, CommitError, Duplicate, MachineFilter, RunReport, ScriptOutput,
    StoreError, WaitingEffects,
};

/// How often a change is tried again when another program was faster. Each try is a fresh decision
/// on the newest state, so a loser learns of it as a refusal long before this many.
const ATTEMPTS: usize = 64;

/// What is stored along with a change of state.
#[derive(Debug, Default)]
pub struct Extras {
    /// Outputs of scripts.
    pub outputs: Vec<ScriptOutput>,
    /// What the machine's software reported.
    pub reports: Vec<RunReport>,
    /// The deployment plan.
    pub plan: AttachmentChange,
    /// The user data of the deployment.
    pub user_data: AttachmentChange,
    /// What commissioning found.
    pub hardware: Option<Box<Hardware>>,
    /// The interfaces with the addresses that were claimed for them.
    pub interfaces: Option<Shared<Interfaces>>,
    /// Whether storage layout and edits are forgotten, as by a commissioning.
    pub forget_storage: bool,
}

impl Extras {
    fn is_empty(&self) -> bool {
        self.outputs.is_empty()
            && self.reports.is_empty()
            && self.hardware.is_none()
            && self.interfaces.is_none()
            && !self.forget_storage
            && self.plan == AttachmentChange::Keep
            && self.user_data == AttachmentChange::Keep
    }
}

/// Why an event did not change a machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// There is no such machine.
    #[error("no machine {0}")]
    NotFound(SystemId),
    /// The core refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The change would give two machines the same name or address.
    #[error(transparent)]
    Duplicate(#[from] Duplicate),
    /// The database failed; nothing was changed.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// The operating system has no random numbers.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Others changed the machine faster than this could, again and again.
    #[error("machine {0} changes too fast; try again")]
    Busy(SystemId),
}

/// Why no machine was allocated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AllocateError {
    /// No machine that is ready matches.
    #[error("no machine matches")]
    NoMatch,
    /// The database failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl Region {
    /// Applies one event to one machine and commits what follows from it.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]; the machine is unchanged then.
    pub async fn apply(
        &self,
        id: &SystemId,
        event: &Event,
        extras: Extras,
    ) -> Result<Arc<Machine>, ApplyError> {
        self.apply_with(id, extras, |_| Ok(event.clone())).await
    }

    /// Like [`Region::apply`], for an event that depends on the machine as it is loaded; `event`
    /// is asked again when somebody else changed the machine in between.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]; the machine is unchanged then.
    pub async fn apply_with(
        &self,
        id: &SystemId,
        extras: Extras,
        event: impl Fn(&Machine) -> Result<Event, Refusal>,
    ) -> Result<Arc<Machine>, ApplyError> {
        let places = match &extras.hardware {
            Some(_) => Some(NetworkFacts::from(&*self.ipam.networks(&*self.store).await?)),
            None => None,
        };
        let turn = self.turns.wait(id).await;
        // A decision that changes something is checked by the commit; for any other the machine
        // must be known as it is.
        let mut recent = self.store.recent_machine(id);
        for _ in 0..ATTEMPTS {
            let is_recent = recent.is_some();
            let machine = match recent.take() {
                Some(machine) => machine,
                None => {
                    let found = self.store.machine(id).await?;
                    found.ok_or_else(|| ApplyError::NotFound(id.clone()))?
                }
            };
            let context = self.context()?;
            let decide = || lifecycle::apply(&machine, &event(&machine)?, &context);
            let mut outcome = match decide() {
                Err(_) if is_recent => continue,
                decided => decided?,
            };
            if extras.is_empty() && outcome.is_unchanged(&machine) {
                if is_recent {
                    continue;
                }
                return Ok(machine);
            }
            if let Some(interfaces) = &extras.interfaces {
                outcome.machine.interfaces.clone_from(interfaces);
            }
            if let (Some(hardware), Some(places)) = (&extras.hardware, &places) {
                outcome.machine.learn(hardware, places);
            }
            if extras.forget_storage {
                outcome.machine.forget_storage();
            }
            let sooner = !outcome.effects.is_empty() || earlier(&outcome.machine, &machine);
            let change = Change {
                now: context.now,
                waiting_effects: waiting_effects(&outcome.effects),
                machine: outcome.machine,
                loaded: Some(Arc::clone(&machine)),
                effects: outcome.effects,
                records: outcome.records,
                outputs: extras.outputs.clone(),
                reports: extras.reports.clone(),
                plan: extras.plan.clone(),
                user_data: extras.user_data.clone(),
            };
            match Self::settle(id, self.store.commit(change).await)? {
                Some(committed) => {
                    drop(turn);
                    log_status(&machine, &committed);
                    self.give_back_addresses(&machine, &committed).await;
                    if sooner {
                        self.wake_workers();
                    }
                    return Ok(committed);
                }
                None => tokio::task::yield_now().await,
            }
        }
        Err(ApplyError::Busy(id.clone()))
    }

    /// What the core is lent for one decision.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Entropy`] when the operating system has no random numbers.
    pub fn context(&self) -> Result<Context, ApplyError> {
        Ok(Context {
            now: clock::now(),
            fresh_credentials: entropy::node_credentials()?,
            node_timeout: self.settings().node_timeout().unwrap_or(self.config.node_timeout),
        })
    }

    /// Changes descriptive fields (host name, tags, power parameters…); `edit` is asked again when
    /// somebody else changed the machine in between, and must not touch its state.
    ///
    /// # Errors
    ///
    /// What `edit` says, or [`ApplyError`]; the machine is unchanged then.
    pub async fn edit<E: From<ApplyError>>(
        &self,
        id: &SystemId,
        edit: impl Fn(&mut Machine) -> Result<Vec<Record>, E>,
    ) -> Result<Arc<Machine>, E> {
        let turn = self.turns.wait(id).await;
        for _ in 0..ATTEMPTS {
            let Some(machine) = self.store.machine(id).await.map_err(ApplyError::from)? else {
                return Err(ApplyError::NotFound(id.clone()).into());
            };
            let mut edited = Machine::clone(&machine);
            let records = edit(&mut edited)?;
            if edited == *machine && records.is_empty() {
                return Ok(machine);
            }
            let loaded = Some(Arc::clone(&machine));
            let change = Change { records, loaded, ..Change::new(edited, clock::now()) };
            match Self::settle(id, self.store.commit(change).await) {
                Ok(Some(committed)) => {
                    drop(turn);
                    self.give_back_addresses(&machine, &committed).await;
                    return Ok(committed);
                }
                Ok(None) => tokio::task::yield_now().await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(ApplyError::Busy(id.clone()).into())
    }

    /// Frees the addresses that a machine had and no longer has. On a task of its own: a caller
    /// that goes away must not keep them.
    async fn give_back_addresses(&self, before: &Machine, after: &Machine) {
        if before.interfaces == after.interfaces {
            return;
        }
        let (had, has) = (before.interfaces.clone(), after.interfaces.clone());
        let (store, id) = (Arc::clone(&self.store), after.system_id.clone());
        let work = tokio::spawn(async move {
            crate::addresses::give_back(&*store, &id, &had, &has).await;
        });
        if let Err(error) = work.await {
            tracing::error!(error = %error, "addresses not given back");
        }
    }

    /// `None` when somebody else was faster.
    fn settle(
        id: &SystemId,
        committed: Result<Arc<Machine>, CommitError>,
    ) -> Result<Option<Arc<Machine>>, ApplyError> {
        match committed {
            Ok(machine) => Ok(Some(machine)),
            Err(CommitError::Conflict { .. }) => Ok(None),
            Err(CommitError::Gone { .. }) => Err(ApplyError::NotFound(id.clone())),
            Err(CommitError::Duplicate(duplicate)) => Err(duplicate.into()),
            Err(CommitError::Backend(error)) => Err(error.into()),
        }
    }

    /// Allocates the cheapest machine that is ready and that `matches`.
    ///
    /// N concurrent calls over M machines give exactly min(N, M) owners: each candidate is taken
    /// by a compare-and-set, and who loses one goes on to the next.
    ///
    /// # Errors
    ///
    /// [`AllocateError::NoMatch`] when every candidate is taken or none matches.
    pub async fn allocate(
        &self,
        actor: &Actor,
        agent_name: &str,
        comment: &str,
        matches: impl Fn(&Machine) -> bool,
    ) -> Result<Arc<Machine>, AllocateError> {
        let event = Event::Allocate {
            actor: actor.clone(),
            agent_name: agent_name.to_owned(),
            comment: comment.to_owned(),
        };
        for candidate in self.candidates(matches).await? {
            match self.apply(&candidate.system_id, &event, Extras::default()).await {
                Ok(machine) => return Ok(machine),
                // Somebody else was faster, or deleted it: the next one.
                Err(ApplyError::Refused(_) | ApplyError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AllocateError::NoMatch)
    }

    /// The machines that an allocation would try, cheapest first (`api.md` §1.4).
    ///
    /// # Errors
    ///
    /// [`ApplyError::Store`] when the database fails.
    pub async fn candidates(
        &self,
        matches: impl Fn(&Machine) -> bool,
    ) -> Result<Vec<Machine>, ApplyError> {
        let filter = MachineFilter { statuses: vec![Status::Ready], ..MachineFilter::all() };
        let mut candidates = self.store.machines(&filter).await?;
        candidates.retain(|machine| machine.owner.is_none() && !machine.locked && matches(machine));
        candidates.sort_by_key(Machine::cost);
        Ok(candidates)
    }

    /// Reports what a power driver told.
    pub(crate) async fn power_reported(&self, id: &SystemId, state: PowerState) {
        if let Err(error) = self.apply(id, &Event::PowerReported { state }, Extras::default()).await
        {
            tracing::warn!(system_id = %id, error = %error, "power state not recorded");
        }
    }
}

/// A new power command makes older ones that were not performed yet meaningless.
fn waiting_effects(effects: &[Effect]) -> WaitingEffects {
    let switches = effects
        .iter()
        .any(|effect| matches!(effect, Effect::PowerCycle | Effect::PowerOn | Effect::PowerOff));
    if switches { WaitingEffects::Supersede } else { WaitingEffects::Keep }
}

/// Whether a deadline now comes sooner than the workers believe.
fn earlier(after: &Machine, before: &Machine) -> bool {
    match (&after.deadline, &before.deadline) {
        (Some(after), Some(before)) => after.at < before.at,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

fn log_status(before: &Machine, after: &Machine) {
    if before.status != after.status {
        tracing::info!(
            system_id = %after.system_id,
            hostname = %after.hostname,
            from = before.status.display_name(),
            to = after.status.display_name(),
            "machine changed status"
        );
    }
}
