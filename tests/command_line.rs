//! What is typed at a terminal: options, exit codes, problems, the demonstration, and IMSErious' own example.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::certificate::Pair;
use crate::support::daemon::{Daemon, Running, Signal};
use crate::support::wait::{EVENTUALLY, holds, wait_at_most};
use crate::support::{repository_file, require, skip};

#[test]
fn help_and_version_are_printed_and_nothing_is_started() {
    let daemon = Daemon::new().config("nonsense");
    for option in ["-V", "-v", "--version"] {
        let finished = daemon.command(&[option]).succeeded();
        assert_eq!(finished.stdout, format!("mailknock {}\n", env!("CARGO_PKG_VERSION")), "{option}");
        assert_eq!(finished.stderr, "", "{option}");
    }
    for option in ["-h", "--help"] {
        let finished = daemon.command(&[option]).succeeded();
        for word in ["run", "demo", "check", "--config", "--test", "--version"] {
            assert!(finished.stdout.contains(word), "no {word} in:\n{}", finished.stdout);
        }
    }
    for command in ["run", "demo", "check"] {
        assert!(daemon.command(&[command, "--help"]).succeeded().stdout.contains("Usage: mailknock"), "{command}");
    }
}

#[test]
fn wrong_usage_has_an_exit_code_of_its_own() {
    let daemon = Daemon::new();
    for arguments in
        [&["--unknown"][..], &["unknown"], &["run", "--tray"], &["demo", "--for", "soon"], &["-c"], &["check", "x"]]
    {
        let finished = daemon.command(arguments).ended_with(2);
        assert!(finished.stdout.is_empty() && finished.stderr.contains("error: "), "{arguments:?}: {finished:?}");
    }
    assert!(daemon.command(&["chekc"]).ended_with(2).stderr.contains("'check'"), "a suggestion");
}

#[test]
fn a_right_configuration_is_ok_under_both_names_of_the_check() {
    let daemon = Daemon::new().config("[[handler]]\ncommand = \"true\"\n");
    let file = daemon.config_path().display().to_string();
    for arguments in [&["check"][..], &["-t"], &["--test"], &["-t", "-c", &file], &["check", "--config", &file]] {
        let finished = daemon.command(arguments).succeeded();
        assert_eq!((finished.stdout.as_str(), finished.stderr.lines().count()), ("", 1), "{arguments:?}");
        assert!(finished.stderr.ends_with("config.toml: configuration OK\n"), "{arguments:?}: {}", finished.stderr);
    }
}

#[test]
fn the_check_says_what_a_click_opens_until_somebody_chose() {
    let daemon = Daemon::new();
    let presets = "@thunderbird, @betterbird, @evolution, @mu4e, @notmuch-emacs";
    let hint = format!("; for the message itself set `open` in `[tray]` to one of {presets}\n");
    let said = |config: &str| {
        daemon.write_config(config);
        daemon.command(&["check"]).succeeded().stderr
    };
    let systems = daemon.path("system").display().to_string();
    let alone = daemon.clone().env("XDG_DATA_DIRS", &systems).env("XDG_CONFIG_DIRS", &systems);
    let nothing = alone.command(&["check"]).succeeded().stderr;
    assert!(
        nothing.starts_with(&format!("a click on a notification opens nothing: the desktop has no mail program{hint}")),
        "{nothing}"
    );

    let scheme = "x-scheme-handler/mailto";
    std::fs::create_dir(daemon.path("data/applications")).expect("the directory is ours");
    let choice = format!("[Default Applications]\n{scheme}=mine.desktop\n");
    std::fs::write(daemon.path("data/applications/mimeapps.list"), choice).expect("the directory is ours");
    let entry = "[Desktop Entry]\nExec=/opt/mine/mail --new %u\n";
    std::fs::write(daemon.path("data/applications/mine.desktop"), entry).expect("the directory is ours");
    let hinted = said("");
    assert!(
        hinted
            .starts_with(&format!("a click on a notification opens /opt/mine/mail, the desktop's mail program{hint}")),
        "{hinted}"
    );

    for quiet in [
        "[tray]\nopen = \"@mu4e\"\n",
        "[tray]\nopen = \"mail\"\n",
        "[[handler]]\nnotify = false\n",
        "[[handler]]\nlog = \"info\"\n",
    ] {
        assert_eq!(said(quiet).lines().count(), 1, "{quiet}");
    }
    daemon.write_config("[tray]\nopen = \"@mu4e\"\n");
    assert!(daemon.command(&["check", "--print"]).succeeded().stdout.contains("\nopen = \"@mu4e\"\n"));
    daemon.write_config("[tray]\nopen = \"@mutt\"\n");
    let wrong = daemon.command(&["check"]).ended_with(78).stderr;
    assert!(
        wrong.ends_with(&format!(": `tray.open`: there is no preset `@mutt`; the presets are {presets}\n")),
        "{wrong}"
    );
}

