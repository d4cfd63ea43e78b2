//! The desktop's programs: for mail, what handles `mailto:` links, started without one; for texts.

use std::path::Path;

/// The command that shows a text for editing.
pub fn editor(file: &Path) -> Vec<String> {
    // Windows knows no program for TOML, and would ask.
    let command: &[&str] = match std::env::consts::OS {
        "windows" => &["notepad.exe"],
        "macos" => &["open", "-t"],
        _ => &["xdg-open"],
    };
    let file = file.display().to_string();
    command.iter().map(|word| (*word).to_owned()).chain([file]).collect()
}

/// The command that starts it; none where the desktop has no such program or no such notion.
#[cfg(all(unix, not(target_os = "macos")))]
pub fn mail_program() -> Option<Vec<String>> {
    let directories = crate::paths::application_directories();
    linux::mail_program(&directories)
}

#[cfg(not(all(unix, not(target_os = "macos"))))]
pub fn mail_program() -> Option<Vec<String>> {
    None
}

#[cfg(all(unix, not(target_os = "macos")))]
mod linux {
    use std::fs;
    use std::path::PathBuf;

    use crate::key_file::{exec_words, value};

    const SCHEME: &str = "x-scheme-handler/mailto";

    /// By the MIME applications specification: the first listed default that is installed, else the first installed
    /// program that says it can.
    pub fn mail_program(directories: &[PathBuf]) -> Option<Vec<String>> {
        let files = |names: &'static [&'static str]| {
            directories.iter().flat_map(move |directory| names.iter().map(move |name| directory.join(name)))
        };
        let defaults = files(&["mimeapps.list", "applications/mimeapps.list"]);
        let capable = files(&["applications/mimeinfo.cache"]);
        let listed =
            defaults.map(|file| (file, "Default Applications")).chain(capable.map(|file| (file, "MIME Cache")));
        listed
            .filter_map(|(file, section)| value(&fs::read_to_string(file).ok()?, section, SCHEME))
            .flat_map(|list| list.split(';').map(|id| id.trim().to_owned()).collect::<Vec<_>>())
            .filter(|id| !id.is_empty() && !id.contains('/'))
            .find_map(|id| {
                let entries = directories.iter().map(|directory| directory.join("applications").join(&id));
                entries.filter_map(|entry| fs::read_to_string(entry).ok()).find_map(|entry| command(&entry))
            })
    }

    /// What starts the program of a desktop entry.
    fn command(entry: &str) -> Option<Vec<String>> {
        exec_words(&value(entry, "Desktop Entry", "Exec")?)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_users_choice_wins_over_the_systems_and_what_is_not_installed_is_passed_over() {
            let root = std::env::temp_dir().join(format!("mailknock-mail-program-{}", std::process::id()));
            let (user, system) = (root.join("user"), root.join("system"));
            fs::create_dir_all(user.join("applications")).unwrap();
            fs::create_dir_all(system.join("applications")).unwrap();
            let directories = [user.clone(), system.clone()];
            assert_eq!(mail_program(&directories), None);

            fs::write(system.join("applications/mimeinfo.cache"), format!("[MIME Cache]\n{SCHEME}=sys.desktop;\n"))
                .unwrap();
            fs::write(system.join("applications/sys.desktop"), "[Desktop Entry]\nExec=sysmail --new %u\n").unwrap();
            assert_eq!(mail_program(&directories), Some(vec!["sysmail".into(), "--new".into()]));

            let lists = format!(
                "[Added Associations]\n{SCHEME}=no.desktop\n[Default Applications]\n{SCHEME}=gone.desktop;my.desktop\n"
            );
            fs::write(user.join("mimeapps.list"), lists).unwrap();
            fs::write(user.join("applications/my.desktop"), "[Desktop Entry]\nExec=\"/opt/my mail/bin\" 100%% %U\n")
                .unwrap();
            assert_eq!(mail_program(&directories), Some(vec!["/opt/my mail/bin".into(), "100%".into()]));
            fs::remove_dir_all(root).unwrap();
        }
    }
}
