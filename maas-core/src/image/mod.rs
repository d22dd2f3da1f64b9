//! Images as a deployment sees them: boot resources, kernels, and which one a machine boots.
//!
//! How an image arrived (mirrored, uploaded) is no concern here; the server hands over what its
//! racks hold as [`BootResource`] values. An ephemeral OS is an [`EphemeralImage`], a type that
//! no custom image converts into.

mod ephemeral;
mod file;
mod kernel;
mod resolve;
mod resource;
mod series;
mod upload;

pub use ephemeral::{EphemeralImage, NotEphemeral};
pub use file::{FileType, ImageFile};
pub use kernel::{InvalidKernel, Kernel, KernelBranch};
pub use resolve::{EphemeralDefaults, Images};
pub use resource::{BootResource, Origin, PackedSeed};
pub use series::Series;
