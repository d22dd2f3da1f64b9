//! The operating system's wish that the process ends.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for SIGINT and SIGTERM from its beginning on.
///
/// To be made before anybody can know that the process is there: what is sent while it starts
/// must neither be lost nor end it halfway.
pub(crate) struct Shutdown {
    #[cfg(unix)]
    signals: Option<(Signal, Signal)>,
}

impl Shutdown {
    /// Begins to listen.
    pub(crate) fn listen() -> Self {
        #[cfg(unix)]
        {
            let (interrupt, terminate) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
            let signals = match (interrupt, terminate) {
                (Ok(interrupt), Ok(terminate)) => Some((interrupt, terminate)),
                (Err(error), _) | (_, Err(error)) => {
                    tracing::warn!(%error, "signals cannot be received");
                    None
                }
            };
            Self { signals }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// Completes at the first SIGINT or SIGTERM since the beginning.
    ///
    /// A system without signals never completes; the process then ends with its terminal.
    pub(crate) async fn requested(mut self) {
        #[cfg(unix)]
        if let Some((interrupt, terminate)) = &mut self.signals {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_ok() {
            return;
        }
        std::future::pending::<()>().await;
    }
}
