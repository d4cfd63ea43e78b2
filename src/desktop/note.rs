//! A popup before anyone shows it, and the form a notification service wants it in
//! (Desktop Notifications Specification 1.3).

use std::time::Duration;

use crate::mime::paragraph;

/// A popup as a handler means it; its texts are safe to show, but not escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub summary: String,
    pub body: String,
    /// A path or the name of an icon; none shows our own.
    pub icon: Option<String>,
    pub urgency: Urgency,
    pub expire: Expire,
    /// The label of the click that opens the mail; none where who shows it doesn't stay to hear one.
    pub open_label: Option<String>,
    /// The labels of the buttons, in order.
    pub buttons: Vec<String>,
    /// A sound's name (Sound Naming Specification); silent without.
    pub sound: Option<String>,
    /// Whose mail it is, where people have a name for that.
    pub account: Option<String>,
    /// What is shown in its place while strangers may look; none where there is nothing to hide.
    pub cover: Option<String>,
}

impl Note {
    /// The program's own words, which nobody needs to answer.
    pub fn ours(text: &str) -> Self {
        Self {
            summary: "Mailknock".to_owned(),
            body: paragraph(text),
            icon: None,
            urgency: Urgency::Normal,
            expire: Expire::Default,
            open_label: None,
            buttons: Vec::new(),
            sound: None,
            account: None,
            cover: None,
        }
    }