#[test]
fn the_readme_and_the_default_configuration_name_every_preset() {
    let wrong = Daemon::new().config("[tray]\nopen = \"@\"\n").command(&["check"]).ended_with(78).stderr;
    let (_, presets) = wrong.trim_end().rsplit_once("the presets are ").expect("they are listed");
    for file in ["README.md", "assets/default-config.toml"] {
        let text = std::fs::read_to_string(repository_file(file)).expect("it is part of the repository");
        for preset in presets.split(", ") {
            let named = text.contains(&format!("`{preset}`")) || text.contains(&format!("\"{preset}\""));
            assert!(named, "{file} doesn't name {preset}");
        }
    }
}

#[test]
fn every_problem_is_told_at_once_with_its_place_and_what_mends_it() {
    let text = "lisen = \"x\"\nlisten = \"127.0.0.1:0\"\ntimeout = 5\n\n[[handler]]\nuser = \"me\"\ncomand = \"fdm\"\n\
        [[handler]]\ncommand = \"fdm 'a\"\nlimit_burst = 0\n";
    let daemon = Daemon::new().config(text);
    let file = daemon.config_path().display().to_string();
    let expected = [
        ("1:1", "unknown key `lisen`; did you mean `listen`?"),
        ("3:11", "`timeout` must be a duration in quotes; write for example \"5s\""),
        ("5:1", "this handler does nothing; write `command = "),
        ("7:1", "unknown key `handler.comand`; did you mean `command`?"),
        ("9:11", "a quote is not closed"),
        ("10:15", "`handler.limit_burst` must be from 1 to "),
    ];
    for arguments in [&["check"][..], &["-t"], &["run"], &[]] {
        let finished = daemon.command(arguments).ended_with(78);
        let lines: Vec<_> = finished.stderr.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{arguments:?}: {lines:#?}");
        for (line, (place, text)) in lines.iter().zip(expected) {
            assert!(
                line.starts_with(&format!("{file}:{place}: ")) && line.contains(text),
                "{line} has no {place} {text}"
            );
        }
    }
    // A syntax error hides none of the others.
    let daemon = Daemon::new().config("timeout = = \"5s\"\nlisen = \"x\"\n");
    let finished = daemon.command(&["check"]).ended_with(78);
    assert!(
        finished.stderr.contains(":2:11: ") && finished.stderr.contains(":3:1: unknown key `lisen`"),
        "{finished:?}"
    );
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let daemon = Daemon::new();
    for arguments in [&["-c", "/nonexistent/x.toml"][..], &["check", "-c", "/nonexistent/x.toml"]] {
        let finished = daemon.command(arguments).ended_with(78);
        assert!(finished.stderr.contains("failed to read /nonexistent/x.toml: No such file"), "{finished:?}");
    }
    // One that nobody named need not.
    std::fs::remove_file(daemon.config_path()).expect("it was there");
    assert!(daemon.command(&["check"]).succeeded().stderr.contains("built-in default"));
}

#[test]
fn the_printed_configuration_means_the_same_and_shows_no_secret() {
    let auth = "[auth]\nuser = \"foo\"\npass = \"sesame\"\n";
    let daemon = Daemon::new().config(&format!("timeout = \"7s\"\n{auth}[[handler]]\ncommand = \"fdm -l 'a b'\"\n"));
    let printed = daemon.command(&["check", "--print"]).succeeded();
    assert!(printed.stdout.contains("pass = \"***\"") && printed.stdout.contains("timeout = \"7s\""), "{printed:?}");
    assert!(!printed.stdout.contains("sesame") && !printed.stderr.contains("sesame"), "{printed:?}");
    daemon.write_config(&printed.stdout);
    let again = daemon.command(&["check", "--print"]).succeeded();
    assert_eq!(printed.stdout, again.stdout);
}

#[test]
fn a_port_in_use_is_said_with_what_may_be_the_cause() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let daemon = Daemon::new().config(&format!("listen = \"{address}\"\n"));
    let finished = daemon.command(&["run"]).ended_with(1);
    let expected = format!("failed to listen on {address}. Is another instance running?");
    assert!(finished.stderr.contains(&expected), "{finished:?}");
    assert!(finished.stderr.to_lowercase().contains("address already in use"), "{finished:?}");
}

