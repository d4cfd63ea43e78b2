//! Texts and commands with `{fields}` in them, over a closed set of names.
//!
//! What fields hold comes from whoever wrote the mail. In a command it is put into words that are already split, once,
//! never as the program, and never where a shell would read it, unless asked for in the quoted form `{field:sh}`. Where a
//! URL is made of it, the form is `{field:url}`.

use thiserror::Error;

/// Gives a field's value; none where the event doesn't say.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field { name: String, quoting: Quoting },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quoting {
    Bare,
    Shell,
    Url,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    #[error("unknown field `{{{field}}}`; the fields are {known}")]
    UnknownField { field: String, known: String },
    #[error("`{{` without `}}`; write `{{{{` for a brace")]
    Unclosed,
    #[error(
        "`{{{field}:{form}}}` is no form of a field; they are `{{{field}:sh}}` for shells and `{{{field}:url}}` for URLs"
    )]
    UnknownForm { field: String, form: String },
    #[error("the command is empty")]
    Empty,
    #[error("unbalanced quotes")]
    Quotes,
    #[error("`{{{field}}}` stands where the program is named; a mail must never choose a program")]
    FieldAsProgram { field: String },
    #[error("a shell would read what `{{{field}}}` holds; write `{{{field}:sh}}`, the quoted form")]
    BareFieldInShell { field: String },
    #[error(
        "{program} would read what `{{{field}}}` holds as a program, and `{{{field}:sh}}` is for shells alone; give it to a script"
    )]
    FieldInProgram { program: String, field: String },
    #[error(
        "`cmd.exe` runs `{program}`, and reads what `{{{field}}}` holds once more as commands, however it is quoted; name a program that is no batch file"
    )]
    FieldInBatchFile { program: String, field: String },
}

/// Why a command was not run for this event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    #[error("`{field}` begins with `-` and would be read as an option")]
    LooksLikeOption { field: String },
    #[error("`{field}` holds control characters, which no quoting makes safe")]
    ControlCharacters { field: String },
}

impl Template {
    /// `{{` and `}}` stand for braces.
    pub fn parse(source: &str, known: &[&str]) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("{{") {
                text.push('{');
                rest = after;
            } else if let Some(after) = rest.strip_prefix("}}") {
                text.push('}');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let (field, after) = after.split_once('}').ok_or(TemplateError::Unclosed)?;
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(Self::field(field, known)?);
                rest = after;
            } else {
                text.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self { source: source.to_owned(), parts })
    }

    fn field(written: &str, known: &[&str]) -> Result<Part, TemplateError> {
        let (name, quoting) = match written.split_once(':') {
            None => (written, Quoting::Bare),
            Some((name, "sh")) => (name, Quoting::Shell),
            Some((name, "url")) => (name, Quoting::Url),
            Some((name, form)) => {
                return Err(TemplateError::UnknownForm { field: name.to_owned(), form: form.to_owned() });
            }
        };
        if !known.contains(&name) {
            let known = known.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(" ");
            return Err(TemplateError::UnknownField { field: name.to_owned(), known });
        }
        Ok(Part::Field { name: name.to_owned(), quoting })
    }

    /// As the user wrote it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text with its fields filled in; a field that is absent is empty.
    pub fn render(&self, lookup: Lookup<'_>) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Field { name, quoting } => {
                    let value = lookup(name).unwrap_or_default();
                    match quoting {
                        Quoting::Url => text.push_str(&percent_encoded(&value)),
                        Quoting::Bare | Quoting::Shell => text.push_str(&value),
                    }
                }
            }
        }
        text
    }

    fn first_field(&self, accept: impl Fn(Quoting) -> bool) -> Option<&str> {
        self.parts.iter().find_map(|part| match part {
            Part::Field { name, quoting } if accept(*quoting) => Some(name.as_str()),
            _ => None,
        })
    }

    /// One word of a command; none if a field of it is absent.
    fn word(&self, lookup: Lookup<'_>) -> Result<Option<String>, Refused> {
        let mut word = String::new();
        for (at, part) in self.parts.iter().enumerate() {
            let (name, quoting) = match part {
                Part::Text(fixed) => {
                    word.push_str(fixed);
                    continue;
                }
                Part::Field { name, quoting } => (name, quoting),
            };
            let Some(value) = lookup(name) else { return Ok(None) };
            match quoting {
                // Also where it is quoted for a shell: the program that this starts reads it as an option all the same. On
                // Windows that is also what begins with a slash.
                _ if at == 0 && (value.starts_with('-') || (cfg!(windows) && value.starts_with('/'))) => {
                    return Err(Refused::LooksLikeOption { field: name.clone() });
                }
                Quoting::Bare => word.push_str(&value.replace('\0', "")),
                Quoting::Shell | Quoting::Url if value.chars().any(char::is_control) => {
                    return Err(Refused::ControlCharacters { field: name.clone() });
                }
                Quoting::Shell => word.push_str(&shell_words::quote(&value)),
                Quoting::Url => word.push_str(&percent_encoded(&value)),
            }
        }
        Ok(Some(word))
    }
}

