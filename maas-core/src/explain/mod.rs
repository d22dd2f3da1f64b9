//! What happened during an installation or a boot: stages with times, and why it failed.
//!
//! cloud-init and curtin report activities by name, `/` between levels. [`stages`] makes a tree
//! of them; [`explain`] finds the innermost failure in it, the command that failed in the log,
//! and a hint from a documented table ([`hints`]).

mod failure;
mod hint;
mod log;
mod stage;

pub use failure::{Explanation, Failure, explain};
pub use hint::{Hint, hints};
pub use log::{FailedCommand, failed_command};
pub use stage::{Outcome, Reported, Stage, stages};
