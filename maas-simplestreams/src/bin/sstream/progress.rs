//! Showing what happens: bars on a terminal, one line per event otherwise, JSON for machines.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use maas_simplestreams::digest::Sha256;
use maas_simplestreams::report::{Event, Measured, Meter, Reporter};
use serde_json::{Value, json};

/// Machines are told of a file that arrives no more often than this.
const JSON_PAUSE: Duration = Duration::from_millis(250);
/// Readers of a log are told of what arrives no more often than this.
const LINE_PAUSE: Duration = Duration::from_secs(10);
/// Lines are written at once when the last ones are older than this, otherwise together with later
/// ones: thousands of small files would cost more for their lines than for their bytes.
const WRITE_PAUSE: Duration = Duration::from_millis(200);
/// So many bytes of lines are written in any case.
const WRITE_SIZE: usize = 8 << 10;
const FILE_BAR: &str = "{bar:30} {bytes:>11}/{total_bytes:11} {bytes_per_sec:>13} {eta:>5} {msg}";

/// Shows events in the way that suits the output.
pub(crate) struct Progress {
    form: Form,
    begun: Instant,
    seen: Mutex<Seen>,
}

enum Form {
    Bars(MultiProgress),
    Lines,
    Json,
}

/// What was seen of the transfers so far.
#[derive(Default)]
struct Seen {
    meter: Meter,
    names: HashMap<Sha256, String>,
    bars: HashMap<Sha256, ProgressBar>,
    all: Option<ProgressBar>,
    /// When something was last said of a file; of all of them under `None`.
    said: HashMap<Option<Sha256>, Duration>,
    /// Lines that are not written yet, and when lines were last written.
    lines: String,
    written: Option<Duration>,
}

impl Seen {
    /// How the events call a file: by its name once it is known.
    fn name(&self, sha256: &Sha256) -> String {
        self.names.get(sha256).cloned().unwrap_or_else(|| sha256.to_string())
    }

    /// Whether it is time to write lines.
    fn is_time_to_write(&self, event: &Event, at: Duration) -> bool {
        let is_trouble = matches!(event, Event::Retrying { .. } | Event::Failed { .. });
        let is_due = self.written.is_none_or(|written| at >= written + WRITE_PAUSE);
        !self.lines.is_empty() && (is_trouble || is_due || self.lines.len() >= WRITE_SIZE)
    }

    /// Whether it is time to speak of a file again.
    fn is_due(&mut self, about: Option<Sha256>, at: Duration, pause: Duration) -> bool {
        let last = match about {
            Some(_) => self.said.get(&about).copied(),
            // Of all files for the first time when there is something to say.
            None => Some(self.said.get(&None).copied().unwrap_or_default()),
        };
        let is_due = last.is_none_or(|last| at >= last + pause);
        if is_due {
            self.said.insert(about, at);
        }
        is_due
    }
}

