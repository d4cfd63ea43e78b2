use std::process::ExitCode;

fn main() -> ExitCode {
    mailknock::cli::main()
}
