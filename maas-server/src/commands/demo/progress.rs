//! The synchronisation as a progress bar on a terminal, as steps elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use maas_simplestreams::digest::Sha256;
use maas_simplestreams::report::{Event, Reporter};

use super::timeline::{Party, Style, Timeline};

/// Adds up what arrives.
pub(super) struct Progress<'a> {
    timeline: &'a Timeline,
    bar: Option<ProgressBar>,
    files: Mutex<BTreeMap<Sha256, (u64, u64)>>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(timeline: &'a Timeline) -> Self {
        let terminal = timeline.style() == Style::Human && std::io::stderr().is_terminal();
        let bar = terminal.then(|| {
            let bar = ProgressBar::new(0);
            let style = ProgressStyle::with_template(
                "         images   {bar:32.blue} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            );
            // A template that does not parse would be a mistake here; the plain bar does too.
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar
        });
        Self { timeline, bar, files: Mutex::default() }
    }

    fn arrived(&self, sha256: Sha256, received: u64, size: u64) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(sha256, (received, size));
        if let Some(bar) = &self.bar {
            let (received, size) =
                files.values().fold((0, 0), |(all, of), (one, size)| (all + one, of + size));
            bar.set_length(size);
            bar.set_position(received);
        }
    }
}

impl Reporter for Progress<'_> {
    fn report(&self, event: Event) {
        match event {
            Event::Started { sha256, size, resumed_at, .. } => {
                self.arrived(sha256, resumed_at, size);
            }
            Event::Progressed { sha256, received, size } => self.arrived(sha256, received, size),
            Event::Finished { sha256, size } => {
                self.arrived(sha256, size, size);
                if self.bar.is_none() {
                    let detail = format!("sha256 {:.12}…, {} KiB", sha256.to_string(), size >> 10);
                    self.timeline.step(Party::Region, "fetched", &detail);
                }
            }
            Event::Retrying { attempt, reason, .. } => {
                let detail = format!("attempt {attempt} failed: {reason}");
                self.timeline.step(Party::Region, "tries again", &detail);
            }
            Event::Failed { reason, .. } => {
                self.timeline.step(Party::Region, "cannot fetch", &reason);
            }
            _ => {}
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
