//! A real desktop without a screen: Xvfb, dunst for notifications and a panel with a tray, on a bus of its own.

mod panel;

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::process::Signal;
use tempfile::TempDir;
use zbus6::OwnedVariant;

use super::bus::{self, Background, Bus, Client, Place};
use super::desktop::TrayItem;
use super::program::{self, Program};
use super::wait::{holds, wait_long};
use super::{find_program, require};
use panel::Panel;

const SCREEN: &str = "1024x600x24";
/// The middle of the first icon in the panel, which spans the bottom of the screen and is 32 pixels high.
const FIRST_ICON: (i32, i32) = (17, 584);
/// The square around it, as ImageMagick writes it.
const FIRST_ICON_AREA: &str = "24x24+5+572";

/// Xfce's notification service.
pub const XFCE_NOTIFICATIONS: &str = "xfce4-notifyd";
/// Within the topmost notification, whatever its text.
const POPUP: (i32, i32) = (860, 25);
const TRAY: &str = "org.kde.StatusNotifierWatcher";
/// Far from the panel, its menus and the notifications.
const AWAY: (i32, i32) = (300, 100);

/// Everything a desktop session has. Its programs end with it, by their ids, in this order.
pub struct RealDesktop {
    client: Client,
    panel: Option<Program>,
    which_panel: Panel,
    _settings: Program,
    notifications: Program,
    _screen: Program,
    bus: Bus,
    display: String,
    directory: TempDir,
}

/// The configuration files of its programs.
#[derive(Debug)]
pub struct Look<'a> {
    pub dunst: &'a str,
    /// The panel's own file, as [`Panel::configuration`] names it.
    pub panel: &'a str,
    /// GTK's settings, with the theme among them.
    pub gtk: &'a str,
    /// The settings of Xfce's notification service, as xfconf has them; its own where there are none.
    pub xfce_notifications: &'a str,
}

/// With nothing in it that isn't needed.
const PLAIN: Look<'static> = Look { dunst: DUNST, panel: panel::XFCE, gtk: "", xfce_notifications: "" };

/// A notification as dunst remembers it once it is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    pub id: i32,
    pub app_name: String,
    pub summary: String,
    pub body: String,
    pub category: String,
    pub icon_path: String,
    /// The key of the action that a click does; empty where there is none.
    pub default_action: String,
}

impl RealDesktop {
    /// Says whether all its programs are installed. See [`require`].
    #[must_use]
    pub fn available() -> bool {
        require(&["dbus-daemon", "Xvfb", "dunst", "xfconfd", "xfce4-panel", "xdotool", "import"])
    }

    /// Starts the session. Returns when the notification service and the tray answer on its bus.
    pub fn start() -> RealDesktop {
        Self::start_looking(&PLAIN, "dunst")
    }

    /// With Xfce's notification service in dunst's place.
    pub fn start_with_xfce_notifications() -> RealDesktop {
        Self::start_looking(&PLAIN, XFCE_NOTIFICATIONS)
    }

    /// With LXQt's panel in the place of Xfce's: another toolkit, and another reading of tray items and their menus.
    pub fn start_with_lxqt_panel() -> RealDesktop {
        Self::start_all(&Look { panel: panel::LXQT, ..PLAIN }, "dunst", Panel::Lxqt)
    }

    /// [`RealDesktop::start`] with another look, and with this notification service.
    pub fn start_looking(look: &Look, notifications: &str) -> RealDesktop {
        Self::start_all(look, notifications, Panel::Xfce)
    }

