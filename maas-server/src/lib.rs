//! Region and rack in one process: the MAAS API, the metadata service, boot files, images, power
//! and persistence around [`maas_core`], whose decisions this crate carries out.
//!
//! | module | does |
//! |---|---|
//! | [`server`] | starts and stops the whole; what embedders use |
//! | [`region`] | load, decide, commit: the only way in which a machine's state changes |
//! | [`api`] | the MAAS API 2.0, one row and one short function an operation |
//! | [`metadata`] | what a machine's own software asks for and reports |
//! | [`rack`] | boot loaders, their configurations, image files |
//! | [`images`] | boot sources, synchronisation, the image store |
//! | [`ui`] | the web page, which is one more client of the API |
//! | [`ipam`] | networks and addresses |
//! | [`worker`] | performs effects, watches deadlines |
//! | [`power`] | power drivers |
//! | [`store`] | persistence: SQLite, PostgreSQL, memory |
//! | [`http`] | bytes to requests and replies to bytes; knows no machine |
//! | [`simulator`] | simulated machines that speak the real protocols |
//! | [`commands`] | the program's sub-commands |

#![forbid(unsafe_code)]

pub mod accounts;
mod addresses;
pub mod api;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod data_dir;
mod deploy;
pub mod devices;
pub mod entropy;
pub mod http;
pub mod images;
pub mod ipam;
pub mod log;
pub mod metadata;
pub mod metrics;
mod names;
mod nodes;
mod plan;
pub mod power;
mod problems;
pub mod rack;
pub mod region;
pub mod server;
pub mod sessions;
mod signals;
pub mod simulator;
pub mod store;
#[cfg(test)]
mod testing;
pub mod ui;
pub mod worker;

/// An error's sentence and those of its causes, joined by `: `.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !sentence.contains(&words) {
            sentence.push_str(": ");
            sentence.push_str(&words);
        }
        next = cause.source();
    }
    sentence
}
