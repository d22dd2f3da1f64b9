//! Reports that wait for the region, kept through its absence and through the rack's own end.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::rack::reports::RackReport;

/// The most reports that are kept; the oldest go first.
const MOST: usize = 20_000;

/// How many go to the region at a time.
pub(super) const AT_ONCE: usize = 500;

/// The largest file that is read at the start, in bytes.
const LARGEST: u64 = 16 << 20;

/// Reports in the order in which they were made; each is a line of a file until it is delivered.
#[derive(Debug)]
pub(super) struct Queue {
    file: PathBuf,
    waiting: Mutex<VecDeque<RackReport>>,
    come: Notify,
}

impl Queue {
    /// The queue with what was not delivered before; a line that was cut off is left out.
    pub(super) fn open(file: PathBuf) -> Self {
        let small = file.metadata().is_ok_and(|metadata| metadata.len() <= LARGEST);
        let text = if small { std::fs::read_to_string(&file) } else { Ok(String::new()) };
        let text = text.unwrap_or_default();
        let mut waiting: VecDeque<RackReport> =
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let surplus = waiting.len().saturating_sub(MOST);
        waiting.drain(..surplus);
        let queue = Self { file, waiting: Mutex::new(waiting), come: Notify::new() };
        // What is appended from now on must begin a line.
        if let Err(error) = queue.rewrite(&queue.waiting()) {
            tracing::warn!(%error, "reports for the region cannot be kept on disk");
        }
        queue
    }

    pub(super) fn push(&self, report: RackReport) {
        let mut waiting = self.waiting();
        let kept = if waiting.len() >= MOST {
            waiting.pop_front();
            waiting.push_back(report);
            self.rewrite(&waiting)
        } else {
            let kept = self.append(&report);
            waiting.push_back(report);
            kept
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "a report for the region is kept in memory only");
        }
        drop(waiting);
        self.come.notify_one();
    }

    /// Waits until there is something to deliver; the oldest of it.
    pub(super) async fn next(&self) -> Vec<RackReport> {
        loop {
            let come = self.come.notified();
            let some: Vec<RackReport> = self.waiting().iter().take(AT_ONCE).cloned().collect();
            if !some.is_empty() {
                return some;
            }
            come.await;
        }
    }

    /// The oldest so many were delivered.
    pub(super) fn delivered(&self, count: usize) {
        let mut waiting = self.waiting();
        let count = count.min(waiting.len());
        waiting.drain(..count);
        if let Err(error) = self.rewrite(&waiting) {
            tracing::warn!(%error, "delivered reports may be delivered again");
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting().len()
    }

    fn append(&self, report: &RackReport) -> io::Result<()> {
        let mut line = serde_json::to_string(report)?;
        line.push('\n');
        let mut file = std::fs::File::options().append(true).create(true).open(&self.file)?;
        file.write_all(line.as_bytes())
    }

    fn rewrite(&self, waiting: &VecDeque<RackReport>) -> io::Result<()> {
        if waiting.is_empty() {
            return match std::fs::remove_file(&self.file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let mut text = String::new();
        for report in waiting {
            text.push_str(&serde_json::to_string(report)?);
            text.push('\n');
        }
        let part = part_of(&self.file);
        std::fs::write(&part, text)?;
        std::fs::rename(&part, &self.file)
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<RackReport>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn part_of(file: &Path) -> PathBuf {
    file.with_extension("part")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn report(number: u8) -> RackReport {
        RackReport::Leased { mac: format!("{number}"), address: [10, 0, 0, number].into() }
    }

    #[tokio::test]
    async fn what_was_not_delivered_is_there_after_a_restart_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("reports");
        let queue = Queue::open(file.clone());
        (0..5).for_each(|number| queue.push(report(number)));
        assert_eq!(queue.next().await.len(), 5);
        queue.delivered(2);
        queue.push(report(5));
        drop(queue);
        // The rack was killed in the middle of a line.
        let mut text = std::fs::read_to_string(&file).unwrap();
        text.push_str("{\"kind\":\"lea");
        std::fs::write(&file, text).unwrap();
        let queue = Queue::open(file.clone());
        assert_eq!(queue.next().await, [2, 3, 4, 5].map(report));
        queue.push(report(6));
        let again = Queue::open(file.clone());
        assert_eq!(again.len(), 5);
        again.delivered(5);
        assert!(!file.exists());
        assert_eq!(Queue::open(file).len(), 0);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("reports");
        let lines: String =
            (0..MOST).map(|_| serde_json::to_string(&report(1)).unwrap() + "\n").collect();
        std::fs::write(&file, lines).unwrap();
        let queue = Queue::open(file);
        queue.push(report(2));
        assert_eq!(queue.len(), MOST);
        assert_eq!(queue.waiting().back(), Some(&report(2)));
    }
}
