//! A session bus of its own for each test, and a blocking client for it.

use std::future::Future;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::StreamExt;
use rustix::process::Signal;
use serde::Serialize;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use zbus6::MessageStream;
use zbus6::object_server::Interface;
use zbus6::wire::DynamicDeserialize;
use zbus6::{DynamicType, OwnedVariant};

use super::program::{self, Program};
use super::wait::SOON;

/// How long a call may take, unless a test says otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// A private dbus-daemon. It knows only a test's own service files, so nothing is started behind its back.
pub struct Bus {
    daemon: Option<Program>,
    directory: TempDir,
}

impl Bus {
    pub fn start() -> Bus {
        Self::offering(&[])
    }

    /// One that can start services by their names. Starting one leaves a trace: see [`Bus::has_started`].
    pub fn offering(names: &[&str]) -> Bus {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(directory.path().join("services")).expect("it is writable");
        for name in names {
            let mark = directory.path().join(format!("{name}.started"));
            let service = format!("[D-BUS Service]\nName={name}\nExec=/usr/bin/touch {}\n", mark.display());
            let file = directory.path().join(format!("services/{name}.service"));
            std::fs::write(file, service).expect("it is writable");
        }
        let text = configuration(&directory.path().join("socket"), &directory.path().join("services"));
        std::fs::write(directory.path().join("bus.conf"), text).expect("it is writable");
        let mut bus = Bus { daemon: None, directory };
        bus.restart();
        bus
    }

    /// From now on the bus starts this program for a service's name.
    pub fn offer(&self, name: &str, program: &str) {
        let service = format!("[D-BUS Service]\nName={name}\nExec={program}\n");
        let file = self.directory.path().join(format!("services/{name}.service"));
        std::fs::write(file, service).expect("it is writable");
        let () = Client::connect(&self.address()).call(Place::BUS, "ReloadConfig", &()).expect("the bus looks again");
    }

    /// The same after a restart: it leaves out the bus's id, as the address of a real session does.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.directory.path().join("socket").display())
    }

    /// Whether somebody had the bus start one of its services.
    pub fn has_started(&self, name: &str) -> bool {
        self.directory.path().join(format!("{name}.started")).exists()
    }

    /// Takes the bus away from everybody; nothing listens at its address any more.
    pub fn stop(&mut self) {
        self.daemon = None;
    }

    /// Lets the bus take connections and answer nothing, as a stopped process does.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        program::signal(self.daemon.as_ref().expect("the bus is running").pid(), signal);
    }

    /// Brings the bus back, empty, at the same address. Returns when it accepts connections.
    pub fn restart(&mut self) {
        self.stop();
        let directory = self.directory.path();
        let mut command = Command::new("dbus-daemon");
        command.arg("--config-file").arg(directory.join("bus.conf"));
        command.args(["--nofork", "--nopidfile", "--nosyslog", "--print-address=1"]);
        // It prints the address once it listens there.
        let (daemon, _address) = Program::start_and_hear(&mut command, &directory.join("log"));
        self.daemon = Some(daemon);
    }
}

/// Of a bus at this socket, which can start the services of one directory and no others.
pub fn configuration(socket: &Path, services: &Path) -> String {
    format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={}</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{}</servicedir>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"#,
        socket.display(),
        services.display()
    )
}

