//! Showing what happens: bars on a terminal, one line per event otherwise, JSON for machines.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use maas_simplestreams::digest::Sha256;
use maas_simplestreams::report::{Event, Reporter};
use serde_json::json;

/// Shows events in the way that suits the output.
pub(crate) enum Progress {
    Bars(MultiProgress, Mutex<HashMap<Sha256, ProgressBar>>),
    Lines,
    Json,
}

impl Progress {
    pub(crate) fn new(json: bool) -> Self {
        if json {
            Self::Json
        } else if std::io::stderr().is_terminal() {
            Self::Bars(MultiProgress::new(), Mutex::default())
        } else {
            Self::Lines
        }
    }
}

impl Reporter for Progress {
    fn report(&self, event: Event) {
        match self {
            Self::Bars(all, bars) => draw(all, bars, event),
            Self::Lines => {
                if let Some(line) = line(&event) {
                    eprintln!("{line}");
                }
            }
            Self::Json => {
                if let Some(value) = value(&event) {
                    println!("{value}");
                }
            }
        }
    }
}

fn draw(all: &MultiProgress, bars: &Mutex<HashMap<Sha256, ProgressBar>>, event: Event) {
    let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
    match event {
        Event::Started { sha256, url, size, resumed_at } => {
            let bar = bars.entry(sha256).or_insert_with(|| {
                let style =
                    "{bar:30} {bytes:>10}/{total_bytes:10} {bytes_per_sec:>12} {eta:>5} {msg}";
                let style = ProgressStyle::with_template(style);
                let bar = all.add(ProgressBar::new(size));
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar
            });
            bar.set_message(url.rsplit('/').next().unwrap_or_default().to_owned());
            bar.set_position(resumed_at);
        }
        Event::Progressed { sha256, received, .. } => {
            if let Some(bar) = bars.get(&sha256) {
                bar.set_position(received);
            }
        }
        Event::Finished { sha256, .. } => {
            if let Some(bar) = bars.remove(&sha256) {
                bar.finish_and_clear();
            }
        }
        other => {
            if let Some(line) = line(&other) {
                all.suspend(|| eprintln!("{line}"));
            }
        }
    }
}

fn line(event: &Event) -> Option<String> {
    match event {
        Event::Started { url, size, resumed_at: 0, .. } => {
            Some(format!("fetching {url} ({size} bytes)"))
        }
        Event::Started { url, size, resumed_at, .. } => {
            Some(format!("fetching {url} ({size} bytes, from {resumed_at})"))
        }
        Event::Retrying { sha256, attempt, reason } => {
            Some(format!("attempt {attempt} for {sha256} failed: {reason}"))
        }
        Event::Failed { sha256, reason } => Some(format!("{sha256} failed: {reason}")),
        _ => None,
    }
}

fn value(event: &Event) -> Option<serde_json::Value> {
    let sha = |sha256: &Sha256| sha256.to_string();
    match event {
        Event::Started { sha256, url, size, resumed_at } => Some(json!(
            {"event": "started", "sha256": sha(sha256), "url": url, "size": size, "resumed_at": resumed_at})),
        Event::Progressed { sha256, received, size } => Some(json!(
            {"event": "progressed", "sha256": sha(sha256), "received": received, "size": size})),
        Event::Retrying { sha256, attempt, reason } => Some(json!(
            {"event": "retrying", "sha256": sha(sha256), "attempt": attempt, "reason": reason})),
        Event::Finished { sha256, size } => {
            Some(json!({"event": "finished", "sha256": sha(sha256), "size": size}))
        }
        Event::AlreadyPresent { sha256, size } => {
            Some(json!({"event": "already-present", "sha256": sha(sha256), "size": size}))
        }
        Event::Failed { sha256, reason } => {
            Some(json!({"event": "failed", "sha256": sha(sha256), "reason": reason}))
        }
        _ => None,
    }
}
