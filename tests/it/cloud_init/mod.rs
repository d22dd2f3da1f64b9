//! A machine's whole life with the distribution's own cloud-init, which nobody here wrote.
//!
//! The machine is a Debian root booted stage by stage (`tests/cloud_init/boot`); the firmware's
//! and the initrd's part is played here, curtin's by `tests/cloud_init/curtin`. Our runner, our
//! resources program and the real cloud-init run in it and speak to a real region and rack.
//!
//! Needs root, debootstrap and, once, a Debian mirror; says `SKIPPED: …` without them, and fails
//! instead when `MAAS_TEST_PEERS=require` is set.

#![allow(clippy::unwrap_used)]

mod machine;
mod story;

use crate::region::Running;

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_lives_its_whole_life_with_the_real_cloud_init() {
    let running = Running::start().await;
    story::whole_life(&running.region).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_datasource_is_refused_with_keys_that_are_nobodys() {
    let running = Running::start().await;
    story::wrong_credentials_are_refused(&running.region).await;
    running.stop().await;
}
