//! A configuration as a file again, with every default written out and no secret.

use std::fmt::{Display, Formatter, Result};
use std::time::Duration;

use super::history::CONTENTS;
use super::{Click, Config, LogFormat, Opener, Pass, WhenLocked};
use crate::desktop::icons::Theme;
use crate::desktop::note::{Expire, Urgency};
use crate::handler::command::Stdin;
use crate::handler::log::Content;
use crate::handler::notify::Action;
use crate::handler::{Handler, Kind};
use crate::pattern::Patterns;

impl Display for Config {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "listen = {}", list(&self.listen))?;
        writeln!(f, "allow = {}", list(&self.allow))?;
        writeln!(f, "hosts = {}", list(&self.hosts))?;
        writeln!(f, "endpoint = {}", quoted(&self.endpoint))?;
        writeln!(f, "max_connections = {}", self.max_connections)?;
        writeln!(f, "timeout = {}", duration(self.timeout))?;
        writeln!(f, "max_body = {}", self.max_body)?;
        if let Some(auth) = &self.auth {
            writeln!(f, "\n[auth]\nuser = {}", quoted(&auth.user))?;
            match &auth.pass {
                Pass::Text(_) => writeln!(f, "pass = \"***\"")?,
                Pass::File(file) => writeln!(f, "pass_file = {}", quoted(file.display()))?,
                Pass::Command(words) => writeln!(f, "pass_command = {}", list(words))?,
            }
        }
        if let Some(tls) = &self.tls {
            writeln!(f, "\n[tls]\ncert = {}\nkey = {}", quoted(tls.cert.display()), quoted(tls.key.display()))?;
            if let Some(period) = tls.periodic_reload {
                writeln!(f, "periodic_reload = {}", duration(period))?;
            }
        }
        for tunnel in &self.tunnels {
            writeln!(f, "\n[[tunnel]]\nhost = {}\nremote = {}", quoted(&tunnel.host), quoted(tunnel.remote))?;
            writeln!(f, "ssh = {}\noptions = {}", quoted(&tunnel.ssh), list(&tunnel.options))?;
        }
        let log = &self.log;
        writeln!(f, "\n[log]\nmax_level = {}", quoted(log.max_level.as_str().to_lowercase()))?;
        writeln!(f, "format = {}", quoted(name_of(&LogFormat::NAMES, log.format)))?;
        writeln!(
            f,
            "ansi = {}\ntimestamp = {}\ntarget = {}\nlevel = {}",
            log.ansi, log.timestamp, log.target, log.level
        )?;
        let tray = &self.tray;
        writeln!(f, "\n[tray]\nenabled = {}", tray.enabled)?;
        writeln!(f, "click = {}", quoted(name_of(&Click::NAMES, tray.click)))?;
        match &tray.open {
            Some(open) => writeln!(f, "open = {}", opener(open))?,
            None => writeln!(f, "# open: the desktop's mail program")?,
        }
        writeln!(f, "recent = {}", tray.recent)?;
        writeln!(f, "theme = {}", quoted(name_of(&Theme::NAMES, tray.theme)))?;
        let history = &self.history;
        writeln!(f, "\n[history]\nkeep = {}", history.keep)?;
        writeln!(f, "content = {}", quoted(name_of(&CONTENTS, history.content)))?;
        writeln!(f, "max_age = {}", duration(history.max_age))?;
        writeln!(f, "\n[pause]\nquiet_hours = {}", list(&self.pause.quiet_hours))?;
        writeln!(f, "when_locked = {}", quoted(name_of(&WhenLocked::NAMES, self.pause.when_locked)))?;
        for account in self.accounts.iter() {
            writeln!(f, "\n[[account]]\nuser = {}", list(account.user.globs()))?;
            if let Some(label) = &account.label {
                writeln!(f, "label = {}", quoted(label))?;
            }
            if let Some(open) = &account.open {
                writeln!(f, "open = {}", opener(open))?;
            }
        }
        self.handlers.iter().try_for_each(|handler| write_handler(f, handler))
    }
}

fn opener(open: &Opener) -> String {
    match open {
        Opener::Command(command) => list(command.sources()),
        Opener::Preset { preset, .. } => quoted(preset.name),
    }
}

