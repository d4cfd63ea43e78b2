//! Tells a file of IMSErious from one of ours: both read it, and do not all the same with it.

use toml::de::{DeTable, DeValue};

const ROOT: [&str; 9] = ["listen", "allow", "endpoint", "max_connections", "timeout", "auth", "tls", "log", "handler"];
const AUTH: [&str; 2] = ["user", "pass"];
const TLS: [&str; 3] = ["cert", "key", "periodic_reload"];
const LOG: [&str; 6] = ["max_level", "level", "timestamp", "target", "ansi", "format"];
/// With that of its unreleased version, `ip`.
const HANDLER: [&str; 8] = ["user", "event", "ip", "delay", "limit_period", "limit_burst", "periodic", "command"];

/// Whether IMSErious would take it: it has nothing of what only we know, and handlers that say whose mail is fetched how.
pub fn is_its_file(text: &str) -> bool {
    let Ok(root) = DeTable::parse(text) else { return false };
    let root = root.get_ref();
    let is_table_of = |name, known: &[&str]| match value(root, name) {
        None => true,
        Some(DeValue::Table(table)) => has_only(table, known),
        Some(_) => false,
    };
    let is_handler = |handler: &DeValue<'_>| {
        let DeValue::Table(handler) = handler else { return false };
        let is_text = |key| matches!(value(handler, key), Some(DeValue::String(_)));
        is_text("user") && is_text("command") && has_only(handler, &HANDLER)
    };
    let Some(DeValue::Array(handlers)) = value(root, "handler") else { return false };
    has_only(root, &ROOT)
        && is_table_of("auth", &AUTH)
        && is_table_of("tls", &TLS)
        && is_table_of("log", &LOG)
        && !handlers.is_empty()
        && handlers.iter().all(|handler| is_handler(handler.get_ref()))
}

fn has_only(table: &DeTable<'_>, known: &[&str]) -> bool {
    table.keys().all(|key| known.contains(&key.get_ref().as_ref()))
}

fn value<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t DeValue<'i>> {
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value.get_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_own_as_long_as_nothing_of_ours_is_in_it() {
        let example = include_str!("../../tests/data/imserious-example.toml");
        assert!(is_its_file(example));
        assert!(is_its_file("[[handler]]\nuser = \"me\"\ncommand = \"fdm\"\n"));
        for ours in [
            "",
            "listen = \"127.0.0.1:1\"\n",
            "handler = []\n",
            "[[handler]]\nnotify = true\n",
            "[[handler]]\nuser = [\"me\"]\ncommand = \"fdm\"\n",
            "[[handler]]\nuser = \"me\"\ncommand = [\"fdm\"]\n",
            "[[handler]]\nuser = \"me\"\nname = \"x\"\ncommand = \"fdm\"\n",
            "[tray]\n[[handler]]\nuser = \"me\"\ncommand = \"fdm\"\n",
            "[auth]\nuser = \"u\"\npass_file = \"f\"\n[[handler]]\nuser = \"me\"\ncommand = \"fdm\"\n",
            "no toml",
        ] {
            assert!(!is_its_file(ours), "{ours}");
        }
    }
}