impl Progress {
    pub(crate) fn new(json: bool) -> Self {
        let form = if json {
            Form::Json
        } else if std::io::stderr().is_terminal() {
            Form::Bars(MultiProgress::new())
        } else {
            Form::Lines
        };
        Self { form, begun: Instant::now(), seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Form {
    /// Writes lines where this form's readers look for them.
    fn write(&self, lines: &str) {
        // Whoever read the events may have gone; the work goes on.
        match self {
            Self::Json => std::io::stdout().write_all(lines.as_bytes()).ok(),
            Self::Lines | Self::Bars(_) => std::io::stderr().write_all(lines.as_bytes()).ok(),
        };
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.seen().lines);
        if !lines.is_empty() {
            self.form.write(&lines);
        }
        if let Some(all) = &self.seen().all {
            all.finish_and_clear();
        }
    }
}

impl Reporter for Progress {
    fn report(&self, event: Event) {
        let at = self.begun.elapsed();
        let mut seen = self.seen();
        seen.meter.take(&event, at);
        if let Event::Started { sha256, url, .. } = &event {
            seen.names.insert(*sha256, url.clone());
        }
        let text = match &self.form {
            Form::Bars(bars) => {
                draw(bars, &mut seen, &event, at);
                None
            }
            Form::Lines => line(&mut seen, &event, at),
            Form::Json => value(&mut seen, &event, at).map(|value| value.to_string()),
        };
        if let Some(text) = text {
            seen.lines.push_str(&text);
            seen.lines.push('\n');
        }
        if seen.is_time_to_write(&event, at) {
            self.form.write(&std::mem::take(&mut seen.lines));
            seen.written = Some(at);
        }
        if let Event::Finished { sha256, .. } | Event::Failed { sha256, .. } = &event {
            seen.names.remove(sha256);
            seen.said.remove(&Some(*sha256));
        }
    }
}

fn bar(bars: &MultiProgress, size: u64, message: String) -> ProgressBar {
    let bar = bars.add(ProgressBar::new(size));
    let style = ProgressStyle::with_template(FILE_BAR);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(message);
    bar
}

fn draw(bars: &MultiProgress, seen: &mut Seen, event: &Event, at: Duration) {
    match event {
        Event::Planned { files, bytes, missing } if *files > 0 => {
            let all = bar(bars, *bytes, format!("{files} files in all"));
            // What an earlier attempt left is no speed of this one.
            all.reset();
            all.set_position(bytes.saturating_sub(*missing));
            seen.all = Some(all);
        }
        Event::Started { sha256, url, size, resumed_at } => {
            let name = url.rsplit('/').next().unwrap_or_default().to_owned();
            let bar = seen.bars.entry(*sha256).or_insert_with(|| bar(bars, *size, name));
            bar.set_position(*resumed_at);
        }
        Event::Progressed { sha256, received, .. } => {
            if let Some(bar) = seen.bars.get(sha256) {
                bar.set_position(*received);
            }
        }
        Event::Finished { sha256, .. } | Event::Failed { sha256, .. } => {
            if let Some(bar) = seen.bars.remove(sha256) {
                bar.finish_and_clear();
            }
        }
        _ => {}
    }
    if let Some(all) = &seen.all {
        all.set_position(seen.meter.total(at).received);
    }
    if let Event::Retrying { .. } | Event::Failed { .. } = event
        && let Some(line) = line(seen, event, at)
    {
        bars.suspend(|| eprintln!("{line}"));
    }
}

/// `3.1 MiB/s, 2 minutes left`.
fn pace(measured: &Measured) -> String {
    let left = measured.remaining.map(|time| format!(", {:#} left", HumanDuration(time)));
    format!("{}/s{}", HumanBytes(whole(measured.rate)), left.unwrap_or_default())
}

/// A rate without its fraction.
fn whole(rate: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
    let rate = rate as u64;
    rate
}

fn line(seen: &mut Seen, event: &Event, at: Duration) -> Option<String> {
    match event {
        Event::Planned { files: 0, .. } => Some("nothing to fetch".to_owned()),
        Event::Planned { files, bytes, missing } => {
            Some(format!("{files} files, {bytes} bytes, of which {missing} are to be fetched"))
        }
        Event::Started { url, size, resumed_at: 0, .. } => {
            Some(format!("fetching {url} ({size} bytes)"))
        }
        Event::Started { url, size, resumed_at, .. } => {
            Some(format!("fetching {url} ({size} bytes, {resumed_at} of them are there)"))
        }
        Event::Progressed { .. } => {
            if !seen.is_due(None, at, LINE_PAUSE) {
                return None;
            }
            let all = seen.meter.total(at);
            Some(format!("{} of {} bytes, {}", all.received, all.size, pace(&all)))
        }
        Event::Retrying { sha256, attempt, reason } => {
            Some(format!("attempt {attempt} for {} failed: {reason}", seen.name(sha256)))
        }
        Event::Finished { sha256, size } => {
            Some(format!("fetched {} ({size} bytes)", seen.name(sha256)))
        }
        Event::AlreadyPresent { sha256, size } => {
            Some(format!("{} is there already ({size} bytes)", seen.name(sha256)))
        }
        Event::Failed { sha256, reason } => Some(format!("{} failed: {reason}", seen.name(sha256))),
        _ => None,
    }
}

/// Bytes, bytes per second, and the seconds that the rest takes.
fn measures(measured: &Measured) -> Value {
    json!({
        "received": measured.received, "size": measured.size, "rate": whole(measured.rate),
        "eta": measured.remaining.map(|time| time.as_secs()),
    })
}

fn value(seen: &mut Seen, event: &Event, at: Duration) -> Option<Value> {
    match event {
        Event::Planned { files, bytes, missing } => {
            Some(json!({"event": "planned", "files": files, "bytes": bytes, "missing": missing}))
        }
        Event::Started { sha256, url, size, resumed_at } => Some(json!({
            "event": "started", "sha256": sha256.to_string(), "url": url, "size": size,
            "resumed_at": resumed_at,
        })),
        Event::Progressed { sha256, .. } => {
            if !seen.is_due(Some(*sha256), at, JSON_PAUSE) {
                return None;
            }
            let mut value = measures(&seen.meter.file(sha256, at).unwrap_or_default());
            let fields = value.as_object_mut()?;
            fields.insert("event".to_owned(), "progressed".into());
            fields.insert("sha256".to_owned(), sha256.to_string().into());
            fields.insert("total".to_owned(), measures(&seen.meter.total(at)));
            Some(value)
        }
        Event::Retrying { sha256, attempt, reason } => Some(json!({
            "event": "retrying", "sha256": sha256.to_string(), "attempt": attempt,
            "reason": reason,
        })),
        Event::Finished { sha256, size } => Some(json!({
            "event": "finished", "sha256": sha256.to_string(), "size": size,
            "total": measures(&seen.meter.total(at)),
        })),
        Event::AlreadyPresent { sha256, size } => {
            Some(json!({"event": "already-present", "sha256": sha256.to_string(), "size": size}))
        }
        Event::Failed { sha256, reason } => {
            Some(json!({"event": "failed", "sha256": sha256.to_string(), "reason": reason}))
        }
        _ => None,
    }
}
