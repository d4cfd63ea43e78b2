//! Files that are right but may be half of one: what lets more people in is not taken unasked.

use std::fs;

use super::{AUTH, RELOADED, answer, change, marker};
use crate::control::{start, status};
use crate::support::daemon::{Daemon, Running};

const KEPT: &str = "the old configuration stays; if that is meant, run `mailknock reload`";

/// Changes the file and waits until the program says why it does not take it.
#[track_caller]
fn refused(daemon: &mut Running, why: &str, change: impl FnOnce()) {
    let from = daemon.log_length();
    change();
    let line = daemon.wait_log_after(from, KEPT);
    assert!(line.contains(why), "{line}");
    let problems = status(daemon.recipe())["problems"].clone();
    assert!(problems[0].as_str().is_some_and(|problem| problem.contains(why)), "{problems}");
    assert_eq!((answer(daemon.addr(), "/notify", false), answer(daemon.addr(), "/notify", true)), (401, 200));
}

#[test]
fn what_would_let_more_people_in_waits_for_an_explicit_reload() {
    let recipe = Daemon::new();
    let right = format!("allow = [\"127.0.0.1\"]\n{AUTH}{}", marker("one"));
    recipe.write_config(&right);
    let mut daemon = start(&recipe);
    let write = |text: &str| recipe.write_config(text);
    refused(&mut daemon, "it has no `[auth]` any more", || write("allow = [\"127.0.0.1\"]"));
    refused(&mut daemon, "`allow` lets more networks in", || write(&format!("allow = [\"127.0.0.0/8\"]\n{AUTH}")));
    refused(&mut daemon, "`allow` lets more networks in", || write(AUTH));
    refused(&mut daemon, "`listen` can be reached from more machines", || {
        write(&format!("listen = \"0.0.0.0:0\"\nallow = [\"127.0.0.1\"]\n{AUTH}"));
    });
    refused(&mut daemon, "it is empty or gone", || fs::write(recipe.config_path(), "").expect("it is ours"));
    change(&mut daemon, &right);
    assert_eq!(status(&recipe)["problems"], serde_json::json!([]));
    refused(&mut daemon, "it is empty or gone", || fs::remove_file(recipe.config_path()).expect("it is ours"));

    // It is only the wish that was missing.
    write("allow = [\"127.0.0.0/8\"]");
    recipe.command(&["reload"]).succeeded();
    assert_eq!(status(&recipe)["problems"], serde_json::json!([]));
    assert_eq!(answer(daemon.addr(), "/notify", false), 200);
    daemon.stop();
}

#[test]
fn a_file_cut_short_anywhere_never_drops_the_password_by_itself() {
    let handlers = format!("{}[[handler]]\nname = \"popup\"\nnotify = true\n", marker("one"));
    let whole = format!("listen = \"127.0.0.1:0\"\nmax_connections = 4\n{AUTH}[log]\nlevel = true\n{handlers}");
    // Each change takes half a second of quiet: so the lengths are shared out to several programs.
    let (programs, each) = (6, 10);
    let lengths: Vec<usize> = (0..programs * each).map(|step| step * whole.len() / (programs * each)).collect();
    std::thread::scope(|scope| {
        for lengths in lengths.chunks(each) {
            let whole = &whole;
            scope.spawn(move || {
                let recipe = Daemon::new().config(whole);
                let mut daemon = start(&recipe);
                for length in lengths {
                    let from = daemon.log_length();
                    fs::write(recipe.config_path(), &whole[..*length]).expect("it is ours");
                    daemon.wait_log_after(from, "configuration");
                    let answers = (answer(daemon.addr(), "/notify", false), answer(daemon.addr(), "/notify", true));
                    assert_eq!(answers, (401, 200), "cut to:\n{}", &whole[..*length]);
                }
                let from = daemon.log_length();
                fs::write(recipe.config_path(), whole).expect("it is ours");
                daemon.wait_log_after(from, RELOADED);
                daemon.stop();
            });
        }
    });
}
