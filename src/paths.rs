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

/// Where our picture is put for Windows, which wants a file of it. None without a home directory.
#[cfg(windows)]
pub fn picture_file() -> Option<PathBuf> {
    Some(state_directory()?.join("mailknock.png"))
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
    match home().as_deref().and_then(|home| path.strip_prefix(home).ok()) {
        Some(below) => format!("~{}{}", std::path::MAIN_SEPARATOR, below.display()),
        None => path.display().to_string(),
    }
}

/// A path as people write it; the other way round than [`display`].
pub fn expanded(text: &str) -> PathBuf {
    let below = text.strip_prefix('~').and_then(|rest| rest.strip_prefix(std::path::is_separator));
    match below.and_then(|below| Some(home()?.join(below))) {
        Some(path) => path,
        None => PathBuf::from(text),
    }
}

fn home() -> Option<PathBuf> {
    directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned())
}

/// What a file says, without the mark that Windows' editors put before UTF-8.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Opens a file to read. Only what is one: a pipe would hold us up until somebody opened its other end.
pub fn open_file(path: &Path) -> std::io::Result<std::fs::File> {
    match std::fs::metadata(path)?.is_file() {
        true => std::fs::File::open(path),
        false => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no file")),
    }
}

/// Has what these options make be its user's alone. On Windows what is below the user's own directory is so anyway.
pub fn private(options: &mut std::fs::OpenOptions) -> &mut std::fs::OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Whether a symbolic link is as good as the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    Followed,
    Refused,
}

/// Has what these options open be open at once: a pipe would let us wait for somebody at its other end. Windows has no
/// such pipes among its files, and lets no user make links by default.
pub fn at_once(options: &mut std::fs::OpenOptions, links: Links) -> &mut std::fs::OpenOptions {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = match links {
            Links::Followed => OFlags::NONBLOCK,
            Links::Refused => OFlags::NONBLOCK | OFlags::NOFOLLOW,
        };
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, i32::try_from(flags.bits()).unwrap_or(0));
    }
    let _ = links;
    options
}

/// Makes a directory for its user alone, with what is missing above it.
pub fn make_private(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Whether other machines may write there too, as far as the system says it.
#[cfg(target_os = "linux")]
pub fn is_on_network(path: &Path) -> bool {
    // NFS, SMB, SMB2 and CIFS, FUSE (sshfs), 9P: linux/magic.h.
    const NETWORK: [i64; 6] = [0x6969, 0x517b, 0xfe53_4d42, 0xff53_4d42, 0x6573_5546, 0x0102_1997];
    rustix::fs::statfs(path).is_ok_and(|at| NETWORK.iter().any(|network| i128::from(at.f_type) == i128::from(*network)))
}

/// On Windows a share is known by how it is named, unless it has a letter.
#[cfg(not(target_os = "linux"))]
pub fn is_on_network(path: &Path) -> bool {
    path.to_string_lossy().starts_with(r"\\")
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

/// Where launchd finds what it starts for the user. None without a home directory.
pub fn launch_agents() -> Option<PathBuf> {
    Some(directories::BaseDirs::new()?.home_dir().join("Library/LaunchAgents"))
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

/// Whether there is a display that something could be shown on, as far as the session says it. On Windows and macOS there is
/// always one.
pub fn has_display() -> bool {
    let names = ["DISPLAY", "WAYLAND_DISPLAY"];
    cfg!(any(windows, target_os = "macos"))
        || names.iter().any(|name| std::env::var_os(name).is_some_and(|at| !at.is_empty()))
}

/// Our user's name, as the session says it.
pub fn user_name() -> Option<String> {
    ["USERNAME", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()))
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
    let home = home().map(|home| home.to_string_lossy().into_owned());
    format!("{}:{}", host_name().unwrap_or_default(), home.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_displayed_can_be_written_down_and_means_the_same() {
        let home = home().expect("the test's user has a home directory");
        for below in ["a b/ü.toml", "x", "~"] {
            let path: PathBuf = home.join(below).components().collect();
            assert_eq!(expanded(&display(&path)), path);
            assert_eq!(expanded(&format!("~/{below}")), home.join(below));
        }
        assert!(display(&home.join("x")).starts_with('~'));
        for other in ["~x/y", "x/~", "~", ""] {
            assert_eq!(expanded(other), Path::new(other));
        }
    }

    #[test]
    fn a_mark_is_taken_off_at_the_beginning_and_once() {
        assert_eq!(without_mark("\u{feff}a\u{feff}"), "a\u{feff}");
        assert_eq!(without_mark("a"), "a");
    }
}
