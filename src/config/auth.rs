//! `[auth]`: the user and password that a mail server gives (Basic authentication, RFC 7617).

use std::fmt;
use std::path::PathBuf;

use super::listen::path;
use crate::document::{Table, Value};
use crate::problem::Problem;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    pub user: String,
    pub pass: Pass,
}

/// Where the password is.
#[derive(Clone, PartialEq, Eq)]
pub enum Pass {
    Text(String),
    /// The first line of a file.
    File(PathBuf),
    /// The first line of what a program prints, such as `secret-tool lookup …`; words, no shell.
    Command(Vec<String>),
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(***)"),
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Command(words) => f.debug_tuple("Command").field(words).finish(),
        }
    }
}

impl Auth {
    pub(super) fn read(table: &Table<'_, '_>) -> Option<Self> {
        if !table.has("user") {
            table.report(Problem::error("`auth.user` is missing"));
        }
        let user = table.get("user").and_then(|value| match value.string()? {
            // RFC 7617 section 2: the first colon ends the user.
            user if user.contains(':') => value.fail(Problem::error("`auth.user` can't hold a colon")),
            user => Some(user.to_owned()),
        });
        let given: [Option<(Value<'_, '_>, Read)>; 3] = [
            table.get("pass").map(|value| (value, read_text as Read)),
            table.get("pass_file").map(|value| (value, read_file as Read)),
            table.get("pass_command").map(|value| (value, read_command as Read)),
        ];
        let mut given = given.into_iter().flatten();
        let pass = match (given.next(), given.next()) {
            (Some((value, read)), None) => read(&value),
            (Some(_), Some((second, _))) => {
                second.fail(Problem::error("`[auth]` takes one of `pass`, `pass_file` and `pass_command`, not more"))
            }
            (None, _) => {
                let problem = Problem::error("`auth.pass` is missing");
                table.report(problem.suggest("or name a `pass_file` or a `pass_command`"));
                None
            }
        };
        Some(Self { user: user?, pass: pass? })
    }
}

type Read = fn(&Value<'_, '_>) -> Option<Pass>;

fn read_text(value: &Value<'_, '_>) -> Option<Pass> {
    match value.string()? {
        "" => value.fail(Problem::error("`auth.pass` is empty, which is no password")),
        pass => Some(Pass::Text(pass.to_owned())),
    }
}

fn read_file(value: &Value<'_, '_>) -> Option<Pass> {
    path(value).map(Pass::File)
}

fn read_command(value: &Value<'_, '_>) -> Option<Pass> {
    value.command().map(Pass::Command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(text: &str) -> Result<Pass, String> {
        let (config, problems) = Config::parse("f", &format!("[auth]\nuser = \"u\"\n{text}"));
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        config.and_then(|config| config.auth).map(|auth| auth.pass).ok_or(problems.join("\n"))
    }

    #[test]
    fn a_password_is_never_printed() {
        let auth = Auth { user: "foo".into(), pass: Pass::Text("sesame".into()) };
        assert_eq!(format!("{auth:?}"), r#"Auth { user: "foo", pass: Text(***) }"#);
    }

    #[test]
    fn exactly_one_place_of_the_password() {
        assert_eq!(read("pass = \"p\""), Ok(Pass::Text("p".into())));
        assert_eq!(read("pass_file = \"/p\""), Ok(Pass::File("/p".into())));
        let words = ["secret-tool", "lookup", "a b"].map(str::to_owned).to_vec();
        assert_eq!(read("pass_command = \"secret-tool lookup 'a b'\""), Ok(Pass::Command(words)));
        assert!(read("").unwrap_err().contains("f:1:1: `auth.pass` is missing; or name a `pass_file`"));
        assert!(read("pass = \"p\"\npass_file = \"/p\"").unwrap_err().starts_with("f:4:13: `[auth]` takes one of"));
        assert!(read("pass = \"\"").unwrap_err().contains("is no password"));
        assert!(read("pass_file = \"\"").unwrap_err().contains("is empty"));
        assert!(read("pass_command = \"\"").is_err());
    }
}
