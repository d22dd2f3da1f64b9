//! Region and rack in one process: the MAAS API, the metadata service, boot files and images.

pub mod http;
