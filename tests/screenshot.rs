//! Not a test of anything: makes the pictures for the README, run by `tests/screenshot`.

use std::path::PathBuf;

use crate::support::bus::{Client, Place};
use crate::support::daemon::Daemon;
use crate::support::mail::Mail;
use crate::support::real_desktop::{Look, RealDesktop};
use crate::support::recorder::Recorder;
use crate::support::wait::{holds, wait_long};

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
    let desktop = RealDesktop::start_looking(&Look { dunst: &dunst, panel: PANEL, gtk: &gtk });
    desktop.run("display", &["-window", "root", "-size", "1024x600", &format!("gradient:{ground}")]);

    let client = Client::connect(&desktop.bus().address());
    let recipe = Daemon::on(&desktop).env("TZ", "Europe/Berlin");
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
    // It fades and lays itself out after it has come: the picture is right when two in a row are the same.
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (one, other) = (directory.path().join("1.png"), directory.path().join("2.png"));
    let pixels = |picture: &PathBuf| {
        desktop.screenshot(picture);
        desktop.run("identify", &["-format", "%#", &picture.display().to_string()])
    };
    wait_long("the screen to come to rest", || holds(pixels(&one) == pixels(&other)));
    let (one, file) = (one.display().to_string(), file.display().to_string());
    desktop.run("convert", &[&one, "-crop", CROP, "+repage", "-strip", "-define", "png:compression-level=9", &file]);
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
    let output = std::process::Command::new("convert")
        .args(["(", dark, light, "+append", ")", large_dark, large_light, "-append", "-strip"])
        .args(["-define", "png:compression-level=9"])
        .arg(file)
        .output()
        .expect("ImageMagick is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Shows every icon in a panel `scale` times as high, and writes them beside each other into a file.
fn panel_with_all_icons(prefer_dark: &str, scale: u32, row: &str) {
    let panel = PANEL.replace("value=\"40\"", &format!("value=\"{}\"", 40 * scale));
    let panel = panel.replace("value=\"24\"", &format!("value=\"{}\"", 24 * scale));
    let desktop = RealDesktop::start_looking(&Look { dunst: DUNST, panel: &panel, gtk: &gtk(prefer_dark) });
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

fn tooltip(client: &Client, pid: u32) -> String {
    let service = format!("org.kde.StatusNotifierItem-{pid}-1");
    let item = Place { service: &service, path: "/StatusNotifierItem", interface: "org.kde.StatusNotifierItem" };
    let value = client.property::<(String, Vec<(i32, i32, Vec<u8>)>, String, String)>(item, "ToolTip");
    value.map_or_else(|_| String::new(), |(_, _, _, text)| text)
}

const CROP: &str = "1024x600+0+0";

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