/// A runtime on a thread of its own, so that plain test functions can use async D-Bus.
pub struct Background {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub fn start() -> Background {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let _ = runtime.block_on(stopped);
        });
        Background { handle, stop: Some(stop), thread: Some(thread) }
    }

    /// Runs `future` to its end, at most [`SOON`]. `what` is for the panic after that.
    #[track_caller]
    pub fn wait<F: Future>(&self, what: &str, future: F) -> F::Output {
        let done = self.handle.block_on(async { tokio::time::timeout(SOON, future).await });
        done.unwrap_or_else(|_| panic!("no end within {SOON:?}: {what}"))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A connection to a bus, with blocking calls that all have a bound.
pub struct Client {
    // Before the runtime: a connection that is dropped still talks to it.
    connection: zbus6::Connection,
    background: Background,
}

impl Client {
    pub fn connect(address: &str) -> Client {
        Self::connect_with(address, PATIENCE)
    }

    /// A client that gives up on a call after `patience`.
    pub fn connect_with(address: &str, patience: Duration) -> Client {
        let background = Background::start();
        let connection = background.wait("connecting to the bus", connect_with(address, patience));
        Client { connection, background }
    }

    /// Calls a method and returns what it answers.
    pub fn call<A, R>(&self, place: Place<'_>, method: &str, arguments: &A) -> zbus6::Result<R>
    where
        A: Serialize + DynamicType,
        R: for<'d> DynamicDeserialize<'d>,
    {
        self.background.wait(method, call(&self.connection, place, method, arguments))
    }

    pub fn property<R>(&self, place: Place<'_>, name: &str) -> zbus6::Result<R>
    where
        R: TryFrom<OwnedVariant>,
    {
        self.background.wait(name, property(&self.connection, place, name))
    }

    /// What comes from now on and fits this match rule, one value for each message.
    pub fn listen(&self, rule: &str) -> Receiver<zbus6::Message> {
        let (sender, receiver) = channel();
        self.background.wait("listening to signals", async {
            let messages = MessageStream::for_match_rule(rule, &self.connection, None).await;
            let mut messages = messages.expect("a valid match rule");
            // Ends with the connection.
            tokio::spawn(async move {
                while let Some(Ok(message)) = messages.next().await {
                    let _ = sender.send(message);
                }
            });
        });
        receiver
    }

    /// [`Client::listen`] to what others say to each other. The client can do nothing else after that.
    pub fn overhear(&self, rule: &str) -> Receiver<zbus6::Message> {
        let overheard = self.listen(rule);
        let monitoring = Place { interface: "org.freedesktop.DBus.Monitoring", ..Place::BUS };
        let () = self.call(monitoring, "BecomeMonitor", &(vec![rule], 0u32)).expect("the bus lets its user listen");
        overheard
    }

    /// Says whether somebody owns this name on the bus now.
    pub fn is_owned(&self, name: &str) -> bool {
        self.call(Place::BUS, "NameHasOwner", &name).expect("the bus answers about names")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let connection = self.connection.clone();
        let _ = self.background.wait("closing the connection", connection.close());
    }
}

/// Where a method or property is: service, object and interface.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub service: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
}

impl Place<'static> {
    pub const BUS: Place<'static> =
        Place { service: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };
}

pub async fn connect(address: &str) -> zbus6::Connection {
    connect_with(address, PATIENCE).await
}

/// A connection that owns `name` and answers for `object` at `path`.
///
/// The builder, and not `object_server().at()` with a later `request_name`: that loses calls which arrive before the
/// task that answers them has begun to listen (one start in a hundred on a busy machine).
pub async fn serve(address: &str, name: &str, path: &str, object: impl Interface) -> zbus6::Connection {
    let service = service(address, name).serve_at(path, object);
    service.build().await.expect("the bus accepts connections, and nobody else has the name")
}

/// [`serve`] for a service with several objects, which its caller adds.
pub fn service<'a>(address: &str, name: &'a str) -> zbus6::connection::Builder<'a> {
    zbus6::connection::Builder::address(address).method_timeout(PATIENCE).name(name)
}

async fn connect_with(address: &str, patience: Duration) -> zbus6::Connection {
    let builder = zbus6::connection::Builder::address(address);
    let connection = builder.method_timeout(patience).build().await;
    connection.expect("the bus accepts connections")
}

pub async fn call<A, R>(connection: &zbus6::Connection, at: Place<'_>, method: &str, arguments: &A) -> zbus6::Result<R>
where
    A: Serialize + DynamicType,
    R: for<'d> DynamicDeserialize<'d>,
{
    let reply = connection.call_method(Some(at.service), at.path, Some(at.interface), method, arguments).await?;
    reply.body().deserialize()
}

pub async fn property<R: TryFrom<OwnedVariant>>(
    connection: &zbus6::Connection,
    at: Place<'_>,
    name: &str,
) -> zbus6::Result<R> {
    let properties = Place { interface: "org.freedesktop.DBus.Properties", ..at };
    let value: OwnedVariant = call(connection, properties, "Get", &(at.interface, name)).await?;
    R::try_from(value).map_err(|_| zbus6::Error::Failure(format!("`{name}` has an unexpected type")))
}