    fn start_all(look: &Look, notifications: &str, which_panel: Panel) -> RealDesktop {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let top = directory.path();
        let channels = "config/xfce4/xfconf/xfce-perchannel-xml";
        for name in ["home", "runtime", "data", "cache", "config/dunst", "config/lxqt", channels] {
            std::fs::create_dir_all(top.join(name)).expect("the directory is ours");
        }
        std::fs::create_dir_all(top.join("config/gtk-3.0")).expect("the directory is ours");
        std::fs::write(top.join("config/gtk-3.0/settings.ini"), look.gtk).expect("the directory is ours");
        std::fs::write(top.join("config/dunst/dunstrc"), look.dunst).expect("the directory is ours");
        std::fs::write(top.join(which_panel.configuration()), look.panel).expect("the directory is ours");
        if !look.xfce_notifications.is_empty() {
            let channel = top.join(channels).join("xfce4-notifyd.xml");
            std::fs::write(channel, look.xfce_notifications).expect("the directory is ours");
        }

        let bus = Bus::start();
        let mut screen = Command::new("Xvfb");
        // It chooses a free display and prints its number once it accepts clients.
        screen.args(["-displayfd", "1", "-screen", "0", SCREEN, "-nolisten", "tcp", "-noreset"]);
        let (screen, number) = Program::start_and_hear(&mut screen, &top.join("xvfb.log"));
        let display = format!(":{}", number.trim());

        let client = Client::connect(&bus.address());
        let start = |name: &str, arguments: &[&str], service: &str| {
            start_program(&client, top, &bus.address(), &display, name, arguments, service)
        };
        let settings = start("xfconfd", &[], "org.xfce.Xfconf");
        let notifications = start(notifications, &[], "org.freedesktop.Notifications");
        let panel = start(which_panel.program(), which_panel.arguments(), TRAY);
        RealDesktop {
            client,
            panel: Some(panel),
            which_panel,
            _settings: settings,
            notifications,
            _screen: screen,
            bus,
            display,
            directory,
        }
    }

    /// Ends the panel as a crash does, and starts it anew. Returns when its tray answers.
    pub fn restart_panel(&mut self) {
        if let Some(panel) = self.panel.take() {
            // Xfce's tray is a program of its own, which goes with it.
            let tray = program::descendants(panel.pid());
            program::signal(panel.pid(), Signal::KILL);
            drop(panel);
            tray.iter().for_each(|process| program::signal(process.pid, Signal::KILL));
        }
        wait_long("the tray to be gone", || holds(!self.client.is_owned(TRAY)));
        // Else the old icon could be taken for the new one.
        wait_long("the icon to be gone with it", || holds(self.icon_colours() == Some(1)));
        let (top, bus, which) = (self.directory.path(), self.bus.address(), self.which_panel);
        let (name, arguments) = (which.program(), which.arguments());
        self.panel = Some(start_program(&self.client, top, &bus, &self.display, name, arguments, TRAY));
    }

    /// Stops the notification service without ending it: it takes calls and answers none.
    pub fn freeze_notifications(&self) {
        program::signal(self.notifications.pid(), Signal::STOP);
    }

