//! Any small service of a desktop, a screen locker for one: it has a name, remembers what it is asked, and says what it
//! is told to.

use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::StreamExt;
use serde::Serialize;
use zbus6::message::{Message, Type};
use zbus6::{Connection, MessageStream};
use zbus6::{DynamicType, ObjectPath, Variant};

use super::bus::{self, Background, Bus, Place};

/// What a service says when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Truth(bool),
    /// The same, as properties and settings have it.
    Variant(bool),
    Path(&'static str),
    Error,
    Never,
}

/// The service. Dropping it takes its name away, as its end does.
pub struct Service {
    connection: Connection,
    calls: Arc<Mutex<Vec<Message>>>,
    answer: Arc<Mutex<Answer>>,
    // Last: the connection needs it until it is gone.
    background: Background,
}

impl Service {
    /// Owns `name` and gives this answer to whatever it is asked there. An answer that is for one object alone comes by
    /// [`Service::at`].
    pub fn start(bus: &Bus, name: &str, answer: Answer) -> Service {
        Self::at(bus, name, None, answer)
    }

    /// One that has an object at this path alone.
    pub fn at(bus: &Bus, name: &str, path: Option<&'static str>, answer: Answer) -> Service {
        let background = Background::start();
        let calls: Arc<Mutex<Vec<Message>>> = Arc::default();
        let answer = Arc::new(Mutex::new(answer));
        let connection = background.wait("starting a service", async {
            let connection = bus::connect(&bus.address()).await;
            let mut messages = MessageStream::from(&connection);
            let (asked, said, own) = (Arc::clone(&calls), Arc::clone(&answer), connection.clone());
            // Ends with the connection.
            tokio::spawn(async move {
                while let Some(Ok(message)) = messages.next().await {
                    if message.message_type() != Type::MethodCall {
                        continue;
                    }
                    let is_here = path.is_none_or(|path| message.header().path().is_some_and(|asked| *asked == path));
                    lock(&asked).push(message.clone());
                    let answer = if is_here { *lock(&said) } else { Answer::Error };
                    // Whoever asked may be gone by now.
                    let _ = reply(&own, &message, answer).await;
                }
            });
            connection.request_name(name.to_owned()).await.expect("nobody else has the name");
            connection
        });
        Service { connection, calls, answer, background }
    }

    /// What it answers from now on.
    pub fn answers(&self, answer: Answer) {
        *lock(&self.answer) = answer;
    }

    /// What it was asked so far, the oldest first.
    pub fn calls(&self) -> Vec<Message> {
        lock(&self.calls).clone()
    }

    /// Says something to everybody, or to one.
    #[track_caller]
    pub fn emit(
        &self,
        to: Option<&str>,
        path: &str,
        interface: &str,
        signal: &str,
        body: &(impl Serialize + DynamicType),
    ) {
        let sent = self.connection.emit_signal(to.map(str::to_owned), path, interface, signal, body);
        self.background.wait("saying something", sent).expect("the bus takes it");
        // The bus answers in order: when it does, it has passed that on.
        let passed_on = bus::call::<_, String>(&self.connection, Place::BUS, "GetId", &());
        self.background.wait("passing something on", passed_on).expect("the bus answers");
    }

    /// As a screen locker does it.
    #[track_caller]
    pub fn says_locked(&self, interface: &str, is_locked: bool) {
        let path = format!("/{}", interface.replace('.', "/"));
        self.emit(None, &path, interface, "ActiveChanged", &is_locked);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.background.wait("leaving the bus", self.connection.clone().close());
    }
}

async fn reply(connection: &Connection, call: &Message, answer: Answer) -> zbus6::Result<()> {
    let header = call.header();
    match answer {
        Answer::Truth(truth) => connection.reply(&header, &truth).await,
        Answer::Variant(truth) => connection.reply(&header, &Variant::from(truth)).await,
        Answer::Path(path) => connection.reply(&header, &ObjectPath::from_static_str_unchecked(path)).await,
        Answer::Error => connection.reply_error(&header, "org.freedesktop.DBus.Error.UnknownMethod", &"not here").await,
        Answer::Never => Ok(()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test failed while it held this")
}
