//! `mailknock run`: the session program.

use std::future::Future;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::app::{self, Options};
use crate::desktop::{self, Wanted};
use crate::paths;

#[derive(Debug, Default, Args)]
pub struct Arguments {
    /// Show no tray icon
    #[arg(long)]
    no_tray: bool,
    /// Show no notifications
    #[arg(long)]
    no_notifications: bool,
    /// Also write each event to the terminal
    #[arg(long)]
    print: bool,
}

pub fn run(file: Option<&Path>, arguments: Arguments) -> ExitCode {
    let loaded = match super::load(file) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    super::log::start(&loaded.config.log);
    match &loaded.file {
        Some(file) => tracing::info!("configuration {}", paths::display(file)),
        None if Path::new(paths::IMSERIOUS_CONFIG).exists() => {
            tracing::info!("no configuration; to use IMSErious' own: mailknock -c {}", paths::IMSERIOUS_CONFIG)
        }
        None => tracing::info!("no configuration; using the built-in default"),
    }
    desktop::main(move |desktop| async move {
        let options = Options {
            config_file: loaded.file,
            warnings: loaded.warnings,
            wanted: Wanted { tray: !arguments.no_tray, notifications: !arguments.no_notifications },
            print: arguments.print.then(|| -> app::Print { Box::new(super::print_entry) }),
            record: paths::record_file(),
            bound: None,
        };
        let stop = match asked_to_stop() {
            Ok(stop) => stop,
            Err(error) => return failed(&error.into()),
        };
        match app::run(loaded.config, options, desktop, stop).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        }
    })
}

pub(super) fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("mailknock: {error:#}");
    ExitCode::FAILURE
}

/// Resolves at SIGTERM, SIGINT or Ctrl-C; listens for them from the call on.
#[cfg(unix)]
pub(super) fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
pub(super) fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without the signal there is no such way to stop; the tray's remains.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
