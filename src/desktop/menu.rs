//! What the tray shows, from how things stand. Pure; both backends carry the same.

use std::iter;

use jiff::Timestamp;

use crate::clock::{moment, time_of_day};
use crate::mime::shorten;
use crate::status::{HandlerStatus, Paused, Recent, Status};

use super::icons::Theme;
use super::{Choice, PauseFor};

/// Longer menu lines are cut: some panels make the menu as wide as its longest line.
const LINE: usize = 60;
const PROBLEM_LINES: usize = 3;
/// A problem names its place and its reason, which are long.
const PROBLEM_LINE: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrayView {
    pub icon: IconState,
    /// How many messages the icon tells of.
    pub number: Option<u32>,
    pub theme: Theme,
    /// Plain text; the first line says what the icon says.
    pub tooltip: String,
    pub menu: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IconState {
    Idle,
    New,
    Fetching,
    Paused,
    Problem,
}

/// One entry of the menu. Texts are plain: a backend escapes what its menus read as access keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Says something and can't be chosen.
    Label(String),
    Action {
        label: String,
        choice: Choice,
    },
    /// An action with a mark that says how things stand.
    Check {
        label: String,
        is_on: bool,
        choice: Choice,
    },
    Submenu {
        label: String,
        entries: Vec<Entry>,
    },
    Separator,
    /// Keeps the place of an entry that has nothing to show: a menu that changes its structure while it is open
    /// closes on some panels.
    Hidden,
}

pub fn tray_view(status: &Status, theme: Theme) -> TrayView {
    TrayView { icon: icon(status), number: number(status), theme, tooltip: tooltip(status), menu: menu(status) }
}

fn icon(status: &Status) -> IconState {
    if status.is_fetching() {
        IconState::Fetching
    } else if !status.problems.is_empty() {
        IconState::Problem
    } else if status.paused.is_some() {
        IconState::Paused
    } else if has_news(status) {
        IconState::New
    } else {
        IconState::Idle
    }
}

fn has_news(status: &Status) -> bool {
    status.new > 0 && !status.looked
}

/// What waits where a server tells it, else what came. None once somebody has looked.
fn number(status: &Status) -> Option<u32> {
    // A server that says that all of its mail is seen knows nothing of what came from another.
    let unseen = status.unseen().filter(|unseen| *unseen > 0);
    has_news(status).then(|| unseen.unwrap_or(status.new))
}

pub fn tooltip(status: &Status) -> String {
    let mut lines = vec![new_line(status)];
    if let Some(paused) = status.paused {
        lines.push(paused_line(paused));
    }
    let running = status.handlers.iter().filter(|handler| handler.running_since.is_some());
    lines.extend(running.map(|handler| format!("{} is running", handler.name)));
    if let Some(recent) = status.recent.first() {
        lines.push(recent_line(recent, status.now));
    }
    lines.extend(status.problems.iter().take(PROBLEM_LINES).map(|problem| shorten(problem, 2 * LINE)));
    lines.join("\n")
}

/// The menu, top to bottom. *Fetch now* is the first entry that can be chosen, for hosts that open the menu on every
/// click.
pub fn menu(status: &Status) -> Vec<Entry> {
    let mut entries = vec![Entry::Label(new_line(status))];
    entries.push(match status.can_fetch() {
        true => action(if status.is_fetching() { "Fetching…" } else { "Fetch now" }, Choice::Fetch),
        false => Entry::Hidden,
    });
    entries.push(action("Open mail", Choice::OpenMail));
    entries.push(Entry::Separator);
    entries.extend(recent(status));
    entries.push(Entry::Separator);
    entries.push(Entry::Submenu {
        label: "Handlers".to_owned(),
        entries: status.handlers.iter().map(handler_entry).collect(),
    });
    entries.extend(pause(status));
    let tunnels = status.tunnels.iter().map(|tunnel| match tunnel.problem() {
        Some(problem) => problem_entry(&problem),
        None => Entry::Label(shorten(&tunnel.line(), PROBLEM_LINE)),
    });
    let slots = status.tunnels.len().max(1);
    entries.extend(tunnels.chain(iter::repeat(Entry::Hidden)).take(slots));
    // A tunnel has its own line.
    let is_said = |problem: &String| status.tunnels.iter().any(|tunnel| tunnel.problem().as_ref() == Some(problem));
    let problems = status.problems.iter().filter(|problem| !is_said(problem)).map(|problem| problem_entry(problem));
    entries.extend(problems.chain(iter::repeat(Entry::Hidden)).take(PROBLEM_LINES));
    entries.push(Entry::Separator);
    let configuration =
        [("Open configuration", Choice::OpenConfiguration), ("Reload configuration", Choice::ReloadConfiguration)];
    entries.extend(configuration.map(|(label, choice)| match status.has_configuration {
        true => action(label, choice),
        false => Entry::Hidden,
    }));
    entries.push(match status.starts_at_login {
        Some(is_on) => Entry::Check { label: "Start at login".to_owned(), is_on, choice: Choice::StartAtLogin(!is_on) },
        None => Entry::Hidden,
    });
    entries.push(action("Quit", Choice::Quit));
    entries
}

