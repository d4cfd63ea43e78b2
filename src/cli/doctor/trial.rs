//! A test event, sent as a mail server sends what it has to tell, and seen to arrive.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::{Report, activity};
use crate::client::{self, Answer};
use crate::config::{Address, Config, Pass};
use crate::event::{Event, EventKind};
use crate::finding::Finding;
use crate::listener::{Identity, Knock, Taken, connect, nonce};
use crate::process;
use crate::secret;

/// Of the whole way there and back.
const PATIENCE: Duration = Duration::from_secs(5);
/// A keyring may have to ask a person first.
const PATIENCE_WITH_A_PASSWORD: Duration = Duration::from_secs(30);
/// There is no such mailbox.
const USER: &str = "doctor";

/// What mail servers need to be let in.
pub struct Trial<'a> {
    config: &'a Config,
    identity: Option<Identity>,
    /// None where none is asked for.
    pass: Option<String>,
}

/// An event that nobody else can have sent.
#[derive(Debug, Clone)]
pub struct TestEvent {
    message_id: String,
}

/// What came of it instead, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    said: String,
    advice: Option<String>,
}

impl<'a> Trial<'a> {
    /// None where what is needed is not to be had; that is a finding of its own.
    pub async fn prepare(config: &'a Config, report: &mut Report) -> Option<Self> {
        let identity = match config.tls.as_ref().map(Identity::load).transpose() {
            Ok(identity) => identity,
            Err(problem) => {
                report.add(Finding::failed("certificate", problem.to_string()));
                return None;
            }
        };
        let pass = match &config.auth {
            None => None,
            Some(auth) => match password(&auth.pass).await {
                Ok(pass) => Some(pass),
                Err(why) => {
                    // Of a file that can't be read, or a program that isn't there, it is told elsewhere.
                    if matches!(&auth.pass, Pass::Command(words) if process::find(&words[0]).is_ok()) {
                        report.add(Finding::failed("password", why).advise("until it is mended nobody is let in"));
                    }
                    return None;
                }
            },
        };
        Some(Self { config, identity, pass })
    }

    /// `user:password`.
    pub fn login(&self) -> Option<String> {
        let login = self.config.auth.as_ref().zip(self.pass.as_ref());
        login.map(|(auth, pass)| format!("{}:{pass}", auth.user))
    }

    pub fn pass(&self) -> Option<&str> {
        self.pass.as_deref()
    }

    /// Sends a test event there and looks whether the running program has it; says so in words. The password goes with
    /// it: only for ways that are known to lead to us.
    pub async fn arrives(&self, way: &Address) -> Result<String, Fault> {
        let test = TestEvent::new()?;
        let words = self.send(way, &test).await?;
        let has_come = activity().map(|entries| entries.iter().any(|entry| test.is(&entry.event)));
        match has_come {
            Ok(true) => Ok(words),
            Ok(false) => Err(Fault::new("a test event was taken, and the running program knows nothing of it")
                .advise("another program listens there: end that, or choose another address")),
            Err(error) => Err(Fault::new(error.to_string())),
        }
    }

    /// Sends this one; says in words that it was taken.
    pub async fn send(&self, way: &Address, test: &TestEvent) -> Result<String, Fault> {
        let begun = Instant::now();
        let certificate = self.identity.as_ref().map(Identity::certificate);
        let login = self.login();
        let (path, body) = (&self.config.endpoint, test.body());
        let sending =
            async { client::tell(connect(way).await?, certificate, path, login.as_deref(), body.as_bytes()).await };
        match timeout(PATIENCE, sending).await {
            Ok(Ok(Answer { status: 200..=299, .. })) => Ok(arrived(begun.elapsed())),
            Ok(Ok(answer)) => Err(refused(&answer)),
            Ok(Err(error)) => {
                let fault = Fault::new(format!("a test event did not arrive: {error}"));
                Err(match self.identity {
                    Some(_) => {
                        fault.advise("it may go by another `[tls]` than this configuration has: `mailknock reload`")
                    }
                    None => fault,
                })
            }
            Err(_) => Err(Fault::new(format!("a test event was not answered in {} seconds", PATIENCE.as_secs()))),
        }
    }
}

fn arrived(after: Duration) -> String {
    format!("a test event was there after {} ms", after.as_millis().max(1))
}

fn refused(answer: &Answer) -> Fault {
    let json: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let why = json["error"].as_str().map_or(String::new(), |why| format!(", {why}"));
    let fault = Fault::new(format!("a test event was refused: {}{why}", answer.status));
    let advice = match answer.status {
        400 | 404 => {
            "the running program goes by another `endpoint` or `[tls]` than this configuration: `mailknock reload`"
        }
        401 => {
            "the running program has another user or password than `[auth]` of this configuration: `mailknock reload`\n\
             A `pass_file` and a `pass_command` are read again only then"
        }
        403 => {
            "see `allow` and `hosts` in the configuration: what comes through a tunnel comes from this machine, 127.0.0.1"
        }
        503 => "it is about to end, or its queue is full; try again",
        _ => "MAILKNOCK_LOG=debug mailknock run says more",
    };
    fault.advise(advice)
}

