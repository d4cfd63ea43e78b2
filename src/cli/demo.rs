//! `mailknock demo`: the whole thing with an embedded configuration, on a free port, with sample events that it
//! delivers to itself over real HTTP.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::sync::{mpsc, oneshot};

use crate::app::{self, Options, Signal};
use crate::client::{Url, put_json};
use crate::config::Config;
use crate::desktop::{self, Wanted};

const CONFIGURATION: &str = include_str!("demo.toml");

/// What the OX driver of a Dovecot would send: encoded words, a character split over two of them, markup.
const SAMPLES: [&str; 4] = [
    r#"{"user":"demo","event":"messageNew","folder":"INBOX","imap-uidvalidity":1,"imap-uid":1,"from":"=?utf-8?Q?J=C3=B6rg_M=C3=BCller?= <joerg@example.org>","subject":"=?utf-8?B?R3LDvMOf?=\n =?utf-8?Q?e_aus?= =?iso-8859-1?Q?_K=F6ln?=","snippet":"Das Fenster zum Hof ist wieder heil.","unseen":1}"#,
    r#"{"user":"demo","event":"messageNew","folder":"INBOX","imap-uidvalidity":1,"imap-uid":2,"from":"=?iso-2022-jp?B?GyRCOzNFREJATzobKEI=?= <taro@example.org>","subject":"=?iso-2022-jp?B?GyRCRnxLXDhsJE43b0w+JUYlOSVIGyhC?=","snippet":"","unseen":2}"#,
    r#"{"user":"demo","event":"messageNew","folder":"INBOX","imap-uidvalidity":1,"imap-uid":3,"from":"Alice Example <alice@example.org>","subject":"Lunch on <b>Friday</b> & after?","snippet":"Shall we meet at noon?","unseen":3}"#,
    r#"{"user":"demo","event":"MailboxCreate","folder":"Travel"}"#,
];
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub struct Arguments {
    /// End after this time, such as 10s; without it, at Ctrl-C
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    length: Option<Duration>,
}

pub fn demo(arguments: &Arguments) -> ExitCode {
    let (config, problems) = Config::parse("demo", CONFIGURATION);
    let Some(config) = config else {
        problems.iter().for_each(|problem| eprintln!("{problem}"));
        return ExitCode::FAILURE;
    };
    super::log::start(&config.log);
    let length = arguments.length;
    desktop::main(move |desktop| async move {
        let (bound, address) = oneshot::channel();
        let endpoint = config.endpoint.clone();
        let delivering = tokio::spawn(async move {
            let address = address.await.ok()?;
            println!("Listening on http://{address}{endpoint}. Knock yourself:\n  {}", example(address, &endpoint));
            tokio::task::spawn_blocking(move || deliver(address, &endpoint)).await.ok()
        });
        let mut signals = match super::run::signals() {
            Ok(signals) => signals,
            Err(error) => return super::run::failed(&error.into()),
        };
        if let Some(length) = length {
            signals = until(length, signals);
        }
        let options = Options {
            config: Some(config),
            config_file: None,
            problems: Vec::new(),
            standing: Vec::new(),
            wanted: Wanted { tray: true, notifications: true },
            print: Some(Box::new(super::print_entry)),
            record: None,
            welcome: None,
            // It touches no files.
            autostart: None,
            instance: None,
            bound: Some(bound),
        };
        if let Err(error) = app::run(options, desktop, signals).await {
            return super::run::failed(&error);
        }
        match delivering.await {
            Ok(Some(Ok(()))) => ExitCode::SUCCESS,
            Ok(Some(Err(why))) => super::run::failed(&anyhow::anyhow!(why)),
            // Stopped before the samples were out.
            _ => ExitCode::SUCCESS,
        }
    })
}

/// The signals, and at the end of the time one to stop.
fn until(length: Duration, mut signals: mpsc::Receiver<Signal>) -> mpsc::Receiver<Signal> {
    let (tell, both) = mpsc::channel(4);
    tokio::spawn(async move {
        let end = tokio::time::sleep(length);
        tokio::pin!(end);
        loop {
            let signal = tokio::select! {
                Some(signal) = signals.recv() => signal,
                () = &mut end => Signal::Stop,
            };
            if tell.send(signal).await.is_err() || signal == Signal::Stop {
                return;
            }
        }
    });
    both
}

fn deliver(address: SocketAddr, endpoint: &str) -> Result<(), String> {
    for sample in SAMPLES {
        match put_json(&Url::of(address, endpoint), None, None, sample.as_bytes(), PATIENCE) {
            Ok(answer) if answer.status == 200 => {}
            Ok(answer) => return Err(format!("a sample event was answered {}", answer.status)),
            Err(error) => return Err(format!("a sample event could not be delivered: {error}")),
        }
    }
    Ok(())
}

fn example(address: SocketAddr, endpoint: &str) -> String {
    format!(
        "curl -X PUT http://{address}{endpoint} -d '{{\"user\":\"me\",\"event\":\"messageNew\",\"from\":\"Me <me@example.org>\",\"subject\":\"Knock, knock\"}}' -H 'content-type: application/json'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::format_for;

    #[test]
    fn the_embedded_configuration_and_the_samples_are_right() {
        let (config, problems) = Config::parse("demo", CONFIGURATION);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(config.unwrap().listen[0].tcp().unwrap().port(), 0);
        for sample in SAMPLES {
            assert_eq!(format_for("").unwrap().parse(sample.as_bytes()).unwrap().len(), 1);
        }
    }
}
