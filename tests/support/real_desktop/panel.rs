//! The panels that a desktop can have: how each is started and set up.

/// A program that shows tray icons, and is the watcher that they register with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panel {
    /// GTK.
    Xfce,
    /// Qt.
    Lxqt,
}

impl Panel {
    pub fn program(self) -> &'static str {
        match self {
            Panel::Xfce => "xfce4-panel",
            Panel::Lxqt => "lxqt-panel",
        }
    }

    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            // Without a window manager it would wait for one before it shows itself.
            Panel::Xfce => &["--disable-wm-check"],
            Panel::Lxqt => &[],
        }
    }

    /// Its configuration file, below the session's directory.
    pub fn configuration(self) -> &'static str {
        match self {
            Panel::Xfce => "config/xfce4/xfconf/xfce-perchannel-xml/xfce4-panel.xml",
            Panel::Lxqt => "config/lxqt/panel.conf",
        }
    }

    /// The X class of the window that the tray is in, and of its menus and tooltips.
    pub fn window_class(self) -> &'static str {
        match self {
            // It runs its tray as a program of its own.
            Panel::Xfce => "wrapper-2.0",
            Panel::Lxqt => "lxqt-panel",
        }
    }
}

/// One panel along the bottom of the screen, with nothing in it but the tray, from the left.
pub const XFCE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=10;x=0;y=0"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="32"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray">
      <property name="square-icons" type="bool" value="true"/>
      <property name="known-legacy-items" type="array"/>
    </property>
  </property>
</channel>
"#;

/// The same as LXQt writes it. From the left is not its default.
pub const LXQT: &str = "[General]
panels=panel1
[panel1]
plugins=tray
position=Bottom
panelSize=32
iconSize=22
[tray]
type=statusnotifier
alignment=Left
";
