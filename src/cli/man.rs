//! `mailknock man`: the manual page, mailknock(1). What it says of commands and options are the words of their help.

use std::process::ExitCode;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, Command};

use super::config::NEXT_STEPS;
use super::roff::Page;
use super::terminal;

const DESCRIPTION: &str = "Mailknock is the part of a mail server that lives on the desktop. The server pushes an \
event the moment mail arrives; Mailknock shows a notification with the sender and subject, runs `mbsync`, `fdm` or any \
other command, and keeps what happened lately in the menu of its tray icon. It holds no mail password, opens no IMAP \
connection and polls nothing: the event comes to it, usually down an SSH reverse tunnel from your own mail server.\n\n\
A first day begins with `mailknock config init`, which writes a configuration with a password of its own. Then";

const EXIT_STATUS: [(&str, &str); 13] = [
    (
        "`run`",
        "0 after SIGTERM, SIGINT, Ctrl-C or Quit; 1 if it can't listen or is running already; 78 if the configuration is \
wrong (in a desktop session it stays up instead, shows the problem, and comes to life when the file is mended)",
    ),
    ("`demo`", "0; 1 if a sample event could not be delivered"),
    ("`check`, `-t`", "0; 78 if the configuration is wrong"),
    ("`config init`", "0; 1 if there is one already, or it could not be written"),
    (
        "`fetch`",
        "0 if every run succeeded; 1 if one failed, there is nothing to fetch with, or Mailknock isn't running",
    ),
    ("`status`, `pause`, `resume`", "0; 1 if Mailknock isn't running"),
    ("`reload`", "0; 1 if the file is wrong (the old configuration stays), or Mailknock isn't running"),
    ("`recent`", "0; 1 if the record can't be read"),
    ("`autostart enable`, `disable`", "0; 1 if it is refused, with the reason"),
    (
        "`autostart status`",
        "0 if it is started at login (with `--systemd`: by systemd); 1 if not, or if its program is gone",
    ),
    ("`send`", "0; with `--strict` 1 if the event was not taken, 2 for wrong usage"),
    ("`doctor`", "0; 1 if something failed; 78 if the configuration is wrong"),
    ("`setup`", "0; 78 if the configuration is wrong"),
];
const ANY_OTHER: (&str, &str) = ("any other", "2 for wrong usage");

const FILES: [(&str, &str); 8] = [
    (
        "`~/.config/mailknock/config.toml`",
        "The configuration, in <XDG_CONFIG_HOME>. `mailknock check --print` shows all its keys with what they are set to.",
    ),
    (
        "`~/.local/state/mailknock/`",
        "The record of what happened, in <XDG_STATE_HOME>: readable by you alone, one for each machine.",
    ),
    (
        "`/run/user/`<UID>`/mailknock/`",
        "In <XDG_RUNTIME_DIR>: the lock, and the socket by which a running Mailknock is asked; with a tunnel also the \
socket that events come in by.",
    ),
    ("`~/.config/autostart/mailknock.desktop`", "What starts Mailknock at login, once it is enabled."),
    ("`~/.config/systemd/user/mailknock.service`", "The same with `--systemd`."),
    ("`/etc/mailknock/send.toml`", "On a mail server: what `mailknock send -c` reads there, by custom."),
    ("`/etc/mailknock/auth`", "On a mail server: user and password, which that file names."),
    ("`/usr/local/etc/imserious.toml`", "The configuration of IMSErious, which works unchanged with `-c`."),
];

const ENVIRONMENT: [(&str, &str); 8] = [
    (
        "`MAILKNOCK_LOG`, `IMSERIOUS_LOG`",
        "How much is logged, before the configuration: `error`, `warn`, `info`, `debug` or `trace`. The first that is \
set counts.",
    ),
    ("`MAILKNOCK_URL`", "For `send`: where the listener is."),
    ("`MAILKNOCK_AUTH_FILE`", "For `send`: a file with `user:password` in its first line."),
    (
        "`RECIPIENT`, `ORIG_RECIPIENT`, `ORIGINAL_RECIPIENT`, `LOCAL_PART` or `LOCAL` with `DOMAIN`, `USER`, `LOGNAME`",
        "For `send` without `--user`: whose mailbox.",
    ),
    ("`SENDER`", "For `send` without `--envelope-from`: stands in for a missing From."),
    ("`SSL_CERT_FILE`", "For `send` over https: the certificates that the system trusts."),
    ("`XDG_CONFIG_HOME`, `XDG_STATE_HOME`, `XDG_RUNTIME_DIR`", "Where the files are."),
    ("`DBUS_SESSION_BUS_ADDRESS`", "The session bus, by which the notifications and the tray icon get to the desktop."),
];

const SEE_ALSO: &str = "`ssh`(1), `sshd_config`(5), `dovecot`(1), `mbsync`(1), `fdm`(1), `systemd.unit`(5)";

pub fn man(shown: Command) -> ExitCode {
    terminal::print_all(&page(shown));
    ExitCode::SUCCESS
}