    /// Ends dunst; the bus starts it when somebody wants to show something.
    #[track_caller]
    pub fn start_dunst_on_demand(&self) {
        let top = self.directory.path();
        let script = top.join("dunst-on-demand");
        let mut command = Command::new("dunst");
        session(&mut command, top, &self.bus.address(), &self.display);
        let set = command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)));
        let exports: String = set.map(|(name, value)| format!("export {name}='{value}'\n")).collect();
        program::install_script(&format!("#!/bin/sh\n{exports}exec dunst\n"), &script);
        self.bus.offer(DUNST_CONTROL.service, &script.display().to_string());
        program::signal(self.notifications.pid(), Signal::TERM);
        wait_long("dunst to be gone", || holds(!self.client.is_owned(DUNST_CONTROL.service)));
    }

    /// Ends the dunst that the bus has started.
    #[track_caller]
    pub fn end_dunst_on_demand(&self) {
        let pid: u32 =
            self.client.call(Place::BUS, "GetConnectionUnixProcessID", &DUNST_CONTROL.service).expect("it runs");
        program::signal(pid, Signal::TERM);
    }

    pub fn thaw_notifications(&self) {
        program::signal(self.notifications.pid(), Signal::CONT);
    }

    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// What a program needs to know to be on this desktop.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("DBUS_SESSION_BUS_ADDRESS", self.bus.address()), ("DISPLAY", self.display.clone())]
    }

    /// The tray item of the program with this id, asked without the panel.
    #[track_caller]
    pub fn tray_item(&self, pid: u32) -> TrayItem {
        let background = Arc::new(Background::start());
        let address = self.bus.address();
        let connection = background.wait("connecting to the bus", bus::connect(&address));
        TrayItem::new(format!("org.kde.StatusNotifierItem-{pid}-1"), connection, background)
    }

    // ---- notifications

    /// How many notifications are on the screen.
    #[track_caller]
    pub fn dunst_displayed(&self) -> u32 {
        self.client.property(DUNST_CONTROL, "displayedLength").expect("dunst says what it shows")
    }

    /// Waits until exactly so many notifications are on the screen.
    #[track_caller]
    pub fn wait_displayed(&self, count: u32) {
        wait_long(&format!("{count} notifications on the screen"), || holds(self.dunst_displayed() == count));
    }

    /// Closes what is on the screen and returns everything dunst has shown so far, the newest first.
    #[track_caller]
    pub fn dunst_history(&self) -> Vec<Remembered> {
        let () = self.client.call(DUNST_CONTROL, "NotificationCloseAll", &()).expect("dunst closes all");
        // Closing is done a moment after the call is answered, and only then is it history.
        self.wait_displayed(0);
        self.dunst_closed()
    }

    /// What is on the screen no more, the last to go first.
    #[track_caller]
    pub fn dunst_closed(&self) -> Vec<Remembered> {
        let history: Vec<HashMap<String, OwnedVariant>> =
            self.client.call(DUNST_CONTROL, "NotificationListHistory", &()).expect("dunst tells its history");
        history.iter().map(remembered).collect()
    }

    /// Does the default action of the notification at `position` (0 is the topmost), as a click on it does.
    #[track_caller]
    pub fn dunst_action(&self, position: u32) {
        let () = self.client.call(DUNST_CONTROL, "NotificationAction", &position).expect("dunst does the action");
    }

    // ---- screen, pointer and keyboard

    /// Waits until the tray shows an icon, where [`RealDesktop::start`] puts it.
    #[track_caller]
    pub fn wait_tray_icon(&self) {
        wait_long("an icon in the tray", || holds(self.icon_colours().is_some_and(|count| count > 1)));
    }

    /// How many colours there are where the first icon is. An empty panel has one, and so has a screen without a panel.
    #[track_caller]
    pub fn icon_colours(&self) -> Option<u32> {
        let words = ["-window", "root", "-crop", FIRST_ICON_AREA, "-format", "%k", "info:-"];
        self.run("import", &words).trim().parse().ok()
    }

    /// Clicks the first icon in the tray with the left button.
    #[track_caller]
    pub fn click_tray(&self) {
        self.wait_tray_icon();
        self.click(FIRST_ICON, 1);
    }

    /// Clicks the topmost notification with the left button.
    #[track_caller]
    pub fn click_popup(&self) {
        self.click(POPUP, 1);
    }

    /// Opens the menu of the first icon in the tray. Returns when it is on the screen.
    #[track_caller]
    pub fn open_tray_menu(&self) {
        self.wait_tray_icon();
        self.open_menu_at(FIRST_ICON);
    }

    /// [`RealDesktop::open_tray_menu`] where the icon is elsewhere.
    #[track_caller]
    pub fn open_menu_at(&self, icon: (i32, i32)) {
        self.leave();
        let before = self.tray_windows();
        self.click(icon, 3);
        wait_long("the tray menu on the screen", || holds(self.tray_windows() > before));
    }

    /// Opens the submenu that is this many entries above the end of the menu, which is open; those that can't be chosen
    /// don't count.
    #[track_caller]
    pub fn open_submenu(&self, above: usize) {
        let before = self.tray_windows();
        (0..above).for_each(|_| self.press("Up"));
        self.press("Right");
        wait_long("the submenu on the screen", || holds(self.tray_windows() > before));
    }

    /// Waits until the menu of the tray is closed again, as it is after a choice.
    #[track_caller]
    pub fn wait_menu_closed(&self) {
        self.leave();
    }

    /// Takes the pointer away, and waits until the tray has no window but its own: a tooltip is one as well, and both
    /// panels show one soon after the pointer has come to rest on the icon.
    #[track_caller]
    fn leave(&self) {
        let (x, y) = AWAY;
        self.run("xdotool", &["mousemove", &x.to_string(), &y.to_string()]);
        wait_long("menu and tooltip of the tray to close", || holds(self.tray_windows() == 1));
    }

    /// Presses a key by its X name: `Down`, `Return`, `Escape`.
    #[track_caller]
    pub fn press(&self, key: &str) {
        self.run("xdotool", &["key", key]);
    }

    #[track_caller]
    pub fn click(&self, (x, y): (i32, i32), button: u8) {
        // Without --sync, which waits for a movement even where the pointer is there already.
        let (x, y, button) = (x.to_string(), y.to_string(), button.to_string());
        self.run("xdotool", &["mousemove", &x, &y, "click", &button]);
    }

    /// Writes what is on the screen to a file; its extension says in which format.
    #[track_caller]
    pub fn screenshot(&self, path: &Path) {
        self.run("import", &["-window", "root", &path.display().to_string()]);
    }

    /// The tray has one window of its own and one for each open menu or tooltip.
    fn tray_windows(&self) -> usize {
        let words = ["search", "--onlyvisible", "--class", self.which_panel.window_class()];
        // A window that goes while it is looked at is an error for xdotool; then another look tells.
        let found = wait_long("the windows of the tray to be told", || self.try_run("xdotool", &words).ok());
        found.lines().count()
    }

    /// Waits until two pictures of the screen in a row are the same, and leaves the last of them in this file: what comes
    /// fades, and lays itself out after it is there. `is_right` is asked what a picture shows.
    #[track_caller]
    pub fn screenshot_at_rest(&self, path: &Path, is_right: impl Fn() -> bool) {
        let pixels = || {
            self.screenshot(path);
            self.run("identify", &["-format", "%#", &path.display().to_string()])
        };
        wait_long("the screen to come to rest", || holds(pixels() == pixels() && is_right()));
    }

    /// Runs a program of the desktop's user to its end, and returns what it prints.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        self.try_run(program, arguments).unwrap_or_else(|complaint| panic!("{program} {arguments:?}: {complaint}"))
    }

    /// As [`RealDesktop::run`]; gives what it complains of.
    fn try_run(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program);
        session(command.args(arguments), self.directory.path(), &self.bus.address(), &self.display);
        let output = command.stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("failed to start `{program}`: {error}"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        // xdotool's search fails where it finds nothing, which is an answer.
        match output.status.success() || complaint.is_empty() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(complaint.into_owned()),
        }
    }
}

