use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().any(|word| word == "send") {
        // A mail server reads our exit code: a mistake of ours must not bounce anybody's mail.
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |why| {
            told(why);
            std::process::exit(0)
        }));
    }
    mailknock::cli::main()
}
