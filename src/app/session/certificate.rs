//! The certificate in use, and when to look at its files again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::Tls;
use crate::listener::Identity;
use crate::problem::Problem;

/// After a failed periodic reload it is tried again in so many minutes as it has failed times, like IMSErious.
const MINUTE: Duration = Duration::from_secs(60);
const MAX_MINUTES: u32 = 15;
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

pub struct Certificate {
    tls: Tls,
    identity: Arc<Identity>,
    /// What the user should mend.
    complaints: Vec<String>,
    due: Option<Timestamp>,
    failures: u32,
}

impl Certificate {
    /// Reads the pair. Where that fails and there is an old one, that stays.
    pub fn load(tls: &Tls, old: Option<&Self>, now: Timestamp) -> Result<Self, Problem> {
        match (Identity::load(tls), old) {
            (Ok(identity), _) => {
                let warnings = identity.warnings.clone();
                Ok(Self::standing(tls, Arc::new(identity), warnings, 0, now))
            }
            (Err(problem), Some(old)) => Ok(old.failed(tls, &problem, now)),
            (Err(problem), None) => Err(problem),
        }
    }

    /// Reads the files again.
    pub fn again(&self, now: Timestamp) -> Self {
        Self::load(&self.tls, Some(self), now).unwrap_or_else(|problem| self.failed(&self.tls, &problem, now))
    }

    fn failed(&self, tls: &Tls, problem: &Problem, now: Timestamp) -> Self {
        let complaint = format!("{problem}; the old certificate stays in use");
        Self::standing(tls, self.identity.clone(), vec![complaint], self.failures.saturating_add(1), now)
    }

    fn standing(
        tls: &Tls,
        identity: Arc<Identity>,
        mut complaints: Vec<String>,
        failures: u32,
        now: Timestamp,
    ) -> Self {
        let (begins, ends) = identity.validity();
        if let Some(begins) = begins.filter(|begins| *begins > now) {
            complaints.push(format!("the certificate isn't valid before {}; senders refuse it", day(begins)));
        }
        if let Some(ends) = ends.filter(|ends| *ends <= now) {
            complaints.push(format!("the certificate expired on {}; senders refuse it", day(ends)));
        }
        let again = tls.periodic_reload.map(|period| match failures {
            0 => period,
            failures => MINUTE * failures.min(MAX_MINUTES),
        });
        let again = again.and_then(|period| now.checked_add(period).ok());
        // Its validity begins and ends by itself.
        // Where nothing is due, a change of the clock is told all the same.
        let in_a_year = now.checked_add(YEAR).ok();
        let due = [again, begins, ends, in_a_year].into_iter().flatten().filter(|moment| *moment > now).min();
        Self { tls: tls.clone(), identity, complaints, due, failures }
    }

    pub fn identity(&self) -> Arc<Identity> {
        self.identity.clone()
    }

    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// When the files are to be read again.
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }
}

fn day(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d").to_string()
}
