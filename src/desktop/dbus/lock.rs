//! Whether the screen is locked, as the lockers on the session bus tell it.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt;
use futures_util::stream::{SelectAll, select_all};
use tokio::task::JoinSet;
use tokio::time::timeout;
use zbus::fdo::{DBusProxy, NameOwnerChangedStream};
use zbus::names::{OwnedUniqueName, UniqueName};
use zbus::{Connection, Message, MessageStream};

use super::{PATIENCE, owner};

/// What lockers call themselves; each has an interface of the same name. (Plasma's is the last.)
const NAMES: [&str; 5] = [
    "org.gnome.ScreenSaver",
    "org.mate.ScreenSaver",
    "org.cinnamon.ScreenSaver",
    "org.xfce.ScreenSaver",
    "org.freedesktop.ScreenSaver",
];
const ANY_CHANGE: &str = "type='signal',member='ActiveChanged'";

/// Who can say that the screen is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    Locker(&'static str),
}

/// Whether the screen is locked: it is as long as anybody says so.
#[derive(Default)]
pub struct Lock {
    pub is_wanted: bool,
    said_by: HashSet<Source>,
    /// What the program believes.
    told: bool,
}

impl Lock {
    pub fn says(&mut self, source: Source, is_locked: bool) {
        match is_locked {
            true => self.said_by.insert(source),
            false => self.said_by.remove(&source),
        };
    }

    /// Everybody will be asked anew, or nobody.
    pub fn forget(&mut self) {
        self.said_by.clear();
    }

    /// What the program is to be told, if that is news. While somebody has yet to answer the screen doesn't count as
    /// unlocked.
    pub fn change(&mut self, is_settled: bool) -> Option<bool> {
        let is_locked = !self.said_by.is_empty();
        let is_news = is_locked != self.told && (is_locked || is_settled);
        is_news.then(|| {
            self.told = is_locked;
            is_locked
        })
    }
}

/// The lockers of one life of the bus. Each is asked once, when it is first seen, and from then on tells by itself.
pub struct Lockers {
    connection: Connection,
    changes: MessageStream,
    owners: SelectAll<NameOwnerChangedStream>,
    here: HashMap<&'static str, Locker>,
    answers: JoinSet<(&'static str, OwnedUniqueName, bool)>,
}

struct Locker {
    owner: OwnedUniqueName,
    has_spoken: bool,
}

impl Lockers {
    pub async fn watch(connection: &Connection) -> zbus::Result<Self> {
        let bus = DBusProxy::new(connection).await?;
        let changes = MessageStream::for_match_rule(ANY_CHANGE, connection, None).await?;
        let mut owners = Vec::new();
        for name in NAMES {
            owners.push(bus.receive_name_owner_changed_with_args(&[(0, name)]).await?);
        }
        let mut lockers = Self {
            connection: connection.clone(),
            changes,
            owners: select_all(owners),
            here: HashMap::new(),
            answers: JoinSet::new(),
        };
        for name in NAMES {
            if let Some(owner) = owner(connection, name).await {
                lockers.came(name, owner);
            }
        }
        Ok(lockers)
    }

    /// Whether nobody has yet to answer.
    pub fn are_settled(&self) -> bool {
        self.here.values().all(|locker| locker.has_spoken)
    }

    /// Returns when everybody has answered, or had the time to.
    pub async fn settle(&mut self, lock: &mut Lock) {
        while !self.are_settled() {
            self.hear(lock).await;
        }
    }

    /// Returns when something was said.
    pub async fn hear(&mut self, lock: &mut Lock) {
        // Owners first: who sent a change must be known by then.
        tokio::select! {
            biased;
            Some(change) = self.owners.next() => {
                let Ok(arguments) = change.args() else { return };
                let Some(name) = NAMES.into_iter().find(|name| *name == arguments.name.as_str()) else { return };
                // One that has crashed says nothing any more, and the screen is open.
                self.here.remove(name);
                lock.says(Source::Locker(name), false);
                if let Some(owner) = &*arguments.new_owner {
                    self.came(name, owner.to_owned().into());
                }
            }
            Some(Ok(change)) = self.changes.next() => {
                if let Some((name, is_locked)) = self.said(&change) {
                    lock.says(Source::Locker(name), is_locked);
                }
            }
            Some(Ok((name, owner, is_locked))) = self.answers.join_next() => {
                // A signal that came before the answer is newer, or says the same.
                let asked = self.here.get_mut(name).filter(|locker| locker.owner == owner && !locker.has_spoken);
                if let Some(locker) = asked {
                    locker.has_spoken = true;
                    lock.says(Source::Locker(name), is_locked);
                }
            }
            else => std::future::pending().await,
        }
    }

    fn came(&mut self, name: &'static str, owner: OwnedUniqueName) {
        self.answers.spawn(ask(self.connection.clone(), name, owner.clone()));
        self.here.insert(name, Locker { owner, has_spoken: false });
    }

    /// What a signal says, if it is a locker's own.
    fn said(&mut self, change: &Message) -> Option<(&'static str, bool)> {
        let header = change.header();
        let interface = header.interface()?;
        let name = NAMES.into_iter().find(|name| *name == interface.as_str())?;
        let locker = self.here.get_mut(name)?;
        let sender: &UniqueName<'_> = header.sender()?;
        let is_locked = change.body().deserialize().ok().filter(|_| locker.owner == *sender)?;
        locker.has_spoken = true;
        Some((name, is_locked))
    }
}

/// Asks a locker; one that doesn't answer doesn't lock. By the name that the bus gave it: nobody is started.
async fn ask(
    connection: Connection,
    name: &'static str,
    owner: OwnedUniqueName,
) -> (&'static str, OwnedUniqueName, bool) {
    // Most have an object of their own; MATE's answers at the root.
    let paths = [format!("/{}", name.replace('.', "/")), "/".to_owned()];
    let asked = async {
        for path in &paths {
            let answer = connection.call_method(Some(&owner), path.as_str(), Some(name), "GetActive", &()).await;
            if let Some(is_locked) = answer.ok().and_then(|answer| answer.body().deserialize().ok()) {
                return is_locked;
            }
        }
        false
    };
    let is_locked = timeout(PATIENCE, asked).await.unwrap_or(false);
    (name, owner, is_locked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GNOME: Source = Source::Locker(NAMES[0]);
    const MATE: Source = Source::Locker(NAMES[1]);

    #[test]
    fn the_screen_is_locked_as_long_as_anybody_says_so() {
        let mut lock = Lock::default();
        assert_eq!(lock.change(true), None, "at first it isn't");
        lock.says(GNOME, true);
        assert_eq!((lock.change(true), lock.change(true)), (Some(true), None), "once");
        lock.says(MATE, true);
        lock.says(GNOME, false);
        assert_eq!(lock.change(true), None);
        lock.says(MATE, false);
        assert_eq!(lock.change(true), Some(false));
    }

    #[test]
    fn it_does_not_count_as_unlocked_while_somebody_has_yet_to_answer() {
        let mut lock = Lock::default();
        lock.says(GNOME, true);
        assert_eq!(lock.change(false), Some(true));
        lock.forget();
        assert_eq!((lock.change(false), lock.change(true)), (None, Some(false)));
    }
}