/// As a piece of a URL (RFC 3986 section 2): letters, digits and `-._~` stand for themselves, and so does the `@` of
/// addresses, that a Message-ID stays readable. No quote, blank or backslash is left in it.
fn percent_encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' | b'@' => encoded.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A command whose words may hold fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandTemplate {
    words: Vec<Template>,
}

impl CommandTemplate {
    /// Splits `command` as a shell would, then looks for fields.
    pub fn parse(command: &str, known: &[&str]) -> Result<Self, TemplateError> {
        Self::from_words(&split(command).ok_or(TemplateError::Quotes)?, known)
    }

    pub fn from_words(words: &[String], known: &[&str]) -> Result<Self, TemplateError> {
        let command = Self::from_trusted_words(words, known)?;
        let [program, arguments @ ..] = command.words.as_slice() else { return Ok(command) };
        if let Some(program) = read_by_cmd(&program.source, arguments)
            && let Some(field) = arguments.iter().find_map(|word| word.first_field(|_| true))
        {
            return Err(TemplateError::FieldInBatchFile { program, field: field.to_owned() });
        }
        if let Some(program) = read_by_an_interpreter(&program.source, arguments)
            && let Some(field) = arguments.iter().find_map(|word| word.first_field(|_| true))
        {
            return Err(TemplateError::FieldInProgram { program, field: field.to_owned() });
        }
        if read_by_a_shell(&program.source, arguments)
            && let Some(field) = arguments.iter().find_map(|word| word.first_field(|quoting| quoting != Quoting::Shell))
        {
            return Err(TemplateError::BareFieldInShell { field: field.to_owned() });
        }
        Ok(command)
    }

    /// Words that we wrote ourselves, and that a shell or an interpreter may read: whoever writes them answers for every
    /// field in them.
    pub fn from_trusted_words(words: &[impl AsRef<str>], known: &[&str]) -> Result<Self, TemplateError> {
        let words = words.iter().map(|word| Template::parse(word.as_ref(), known)).collect::<Result<Vec<_>, _>>()?;
        let Some(program) = words.first() else { return Err(TemplateError::Empty) };
        if program.source.is_empty() {
            return Err(TemplateError::Empty);
        }
        if let Some(field) = program.first_field(|_| true) {
            return Err(TemplateError::FieldAsProgram { field: field.to_owned() });
        }
        Ok(Self { words })
    }

