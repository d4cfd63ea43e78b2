//! The presets for Emacs, read by a real one: whatever a mail calls itself, it stays a string.

use serde_json::{Value, json};

use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Running, Signal};
use crate::support::desktop::Desktop;
use crate::support::mail::Mail;
use crate::support::wait::wait_until;
use crate::support::{program, repository_file, require};

/// Of the mail readers what the presets call. It writes down how, and ends Emacs when it is called for no message.
const MU4E: &str = "(defun mu4e (&optional background) (unless background (note \"mu4e\") (kill-emacs)))
(defun mu4e-view-message-with-message-id (id) (note \"message\" id))
(provide 'mu4e)\n";
const NOTMUCH: &str = "(defun notmuch () (note \"notmuch\") (kill-emacs))
(defun notmuch-id-to-query (id) (list id))
(defun notmuch-show (query) (apply 'note \"message\" query))
(provide 'notmuch)\n";

/// Emacs of the program's user, started by the first click. Dropping it ends it.
struct Emacs {
    recipe: Daemon,
}

const MARK: &str = "TEST_EMACS";

impl Emacs {
    fn new(recipe: Daemon) -> Emacs {
        let home = recipe.home();
        let noted = home.join("noted").display().to_string();
        let lisp = home.join("lisp").display().to_string();
        let init = format!(
            "(require 'json)
            (push {lisp:?} load-path)
            (defun note (&rest said)
              (let ((coding-system-for-write 'utf-8))
                (write-region (concat (json-encode (vconcat said)) \"\\n\") nil {noted:?} 'append)))\n"
        );
        for directory in ["lisp", ".emacs.d"] {
            std::fs::create_dir(home.join(directory)).expect("the home is new");
            recipe.give(&home.join(directory));
        }
        for (file, text) in [(".emacs.d/init.el", init.as_str()), ("lisp/mu4e.el", MU4E), ("lisp/notmuch.el", NOTMUCH)]
        {
            std::fs::write(home.join(file), text).expect("the home is ours");
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let ours = repository_file("tests/support/emacs").display().to_string();
        let mark = home.display().to_string();
        Emacs { recipe: recipe.env("PATH", format!("{ours}:{path}")).env(MARK, mark) }
    }

    fn noted(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.recipe.home().join("noted")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line is one write")).collect()
    }
}

impl Drop for Emacs {
    fn drop(&mut self) {
        for process in program::started_with(MARK, &self.recipe.home().display().to_string()) {
            program::signal(process.pid, Signal::KILL);
        }
    }
}

/// Clicks on the popup of a mail with this Message-ID, or without one.
fn click(desktop: &Desktop, daemon: &Running, number: usize, message_id: Option<&str>) {
    // Each in a folder of its own: four in one would become a summary.
    let mail = Mail::new("Eve <eve@example.net>", "s").folder(&number.to_string());
    let mail = message_id.map_or(mail.clone(), |id| mail.with("message-id", id));
    daemon.push(&mail.json()).accepted();
    desktop.click(desktop.next_notification().id, "default");
}

fn what_a_mail_calls_itself_stays_a_string(preset: &str) {
    if !require(&["dbus-daemon", "emacs", "emacsclient"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let emacs = Emacs::new(Daemon::new().bus(&bus));
    let daemon = emacs.recipe.clone().config(&format!("[tray]\nopen = \"@{preset}\"\n")).start();
    let long = "x".repeat(900);
    let told = [
        ("<a+1=2%41/$b@mail.example.org>", "a+1=2%41/$b@mail.example.org"),
        ("\") (note \"evaluated\") (\"", "\") (note \"evaluated\") (\""),
        ("\\\") (note \\\"evaluated\\\") (\\\"", "\\\") (note \\\"evaluated\\\") (\\\""),
        ("--eval=(note 1)", "--eval=(note 1)"),
        ("(note 1)", "(note 1)"),
        ("<a\r\n b\u{0}\u{1b}c@x>", "a bc@x"),
        ("<ä\u{1f600}@x>", "ä\u{1f600}@x"),
        (long.as_str(), long.as_str()),
    ];
    for (number, (told, means)) in told.into_iter().enumerate() {
        click(&desktop, &daemon, number, Some(told));
        let noted = wait_until("Emacs to be told", || Some(emacs.noted()).filter(|noted| noted.len() > number));
        assert_eq!(noted[number..], [json!(["message", means])], "{told:?}");
    }
    let many = told.len();
    click(&desktop, &daemon, many, None);
    let noted = wait_until("the mail reader to open", || Some(emacs.noted()).filter(|noted| noted.len() > many));
    assert_eq!(noted[many..], [json!([preset.trim_end_matches("-emacs")])]);
    let home = emacs.recipe.home().display().to_string();
    wait_until("Emacs to end", || {
        let living = program::started_with(MARK, &home);
        living.iter().all(|process| process.pid == daemon.pid()).then_some(())
    });
    daemon.stop();
}

#[test]
fn what_a_mail_calls_itself_stays_a_string_for_mu4e() {
    what_a_mail_calls_itself_stays_a_string("mu4e");
}

#[test]
fn what_a_mail_calls_itself_stays_a_string_for_notmuch() {
    what_a_mail_calls_itself_stays_a_string("notmuch-emacs");
}
