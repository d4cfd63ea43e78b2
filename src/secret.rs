//! The listener's password: obtained from where the configuration says it is, or made.

use std::path::Path;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::watch;

use crate::config::Pass;
use crate::paths::display;
use crate::process::{self, Exit, Job, TAIL_BYTES};

/// A keyring may have to ask a person first.
const PATIENCE: Duration = Duration::from_secs(120);
const MAX_FILE: u64 = 64 * 1024;

/// A password that nobody guesses: letters and digits, since many a server reads more into the rest. None where the
/// system has no chance to give.
pub fn random() -> Option<String> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    /// 142 bits.
    const LENGTH: usize = 24;
    let chance = SystemRandom::new();
    let mut word = String::new();
    while word.len() < LENGTH {
        let mut bytes = [0_u8; LENGTH];
        chance.fill(&mut bytes).ok()?;
        // Bytes above the last multiple would make some letters likelier.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < 256 / LETTERS.len() * LETTERS.len());
        let letters = fair.map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        word.extend(letters.take(LENGTH - word.len()));
    }
    Some(word)
}

/// The password, or why there is none: what, where and what to do. When `stop` turns true a program is ended.
pub async fn obtain(pass: Pass, stop: watch::Receiver<bool>) -> Result<String, String> {
    match pass {
        Pass::Text(text) => Ok(text),
        Pass::File(file) => of_file(&file),
        Pass::Command(words) => of_command(words, stop).await,
    }
}

/// Why there will be no password, as far as that can be told without running a program.
pub fn is_wrong(pass: &Pass) -> Option<String> {
    match pass {
        Pass::File(file) => of_file(file).err(),
        Pass::Text(_) | Pass::Command(_) => None,
    }
}

/// The password in a file.
pub fn of_file(file: &Path) -> Result<String, String> {
    use std::io::Read;
    let name = display(file);
    let failed = |error: std::io::Error| format!("no password: failed to read `auth.pass_file` {name}: {error}");
    let opened = crate::paths::open_file(file).map_err(failed)?;
    if let Some(why) = crate::paths::is_unsafe(&opened.metadata().map_err(failed)?) {
        return Err(format!("no password: `auth.pass_file` {name} {why}"));
    }
    let mut text = String::new();
    opened.take(MAX_FILE).read_to_string(&mut text).map_err(failed)?;
    first_line(&text).ok_or_else(|| format!("no password: `auth.pass_file` {name} is empty"))
}

async fn of_command(words: Vec<String>, stop: watch::Receiver<bool>) -> Result<String, String> {
    let program = words.first().cloned().unwrap_or_default();
    let job = Job { timeout: PATIENCE, ..Job::new(words) };
    let ended = process::run(job, |_| {}, stop).await;
    let failed = |why: String| format!("no password: `auth.pass_command` {program}: {why}");
    match ended.exit {
        // Of more only the end is there, and its first line is another.
        Exit::Code(0) if ended.stdout.len() >= TAIL_BYTES => Err(failed("it printed more than 4 KiB".to_owned())),
        Exit::Code(0) => first_line(&ended.stdout).ok_or_else(|| failed("it printed nothing".to_owned())),
        Exit::NotStarted(why) => Err(failed(why)),
        exit => Err(failed(exit.to_string())),
    }
}

fn first_line(text: &str) -> Option<String> {
    crate::paths::without_mark(text).lines().next().filter(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    async fn of(pass: Pass) -> Result<String, String> {
        let (_going, stop) = watch::channel(false);
        obtain(pass, stop).await
    }

    fn command(script: &str) -> Pass {
        Pass::Command(["sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[test]
    fn a_random_password_needs_no_escape_and_is_another_each_time() {
        let words: std::collections::HashSet<String> = (0..100).map(|_| random().unwrap()).collect();
        assert_eq!(words.len(), 100);
        assert!(words.iter().all(|word| word.len() == 24 && word.chars().all(|c| c.is_ascii_alphanumeric())));
        let used: std::collections::HashSet<char> = words.iter().flat_map(|word| word.chars()).collect();
        assert_eq!(used.len(), 62, "each letter has its chance");
    }

    #[tokio::test]
    async fn the_first_line_counts() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pass");
        std::fs::write(&file, "sesame \r\nmore\n").unwrap();
        assert_eq!(of(Pass::File(file.clone())).await, Ok("sesame ".to_owned()));
        std::fs::write(&file, "\u{feff}sesame\r\n").unwrap();
        assert_eq!(of(Pass::File(file.clone())).await, Ok("sesame".to_owned()), "as Windows' editors write it");
        assert_eq!(of(command("echo sesame; echo more; echo loud >&2")).await, Ok("sesame".to_owned()));

        std::fs::write(&file, "\nmore\n").unwrap();
        assert!(of(Pass::File(file.clone())).await.unwrap_err().ends_with("is empty"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o622)).unwrap();
        assert!(of(Pass::File(file)).await.unwrap_err().contains("others can write it"));
    }

    #[tokio::test]
    async fn what_fails_says_why_and_never_what_was_printed() {
        let missing = of(Pass::File("/nonexistent/pass".into())).await.unwrap_err();
        assert!(missing.contains("`auth.pass_file` /nonexistent/pass: No such file"), "{missing}");
        for (script, why) in [
            ("echo sesame; exit 3", "exit 3"),
            ("true", "it printed nothing"),
            ("kill $$", "signal 15"),
            ("echo sesame; yes | head -c 4096", "more than 4 KiB"),
        ] {
            let failed = of(command(script)).await.unwrap_err();
            assert!(failed.contains(why) && !failed.contains("sesame"), "{failed}");
        }
        let failed = of(Pass::Command(vec!["no-such-program".into()])).await.unwrap_err();
        assert!(failed.contains("`no-such-program` not found"), "{failed}");
    }
}
