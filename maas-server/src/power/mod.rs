//! Switching machines on and off: one trait, one file per driver, one procedure for all.

mod child;
pub(crate) mod http_client;
mod ipmi;
mod manual;
mod redfish;
pub mod setting;
#[cfg(test)]
mod testing;
mod virsh;
mod webhook;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use maas_core::id::SystemId;
use maas_core::machine::{Power, PowerState};

pub use self::setting::{Setting, describe};

/// A boxed future, so that drivers can be kept in one list.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The machine that a driver is to switch.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Which machine; drivers that tell their peer (webhook) name it.
    pub system_id: &'a SystemId,
    /// The driver's parameters; some are secrets.
    pub parameters: &'a BTreeMap<String, String>,
}

/// A power driver: three questions, no policy.
pub trait PowerDriver: std::fmt::Debug + Send + Sync {
    /// MAAS's name of the driver, e.g. `webhook`.
    fn name(&self) -> &'static str;
    /// What people call it.
    fn description(&self) -> &'static str;
    /// Whether one controller switches several machines.
    fn is_chassis(&self) -> bool {
        false
    }
    /// Whether it can tell the state.
    fn is_queryable(&self) -> bool {
        true
    }
    /// The packages of this host that it would need and that are not there.
    fn missing_packages(&self) -> Vec<&'static str> {
        Vec::new()
    }
    /// How long is waited between two looks at the state after a command.
    fn waits(&self) -> &'static [Duration] {
        &WAITS
    }
    /// What it takes, for the API and for errors.
    fn settings(&self) -> &'static [Setting];
    /// Asks for power; returning does not mean that the machine is on yet.
    fn power_on<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), PowerError>>;
    /// Cuts power; returning does not mean that the machine is off yet.
    fn power_off<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), PowerError>>;
    /// Asks for the state; `Unknown` from a driver that cannot tell.
    fn query<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<PowerState, PowerError>>;
}

/// Why a machine could not be switched; no text holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PowerError {
    /// No such driver.
    #[error("power driver {found:?} is not known: expected one of {expected}")]
    UnknownDriver {
        /// What the machine names.
        found: String,
        /// What there is.
        expected: String,
    },
    /// A parameter is missing or does not fit.
    #[error("power parameter `{name}`: {problem}")]
    Setting {
        /// The parameter.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A program of this host that the driver needs cannot be run.
    #[error("{tool} cannot be run: is the package {package} installed?")]
    Tool {
        /// The program.
        tool: &'static str,
        /// The Debian package that has it.
        package: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The power controller refuses the credentials.
    #[error("the power controller refused the credentials ({detail})")]
    Auth {
        /// Its answer.
        detail: String,
    },
    /// The power controller cannot be reached.
    #[error("the power controller cannot be reached: {detail}")]
    Connection {
        /// Why.
        detail: String,
    },
    /// The power controller answered, but not with success.
    #[error("the power controller answered {detail}")]
    Action {
        /// Its answer.
        detail: String,
    },
    /// The state did not become the wanted one.
    #[error("the machine did not become {wanted:?}: it was still {found:?} after {seconds} s")]
    NotReached {
        /// What was asked for.
        wanted: PowerState,
        /// What it stayed.
        found: PowerState,
        /// How long it was waited for.
        seconds: u64,
    },
}

impl PowerError {
    /// Whether trying again can help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Connection { .. } | Self::Action { .. } | Self::NotReached { .. })
    }

    /// How long is waited before the next attempt when `failed` ones, this one included, came to
    /// nothing; `None` when trying again cannot help, or was tried often enough.
    #[must_use]
    pub fn pause(&self, failed: u32) -> Option<Duration> {
        let index = usize::try_from(failed).ok()?.checked_sub(1)?;
        let most = match self {
            // Each attempt has waited for the state long enough.
            Self::NotReached { .. } => 2,
            _ if self.is_retryable() => PAUSES.len(),
            _ => 0,
        };
        PAUSES[..most].get(index).copied()
    }
}

/// How long is waited between two attempts (boot-and-metadata §5).
const PAUSES: [Duration; 7] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(6),
    Duration::from_secs(8),
    Duration::from_secs(12),
];

/// The longest that one question to a driver may take, whatever the driver's own deadlines.
const DEADLINE: Duration = Duration::from_secs(120);

/// How long is waited between two looks at the state after a command (boot-and-metadata §5).
const WAITS: [Duration; 7] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(6),
    Duration::from_secs(8),
    Duration::from_secs(12),
];

/// The drivers that this server has.
#[derive(Debug)]
pub struct Drivers {
    drivers: Vec<Box<dyn PowerDriver>>,
}

impl Default for Drivers {
    fn default() -> Self {
        Self {
            drivers: vec![
                Box::new(manual::Manual),
                Box::new(ipmi::Ipmi),
                Box::new(redfish::Redfish::default()),
                Box::new(virsh::Virsh),
                Box::new(webhook::Webhook::default()),
            ],
        }
    }
}

impl Drivers {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &dyn PowerDriver> {
        self.drivers.iter().map(AsRef::as_ref)
    }

    /// The driver of that name.
    ///
    /// # Errors
    ///
    /// [`PowerError::UnknownDriver`] naming those that exist.
    pub fn find(&self, name: &str) -> Result<&dyn PowerDriver, PowerError> {
        self.iter().find(|driver| driver.name() == name).ok_or_else(|| PowerError::UnknownDriver {
            found: name.to_owned(),
            expected: self.iter().map(PowerDriver::name).collect::<Vec<_>>().join(", "),
        })
    }

