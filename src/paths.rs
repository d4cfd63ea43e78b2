//! Where files are. The only place that knows the directories of the platform.

use std::path::{Path, PathBuf};

/// Where IMSErious looks for its configuration.
pub const IMSERIOUS_CONFIG: &str = "/usr/local/etc/imserious.toml";

/// `$XDG_CONFIG_HOME/mailknock/config.toml`, or the platform's equivalent; none without a home directory.
pub fn config_file() -> Option<PathBuf> {
    Some(project()?.config_dir().join("config.toml"))
}

fn project() -> Option<directories::ProjectDirs> {
    directories::ProjectDirs::from("", "", "mailknock")
}

fn state_directory() -> Option<PathBuf> {
    let directories = project()?;
    Some(directories.state_dir().unwrap_or(directories.data_local_dir()).to_owned())
}

/// The record on disk; its own for each machine that shares a home directory. None without a home directory.
pub fn record_file() -> Option<PathBuf> {
    let machine = std::fs::read_to_string("/etc/machine-id").ok().filter(|id| id.trim().len() >= 8);
    let machine = machine.map(|id| id.chars().take(8).collect()).or_else(host_name).unwrap_or_default();
    let machine: String = machine.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    Some(state_directory()?.join(format!("record-{machine}.sqlite")))
}

/// Where the control socket and the lock are: `$XDG_RUNTIME_DIR/mailknock`, else `/run/user/UID/mailknock`, else the
/// state directory. Never a fixed name where others can write. None without any of them.
pub fn runtime_directory() -> Option<PathBuf> {
    let below = |directory: PathBuf| directory.join("mailknock");
    if let Some(directory) = directories::BaseDirs::new().and_then(|dirs| dirs.runtime_dir().map(Path::to_owned)) {
        return Some(below(directory));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let user = rustix::process::geteuid().as_raw();
        let directory = PathBuf::from(format!("/run/user/{user}"));
        let is_right = |found: std::fs::Metadata| found.is_dir() && found.uid() == user && found.mode() & 0o077 == 0;
        if std::fs::symlink_metadata(&directory).is_ok_and(is_right) {
            return Some(below(directory));
        }
    }
    Some(state_directory()?.join("run"))
}

/// A path as people write it: below the home directory it begins with `~`.
pub fn display(path: &Path) -> String {
    let home = directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
    match home.as_deref().and_then(|home| path.strip_prefix(home).ok()) {
        Some(below) => format!("~/{}", below.display()),
        None => path.display().to_string(),
    }
}

/// A path as people write it; the other way round than [`display`].
pub fn expanded(text: &str) -> PathBuf {
    let home = || directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
    match text.strip_prefix("~/").and_then(|below| Some(home()?.join(below))) {
        Some(path) => path,
        None => PathBuf::from(text),
    }
}

/// Opens a file to read. Only what is one: a pipe would hold us up until somebody opened its other end.
pub fn open_file(path: &Path) -> std::io::Result<std::fs::File> {
    match std::fs::metadata(path)?.is_file() {
        true => std::fs::File::open(path),
        false => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no file")),
    }
}

/// Why a file that we are to trust could be another user's work; none where it couldn't.
#[cfg(unix)]
pub fn is_unsafe(file: &std::fs::Metadata) -> Option<&'static str> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // Many systems give every user a group of its own, and let it write what the user makes.
    let is_own_group = file.gid() == group && group == user;
    if file.file_type().is_char_device() {
        // What is written to /dev/null is in nobody's hands.
        None
    } else if file.uid() != user && file.uid() != 0 {
        Some("belongs to another user")
    } else if file.mode() & 0o002 != 0 || (file.mode() & 0o020 != 0 && !is_own_group) {
        Some("is not safe: others can write it; `chmod go-w` it")
    } else {
        None
    }
}

#[cfg(not(unix))]
pub fn is_unsafe(_file: &std::fs::Metadata) -> Option<&'static str> {
    None
}

/// Why what is in a directory could become another user's work; none where it couldn't.
#[cfg(unix)]
pub fn is_unsafe_directory(directory: &std::fs::Metadata) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;
    let is_trusted = [0, rustix::process::geteuid().as_raw()].contains(&directory.uid());
    // In one like /tmp people can replace nothing but what is their own.
    let is_sticky = directory.mode() & 0o1000 != 0;
    is_unsafe(directory).filter(|_| !(is_trusted && is_sticky))
}

#[cfg(not(unix))]
pub fn is_unsafe_directory(_directory: &std::fs::Metadata) -> Option<&'static str> {
    None
}

/// Whether users that have nothing to do with a file may read it.
#[cfg(unix)]
pub fn is_open(file: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.mode() & 0o004 != 0
}

#[cfg(not(unix))]
pub fn is_open(_file: &std::fs::Metadata) -> bool {
    false
}

/// The directories that may hold `applications/` and `mimeapps.list`, the user's first
/// (XDG Base Directory and MIME applications specifications).
#[cfg(all(unix, not(target_os = "macos")))]
pub fn application_directories() -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Some(base) = directories::BaseDirs::new() {
        found.push(base.config_dir().to_owned());
        found.extend(system_settings());
        found.push(base.data_dir().to_owned());
    }
    found.extend(listed("XDG_DATA_DIRS", "/usr/local/share:/usr/share"));
    found
}

/// Where all programs have the user's settings: `$XDG_CONFIG_HOME`. None without a home directory.
pub fn user_settings() -> Option<PathBuf> {
    Some(directories::BaseDirs::new()?.config_dir().to_owned())
}

/// Where the system's own settings are that the user's override, the most important first.
pub fn system_settings() -> Vec<PathBuf> {
    listed("XDG_CONFIG_DIRS", "/etc/xdg")
}

/// The directories that a variable lists, or the usual ones.
fn listed(variable: &str, default: &str) -> Vec<PathBuf> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    std::env::split_paths(&value.unwrap_or_else(|| default.to_owned())).filter(|path| path.is_absolute()).collect()
}

/// Directories whose files may be gone tomorrow.
pub fn temporary_directories() -> Vec<PathBuf> {
    let mut found = vec![std::env::temp_dir()];
    found.extend(["/tmp", "/var/tmp", "/dev", "/run", "/proc"].map(PathBuf::from));
    // What is found out about a program is its real place.
    let real: Vec<PathBuf> = found.iter().filter_map(|directory| directory.canonicalize().ok()).collect();
    found.extend(real);
    found
}

/// This machine's own name.
pub fn host_name() -> Option<String> {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_str().ok().map(str::to_owned);
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").ok();
    name.filter(|name| !name.is_empty())
}

/// Somebody at this machine, told from its other users and from other machines' as well as their names do.
pub fn own_name() -> String {
    let home = directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_string_lossy().into_owned());
    format!("{}:{}", host_name().unwrap_or_default(), home.unwrap_or_default())
}
