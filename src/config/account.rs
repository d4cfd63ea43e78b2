//! `[[account]]`: what people call a user of a mail server, whose id says little.
//!
//! | key | meaning |
//! | --- | --- |
//! | `user` | the user ids, exact or globs |
//! | `label` | shown in titles, summaries and the tray's menu |
//! | `open` | what opens this account's mail, in place of `tray.open` |

use std::sync::Arc;

use super::Opener;
use crate::document::Table;
use crate::mime::one_line;
use crate::pattern::Patterns;
use crate::problem::Problem;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub user: Patterns,
    /// Safe to show.
    pub label: Option<String>,
    pub open: Option<Opener>,
}

/// In the order of the file: the first that matches is a user's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accounts(Arc<[Account]>);

impl Accounts {
    pub fn read(root: &Table<'_, '_>) -> Self {
        Self(root.tables("account", Account::read).into_iter().flatten().collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.0.iter()
    }

    pub fn of(&self, user: &str) -> Option<&Account> {
        self.0.iter().find(|account| account.user.accept(user))
    }

    pub fn label(&self, user: &str) -> Option<&str> {
        self.of(user)?.label.as_deref()
    }
}

impl Account {
    fn read(table: &Table<'_, '_>) -> Option<Self> {
        if !table.has("user") {
            table
                .report(Problem::error("`account.user` is missing").suggest("name the user as the server's events do"));
        }
        let user = table.strings("user").map(Patterns::new);
        let label = table.get("label").and_then(|value| match one_line(value.string()?) {
            empty if empty.is_empty() => value.fail(Problem::error("`account.label` is empty")),
            label => Some(label),
        });
        let open = table.get("open").and_then(|value| Opener::read(&value));
        Some(Self { user: user?, label, open })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    fn read(text: &str) -> (Accounts, Vec<String>) {
        let (accounts, problems) = Document::read("f", text, Accounts::read);
        (accounts, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_user_is_called_as_the_first_account_that_matches_says() {
        let (accounts, problems) = read(
            "[[account]]\nuser = \"11@3\"\nlabel = \"Work\"\n[[account]]\nuser = [\"*@home\", \"11@3\"]\nlabel = \"Ho\\u202eme\"",
        );
        assert_eq!(problems, [""; 0]);
        assert_eq!(accounts.label("11@3"), Some("Work"));
        assert_eq!(accounts.label("me@home"), Some("Home"));
        assert_eq!(accounts.label("else"), None);
    }

    #[test]
    fn what_is_missing_or_empty_is_told() {
        assert!(read("[[account]]\nlabel = \"x\"").1[0].contains("`account.user` is missing"));
        assert!(read("[[account]]\nuser = \"x\"\nlabel = \" \"").1[0].contains("`account.label` is empty"));
        assert!(read("[[account]]\nuser = \"x\"\nopen = \"sh -c {subject}\"").1[0].contains("`account.open`"));
    }
}
