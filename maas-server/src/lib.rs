//! Region and rack in one process around `maas-core`.

pub mod simulator;
