//! Which handlers an event is for.

use std::sync::Arc;

use crate::event::{Event, EventKind};
use crate::handler::{Handler, Kind};

/// Every command and log handler that matches; of the notify handlers the first, unless it silences. What nobody could
/// read is for all that fetch: whatever happened, they find it. A test is for nobody, whatever filters say.
pub fn route<'a>(handlers: &'a [Arc<Handler>], event: &'a Event) -> impl Iterator<Item = &'a Arc<Handler>> {
    let mut decided = false;
    let takers = if event.is_test() { &[][..] } else { handlers };
    takers.iter().filter(move |handler| {
        if !handler.filter.accepts(event) {
            return event.kind == EventKind::Unreadable && handler.fetch;
        }
        match handler.kind {
            Kind::Command(_) | Kind::Log(_) => true,
            Kind::Notify(_) | Kind::Silence if decided => false,
            // Somebody or something on the server has read it already.
            Kind::Notify(_) if event.is_new_mail() && event.has_seen() => false,
            Kind::Notify(_) => {
                decided = true;
                true
            }
            Kind::Silence => {
                decided = true;
                false
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn check(config: &str, folder: &str, expected: &[&str]) {
        let (config, problems) = Config::parse("f", config);
        let config = config.unwrap_or_else(|| panic!("{problems:?}"));
        let mut event = Event::new(EventKind::MessageNew, "me");
        event.folder = Some(folder.to_owned());
        let names: Vec<&str> = route(&config.handlers, &event).map(|handler| &*handler.name).collect();
        assert_eq!(names, expected, "in {folder}");
    }

    #[test]
    fn the_first_notify_handler_that_matches_decides_and_commands_all_run() {
        let config = "[[handler]]\nname = \"mute\"\nfolder = \"lists/*\"\nnotify = false\n\
            [[handler]]\nname = \"a\"\ncommand = \"x\"\n\
            [[handler]]\nname = \"work\"\nfolder = \"Work\"\nnotify = true\n\
            [[handler]]\nname = \"all\"\nnotify = true\n\
            [[handler]]\nname = \"log\"\nlog = \"info\"\n";
        check(config, "INBOX", &["a", "all", "log"]);
        check(config, "Work", &["a", "work", "log"]);
        check(config, "lists/rust", &["a", "log"]);
    }

    #[test]
    fn a_test_is_for_no_handler_whatever_its_filters() {
        let config = "[[handler]]\nevent = \"*\"\nfolder = \"*\"\ncommand = \"x\"\n\
            [[handler]]\nevent = \"MailknockTest\"\nnotify = true\n[[handler]]\nevent = \"*\"\nlog = \"info\"\n";
        let (config, problems) = Config::parse("f", config);
        let config = config.unwrap_or_else(|| panic!("{problems:?}"));
        let event = |kind| Event::new(kind, "doctor");
        assert_eq!(route(&config.handlers, &event(EventKind::MailknockTest)).count(), 0);
        assert_eq!(route(&config.handlers, &event(EventKind::Other("MailknockTests".to_owned()))).count(), 2);
    }

    #[test]
    fn folders_that_nobody_waits_for_are_silent_by_default() {
        check("", "INBOX", &["notify"]);
        for folder in ["Sent", "junk", "[Gmail]/Spam", "INBOX.Trash", "Drafts"] {
            check("", folder, &[]);
        }
        check("[[handler]]\nname = \"n\"\nfolder = \"*\"\nnotify = true", "Spam", &["n"]);
    }
}