fn write_handler(f: &mut Formatter<'_>, handler: &Handler) -> Result {
    let filter = &handler.filter;
    writeln!(f, "\n[[handler]]\nname = {}", quoted(&handler.name))?;
    let patterns: [(&str, &Patterns); 5] = [
        ("user", &filter.user),
        ("event", &filter.event),
        ("folder", &filter.folder),
        ("from", &filter.from),
        ("subject", &filter.subject),
    ];
    for (key, patterns) in patterns {
        writeln!(f, "{key} = {}", list(patterns.globs()))?;
    }
    writeln!(f, "ip = {}", list(&filter.ip))?;
    if let Some(delay) = handler.timing.delay {
        writeln!(f, "delay = {}", duration(delay))?;
    }
    match &handler.kind {
        Kind::Silence => writeln!(f, "notify = false"),
        Kind::Log(log) => {
            let content = log.content == Content::Written;
            writeln!(f, "log = {}\ncontent = {content}", quoted(log.level.as_str().to_lowercase()))
        }
        Kind::Command(command) => {
            if let Some(limit) = handler.timing.limit {
                writeln!(f, "limit_period = {}\nlimit_burst = {}", duration(limit.period), limit.burst)?;
            }
            if let Some(periodic) = handler.timing.periodic {
                writeln!(f, "periodic = {}", duration(periodic))?;
            }
            writeln!(f, "timeout = {}\nfetch = {}", duration(command.timeout), handler.fetch)?;
            writeln!(f, "stdin = {}", quoted(name_of(&Stdin::NAMES, command.stdin)))?;
            if let Some(lock) = &handler.lock {
                writeln!(f, "lock = {}", quoted(lock))?;
            }
            writeln!(f, "command = {}", list(&command.words))
        }
        Kind::Notify(notify) => {
            writeln!(f, "[handler.notify]\nsummary = {}", quoted(notify.summary.source()))?;
            writeln!(f, "body = {}", quoted(notify.body.source()))?;
            if let Some(icon) = &notify.icon {
                writeln!(f, "icon = {}", quoted(icon))?;
            }
            match &notify.sound {
                Some(sound) => writeln!(f, "sound = {}", quoted(sound))?,
                None => writeln!(f, "sound = false")?,
            }
            let action = |action: &Action| {
                format!("{{ label = {}, command = {} }}", quoted(&action.label), list(action.command.sources()))
            };
            let actions: Vec<String> = notify.actions.iter().map(action).collect();
            writeln!(f, "actions = [{}]", actions.join(", "))?;
            let urgency = match notify.urgency {
                Urgency::Low => "low",
                Urgency::Normal => "normal",
                Urgency::Critical => "critical",
            };
            let expire = match notify.expire {
                Expire::Default => quoted("default"),
                Expire::Never => quoted("never"),
                Expire::After(time) => duration(time),
            };
            writeln!(f, "urgency = {}\nexpire = {expire}", quoted(urgency))?;
            writeln!(f, "summarise_over = {}\nwithdraw = {}", notify.summarise_over, notify.withdraw)?;
            writeln!(f, "ignore_quiet = {}", notify.ignore_quiet)
        }
    }
}

fn name_of<T: PartialEq>(names: &[(&'static str, T)], wanted: T) -> &'static str {
    names.iter().find(|(_, value)| *value == wanted).map_or("", |(name, _)| name)
}

fn duration(duration: Duration) -> String {
    quoted(humantime::format_duration(duration))
}

/// A TOML basic string.
pub fn quoted(text: impl Display) -> String {
    let mut quoted = String::from("\"");
    for c in text.to_string().chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn list(items: impl IntoIterator<Item = impl Display>) -> String {
    let items: Vec<String> = items.into_iter().map(quoted).collect();
    format!("[{}]", items.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_means_the_same_again() {
        let written = "listen = [\"[::1]:7\", \"unix:/x y\"]\nallow = [\"10.0.0.0/8\"]\nhosts = [\"a.example\"]\nendpoint = \"/x\"\n\
            max_connections = 9\ntimeout = \"7s\"\nmax_body = \"3MiB\"\n[auth]\nuser = \"u\"\npass_command = \"pass 'my mail'\"\n\
            [tls]\ncert = \"/c\"\nkey = \"/k\"\nperiodic_reload = \"1d\"\n[[tunnel]]\nhost = \"a\"\nremote = \"[::1]:9\"\nssh = \"/x\"\noptions = [\"-p\", \"7 \\\"8\"]\n[log]\nmax_level = \"debug\"\nformat = \"json\"\n\
            ansi = true\ntimestamp = true\ntarget = true\nlevel = true\n[tray]\nenabled = false\nclick = \"pause\"\n\
            open = \"mail 'a b' {subject}\"\nrecent = 3\ntheme = \"light\"\n[history]\nkeep = 5\ncontent = \"full\"\nmax_age = \"2d\"\n[pause]\nquiet_hours = [\"22:00-07:00\", \"12:30-13:00\"]\nwhen_locked = \"hold\"\n\
            [[account]]\nuser = \"11@3\"\nlabel = \"W\"\nopen = \"x {message_id}\"\n\
            [[handler]]\nname = \"a\\tb\"\ncommand = \"x\"\n"
            .replace("a\\tb", "a b");
        // Only Unix has such sockets.
        let written = if cfg!(unix) {
            written
        } else {
            written.replace("unix:/x y", "127.0.0.1:7").replace("10.0.0.0/8", "127.0.0.0/8")
        };
        let more = "[[handler]]\ncommand = \"fdm 'a \\\"b'\"\nuser = [\"x\", \"!y\"]\nperiodic = \"5m\"\ndelay = \"1s\"\nlimit_burst = 3\nstdin = \"none\"\nlock = \"l\"\nip = \"::1\"\n\
            [[handler]]\nlog = \"warn\"\ncontent = true\n[[handler]]\nnotify = false\nfrom = \"*@x\"\n\
            [[handler]]\nnotify = { summary = \"{{}}\", body = \"a\\n\\\\\", expire = \"never\", urgency = \"low\", icon = \"i\", summarise_over = 1, withdraw = false, ignore_quiet = true, sound = \"bell\", actions = [{ label = \"L\", command = [\"x\", \"{uid}\"] }] }\n";
        let preset = "[tray]\nopen = \"@thunderbird\"\n[[account]]\nuser = \"u\"\nopen = \"@mu4e\"\n";
        for text in ["", preset, &format!("{written}{more}")] {
            let (config, problems) = Config::parse("f", text);
            let config = config.unwrap_or_else(|| panic!("{problems:?}"));
            let printed = config.to_string();
            let (again, problems) = Config::parse("printed", &printed);
            assert_eq!(again, Some(config), "{problems:?}\n{printed}");
        }
    }

    #[test]
    fn secrets_are_stars() {
        let (config, _) = Config::parse("f", "[auth]\nuser = \"u\"\npass = \"sesame\"");
        let printed = config.unwrap().to_string();
        assert!(printed.contains("pass = \"***\"") && !printed.contains("sesame"));
    }
}
