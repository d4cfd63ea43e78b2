//! The fake of `org.freedesktop.Notifications` (Desktop Notifications Specification 1.2).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use zbus6::OwnedVariant;
use zbus6::message::Header;
use zbus6::names::BusName;
use zbus6::object_server::SignalEmitter;
use zbus6::{DBusError, fdo};

pub const NAME: &str = "org.freedesktop.Notifications";
pub const PATH: &str = "/org/freedesktop/Notifications";

/// One call of `Notify`, as it came over the bus, and the id it was given.
#[derive(Debug)]
pub struct Notification {
    pub id: u32,
    pub app_name: String,
    /// 0 for a new one.
    pub replaces_id: u32,
    pub icon: String,
    pub summary: String,
    pub body: String,
    /// Keys and labels in turn.
    pub actions: Vec<String>,
    pub hints: HashMap<String, OwnedVariant>,
    /// Milliseconds; -1 leaves it to the service, 0 is never.
    pub timeout: i32,
}

impl Notification {
    /// The label of an action, if the notification offers it.
    pub fn action(&self, key: &str) -> Option<&str> {
        let pair = self.actions.chunks(2).find(|pair| pair.first().is_some_and(|found| found == key))?;
        pair.get(1).map(String::as_str)
    }

    /// A hint as text, number or truth value. Panics where it has another type: the type is part of the protocol.
    #[track_caller]
    pub fn hint<T: TryFrom<OwnedVariant>>(&self, name: &str) -> Option<T> {
        let value = self.hints.get(name)?.try_clone().expect("no file descriptors in hints");
        let shown = format!("{value:?}");
        Some(T::try_from(value).unwrap_or_else(|_| panic!("hint `{name}` has another type: {shown}")))
    }
}

/// Signals about a notification go only to the program that showed it, as dunst does it. Others tell everybody; a
/// program that hears the one hears the other too.
pub fn to_owner<'a>(emitter: SignalEmitter<'a>, owner: &str) -> SignalEmitter<'a> {
    let name = BusName::try_from(owner.to_owned()).expect("it came from the bus");
    emitter.set_destination(name)
}

/// How the service treats the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    #[default]
    Answer,
    /// Answers with an error.
    Refuse,
    /// Answers with an error what says the same as the last one that it took, within a second, as Plasma does.
    RefuseRepeats,
    /// Answers as if everything were such a repeat.
    RefuseAsRepeats,
    /// Takes the call and answers only when it behaves otherwise again, as a stopped process does.
    Hang,
}

/// Texts and actions.
type Says = (String, String, Vec<String>);

/// What the service was told. It outlives the service itself.
#[derive(Debug, Default)]
pub struct Seen {
    pub notifications: VecDeque<Notification>,
    pub withdrawn: VecDeque<u32>,
    /// What is on the screen, and which program put it there last, by its name on the bus.
    pub shown: BTreeMap<u32, String>,
    pub behaviour: Behaviour,
    /// The texts of what was refused.
    pub refused: Vec<String>,
    /// What the last one that was taken says, and when it came.
    last: Option<(Says, Instant)>,
    /// Calls of `Notify` that are not answered yet.
    pub hanging: usize,
    /// Plasma's property, on services that have it, and how often it was asked for.
    pub inhibited: Option<bool>,
    pub asked_inhibited: usize,
    /// How many services there have been.
    lives: u32,
}

pub struct FakeNotifications {
    seen: Arc<Mutex<Seen>>,
    capabilities: Vec<String>,
    last_id: u32,
    life: u32,
}

impl FakeNotifications {
    pub fn new(seen: Arc<Mutex<Seen>>, capabilities: Vec<String>) -> FakeNotifications {
        let life = {
            let mut seen = seen.lock().expect("no test failed while it held this");
            seen.shown.clear();
            seen.behaviour = Behaviour::Answer;
            seen.hanging = 0;
            seen.lives += 1;
            seen.lives
        };
        FakeNotifications { seen, capabilities, last_id: 0, life }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no test failed while it held this")
    }

