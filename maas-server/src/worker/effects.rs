//! Performs the outbox: at least once, in order for each machine, machines side by side.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use maas_core::id::SystemId;
use maas_core::machine::{Effect, Event, Level, PowerState, Record};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::power::PowerError;
use crate::region::{ApplyError, Extras, Region};
use crate::store::{StoreError, StoredEffect};

/// How many machines are switched at the same time.
const PARALLEL: u32 = 64;

/// The longest sleep between two looks.
const LONGEST: Duration = Duration::from_secs(15);
const SHORTEST: Duration = Duration::from_millis(20);

pub(super) async fn run(region: Arc<Region>, stop: CancellationToken) {
    let mut bell = region.bell();
    let mut running = JoinSet::new();
    let mut busy: HashSet<SystemId> = HashSet::new();
    loop {
        let pause = match start_due(&region, &mut running, &mut busy).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(error = %error, "the outbox cannot be read");
                LONGEST
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = running.join_next(), if !running.is_empty() => match ended {
                Ok(id) => { busy.remove(&id); }
                // The machine stays in `busy` only until the restart that a panic deserves.
                Err(error) => tracing::error!(error = %error, "an effect panicked"),
            },
            Ok(()) = bell.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    // What is not finished is still in the outbox and is performed after the next start.
    running.shutdown().await;
}

async fn start_due(
    region: &Arc<Region>,
    running: &mut JoinSet<SystemId>,
    busy: &mut HashSet<SystemId>,
) -> Result<Duration, StoreError> {
    let due = region.store.due_effects(clock::now(), PARALLEL * 2).await?;
    for effect in due {
        if running.len() >= PARALLEL as usize {
            return Ok(LONGEST);
        }
        if busy.insert(effect.system_id.clone()) {
            let region = Arc::clone(region);
            running.spawn(async move {
                let id = effect.system_id.clone();
                if let Err(error) = perform(&region, effect).await {
                    tracing::error!(system_id = %id, error = %error, "effect not settled");
                }
                id
            });
        }
    }
    let next = region.store.next_wakeup().await?;
    Ok(next.map_or(LONGEST, |at| at.since(clock::now()).clamp(SHORTEST, LONGEST)))
}

async fn perform(region: &Region, stored: StoredEffect) -> Result<(), StoreError> {
    let id = &stored.system_id;
    let Some(machine) = region.store.machine(id).await? else {
        return region.store.effect_done(stored.id).await.map(drop);
    };
    let power = &machine.power;
    if let Some(kind) = beginning(&stored.effect)
        && power.is_queryable()
        && stored.attempts == 0
    {
        note(region, id, Level::Debug, kind, String::new()).await;
    }
    let (action, done) = match &stored.effect {
        Effect::PowerCycle => ("cycle", region.drivers.cycle(id, power).await),
        Effect::PowerOn => ("on", region.drivers.on(id, power).await),
        Effect::PowerOff => ("off", region.drivers.off(id, power).await),
        Effect::QueryPower { .. } => ("query", region.drivers.query(id, power).await),
        other => {
            tracing::error!(system_id = %id, effect = ?other, "unknown effect dropped");
            return region.store.effect_done(stored.id).await.map(drop);
        }
    };
    match done {
        Ok(state) => {
            tracing::debug!(system_id = %id, action, state = ?state, "power");
            region.metrics.switched(action, "done");
            // The report first: a crash in between repeats a harmless command, whereas a lost
            // report would leave a releasing machine waiting for its deadline.
            region.power_reported(id, state).await;
            // A state that is the same as before is no news; that the command was obeyed is.
            if action == "cycle" && machine.power.state == state && state == PowerState::On {
                note(region, id, Level::Debug, "Node powered on", String::new()).await;
            }
            region.store.effect_done(stored.id).await?;
        }
        Err(error) => match error.pause(stored.attempts.saturating_add(1)) {
            Some(pause) => try_again(region, &stored, action, &error, pause).await?,
            None => {
                region.metrics.switched(action, "failed");
                give_up(region, id, action, &error).await;
                region.store.effect_done(stored.id).await?;
            }
        },
    }
    Ok(())
}

async fn try_again(
    region: &Region,
    stored: &StoredEffect,
    action: &'static str,
    error: &PowerError,
    pause: Duration,
) -> Result<(), StoreError> {
    let id = &stored.system_id;
    tracing::warn!(system_id = %id, action, error = %error, "power; trying again");
    region.metrics.switched(action, "retried");
    let sentence = format!(
        "Power {action}, attempt {}: {error}; again in {} s",
        stored.attempts.saturating_add(1),
        pause.as_secs()
    );
    note(region, id, Level::Warning, "Power error", sentence).await;
    let at = clock::now().plus(pause);
    region.store.effect_failed(stored.id, at, &error.to_string()).await.map(drop)
}

/// What a command is called when it begins (MAAS's event types).
const fn beginning(effect: &Effect) -> Option<&'static str> {
    match effect {
        Effect::PowerCycle => Some("Power cycling"),
        Effect::PowerOn => Some("Powering on"),
        Effect::PowerOff => Some("Powering off"),
        _ => None,
    }
}

/// Adds to the machine's history; a history that cannot be written stops no machine.
async fn note(region: &Region, id: &SystemId, level: Level, kind: &str, description: String) {
    let record =
        Record { at: clock::now(), level, kind: kind.to_owned(), description, username: None };
    let noted = region.edit::<ApplyError>(id, |_| Ok(vec![record.clone()])).await;
    if let Err(error) = noted {
        tracing::warn!(system_id = %id, error = %error, "history not written");
    }
}

async fn give_up(region: &Region, id: &SystemId, action: &str, error: &PowerError) {
    tracing::warn!(system_id = %id, action, error = %error, "power; gave up");
    // A query that fails says nothing of what the machine does.
    let event = if action == "query" {
        Event::PowerReported { state: PowerState::Error }
    } else {
        Event::PowerFailed { action: action.to_owned(), message: error.to_string() }
    };
    if let Err(error) = region.apply(id, &event, Extras::default()).await {
        tracing::error!(system_id = %id, error = %error, "power failure not recorded");
    }
}
