//! A value of the user's `Run` key in Windows' registry: a command line that is started at login.

use std::path::{Path, PathBuf};

use super::Refused;

/// What the system takes (Run and RunOnce Registry Keys, learn.microsoft.com).
const LONGEST: usize = 260;

/// A command line of which each program makes the same words.
fn command_line(words: &[&str]) -> Result<String, Refused> {
    let is_plain = |word: &str| !word.is_empty() && !word.contains([' ', '\t', '&', '(', ')']);
    // A name of a file holds no quotes. The program's is always quoted: `C:\Program` might be one too.
    let quoted = words.iter().enumerate().map(|(at, word)| match at > 0 && is_plain(word) {
        true => (*word).to_owned(),
        false => format!("\"{word}\""),
    });
    let line = quoted.collect::<Vec<_>>().join(" ");
    match line.encode_utf16().count() {
        ..=LONGEST => Ok(line),
        _ => Err(Refused::TooLong { line, longest: LONGEST }),
    }
}

/// The program that a command line starts.
fn program_of(line: &str) -> &str {
    let line = line.trim_start();
    match line.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or_default(),
        None => line.split([' ', '\t']).next().unwrap_or_default(),
    }
}

/// Whether a command line is by us: it starts us.
fn is_ours(line: &str) -> bool {
    let name = program_of(line).rsplit(['\\', '/']).next().unwrap_or_default().to_ascii_lowercase();
    matches!(name.strip_suffix(".exe").unwrap_or(&name), "mailknock" | "mailknockw")
}