const DUNST_CONTROL: Place<'static> = Place {
    service: "org.freedesktop.Notifications",
    path: "/org/freedesktop/Notifications",
    interface: "org.dunstproject.cmd0",
};

/// Starts a program of the session, and waits until it owns the name of what it is for.
fn start_program(
    client: &Client,
    top: &Path,
    bus: &str,
    display: &str,
    name: &str,
    arguments: &[&str],
    service: &str,
) -> Program {
    let mut command = Command::new(find_program(name).unwrap_or_else(|| name.into()));
    command.args(arguments);
    session(&mut command, top, bus, display);
    let program = Program::start(&mut command, &top.join(format!("{name}.log")));
    wait_long(&format!("{name} to own {service}"), || holds(client.is_owned(service)));
    program
}

fn session(command: &mut Command, top: &Path, bus: &str, display: &str) {
    // Nothing of the developer's own session: neither its display nor its settings.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C.UTF-8");
    command.env("DBUS_SESSION_BUS_ADDRESS", bus).env("DISPLAY", display).env("XDG_SESSION_TYPE", "x11");
    // Otherwise GTK looks for an accessibility bus, which isn't there, and takes its time.
    command.env("GDK_BACKEND", "x11").env("NO_AT_BRIDGE", "1").env("GTK_A11Y", "none");
    command.env("HOME", top.join("home")).env("XDG_RUNTIME_DIR", top.join("runtime"));
    command.env("XDG_CONFIG_HOME", top.join("config")).env("XDG_DATA_HOME", top.join("data"));
    command.env("XDG_CACHE_HOME", top.join("cache")).current_dir(top.join("home"));
}

fn remembered(entry: &HashMap<String, OwnedVariant>) -> Remembered {
    let text = |name: &str| {
        let value = entry.get(name).and_then(|value| <&str>::try_from(value).ok());
        value.unwrap_or_default().to_owned()
    };
    Remembered {
        id: entry.get("id").and_then(|id| i32::try_from(id).ok()).unwrap_or_default(),
        app_name: text("appname"),
        summary: text("summary"),
        body: text("body"),
        category: text("category"),
        icon_path: text("icon_path"),
        default_action: text("default_action_name"),
    }
}

/// Notifications stay until they are closed, and a left click does their default action.
const DUNST: &str = r#"[global]
    follow = none
    width = (300, 480)
    height = 200
    origin = top-right
    offset = 10x10
    notification_limit = 20
    history_length = 200
    font = DejaVu Sans 10
    markup = full
    format = "<b>%s</b>\n%b"
    mouse_left_click = do_action, close_current
[urgency_low]
    timeout = 0
[urgency_normal]
    timeout = 0
[urgency_critical]
    timeout = 0
"#;
