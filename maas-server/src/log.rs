//! Structured logs on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// A log filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "log filter: expected a level or TARGET=LEVEL,… such as \"info\" or \"maas_server=debug\", \
     found {found:?}"
)]
pub struct BadFilter {
    found: String,
}

/// Whether a text is a filter in tracing's language.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    !text.is_empty() && EnvFilter::try_new(text).is_ok()
}

/// Installs the subscriber; a second call in the same process changes nothing.
///
/// # Errors
///
/// [`BadFilter`] when the filter is none.
pub fn install(filter: &str, format: LogFormat) -> Result<(), BadFilter> {
    if !is_filter(filter) {
        return Err(BadFilter { found: filter.to_owned() });
    }
    let filter = EnvFilter::new(filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Another subscriber (an embedder's) stays in place.
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => {
            builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
        }
    };
    Ok(())
}
