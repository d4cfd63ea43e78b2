//! Whether the programs that the configuration names are there.

use crate::config::{Config, Pass};
use crate::finding::Finding;
use crate::handler::Kind;
use crate::process;

pub fn look(config: &Config) -> Vec<Finding> {
    let mut named: Vec<(String, String)> = Vec::new();
    for handler in &config.handlers {
        match &handler.kind {
            Kind::Command(command) => named.push((format!("handler {}", handler.name), command.words[0].clone())),
            Kind::Notify(notify) => named.extend(notify.actions.iter().map(|action| {
                (format!("button {} of {}", action.label, handler.name), action.command.program().to_owned())
            })),
            Kind::Silence | Kind::Log(_) => {}
        }
    }
    named.extend(config.tray.open.as_ref().map(|open| ("tray.open".to_owned(), open.program().to_owned())));
    let opened = config.accounts.iter().filter_map(|account| account.open.as_ref());
    named.extend(opened.map(|open| ("account.open".to_owned(), open.program().to_owned())));
    if let Some(Pass::Command(words)) = config.auth.as_ref().map(|auth| &auth.pass) {
        named.push(("auth.pass_command".to_owned(), words[0].clone()));
    }
    named.into_iter().map(|(name, program)| found(name, &program)).collect()
}

fn found(name: String, program: &str) -> Finding {
    match process::find(program) {
        Ok(path) => Finding::ok(name, path.display().to_string()),
        Err(why) => match why.split_once(". ") {
            Some((said, advice)) => Finding::failed(name, said).advise(advice),
            None => Finding::failed(name, why),
        },
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::finding::State;

    #[test]
    fn every_program_that_the_configuration_names_is_looked_for() {
        let text = "[auth]\nuser = \"u\"\npass_command = \"/nonexistent/secret-tool x\"\n\
            [tray]\nopen = \"no-mail mid:{message_id}\"\n\
            [[handler]]\nname = \"fetch\"\ncommand = \"sh -c true\"\n[[handler]]\nlog = \"info\"\n\
            [[account]]\nuser = \"u\"\nopen = \"no-mail\"\n\
            [[handler]]\n[[handler.notify.actions]]\nlabel = \"Read\"\ncommand = \"no-mail\"\n";
        let (config, problems) = Config::parse("f", text);
        let found = look(&config.unwrap_or_else(|| panic!("{problems:?}")));
        let told: Vec<_> = found.iter().map(|finding| (finding.name.as_str(), finding.state)).collect();
        let expected = [
            ("handler fetch", State::Ok),
            ("button Read of notify-3", State::Failed),
            ("tray.open", State::Failed),
            ("account.open", State::Failed),
            ("auth.pass_command", State::Failed),
        ];
        assert_eq!(told, expected);
        assert!(found[0].said.ends_with("/sh"), "{found:?}");
        assert_eq!(found[1].said, "`no-mail` not found");
        assert!(found[1].advice.as_deref().unwrap().contains("on PATH"), "{found:?}");
    }
}
