//! A small blocking IMAP client, for what a mail program does to a mailbox.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use super::wait::EVENTUALLY;

/// One session. Every command must succeed, and returns the lines that came before its `OK`.
pub struct Imap {
    stream: BufReader<TcpStream>,
    commands: u32,
}

impl Imap {
    #[track_caller]
    pub fn login(address: &str, user: &str, password: &str) -> Imap {
        let stream = TcpStream::connect(address);
        let stream = stream.unwrap_or_else(|error| panic!("failed to connect to {address}: {error}"));
        stream.set_read_timeout(Some(EVENTUALLY)).expect("the bound isn't zero");
        stream.set_write_timeout(Some(EVENTUALLY)).expect("the bound isn't zero");
        let mut imap = Imap { stream: BufReader::new(stream), commands: 0 };
        let greeting = imap.line();
        assert!(greeting.starts_with("* OK"), "the server greets with `{greeting}`");
        imap.command(&format!("LOGIN {user} {password}"));
        imap
    }

    #[track_caller]
    pub fn select(&mut self, mailbox: &str) {
        self.command(&format!("SELECT {}", quoted(mailbox)));
    }

    #[track_caller]
    pub fn append(&mut self, mailbox: &str, flags: &str, message: &[u8]) {
        // Without waiting for the server to ask for the message (RFC 7888).
        let mut command = format!("APPEND {} ({flags}) {{{}+}}\r\n", quoted(mailbox), message.len()).into_bytes();
        command.extend_from_slice(message);
        self.send(&command);
    }

    /// Changes flags: `what` is for example `+FLAGS (\Seen)`.
    #[track_caller]
    pub fn store(&mut self, messages: &str, what: &str) {
        self.command(&format!("STORE {messages} {what}"));
    }

    #[track_caller]
    pub fn fetch(&mut self, messages: &str, what: &str) -> Vec<String> {
        self.command(&format!("FETCH {messages} {what}"))
    }

    #[track_caller]
    pub fn expunge(&mut self) -> Vec<String> {
        self.command("EXPUNGE")
    }

    #[track_caller]
    pub fn copy(&mut self, messages: &str, mailbox: &str) {
        self.command(&format!("COPY {messages} {}", quoted(mailbox)));
    }

    #[track_caller]
    pub fn move_to(&mut self, messages: &str, mailbox: &str) {
        self.command(&format!("MOVE {messages} {}", quoted(mailbox)));
    }

    #[track_caller]
    pub fn create(&mut self, mailbox: &str) {
        self.command(&format!("CREATE {}", quoted(mailbox)));
    }

    #[track_caller]
    pub fn rename(&mut self, from: &str, to: &str) {
        self.command(&format!("RENAME {} {}", quoted(from), quoted(to)));
    }

    #[track_caller]
    pub fn delete(&mut self, mailbox: &str) {
        self.command(&format!("DELETE {}", quoted(mailbox)));
    }

    #[track_caller]
    pub fn subscribe(&mut self, mailbox: &str) {
        self.command(&format!("SUBSCRIBE {}", quoted(mailbox)));
    }

    #[track_caller]
    pub fn unsubscribe(&mut self, mailbox: &str) {
        self.command(&format!("UNSUBSCRIBE {}", quoted(mailbox)));
    }

    #[track_caller]
    pub fn logout(mut self) {
        self.command("LOGOUT");
    }

    #[track_caller]
    fn command(&mut self, text: &str) -> Vec<String> {
        self.send(text.as_bytes())
    }

    #[track_caller]
    fn send(&mut self, command: &[u8]) -> Vec<String> {
        self.commands += 1;
        let tag = format!("t{} ", self.commands);
        let bytes = [tag.as_bytes(), command, b"\r\n"].concat();
        self.stream.get_mut().write_all(&bytes).expect("the server takes the command");
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            match line.strip_prefix(&tag) {
                Some(result) if result.starts_with("OK") => return lines,
                Some(result) => panic!("`{}`: {result}", String::from_utf8_lossy(command)),
                None => lines.push(line),
            }
        }
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        let length = self.stream.read_until(b'\n', &mut line).expect("the server answers in time");
        assert!(length > 0, "the server closed the connection");
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }
}

/// As IMAP wants names; they must be in its own encoding already.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}
