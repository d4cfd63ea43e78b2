//! `[tray]`: the icon, and what clicks do.

use super::Opener;
use crate::desktop::icons::Theme;
use crate::document::Table;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tray {
    pub enabled: bool,
    pub click: Click,
    /// What opens mail; none means the desktop's mail program.
    pub open: Option<Opener>,
    /// Lines of recent activity in the menu.
    pub recent: usize,
    pub theme: Theme,
}

/// What a click on the icon does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Click {
    Fetch,
    Open,
    Pause,
    None,
}

impl Click {
    pub const NAMES: [(&'static str, Self); 4] =
        [("fetch", Self::Fetch), ("open", Self::Open), ("pause", Self::Pause), ("none", Self::None)];
}

impl Default for Tray {
    fn default() -> Self {
        Self { enabled: true, click: Click::Fetch, open: None, recent: 10, theme: Theme::Auto }
    }
}

impl Tray {
    pub(super) fn read(table: &Table<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            enabled: table.boolean("enabled").unwrap_or(default.enabled),
            click: table.choice("click", &Click::NAMES).unwrap_or(default.click),
            open: table.get("open").and_then(|value| Opener::read(&value)),
            recent: table
                .integer("recent", 0..=30)
                .map_or(default.recent, |recent| usize::try_from(recent).unwrap_or(default.recent)),
            theme: table.choice("theme", &Theme::NAMES).unwrap_or(default.theme),
        }
    }
}