#[test]
fn the_demonstration_needs_no_desktop_and_no_files() {
    let daemon = Daemon::new().config("nonsense");
    let mut running = daemon.clone().args(&["demo"]).spawn();
    let printed = [
        "MessageNew demo INBOX: Jörg Müller: Grüße aus Köln",
        "MessageNew demo INBOX: 山田太郎: 日本語の件名テスト",
        "MessageNew demo INBOX: Alice Example: Lunch on <b>Friday</b> & after?",
        "MailboxCreate demo Travel\n",
    ];
    let all = || printed.iter().all(|line| running.stdout().contains(line));
    wait_at_most(EVENTUALLY, "all samples", || running.stdout() + &running.log(), || holds(all()));
    assert!(running.stdout().starts_with("Listening on http://127.0.0.1:"), "{}", running.stdout());
    assert!(running.is_alive(), "it ends when it is told to");
    running.signal(Signal::INT);
    running.finish().succeeded();

    let started = Instant::now();
    let finished = daemon.command(&["demo", "--for", "1s"]).succeeded();
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert!(finished.stdout.starts_with("Listening on http://127.0.0.1:"), "{finished:?}");
    for directory in ["data", "state", "cache", "runtime", "home", "temporary"] {
        let left = std::fs::read_dir(daemon.path(directory)).expect("it is there").count();
        assert_eq!(left, 0, "the demonstration left something in {directory}");
    }
}

