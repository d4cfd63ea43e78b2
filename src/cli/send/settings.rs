//! Where to send, and with what password: from options, else the environment, else a file that was named. Nothing is
//! taken from the working directory, the home directory or anything that stands in them.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Arguments, said};
use crate::client::Url;
use crate::document::{Document, Table};
use crate::paths::{Links, at_once, is_unsafe, private, without_mark};

const DEFAULT_URL: &str = "http://127.0.0.1:12525/notify";
const DEADLINE: Duration = Duration::from_secs(2);
/// All of a system's certificates are less.
const MAX_FILE: u64 = 4 * 1024 * 1024;

#[derive(Debug)]
pub struct Settings {
    pub url: Url,
    pub auth_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub deadline: Duration,
    pub log: Option<PathBuf>,
}

/// The keys of the file that `--config` names.
#[derive(Debug, Default)]
pub struct OfFile {
    url: Option<String>,
    auth_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    deadline: Option<Duration>,
    pub log: Option<PathBuf>,
}

impl Settings {
    pub fn new(file: Option<&Path>, arguments: &Arguments) -> Result<Self, String> {
        let of_file = Self::of_file(file)?;
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let url = said(arguments.url.as_ref()).or_else(|| said(variable("MAILKNOCK_URL").as_ref())).or(of_file.url);
        let url = url.as_deref().unwrap_or(DEFAULT_URL);
        let auth_file = arguments.auth_file.clone().or_else(|| variable("MAILKNOCK_AUTH_FILE").map(PathBuf::from));
        Ok(Self {
            url: Url::parse(url).map_err(|why| format!("the URL is wrong: {why}"))?,
            auth_file: auth_file.or(of_file.auth_file),
            ca_file: arguments.ca_file.clone().or(of_file.ca_file),
            deadline: arguments.deadline.or(of_file.deadline).unwrap_or(DEADLINE),
            log: arguments.log.clone().or(of_file.log),
        })
    }

    pub fn of_file(file: Option<&Path>) -> Result<OfFile, String> {
        let Some(file) = file else { return Ok(OfFile::default()) };
        let text = read(file)?;
        let (read, problems) = Document::read(&file.display().to_string(), &text, |root: &Table<'_, '_>| {
            let path = |key| root.string(key).map(PathBuf::from);
            Some(OfFile {
                url: root.string("url"),
                auth_file: path("auth_file"),
                ca_file: path("ca_file"),
                deadline: root.duration("deadline"),
                log: path("log"),
            })
        });
        match problems.first() {
            Some(problem) => Err(problem.to_string()),
            None => Ok(read.unwrap_or_default()),
        }
    }

    /// `user:password`, where there are any and nobody on the way can read them.
    pub fn credentials(&self) -> Result<Option<String>, String> {
        let Some(file) = &self.auth_file else { return Ok(None) };
        if !self.url.is_private() {
            return Err(format!("a password is sent to this machine or over https only, not to {}", self.url));
        }
        let text = read(file)?;
        match text.lines().next() {
            Some(line) if line.contains(':') => Ok(Some(line.to_owned())),
            _ => Err(format!("the first line of {} is not user:password", file.display())),
        }
    }
}

impl Settings {
    /// The certificates to trust in place of the system's.
    pub fn roots(&self) -> Result<Option<String>, String> {
        self.ca_file.as_deref().map(read).transpose()
    }
}

fn read(file: &Path) -> Result<String, String> {
    let failed = |error: io::Error| format!("failed to read {}: {error}", file.display());
    let mut options = OpenOptions::new();
    let opened = at_once(options.read(true), Links::Followed).open(file).map_err(failed)?;
    if let Some(why) = is_unsafe(&opened.metadata().map_err(failed)?) {
        return Err(format!("{} {why}", file.display()));
    }
    let mut text = String::new();
    opened.take(MAX_FILE).read_to_string(&mut text).map_err(failed)?;
    Ok(without_mark(&text).to_owned())
}

/// Adds a line to a log that is ours alone; one that is a link is somebody's trap.
pub fn append(log: &Path, line: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    at_once(private(options.append(true).create(true)), Links::Refused).open(log)?.write_all(line.as_bytes())
}
