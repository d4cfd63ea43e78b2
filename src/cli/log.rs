//! Where the log goes and how it looks.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::terminal::LogWriter;
use crate::config::{Log, LogFormat};
use crate::problem::EACH_TIME;

/// Starts logging to stderr. The environment's level wins over the configuration's.
pub fn start(log: &Log) {
    let named = ["MAILKNOCK_LOG", "IMSERIOUS_LOG"].into_iter().find_map(|name| std::env::var(name).ok());
    let level = named.as_deref().and_then(level).unwrap_or(log.max_level);
    // Ours alone: what libraries log at their levels may hold what passes through them.
    let ours = Targets::new().with_target(env!("CARGO_PKG_NAME"), LevelFilter::from_level(level));
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(|| LogWriter)
        .with_target(log.target)
        .with_level(log.level)
        .with_ansi(log.ansi)
        // A closed stderr is no reason to write about it to stderr.
        .log_internal_errors(false);
    let layer = match (log.format, log.timestamp) {
        (LogFormat::Full, true) => layer.boxed(),
        (LogFormat::Full, false) => layer.without_time().boxed(),
        (LogFormat::Compact, true) => layer.compact().boxed(),
        (LogFormat::Compact, false) => layer.compact().without_time().boxed(),
        (LogFormat::Pretty, true) => layer.pretty().boxed(),
        (LogFormat::Pretty, false) => layer.pretty().without_time().boxed(),
        (LogFormat::Json, true) => layer.json().boxed(),
        (LogFormat::Json, false) => layer.json().without_time().boxed(),
    };
    // A second start in one process finds the first one's log in place, which is as good.
    let _ = tracing_subscriber::registry().with(Repeats::default().and_then(layer).with_filter(ours)).try_init();
}

/// Equal warnings are written once in this time.
const MINUTE: Duration = Duration::from_secs(60);
const MAX_KNOWN: usize = 64;

/// Keeps warnings from being repeated: a stranger at the door must not fill the disk with what is said about him.
/// Warnings are equal when their texts are; other fields don't count.
#[derive(Default)]
struct Repeats {
    /// When each was last written, and how many have been left out since.
    known: Mutex<HashMap<u64, (Instant, u64)>>,
}

impl Repeats {
    /// Whether the warning is written now; with how many were left out before it.
    fn admits(&self, warning: u64, now: Instant) -> Option<u64> {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((written, left_out)) = known.get_mut(&warning) {
            if now.duration_since(*written) < MINUTE {
                *left_out += 1;
                return None;
            }
            *written = now;
            return Some(std::mem::take(left_out));
        }
        if known.len() >= MAX_KNOWN {
            let oldest = known.iter().min_by_key(|(_, (written, _))| *written).map(|(warning, _)| *warning);
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        known.insert(warning, (now, 0));
        Some(0)
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        if *event.metadata().level() != Level::WARN || event.metadata().target() == EACH_TIME {
            return true;
        }
        let mut message = Message::default();
        event.record(&mut message);
        let mut hasher = DefaultHasher::new();
        message.0.hash(&mut hasher);
        let admitted = self.admits(hasher.finish(), Instant::now());
        if let Some(left_out @ 1..) = admitted {
            tracing::warn!(target: EACH_TIME, "the next line was left out {left_out} times since it was last written");
        }
        admitted.is_some()
    }
}

/// The text of an event.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string can't fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}

/// `debug`, or a list as IMSErious took it, `warn,imserious=debug`: the last level counts.
fn level(directives: &str) -> Option<Level> {
    directives
        .rsplit(',')
        .find_map(|directive| directive.rsplit('=').next().and_then(|level| level.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_imserious_took_them() {
        assert_eq!(level("debug"), Some(Level::DEBUG));
        assert_eq!(level("warn,imserious=TRACE"), Some(Level::TRACE));
        assert_eq!(level("mailknock=4"), Some(Level::DEBUG));
        assert_eq!(level("nonsense"), None);
        assert_eq!(level(""), None);
    }

    #[test]
    fn equal_warnings_are_written_once_a_minute_and_counted() {
        let repeats = Repeats::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(repeats.admits(1, start), Some(0));
        assert_eq!(repeats.admits(2, start), Some(0));
        for second in 1..=59 {
            assert_eq!(repeats.admits(1, at(second)), None);
        }
        assert_eq!(repeats.admits(1, at(60)), Some(59));
        assert_eq!(repeats.admits(1, at(61)), None);
        for other in 10..10 + MAX_KNOWN as u64 {
            assert_eq!(repeats.admits(other, at(62)), Some(0));
        }
        assert!(repeats.known.lock().unwrap().len() <= MAX_KNOWN);
    }
}
