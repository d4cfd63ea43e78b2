//! Mailknock in the desktop's list of programs, and its actions there, whose results are said in notifications.

use mailknock::key_file;

use crate::control::{handler, start, status, without_tray};
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::{Behaviour, Desktop, Notification};
use crate::support::mail::Mail;
use crate::support::real_desktop::RealDesktop;
use crate::support::recorder::Recorder;
use crate::support::{repository_file, require};

/// What an action runs; each says something, whatever the state of the program.
const ACTIONS: [&[&str]; 3] = [&["fetch", "--notify"], &["pause", "--toggle", "--notify"], &["status", "--notify"]];

/// The running program, which shows nothing itself: whatever is shown is the command's.
fn start_mute(recipe: &Daemon) -> Running {
    start(&recipe.clone().args(&["run", "--no-notifications"]))
}

/// The one notification of a command that has ended.
#[track_caller]
fn only(desktop: &Desktop) -> Notification {
    let only = desktop.try_notification().expect("it was shown before the command ended");
    assert!(desktop.try_notification().is_none(), "one is enough");
    only
}

/// The body as markup.
fn escaped(text: &str) -> String {
    text.trim_end().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;")
}

fn entry() -> String {
    let file = repository_file("packaging/desktop/mailknock.desktop");
    std::fs::read_to_string(file).expect("it is part of the repository")
}

/// The actions' `Exec` lines, in their order, with the program that was built in the place of the installed one.
fn actions() -> Vec<Vec<String>> {
    let program = key_file::exec_word(env!("CARGO_BIN_EXE_mailknock"));
    let entry = entry().replace("/usr/bin/mailknock", &program);
    let names = key_file::value(&entry, "Desktop Entry", "Actions").expect("there are some");
    let exec = |name: &str| key_file::value(&entry, &format!("Desktop Action {name}"), "Exec");
    let names = names.split_terminator(';');
    names.map(|name| exec(name).and_then(|exec| key_file::exec_words(&exec)).expect("it runs something")).collect()
}

#[test]
fn the_desktops_list_has_the_program_and_its_actions() {
    let words = actions();
    assert_eq!(words.iter().map(|words| &words[1..]).collect::<Vec<_>>(), ACTIONS);
    let main = key_file::value(&entry(), "Desktop Entry", "Exec").expect("it runs something");
    assert_eq!(main, "/usr/bin/mailknock run");
    if require(&["desktop-file-validate"]) {
        let file = repository_file("packaging/desktop/mailknock.desktop");
        let said = std::process::Command::new("desktop-file-validate").arg(file).output().expect("it is installed");
        let said = (said.status.success(), String::from_utf8_lossy(&said.stdout).into_owned());
        assert_eq!(said, (true, String::new()));
    }
}

#[test]
fn where_nothing_runs_an_action_says_so_on_the_screen_too() {
    let Some((_bus, desktop, recipe)) = without_tray() else { return };
    for action in ACTIONS {
        let said = recipe.command(action).ended_with(1);
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", "mailknock: Mailknock isn't running\n"));
        let shown = only(&desktop);
        assert_eq!((shown.app_name.as_str(), shown.summary.as_str()), ("Mailknock", "Mailknock"));
        assert_eq!((&shown.body, shown.timeout), (&escaped("Mailknock isn't running"), -1));
        assert!(shown.hints.contains_key("image-data") || shown.icon == "mailknock", "our own icon");
        // Nobody is there to hear a click, and GNOME would take down what belongs to a program that has gone.
        assert!(shown.actions.is_empty() && !shown.hints.contains_key("desktop-entry"), "{shown:?}");
    }
}

