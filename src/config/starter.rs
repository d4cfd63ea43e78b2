//! The configuration of somebody who has none yet: all defaults to look at, none of them set.

use std::fs::File;
use std::io;
use std::path::Path;

use super::DEFAULT_FILE;
use crate::paths;

/// What heads the file in place of the default file's own first lines.
const HEAD: &str = "\
# Mailknock's configuration. What begins with # and a letter or [ is not in force: it shows a default, or an example that
# you can make yours by taking the # away. `mailknock check` finds every mistake in it.
";
/// As it stands in the default file.
const AUTH: [&str; 3] = ["#= [auth]", "#= user = \"mailknock\"", "#= pass = \"change-me\""];

/// Whether the password is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    On,
    /// It is there to be switched on: who reaches us without one goes on doing so.
    Off,
}

/// The text of the file; `pass` is letters and digits.
pub fn starter(pass: &str, auth: Auth) -> String {
    let (_, settings) = DEFAULT_FILE.split_once("\n\n").unwrap_or_default();
    let mut text = format!("{HEAD}\n");
    for line in settings.lines() {
        let (is_auth, line) = match AUTH.contains(&line) {
            true => (true, line.replace("change-me", pass)),
            false => (false, line.to_owned()),
        };
        text += &match line.strip_prefix("#= ") {
            Some(example) if is_auth && auth == Auth::On => example.to_owned(),
            Some(example) => format!("#{example}"),
            // A table's name may stand: what is taken from below it must not land in the one before.
            None if line.is_empty() || line.starts_with(['#', '[']) => line,
            None => format!("#{line}"),
        };
        text.push('\n');
    }
    text
}

/// Writes the file, for its user alone. One that is there, or a link of that name, stays as it is. It is there whole or
/// not at all; whoever wants it on the disk as well syncs it.
pub fn write(file: &Path, text: &str) -> io::Result<File> {
    if let Some(directory) = file.parent() {
        paths::make_private(directory)?;
    }
    let new = file.with_extension(format!("new-{}", std::process::id()));
    let written = make(&new, text).and_then(|made| match std::fs::hard_link(&new, file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // Not every file system knows two names for a file.
            let made = make(file, text);
            if made.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists) {
                // Half of it would be taken for the whole.
                let _ = std::fs::remove_file(file);
            }
            made
        }
        linked => linked.map(|()| made),
    });
    // The first error is the one to tell.
    let _ = std::fs::remove_file(new);
    written
}

fn make(file: &Path, text: &str) -> io::Result<File> {
    use std::io::Write;
    let mut made = paths::private(File::options().write(true).create_new(true)).open(file)?;
    made.write_all(text.as_bytes())?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{good, problems};
    use super::super::{Config, Pass};
    use super::*;

    #[test]
    fn nothing_is_set_in_it_but_the_password() {
        let config = good(&starter("s3same", Auth::On));
        let auth = config.auth.clone().unwrap();
        assert_eq!((auth.user.as_str(), auth.pass), ("mailknock", Pass::Text("s3same".to_owned())));
        assert_eq!(Config { auth: None, ..config }, Config::default());
        let off = starter("s3same", Auth::Off);
        assert_eq!(good(&off), Config::default());
        assert!(off.contains("\n#[auth]\n#user = \"mailknock\"\n#pass = \"s3same\"\n"), "{off}");
    }

    #[test]
    fn every_line_that_looks_like_a_setting_can_be_made_one() {
        let uncommented = |line: &str| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        };
        let text = starter("change-me", Auth::Off);
        let whole: String = text.lines().map(uncommented).collect();
        assert_eq!(problems(&whole), [""; 0]);
        let config = good(&whole);
        assert!(config.auth.is_some() && config.tls.is_some() && !config.tunnels.is_empty() && config.can_fetch());
        // One at a time as well: none lands in a table that it isn't of. A table's own lines go with its name.
        for line in text.lines().filter(|line| uncommented(line) != format!("{line}\n")) {
            let alone: String = text
                .lines()
                .map(|other| if std::ptr::eq(other, line) { uncommented(other) } else { format!("{other}\n") })
                .collect();
            let wrong = problems(&alone);
            let is_example = DEFAULT_FILE.contains(&format!("#= {}", line.trim_start_matches('#')));
            assert!(wrong.is_empty() || is_example, "{line}: {wrong:?}");
        }
    }

    #[test]
    fn the_three_lines_of_the_password_are_those_of_the_default_file() {
        for line in AUTH {
            assert_eq!(DEFAULT_FILE.lines().filter(|found| *found == line).count(), 1, "{line}");
        }
        assert!(DEFAULT_FILE.starts_with("# Mailknock's configuration. "));
    }

    #[cfg(unix)]
    #[test]
    fn it_is_its_users_alone_and_nothing_that_is_there_is_touched() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a b/ü/config.toml");
        write(&file, "one").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        assert_eq!(write(&file, "two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");

        let (link, nowhere) = (directory.path().join("link"), directory.path().join("nowhere"));
        std::os::unix::fs::symlink(&nowhere, &link).unwrap();
        assert_eq!(write(&link, "x").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(!nowhere.exists());
        let names =
            std::fs::read_dir(directory.path()).unwrap().chain(std::fs::read_dir(file.parent().unwrap()).unwrap());
        let left: Vec<_> = names.map(|entry| entry.unwrap().file_name()).filter(|name| name != "a b").collect();
        assert_eq!(left, ["link", "config.toml"], "nothing else is left");
    }
}