    /// What strangers may see: that there is something.
    pub fn covered(&self) -> Self {
        match &self.cover {
            None => self.clone(),
            Some(cover) => {
                Self { summary: cover.clone(), body: String::new(), icon: None, buttons: Vec::new(), ..self.clone() }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Urgency {
    Low,
    #[default]
    Normal,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expire {
    /// As the service thinks fit.
    #[default]
    Default,
    After(Duration),
    Never,
}

/// What a notification service says it can do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caps {
    pub body: bool,
    pub body_markup: bool,
    pub actions: bool,
    pub sound: bool,
}

impl Caps {
    pub fn from_names<S: AsRef<str>>(names: &[S]) -> Self {
        let has = |name: &str| names.iter().any(|known| known.as_ref() == name);
        Self { body: has("body"), body_markup: has("body-markup"), actions: has("actions"), sound: has("sound") }
    }
}

/// A popup in the words of the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub summary: String,
    pub body: String,
    /// Keys and labels in turn.
    pub actions: Vec<String>,
    pub urgency: u8,
    /// A sound's name; none where none is to be heard.
    pub sound: Option<String>,
    /// Milliseconds; -1 as the service thinks fit, 0 never.
    pub expire_timeout: i32,
}

/// What a click on the popup itself is called.
pub const DEFAULT_ACTION: &str = "default";
const BUTTON: &str = "button-";

/// Which button an action is, counted from 0; none where it is the popup itself.
pub fn button(action: &str) -> Option<usize> {
    action.strip_prefix(BUTTON)?.parse().ok()
}

/// Fits the popup to what the service can do. The body is markup for some services, the summary never is.
pub fn rendered(note: &Note, caps: &Caps) -> Rendered {
    let body = if caps.body_markup { escape_markup(&note.body) } else { note.body.clone() };
    let (summary, body) = match caps.body || note.body.is_empty() {
        true => (note.summary.clone(), body),
        // Without bodies the subject is better in the one line than nowhere.
        false => (format!("{}: {}", note.summary, note.body.lines().next().unwrap_or_default()), String::new()),
    };
    let actions = match &note.open_label {
        Some(open_label) if caps.actions => {
            let buttons = note.buttons.iter().enumerate();
            let buttons = buttons.flat_map(|(number, label)| [format!("{BUTTON}{number}"), label.clone()]);
            [DEFAULT_ACTION.to_owned(), open_label.clone()].into_iter().chain(buttons).collect()
        }
        _ => Vec::new(),
    };
    Rendered {
        summary,
        body,
        actions,
        urgency: match note.urgency {
            Urgency::Low => 0,
            Urgency::Normal => 1,
            Urgency::Critical => 2,
        },
        sound: note.sound.clone().filter(|_| caps.sound),
        expire_timeout: match note.expire {
            Expire::Default => -1,
            Expire::Never => 0,
            Expire::After(time) => i32::try_from(time.as_millis()).unwrap_or(i32::MAX),
        },
    }
}

/// Text where markup is read: a notification's body, a tooltip.
pub fn escape_markup(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A NUL in any text makes the bus throw us off; texts are clean by then, and this makes sure.
pub fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> Note {
        Note {
            summary: "A <b> & B".into(),
            body: "<i>x</i>\n& y".into(),
            icon: None,
            urgency: Urgency::Normal,
            expire: Expire::Default,
            open_label: Some("Open".into()),
            buttons: Vec::new(),
            sound: None,
            account: None,
            cover: Some("New mail".into()),
        }
    }

    #[test]
    fn markup_is_escaped_in_the_body_alone_and_only_where_it_is_read() {
        let with = rendered(&note(), &Caps::from_names(&["body", "body-markup", "actions"]));
        assert_eq!((with.summary.as_str(), with.body.as_str()), ("A <b> & B", "&lt;i&gt;x&lt;/i&gt;\n&amp; y"));
        assert_eq!(with.actions, ["default", "Open"]);
        let without = rendered(&note(), &Caps::from_names(&["body"]));
        assert_eq!(without.body, "<i>x</i>\n& y");
        assert!(without.actions.is_empty());
    }

    #[test]
    fn buttons_have_keys_of_their_own_where_there_can_be_any() {
        let note = Note { buttons: vec!["Mark read".into(), "Delete".into()], ..note() };
        let with = rendered(&note, &Caps::from_names(&["actions"]));
        assert_eq!(with.actions, ["default", "Open", "button-0", "Mark read", "button-1", "Delete"]);
        assert_eq!((button("button-1"), button("default"), button("button-x")), (Some(1), None, None));
        assert!(rendered(&note, &Caps::default()).actions.is_empty());
    }

    #[test]
    fn what_nobody_stays_for_can_not_be_clicked() {
        let note = Note::ours("a <b>\u{202e}\nc");
        assert_eq!((note.summary.as_str(), note.body.as_str()), ("Mailknock", "a <b>\nc"));
        let shown = rendered(&note, &Caps::from_names(&["actions", "body", "body-markup"]));
        assert_eq!((shown.body.as_str(), shown.actions.len()), ("a &lt;b&gt;\nc", 0));
    }

    #[test]
    fn a_sound_is_for_services_that_make_one() {
        let note = Note { sound: Some("message-new-email".into()), ..note() };
        assert_eq!(rendered(&note, &Caps::default()).sound, None);
        assert_eq!(rendered(&note, &Caps::from_names(&["sound"])).sound.as_deref(), Some("message-new-email"));
    }

    #[test]
    fn what_strangers_see_says_nothing_of_the_mail() {
        let note = Note { buttons: vec!["Mark read".into()], icon: Some("/x".into()), ..note() };
        let covered = note.covered();
        assert_eq!((covered.summary.as_str(), covered.body.as_str()), ("New mail", ""));
        assert!(covered.buttons.is_empty() && covered.icon.is_none());
        let ours = Note { cover: None, ..note };
        assert_eq!(ours.covered(), ours);
    }

    #[test]
    fn without_bodies_the_first_line_goes_into_the_summary() {
        let plain = rendered(&note(), &Caps::default());
        assert_eq!((plain.summary.as_str(), plain.body.as_str()), ("A <b> & B: <i>x</i>", ""));
    }

    #[test]
    fn expiry_and_urgency_in_the_specifications_numbers() {
        let timeout = |expire| rendered(&Note { expire, ..note() }, &Caps::default()).expire_timeout;
        assert_eq!(timeout(Expire::Default), -1);
        assert_eq!(timeout(Expire::Never), 0);
        assert_eq!(timeout(Expire::After(Duration::from_secs(3))), 3000);
        let urgency = |urgency| rendered(&Note { urgency, ..note() }, &Caps::default()).urgency;
        assert_eq!([urgency(Urgency::Low), urgency(Urgency::Normal), urgency(Urgency::Critical)], [0, 1, 2]);
    }
}