#[test]
fn an_action_shows_what_it_prints_and_nothing_of_it_is_markup() {
    let Some((_bus, desktop, recipe)) = without_tray() else { return };
    let sad = handler("name = \"sad\"\nuser = \"nobody\"", "echo all right; echo '<b>no</b> & route' >&2; exit 3");
    recipe.write_config(&format!("{sad}{}", handler("name = \"fine\"\nuser = \"nobody\"", "true")));
    let daemon = start_mute(&recipe);
    let fetched = recipe.command(&["fetch", "--notify"]).ended_with(1);
    assert_eq!(
        (fetched.stdout.as_str(), fetched.stderr.as_str()),
        ("sad: exit 3: <b>no</b> & route\nfine: done\n", "")
    );
    let shown = only(&desktop);
    assert_eq!((shown.summary, shown.body), ("Mailknock".to_owned(), escaped(&fetched.stdout)));

    let told = recipe.command(&["status", "--notify"]).succeeded();
    assert!(told.stdout.contains("<b>no</b> & route\n"), "{}", told.stdout);
    assert_eq!(only(&desktop).body, escaped(&told.stdout));
    assert_eq!(recipe.command(&["status"]).succeeded().stdout, told.stdout);

    recipe.command(&["fetch", "--notify", "fine", "nobody"]).ended_with(1);
    assert_eq!(only(&desktop).body, "no command handler is named `nobody`; there are: sad, fine");
    assert!(desktop.try_notification().is_none(), "nothing without the word");
    daemon.stop();
}

#[test]
fn a_fetch_is_told_of_at_its_end_only() {
    let Some((_bus, desktop, recipe)) = without_tray() else { return };
    let fetch = Recorder::held(&recipe, "fetch");
    recipe
        .write_config(&format!("[[handler]]\nname = \"fetch\"\nuser = \"nobody\"\ncommand = {}\n", fetch.command(&[])));
    let daemon = start_mute(&recipe);
    let action = recipe.clone().args(ACTIONS[0]).spawn();
    fetch.wait_starts(1);
    assert_eq!(status(&recipe)["fetching"], true);
    assert!(desktop.try_notification().is_none());
    fetch.release();
    action.finish().succeeded();
    assert_eq!(only(&desktop).body, "fetch: done");

    // One that the program doesn't live to end.
    let fetch = Recorder::held(&recipe, "again");
    recipe
        .write_config(&format!("[[handler]]\nname = \"again\"\nuser = \"nobody\"\ncommand = {}\n", fetch.command(&[])));
    recipe.command(&["reload"]).succeeded();
    let action = recipe.clone().args(ACTIONS[0]).spawn();
    fetch.wait_starts(1);
    daemon.stop();
    let why = action.finish().ended_with(1).stderr;
    assert_eq!(format!("mailknock: {}", only(&desktop).body), escaped(&why));
}

#[test]
fn a_toggle_pauses_and_resumes_and_says_which() {
    let Some((_bus, desktop, recipe)) = without_tray() else { return };
    let daemon = start(&recipe);
    let toggle = |length: &[&str]| {
        let said = recipe.command(&[ACTIONS[1], length].concat()).succeeded().stdout;
        assert_eq!(only(&desktop).body, said.trim_end());
        said
    };
    let (paused, shown) = ("notifications are paused until resumed\n", "notifications are shown\n");
    assert_eq!([toggle(&[]), toggle(&[])], [paused, shown]);
    assert!(toggle(&["1h"]).starts_with("notifications are paused until ") && status(&recipe)["paused"] == true);
    assert_eq!(toggle(&["1h"]), shown);
    recipe.command(&["pause"]).succeeded();
    assert_eq!(toggle(&[]), shown);
    assert_eq!(recipe.command(&["pause", "--toggle"]).succeeded().stdout, paused);
    assert!(desktop.try_notification().is_none(), "nothing without the word");
    // The program itself stays, and its popups are the entry's.
    recipe.command(&["resume"]).succeeded();
    daemon.push(&Mail::new("Alice <a@example.org>", "s").json()).accepted();
    let mail = desktop.next_notification();
    assert_eq!((mail.hint("desktop-entry"), mail.action("default")), (Some("mailknock".to_owned()), Some("Open")));
    daemon.stop();
}

