//! What has been reported before.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::event::EntryId;

/// Identities are kept by number, not by the clock: a server that is asleep for a week still repeats its last message.
pub const MAX_IDENTITIES: usize = 4096;
/// A sender that missed our answer tries again within seconds.
const REPEATED_WITHIN: Duration = Duration::from_secs(10);
const MAX_REQUESTS: usize = 1024;

#[derive(Debug, Default)]
pub struct Seen {
    identities: HashMap<u64, EntryId>,
    order: VecDeque<u64>,
    requests: VecDeque<(u64, Instant)>,
}

impl Seen {
    pub fn from_identities(identities: impl IntoIterator<Item = u64>) -> Self {
        let mut seen = Self::default();
        // Which entry it was matters only while that is in memory.
        identities.into_iter().for_each(|identity| seen.remember(identity, EntryId(0)));
        seen
    }

    pub fn find(&self, identity: u64) -> Option<EntryId> {
        self.identities.get(&identity).copied()
    }

    pub fn remember(&mut self, identity: u64, entry: EntryId) {
        if self.identities.insert(identity, entry).is_none() {
            self.order.push_back(identity);
        }
        if self.order.len() > MAX_IDENTITIES
            && let Some(oldest) = self.order.pop_front()
        {
            self.identities.remove(&oldest);
        }
    }

    /// Whether the request is known; remembers it otherwise.
    pub fn is_repeated_request(&mut self, fingerprint: u64, now: Instant) -> bool {
        while self.requests.front().is_some_and(|(_, then)| now.duration_since(*then) >= REPEATED_WITHIN) {
            self.requests.pop_front();
        }
        if self.requests.iter().any(|(known, _)| *known == fingerprint) {
            return true;
        }
        if self.requests.len() == MAX_REQUESTS {
            self.requests.pop_front();
        }
        self.requests.push_back((fingerprint, now));
        false
    }
}

/// FNV-1a, 64 bits: the same in every version and on every machine, as what is on disk must be.
pub fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_kept_by_number() {
        let mut seen = Seen::from_identities(0..MAX_IDENTITIES as u64);
        assert!(seen.find(0).is_some());
        seen.remember(u64::MAX, EntryId(1));
        assert!(seen.find(0).is_none() && seen.find(1).is_some() && seen.find(u64::MAX) == Some(EntryId(1)));
    }

    #[test]
    fn a_request_repeats_within_ten_seconds_only() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        assert!(!seen.is_repeated_request(7, now));
        assert!(seen.is_repeated_request(7, now + Duration::from_secs(9)));
        assert!(!seen.is_repeated_request(7, now + Duration::from_secs(10)));
    }

    #[test]
    fn the_digest_never_changes() {
        assert_eq!(digest(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(digest(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
