//! `mailknock send`: reports an event to a listener, from any mail server or script.
//!
//! It stands in the way of a delivery, so it never harms one: it reads its input to the end, prints nothing on stdout,
//! needs no longer than its deadline, and exits with 0 whatever happened, unless `--strict` asks for the truth. It
//! starts fast: no runtime, no configuration that nobody named.

mod detached;
mod message;
mod settings;
mod store_event;

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::client::put_json;
use crate::mime::{one_line, shorten};
use crate::process::{takes_at_once, wait_for_input};
use settings::Settings;

/// So much of the input is looked at; the rest is read and forgotten. The listener takes no more either.
const LOOKED_AT: usize = 2 * 1024 * 1024;
/// What is told in one line: so much fits into a pipe that isn't full.
const TOLD: usize = 1000;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Where the listener is; also MAILKNOCK_URL [default: http://127.0.0.1:12525/notify]
    #[arg(long)]
    url: Option<OsString>,
    /// A file with `user:password` in its first line; also MAILKNOCK_AUTH_FILE
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
    /// For https: a PEM file of the certificates to trust, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Whose mailbox
    #[arg(long, allow_hyphen_values = true)]
    user: Option<OsString>,
    /// What happened [default: MessageNew]
    #[arg(long, allow_hyphen_values = true)]
    event: Option<OsString>,
    /// The folder it is about
    #[arg(long, allow_hyphen_values = true)]
    folder: Option<OsString>,
    /// In place of the mail's own From
    #[arg(long, allow_hyphen_values = true)]
    from: Option<OsString>,
    /// In place of the mail's own To
    #[arg(long, allow_hyphen_values = true)]
    to: Option<OsString>,
    /// In place of the mail's own Subject
    #[arg(long, allow_hyphen_values = true)]
    subject: Option<OsString>,
    /// The beginning of the text
    #[arg(long, allow_hyphen_values = true)]
    snippet: Option<OsString>,
    /// The message's UID in its folder
    #[arg(long, allow_hyphen_values = true)]
    uid: Option<OsString>,
    /// The folder's UIDVALIDITY
    #[arg(long, allow_hyphen_values = true)]
    uid_validity: Option<OsString>,
    /// Unseen messages in the folder
    #[arg(long, allow_hyphen_values = true)]
    unseen: Option<OsString>,
    /// In place of the mail's own Message-ID
    #[arg(long, allow_hyphen_values = true)]
    message_id: Option<OsString>,
    /// Stands in for a missing From
    #[arg(long, alias = "sender", allow_hyphen_values = true)]
    envelope_from: Option<OsString>,
    /// What is on stdin
    #[arg(long, value_enum, default_value_t = Input::Rfc822)]
    input: Input,
    /// Return as soon as stdin is read; send in the background
    #[arg(long)]
    detach: bool,
    /// For everything on the network together [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    deadline: Option<Duration>,
    /// Also write what goes wrong to this file
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Exit with 1 if the event was not taken, 2 for wrong usage
    #[arg(long)]
    strict: bool,
    /// The background part of --detach
    #[arg(long, hide = true)]
    detached: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Input {
    /// A message
    Rfc822,
    /// An event as Cyrus' notifyd writes it
    Rfc5423,
    /// A body as it is to be sent
    Json,
    /// Nothing; it isn't read
    None,
}

pub fn send(file: Option<&Path>, arguments: &Arguments) -> ExitCode {
    let Err(why) = try_send(file, arguments) else { return ExitCode::SUCCESS };
    let log = || arguments.log.clone().or_else(|| Settings::of_file(file).ok()?.log);
    // With another user's rights no file is touched.
    let log = if crate::process::is_set_uid() { None } else { log() };
    complain(&why, log.as_deref());
    if arguments.strict { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What becomes of a command line that can't be understood: the mail must get through all the same.
pub fn misused(error: &clap::Error, words: &[OsString]) -> ExitCode {
    let is_strict = words.iter().any(|word| word == "--strict");
    if !error.use_stderr() {
        // Somebody asked for help.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let is_without_input = text.iter().any(|word| word == "--input=none")
        || text.windows(2).any(|pair| pair[0] == "--input" && pair[1] == "none");
    if !is_without_input {
        // Whoever writes to us must not be told that nobody reads.
        let _ = drain(Patient);
    }
    complain(&error.to_string().lines().next().map(one_line).unwrap_or_default(), None);
    if is_strict { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

fn complain(why: &str, log: Option<&Path>) {
    use io::Write;
    let line = format!("mailknock send: {}\n", shorten(&one_line(why), TOLD));
    // Who doesn't read it mustn't hold up a delivery.
    if takes_at_once(&io::stderr()) {
        // A closed stderr is no reason to fail.
        let _ = io::stderr().write_all(line.as_bytes());
    }
    if let Some(log) = log {
        let _ = settings::append(log, &line);
    }
}

fn try_send(file: Option<&Path>, arguments: &Arguments) -> Result<(), String> {
    let input = match arguments.input {
        Input::None => Vec::new(),
        _ => drain(Patient).map_err(|error| format!("failed to read stdin: {error}"))?,
    };
    if crate::process::is_set_uid() {
        return Err("it doesn't run with another user's rights (setuid)".to_owned());
    }
    let settings = Settings::new(file, arguments)?;
    let body = body(arguments, input)?;
    if arguments.detach && !arguments.detached {
        return detached::start(&settings, &body);
    }
    if arguments.detached {
        detached::begin()?;
    }
    let credentials = settings.credentials()?;
    let roots = settings.roots()?;
    let roots = roots.as_deref().map(str::as_bytes);
    let answer = put_json(&settings.url, credentials.as_deref(), roots, &body, settings.deadline);
    match answer {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
        Ok(answer) => {
            let said: Option<Value> = serde_json::from_str(&answer.text).ok();
            let why = said.as_ref().and_then(|said| said["error"].as_str()).unwrap_or_default();
            Err(format!("{} refused with {}: {why}", settings.url, answer.status))
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            let limit = humantime::format_duration(settings.deadline);
            Err(format!("{} gave no answer within {limit}", settings.url))
        }
        Err(error) => Err(format!("{} can't be reached: {error}", settings.url)),
    }
}

/// Standard input, waited for even where somebody has set it not to block.
struct Patient;

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match io::stdin().lock().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for_input(&io::stdin())?,
                done => return done,
            }
        }
    }
}

/// Reads to the end, whatever its size, and keeps the beginning.
fn drain(mut input: impl Read) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    input.by_ref().take(LOOKED_AT as u64).read_to_end(&mut kept)?;
    io::copy(&mut input, &mut io::sink())?;
    Ok(kept)
}

fn body(arguments: &Arguments, input: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut event = match arguments.input {
        Input::Json => return Ok(input),
        Input::None => Map::new(),
        Input::Rfc822 => message::event(&input),
        Input::Rfc5423 => store_event::event(&input)?,
    };
    let texts = [
        ("user", &arguments.user),
        ("event", &arguments.event),
        ("folder", &arguments.folder),
        ("from", &arguments.from),
        ("to", &arguments.to),
        ("subject", &arguments.subject),
        ("snippet", &arguments.snippet),
        ("message-id", &arguments.message_id),
    ];
    for (key, given) in texts {
        if let Some(text) = said(given.as_ref()) {
            event.insert(key.to_owned(), Value::from(text));
        }
    }
    let numbers =
        [("imap-uid", &arguments.uid), ("imap-uidvalidity", &arguments.uid_validity), ("unseen", &arguments.unseen)];
    for (key, given) in numbers {
        if let Some(number) = said(given.as_ref()).and_then(|text| text.trim().parse::<u32>().ok()) {
            event.insert(key.to_owned(), Value::from(number));
        }
    }
    if !event.contains_key("from")
        && let Some(sender) = said(arguments.envelope_from.as_ref()).or_else(|| environment(&["SENDER"]))
    {
        event.insert("from".to_owned(), Value::from(sender));
    }
    if !event.contains_key("user") {
        event.insert("user".to_owned(), Value::from(user().ok_or("it doesn't know whose mailbox; add --user")?));
    }
    event.entry("event").or_insert_with(|| json!("MessageNew"));
    Ok(store_event::of_each(event).to_string().into_bytes())
}

/// Whose mail it is, by what servers put into the environment: Sieve, Postfix and procmail, Exim, any.
fn user() -> Option<String> {
    let both = |local: &str, domain: &str| Some(format!("{}@{}", environment(&[local])?, environment(&[domain])?));
    environment(&["RECIPIENT", "ORIG_RECIPIENT", "ORIGINAL_RECIPIENT"])
        .or_else(|| both("LOCAL_PART", "DOMAIN"))
        .or_else(|| both("LOCAL", "DOMAIN"))
        .or_else(|| environment(&["USER", "LOGNAME"]))
}

fn environment(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| said(std::env::var_os(name).as_ref()))
}

/// What a server has really filled in: nothing empty, no `{placeholder}`.
fn said(given: Option<&OsString>) -> Option<String> {
    let text = given?.to_string_lossy().into_owned();
    let is_placeholder = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).is_some_and(|name| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    });
    (!text.trim().is_empty() && !is_placeholder).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_has_not_filled_in_is_missing() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(said(Some(&OsString::from(text))).as_deref(), expected, "{text:?}");
        };
        check("", None);
        check("  ", None);
        check("{address}", None);
        check("{source_ip}", None);
        check("{}", Some("{}"));
        check("{not a name}", Some("{not a name}"));
        check("-n", Some("-n"));
        check("alice", Some("alice"));
        assert_eq!(said(None), None);
    }

    #[test]
    fn all_is_read_and_only_the_beginning_kept() {
        assert_eq!(drain(io::repeat(b'x').take(3 << 20)).unwrap().len(), LOOKED_AT);
        assert_eq!(drain(&b"short"[..]).unwrap(), b"short");
    }
}
