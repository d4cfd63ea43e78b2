//! The desktop's mail program: what handles `mailto:` links, started without one.

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

    /// The value of a key in one section of a desktop file or list.
    fn value(text: &str, section: &str, key: &str) -> Option<String> {
        let header = format!("[{section}]");
        let lines = text.lines().map(str::trim).skip_while(|line| *line != header).skip(1);
        lines.take_while(|line| !line.starts_with('[')).find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        })
    }

    /// The `Exec` of a desktop entry without its field codes, such as `%u` (Desktop Entry Specification).
    fn command(entry: &str) -> Option<Vec<String>> {
        let words = shell_words::split(&value(entry, "Desktop Entry", "Exec")?).ok()?;
        let words: Vec<String> = words
            .into_iter()
            .filter(|word| !(word.len() == 2 && word.starts_with('%') && word != "%%"))
            .map(|word| word.replace("%%", "%"))
            .collect();
        (!words.is_empty()).then_some(words)
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
