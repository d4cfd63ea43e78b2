//! The fake of `org.kde.StatusNotifierWatcher`: what programs register their tray items with.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use zbus6::Connection;
use zbus6::fdo::DBusProxy;
use zbus6::message::Header;
use zbus6::object_server::SignalEmitter;

use crate::support::bus;

const NAME: &str = "org.kde.StatusNotifierWatcher";
const PATH: &str = "/StatusNotifierWatcher";

/// The bus names of the items in the tray, oldest first.
#[derive(Debug, Default)]
pub struct Items {
    pub registered: Vec<String>,
}

pub struct FakeWatcher {
    items: Arc<Mutex<Items>>,
}

#[zbus6::interface(crate = "zbus6", name = "org.kde.StatusNotifierWatcher")]
impl FakeWatcher {
    async fn register_status_notifier_item(
        &self,
        service: String,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> zbus6::fdo::Result<()> {
        // Some programs send the path of their object instead of a name; then the sender is meant.
        let sender = header.sender().map(ToString::to_string).unwrap_or_default();
        let item = if service.starts_with('/') { sender } else { service };
        {
            let registered = &mut self.items.lock().expect("no test failed while it held this").registered;
            registered.retain(|known| *known != item);
            registered.push(item.clone());
        }
        Ok(Self::status_notifier_item_registered(&emitter, &item).await?)
    }

    fn register_status_notifier_host(&self, _service: String) {}

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        self.items.lock().expect("no test failed while it held this").registered.clone()
    }

    #[zbus(signal)]
    async fn status_notifier_item_registered(emitter: &SignalEmitter<'_>, service: &str) -> zbus6::Result<()>;

    #[zbus(signal)]
    async fn status_notifier_host_registered(emitter: &SignalEmitter<'_>) -> zbus6::Result<()>;
}

/// Serves the watcher on a connection of its own, and forgets items whose programs leave the bus.
pub async fn start(address: &str, items: Arc<Mutex<Items>>) -> Connection {
    let watcher = FakeWatcher { items: Arc::clone(&items) };
    let connection = bus::serve(address, NAME, PATH, watcher).await;
    let dbus = DBusProxy::new(&connection).await.expect("the bus has its own interface");
    let mut changes = dbus.receive_name_owner_changed().await.expect("the bus tells of names");
    // Ends with the connection, because the stream of changes does.
    tokio::spawn(async move {
        while let Some(change) = changes.next().await {
            let Ok(change) = change.args() else { continue };
            if change.new_owner().is_none() {
                let registered = &mut items.lock().expect("no test failed while it held this").registered;
                registered.retain(|item| item != change.name().as_str());
            }
        }
    });
    connection
}
