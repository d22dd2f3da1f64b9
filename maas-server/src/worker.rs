//! The workers: one performs effects from the outbox, one watches deadlines, one looks after
//! addresses.

mod addresses;
mod deadlines;
mod effects;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::region::Region;

/// Starts them; they end when `stop` is cancelled and what they were doing is finished.
pub fn start(region: &Arc<Region>, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
    tasks.spawn(effects::run(Arc::clone(region), stop.clone()));
    tasks.spawn(addresses::run(Arc::clone(region), stop.clone()));
    tasks.spawn(deadlines::run(Arc::clone(region), stop.clone()));
}