/// Runs `curl` in the network namespace of a process, and gives the answer's status.
#[track_caller]
fn curl_beside(running: &Running, arguments: &[&str]) -> String {
    let target = running.pid().to_string();
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &target, "curl", "-q", "--silent", "--noproxy", "*", "--max-time", "10"]);
    command.args(["--output", "/dev/null", "--write-out", "%{http_code}"]).args(arguments);
    let output = command.stdin(Stdio::null()).output().expect("it is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The addresses of IMSErious' example are in a network of the test's own.
#[test]
fn the_example_of_imserious_runs_as_it_stands() {
    if !require(&["unshare", "nsenter", "ip", "curl", "openssl"]) {
        return;
    }
    if !Command::new("unshare").args(["--net", "true"]).status().is_ok_and(|status| status.success()) {
        skip("no network namespace can be made here: root makes them");
        return;
    }
    let example = repository_file("tests/data/imserious-example.toml");
    let example = std::fs::read_to_string(example).expect("it is part of the repository");
    let fetch = "/usr/local/bin/fdm -a eda -l fetch";
    assert!(example.contains(fetch), "the example has changed");
    let daemon = Daemon::new();
    let script = daemon.path("home/fetch");
    std::fs::write(&script, "echo $IMSE_EVENT $IMSE_USER $IMSE_REMOTE_IP $* >> fetched\n")
        .expect("the directory is ours");
    let replaced = format!("/bin/sh {} -l fetch", script.display());
    let pair = Pair::new(&daemon, "own", &["IP:10.0.0.1"]);
    let example = pair.in_place_of_the_examples(&example);
    let network =
        "ip link set lo up && ip addr add 10.0.0.1/32 dev lo && ip addr add 10.0.0.2/32 dev lo && exec \"$0\" \"$@\"";
    let daemon = daemon.config(&example.replace(fetch, &replaced));
    let daemon = daemon.inside(&["unshare", "--net", "/bin/sh", "-c", network]).start();
    assert_eq!(daemon.url(), "https://10.0.0.1:12525/notify");

    let push = |from: &str, more: &[&str]| {
        let url = daemon.url();
        let event = r#"{"user":"freaky","event":"messageNew","folder":"INBOX","unseen":1}"#;
        let certificate = pair.certificate.display().to_string();
        let fixed = [
            "--cacert",
            &certificate,
            "--interface",
            from,
            "-X",
            "PUT",
            "-H",
            "Content-Type: application/json",
            "-d",
            event,
            url,
        ];
        curl_beside(&daemon, &[&fixed[..], more].concat())
    };
    assert_eq!(push("10.0.0.1", &["-u", "foo:bar"]), "403");
    assert_eq!(push("10.0.0.2", &[]), "401");
    assert_eq!(push("10.0.0.2", &["-u", "foo:wrong"]), "401");
    let pushed = Instant::now();
    assert_eq!(push("10.0.0.2", &["-u", "foo:bar"]), "200");
    let fetched = daemon.home().join("fetched");
    let read = || std::fs::read_to_string(&fetched).ok().filter(|text| text.ends_with('\n'));
    let text = wait_at_most(EVENTUALLY, "the command to run", || daemon.log(), read);
    assert_eq!(text, "MessageNew freaky 10.0.0.2 -l fetch\n");
    assert!(pushed.elapsed() >= Duration::from_secs(5), "the delay was {:?}", pushed.elapsed());
    daemon.stop();
}

#[test]
fn setup_prints_each_servers_side_with_this_address_and_password() {
    let auth = "[auth]\nuser = \"me\"\npass_file = \"~/pass\"\n";
    let daemon = Daemon::new().config(&format!("listen = \"127.0.0.1:4711\"\nendpoint = \"/bell\"\n{auth}"));
    std::fs::write(daemon.home().join("pass"), "a b%c\n").expect("the home is ours");
    for server in ["dovecot", "dovecot-lua"] {
        let printed = daemon.command(&["setup", server]).succeeded().stdout;
        for url in ["http://me:a%%20b%%25c@127.0.0.1:4711/bell", "http://me:a%20b%25c@127.0.0.1:4711/bell"] {
            assert!(printed.contains(url), "{server}: no {url} in\n{printed}");
        }
    }
    for server in ["sieve", "maddy", "exim", "postfix", "cyrus", "procmail", "maildrop", "fdm"] {
        let printed = daemon.command(&["setup", server]).succeeded().stdout;
        assert!(printed.contains("url = \"http://127.0.0.1:4711/bell\"\n"), "{server}:\n{printed}");
        assert!(printed.contains("\nme:a b%c\n") && printed.contains("/usr/bin/mailknock"), "{server}:\n{printed}");
    }
    let script = daemon.command(&["setup", "dovecot-lua", "--script"]).succeeded().stdout;
    let packaged = std::fs::read_to_string(repository_file("packaging/dovecot/mailknock.lua"));
    assert_eq!(script, packaged.expect("it is part of the repository"));
    daemon.command(&["setup", "dovecot", "--script"]).ended_with(2);
    let printed = daemon.command(&["setup", "dovecot", "--server-version", "2.4"]).succeeded().stdout;
    assert!(printed.contains("# ==== Dovecot 2.4: ") && !printed.contains("# ==== Dovecot 2.3: "), "{printed}");
    daemon.command(&["setup", "sieve", "--server-version", "2.4"]).succeeded();
    daemon.command(&["setup", "maddy", "--server-version", "2.4"]).ended_with(2);
    daemon.command(&["setup", "sendmail"]).ended_with(2);
}
