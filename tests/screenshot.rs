//! Not a test of anything: makes the pictures for the README, run by `tests/screenshot`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use zbus6::OwnedVariant;

use crate::support::bus::{Client, Place};
use crate::support::daemon::Daemon;
use crate::support::installed::Installed;
use crate::support::local_sshd::{AUTH, LocalSshd, PROGRAMS};
use crate::support::mail::Mail;
use crate::support::real_desktop::{Look, RealDesktop, XFCE_NOTIFICATIONS};
use crate::support::recorder::Recorder;
use crate::support::require;
use crate::support::service::{Answer, Service};
use crate::support::wait::{EVENTUALLY, holds, wait_long};

/// The middle of the tray icon, in the panel of this look.
const ICON: (i32, i32) = (20, 580);

#[test]
fn screenshot_for_the_readme() {
    let Some(file) = std::env::var_os("MAILKNOCK_SCREENSHOT").map(PathBuf::from) else { return };
    let light = std::env::var_os("MAILKNOCK_SCREENSHOT_LIGHT").is_some();
    if !RealDesktop::available() {
        return;
    }
    let (dunst, gtk, ground) = match light {
        true => (DUNST.replace("#20262d", "#fafafa").replace("#eef1f4", "#202428"), gtk("false"), "#dfe6ec-#b4c6d6"),
        false => (DUNST.to_owned(), gtk("true"), "#2c4a63-#16232f"),
    };
    let look = Look { dunst: &dunst, panel: PANEL, gtk: &gtk, xfce_notifications: "" };
    let desktop = RealDesktop::start_looking(&look, "dunst");
    desktop.run("display", &["-window", "root", "-size", "1024x600", &format!("gradient:{ground}")]);

    let client = Client::connect(&desktop.bus().address());
    let recipe = Daemon::on(&desktop);
    let fetch = Recorder::new(&recipe, "fetch");
    let config = format!(
        "[tray]\nrecent = 3\n[[handler]]\nname = \"mbsync\"\ncommand = {}\n[[handler]]\nnotify = {{ summarise_over = 4 }}",
        fetch.command(&[])
    );
    let daemon = recipe.config(&config).start();
    let mails = [
        (
            "=?koi8-r?B?6dfBziDwxdTSz9c=?= <ivan@example.org>",
            "=?utf-8?B?0J/QsNGA0L7QstC+0Lcg0LIg0KHQvtGE0LjRjg==?=",
            "Билеты на субботу, 9:40. Встретимся на вокзале?",
        ),
        (
            "Alice Example <alice@example.org>",
            "Lunch on Friday & <b>cake</b>?",
            "Shall we meet at noon, at the usual place?",
        ),
        (
            "=?iso-2022-jp?B?GyRCOzNFREJATzobKEI=?= <yamada@example.org>",
            "=?iso-2022-jp?B?GyRCRnxLXDhsJE43b0w+JUYlOSVIGyhC?=",
            "来週の打ち合わせの件でご連絡しました。",
        ),
        (
            "=?iso-8859-1?Q?J=F6rg_M=FCller?= <joerg@example.org>",
            "=?utf-8?Q?Gr=C3=BC=C3=9Fe_aus_Z?= =?utf-8?Q?=C3=BCrich?=",
            "Der Käse ist gegessen, die Fotos hängen an.",
        ),
    ];
    for (number, (from, subject, snippet)) in (1..).zip(mails) {
        if number == 4 {
            // Opening the menu counts as looking; the last mail comes after it, so the icon is the one of new mail. Its
            // line takes the place of another: GTK lays an open menu out only once.
            fetch.wait_starts(1);
            wait_long("the tray to count three", || holds(tooltip(&client, daemon.pid()).contains("3 new messages")));
            desktop.open_menu_at(ICON);
        }
        daemon.push(&Mail::new(from, subject).with("snippet", snippet).with("imap-uid", number).json()).accepted();
        desktop.wait_displayed(number);
    }
    wait_long("the tray to tell of the last", || holds(tooltip(&client, daemon.pid()).contains("Müller")));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let picture = directory.path().join("1.png");
    desktop.screenshot_at_rest(&picture, || true);
    write(&[&picture.display().to_string(), "-crop", CROP, "+repage"], &file);
    daemon.stop();
}

