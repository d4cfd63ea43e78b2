//! Where the log goes and how it looks.

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::terminal::LogWriter;
use crate::config::{Log, LogFormat};

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
    let _ = tracing_subscriber::registry().with(layer.with_filter(ours)).try_init();
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
}
