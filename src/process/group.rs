//! Process groups, and processes told apart from later ones with the same number.

use super::platform;

pub use platform::own_earlier_with;

/// A process group, told apart from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupId {
    pub id: u32,
    /// When its leader started, in clock ticks since boot; 0 where the system doesn't say.
    pub started: u64,
    /// Empty where the system doesn't say; then nothing of an earlier life is touched.
    pub boot: String,
}

impl GroupId {
    pub(super) fn of(id: u32) -> Self {
        Self { id, started: platform::started_at(id).unwrap_or(0), boot: platform::boot_id() }
    }

    /// Ends what is left of a group that an earlier life of ours started.
    pub async fn end(&self) {
        // After a reboot, or where its number is another process's by now, it is long gone.
        let same_leader = platform::started_at(self.id).is_none_or(|started| started == self.started);
        if !self.boot.is_empty() && self.boot == platform::boot_id() && same_leader {
            platform::end_earlier(self.id).await;
        }
    }
}
