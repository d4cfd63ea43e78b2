//! Something done about an event. Each kind is a file of its own: its keys, what it makes of them, what it does.
//!
//! A handler only says what is to be done ([`Act`]); it starts nothing and waits for nothing.

pub mod command;
pub mod log;
pub mod notify;

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::document::{Table, Value};
use crate::event::{EntryId, Event, EventKind};
use crate::pattern::Patterns;
use crate::problem::Problem;
use crate::process::Job;
use crate::template::CommandTemplate;

/// The fields of templates, in texts and commands.
pub const FIELDS: &[&str] = &[
    "account",
    "user",
    "event",
    "folder",
    "from",
    "from_name",
    "from_address",
    "subject",
    "snippet",
    "uid",
    "uid_validity",
    "unseen",
    "message_id",
];

/// Words with fields in them: split as a shell would, or a list.
pub fn read_words(value: &Value<'_, '_>) -> Option<CommandTemplate> {
    let parsed = match value.is_list() {
        true => CommandTemplate::from_words(&value.strings()?, FIELDS),
        false => CommandTemplate::parse(value.string()?, FIELDS),
    };
    match parsed {
        Ok(command) => Some(command),
        Err(error) => value.fail(Problem::error(format!("`{}`: {error}", value.name()))),
    }
}

/// What a field holds, safe to show; none where the event doesn't say.
pub fn field(event: &Event, name: &str) -> Option<String> {
    use crate::mime::one_line;
    let filled = |text: String| Some(text).filter(|text| !text.is_empty());
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    match name {
        "user" => filled(one_line(&event.user)),
        "event" => filled(one_line(event.kind.name())),
        "folder" => event.folder.as_deref().map(one_line).and_then(filled),
        "from" => event.from.as_ref().map(|from| match (from.name.as_str(), from.address.as_str()) {
            ("", address) => address.to_owned(),
            (name, "") => name.to_owned(),
            (name, address) => format!("{name} <{address}>"),
        }),
        // A name that looks like an address is how mail pretends to be from somebody else.
        "from_name" => event.from.as_ref().and_then(|from| {
            let spoofs = from.name.contains('@') && !from.address.is_empty();
            filled(if from.name.is_empty() || spoofs { from.address.clone() } else { from.name.clone() })
        }),
        "from_address" => event.from.as_ref().and_then(|from| filled(from.address.clone())),
        "subject" => event.subject.as_ref().and_then(|subject| filled(subject.text.clone())),
        "snippet" => event.snippet.as_deref().map(one_line).and_then(filled),
        "uid" => number(event.uid),
        "uid_validity" => number(event.uid_validity),
        "unseen" => number(event.unseen),
        "message_id" => event.message_id.as_deref().and_then(bare_message_id).map(|id| one_line(&id)).and_then(filled),
        _ => None,
    }
}

/// A Message-ID as programs and `mid:` URLs want it: without the angle brackets that it has in mail (RFC 5322 section
/// 3.6.4), and without what may stand behind them. None if it is longer than a line of mail may be: what was cut would
/// name another message, or none.
fn bare_message_id(told: &str) -> Option<String> {
    const MAX: usize = 998;
    let told = told.trim();
    let id = match told.strip_prefix('<') {
        Some(rest) => rest.split('>').next().unwrap_or(rest).trim(),
        None => told,
    };
    (id.len() <= MAX).then(|| id.to_owned())
}

/// What a field holds for a program, which finds nothing by a name that was made fit to be read.
pub fn exact_field(event: &Event, name: &str) -> Option<String> {
    match name {
        "user" => Some(event.user.clone()).filter(|user| !user.is_empty()),
        "folder" => event.folder.clone().filter(|folder| !folder.is_empty()),
        _ => field(event, name),
    }
}

/// A handler as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    pub name: Arc<str>,
    pub filter: Filter,
    pub timing: Timing,
    /// Whether a fetch runs it.
    pub fetch: bool,
    /// Handlers with the same lock never run at once.
    pub lock: Option<String>,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Notify(notify::Notify),
    /// `notify = false`: what matches shows no popup, whatever notify handlers follow.
    Silence,
    Command(command::Command),
    Log(log::Log),
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::Notify(_) | Self::Silence => "notify",
            Self::Command(_) => "command",
            Self::Log(_) => "log",
        }
    }
}