#[test]
fn what_can_not_be_shown_changes_nothing_but_a_line_of_complaint() {
    // With no bus.
    let recipe = Daemon::new();
    let complaint = "mailknock: the notification could not be shown: no session bus: ";
    for action in ACTIONS {
        let said = recipe.command(action).ended_with(1).stderr;
        let rest = said.strip_prefix("mailknock: Mailknock isn't running\n").expect("first what matters");
        assert!(rest.starts_with(complaint) && rest.lines().count() == 1, "{rest}");
    }
    let daemon = start(&recipe);
    let said = recipe.command(&["status", "--notify"]).succeeded();
    assert!(said.stdout.starts_with("no new messages\n") && said.stderr.starts_with(complaint), "{said:?}");
    daemon.stop();

    let Some((_bus, mut desktop, recipe)) = without_tray() else { return };
    let daemon = start_mute(&recipe);
    let complaint = |recipe: &Daemon| {
        let said = recipe.command(&["pause", "--notify"]).succeeded();
        assert_eq!(said.stdout, "notifications are paused until resumed\n");
        let complaint = said.stderr.strip_prefix("mailknock: the notification could not be shown: ");
        complaint.unwrap_or_else(|| panic!("{}", said.stderr)).to_owned()
    };
    desktop.behave(Behaviour::Refuse);
    assert!(complaint(&recipe).starts_with("the notification service refused it: "));
    // Within the time that we wait for the end of any program here.
    desktop.behave(Behaviour::Hang);
    assert!(complaint(&recipe).ends_with(" does not answer\n"));
    // What says the same is on the screen already.
    desktop.behave(Behaviour::RefuseAsRepeats);
    assert_eq!(recipe.command(&["pause", "--notify"]).succeeded().stderr, "");
    desktop.stop_notifications();
    assert!(complaint(&recipe).starts_with("no notification service: "));
    daemon.stop();
}

#[test]
fn what_is_for_programs_is_not_for_a_notification() {
    let recipe = Daemon::new();
    for other in [&["--json"][..], &["--follow"], &["--format", "waybar"]] {
        let finished = recipe.command(&[&["status", "--notify"], other].concat()).ended_with(2);
        assert!(finished.stderr.contains("cannot be used with") && finished.stdout.is_empty(), "{finished:?}");
    }
}

#[test]
fn every_action_of_the_entry_shows_its_result_on_a_real_desktop() {
    if !RealDesktop::available() {
        return;
    }
    let desktop = RealDesktop::start();
    let recipe = Daemon::on(&desktop)
        .config(&handler("name = \"fetch\"\nuser = \"nobody\"", "echo '<i>unreachable</i> & gone'; exit 1"));
    let daemon = start_mute(&recipe);
    let printed: Vec<String> = actions().into_iter().map(|words| run(&recipe, &words)).collect();
    // They stay when the commands that showed them have gone.
    desktop.wait_displayed(3);
    daemon.stop();
    let not_running = run(&recipe, &actions()[2]);
    desktop.wait_displayed(4);
    let shown = desktop.dunst_history();
    let bodies: Vec<&str> = shown.iter().rev().map(|note| note.body.as_str()).collect();
    assert_eq!(&bodies[..3], printed.iter().map(|said| escaped(said)).collect::<Vec<_>>());
    assert_eq!((bodies[3], not_running.as_str()), (&*escaped("Mailknock isn't running"), ""));
    assert!(bodies[0].starts_with("fetch: exit 1: &lt;i&gt;"), "{bodies:?}");
    assert!(shown.iter().all(|note| note.app_name == "Mailknock" && note.summary == "Mailknock"), "{shown:?}");
}

/// Runs one as the desktop does, and returns what it prints.
fn run(recipe: &Daemon, words: &[String]) -> String {
    let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    recipe.clone().program(&words[0]).args(&arguments).spawn().finish().stdout
}
