//! The desktop as the program sees it: popups, a tray icon with its menu, what people do with them, sleep and locks.
//!
//! What is shown is worked out by pure functions here ([`note::rendered`], [`menu::menu`]); a backend only carries it.
//! There is one for D-Bus (Linux, the BSDs) and one for Windows and macOS, which a build without `dbus` can have on Linux
//! too. With neither the program runs without a desktop.

#[cfg(not(any(windows, target_os = "macos", feature = "dbus", feature = "portable")))]
mod absent;
#[cfg(any(windows, target_os = "macos", feature = "dbus", feature = "portable"))]
mod attempts;
#[cfg(all(feature = "dbus", not(any(windows, target_os = "macos"))))]
mod dbus;
#[cfg(all(any(feature = "dbus", feature = "portable"), not(any(windows, target_os = "macos"))))]
mod findings;
pub mod icons;
mod mail_program;
pub mod menu;
pub mod note;
#[cfg(any(windows, target_os = "macos", all(feature = "portable", not(feature = "dbus"))))]
mod portable;
#[cfg(any(windows, target_os = "macos", feature = "dbus", feature = "portable"))]
mod showing;

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::event::EntryId;
use crate::finding::Finding;
use menu::TrayView;
use note::Note;

#[cfg(not(any(windows, target_os = "macos", feature = "dbus", feature = "portable")))]
use absent as backend;
#[cfg(all(feature = "dbus", not(any(windows, target_os = "macos"))))]
use dbus as backend;
#[cfg(any(windows, target_os = "macos", all(feature = "portable", not(feature = "dbus"))))]
use portable as backend;

pub use mail_program::{editor, mail_program};

/// Our own number of a popup; the notification service's ids live and die with the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

/// What the program wants of the desktop.
#[derive(Debug)]
pub enum Request {
    /// Shows a popup, or changes the one that has the slot.
    Show {
        slot: Slot,
        note: Note,
    },
    /// Changes the popup that has the slot. One that is gone stays gone.
    Change {
        slot: Slot,
        note: Note,
    },
    Withdraw {
        slot: Slot,
    },
    Tray(TrayView),
    HideTray,
    /// Whether to be told when the screen is locked.
    WatchLock(bool),
    /// The answer to each [`Availability::Absent`] of notifications. What was asked for before it is void: the program
    /// asks again when they are here.
    AbsenceKnown,
    /// Something waits to be shown: look once more for what was absent.
    LookAgain,
    /// A program that we started is to live on when the session ends us.
    Adopt {
        pid: u32,
    },
}

/// What the program wants of the system's power management.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerRequest {
    /// Whether to be told of sleep, whether the system is to wait, for a moment, until we are ready for it, and whether
    /// to be told when the session is locked.
    Watch { sleep: bool, hold: bool, lock: bool },
    /// The answer to each [`DesktopEvent::AboutToSleep`].
    ReadyToSleep,
}

/// What the desktop tells the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DesktopEvent {
    /// Whether popups can be shown now. Said at the start and at every change; popups of an earlier life are gone.
    Notifications(Availability),
    Tray(Availability),
    PopupShown {
        slot: Slot,
    },
    PopupFailed {
        slot: Slot,
        why: String,
    },
    PopupClosed {
        slot: Slot,
        by: ClosedBy,
    },
    /// A click on a popup, or on one of its buttons.
    PopupAction {
        slot: Slot,
        action: String,
        activation_token: Option<String>,
    },
    /// The tray icon itself was clicked.
    TrayClicked {
        activation_token: Option<String>,
    },
    /// The screen was locked, or unlocked, as the screen saver says.
    Locked(bool),
    /// The same, as the power management says. Unlocked is also what it doesn't know, or isn't asked for.
    SessionLocked(bool),
    /// The machine is about to sleep, and waits a moment until [`PowerRequest::ReadyToSleep`].
    AboutToSleep,
    /// The machine is awake again.
    Resumed,
    /// The menu was opened: somebody looked.
    MenuOpened,
    Chosen {
        choice: Choice,
        activation_token: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    Here,
    /// Why not, in words for the user.
    Absent(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    Expiry,
    User,
    Us,
    /// The service went, or didn't say.
    Other,
}

/// What a person can choose in the tray's menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    Fetch,
    RunHandler(String),
    OpenMail,
    OpenEntry(EntryId),
    Pause(PauseFor),
    Resume,
    OpenConfiguration,
    ReloadConfiguration,
    /// Whether to, from now on.
    StartAtLogin(bool),
    Quit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseFor {
    HalfAnHour,
    AnHour,
    UntilTomorrow,
    UntilResumed,
}

/// Which parts of the desktop to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub tray: bool,
    pub notifications: bool,
}

/// The right to use the desktop, and what the backend needs for that; [`main`] gives it to the program.
#[derive(Debug)]
pub struct Desktop(backend::Handed);

/// A running backend.
#[derive(Debug)]
pub struct Link {
    requests: mpsc::UnboundedSender<Request>,
    power: mpsc::UnboundedSender<PowerRequest>,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl Desktop {
    /// Starts the backend; what people do arrives at `events`. Returns at once, whatever the desktop's state.
    pub fn connect(self, wanted: Wanted, events: mpsc::UnboundedSender<DesktopEvent>) -> Link {
        let (requests, incoming) = mpsc::unbounded_channel();
        let (power, incoming_power) = mpsc::unbounded_channel();
        let tasks = [
            tokio::spawn(backend::carry(self.0, wanted, incoming, events.clone())),
            tokio::spawn(backend::power(incoming_power, events)),
        ];
        Link { requests, power, tasks }
    }
}

impl Link {
    pub fn send(&self, request: Request) {
        // A backend ends only after we have closed the link.
        let _ = self.requests.send(request);
    }

    pub fn power(&self, request: PowerRequest) {
        // As above.
        let _ = self.power.send(request);
    }

    /// Takes the icon down and waits until the backend has ended.
    pub async fn close(self) {
        drop((self.requests, self.power));
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

/// What there is of a desktop, and what it can do. Starts nothing.
pub async fn survey(wanted: Wanted) -> Vec<Finding> {
    backend::survey(wanted).await
}

/// Shows our own words in a popup, for a program that ends then, or tells why nobody shows them. Waits for a silent
/// service no longer than a person does.
pub async fn say(text: &str) -> Result<(), String> {
    backend::say(&Note::ours(text)).await
}

/// How long a thread for something that blocks waits for more of it.
const THREAD_KEPT: Duration = Duration::from_millis(100);

/// Runs the program where the platform's event loop lets it run: on D-Bus desktops simply here, on one thread.
///
/// On Windows and macOS the event loop owns the main thread and the program moves to another: hence `Send`.
pub fn main<F, R>(program: F) -> ExitCode
where
    F: FnOnce(Desktop) -> R + Send + 'static,
    R: Future<Output = ExitCode>,
{
    backend::main(|handed| program(Desktop(handed)))
}

/// Runs here what shows no icon, and so needs no event loop.
pub fn without_icon(work: impl Future<Output = ExitCode>) -> ExitCode {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    // zbus connects on a thread of its own, which has nothing more to do afterwards.
    match runtime.enable_all().thread_keep_alive(THREAD_KEPT).build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // A blocking task that hangs in a name look-up must not keep the program alive.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            tracing::error!("failed to start: {error}");
            ExitCode::FAILURE
        }
    }
}