/// The icons of all states, one after the other, as the panel draws them: on a dark and on a light panel, at two sizes.
#[test]
fn icons_for_the_readme() {
    let Some(file) = std::env::var_os("MAILKNOCK_SCREENSHOT_ICONS").map(PathBuf::from) else { return };
    if !RealDesktop::available() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let rows = [("true", 1), ("false", 1), ("true", 2), ("false", 2)].map(|(prefer_dark, scale)| {
        let row = directory.path().join(format!("{prefer_dark}-{scale}.png")).display().to_string();
        panel_with_all_icons(prefer_dark, scale, &row);
        row
    });
    let [dark, light, large_dark, large_light] = rows.each_ref().map(String::as_str);
    write(&["(", dark, light, "+append", ")", large_dark, large_light, "-append"], &file);
}

/// Shows every icon in a panel `scale` times as high, and writes them beside each other into a file.
fn panel_with_all_icons(prefer_dark: &str, scale: u32, row: &str) {
    let panel = PANEL.replace("value=\"40\"", &format!("value=\"{}\"", 40 * scale));
    let panel = panel.replace("value=\"24\"", &format!("value=\"{}\"", 24 * scale));
    let look = Look { dunst: DUNST, panel: &panel, gtk: &gtk(prefer_dark), xfce_notifications: "" };
    let desktop = RealDesktop::start_looking(&look, "dunst");
    let recipe = Daemon::on(&desktop);
    let fetch = Recorder::held(&recipe, "fetch");
    let failing = "[[handler]]\nname = \"failing\"\nuser = \"mallory\"\nfetch = false\ncommand = \"false\"";
    let config = format!(
        "[[handler]]\nname = \"fetch\"\nuser = \"nobody\"\ncommand = {}\n{failing}\n[[handler]]\nnotify = true",
        fetch.command(&[])
    );
    let daemon = recipe.config(&config).start();
    let client = Client::connect(&desktop.bus().address());
    let mut number = 0;
    let mut push = |user: &str, count: u32| {
        for _ in 0..count {
            number += 1;
            let mail = Mail::new("Alice <a@example.org>", "s").with("user", user).with("imap-uid", number);
            daemon.push(&mail.json()).accepted();
        }
    };
    let (side, height) = (40 * scale, 600);
    let area = format!("{side}x{side}+0+{}", height - side);
    let mut taken: Vec<(String, String)> = Vec::new();
    // The panel takes its time, and draws what comes twice: an icon is right when it is another, and stays.
    let mut take = |what: &str| {
        let picture = format!("{row}.{}.png", taken.len());
        let pixels = || {
            desktop.run("import", &["-window", "root", "-crop", &area, "+repage", &picture]);
            desktop.run("identify", &["-format", "%#", &picture])
        };
        let signature = wait_long(what, || {
            let drawn = pixels();
            let is_another = taken.iter().all(|(_, other)| *other != drawn);
            (is_another && drawn == pixels() && drawn == pixels()).then_some(drawn)
        });
        taken.push((picture, signature));
    };
    // Away from the icon, which the panel would light up.
    desktop.run("xdotool", &["mousemove", "600", "100"]);
    desktop.wait_tray_icon();
    take("the idle icon");
    for (count, total, what) in [(1, "1 new", "one message"), (4, "5 new", "five"), (7, "12 new", "more than nine")] {
        push("alice", count);
        wait_long("the tray to have counted", || holds(tooltip(&client, daemon.pid()).contains(total)));
        take(what);
    }
    desktop.click((20, 590), 1);
    desktop.run("xdotool", &["mousemove", "600", "100"]);
    fetch.wait_starts(1);
    take("the icon of a fetch");
    fetch.release();
    daemon.recipe().command(&["pause"]).succeeded();
    take("the icon of a pause");
    daemon.recipe().command(&["resume"]).succeeded();
    push("mallory", 1);
    take("the icon of a problem");
    let pictures: Vec<&str> = taken.iter().map(|(picture, _)| picture.as_str()).collect();
    desktop.run("convert", &[&pictures[..], &["+append", row]].concat());
    daemon.stop();
}

