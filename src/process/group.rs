//! Process groups, and processes told apart from later ones with the same number.

#[cfg(unix)]
use super::{GRACE_AT_EXIT, Group, LOOK_AGAIN};

/// A process group, told apart from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupId {
    pub id: u32,
    /// When its leader started, in clock ticks since boot; 0 where the system doesn't say.
    pub started: u64,
    pub boot: String,
}

impl GroupId {
    pub(super) fn of(id: u32) -> Self {
        Self { id, started: started_at(id).unwrap_or(0), boot: boot_id() }
    }

    /// Ends what is left of a group that an earlier life of ours started.
    pub async fn end(&self) {
        // After a reboot, or where its number is another process's by now, it is long gone.
        let same_leader = started_at(self.id).is_none_or(|started| started == self.started);
        if self.boot.is_empty() || self.boot != boot_id() || !same_leader {
            return;
        }
        #[cfg(unix)]
        {
            let id = i32::try_from(self.id).ok().and_then(rustix::process::Pid::from_raw);
            let group = Group { id };
            group.terminate();
            let begun = std::time::Instant::now();
            while group.is_alive() && !is_only_dead(self.id) && begun.elapsed() < GRACE_AT_EXIT {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            group.kill();
        }
    }
}

/// Whether all of a group have ended. They stay in it until their parent asks how: for orphans that is the system's
/// first process, and some of those are in no hurry.
#[cfg(target_os = "linux")]
fn is_only_dead(group: u32) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    !processes.flatten().any(|process| {
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let mut fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ');
        let (state, its_group) = (fields.next(), fields.nth(1));
        its_group.and_then(|id| id.parse().ok()) == Some(group) && !matches!(state, Some("Z" | "X"))
    })
}

#[cfg(all(unix, not(target_os = "linux")))]
fn is_only_dead(_group: u32) -> bool {
    false
}

#[cfg(target_os = "linux")]
fn started_at(id: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name may hold blanks and brackets; the start is the 20th field after it (proc(5)).
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn started_at(_id: u32) -> Option<u64> {
    None
}

/// Empty where the system doesn't say; then nothing of an earlier life is touched.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// How many processes of our user have this argument and began before us. 0 where the system doesn't say.
#[cfg(target_os = "linux")]
pub fn own_earlier_with(argument: &str) -> usize {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::geteuid().as_raw();
    let us = (started_at(std::process::id()), std::process::id());
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0 };
    let ids = processes.flatten().filter(|process| process.metadata().is_ok_and(|found| found.uid() == user));
    let ids = ids.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    let has_argument = |id: &u32| {
        let words = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    };
    ids.filter(|id| (started_at(*id), *id) < us).filter(has_argument).count()
}

#[cfg(not(target_os = "linux"))]
pub fn own_earlier_with(_argument: &str) -> usize {
    0
}