/// The listener's password, obtained as `run` does.
async fn password(pass: &Pass) -> Result<String, String> {
    let (stop, stopped) = watch::channel(false);
    let mut obtaining = Box::pin(secret::obtain(pass.clone(), stopped));
    tokio::select! {
        obtained = &mut obtaining => obtained,
        () = sleep(PATIENCE_WITH_A_PASSWORD) => {
            stop.send_replace(true);
            // The program is ended first.
            let _ = obtaining.await;
            Err(format!("no password: it did not come in {} seconds", PATIENCE_WITH_A_PASSWORD.as_secs()))
        }
    }
}

impl TestEvent {
    pub fn new() -> Result<Self, Fault> {
        let nonce = nonce().ok_or_else(|| Fault::new("the system has no random numbers"))?;
        Ok(Self { message_id: format!("<{nonce}@doctor.mailknock>") })
    }

    fn body(&self) -> String {
        json!({ "user": USER, "event": EventKind::MailknockTest.name(), "message-id": self.message_id }).to_string()
    }

    fn is(&self, event: &Event) -> bool {
        event.is_test() && event.message_id.as_ref() == Some(&self.message_id)
    }

    /// Takes this one from a listener of ours. All else is refused, as while we stop: nobody here would do anything
    /// about it.
    pub async fn take(self, mut knocks: mpsc::Receiver<Knock>) {
        while let Some(Knock { events, reply, .. }) = knocks.recv().await {
            let is_it = matches!(events.as_slice(), [event] if self.is(event));
            // Who has gone needs no answer.
            let _ = reply.send(if is_it { Taken::OnRecord } else { Taken::Stopping });
        }
    }
}

impl Fault {
    fn new(said: impl Into<String>) -> Self {
        Self { said: said.into(), advice: None }
    }

    fn advise(self, advice: &str) -> Self {
        Self { advice: Some(advice.to_owned()), ..self }
    }

    /// Of one of several.
    pub fn at(self, place: &str) -> Self {
        Self { said: format!("{place}: {}", self.said), ..self }
    }

    pub fn finding(self, name: impl Into<String>) -> Finding {
        Finding { advice: self.advice, ..Finding::failed(name, self.said) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::format_for;
    use tokio::sync::oneshot;

    #[test]
    fn what_is_sent_is_known_again_and_no_other() {
        let (test, other) = (TestEvent::new().unwrap(), TestEvent::new().unwrap());
        let events = format_for("application/json").unwrap().parse(test.body().as_bytes()).unwrap();
        assert!(test.is(&events[0]) && !other.is(&events[0]));
        assert_eq!((events.len(), events[0].user.as_str()), (1, "doctor"));
        let mail = Event { kind: EventKind::MessageNew, ..events[0].clone() };
        assert!(!test.is(&mail));
    }

    #[test]
    fn a_refusal_names_the_key_to_look_at() {
        let check = |status: u16, text: &str, said: &str, key: &str| {
            let fault = refused(&Answer { status, text: text.to_owned() });
            assert_eq!(fault.said, said);
            let advice = fault.advice.unwrap();
            assert!(advice.contains(key), "{status}: {advice}");
        };
        let why = r#"{"success":false,"error":"this address is not in `allow`"}"#;
        check(403, why, "a test event was refused: 403, this address is not in `allow`", "`allow`");
        check(401, "", "a test event was refused: 401", "`[auth]`");
        check(404, "[]", "a test event was refused: 404", "`endpoint`");
        check(418, "no JSON", "a test event was refused: 418", "MAILKNOCK_LOG");
        assert_eq!(arrived(Duration::from_millis(83)), "a test event was there after 83 ms");
        assert_eq!(arrived(Duration::ZERO), "a test event was there after 1 ms");
    }

    #[tokio::test]
    async fn a_listener_of_ours_takes_the_test_and_nothing_else() {
        let test = TestEvent::new().unwrap();
        let (knock, knocks) = mpsc::channel(1);
        let taking = tokio::spawn(test.clone().take(knocks));
        let mut mine = Event::new(EventKind::MailknockTest, USER);
        mine.message_id = Some(test.message_id.clone());
        let mail = Event::new(EventKind::MessageNew, "alice");
        let cases = [
            (vec![mine.clone()], Taken::OnRecord),
            (vec![mail.clone()], Taken::Stopping),
            (vec![mine, mail], Taken::Stopping),
            (vec![Event::new(EventKind::MailknockTest, USER)], Taken::Stopping),
        ];
        for (events, expected) in cases {
            let (reply, taken) = oneshot::channel();
            knock.send(Knock { events, fingerprint: None, reply }).await.unwrap();
            assert_eq!(taken.await.unwrap(), expected);
        }
        drop(knock);
        taking.await.unwrap();
    }
}