/// Which events a handler is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub user: Patterns,
    pub event: Patterns,
    pub folder: Patterns,
    pub from: Patterns,
    pub subject: Patterns,
    /// Networks that the event must come from; empty means any.
    pub ip: Vec<IpNet>,
}

impl Filter {
    pub fn accepts(&self, event: &Event) -> bool {
        let (name, address) = event.from.as_ref().map_or(("", ""), |from| (from.name.as_str(), from.address.as_str()));
        let subject = event.subject.as_ref().map_or("", |subject| subject.text.as_str());
        let remote = event.remote.map(|remote| remote.ip().to_canonical());
        self.event.accept(event.kind.name())
            && self.user.accept(&event.user)
            && self.folder.accept(event.folder.as_deref().unwrap_or_default())
            && self.from.accept_mailbox(name, address)
            && self.subject.accept(subject)
            && (self.ip.is_empty() || remote.is_some_and(|ip| self.ip.iter().any(|network| network.contains(&ip))))
    }
}

/// When a handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// From the first waiting event.
    pub delay: Option<Duration>,
    pub limit: Option<Limit>,
    /// From the end of the last run.
    pub periodic: Option<Duration>,
}

/// `burst` runs at once, then one in each period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub period: Duration,
    pub burst: u32,
}

impl Default for Limit {
    fn default() -> Self {
        Self { period: Duration::from_secs(30), burst: 1 }
    }
}

/// Why a run happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    Event,
    Periodic,
    /// A person asked for it.
    Fetch,
    /// Something may have been missed.
    Resume,
}

impl Trigger {
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Periodic => "periodic",
            Self::Fetch => "fetch",
            Self::Resume => "resume",
        }
    }
}

/// What a run is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub trigger: Trigger,
    /// All events since the last run, the newest last.
    pub events: Vec<Told>,
}

/// An event as a run is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub entry: EntryId,
    pub at: Timestamp,
    pub event: Arc<Event>,
    /// An earlier run, before we ended, may have been told too.
    pub redelivered: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Show the batch's events.
    Popups,
    Run(Job),
    Log {
        level: tracing::Level,
        lines: Vec<String>,
    },
}

impl Handler {
    /// What a run does about its batch.
    pub fn act(&self, batch: &Batch) -> Act {
        match &self.kind {
            Kind::Notify(_) | Kind::Silence => Act::Popups,
            Kind::Command(command) => Act::Run(command.job(&self.filter, batch)),
            Kind::Log(log) => log.act(batch),
        }
    }

    pub fn is_notify(&self) -> bool {
        matches!(self.kind, Kind::Notify(_) | Kind::Silence)
    }

    pub fn ignores_quiet(&self) -> bool {
        matches!(&self.kind, Kind::Notify(notify) if notify.ignore_quiet)
    }

    pub fn is_same_but_for_name(&self, other: &Self) -> bool {
        *self == Self { name: self.name.clone(), ..other.clone() }
    }

    pub fn is_command(&self) -> bool {
        matches!(self.kind, Kind::Command(_))
    }

    /// The built-in handler: popups for everybody's new mail.
    pub fn built_in() -> Self {
        let kind = Kind::Notify(notify::Notify::default());
        Self {
            name: "notify".into(),
            filter: Filter {
                user: Patterns::any(),
                event: Patterns::new([EventKind::MessageNew.name()]),
                folder: notify::default_folders(),
                from: Patterns::any(),
                subject: Patterns::any(),
                ip: Vec::new(),
            },
            timing: Timing::default(),
            fetch: false,
            lock: None,
            kind,
        }
    }

