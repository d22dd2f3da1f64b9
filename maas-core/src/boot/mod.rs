//! Boot files: what boot loaders ask for, and the configurations they are given.
//!
//! [`BootRequest::parse`] turns a requested path into a typed request; [`render`] writes the
//! configuration for iPXE, GRUB or pxelinux; [`CommandLine`] is the kernel's command line.

mod bootloaders;
mod cmdline;
mod grub;
mod ipxe;
mod pxelinux;
mod render;
mod request;

pub use bootloaders::{BadLoader, bootloader_names, check_bootloader, stored_bootloader};
pub use cmdline::{CommandLine, RootFileSystem};
pub use grub::PRELOADER as GRUB_PRELOADER;
pub use ipxe::preloader as ipxe_preloader;
pub use render::{BootConfig, EphemeralBoot, FetchedOver, Loader, render};
pub use request::{BootRequest, Client, RefusedPath};
