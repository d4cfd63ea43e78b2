//! `[auth]`: the user and password that a mail server gives (Basic authentication, RFC 7617).

use std::fmt;

use crate::document::Table;
use crate::problem::Problem;

#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    pub user: String,
    pub pass: String,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("user", &self.user).field("pass", &"***").finish()
    }
}

impl Auth {
    pub(super) fn read(table: &Table<'_, '_>) -> Option<Self> {
        for key in ["user", "pass"] {
            if !table.has(key) {
                table.report(Problem::error(format!("`auth.{key}` is missing")));
            }
        }
        let user = table.get("user").and_then(|value| match value.string()? {
            // RFC 7617 section 2: the first colon ends the user.
            user if user.contains(':') => value.fail(Problem::error("`auth.user` can't hold a colon")),
            user => Some(user.to_owned()),
        });
        let pass = table.get("pass").and_then(|value| match value.string()? {
            "" => value.fail(Problem::error("`auth.pass` is empty, which is no password")),
            pass => Some(pass.to_owned()),
        });
        Some(Self { user: user?, pass: pass? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let auth = Auth { user: "foo".into(), pass: "sesame".into() };
        assert_eq!(format!("{auth:?}"), r#"Auth { user: "foo", pass: "***" }"#);
    }
}
