//! The one place where the server reads the time.

use std::time::SystemTime;

use maas_core::time::Timestamp;

/// Now.
#[must_use]
pub fn now() -> Timestamp {
    SystemTime::now().into()
}
