//! What the region's scripts print on a simulated machine.

use serde_json::Value;

use super::bundle::Script;
use crate::simulator::boot::Boot;
use crate::simulator::client::{Agent, Request};
use crate::simulator::event::Stage;
use crate::simulator::hardware;

/// What a script left behind.
#[derive(Debug, Clone, Default)]
pub(super) struct Output {
    pub(super) exit_status: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// The result document (`RESULT_PATH`).
    pub(super) result: Option<String>,
    /// The BMC that was found (`BMC_CONFIG_PATH`).
    pub(super) power: Option<Value>,
    /// Seconds.
    pub(super) runtime: f64,
    /// The machine went off while it ran.
    pub(super) power_failed: bool,
}

impl Output {
    pub(super) fn said(text: &str) -> Self {
        Self { stdout: format!("{text}\n").into_bytes(), runtime: 0.25, ..Self::default() }
    }

    pub(super) fn failed(status: i32, text: &str) -> Self {
        Self {
            exit_status: status,
            stderr: format!("{text}\n").into_bytes(),
            runtime: 0.25,
            ..Self::default()
        }
    }
}

/// Runs a script: known names print what they print on real hardware, all others one line.
pub(super) async fn run(boot: &Boot, script: &Script) -> Output {
    // Such scripts first fetch the program that reads the hardware.
    if script.mentions("/machine-resources/") {
        let url = boot.shared.rack.join("/MAAS/machine-resources/amd64");
        if let Ok(url) = url
            && let Err(error) = boot.wire().send(Request::get(Agent::Wget, url.as_str())).await
        {
            boot.tell(Stage::Problem, format!("{}: {error}", script.name)).await;
        }
    }
    let state = boot.machine.read(Clone::clone);
    match script.name.as_str() {
        "20-maas-03-machine-resources" | "50-maas-01-commissioning" => {
            Output::said(&hardware::resources(&state).to_string())
        }
        "maas-kernel-cmdline" => {
            Output::said(&format!("nomodeset ro overlayroot=tmpfs BOOTIF=01-{}", boot.mac.dashes()))
        }
        "maas-lshw" => Output::said(&hardware::lshw(&state)),
        "maas-list-modaliases" => Output::said(&hardware::modaliases(&state)),
        "maas-capture-lldpd" => Output::said(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<lldp label=\"LLDP neighbors\"/>",
        ),
        "maas-serial-ports" => Output::said(
            "serinfo:1.0 driver revision:\n0: uart:16550A port:000003F8 irq:4 tx:0 rx:0",
        ),
        "smartctl-validate" => Output {
            result: Some("status: passed\n".to_owned()),
            ..Output::said("SMART overall-health self-assessment test result: PASSED")
        },
        name => Output::said(&format!("{name}: nothing to do on a simulated machine")),
    }
}