    /// The fields in it.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let parts = self.words.iter().flat_map(|word| &word.parts);
        parts.filter_map(|part| match part {
            Part::Field { name, .. } => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The words to run. A word whose field is absent is left out, so that `thunderbird mid:{message_id}` still opens
    /// the program where the server told no message id.
    pub fn fill(&self, lookup: Lookup<'_>) -> Result<Vec<String>, Refused> {
        let mut filled = Vec::with_capacity(self.words.len());
        for word in &self.words {
            filled.extend(word.word(lookup)?);
        }
        Ok(filled)
    }

    /// What is run, whatever the fields hold.
    pub fn program(&self) -> &str {
        self.words.first().map_or("", Template::source)
    }

    /// The words as the user wrote them.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(Template::source)
    }
}

/// The interpreter that the program is, or starts, if it reads an argument as a program of a language other than the
/// shell's: `perl -e`, `emacsclient --eval`.
fn read_by_an_interpreter(program: &str, arguments: &[Template]) -> Option<String> {
    const INTERPRETERS: [&str; 11] =
        ["emacs", "emacsclient", "perl", "python", "ruby", "node", "lua", "php", "guile", "osascript", "awk"];
    // They read all that follows, and quote otherwise than the shells do.
    // `wsl` hands its words to a shell, without `--exec`; `forfiles` to cmd; `mshta` takes programs.
    const ALWAYS: [&str; 5] = ["powershell", "pwsh", "wsl", "forfiles", "mshta"];
    let evaluates = |word: &Template| {
        let word = word.source.as_str();
        let is_short = word.starts_with('-') && !word.starts_with("--") && word.ends_with(['c', 'e', 'E', 'r', 'p']);
        is_short || word == "--eval" || word.starts_with("--eval=") || word == "--execute"
    };
    let mut words = std::iter::once(program).chain(arguments.iter().map(Template::source));
    let interpreter = words.find_map(|word| {
        let name = bare_name(word);
        let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        (INTERPRETERS.contains(&bare) || ALWAYS.contains(&bare)).then(|| name.to_owned())
    })?;
    let reads_all = interpreter.contains("awk") || ALWAYS.contains(&interpreter.as_str());
    (reads_all || arguments.iter().any(evaluates)).then_some(interpreter)
}

/// The batch file that the program is, or starts, or `cmd` itself. On Windows `cmd.exe` takes its whole command line apart
/// by rules of its own: the standard library quotes for it what can be quoted, and refuses the rest (CVE-2024-24576),
/// which is the second line of defence and not the first. A name without an ending is never a batch file: see
/// `process::find`. Elsewhere such a name in an argument is a name like any other.
fn read_by_cmd(program: &str, arguments: &[Template]) -> Option<String> {
    let starters = if cfg!(windows) { arguments } else { &[] };
    cmd_among(std::iter::once(program).chain(starters.iter().map(Template::source)))
}

fn cmd_among<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<String> {
    words.find_map(|word| {
        let name = bare_name(word.trim_end_matches(['.', ' ']));
        // Before a colon is a drive, behind it a stream: `C:x.cmd`, `x.cmd::$DATA`.
        let is_read = name.split(':').any(|part| {
            // The system looks past these at the end of a file's name.
            let part = part.trim_end_matches(['.', ' ']);
            part == "cmd" || part == "command.com" || part.ends_with(".cmd") || part.ends_with(".bat")
        });
        is_read.then_some(name)
    })
}

/// A program's name without its directory, as Windows compares names.
fn bare_name(program: &str) -> String {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program).to_ascii_lowercase();
    name.strip_suffix(".exe").map(str::to_owned).unwrap_or(name)
}

/// The words of a command line. On Windows a backslash is a part of a path; elsewhere it quotes, as in shells.
pub fn split(command: &str) -> Option<Vec<String>> {
    match cfg!(windows) {
        true => split_with_paths(command),
        false => shell_words::split(command).ok(),
    }
}

