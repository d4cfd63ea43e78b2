//! On Linux and the BSDs: a thread of its own, because making an icon waits for the panel as long as that takes.

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::desktop::portable::tray::{Errand, Icon};
use crate::desktop::{Availability, DesktopEvent, without_icon};

/// Panels shrink it to what they have room for.
const SIDE: f64 = 44.0;
/// A thread that still waits for a panel ends with the process.
const PATIENCE: Duration = Duration::from_secs(1);

/// Nothing: the thread begins when it is needed.
#[derive(Debug)]
pub struct Handed(());

pub fn main<R: Future<Output = ExitCode>>(program: impl FnOnce(Handed) -> R) -> ExitCode {
    without_icon(program(Handed(())))
}

pub struct Loop {
    errands: Sender<Errand>,
    ended: oneshot::Receiver<()>,
}

impl Handed {
    pub fn begin(self, events: &UnboundedSender<DesktopEvent>) -> Loop {
        let (errands, incoming) = channel();
        let (end, ended) = oneshot::channel();
        let post = errands.clone();
        let thread = Builder::new().name("icon".to_owned()).spawn(move || {
            run(&incoming, &post);
            // Nobody waits where the program has given up on us.
            let _ = end.send(());
        });
        if let Err(error) = thread {
            let _ = events.send(DesktopEvent::Tray(Availability::Absent(error.to_string())));
        }
        let icon = Loop { errands, ended };
        icon.send(Errand::Tell(events.clone()));
        icon
    }
}

fn run(errands: &Receiver<Errand>, post: &Sender<Errand>) {
    let mut icon = Icon::new(SIDE);
    for errand in errands {
        if let Errand::End = errand {
            return;
        }
        let post = post.clone();
        icon.take(errand, move |errand| drop(post.send(errand)));
    }
}

impl Loop {
    pub fn send(&self, errand: Errand) {
        // Without its thread there is no icon, which was said.
        let _ = self.errands.send(errand);
    }

    /// Takes the icon away.
    pub async fn end(self) {
        self.send(Errand::End);
        let _ = timeout(PATIENCE, self.ended).await;
    }
}
