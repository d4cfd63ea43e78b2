//! An agent of launchd, in the user's own directory of them (launchd.plist(5)).

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{Owner, exists, owner, refuse_others, remove_ours, write};
use super::{Changed, Found, Refused, Way, configuration, our_program, readable, whole};
use crate::{paths, process};

pub const DESKTOP: &str = "macOS";

const LABEL: &str = "mailknock";

/// The file that says what is started at login.
#[derive(Debug, Clone)]
pub struct Autostart {
    file: PathBuf,
    /// Named in what is written.
    config: Option<PathBuf>,
}

impl Autostart {
    /// The user's; with a configuration that is to be used in place of the usual one.
    pub fn of_user(config: Option<&Path>) -> Result<Self, Refused> {
        let agents = paths::launch_agents().ok_or(Refused::NoHome)?;
        Ok(Self { config: config.map(whole), ..Self::below(&agents) })
    }

    fn below(agents: &Path) -> Self {
        Self { file: agents.join(format!("{LABEL}.plist")), config: None }
    }

    /// Whether anything starts at the next login.
    pub fn is_enabled(&self) -> bool {
        self.found().iter().any(|found| found.is_there)
    }

    /// What is to be started at login, whoever said so.
    pub fn found(&self) -> Vec<Found> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        let is_off = !exists(&self.file) || is_true(&text, "Disabled") || !is_true(&text, "RunAtLoad");
        let found = (!is_off).then(|| {
            let program = program(&text).unwrap_or_default();
            let is_there = process::find(&program).is_ok();
            Found { way: Way::Desktop, file: self.file.clone(), program, is_there }
        });
        found.into_iter().collect()
    }

    /// Has the program that this is started at login.
    pub fn enable(&self, way: Way) -> Result<Changed, Refused> {
        match way {
            Way::Systemd => Err(Refused::NoSystemd),
            Way::Desktop => self.enable_program(&our_program()?),
        }
    }

    fn enable_program(&self, program: &Path) -> Result<Changed, Refused> {
        let mut words = vec![readable(program, &[])?, "run"];
        if let Some(config) = &self.config {
            words.extend(["-c", readable(configuration(config)?, &[])?]);
        }
        refuse_others(&self.file)?;
        write(&self.file, &agent_of(&words))?;
        Ok(Changed { units: false })
    }

    /// Has nothing started at login any more.
    pub fn disable(&self) -> Result<Changed, Refused> {
        match owner(&self.file) {
            // Theirs starts nothing: it may stay.
            Owner::Others(_) if self.found().is_empty() => {}
            _ => remove_ours(&self.file)?,
        }
        Ok(Changed { units: false })
    }
}

fn agent_of(words: &[&str]) -> String {
    let words: String = words.iter().map(|word| format!("\t\t<string>{}</string>\n", escaped(word))).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <!-- X-Mailknock=autostart -->\n\
         <plist version=\"1.0\">\n\
         <dict>\n\
         \t<key>Label</key>\n\
         \t<string>{LABEL}</string>\n\
         \t<key>ProgramArguments</key>\n\
         \t<array>\n\
         {words}\
         \t</array>\n\
         \t<key>RunAtLoad</key>\n\
         \t<true/>\n\
         \t<key>LimitLoadToSessionType</key>\n\
         \t<string>Aqua</string>\n\
         \t<key>ProcessType</key>\n\
         \t<string>Interactive</string>\n\
         </dict>\n\
         </plist>\n"
    )
}

/// `&` first, and last when it is read.
const ENTITIES: [(&str, &str); 5] = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&apos;")];

fn escaped(text: &str) -> String {
    ENTITIES.iter().fold(text.to_owned(), |text, (plain, entity)| text.replace(plain, entity))
}

fn unescaped(text: &str) -> String {
    ENTITIES.iter().rev().fold(text.to_owned(), |text, (plain, entity)| text.replace(entity, plain))
}

/// What stands behind a key.
fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.split_once(&format!("<key>{key}</key>")).map(|(_, rest)| rest.trim_start())
}

fn is_true(text: &str, key: &str) -> bool {
    value(text, key).is_some_and(|value| value.starts_with("<true"))
}

/// What an agent starts: `Program`, else the first of its arguments.
fn program(text: &str) -> Option<String> {
    let named = value(text, "Program").or_else(|| value(text, "ProgramArguments")?.strip_prefix("<array>"))?;
    let named = named.trim_start().strip_prefix("<string>")?.split_once("</string>")?.0;
    Some(unescaped(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents() -> (tempfile::TempDir, Autostart) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let autostart = Autostart::below(&directory.path().join("Library/LaunchAgents"));
        (directory, autostart)
    }

    #[test]
    fn it_is_enabled_once_and_disabled_again() {
        let (directory, mut autostart) = agents();
        assert!(!autostart.is_enabled());
        let program = directory.path().join("a <b> & 'c' \"d\" é/mailknock");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::copy("/bin/sh", &program).unwrap();
        let config = directory.path().join("ü &amp; x.toml");
        fs::write(&config, "").unwrap();
        autostart.config = Some(config.clone());
        for _ in 0..2 {
            let _ = autostart.enable_program(&program).unwrap();
            let found = autostart.found();
            assert_eq!((Path::new(&found[0].program), found[0].is_there), (program.as_path(), true));
        }
        let text = fs::read_to_string(&autostart.file).unwrap();
        assert!(text.contains("<string>run</string>\n\t\t<string>-c</string>\n\t\t<string>"), "{text}");
        assert!(text.contains("ü &amp;amp; x.toml</string>"), "{text}");
        fs::remove_file(&program).unwrap();
        assert!(!autostart.is_enabled() && autostart.found().len() == 1);
        let _ = autostart.disable().unwrap();
        assert!(!autostart.file.exists());
        let _ = autostart.disable().unwrap();
    }

    #[test]
    fn what_is_not_ours_or_switched_off_is_left_alone() {
        let (_directory, autostart) = agents();
        let ours = agent_of(&["/bin/sh", "run"]);
        fs::create_dir_all(autostart.file.parent().unwrap()).unwrap();
        let theirs = ours.replace("X-Mailknock=", "by hand ");
        fs::write(&autostart.file, &theirs).unwrap();
        assert!(autostart.is_enabled());
        for refused in [autostart.enable_program(Path::new("/bin/sh")), autostart.disable()] {
            assert!(refused.unwrap_err().to_string().contains("is not by `mailknock autostart`"));
        }
        assert_eq!(fs::read_to_string(&autostart.file).unwrap(), theirs);
        let off = theirs.replace("</dict>", "\t<key>Disabled</key>\n\t<true/>\n</dict>");
        fs::write(&autostart.file, &off).unwrap();
        assert!(!autostart.is_enabled());
        let _ = autostart.disable().unwrap();
        assert_eq!(fs::read_to_string(&autostart.file).unwrap(), off);
    }

    #[test]
    fn it_is_in_the_users_own_directory_and_there_is_no_systemd() {
        let autostart = Autostart::of_user(None).unwrap();
        assert!(autostart.file.ends_with("Library/LaunchAgents/mailknock.plist"), "{}", autostart.file.display());
        assert_eq!(DESKTOP, "macOS");
        assert!(autostart.enable(Way::Systemd).unwrap_err().to_string().contains("no systemd here"));
    }
}
