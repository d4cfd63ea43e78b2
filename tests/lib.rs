//! Tests of the built program from outside: over HTTP, D-Bus, signals and files, as mail servers and desktops meet it.
//!
//! Everything a test needs is its own (bus, home directory, ports), so all of them run side by side.
#![cfg(all(target_os = "linux", feature = "dbus"))]

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
mod sounds;
mod lock;
mod scope;
mod tray;
mod autostart;
mod recovery;
mod sleep;
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
