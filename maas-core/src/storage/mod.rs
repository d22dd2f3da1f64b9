//! Storage: block devices, layouts, the rules that protect a user, and curtin's form of it.
//!
//! [`LayoutRequest::lay_out`] turns what a user asks for and what commissioning found into a
//! [`Storage`] in which every size is decided; [`Storage::check`] says what is wrong with one;
//! [`Storage::curtin`] writes it as curtin storage configuration version 1.

mod check;
mod curtin;
mod device;
mod edit;
mod layout;
mod model;
mod register;
mod size;

pub use check::StorageProblem;
pub use device::{BlockDevice, BootMethod, Platform};
pub use edit::{Edit, EditRefusal, Edited};
pub use layout::{
    BasicOptions, BcacheOptions, CustomDevice, CustomLayout, CustomMount, CustomPartition,
    CustomVolume, LayoutRefusal, LayoutRequest, LvmOptions,
};
pub use model::{
    Bcache, CacheMode, Dataset, Disk, Encrypted, EncryptionKey, Filesystem, LogicalVolume, Mount,
    Partition, PartitionFlag, PartitionTable, Raid, RaidLevel, SpecialMount, Storage, Vmfs,
    VolumeGroup, Zpool,
};
pub use register::VolumeRegister;
pub use size::{InvalidSize, Size};
