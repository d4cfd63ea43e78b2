//! `--detach`: the message is read, then a copy of us sends in the background and nobody waits for it.

use super::settings::Settings;
use crate::process;

/// More at once would be a mail flood in the process table as well.
const AT_ONCE: usize = 32;
/// The argument by which they are known.
const MARK: &str = "--detached";

/// Starts the copy, which gets the body and nothing else of ours.
pub fn start(settings: &Settings, body: &[u8]) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| format!("it doesn't know its own file: {error}"))?;
    let mut words: Vec<std::ffi::OsString> = vec![program.into()];
    words.extend(["send", MARK, "--input", "json", "--url"].map(Into::into));
    words.push(settings.url.to_string().into());
    words.extend(["--deadline".into(), humantime::format_duration(settings.deadline).to_string().into()]);
    let files = [("--auth-file", &settings.auth_file), ("--ca-file", &settings.ca_file), ("--log", &settings.log)];
    for (option, file) in files {
        if let Some(file) = file {
            words.extend([option.into(), file.into()]);
        }
    }
    process::start_reading(&words, body).map_err(|error| format!("failed to start in the background: {error}"))
}

/// Whether there is room for one more in the background. Those that began before us count, so that of many that begin
/// at once some go on.
pub fn begin() -> Result<(), String> {
    match process::own_earlier_with(MARK) {
        others if others >= AT_ONCE => Err(format!("{AT_ONCE} others are sending in the background already")),
        _ => Ok(()),
    }
}
