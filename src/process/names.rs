//! How programs are named on Windows, where an ending says what a file is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the system starts by itself. A batch file is started by `cmd.exe`, which reads its arguments once more as
/// commands: it must be named with its ending, so that whoever names it can be told what may not be given to it. What
/// else PATHEXT lists (`.js`, `.vbs`) only a shell can start.
const PROGRAMS: [&str; 2] = [".com", ".exe"];
pub const BATCH_FILES: [&str; 2] = [".cmd", ".bat"];

/// The files that a program may be which is named so, in the order in which they are looked for.
pub fn named(path: &Path, path_ext: Option<&str>) -> Vec<PathBuf> {
    let listed = path_ext.unwrap_or_default().split(';').map(|ending| ending.trim().to_ascii_lowercase());
    let mut endings: Vec<String> = listed.filter(|ending| PROGRAMS.contains(&ending.as_str())).collect();
    // Without it nothing could be started at all.
    if !endings.iter().any(|ending| ending == ".exe") {
        endings.push(".exe".to_owned());
    }
    let added = endings.iter().map(|ending| with_ending(path, ending));
    match path.extension() {
        // `python3.11` is no ending.
        Some(_) => std::iter::once(path.to_owned()).chain(added).collect(),
        None => added.chain([path.to_owned()]).collect(),
    }
}

pub fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_an_ending_is_a_program_and_never_a_batch_file() {
        let found = |name: &str, path_ext: Option<&str>| {
            let found = named(Path::new(name), path_ext);
            found.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found("npm", Some(".COM;.EXE;.BAT;.CMD;.VBS;.JS")), "npm.com npm.exe npm");
        assert_eq!(found("npm", Some(" .exe ; .com;;.cmd")), "npm.exe npm.com npm");
        assert_eq!(found("npm", Some(".CMD")), "npm.exe npm");
        assert_eq!(found("npm", None), "npm.exe npm");
        assert_eq!(found("npm.cmd", Some(".EXE")), "npm.cmd npm.cmd.exe");
        assert_eq!(found("python3.11", None), "python3.11 python3.11.exe");
        assert!(BATCH_FILES.iter().all(|ending| !PROGRAMS.contains(ending)));
    }
}
