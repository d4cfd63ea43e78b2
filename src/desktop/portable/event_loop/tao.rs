//! On Windows and macOS: the event loop of the platform, which has to be on the main thread. The program is on another.

use std::process::ExitCode;
use std::thread::Builder;

use tao::event::Event;
use tao::event_loop::{ControlFlow, EventLoop, EventLoopBuilder, EventLoopProxy};
use tao::platform::run_return::EventLoopExtRunReturn;
use tokio::sync::mpsc::UnboundedSender;

use crate::desktop::portable::tray::{Errand, Icon};
use crate::desktop::{DesktopEvent, without_icon};

/// The icon's side on a screen that isn't scaled. (In macOS' menu bar it is 18 points high.)
const SIDE: f64 = if cfg!(windows) { 16.0 } else { 22.0 };

/// The way to the event loop.
#[derive(Debug)]
pub struct Handed(EventLoopProxy<Errand>);

/// Runs the event loop until the program ends; the exit code is the program's.
pub fn main<F, R>(program: F) -> ExitCode
where
    F: FnOnce(Handed) -> R + Send + 'static,
    R: Future<Output = ExitCode>,
{
    let mut event_loop: EventLoop<Errand> = EventLoopBuilder::with_user_event().build();
    stay_out_of_the_dock(&mut event_loop);
    let proxy = event_loop.create_proxy();
    let end = Ending(proxy.clone());
    let handed = Handed(proxy.clone());
    let program = Builder::new().name("program".to_owned()).spawn(move || {
        let _end = end;
        without_icon(program(handed))
    });
    let program = match program {
        Ok(program) => program,
        Err(error) => {
            tracing::error!("failed to start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let side = SIDE * event_loop.primary_monitor().map_or(1.0, |monitor| monitor.scale_factor());
    let mut icon = Icon::new(side);
    event_loop.run_return(|event, _, flow| {
        *flow = match event {
            Event::UserEvent(Errand::End) => ControlFlow::Exit,
            Event::UserEvent(errand) => {
                icon.take(errand, poster(&proxy));
                ControlFlow::Wait
            }
            _ => ControlFlow::Wait,
        };
    });
    drop(icon);
    // It has panicked, and said so.
    program.join().unwrap_or(ExitCode::FAILURE)
}

#[cfg(target_os = "macos")]
fn stay_out_of_the_dock(event_loop: &mut EventLoop<Errand>) {
    use tao::platform::macos::{ActivationPolicy, EventLoopExtMacOS};
    event_loop.set_activation_policy(ActivationPolicy::Accessory);
}

#[cfg(not(target_os = "macos"))]
fn stay_out_of_the_dock(_event_loop: &mut EventLoop<Errand>) {}

fn poster(proxy: &EventLoopProxy<Errand>) -> impl Fn(Errand) + Send + Sync + 'static {
    let proxy = proxy.clone();
    move |errand| {
        // At its end nobody looks at the icon any more.
        let _ = proxy.send_event(errand);
    }
}

/// Ends the event loop with the program, also with one that panics.
struct Ending(EventLoopProxy<Errand>);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.send_event(Errand::End);
    }
}

pub struct Loop(EventLoopProxy<Errand>);

impl Handed {
    pub fn begin(self, events: &UnboundedSender<DesktopEvent>) -> Loop {
        let icon = Loop(self.0);
        icon.send(Errand::Tell(events.clone()));
        icon
    }
}

impl Loop {
    pub fn send(&self, errand: Errand) {
        // As above.
        let _ = self.0.send_event(errand);
    }

    /// Takes the icon away; the loop goes on until the program has ended.
    pub async fn end(self) {
        self.send(Errand::Hide);
    }
}