fn action(label: &str, choice: Choice) -> Entry {
    Entry::Action { label: label.to_owned(), choice }
}

fn new_line(status: &Status) -> String {
    let new = match status.new {
        0 => "No new messages".to_owned(),
        1 => "1 new message".to_owned(),
        new => format!("{new} new messages"),
    };
    match status.unseen() {
        None => new,
        Some(unseen) => format!("{new}, {unseen} unseen"),
    }
}

fn recent(status: &Status) -> impl Iterator<Item = Entry> {
    let none = status.recent.is_empty().then(|| Entry::Label("Nothing has happened yet".to_owned()));
    let lines = status.recent.iter().map(|line| action(&recent_line(line, status.now), Choice::OpenEntry(line.entry)));
    let filled: Vec<Entry> = none.into_iter().chain(lines).collect();
    filled.into_iter().chain(iter::repeat(Entry::Hidden)).take(status.recent_slots.max(1))
}

fn recent_line(recent: &Recent, now: Timestamp) -> String {
    let who = match &recent.account {
        Some(account) => format!("{account}: {}", recent.who),
        None => recent.who.clone(),
    };
    let text = if recent.what.is_empty() { who } else { format!("{who} — {}", recent.what) };
    let mark = if recent.is_unread { "● " } else { "" };
    format!("{}  {mark}{}", moment(recent.at, now), shorten(&text, LINE))
}

fn handler_entry(handler: &HandlerStatus) -> Entry {
    let state = match (&handler.running_since, &handler.last) {
        (Some(since), _) => format!("running since {}", time_of_day(*since)),
        (None, Some(last)) if last.succeeded || last.last_line.is_empty() => {
            format!("{} at {}", last.result, time_of_day(last.at))
        }
        (None, Some(last)) => format!("{} at {}: {}", last.result, time_of_day(last.at), last.last_line),
        (None, None) => "not yet run".to_owned(),
    };
    // The reason stands at its end.
    let label = shorten(&format!("{}: {state}", handler.name), PROBLEM_LINE);
    match handler.is_command {
        true => action(&label, Choice::RunHandler(handler.name.clone())),
        false => Entry::Label(label),
    }
}

fn problem_entry(problem: &str) -> Entry {
    Entry::Label(format!("⚠ {}", shorten(problem, PROBLEM_LINE)))
}

fn pause(status: &Status) -> [Entry; 2] {
    let (state, resume) = match status.paused {
        Some(paused) => (paused_line(paused), action("Resume notifications", Choice::Resume)),
        None => ("Pause notifications".to_owned(), Entry::Hidden),
    };
    let lengths = [
        ("For 30 minutes", PauseFor::HalfAnHour),
        ("For 1 hour", PauseFor::AnHour),
        ("Until tomorrow", PauseFor::UntilTomorrow),
        ("Until resumed", PauseFor::UntilResumed),
    ];
    let entries = lengths.into_iter().map(|(label, length)| action(label, Choice::Pause(length))).collect();
    [Entry::Submenu { label: state, entries }, resume]
}

