//! The listener's password where it isn't in the configuration: in a file, or with a program that knows it.

mod command;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::control::{NO_LIMIT, handler, start, status};
use crate::record::AT_ONCE;
use crate::support::daemon::{Daemon, Running};
use crate::support::http::Request;
use crate::support::wait::{holds, wait_until};

const EVENT: &str = r#"{"user":"me","event":"messageNew"}"#;

/// Something done to a file.
type Change<'a> = dyn Fn() + 'a;

/// The `[auth]` of user `foo` with this line.
fn auth(line: &str) -> String {
    format!("[auth]\nuser = \"foo\"\n{line}\n")
}

fn pass_file(file: &Path) -> String {
    auth(&format!("pass_file = \"{}\"", file.display()))
}

/// A program that runs this with `/bin/sh`, in the program's home directory.
fn pass_command(script: &str) -> String {
    auth(&format!("pass_command = [\"/bin/sh\", \"-c\", '''{script}''']"))
}

fn request(daemon: &Running, pass: &str) -> Request {
    let credentials = STANDARD.encode(format!("foo:{pass}"));
    daemon.request().header("Authorization", &format!("Basic {credentials}")).json(EVENT)
}

/// What a push with this password is answered.
#[track_caller]
fn push(daemon: &Running, pass: &str) -> u16 {
    request(daemon, pass).send(daemon.addr()).status
}

/// The only problem that is told; empty where there is none.
#[track_caller]
fn problem(recipe: &Daemon) -> String {
    let status = status(recipe);
    let problems = status["problems"].as_array().expect("a list");
    assert!(problems.len() <= 1, "{problems:?}");
    problems.first().map(|problem| problem.as_str().expect("a text").to_owned()).unwrap_or_default()
}

#[track_caller]
fn wait_problem(recipe: &Daemon, text: &str) {
    wait_until(&format!("the problem `{text}`, not `{}`", problem(recipe)), || holds(problem(recipe).contains(text)));
}

#[test]
fn the_first_line_of_a_file_is_the_password() {
    let recipe = Daemon::new();
    let file = recipe.home().join("pass");
    recipe.write_config(&pass_file(&file));
    for (text, pass) in [("bar\n", "bar"), ("bar", "bar"), ("b r \r\nsecond\n", "b r "), ("bä:r\n", "bä:r")] {
        fs::write(&file, text).expect("the home is ours");
        let daemon = start(&recipe);
        assert_eq!(push(&daemon, pass), 200, "{text:?}");
        for wrong in ["", "second", &format!("{pass}\n"), &format!("{pass} ")] {
            assert_eq!(push(&daemon, wrong), 401, "{wrong:?} with {text:?}");
        }
        daemon.request().json(EVENT).send(daemon.addr()).refused(401);
        assert_eq!(problem(&recipe), "");
        assert_eq!(recipe.command(&["check"]).succeeded().stderr.matches("warning").count(), 0);
        daemon.stop();
    }
}

#[test]
fn a_file_that_can_not_be_trusted_lets_nobody_in_and_says_what_to_do() {
    let recipe = Daemon::new();
    let file = recipe.home().join("pass");
    recipe.write_config(&pass_file(&file));
    fs::write(&file, "bar\n").expect("the home is ours");
    let daemon = start(&recipe);
    let mode = |mode| fs::set_permissions(&file, Permissions::from_mode(mode)).expect("the file is ours");
    let remove = || fs::remove_file(&file).expect("it is there");
    let good = || {
        fs::write(&file, "bar\n").expect("the home is ours");
        mode(0o600);
    };
    let empty = || fs::write(&file, "\nbar\n").expect("the home is ours");
    let directory = || {
        remove();
        fs::create_dir(&file).expect("the home is ours");
    };
    let no_directory = || fs::remove_dir(&file).expect("it is empty");
    let latin1 = || fs::write(&file, b"b\xe4r\n").expect("the home is ours");
    let pipe = || {
        remove();
        assert!(Command::new("mkfifo").arg(&file).status().is_ok_and(|status| status.success()));
    };
    let given = || chown(&file, Some(2), None).expect("root may give it away");
    let none = || {};
    let writable = || mode(0o602);
    let mut cases: Vec<(&Change, &Change, &str)> = vec![
        (&remove, &none, "failed to read `auth.pass_file` ~/pass: No such file"),
        (&empty, &none, "`auth.pass_file` ~/pass is empty"),
        (&writable, &none, "`auth.pass_file` ~/pass is not safe: others can write it; `chmod go-w` it"),
        (&directory, &no_directory, "failed to read `auth.pass_file` ~/pass: it is no file"),
        (&pipe, &remove, "failed to read `auth.pass_file` ~/pass: it is no file"),
        (&latin1, &none, "failed to read `auth.pass_file` ~/pass: "),
    ];
    if rustix::process::geteuid().is_root() {
        cases.push((&given, &remove, "`auth.pass_file` ~/pass belongs to another user"));
    }
    for (spoil, mend, why) in cases {
        spoil();
        recipe.command(&["reload"]).succeeded();
        for pass in ["bar", "", "\n"] {
            assert_eq!(push(&daemon, pass), 401, "{why}: {pass:?}");
        }
        wait_problem(&recipe, why);
        assert!(problem(&recipe).contains("Nothing is let in until it is mended"));
        let checked = recipe.command(&["check"]).succeeded().stderr;
        assert!(checked.contains("warning: no password: ") && checked.contains(why), "{checked}");
        mend();
        good();
        recipe.command(&["reload"]).succeeded();
        assert_eq!(push(&daemon, "bar"), 200, "after {why}");
        assert_eq!(problem(&recipe), "");
    }
    // Without a reload it is looked for again when it is needed, after a while.
    remove();
    recipe.command(&["reload"]).succeeded();
    wait_problem(&recipe, "No such file");
    good();
    wait_until("the file to be found", || holds(push(&daemon, "bar") == 200));
    assert_eq!(problem(&recipe), "");
    let log = daemon.stop().stderr;
    assert!(!log.contains("bar"), "{log}");
}

