//! `[log]`: what is written to stderr, with IMSErious' keys.

use tracing::Level;

use crate::document::Table;
use crate::handler::log::LEVELS;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    pub max_level: Level,
    pub format: LogFormat,
    pub ansi: bool,
    pub timestamp: bool,
    pub target: bool,
    pub level: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Full,
    Compact,
    Pretty,
    Json,
}

impl LogFormat {
    pub const NAMES: [(&'static str, Self); 4] =
        [("full", Self::Full), ("compact", Self::Compact), ("pretty", Self::Pretty), ("json", Self::Json)];
}

impl Default for Log {
    fn default() -> Self {
        Self {
            max_level: Level::INFO,
            format: LogFormat::Compact,
            ansi: false,
            timestamp: false,
            target: false,
            level: false,
        }
    }
}

impl Log {
    pub(super) fn read(table: &Table<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            max_level: table.choice("max_level", &LEVELS).unwrap_or(default.max_level),
            format: table.choice("format", &LogFormat::NAMES).unwrap_or(default.format),
            ansi: table.boolean("ansi").unwrap_or(default.ansi),
            timestamp: table.boolean("timestamp").unwrap_or(default.timestamp),
            target: table.boolean("target").unwrap_or(default.target),
            level: table.boolean("level").unwrap_or(default.level),
        }
    }
}