fn paused_line(paused: Paused) -> String {
    match paused {
        Paused::UntilResumed => "Notifications paused".to_owned(),
        Paused::Until(end) => format!("Notifications paused until {}", time_of_day(end)),
        Paused::Quiet(end) => format!("Quiet hours until {}", time_of_day(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EntryId;
    use crate::status::{LastRun, Mailbox, TunnelState, TunnelStatus};

    fn text(entries: &[Entry]) -> String {
        let line = |entry: &Entry| match entry {
            Entry::Label(label) => format!("({label})"),
            Entry::Action { label, .. } => label.clone(),
            Entry::Check { label, is_on, .. } => format!("{} {label}", if *is_on { "✓" } else { "☐" }),
            Entry::Submenu { label, entries } => format!("{label} > {}", text(entries).replace('\n', " | ")),
            Entry::Separator => "---".to_owned(),
            Entry::Hidden => String::new(),
        };
        entries.iter().map(line).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn fetch(running: bool) -> HandlerStatus {
        HandlerStatus {
            name: "fetch".into(),
            fetches: true,
            is_command: true,
            running_since: running.then(|| at(0)),
            last: Some(LastRun { at: at(0), result: "exit 1".into(), succeeded: false, last_line: "no route".into() }),
        }
    }

    fn tunnel(state: TunnelState) -> TunnelStatus {
        TunnelStatus { name: Some("mail".into()), state, since: at(0) }
    }

    fn busy() -> Status {
        Status {
            new: 2,
            recent: vec![Recent {
                entry: EntryId(7),
                at: at(0),
                account: None,
                who: "Jörg".into(),
                what: "a_b & c".into(),
                is_unread: false,
            }],
            recent_slots: 3,
            handlers: vec![fetch(false)],
            tunnels: vec![tunnel(TunnelState::Up)],
            problems: vec!["fetch: exit 1".into()],
            has_configuration: true,
            starts_at_login: Some(true),
            ..Status::default()
        }
    }

    #[test]
    fn the_whole_menu_reads_as_promised() {
        let clock = time_of_day(at(0));
        assert_eq!(
            text(&menu(&busy())),
            format!(
                "(2 new messages)\nFetch now\nOpen mail\n---\n{clock}  Jörg — a_b & c\n---\n\
                 Handlers > fetch: exit 1 at {clock}: no route\n\
                 Pause notifications > For 30 minutes | For 1 hour | Until tomorrow | Until resumed\n\
                 (Tunnel to mail: up since {clock})\n\
                 (⚠ fetch: exit 1)\n---\nOpen configuration\nReload configuration\n✓ Start at login\nQuit"
            )
        );
    }

    #[test]
    fn a_tunnel_that_is_down_says_why_and_says_it_once() {
        let down = tunnel(TunnelState::Down("no route".into()));
        let status = Status { problems: vec![down.line(), "else".into()], tunnels: vec![down], ..busy() };
        let lines: Vec<String> =
            text(&menu(&status)).lines().filter(|line| line.contains('⚠')).map(str::to_owned).collect();
        assert_eq!(
            lines,
            [format!("(⚠ Tunnel to mail: down since {}: no route)", time_of_day(at(0))), "(⚠ else)".into()]
        );
    }

    #[test]
    fn the_number_of_entries_never_changes() {
        let quiet = Status { recent_slots: 3, handlers: vec![fetch(true)], ..Status::default() };
        let paused = Status { paused: Some(Paused::UntilResumed), ..busy() };
        assert_eq!(menu(&quiet).len(), menu(&busy()).len());
        assert_eq!(menu(&paused).len(), menu(&busy()).len());
    }

    #[test]
    fn a_check_entry_asks_for_the_other_state() {
        for is_on in [true, false] {
            let menu = menu(&Status { starts_at_login: Some(is_on), ..busy() });
            let choice = menu.iter().find_map(|entry| match entry {
                Entry::Check { is_on: shown, choice, .. } => Some((*shown, choice.clone())),
                _ => None,
            });
            assert_eq!(choice, Some((is_on, Choice::StartAtLogin(!is_on))));
        }
    }

    #[test]
    fn the_icon_says_the_most_pressing_thing() {
        let mut status = busy();
        assert_eq!(icon(&status), IconState::Problem);
        status.handlers = vec![fetch(true)];
        assert_eq!(icon(&status), IconState::Fetching);
        status = Status { problems: Vec::new(), ..busy() };
        assert_eq!(icon(&status), IconState::New);
        status.paused = Some(Paused::UntilResumed);
        assert_eq!(icon(&status), IconState::Paused);
        assert_eq!(icon(&Status::default()), IconState::Idle);
    }

    #[test]
    fn the_icon_tells_how_many_wait() {
        let mailbox = |unseen| Mailbox { user: "a".into(), folder: "INBOX".into(), unseen };
        let mut status = busy();
        assert_eq!(number(&status), Some(2));
        status.unseen = vec![mailbox(4), mailbox(3)];
        assert_eq!(number(&status), Some(7));
        status.unseen = vec![mailbox(0)];
        assert_eq!(number(&status), Some(2));
        status.looked = true;
        assert_eq!(number(&status), None);
        assert_eq!(number(&Status { unseen: vec![mailbox(5)], ..Status::default() }), None);
    }

    #[test]
    fn long_lines_are_cut() {
        let mut status = busy();
        status.recent[0].what = "x".repeat(500);
        let longest = text(&menu(&status)).lines().map(|line| line.chars().count()).max();
        assert!(longest < Some(100));
    }
}
