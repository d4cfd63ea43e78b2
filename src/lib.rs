//! Mailknock, from its senders to the screen.
pub mod event;
pub mod problem;
pub mod clock;
pub mod paths;
pub mod mime;
pub mod pattern;
pub mod template;
pub mod process;
pub mod document;
pub mod wire;
pub mod client;
pub mod status;
pub mod desktop;
pub mod handler;
pub mod config;