    /// Checks that a machine's parameters are those of its driver.
    ///
    /// # Errors
    ///
    /// [`PowerError`] for an unknown driver, a missing required parameter, or a value that is none
    /// of a parameter's choices.
    pub fn check(
        &self,
        driver: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<(), PowerError> {
        setting::check(self.find(driver)?.settings(), parameters)
    }

    /// Asks for the state.
    ///
    /// # Errors
    ///
    /// The driver's [`PowerError`].
    pub async fn query(&self, id: &SystemId, power: &Power) -> Result<PowerState, PowerError> {
        within(self.find(&power.driver)?.query(target(id, power))).await
    }

    /// Switches on and waits until the machine is on; nothing to do when it is.
    ///
    /// # Errors
    ///
    /// The driver's [`PowerError`], or [`PowerError::NotReached`].
    pub async fn on(&self, id: &SystemId, power: &Power) -> Result<PowerState, PowerError> {
        self.switch(id, power, PowerState::On).await
    }

    /// Switches off and waits until the machine is off; nothing to do when it is.
    ///
    /// # Errors
    ///
    /// The driver's [`PowerError`], or [`PowerError::NotReached`].
    pub async fn off(&self, id: &SystemId, power: &Power) -> Result<PowerState, PowerError> {
        self.switch(id, power, PowerState::Off).await
    }

    /// Off, if it is on, then on: the firmware starts anew.
    ///
    /// # Errors
    ///
    /// The driver's [`PowerError`], or [`PowerError::NotReached`].
    pub async fn cycle(&self, id: &SystemId, power: &Power) -> Result<PowerState, PowerError> {
        self.off(id, power).await?;
        self.on(id, power).await
    }

    async fn switch(
        &self,
        id: &SystemId,
        power: &Power,
        wanted: PowerState,
    ) -> Result<PowerState, PowerError> {
        let driver = self.find(&power.driver)?;
        let target = target(id, power);
        if within(driver.query(target)).await? == wanted {
            return Ok(wanted);
        }
        match wanted {
            PowerState::On => within(driver.power_on(target)).await?,
            _ => within(driver.power_off(target)).await?,
        }
        reach(driver, target, wanted).await
    }
}

fn target<'a>(system_id: &'a SystemId, power: &'a Power) -> Target<'a> {
    Target { system_id, parameters: power.parameters.expose() }
}

/// A driver that hangs must not hold its machine for ever.
async fn within<T>(question: impl Future<Output = Result<T, PowerError>>) -> Result<T, PowerError> {
    tokio::time::timeout(DEADLINE, question).await.unwrap_or_else(|_| {
        let detail = format!("no answer within {} s", DEADLINE.as_secs());
        Err(PowerError::Connection { detail })
    })
}

async fn reach(
    driver: &dyn PowerDriver,
    target: Target<'_>,
    wanted: PowerState,
) -> Result<PowerState, PowerError> {
    let mut found = within(driver.query(target)).await?;
    let mut waited = Duration::ZERO;
    for &wait in driver.waits() {
        // A driver that can never tell is believed; a controller may not know for a moment.
        if found == wanted || (found == PowerState::Unknown && !driver.is_queryable()) {
            return Ok(found);
        }
        tokio::time::sleep(wait).await;
        waited += wait;
        found = within(driver.query(target)).await?;
    }
    if found == wanted || found == PowerState::Unknown {
        return Ok(found);
    }
    Err(PowerError::NotReached { wanted, found, seconds: waited.as_secs() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Mutex;

    use super::*;

    /// A controller that answers questions for the state one after the other.
    #[derive(Debug)]
    struct Scripted(Mutex<Vec<PowerState>>);

    impl PowerDriver for Scripted {
        fn name(&self) -> &'static str {
            "scripted"
        }

        fn description(&self) -> &'static str {
            "Scripted"
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

        fn waits(&self) -> &'static [Duration] {
            const WAITS: [Duration; 5] = [Duration::from_millis(1); 5];
            &WAITS
        }

        fn query<'a>(&'a self, _: Target<'a>) -> BoxFuture<'a, Result<PowerState, PowerError>> {
            Box::pin(async {
                let mut states = self.0.lock().unwrap();
                Ok(if states.len() > 1 { states.remove(0) } else { states[0] })
            })
        }
    }

    fn scripted(states: &[PowerState]) -> (Drivers, SystemId, Power) {
        let driver = Scripted(Mutex::new(states.to_vec()));
        let drivers = Drivers { drivers: vec![Box::new(driver)] };
        (drivers, SystemId::from_entropy(7), testing::power("scripted", &[]))
    }

    #[tokio::test]
    async fn a_state_is_waited_for_also_where_the_controller_does_not_know_it_for_a_moment() {
        use PowerState::{Off, On, Unknown};
        let (drivers, id, power) = scripted(&[Off, Off, Unknown, Unknown, On]);
        assert_eq!(drivers.on(&id, &power).await.unwrap(), On);
        let (drivers, id, power) = scripted(&[Off]);
        let error = drivers.on(&id, &power).await.unwrap_err();
        assert!(matches!(error, PowerError::NotReached { found: PowerState::Off, .. }), "{error}");
    }

    #[test]
    fn an_attempt_follows_after_growing_pauses_unless_it_cannot_help() {
        let pauses = |error: &PowerError| -> Vec<u64> {
            (1..).map_while(|failed| error.pause(failed)).map(|pause| pause.as_secs()).collect()
        };
        let detail = || "x".to_owned();
        let lost = PowerError::Connection { detail: detail() };
        assert_eq!(pauses(&lost), [1, 2, 2, 4, 6, 8, 12]);
        assert_eq!(pauses(&PowerError::Auth { detail: detail() }), [0_u64; 0]);
        let (wanted, found) = (PowerState::On, PowerState::Off);
        assert_eq!(pauses(&PowerError::NotReached { wanted, found, seconds: 33 }), [1, 2]);
        assert_eq!(lost.pause(0), None);
    }
}
