//! The thread of the icon, and how others get something done there.

#[cfg(any(windows, target_os = "macos"))]
mod tao;
#[cfg(not(any(windows, target_os = "macos")))]
mod thread;

#[cfg(any(windows, target_os = "macos"))]
pub use tao::{Handed, Loop, main};
#[cfg(not(any(windows, target_os = "macos")))]
pub use thread::{Handed, Loop, main};
