//! One typed network model for bare-metal deployments, and everything it is translated to.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod yaml;
