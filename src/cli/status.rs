//! `mailknock status`: how the running program stands, for people, scripts and bars.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::PATIENCE;
use super::telling::{Said, Telling};
use crate::clock::time_of_day;
use crate::control::{Next, Request};
use crate::desktop::note::escape_markup;
use crate::schema::{HandlerJson, RecordJson, StatusJson, TunnelJson};

#[derive(Debug, Args)]
pub struct Arguments {
    /// One JSON object
    #[arg(long, conflicts_with = "notify")]
    json: bool,
    /// A line for each change, until interrupted
    #[arg(long, conflicts_with = "notify")]
    follow: bool,
    /// For people, or for waybar's custom module with `return-type` json
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "notify")]
    format: Format,
    #[command(flatten)]
    telling: Telling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Waybar,
}

pub fn status(arguments: &Arguments) -> ExitCode {
    if arguments.follow {
        return follow(arguments);
    }
    let answer = super::answer(Request::Status, Some(PATIENCE));
    arguments.telling.tell(answer.map(|reply| Said::done(said(arguments, &reply.status.unwrap_or_default()))))
}

fn follow(arguments: &Arguments) -> ExitCode {
    let mut refused = None;
    let followed = super::ask(Request::Follow, None, |reply| {
        refused = reply.error;
        let shown = said(arguments, &reply.status.unwrap_or_default()).join("\n");
        let mut stdout = std::io::stdout();
        let mut show = || writeln!(stdout, "{shown}").and_then(|()| stdout.flush()).is_ok();
        // Whoever read it has gone: nobody follows any more.
        if refused.is_none() && show() { Next::More } else { Next::Stop }
    });
    let followed = match refused {
        Some(why) => Err(why),
        None => followed.map_err(|error| error.to_string()),
    };
    arguments.telling.tell(followed.map(|()| Said::done(Vec::new())))
}

fn said(arguments: &Arguments, status: &StatusJson) -> Vec<String> {
    match (arguments.json, arguments.format, arguments.follow) {
        (true, ..) => vec![serde_json::to_string(status).unwrap_or_default()],
        (false, Format::Waybar, _) => vec![serde_json::to_string(&Waybar::new(status)).unwrap_or_default()],
        (false, Format::Text, true) => vec![one_line(status)],
        (false, Format::Text, false) => lines(status),
    }
}

fn new_messages(status: &StatusJson) -> String {
    let new = match status.new {
        0 => "no new messages".to_owned(),
        1 => "1 new message".to_owned(),
        new => format!("{new} new messages"),
    };
    match status.unseen {
        None => new,
        Some(unseen) => format!("{new}, {unseen} unseen"),
    }
}

fn pause(status: &StatusJson) -> Option<String> {
    status.paused.then(|| match status.paused_until {
        Some(end) => format!("notifications paused until {}", time_of_day(end)),
        None => "notifications paused".to_owned(),
    })
}

fn one_line(status: &StatusJson) -> String {
    let mut parts = vec![new_messages(status)];
    parts.extend(status.fetching.then(|| "fetching".to_owned()));
    parts.extend(pause(status));
    parts.extend(status.problems.first().cloned());
    parts.join("; ")
}

fn lines(status: &StatusJson) -> Vec<String> {
    let mut lines = vec![new_messages(status)];
    lines.extend(pause(status));
    match status.listening.is_empty() {
        true => lines.push("listening to nothing".to_owned()),
        false => lines.push(format!("listening on {}", status.listening.join(", "))),
    }
    lines.push(match status.record {
        RecordJson::Disk => "events are kept on disk".to_owned(),
        RecordJson::Memory => "events are kept in memory only".to_owned(),
    });
    lines.extend(status.tunnels.iter().map(TunnelJson::line));
    lines.extend(status.handlers.iter().map(handler));
    // What a line says already is not said twice.
    let rest = status.problems.iter().filter(|problem| !lines.contains(problem));
    let problems: Vec<String> = rest.map(|problem| format!("problem: {problem}")).collect();
    lines.extend(problems);
    lines
}

fn handler(handler: &HandlerJson) -> String {
    let state = match (&handler.running_since, &handler.last_run) {
        (Some(since), _) => format!("running since {}", time_of_day(*since)),
        (None, Some(last)) if last.last_line.is_empty() => format!("{} at {}", last.result, time_of_day(last.at)),
        (None, Some(last)) => format!("{} at {}: {}", last.result, time_of_day(last.at), last.last_line),
        (None, None) => "not yet run".to_owned(),
    };
    format!("handler {}: {state}", handler.name)
}

/// What waybar's custom module reads (waybar-custom(5)): texts are Pango markup.
#[derive(Debug, Serialize)]
struct Waybar {
    text: String,
    alt: &'static str,
    tooltip: String,
    class: Vec<&'static str>,
}

impl Waybar {
    fn new(status: &StatusJson) -> Self {
        let state = if status.fetching {
            "fetching"
        } else if !status.problems.is_empty() {
            "problem"
        } else if status.paused {
            "paused"
        } else if status.new > 0 {
            "new"
        } else {
            "idle"
        };
        let mut class = vec![state];
        class.extend((status.new > 0 && state != "new").then_some("new"));
        class.extend(status.unseen.is_some_and(|unseen| unseen > 0).then_some("unseen"));
        let mut tooltip = lines(status);
        tooltip.extend(status.newest.clone());
        Self {
            text: if status.new > 0 { status.new.to_string() } else { String::new() },
            alt: state,
            tooltip: escape_markup(&tooltip.join("\n")),
            class,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> StatusJson {
        StatusJson {
            new: 2,
            listening: vec!["http://127.0.0.1:12525/notify".into()],
            problems: vec!["fetch: exit 1 <b>".into()],
            newest: Some("A & B: <i>".into()),
            ..StatusJson::default()
        }
    }

    #[test]
    fn waybar_gets_its_own_words_and_no_markup_of_strangers() {
        let shown = serde_json::to_value(Waybar::new(&status())).unwrap();
        assert_eq!(shown["text"], "2");
        assert_eq!(shown["alt"], "problem");
        assert_eq!(shown["class"], serde_json::json!(["problem", "new"]));
        let tooltip = shown["tooltip"].as_str().unwrap();
        assert!(tooltip.contains("A &amp; B: &lt;i&gt;") && !tooltip.contains('<'), "{tooltip}");
    }

    #[test]
    fn a_person_reads_lines_and_a_follower_one() {
        assert_eq!(
            lines(&status()),
            [
                "2 new messages",
                "listening on http://127.0.0.1:12525/notify",
                "events are kept in memory only",
                "problem: fetch: exit 1 <b>"
            ]
        );
        assert_eq!(one_line(&status()), "2 new messages; fetch: exit 1 <b>");
    }

    #[test]
    fn what_nobody_has_seen_is_told_where_a_server_tells_it() {
        let seen = |unseen| StatusJson { unseen: Some(unseen), problems: Vec::new(), ..status() };
        assert_eq!(one_line(&seen(5)), "2 new messages, 5 unseen");
        assert_eq!(lines(&StatusJson { new: 0, ..seen(0) })[0], "no new messages, 0 unseen");
        let (some, none) = (Waybar::new(&seen(5)), Waybar::new(&seen(0)));
        // How full a folder is says nothing new: the number in the bar stays that of new messages.
        assert_eq!((some.text.as_str(), some.class, none.class), ("2", vec!["new", "unseen"], vec!["new"]));
        assert!(some.tooltip.starts_with("2 new messages, 5 unseen\n"), "{}", some.tooltip);
    }
}