/// What popups look like in all situations, one below the other, on two notification services side by side.
#[test]
fn popups_for_the_readme() {
    let Some(file) = std::env::var_os("MAILKNOCK_SCREENSHOT_POPUPS").map(PathBuf::from) else { return };
    if !RealDesktop::available() || !require(&[XFCE_NOTIFICATIONS]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut arguments: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    let to_one_width =
        ["-gravity", "east", "-splice", "452x0", "-gravity", "northwest", "-crop", "452x0+0+0", "+repage"];
    add(&["-background", GROUND, "-bordercolor", GROUND, "-fill", "#c3d0db", "-font", "Cantarell-Regular"]);
    add(&["-pointsize", "15", "("]);
    for service in SERVICES {
        add(&["(", &format!("label:{service}"), "-border", "0x4"]);
        add(&to_one_width);
        add(&[")"]);
    }
    add(&["+append", ")"]);
    for (number, situation) in situations().iter().enumerate() {
        add(&["(", "-gravity", "north"]);
        for service in SERVICES {
            let picture = directory.path().join(format!("{service}-{number}.png")).display().to_string();
            situation.take(service, &picture);
            add(&["(", &picture, "-trim", "+repage", "-border", "0x8"]);
            add(&to_one_width);
            add(&[")"]);
        }
        add(&["+append", ")"]);
    }
    add(&["-append", "-trim", "+repage", "-border", "18x14"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    write(&arguments, &file);
}

const SERVICES: [&str; 2] = [XFCE_NOTIFICATIONS, "dunst"];

/// Something that popups are to be seen in.
struct Situation {
    mails: Vec<Mail>,
    is_locked: bool,
    /// The title of the last popup.
    title: &'static str,
}

fn situations() -> [Situation; 4] {
    let mail = |from: &str, subject: &str, snippet: &str| {
        Mail::new(from, subject).with("snippet", snippet).with("imap-uid", 1).with("imap-uidvalidity", 7)
    };
    let lunch =
        mail("Alice Example <alice@example.org>", "Lunch on Friday?", "Shall we meet at noon, at the usual place?");
    let burst = ["The minutes of Monday", "Re: The minutes of Monday", "Tickets", "Photos", "Your invoice"];
    let names = ["Jörg Müller", "Иван Петров", "山田太郎", "Zoë Example", "Shop"];
    let burst = (1..).zip(names.into_iter().zip(burst)).map(|(number, (name, subject))| {
        mail(&format!("{name} <a@example.org>"), subject, "").with("imap-uid", number)
    });
    let hostile = format!(
        "<b>Your account</b> <a href=\"https://evil.example\">is locked</a>, read \u{202e}fdp.exe {} {}",
        "\u{1f389}".repeat(100),
        "x".repeat(10_000)
    );
    let hostile =
        mail("\"<i>Your bank</i>\" <eve@example.net>", &hostile, "<img src=\"https://evil.example/seen.png\">");
    let situation = |mails, title| Situation { mails, is_locked: false, title };
    [
        situation(vec![lunch.clone()], "Work: Alice Example"),
        situation(burst.collect(), "Work: 5 new messages in INBOX"),
        situation(vec![hostile], "Work: <i>Your bank</i>"),
        Situation { is_locked: true, ..situation(vec![lunch], "Work: 1 new message") },
    ]
}

impl Situation {
    /// Brings it about on a desktop of its own, and leaves in the file what is above the panel.
    fn take(&self, service: &str, picture: &str) {
        let gtk = gtk("true");
        let look = Look { dunst: DUNST, panel: PANEL, gtk: &gtk, xfce_notifications: XFCE };
        let desktop = RealDesktop::start_looking(&look, service);
        desktop.run("display", &["-window", "root", "-size", "1024x600", &format!("xc:{GROUND}")]);
        let locker = "org.xfce.ScreenSaver";
        let _locker = self.is_locked.then(|| Service::start(desktop.bus(), locker, Answer::Truth(true)));
        let monitor = Client::connect(&desktop.bus().address());
        let calls = monitor.overhear("type='method_call',member='Notify'");
        let daemon = Daemon::on(&desktop).config(POPUPS).start();
        for mail in &self.mails {
            daemon.push(&mail.json()).accepted();
        }
        while title(&calls.recv_timeout(EVENTUALLY).expect("the popup is shown")) != self.title {}
        // It takes what it is asked in order, so when it answers it has taken that.
        let client = Client::connect(&desktop.bus().address());
        let place = Place {
            service: "org.freedesktop.Notifications",
            path: "/org/freedesktop/Notifications",
            interface: "org.freedesktop.Notifications",
        };
        let _: (String, String, String, String) =
            client.call(place, "GetServerInformation", &()).expect("the service answers");
        let one = Path::new(picture);
        // The ground alone has one colour.
        let colours = || desktop.run("convert", &[picture, "-crop", "1024x556+0+0", "-format", "%k", "info:-"]);
        desktop.screenshot_at_rest(one, || colours().trim().parse::<u32>().is_ok_and(|count| count > 1));
        desktop.run("mogrify", &["-crop", "1024x556+0+0", "+repage", picture]);
        daemon.stop();
    }
}

fn title(notify: &zbus6::Message) -> String {
    type Call = (String, u32, String, String, String, Vec<String>, HashMap<String, OwnedVariant>, i32);
    notify.body().deserialize::<Call>().map_or_else(|_| String::new(), |call| call.3)
}

const POPUPS: &str = r#"
[[account]]
user = "alice"
label = "Work"

[[handler]]
[handler.notify]
expire = "never"
actions = [{ label = "Mark read", command = ["true", "{uid}"] }, { label = "Archive", command = ["true", "{uid}"] }]
"#;

/// The open menu with everything that can be in it.
#[test]
fn menu_for_the_readme() {
    let Some(file) = std::env::var_os("MAILKNOCK_SCREENSHOT_MENU").map(PathBuf::from) else { return };
    if !RealDesktop::available() || !require(&PROGRAMS) {
        return;
    }
    let gtk = gtk("true");
    let look = Look { dunst: DUNST, panel: PANEL, gtk: &gtk, xfce_notifications: "" };
    let desktop = RealDesktop::start_looking(&look, "dunst");
    desktop.run("display", &["-window", "root", "-size", "1024x600", &format!("xc:{GROUND}")]);
    let recipe = Daemon::on(&desktop).env("XDG_CONFIG_DIRS", "/nonexistent");
    let Some(installed) = Installed::within("bin", &recipe) else { return };
    let recipe = recipe.program(installed.program());
    let server = LocalSshd::start(&recipe);
    let fetch = Recorder::new(&recipe, "fetch");
    let recipe = recipe.config(&menu_config(&server, &fetch));
    recipe.command(&["autostart", "enable"]).succeeded();
    let daemon = recipe.start();
    let client = Client::connect(&desktop.bus().address());
    let mails = [
        ("bob@home.example", "Иван Петров <ivan@example.org>", "Паровоз в Софию"),
        ("alice", "Alice Example <alice@example.org>", "Lunch on Friday & <b>cake</b>?"),
        ("bob@home.example", "山田太郎 <yamada@example.org>", "日本語の件名テスト"),
        ("alice", "Jörg Müller <joerg@example.org>", "Grüße aus Zürich"),
    ];
    for (number, (user, from, subject)) in (1..).zip(mails) {
        let mail = Mail::new(from, subject).with("user", user).with("imap-uid", number);
        daemon
            .request()
            .header("authorization", "Basic bWU6c2VzYW1l")
            .json(&mail.json())
            .send(daemon.addr())
            .accepted();
        desktop.wait_displayed(number);
    }
    wait_long("the tray to count four", || holds(tooltip(&client, daemon.pid()).contains("4 new messages")));
    wait_long("the tray to tell of the problem", || holds(tooltip(&client, daemon.pid()).contains("no route")));
    wait_long("the tunnel to be up", || holds(recipe.command(&["status"]).stdout.contains("up since")));
    desktop.dunst_history();
    recipe.command(&["pause", "30m"]).succeeded();
    wait_long("the tray to tell of the pause", || holds(tooltip(&client, daemon.pid()).contains("paused until")));
    desktop.open_menu_at(ICON);
    // Over what comes before the end: Quit, Start at login, two about the configuration, Resume, the pause.
    desktop.open_submenu(7);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let picture = directory.path().join("1.png");
    desktop.screenshot_at_rest(&picture, || true);
    let picture = picture.display().to_string();
    let above = desktop.run("convert", &[&picture, "-crop", "1024x556+0+0", "+repage", "-format", "%@", "info:-"]);
    let numbers: Vec<u32> = above.split(['x', '+']).filter_map(|number| number.trim().parse().ok()).collect();
    let [width, _, left, top] = numbers[..] else { panic!("`{above}` is no area") };
    let (right, top) = (left + width + 16, top.saturating_sub(16));
    write(&[&picture, "-crop", &format!("{right}x{}+0+{top}", 600 - top), "+repage"], &file);
    daemon.stop();
}

fn menu_config(server: &LocalSshd, fetch: &Recorder) -> String {
    // Shown as people write it.
    let host = server.host();
    let (user, address) = host.split_once('@').expect("it names a user");
    let named = ["-o".to_owned(), format!("HostName={address}"), "-o".to_owned(), format!("User={user}")];
    let options = serde_json::Value::from_iter(server.options().into_iter().chain(named));
    let failing = serde_json::json!(["/bin/sh", "-c", "echo 'mail.example.net: no route to host' >&2; exit 1"]);
    format!(
        "listen = \"127.0.0.1:0\"\n{AUTH}[tray]\nrecent = 6\n\
         [tunnel]\nhost = \"mail.example.org\"\nremote = \"{}\"\noptions = {options}\n\
         [[account]]\nuser = \"alice\"\nlabel = \"Work\"\n[[account]]\nuser = \"bob@*\"\nlabel = \"Home\"\n\
         [[handler]]\nname = \"mbsync\"\nuser = \"alice\"\ncommand = {}\n\
         [[handler]]\nname = \"fdm\"\nuser = \"bob@*\"\ncommand = {failing}\n\
         [[handler]]\nname = \"popups\"\n[handler.notify]\nsummarise_over = 10\n",
        server.remote,
        fetch.command(&[])
    )
}

/// Writes what ImageMagick makes of `arguments` into a file, with no more colours than a small file has.
fn write(arguments: &[&str], file: &Path) {
    // Without the depth a gradient comes out in steps.
    let few_colours = ["-alpha", "off", "-depth", "8", "+dither", "-treedepth", "8", "-colors", "256"];
    let mut command = std::process::Command::new("convert");
    command.args(arguments).arg("-strip").args(few_colours).args(["-define", "png:compression-level=9"]);
    let output = command.arg(file).output().expect("ImageMagick is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn tooltip(client: &Client, pid: u32) -> String {
    let service = format!("org.kde.StatusNotifierItem-{pid}-1");
    let item = Place { service: &service, path: "/StatusNotifierItem", interface: "org.kde.StatusNotifierItem" };
    let value = client.property::<(String, Vec<(i32, i32, Vec<u8>)>, String, String)>(item, "ToolTip");
    value.map_or_else(|_| String::new(), |(_, _, _, text)| text)
}

const CROP: &str = "1024x600+0+0";
/// Behind popups and menus that are taken off it.
const GROUND: &str = "#2c4a63";

fn gtk(prefer_dark: &str) -> String {
    format!(
        "[Settings]\ngtk-theme-name=Adwaita\ngtk-application-prefer-dark-theme={prefer_dark}\n\
         gtk-font-name=Cantarell 11\ngtk-enable-animations=false\n"
    )
}

const DUNST: &str = r##"[global]
    follow = none
    width = 400
    height = 200
    origin = top-right
    offset = 14x14
    notification_limit = 20
    font = Cantarell 11
    markup = full
    format = "<b>%s</b>\n%b"
    max_icon_size = 40
    frame_width = 0
    corner_radius = 8
    ellipsize = end
    separator_height = 1
    separator_color = "#4a5662"
    show_indicators = no
    padding = 10
    horizontal_padding = 14
    text_icon_padding = 14
[urgency_normal]
    timeout = 0
    background = "#20262d"
    foreground = "#eef1f4"
"##;

/// Popups come and stay as they are.
const XFCE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-notifyd" version="1.0">
  <property name="theme" type="string" value="Default"/>
  <property name="initial-opacity" type="double" value="1.0"/>
  <property name="do-fadeout" type="bool" value="false"/>
  <property name="do-slideout" type="bool" value="false"/>
  <property name="notify-location" type="uint" value="2"/>
</channel>
"#;

/// A tray at the left and a clock at the right.
const PANEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=10;x=0;y=0"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="40"/>
      <property name="icon-size" type="uint" value="24"/>
      <property name="plugin-ids" type="array">
        <value type="int" value="1"/><value type="int" value="2"/><value type="int" value="3"/>
      </property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray">
      <property name="square-icons" type="bool" value="true"/>
      <property name="icon-size" type="int" value="24"/>
      <property name="known-legacy-items" type="array"/>
    </property>
    <property name="plugin-2" type="string" value="separator">
      <property name="expand" type="bool" value="true"/>
      <property name="style" type="uint" value="0"/>
    </property>
    <property name="plugin-3" type="string" value="clock">
      <property name="mode" type="uint" value="2"/>
      <property name="digital-format" type="string" value="%H:%M"/>
    </property>
  </property>
</channel>
"#;
