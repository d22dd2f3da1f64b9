//! A deployment, decided as a whole before anything is powered.
//!
//! [`DeploymentPlan::new`] takes what is known of a machine, the images that are there and what
//! the user asks for; it gives every document of the deployment as bytes with a digest, or every
//! reason against it at once. Preview, deployment and audit use this one value.

mod apt;
mod artefact;
mod bundle;
mod configuration;
mod curtin;
mod datasource;
mod decide;
mod diff;
mod digest;
mod endpoints;
mod facts;
pub mod guide;
mod network;
mod options;
mod plan;
mod preseed;
mod problem;

pub use apt::{AptSettings, Repository};
pub use artefact::Artefact;
pub use bundle::BundleError;
pub use configuration::Configuration;
pub use datasource::{Datasource, DatasourceChoice, DatasourceVerdict};
pub use diff::{Change, PlanDifference, diff};
pub(crate) use digest::{hex, sha256_hex};
pub use endpoints::Endpoints;
pub use facts::{Facts, NetworkInterface};
pub use options::{DeploymentOptions, Requester};
pub use plan::DeploymentPlan;
pub use problem::{IgnoredSetting, PlanProblem, Warning};
