//! Requests of our own that must arrive: how a way that leads here is told from one that leads elsewhere.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::rand::{SecureRandom, SystemRandom};

const BYTES: usize = 16;

/// What is waited for.
#[derive(Debug, Clone, Default)]
pub struct Probes(Arc<Mutex<HashMap<String, bool>>>);

/// A word that is waited for, as long as this lives.
#[derive(Debug)]
pub struct Awaited {
    nonce: String,
    probes: Probes,
}

/// A word that nobody guesses; none where the system has no chance to give.
pub fn nonce() -> Option<String> {
    let mut bytes = [0_u8; BYTES];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Probes {
    /// None where the system has no chance to give.
    pub fn expect(&self) -> Option<Awaited> {
        let nonce = nonce()?;
        self.lock().insert(nonce.clone(), false);
        Some(Awaited { nonce, probes: self.clone() })
    }

    /// A word has come; false for one that nobody waits for.
    pub fn arrived(&self, nonce: &str) -> bool {
        self.lock().get_mut(nonce).map(|has_come| *has_come = true).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Awaited {
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    pub fn has_come(&self) -> bool {
        self.probes.lock().get(&self.nonce).copied().unwrap_or(false)
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.probes.lock().remove(&self.nonce);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_waited_for_arrives_and_only_as_long() {
        let probes = Probes::default();
        let (one, other) = (probes.expect().unwrap(), probes.expect().unwrap());
        assert!(probes.arrived(one.nonce()) && one.has_come() && !other.has_come());
        assert!(!probes.arrived("") && !probes.arrived(&one.nonce()[1..]));
        let word = one.nonce().to_owned();
        drop(one);
        assert!(!probes.arrived(&word));
    }
}
