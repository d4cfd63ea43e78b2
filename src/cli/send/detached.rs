//! `--detach`: the message is read, then a copy of us sends in the background and nobody waits for it.

use super::settings::Settings;
use crate::process;

/// More at once would be a mail flood in the process table as well.
#[cfg(target_os = "linux")]
const AT_ONCE: u32 = 32;

/// Starts the copy, which gets the body and nothing else of ours.
pub fn start(settings: &Settings, body: &[u8]) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| format!("it doesn't know its own file: {error}"))?;
    let mut words: Vec<std::ffi::OsString> = vec![program.into()];
    words.extend(["send", "--detached", "--input", "json", "--url"].map(Into::into));
    words.push(settings.url.to_string().into());
    words.extend(["--deadline".into(), humantime::format_duration(settings.deadline).to_string().into()]);
    let files = [("--auth-file", &settings.auth_file), ("--ca-file", &settings.ca_file), ("--log", &settings.log)];
    for (option, file) in files {
        if let Some(file) = file {
            words.extend([option.into(), file.into()]);
        }
    }
    // Some end the whole process group that a mail had, at its end: the copy is in none of theirs from its first moment,
    // and where we lead no group, not in their session either.
    #[cfg(unix)]
    let _ = rustix::process::setsid();
    process::start_reading(&words, body).map_err(|error| format!("failed to start in the background: {error}"))
}

/// One of the places for those in the background; it is free again when we end, however we end.
#[cfg(target_os = "linux")]
pub fn begin() -> Result<std::os::fd::OwnedFd, String> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
    let user = rustix::process::geteuid().as_raw();
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let socket = socket.map_err(|error| format!("no socket: {error}"))?;
    for place in 0..AT_ONCE {
        let name = format!("mailknock-send-{user}-{place}");
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).map_err(|error| error.to_string())?;
        if bind(&socket, &address).is_ok() {
            return Ok(socket);
        }
    }
    Err(format!("{AT_ONCE} others are sending in the background already"))
}

#[cfg(not(target_os = "linux"))]
pub fn begin() -> Result<(), String> {
    Ok(())
}