fn page(mut root: Command) -> String {
    // What clap itself adds, such as `help`, is there from now on.
    root.build();
    let about = root.get_about().map(ToString::to_string).unwrap_or_default();
    let mut page = Page::new(root.get_name(), 1, &about);
    page.section("SYNOPSIS");
    page.paragraphs(&synopsis(&root, root.get_arguments()));
    page.section("DESCRIPTION");
    page.paragraphs(DESCRIPTION);
    page.within(|page| NEXT_STEPS.iter().for_each(|(command, what)| page.item(&format!("`{command}`"), what)));
    page.section("OPTIONS");
    root.get_arguments().for_each(|option| add_argument(&mut page, option));
    page.section("COMMANDS");
    root.get_subcommands().for_each(|command| add_command(&mut page, command));
    page.section("EXIT STATUS");
    add_items(&mut page, &EXIT_STATUS);
    add_items(&mut page, &[ANY_OTHER]);
    page.section("FILES");
    add_items(&mut page, &FILES);
    page.section("ENVIRONMENT");
    add_items(&mut page, &ENVIRONMENT);
    page.section("SEE ALSO");
    page.paragraphs(SEE_ALSO);
    page.end()
}

fn add_items(page: &mut Page, items: &[(&str, &str)]) {
    items.iter().for_each(|(term, text)| page.item(term, text));
}

fn add_command(page: &mut Page, command: &Command) {
    let is_help = |command: &Command| command.get_name() == "help";
    let mut below = command.get_subcommands().filter(|command| !is_help(command)).peekable();
    // What is below `help` are the commands once more.
    if below.peek().is_some() && !is_help(command) {
        return below.for_each(|command| add_command(page, command));
    }
    // Without our own name in front.
    let words = whole_name(command);
    page.subsection(words.split_once(' ').map_or(words, |(_, below)| below));
    let arguments: Vec<&Arg> = command.get_arguments().filter(|argument| !is_everywhere(argument)).collect();
    page.paragraphs(&synopsis(command, arguments.iter().copied()));
    let about = command.get_long_about().or(command.get_about());
    page.paragraphs(&about.map(ToString::to_string).unwrap_or_default());
    arguments.into_iter().for_each(|argument| add_argument(page, argument));
}

/// Whether every command has it.
fn is_everywhere(argument: &Arg) -> bool {
    argument.is_global_set() || matches!(argument.get_action(), ArgAction::Help)
}

fn add_argument(page: &mut Page, argument: &Arg) {
    let names = [argument.get_short().map(|short| format!("`-{short}`")), argument.get_long().map(long)];
    let names: Vec<String> = names.into_iter().flatten().collect();
    let values = possible_values(argument);
    let (told, bare): (Vec<_>, Vec<_>) = values.iter().partition(|value| value.get_help().is_some());
    let mut text = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    if !bare.is_empty() {
        let all: Vec<_> = values.iter().map(name_of).collect();
        text = format!("{text}: {}", all.join(", "));
    }
    if let Some(default) = argument.get_default_values().first().filter(|_| argument.get_action().takes_values()) {
        text = format!("{text} [default: `{}`]", default.to_string_lossy());
    }
    page.item(&format!("{}{}", names.join(", "), value(argument, !names.is_empty())), &text);
    if !told.is_empty() {
        let items = told.iter().map(|value| (name_of(value), value.get_help().map(ToString::to_string)));
        page.within(|page| items.for_each(|(name, help)| page.item(&name, &help.unwrap_or_default())));
    }
}

fn name_of(value: &PossibleValue) -> String {
    format!("`{}`", value.get_name())
}

fn possible_values(argument: &Arg) -> Vec<PossibleValue> {
    let values = if argument.get_action().takes_values() { argument.get_possible_values() } else { Vec::new() };
    values.into_iter().filter(|value| !value.is_hide_set()).collect()
}

/// `mailknock autostart`.
fn whole_name(command: &Command) -> &str {
    command.get_bin_name().unwrap_or(command.get_name())
}

/// `mailknock status [--json] [--follow] [--format FORMAT]`.
fn synopsis<'a>(command: &Command, arguments: impl Iterator<Item = &'a Arg>) -> String {
    let mut words = vec![format!("`{}`", whole_name(command))];
    for argument in arguments {
        let name = argument.get_long().map(long).or(argument.get_short().map(|short| format!("`-{short}`")));
        let word = format!("{}{}", name.as_deref().unwrap_or_default(), value(argument, name.is_some()));
        words.push(if argument.is_required_set() { word } else { format!("[{word}]") });
    }
    if command.has_subcommands() {
        words.push("[<COMMAND>]".to_owned());
    }
    words.join(" ")
}

fn long(name: &str) -> String {
    format!("`--{name}`")
}

/// The placeholder of what an argument takes.
fn value(argument: &Arg, is_option: bool) -> String {
    if !argument.get_action().takes_values() {
        return String::new();
    }
    let name =
        argument.get_value_names().and_then(|names| names.first()).map_or(argument.get_id().as_str(), |name| name);
    let many = if matches!(argument.get_action(), ArgAction::Append) { "…" } else { "" };
    // One word: it must not be torn at a line's end.
    let blank = if is_option { "\u{a0}" } else { "" };
    format!("{blank}<{name}>{many}")
}
