//! `mailknock` without a console window, for menus and the start at login on Windows; see Cargo.toml.
#![cfg_attr(windows, windows_subsystem = "windows")]

fn main() -> std::process::ExitCode {
    mailknock::cli::main()
}
