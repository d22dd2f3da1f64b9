//! cloud-init's documents: pre-seeds for ephemeral systems, meta data, vendor data, user data.

mod meta_data;
mod mime;
mod preseed;
mod schema;
mod user_data;
mod vendor_data;

pub use meta_data::{MetaData, listing};
pub(crate) use mime::folded;
pub use mime::{Part, compose, runner_user_data};
pub(crate) use preseed::cloud_config;
pub use preseed::{
    EphemeralPurpose, EphemeralSettings, credentials_document, preseed, reporting_document,
};
pub use user_data::{
    CheckedUserData, UserDataKind, UserDataProblem, check_user_data, decode_upload,
};
pub use vendor_data::{DefaultUser, HardwareSync, VendorData, WriteFile};

/// The first line of every cloud-config.
pub const CLOUD_CONFIG: &str = "#cloud-config\n";
