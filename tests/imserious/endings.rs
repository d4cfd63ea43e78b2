//! How commands and the programs themselves end, and what comes after.

use std::time::Duration;

use crate::bad_days::{faketime, pass, ticks};
use crate::support::daemon::{Daemon, Signal};
use crate::support::program::processes;

use super::candidate::{event, handler};
use super::compare;

/// Hangs for one folder only.
const HANG: &str = "echo $IMSE_FOLDER >> done; [ $IMSE_FOLDER != hang ] || exec sleep 600";

#[test]
fn a_command_that_hangs_does_not_block_its_handler() {
    compare("A command that hangs", |candidate| {
        candidate.script(HANG);
        let server = candidate.start(&handler("timeout = \"200ms\"\n"));
        server.push(&event("hang", "")).accepted();
        candidate.wait_done(1);
        server.push(&event("next", "")).accepted();
        let comes = candidate.comes(|| candidate.done().len() > 1);
        server.end();
        if comes { "ends at its `timeout`" } else { "blocks its handler for ever" }.to_owned()
    });
}

#[test]
fn a_command_that_hangs_does_not_hold_up_the_end() {
    compare("SIGTERM while a command hangs", |candidate| {
        candidate.script(HANG);
        let mut server = candidate.start(&handler(""));
        server.push(&event("hang", "")).accepted();
        candidate.wait_done(1);
        let commands = server.running.descendants();
        assert!(!commands.is_empty(), "the command isn't there");
        server.running.signal(Signal::TERM);
        let ends = candidate.comes(|| !server.running.is_alive());
        let alive = processes();
        let left = commands.iter().any(|command| alive.iter().any(|other| other.is_same(command)));
        match (ends, left) {
            (true, false) => "ends both",
            (true, true) => "leaves the command behind",
            (false, _) => "waits for the command",
        }
        .to_owned()
    });
}

#[test]
fn an_event_that_waits_survives_a_kill() {
    compare("A kill while an event waits", |candidate| {
        // The marker comes last: behind all that the run is told.
        candidate.script("{ cat; echo $IMSE_FOLDER; } >> done");
        let config = handler("delay = \"500ms\"\n");
        let server = candidate.start(&config);
        server.push(&event("before", "")).accepted();
        server.running.kill();
        assert_eq!(candidate.done(), [""; 0], "it was handled before the kill");
        let server = candidate.start(&config);
        server.push(&event("after", "")).accepted();
        let lines = candidate.wait_line("after");
        server.end();
        let survived = lines.iter().any(|line| line.contains("before"));
        if survived { "handled after the next start" } else { "the event is lost" }.to_owned()
    });
}

/// Time runs 7200 times as fast for the program: an hour is half a second.
#[test]
fn an_hour_with_nothing_to_do_costs_nothing() {
    let Some(library) = faketime() else { return };
    compare("An hour with nothing to do", |candidate| {
        let fast = |recipe: Daemon| recipe.env("LD_PRELOAD", &library).env("FAKETIME", "+0 x7200");
        let server = candidate.start_as(&handler(""), fast).expect("it takes the configuration");
        pass(Duration::from_millis(900));
        let before = ticks(&server.running);
        pass(Duration::from_millis(900));
        let used = ticks(&server.running) - before;
        server.end();
        match used {
            0..=2 => "idle".to_owned(),
            // Others want the processor too.
            20.. => "one processor busy from then on".to_owned(),
            used => format!("{used} ticks of 90"),
        }
    });
}