/// The twin without a console window, if it lies beside; as people write paths, without what `canonicalize` puts before
/// them.
fn windowless(program: &Path) -> PathBuf {
    let twin = program.with_file_name("mailknockw.exe");
    let chosen = if twin.is_file() { twin } else { program.to_owned() };
    match chosen.to_str().and_then(|text| text.strip_prefix(r"\\?\")) {
        Some(text) if text.as_bytes().get(1) == Some(&b':') => text.into(),
        _ => chosen,
    }
}

/// What the settings and the task manager say of a value with the same name: an odd first byte means off.
fn is_switched_off(approved: &[u8]) -> bool {
    approved.first().is_some_and(|first| first % 2 == 1)
}

#[cfg(windows)]
pub mod registry {
    use std::path::{Path, PathBuf};

    use windows_registry::{CURRENT_USER, Result};

    use super::super::{Changed, Found, Refused, Way, configuration, our_program, readable, whole};
    use super::{command_line, is_ours, is_switched_off, program_of, windowless};
    use crate::process;

    pub const DESKTOP: &str = "Windows";

    const CURRENT_VERSION: &str = r"Software\Microsoft\Windows\CurrentVersion";
    const NAME: &str = "Mailknock";

    /// The value that says what is started at login.
    #[derive(Debug, Clone)]
    pub struct Autostart {
        run: String,
        /// Where the settings remember which of them are switched off.
        approved: String,
        /// Named in what is written.
        config: Option<PathBuf>,
    }

    impl Autostart {
        /// The user's; with a configuration that is to be used in place of the usual one.
        pub fn of_user(config: Option<&Path>) -> std::result::Result<Self, Refused> {
            Ok(Self { config: config.map(whole), ..Self::below(CURRENT_VERSION) })
        }

        fn below(key: &str) -> Self {
            let approved = format!(r"{key}\Explorer\StartupApproved\Run");
            Self { run: format!(r"{key}\Run"), approved, config: None }
        }

        /// Whether anything starts at the next login.
        pub fn is_enabled(&self) -> bool {
            self.found().iter().any(|found| found.is_there)
        }

        /// What is to be started at login, whoever said so.
        pub fn found(&self) -> Vec<Found> {
            let Some(line) = self.line().filter(|_| !self.is_off()) else { return Vec::new() };
            let program = program_of(&line).to_owned();
            let is_there = process::find(&program).is_ok();
            vec![Found { way: Way::Desktop, file: self.place().into(), program, is_there }]
        }

        fn line(&self) -> Option<String> {
            CURRENT_USER.open(&self.run).and_then(|key| key.get_string(NAME)).ok()
        }

        fn is_off(&self) -> bool {
            let approved = CURRENT_USER.open(&self.approved).and_then(|key| key.get_value(NAME));
            approved.is_ok_and(|approved| is_switched_off(&approved))
        }

        fn place(&self) -> String {
            format!(r"HKEY_CURRENT_USER\{}\{NAME}", self.run)
        }

        /// Has the program that this is started at login.
        pub fn enable(&self, way: Way) -> std::result::Result<Changed, Refused> {
            match way {
                Way::Systemd => Err(Refused::NoSystemd),
                Way::Desktop => self.enable_program(&our_program()?),
            }
        }

        fn enable_program(&self, program: &Path) -> std::result::Result<Changed, Refused> {
            let program = windowless(program);
            let mut words = vec![readable(&program, &[&['"']])?, "run"];
            if let Some(config) = &self.config {
                words.extend(["-c", readable(configuration(config)?, &[&['"']])?]);
            }
            let line = command_line(&words)?;
            self.refuse_others()?;
            let written = CURRENT_USER.create(&self.run).and_then(|key| key.set_string(NAME, &line));
            written.and_then(|()| remove(&self.approved)).map_err(|error| self.failed(&error))?;
            Ok(Changed { units: false })
        }

        /// Has nothing started at login any more.
        pub fn disable(&self) -> std::result::Result<Changed, Refused> {
            self.refuse_others()?;
            remove(&self.run).and_then(|()| remove(&self.approved)).map_err(|error| self.failed(&error))?;
            Ok(Changed { units: false })
        }

        fn refuse_others(&self) -> std::result::Result<(), Refused> {
            match self.line() {
                Some(line) if !is_ours(&line) => Err(Refused::Foreign { file: self.place() }),
                _ => Ok(()),
            }
        }

        fn failed(&self, error: &impl std::fmt::Display) -> Refused {
            Refused::Registry { place: self.place(), why: error.to_string() }
        }
    }

    /// Takes our value away, if it is there.
    fn remove(key: &str) -> Result<()> {
        let Ok(key) = CURRENT_USER.options().read().write().open(key) else { return Ok(()) };
        match key.get_value(NAME) {
            Ok(_) => key.remove_value(NAME),
            Err(_) => Ok(()),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// Keys of the test's own, gone with it.
        struct Keys(String);

        impl Drop for Keys {
            fn drop(&mut self) {
                let _ = CURRENT_USER.remove_tree(&self.0);
            }
        }

        #[test]
        fn it_is_enabled_once_and_disabled_again_and_what_is_not_ours_stays() {
            let keys = Keys(format!(r"Software\Mailknock-test-{}", std::process::id()));
            let autostart = Autostart::below(&keys.0);
            let directory = tempfile::Builder::new().prefix("a b ü").tempdir().unwrap();
            let program = directory.path().join("mailknock.exe");
            std::fs::write(&program, "").unwrap();
            assert!(!autostart.is_enabled());
            for twin in [program.clone(), directory.path().join("mailknockw.exe")] {
                std::fs::write(&twin, "").unwrap();
                let _ = autostart.enable_program(&program.canonicalize().unwrap()).unwrap();
                assert!(autostart.is_enabled());
                assert!(Path::new(&autostart.found()[0].program).ends_with(twin.file_name().unwrap()));
            }
            let approved = CURRENT_USER.create(&autostart.approved).unwrap();
            approved.set_bytes(NAME, windows_registry::Type::Bytes, &[3, 0, 0, 0]).unwrap();
            assert!(!autostart.is_enabled(), "the settings switched it off");
            let _ = autostart.enable_program(&program).unwrap();
            assert!(autostart.is_enabled());
            let _ = autostart.disable().unwrap();
            assert!(autostart.line().is_none());
            let _ = autostart.disable().unwrap();
            let run = CURRENT_USER.create(&autostart.run).unwrap();
            run.set_string(NAME, "notepad.exe").unwrap();
            for refused in [autostart.enable_program(&program), autostart.disable()] {
                assert!(refused.unwrap_err().to_string().contains("is not by `mailknock autostart`"));
            }
            assert_eq!(autostart.line().as_deref(), Some("notepad.exe"));
            assert!(autostart.enable(Way::Systemd).unwrap_err().to_string().contains("no systemd here"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_read_as_it_was_written() {
        let program = r"C:\Program Files\Mailknock\mailknockw.exe";
        let line = command_line(&[program, "run", "-c", r"C:\Users\Jörg M\c.toml"]).unwrap();
        assert_eq!(line, r#""C:\Program Files\Mailknock\mailknockw.exe" run -c "C:\Users\Jörg M\c.toml""#);
        assert_eq!(program_of(&line), program);
        assert_eq!(program_of(" C:\\x.exe\trun"), "C:\\x.exe");
        assert_eq!(program_of(""), "");
        let refused = command_line(&[&"x".repeat(LONGEST), "run"]).unwrap_err().to_string();
        assert!(refused.contains("260 characters"), "{refused}");
    }

    #[test]
    fn ours_is_what_starts_us() {
        for ours in [r#""C:\a b\MailKnock.exe" run"#, r"C:\x\mailknockw.exe run", "mailknock"] {
            assert!(is_ours(ours), "{ours}");
        }
        for theirs in ["", "notepad.exe mailknock.exe", r#""C:\mailknock.exe\x.exe""#] {
            assert!(!is_ours(theirs), "{theirs}");
        }
        assert!(is_switched_off(&[3, 0]) && !is_switched_off(&[2, 0]) && !is_switched_off(&[]));
    }

    #[test]
    fn the_twin_without_a_window_is_taken_where_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("mailknock.exe");
        assert_eq!(windowless(&program), program);
        let twin = directory.path().join("mailknockw.exe");
        std::fs::write(&twin, "").unwrap();
        assert!(windowless(&program).ends_with("mailknockw.exe"));
        assert_eq!(windowless(Path::new(r"\\?\C:\a b\mailknock.exe")), Path::new(r"C:\a b\mailknock.exe"));
        let share = Path::new(r"\\?\UNC\server\x\mailknock.exe");
        assert_eq!(windowless(share), share);
    }
}
