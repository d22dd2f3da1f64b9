//! No address is lost: what a crash left claimed for nobody is freed.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::addresses;
use crate::region::Region;

/// How long between two looks.
const PAUSE: Duration = Duration::from_secs(30 * 60);

pub(super) async fn run(region: Arc<Region>, stop: CancellationToken) {
    loop {
        if let Err(error) = addresses::sweep(&region).await {
            tracing::error!(error = %error, "addresses cannot be looked after");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
