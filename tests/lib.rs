//! Tests of the built program from outside: over HTTP, D-Bus, signals and files, as mail servers and desktops meet it.
//!
//! Everything a test needs is its own (bus, home directory, ports), so all of them run side by side.
//!
//! They are for both desktops that a build for Linux can have, `dbus` and `portable`. What `#[cfg(feature = "dbus")]`
//! stands before is of the first alone.
#![cfg(all(target_os = "linux", any(feature = "dbus", feature = "portable")))]

mod support;

mod layers;
mod rig;
mod command_line;
mod completions;
mod manual;
mod payloads;
mod listener;
mod hostile;
mod browser;
mod commands;

mod notifications;
mod clicks;
// The portable desktop knows nothing of do-not-disturb.
#[cfg(feature = "dbus")]
mod sounds;
// Nor of locks.
#[cfg(feature = "dbus")]
mod lock;
// It leaves what it starts where it is.
#[cfg(feature = "dbus")]
mod scope;
mod tray;
mod autostart;
mod recovery;
// It doesn't hear of sleep.
#[cfg(feature = "dbus")]
mod sleep;
// Nor of the session's lock.
#[cfg(feature = "dbus")]
mod lock_hint;
mod control;
mod actions;
mod reload;
mod ends;
mod real_dovecot;
mod real_lua;
mod real_tracking;
mod real_desktop;
mod real_emacs;
mod screenshot;
mod record;
mod tracking;
mod crash;
mod bad_days;
mod imserious;
mod invitations;
mod lost;
mod passwords;
mod sockets;
mod network;
mod tunnel_cuts;
mod tunnel_faults;
mod tls;
mod send;
mod hooks;
mod doctor;
mod first_steps;
mod first_day;
mod macos;
mod ssh;
