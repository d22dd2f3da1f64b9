//! Nothing is stuck: every deadline that passes becomes an event.

use std::sync::Arc;
use std::time::Duration;

use maas_core::machine::Event;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::region::{Extras, Region};

/// How many machines are treated in one round.
const BATCH: u32 = 256;

/// The longest and the shortest sleep between two looks.
const LONGEST: Duration = Duration::from_secs(15);
const SHORTEST: Duration = Duration::from_millis(100);

pub(super) async fn run(region: Arc<Region>, stop: CancellationToken) {
    let mut bell = region.bell();
    loop {
        let pause = match look(&region).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(error = %error, "deadlines cannot be read");
                LONGEST
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            Ok(()) = bell.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Treats what is due and says how long to sleep.
async fn look(region: &Region) -> Result<Duration, crate::store::StoreError> {
    let now = clock::now();
    let due = region.store.machines_past_deadline(now, BATCH).await?;
    let full = due.len() == BATCH as usize;
    for machine in due {
        let id = machine.system_id;
        if let Err(error) = region.apply(&id, &Event::DeadlineReached, Extras::default()).await {
            tracing::error!(system_id = %id, error = %error, "deadline not applied");
        }
    }
    if full {
        return Ok(Duration::ZERO);
    }
    let next = region.store.next_wakeup().await?;
    Ok(next.map_or(LONGEST, |at| at.since(clock::now()).clamp(SHORTEST, LONGEST)))
}
