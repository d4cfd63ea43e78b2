//! Programs that die with us, even where we are killed. A process can ask that of the system only for itself, so we
//! start ourselves in a small role, and that becomes the program; where the system has no such thing, it stays and
//! watches.

use std::io;

use tokio::process::Command;

use super::describe;

/// The hidden command that [`hold`] is.
const COMMAND: &str = "hold";

pub fn command(words: &[String]) -> io::Result<Command> {
    // By this name it is the same program, also when an update has replaced the file.
    let ourselves = match cfg!(target_os = "linux") {
        true => "/proc/self/exe".to_owned(),
        false => std::env::current_exe()?.to_string_lossy().into_owned(),
    };
    let role = [ourselves, COMMAND.to_owned(), std::process::id().to_string(), "--".to_owned()];
    let mut command = super::command(&[&role, words].concat());
    if !cfg!(target_os = "linux") {
        // Closed by the system when we are gone.
        command.stdin(std::process::Stdio::piped());
    }
    Ok(command)
}

/// Becomes the program, which the system kills when the process `parent` ends; or says why that failed.
#[cfg(target_os = "linux")]
pub fn hold(parent: u32, words: &[String]) -> Result<u8, String> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    use std::os::unix::process::CommandExt;
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    let is_there = getppid().is_some_and(|found| u32::try_from(found.as_raw_nonzero().get()) == Ok(parent));
    match (is_there, words.split_first()) {
        (true, Some((program, arguments))) => {
            Err(describe(program, &std::process::Command::new(program).args(arguments).exec()))
        }
        _ => Err("nobody waits for it".to_owned()),
    }
}

/// Runs the program, and kills it when our input ends. Gives its exit code.
#[cfg(not(target_os = "linux"))]
pub fn hold(_parent: u32, words: &[String]) -> Result<u8, String> {
    use std::io::Read;
    let (program, arguments) = words.split_first().ok_or("nothing to run")?;
    let child = std::process::Command::new(program).args(arguments).stdin(std::process::Stdio::null()).spawn();
    let mut child = child.map_err(|error| describe(program, &error))?;
    let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        if let Some(id) = id {
            // One that has ended already is what was wanted.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    });
    let status = child.wait().map_err(|error| error.to_string())?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