#[test]
fn a_reload_takes_another_password_from_another_place() {
    let recipe = Daemon::new();
    let file = recipe.home().join("pass");
    fs::write(&file, "two\n").expect("the home is ours");
    recipe.write_config(&auth("pass = \"one\""));
    let daemon = start(&recipe);
    assert_eq!(push(&daemon, "one"), 200);
    let configs = [
        (pass_file(&file), "two"),
        (pass_command("echo three"), "three"),
        (pass_command("echo four"), "four"),
        (auth("pass = \"five\""), "five"),
        (pass_file(&file), "two"),
    ];
    let mut before = "one";
    for (config, now) in configs {
        recipe.write_config(&config);
        recipe.command(&["reload"]).succeeded();
        assert_eq!([push(&daemon, now), push(&daemon, before)], [200, 401], "{now} after {before}");
        before = now;
    }
    // Another one in the same place, and none any more.
    fs::write(&file, "six\n").expect("the home is ours");
    recipe.command(&["reload"]).succeeded();
    assert_eq!([push(&daemon, "six"), push(&daemon, "two")], [200, 401]);
    recipe.write_config("");
    recipe.command(&["reload"]).succeeded();
    daemon.push(EVENT).accepted();
    daemon.stop();
}

#[test]
fn a_password_is_shown_nowhere() {
    let seen = handler(
        NO_LIMIT,
        "{ env; tr '\\0' ' ' </proc/$PPID/cmdline; cat /proc/self/environ; cat; } >seen.new; mv seen.new seen",
    );
    let log = "[log]\nmax_level = \"trace\"\nlevel = true\n";
    let recipe = Daemon::new();
    let file = recipe.home().join("pass");
    fs::write(&file, "sesame-4711\nsesame-4712\n").expect("the home is ours");
    let command = pass_command(&format!("cat {}; cat {} >&2", file.display(), file.display()));
    for config in [auth("pass = \"sesame-4711\""), pass_file(&file), command] {
        recipe.write_config(&format!("{config}{log}{AT_ONCE}{seen}"));
        let daemon = start(&recipe);
        assert_eq!([push(&daemon, "sesame-4711"), push(&daemon, "sesame-4712")], [200, 401]);
        let path = daemon.home().join("seen");
        let seen = wait_until("the run", || fs::read_to_string(&path).ok());
        assert!(seen.contains("IMSE_USER=me"), "{seen}");
        fs::remove_file(&path).expect("the home is ours");
        let environment = fs::read(format!("/proc/{}/environ", daemon.pid())).expect("it runs");
        let said = [
            seen,
            String::from_utf8_lossy(&environment).into_owned(),
            status(&recipe).to_string(),
            recipe.command(&["check", "--print"]).succeeded().stdout,
            recipe.command(&["recent", "--json"]).succeeded().stdout,
            daemon.stop().stderr,
        ];
        for said in said {
            let secrets = ["sesame", &STANDARD.encode("foo:sesame-4711")[..10]];
            assert!(!secrets.iter().any(|secret| said.contains(secret)), "{config}: {said}");
        }
    }
}

#[test]
fn what_waits_for_a_password_for_ever_is_refused_in_time() {
    let recipe = Daemon::new().config(&format!("timeout = \"1s\"\n{}", pass_command("sleep 1000")));
    let daemon = start(&recipe);
    let began = std::time::Instant::now();
    assert_eq!(push(&daemon, "bar"), 401);
    let waited = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    let began = std::time::Instant::now();
    daemon.request().json(EVENT).send(daemon.addr()).refused(401);
    assert!(began.elapsed() < Duration::from_millis(900), "who gives none is not made to wait");
    daemon.stop();
}
