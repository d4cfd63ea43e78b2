//! Mailknock, from its senders to the screen.
//!
//! A mail server's push event comes in at the [`listener`], often through a [`tunnel`], becomes an [`event::Event`]
//! ([`wire`]), is put on record ([`store`]) with a delivery for each handler that it is for ([`router`]), and answered.
//! When a handler is due ([`schedule`], [`dispatcher`]) its run takes all that waits, says what is to be done
//! ([`handler`]), and the loop ([`app`]) does it: starts a program ([`process`]), shows popups ([`popups`],
//! [`desktop`]), writes a line.
//!
//! # Invariants
//!
//! 1. A 2xx means: handled, or its loss is on record with the reason.
//! 2. No handler blocks another, the listener or the tray.
//! 3. A wrong configuration never replaces a working one and is always visible.
//! 4. The listener never waits for a handler.
//! 5. Message content goes only where the configuration sends it; it is logged only at `trace`.
//! 6. It works without tray, notification service, bus and display, and picks them up when they come.
//! 7. After `run` returns no task and no process group of ours is left; what `open` started lives on.
//! 8. Idle means idle: no timer ticks without a reason.
//!
//! # Order
//!
//! The modules stand in reading order. Each uses only those above it; a test keeps that true. Decisions are taken by
//! plain functions that get the time as an argument and do no I/O: [`app::App::on_input`], [`schedule::Schedule`],
//! [`popups::Popups`], [`desktop::menu::menu`], [`desktop::note::rendered`]. Only the listener knows axum, only the
//! desktop's backends know D-Bus, only [`process`] starts programs, only [`paths`] knows the platform's directories,
//! only [`cli`] prints.

pub mod event;
pub mod problem;
pub mod finding;
pub mod clock;
pub mod paths;
pub mod pattern;
pub mod template;
pub mod key_file;
pub mod process;
pub mod document;
pub mod autostart;
pub mod mime;
pub mod message;
pub mod invitation;
pub mod wire;
pub mod client;
pub mod status;
pub mod schema;
pub mod control;
pub mod desktop;
pub mod handler;
pub mod config;
pub mod secret;
pub mod router;
pub mod store;
pub mod unseen;
pub mod schedule;
pub mod dispatcher;
pub mod popups;
pub mod listener;
pub mod watcher;
pub mod tunnel;
pub mod app;
pub mod cli;