    /// Reads a `[[handler]]`; none if it is of no kind, which is reported.
    pub fn read(table: &Table<'_, '_>, default_number: usize) -> Option<Self> {
        let kind = Kind::read(table);
        let patterns = |key| table.strings(key).map(Patterns::new);
        let is_notify = matches!(kind, Some(Kind::Notify(_) | Kind::Silence));
        let is_command = matches!(kind, Some(Kind::Command(_)));
        let default_folder = if is_notify { notify::default_folders() } else { Patterns::any() };
        let filter = Filter {
            user: patterns("user").unwrap_or_else(Patterns::any),
            event: patterns("event").unwrap_or_else(|| Patterns::new([EventKind::MessageNew.name()])),
            folder: patterns("folder").unwrap_or(default_folder),
            from: patterns("from").unwrap_or_else(Patterns::any),
            subject: patterns("subject").unwrap_or_else(Patterns::any),
            ip: table.get("ip").and_then(|value| value.each_string(parse_network)).unwrap_or_default(),
        };
        let timing = Timing {
            delay: table.duration("delay"),
            limit: read_limit(table, is_command),
            periodic: table.duration("periodic"),
        };
        let fetch = table.boolean("fetch");
        let lock = table.string("lock");
        for key in ["limit_period", "limit_burst", "periodic", "timeout", "fetch", "stdin", "lock"] {
            if !is_command && kind.is_some() && table.has(key) {
                let problem = Problem::error(format!("`{key}` is for command handlers only"));
                table.get(key)?.fail::<()>(problem.suggest("take it out"));
            }
        }
        let kind = kind?;
        let named = table.get("name").and_then(|value| match value.string()? {
            name if name.is_empty() || name.chars().any(char::is_control) => {
                value.fail(Problem::error("`name` must be a word or a few, on one line"))
            }
            name => Some(name.to_owned()),
        });
        Some(Self {
            name: named.unwrap_or_else(|| format!("{}-{default_number}", kind.name())).into(),
            fetch: is_command && fetch.unwrap_or_else(|| filter.event.accept(EventKind::MessageNew.name())),
            lock,
            filter,
            timing,
            kind,
        })
    }
}

fn read_limit(table: &Table<'_, '_>, is_command: bool) -> Option<Limit> {
    let period = table.duration("limit_period");
    let burst = table.integer("limit_burst", 1..=u64::from(u32::MAX));
    let default = Limit::default();
    is_command.then(|| Limit {
        period: period.unwrap_or(default.period),
        burst: burst.and_then(|burst| u32::try_from(burst).ok()).unwrap_or(default.burst),
    })
}

/// A network, or a single address.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<std::net::IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    text.parse::<IpNet>()
        .or_else(|_| address())
        .map_err(|_| format!("`{text}` is neither a network such as \"10.0.0.0/8\" nor an address"))
}

