//! `[history]`: what the record keeps on disk.

use crate::document::Table;
use crate::schema::{Content, Retention};

pub const CONTENTS: [(&str, Content); 3] =
    [("full", Content::Full), ("headers", Content::Headers), ("none", Content::None)];

pub fn read(table: &Table<'_, '_>) -> Retention {
    let default = Retention::default();
    Retention {
        keep: table
            .integer("keep", 0..=1_000_000)
            .map_or(default.keep, |keep| u32::try_from(keep).unwrap_or(default.keep)),
        content: table.choice("content", &CONTENTS).unwrap_or(default.content),
        max_age: table.duration("max_age").unwrap_or(default.max_age),
    }
}
