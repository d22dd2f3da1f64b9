//! What the demo shows: a timeline for people, or one JSON object a line for programs.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value, json};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A timeline for people; colours only on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// Who acts in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    /// The mirror that publishes the images.
    Mirror,
    /// The region.
    Region,
    /// The simulated machine.
    Machine,
    /// A user at the API.
    User,
}

impl Party {
    const fn word(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Region => "region",
            Self::Machine => "machine",
            Self::User => "user",
        }
    }

    /// The ANSI colour.
    const fn colour(self) -> u8 {
        match self {
            Self::Mirror => 35,
            Self::Region => 34,
            Self::Machine => 33,
            Self::User => 32,
        }
    }
}

/// The timeline; lines of several tasks never mix.
#[derive(Debug)]
pub(super) struct Timeline {
    style: Style,
    coloured: bool,
    /// The terminal's width, so that a step stays one line.
    width: Option<usize>,
    start: Instant,
    chapter: Mutex<&'static str>,
    /// The result is the last line, whatever the machine goes on to do.
    ended: AtomicBool,
}

impl Timeline {
    pub(super) fn new(style: Style) -> Self {
        let coloured = style == Style::Human
            && std::io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none();
        Self {
            style,
            coloured,
            width: console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns)),
            start: Instant::now(),
            chapter: Mutex::new(""),
            ended: AtomicBool::new(false),
        }
    }

    /// Milliseconds since the demo began.
    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) const fn style(&self) -> Style {
        self.style
    }

    /// Opens a chapter; opening the one that is open changes nothing.
    pub(super) fn chapter(&self, title: &'static str) {
        let mut chapter = self.chapter.lock().unwrap_or_else(PoisonError::into_inner);
        if *chapter == title {
            return;
        }
        *chapter = title;
        if self.style == Style::Human {
            print_line(&if self.coloured {
                format!("\n\x1b[1m{title}\x1b[0m")
            } else {
                format!("\n{title}")
            });
        }
    }

    /// One step.
    pub(super) fn step(&self, party: Party, step: &str, detail: &str) {
        if self.ended.load(Ordering::Acquire) {
            return;
        }
        let elapsed = self.elapsed_ms();
        match self.style {
            Style::Json => {
                let chapter = *self.chapter.lock().unwrap_or_else(PoisonError::into_inner);
                print_line(
                    &json!({"elapsed_ms": elapsed, "chapter": chapter, "party": party.word(),
                            "step": step, "detail": detail})
                    .to_string(),
                );
            }
            Style::Human => print_line(&self.human(elapsed, party, step, detail)),
        }
    }

    fn human(&self, elapsed: u64, party: Party, step: &str, detail: &str) -> String {
        let time = format!("{:>3}.{:03}", elapsed / 1000, elapsed % 1000);
        // Machines' texts may hold anything: a timeline line stays one line.
        let detail: String =
            detail.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        let left = self.width.map_or(LONGEST, |width| width.saturating_sub(MARGIN));
        let detail = clipped(&shortened(&detail), left.clamp(SHORTEST, LONGEST));
        // A status is what everything else is about.
        let bold = step.starts_with(STATUS_MARK);
        let word = party.word();
        if self.coloured {
            let colour = party.colour();
            let weight = if bold { "1" } else { "22" };
            format!(
                "  \x1b[2m{time}\x1b[0m  \x1b[{colour}m{word:<8}\x1b[0m \
                 \x1b[{weight}m{step:<22}\x1b[0m \x1b[2m{detail}\x1b[0m"
            )
        } else {
            format!("  {time}  {word:<8} {step:<22} {detail}").trim_end().to_owned()
        }
    }

    /// A remark for people.
    pub(super) fn note(&self, sentence: &str) {
        if self.style == Style::Human {
            print_line(&format!("\n{sentence}"));
        }
    }

    /// The last line: what came of it. `facts` are added to the JSON object.
    pub(super) fn result(&self, result: &str, sentence: &str, facts: &[(&'static str, Value)]) {
        self.ended.store(true, Ordering::Release);
        match self.style {
            Style::Json => {
                let mut object = Map::new();
                object.insert("result".to_owned(), json!(result));
                object.insert("elapsed_ms".to_owned(), json!(self.elapsed_ms()));
                object
                    .extend(facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
                print_line(&Value::Object(object).to_string());
            }
            Style::Human => {
                let colour = if result == "deployed" { 32 } else { 31 };
                print_line(&if self.coloured {
                    format!("\n\x1b[1;{colour}m{sentence}\x1b[0m")
                } else {
                    format!("\n{sentence}")
                });
                for (name, value) in facts {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    let name = name.replace('_', " ");
                    print_line(&format!("  {name:<14} {value}"));
                }
            }
        }
    }
}

/// Hashes are cut to what an eye can compare.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 8;
    let mut out = String::with_capacity(text.len());
    let mut run = 0;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        run = if letter.is_ascii_hexdigit() { run + 1 } else { 0 };
        out.push(letter);
        let ends = letters.peek().is_none_or(|next| !next.is_ascii_hexdigit());
        if ends && run == 64 {
            out.truncate(out.len() - 64 + SHOWN);
            out.push('…');
        }
    }
    out
}

/// What a step begins with that tells a machine's new status.
pub(super) const STATUS_MARK: char = '→';

/// The longest and the shortest detail on a line for people, in characters; JSON has everything.
const LONGEST: usize = 150;
const SHORTEST: usize = 24;

/// The columns before the detail: time, party and step.
const MARGIN: usize = 2 + 7 + 2 + 8 + 1 + 22 + 1;

fn clipped(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(longest.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A reader that went away (`demo | head`) is no reason to stop the deployment.
#[allow(clippy::let_underscore_must_use, reason = "nobody is left to be told")]
fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timeline(coloured: bool, width: Option<usize>) -> Timeline {
        Timeline { coloured, width, ..Timeline::new(Style::Human) }
    }

    #[test]
    fn a_line_for_people_holds_time_party_step_and_detail_on_one_line() {
        let timeline = timeline(false, None);
        assert_eq!(
            timeline.human(1234, Party::Machine, "netboot", "GET\n/ipxe.cfg"),
            "    1.234  machine  netboot                GET /ipxe.cfg"
        );
    }

    #[test]
    fn a_hash_is_cut_and_everything_else_is_kept() {
        let hash = "a".repeat(64);
        assert_eq!(
            shortened(&format!("/images/{hash}/boot-kernel cafe")),
            "/images/aaaaaaaa…/boot-kernel cafe"
        );
        assert_eq!(shortened(&"b".repeat(65)), "b".repeat(65));
        assert_eq!(clipped(&"x".repeat(500), LONGEST).chars().count(), LONGEST);
    }

    #[test]
    fn colours_say_who_acts_and_only_a_status_is_bold() {
        let timeline = timeline(true, None);
        let status = timeline.human(0, Party::Region, "→ Ready", "");
        assert!(status.contains("\x1b[34mregion") && status.contains("\x1b[1m→ Ready"), "{status}");
        let step = timeline.human(0, Party::Machine, "reboot", "");
        assert!(step.contains("\x1b[33mmachine") && !step.contains("\x1b[1m"), "{step}");
    }

    proptest! {
        #[test]
        fn a_line_fits_the_terminal_and_is_one_line(detail in "\\PC{0,300}|[ -~\n\t\x1b]{0,300}", width in 70usize..200) {
            let line = timeline(false, Some(width)).human(1, Party::User, "step", &detail);
            prop_assert!(line.chars().count() <= width, "{line}");
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}