impl Kind {
    fn read(table: &Table<'_, '_>) -> Option<Self> {
        let command = table.get("command").map(|value| command::Command::read(&value, table).map(Self::Command));
        let notify = table.get("notify").map(|value| notify::read(&value));
        let log = table.get("log").map(|value| log::Log::read(&value, table).map(Self::Log));
        match (command, notify, log) {
            (Some(kind), None, None) | (None, Some(kind), None) | (None, None, Some(kind)) => kind,
            (None, None, None) => {
                let suggestion = "write `command = \"…\"`, `[handler.notify]` or `log = \"info\"`";
                table.report(Problem::error("this handler does nothing").suggest(suggestion));
                None
            }
            _ => {
                let suggestion = "write one `[[handler]]` for each";
                let problem = Problem::error("a handler is exactly one of `command`, `notify` and `log`");
                table.report(problem.suggest(suggestion));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::mime;

    fn read(text: &str) -> (Option<Handler>, Vec<String>) {
        let (handler, problems) = Document::read("f", text, |root| Handler::read(root, 1));
        (handler, problems.iter().map(ToString::to_string).collect())
    }

    fn from(raw: &str) -> Event {
        Event { from: Some(mime::originator(raw)), ..Event::new(EventKind::MessageNew, "me") }
    }

    #[test]
    fn an_imserious_handler_means_the_same() {
        let (handler, problems) =
            read("user = \"freaky\"\nevent = \"messagenew\"\ndelay = \"5s\"\ncommand = \"fdm -l fetch\"");
        assert_eq!(problems, [""; 0]);
        let handler = handler.unwrap();
        assert_eq!(&*handler.name, "command-1");
        assert!(handler.fetch);
        assert_eq!(handler.timing.limit, Some(Limit { period: Duration::from_secs(30), burst: 1 }));
        assert_eq!(handler.timing.delay, Some(Duration::from_secs(5)));
        assert!(handler.filter.accepts(&Event::new(EventKind::MessageNew, "freaky")));
        assert!(!handler.filter.accepts(&Event::new(EventKind::MessageNew, "other")));
        assert!(!handler.filter.accepts(&Event::new(EventKind::MessageAppend, "freaky")));
    }

    #[test]
    fn a_handler_is_exactly_one_kind() {
        assert!(read("user = \"x\"").1[0].contains("does nothing"));
        assert!(read("command = \"x\"\nlog = \"info\"").1[0].contains("exactly one"));
        assert!(read("log = \"info\"\ntimeout = \"1s\"").1[0].contains("`timeout` is for command handlers only"));
    }

    #[test]
    fn only_commands_for_new_mail_are_fetches_unless_told() {
        assert!(read("command = \"x\"\nevent = \"*\"").0.unwrap().fetch);
        assert!(!read("command = \"x\"\nevent = \"MessageRead\"").0.unwrap().fetch);
        assert!(!read("command = \"x\"\nfetch = false").0.unwrap().fetch);
        assert!(!read("log = \"info\"").0.unwrap().fetch);
    }

    #[test]
    fn filters_see_the_decoded_mailbox_and_the_network() {
        let filter = |text: &str| read(&format!("command = \"x\"\n{text}")).0.unwrap().filter;
        let mut event = from("=?utf-8?Q?J=C3=B6rg?= <j@example.org>");
        event.subject = Some(mime::subject("=?utf-8?Q?Gr=C3=BC=C3=9Fe?="));
        event.remote = Some("[::ffff:10.1.2.3]:9".parse().unwrap());
        assert!(filter("from = \"j?rg\"\nsubject = \"*grüße*\"").accepts(&event));
        assert!(filter("ip = [\"10.0.0.0/8\"]").accepts(&event));
        assert!(!filter("ip = \"10.9.9.9\"").accepts(&event));
        assert!(!filter("folder = \"INBOX\"").accepts(&event), "no folder is no INBOX");
    }

    #[test]
    fn a_name_that_pretends_to_be_an_address_gives_way_to_the_address() {
        let name = |raw: &str| field(&from(raw), "from_name");
        assert_eq!(name("Alice <a@example.org>").as_deref(), Some("Alice"));
        assert_eq!(name("\"boss@example.org\" <evil@example.net>").as_deref(), Some("evil@example.net"));
        assert_eq!(name("<a@example.org>").as_deref(), Some("a@example.org"));
        assert_eq!(name("\"\u{202e}\" <a@example.org>").as_deref(), Some("a@example.org"));
        assert_eq!(name(""), None);
    }

    #[test]
    fn a_message_id_has_no_brackets_and_is_whole_or_absent() {
        let id = |told: &str| {
            let event = Event { message_id: Some(told.into()), ..Event::new(EventKind::MessageNew, "me") };
            field(&event, "message_id")
        };
        for told in ["<m@x>", "m@x", " <m@x> ", "<m@x> (note)", "< m@x >", "<m@x"] {
            assert_eq!(id(told).as_deref(), Some("m@x"), "{told}");
        }
        assert_eq!(id("<a\0\u{1b}b@x>").as_deref(), Some("ab@x"));
        assert_eq!(id(&format!("<{}>", "x".repeat(998))).unwrap().len(), 998);
        for told in ["", "<>", "< >", &"x".repeat(999), &format!("<{}>", "ä".repeat(2500))] {
            assert_eq!(id(told), None, "{told}");
        }
    }

    #[test]
    fn every_field_that_is_promised_is_known() {
        let mut event = from("A <a@example.org>");
        event.folder = Some("f".into());
        event.subject = Some(mime::subject("s"));
        event.snippet = Some("t".into());
        event.message_id = Some("<m@x>".into());
        (event.uid, event.uid_validity, event.unseen) = (Some(1), Some(2), Some(3));
        for name in FIELDS.iter().filter(|name| **name != "account") {
            assert!(field(&event, name).is_some(), "{name}");
        }
    }
}
