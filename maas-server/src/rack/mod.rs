//! The rack: everything that a machine fetches before it has an operating system.

mod boot;
pub mod cache;
pub mod dhcp;
pub mod enrolment;
pub mod files;
mod images;
pub mod loaders;
pub mod remote;
pub mod reports;
pub mod tftp;

use crate::http::{Access, Operation, get};
use crate::region::Region;

/// Every operation of the rack, the same names over HTTP that TFTP would have.
#[must_use]
pub fn operations() -> Vec<Operation<Region>> {
    vec![
        get("RackImages", "/images/{*path}", "A file of an image, by its SHA-256.", images::file)
            .access(Access::Anonymous),
        get(
            "RackBootFiles",
            "/{*path}",
            "A boot loader, or the configuration that it asks for.",
            boot::file,
        )
        .access(Access::Anonymous),
    ]
}

/// What racks on other hosts ask of the region.
#[must_use]
pub fn region_operations() -> Vec<Operation<Region>> {
    enrolment::operations()
}

#[cfg(test)]
mod tests;