    async fn behave(&self) -> fdo::Result<()> {
        loop {
            let (behaviour, life) = {
                let seen = self.seen();
                (seen.behaviour, seen.lives)
            };
            match behaviour {
                // What hung when the service ended is never answered, not even by the next one.
                _ if life != self.life => std::future::pending().await,
                Behaviour::Answer | Behaviour::RefuseRepeats | Behaviour::RefuseAsRepeats => return Ok(()),
                Behaviour::Refuse => return Err(fdo::Error::Failed("not in the mood".to_owned())),
                Behaviour::Hang => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
}

impl FakeNotifications {
    /// What Plasma compares, to what it took last: `server_p.cpp` of its libnotificationmanager.
    fn refuse_repeats(&self, summary: &str, body: &str, actions: &[String]) -> Result<(), Refusal> {
        let mut seen = self.seen();
        let says = (summary.to_owned(), body.to_owned(), actions.to_vec());
        let is_repeat =
            seen.last.as_ref().is_some_and(|(last, at)| *last == says && at.elapsed() < Duration::from_secs(1));
        match seen.behaviour {
            Behaviour::RefuseRepeats if !is_repeat => {}
            Behaviour::RefuseRepeats | Behaviour::RefuseAsRepeats => {
                seen.refused.push(summary.to_owned());
                let why = "Created too many similar notifications in quick succession";
                return Err(Refusal::ExcessNotificationGeneration(why.to_owned()));
            }
            _ => {}
        }
        seen.last = Some((says, Instant::now()));
        Ok(())
    }
}

#[derive(Debug, DBusError)]
#[zbus(crate = "zbus6", prefix = "org.freedesktop.Notifications.Error")]
enum Refusal {
    #[zbus(error)]
    ZBus(zbus6::Error),
    Failed(String),
    ExcessNotificationGeneration(String),
}

/// What dunst has beside the specification.
pub struct FakeDunst {
    pub paused: bool,
}

#[zbus6::interface(crate = "zbus6", name = "org.dunstproject.cmd0")]
impl FakeDunst {
    #[zbus(property, name = "paused")]
    fn paused(&self) -> bool {
        self.paused
    }
}

#[zbus6::interface(crate = "zbus6", name = "org.freedesktop.Notifications")]
impl FakeNotifications {
    #[expect(clippy::too_many_arguments, reason = "the protocol has that many")]
    async fn notify(
        &mut self,
        app_name: String,
        replaces_id: u32,
        icon: String,
        summary: String,
        body: String,
        actions: Vec<String>,
        hints: HashMap<String, OwnedVariant>,
        timeout: i32,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<u32, Refusal> {
        self.seen().hanging += 1;
        let taken = self.behave().await;
        self.seen().hanging -= 1;
        if let Err(error) = taken {
            self.seen().refused.push(summary);
            return Err(Refusal::Failed(error.to_string()));
        }
        self.refuse_repeats(&summary, &body, &actions)?;
        // dunst keeps an id it is asked to replace, even one it never gave.
        let id = if replaces_id == 0 { self.last_id + 1 } else { replaces_id };
        self.last_id = self.last_id.max(id);
        let notification = Notification { id, app_name, replaces_id, icon, summary, body, actions, hints, timeout };
        let mut seen = self.seen();
        seen.shown.insert(id, header.sender().map(ToString::to_string).unwrap_or_default());
        seen.notifications.push_back(notification);
        Ok(id)
    }

    async fn close_notification(
        &mut self,
        id: u32,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<()> {
        self.behave().await?;
        let owner = self.seen().shown.remove(&id);
        if let Some(owner) = owner {
            Self::notification_closed(&to_owner(emitter, &owner), id, 3).await?;
        }
        self.seen().withdrawn.push_back(id);
        Ok(())
    }

    async fn get_capabilities(&self) -> fdo::Result<Vec<String>> {
        self.behave().await?;
        Ok(self.capabilities.clone())
    }

    async fn get_server_information(&self) -> fdo::Result<(String, String, String, String)> {
        self.behave().await?;
        Ok(("fake".to_owned(), "tests".to_owned(), "1".to_owned(), "1.2".to_owned()))
    }

    #[zbus(property)]
    fn inhibited(&self) -> fdo::Result<bool> {
        let mut seen = self.seen();
        seen.asked_inhibited += 1;
        seen.inhibited.ok_or_else(|| fdo::Error::InvalidArgs("no such property".to_owned()))
    }

    #[zbus(signal)]
    pub async fn action_invoked(emitter: &SignalEmitter<'_>, id: u32, action_key: &str) -> zbus6::Result<()>;

    #[zbus(signal)]
    pub async fn activation_token(emitter: &SignalEmitter<'_>, id: u32, activation_token: &str) -> zbus6::Result<()>;

    #[zbus(signal)]
    pub async fn notification_closed(emitter: &SignalEmitter<'_>, id: u32, reason: u32) -> zbus6::Result<()>;
}