/// As shells split words, but for the backslash, which is one. None where a quote is not closed.
fn split_with_paths(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in command.chars() {
        match (quote, c) {
            (None, ' ' | '\t' | '\n' | '\r') => words.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Whether the program, or one that it starts, reads its arguments as a script.
fn read_by_a_shell(program: &str, arguments: &[Template]) -> bool {
    let reads_arguments = |name: &str| matches!(name, "ssh" | "su" | "xargs");
    if reads_arguments(&bare_name(program)) {
        return true;
    }
    let is_option = |word: &Template, letter: char| {
        word.source.starts_with('-') && !word.source.starts_with("--") && word.source.contains(letter)
    };
    // `env sh -c`, `nice bash -lc` and the like: any word may be the shell.
    let shell = std::iter::once(program).chain(arguments.iter().map(Template::source)).any(|word| {
        matches!(
            bare_name(word).as_str(),
            "sh" | "bash" | "dash" | "zsh" | "ksh" | "mksh" | "ash" | "fish" | "csh" | "tcsh" | "busybox"
        )
    });
    let nested = arguments.iter().any(|word| reads_arguments(&bare_name(word.source())));
    nested
        || (shell && arguments.iter().any(|word| is_option(word, 'c')))
        || arguments.iter().any(|word| matches!(word.source(), "-e" | "--eval"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["folder", "uid", "message_id"];

    fn lookup(name: &str) -> Option<String> {
        match name {
            "folder" => Some("it's $(x)".into()),
            "uid" => Some("-7".into()),
            _ => None,
        }
    }

    #[test]
    fn texts_are_filled_once_and_braces_can_be_written() {
        let text = Template::parse("{{{folder}}} {message_id}!", KNOWN).unwrap();
        assert_eq!(text.render(&lookup), "{it's $(x)} !");
    }

    #[test]
    fn no_field_is_read_as_a_program_however_it_is_quoted() {
        for command in [
            "emacsclient --eval '(f \"{folder:sh}\")'",
            "emacsclient -n -e '(f \"{folder}\")'",
            "emacs '--eval=(f \"{folder:sh}\")'",
            "env perl -e 'print q({folder})'",
            "/usr/bin/python3.11 -c 'print(\"{folder:sh}\")'",
            "awk 'BEGIN {{ print \"{folder}\" }}'",
        ] {
            let error = CommandTemplate::parse(command, KNOWN).unwrap_err();
            assert!(matches!(error, TemplateError::FieldInProgram { .. }), "{command}: {error}");
        }
        for command in ["python3 ~/bin/open.py {folder}", "emacsclient -n {folder}", "xterm -e ssh m less {folder:sh}"]
        {
            assert!(CommandTemplate::parse(command, KNOWN).is_ok(), "{command}");
        }
    }

    #[test]
    fn no_field_gets_into_a_batch_file_however_it_is_quoted() {
        for command in [
            "open.cmd {folder}",
            "OPEN.Bat {folder:sh}",
            "'C:/my tools/open.cmd' mid:{folder:url}",
            "'open.cmd ' {folder}",
            "open.cmd. {folder}",
            "'open.cmd. .' {folder}",
            "open.bat::$DATA {folder}",
            "cmd /c {folder:sh}",
            "CMD.EXE /d /s/c 'start {folder}'",
            "C:/Windows/system32/cmd.exe /k {folder}",
            "c:open.cmd {folder}",
            "command.com {folder}",
        ] {
            let error = CommandTemplate::parse(command, KNOWN).unwrap_err();
            assert!(matches!(error, TemplateError::FieldInBatchFile { .. }), "{command}: {error}");
        }
        for starter in ["conhost.exe cmd /c", "env open.cmd"] {
            assert!(cmd_among(starter.split(' ')).is_some(), "{starter}");
        }
        for command in ["open.cmd x", "cmd /c dir", "opencmd {folder}", "open cmd.txt {folder}", "rebat {folder}"] {
            assert!(CommandTemplate::parse(command, KNOWN).is_ok(), "{command}");
        }
        for command in [
            "powershell -c {folder:sh}",
            "PowerShell.exe -Command {folder}",
            "env pwsh -File x.ps1 {folder:sh}",
            "wsl x {folder}",
        ] {
            let error = CommandTemplate::parse(command, KNOWN).unwrap_err();
            assert!(matches!(error, TemplateError::FieldInProgram { .. }), "{command}: {error}");
        }
    }

    #[test]
    fn where_paths_have_backslashes_these_quote_nothing() {
        let split = |command: &str| split_with_paths(command).map(|words| words.join("|"));
        assert_eq!(split(r#"C:\a\b.exe "C:\c d\" '\\x\é' e"f g"h"#).unwrap(), r"C:\a\b.exe|C:\c d\|\\x\é|ef gh");
        assert_eq!(split(" a \t'' \n").unwrap(), "a|");
        assert_eq!(split("").unwrap(), "");
        assert_eq!((split("a 'b"), split("\"'")), (None, None));
    }

    #[test]
    fn an_unknown_field_lists_the_known_ones() {
        let error = Template::parse("{fodler}", KNOWN).unwrap_err().to_string();
        assert_eq!(error, "unknown field `{fodler}`; the fields are {folder} {uid} {message_id}");
        assert_eq!(Template::parse("{folder", KNOWN), Err(TemplateError::Unclosed));
        assert!(Template::parse("{folder:html}", KNOWN).is_err());
    }

    #[test]
    fn fields_are_put_into_words_that_are_already_split() {
        let command = CommandTemplate::parse("open '{folder} x' mid:{message_id}", KNOWN).unwrap();
        assert_eq!(command.fill(&lookup), Ok(vec!["open".into(), "it's $(x) x".into()]));
    }

    #[test]
    fn a_mail_chooses_no_program_and_no_option() {
        assert!(matches!(CommandTemplate::parse("{folder} x", KNOWN), Err(TemplateError::FieldAsProgram { .. })));
        let command = CommandTemplate::parse("open {uid}", KNOWN).unwrap();
        assert_eq!(command.fill(&lookup), Err(Refused::LooksLikeOption { field: "uid".into() }));
        let command = CommandTemplate::parse("open --uid={uid}", KNOWN).unwrap();
        assert_eq!(command.fill(&lookup), Ok(vec!["open".into(), "--uid=-7".into()]));
    }

    #[test]
    fn where_a_shell_reads_only_the_quoted_form_is_taken() {
        for command in [
            "ssh mail x {folder}",
            "/usr/bin/ssh mail {folder}",
            "sh -c 'x {folder}'",
            "bash -lc 'x {folder}'",
            "env FOO=1 sh -c {folder}",
            "su -c {folder} me",
            "nice ssh mail {folder}",
            "timeout 5 /usr/bin/ssh mail x {folder}",
            "env /bin/su -c {folder} me",
            "perl -e {folder}",
            "xargs {folder}",
            "perl -e {folder:url}",
        ] {
            let error = CommandTemplate::parse(command, KNOWN).unwrap_err();
            assert!(error.to_string().contains("`{folder:sh}`"), "{command}: {error}");
        }
        let command = CommandTemplate::parse("ssh mail x {folder:sh}", KNOWN).unwrap();
        assert_eq!(command.fill(&lookup).unwrap()[3], r"'it'\''s $(x)'");
        let option = |_: &str| Some("-oProxyCommand=x".to_owned());
        assert!(matches!(command.fill(&option), Err(Refused::LooksLikeOption { .. })));
        let control = |_: &str| Some("a\nb".to_owned());
        assert!(matches!(command.fill(&control), Err(Refused::ControlCharacters { .. })));
    }

    #[test]
    fn in_the_form_for_urls_nothing_but_letters_digits_and_a_few_signs_is_left() {
        let filled = |value: &str| {
            let value = value.to_owned();
            let command = CommandTemplate::parse("open x:{folder:url}", KNOWN).unwrap();
            command.fill(&|_| Some(value.clone())).map(|mut words| words.remove(1))
        };
        assert_eq!(filled("aZ0-._~@").unwrap(), "x:aZ0-._~@");
        assert_eq!(
            filled("a b\"'\\`$(){}<>&;?#/+=%ä").unwrap(),
            "x:a%20b%22%27%5C%60%24%28%29%7B%7D%3C%3E%26%3B%3F%23%2F%2B%3D%25%C3%A4"
        );
        assert!(matches!(filled("a\nb"), Err(Refused::ControlCharacters { .. })));
        assert_eq!(Template::parse("{folder:url}", KNOWN).unwrap().render(&lookup), "it%27s%20%24%28x%29");
        let command = CommandTemplate::parse("open {uid:url}", KNOWN).unwrap();
        assert_eq!(command.fill(&lookup), Err(Refused::LooksLikeOption { field: "uid".into() }));
    }

    #[test]
    fn a_command_must_name_a_program() {
        assert_eq!(CommandTemplate::parse("", KNOWN), Err(TemplateError::Empty));
        assert_eq!(CommandTemplate::parse("''", KNOWN), Err(TemplateError::Empty));
        assert_eq!(CommandTemplate::parse("a 'b", KNOWN), Err(TemplateError::Quotes));
    }
}
