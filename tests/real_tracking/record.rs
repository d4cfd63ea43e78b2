//! What is on record of a session.

use serde_json::{Value, json};

use super::{AUTH, finish, message, push_url};
use crate::support::daemon::Daemon;
use crate::support::dovecot::Dovecot;

/// What is on record, the oldest first: event, folder, uid, flags, keywords, former folder, unseen and messages.
#[track_caller]
fn told(recipe: &Daemon) -> Vec<Value> {
    let said = recipe.command(&["recent", "--json", "-n", "100"]).succeeded().stdout;
    let keys = ["event", "folder", "uid", "flags", "keywords", "old_folder", "unseen", "messages"];
    let row = |line: &str| {
        let entry: Value = serde_json::from_str(line).expect("a line of JSON");
        assert_eq!(entry["user"], "alice", "{line}");
        let is_of_message = entry.get("uid").is_some();
        assert_eq!(entry["uid_validity"].as_u64().is_some_and(|validity| validity > 0), is_of_message, "{line}");
        Value::Array(keys.iter().map(|key| entry[*key].clone()).collect())
    };
    said.lines().rev().map(row).collect()
}

#[test]
fn all_twelve_kinds_of_a_session_are_on_record_as_they_were() {
    if !Dovecot::lua_available() {
        return;
    }
    let daemon = Daemon::new().config(AUTH).start();
    let dovecot = Dovecot::start_lua(&push_url(&daemon));
    let mut imap = dovecot.imap("alice");
    imap.select("INBOX");
    dovecot.deliver("alice", &message("one"));
    dovecot.deliver("alice", &message("two"));
    imap.select("INBOX");
    imap.fetch("1", "BODY[]");
    imap.store("1", r"-FLAGS (\Seen)");
    imap.store("2", r"+FLAGS (\Flagged todo)");
    imap.store("2", r"-FLAGS (todo)");
    imap.store("1", r"+FLAGS (\Deleted)");
    imap.expunge();
    imap.create("Work.Sub");
    imap.subscribe("Work.Sub");
    imap.unsubscribe("Work.Sub");
    imap.rename("Work.Sub", "&ZeVnLIqe-");
    imap.append("&ZeVnLIqe-", r"\Seen later", &message("saved"));
    imap.move_to("1", "&ZeVnLIqe-");
    imap.delete("&ZeVnLIqe-");
    imap.logout();

    let (none, folder) = (Value::Null, "日本語");
    let mut told = told(daemon.recipe());
    // The messages of a folder that goes, in an order of Dovecot's own; then the folder.
    let mut gone: Vec<Value> = told.drain(told.len() - 3..).collect();
    gone[..2].sort_by_key(|row| row[2].as_u64());
    assert_eq!(
        told,
        [
            json!(["MailboxCreate", "INBOX", none, none, none, none, none, none]),
            json!(["MessageNew", "INBOX", 1, none, none, none, 1, 1]),
            json!(["MessageNew", "INBOX", 2, none, none, none, 2, 2]),
            json!(["FlagsSet", "INBOX", 1, [r"\Seen"], none, none, 1, 2]),
            json!(["MessageRead", "INBOX", 1, none, none, none, 1, 2]),
            json!(["FlagsClear", "INBOX", 1, [r"\Seen"], none, none, 2, 2]),
            json!(["FlagsSet", "INBOX", 2, [r"\Flagged"], ["todo"], none, 2, 2]),
            json!(["FlagsClear", "INBOX", 2, none, ["todo"], none, 2, 2]),
            json!(["FlagsSet", "INBOX", 1, [r"\Deleted"], none, none, 2, 2]),
            json!(["MessageTrash", "INBOX", 1, none, none, none, 2, 2]),
            json!(["MessageExpunge", "INBOX", 1, none, none, none, 1, 1]),
            json!(["MailboxCreate", "Work.Sub", none, none, none, none, none, none]),
            json!(["MailboxSubscribe", "Work.Sub", none, none, none, none, none, none]),
            json!(["MailboxUnsubscribe", "Work.Sub", none, none, none, none, none, none]),
            json!(["MailboxRename", folder, none, none, none, "Work.Sub", none, none]),
            json!(["MessageAppend", folder, 1, [r"\Seen"], ["later"], none, 0, 1]),
            json!(["MessageAppend", folder, 2, [r"\Flagged"], none, none, 1, 2]),
            json!(["MessageExpunge", "INBOX", 2, none, none, none, 0, 0]),
        ]
    );
    let last: Vec<_> = gone.iter().map(|row| (row[0].as_str(), row[1].as_str(), row[2].as_u64())).collect();
    let expunged = |uid| (Some("MessageExpunge"), Some(folder), Some(uid));
    assert_eq!(last, [expunged(1), expunged(2), (Some("MailboxDelete"), Some(folder), None)]);
    finish(&dovecot, daemon);
}
