//! Remembers which nonces were used, for as long as their timestamp would still be accepted.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::{Credentials, MAX_CLOCK_LAG};

/// A nonce that was used before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Nonce already used: {nonce}")]
pub struct NonceError {
    /// The nonce.
    pub nonce: String,
}

type Key = [u8; 16];

/// The nonces of the last minutes, per consumer and token.
///
/// Ask it after the signature was found good, so that only holders of a secret can fill it. It
/// is bounded: a token keeps its [`NonceWindow::PER_TOKEN`] longest-lived nonces, and when there
/// are too many in all, the token with the most loses its.
#[derive(Debug)]
pub struct NonceWindow {
    inner: Mutex<Inner>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Inner {
    tokens: HashMap<Key, Used>,
    count: usize,
    next_sweep: i64,
}

/// The nonces of one token, by themselves and by when they may be forgotten.
#[derive(Debug, Default)]
struct Used {
    until: HashMap<Key, i64>,
    by_end: BTreeSet<(i64, Key)>,
}

impl NonceWindow {
    /// The most nonces kept for one token.
    pub const PER_TOKEN: usize = 4096;

    /// Seconds between looking through all tokens for nonces to forget.
    const SWEEP_EVERY: i64 = 60;

    /// A window that keeps at most `limit` nonces in all.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { inner: Mutex::default(), limit: limit.max(1) }
    }

    /// Notes the nonce of these credentials; `now` is in seconds of Unix time.
    ///
    /// # Errors
    /// [`NonceError`] when the same consumer and token used it before.
    pub fn check(&self, credentials: &Credentials, now: i64) -> Result<(), NonceError> {
        let token = key(&[&credentials.consumer_key, &credentials.token]);
        let nonce = key(&[&credentials.nonce]);
        let until = credentials.timestamp.saturating_add(MAX_CLOCK_LAG);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        if now >= inner.next_sweep || inner.count >= self.limit {
            inner.sweep(now);
            inner.next_sweep = now.saturating_add(Self::SWEEP_EVERY);
        }
        if inner.count >= self.limit {
            inner.drop_largest();
        }
        let used = inner.tokens.entry(token).or_default();
        let before = used.until.len();
        used.forget_before(now);
        let fresh = !used.until.contains_key(&nonce);
        if fresh {
            used.until.insert(nonce, until);
            used.by_end.insert((until, nonce));
            if used.until.len() > Self::PER_TOKEN {
                used.forget_first();
            }
        }
        inner.count = (inner.count + used.until.len()).saturating_sub(before);
        if fresh { Ok(()) } else { Err(NonceError { nonce: credentials.nonce.clone() }) }
    }

    /// How many nonces are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for NonceWindow {
    /// Keeps half a million: more than 1000 requests a second for five minutes.
    fn default() -> Self {
        Self::new(500_000)
    }
}

impl Inner {
    fn sweep(&mut self, now: i64) {
        self.tokens.retain(|_, used| {
            used.forget_before(now);
            !used.until.is_empty()
        });
        self.count = self.tokens.values().map(|used| used.until.len()).sum();
    }

    fn drop_largest(&mut self) {
        let largest = self.tokens.iter().max_by_key(|(_, used)| used.until.len());
        if let Some(token) = largest.map(|(token, _)| *token) {
            let dropped = self.tokens.remove(&token).map_or(0, |used| used.until.len());
            self.count = self.count.saturating_sub(dropped);
        }
    }
}

impl Used {
    fn forget_before(&mut self, now: i64) {
        while self.by_end.first().is_some_and(|(until, _)| *until < now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, nonce)) = self.by_end.pop_first() {
            self.until.remove(&nonce);
        }
    }
}

/// A fixed-size name for strings of any length; long nonces must not cost memory.
fn key(parts: &[&str]) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut key = Key::default();
    for (to, from) in key.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    key
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn signed(token: &str, nonce: &str, at: i64) -> Credentials {
        let header = format!(
            "OAuth oauth_consumer_key=CK, oauth_token={token}, oauth_signature=&S, \
             oauth_signature_method=PLAINTEXT, oauth_timestamp={at}, oauth_nonce={nonce}"
        );
        Credentials::parse_header(&header).unwrap().unwrap()
    }

    #[test]
    fn a_nonce_is_accepted_once_per_token() {
        let window = NonceWindow::default();
        assert_eq!(window.check(&signed("a", "1", 1000), 1000), Ok(()));
        let again = window.check(&signed("a", "1", 1001), 1001).unwrap_err();
        assert_eq!(again.to_string(), "Nonce already used: 1");
        assert_eq!(window.check(&signed("b", "1", 1000), 1001), Ok(()));
    }

    #[test]
    fn a_nonce_is_kept_as_long_as_its_timestamp_is_accepted() {
        let window = NonceWindow::default();
        let ahead = signed("a", "1", 5000);
        window.check(&ahead, 1000).unwrap();
        for now in [1000, 3000, 5300] {
            assert!(ahead.check_time(now).is_ok() && window.check(&ahead, now).is_err(), "{now}");
        }
        // From here the timestamp refuses it, and the next sweep forgets it.
        assert!(ahead.check_time(5301).is_err());
        let later = 5301 + NonceWindow::SWEEP_EVERY;
        window.check(&signed("b", "2", later), later).unwrap();
        assert_eq!(window.len(), 1);
    }

    #[test]
    fn one_token_cannot_take_all_the_memory() {
        let window = NonceWindow::new(100_000);
        for n in 0..NonceWindow::PER_TOKEN + 50 {
            window.check(&signed("a", &n.to_string(), 1000), 1000).unwrap();
        }
        assert_eq!(window.len(), NonceWindow::PER_TOKEN);
    }

    #[test]
    fn when_all_is_full_the_greediest_pays() {
        let window = NonceWindow::new(10);
        window.check(&signed("modest", "x", 1000), 1000).unwrap();
        for n in 0..20 {
            window.check(&signed("greedy", &n.to_string(), 1000), 1000).unwrap();
        }
        assert!(window.len() <= 10);
        assert!(window.check(&signed("modest", "x", 1000), 1000).is_err());
    }
}
