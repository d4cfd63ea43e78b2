//! What Dovecot's OX driver says about a message, for tests that need one rather than a captured one.

use serde_json::{Map, Value};

/// A message for `alice` in her INBOX, until a test says otherwise.
#[derive(Clone, Debug)]
pub struct Mail(Map<String, Value>);

impl Mail {
    /// With a From header and a Subject header as they stand in the message.
    pub fn new(from: &str, subject: &str) -> Mail {
        let mail = Mail(Map::new()).with("user", "alice").with("event", "messageNew").with("folder", "INBOX");
        mail.with("from", from).with("subject", subject)
    }

    /// Sets a key, or replaces it.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Mail {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    pub fn folder(self, folder: &str) -> Mail {
        self.with("folder", folder)
    }

    pub fn json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }
}
