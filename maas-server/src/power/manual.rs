//! The driver for machines that a person switches.

use maas_core::machine::PowerState;

use super::setting::Setting;
use super::{BoxFuture, PowerDriver, PowerError, Target};

/// Switches nothing and knows nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manual;

impl PowerDriver for Manual {
    fn name(&self) -> &'static str {
        "manual"
    }

    fn description(&self) -> &'static str {
        "Manual"
    }

    fn is_queryable(&self) -> bool {
        false
    }

    fn settings(&self) -> &'static [Setting] {
        &[]
    }

    fn power_on<'a>(&'a self, _: Target<'a>) -> BoxFuture<'a, Result<(), PowerError>> {
        Box::pin(async { Ok(()) })
    }

    fn power_off<'a>(&'a self, _: Target<'a>) -> BoxFuture<'a, Result<(), PowerError>> {
        Box::pin(async { Ok(()) })
    }

    fn query<'a>(&'a self, _: Target<'a>) -> BoxFuture<'a, Result<PowerState, PowerError>> {
        Box::pin(async { Ok(PowerState::Unknown) })
    }
}
