//! Files of `[sections]` with lines of `key=value`: desktop entries, the desktop's lists, units of systemd. Reading and
//! writing the commands in them, by the Desktop Entry Specification and systemd.syntax(7).

/// What the Desktop Entry Specification wants in quotes.
const RESERVED: &[char] =
    &[' ', '\t', '\n', '"', '\'', '\\', '>', '<', '~', '|', '&', ';', '$', '*', '?', '#', '(', ')', '`'];

/// The value of a key in one section.
pub fn value(text: &str, section: &str, key: &str) -> Option<String> {
    let header = format!("[{section}]");
    let lines = text.lines().map(str::trim).skip_while(|line| *line != header).skip(1);
    lines.take_while(|line| !line.starts_with('[')).find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

/// The text with other values for keys that it has, in whatever section.
pub fn with(text: &str, values: &[(&str, String)]) -> String {
    let line = |line: &str| {
        let key = line.split_once('=').map(|(key, _)| key);
        match values.iter().find(|(name, _)| key == Some(*name)) {
            Some((name, value)) => format!("{name}={value}\n"),
            None => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

/// The words of a desktop entry's `Exec` without its field codes, such as `%u`; none where it has no words.
pub fn exec_words(exec: &str) -> Option<Vec<String>> {
    let words = shell_words::split(&plain(exec)).ok()?;
    let words: Vec<String> = words
        .into_iter()
        .filter(|word| !(word.len() == 2 && word.starts_with('%') && word != "%%"))
        .map(|word| word.replace("%%", "%"))
        .collect();
    (!words.is_empty()).then_some(words)
}

/// A string of a desktop entry, without the escapes that any may hold.
pub fn plain(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match (c, rest.clone().next()) {
            ('\\', Some(escape @ ('s' | 'n' | 't' | 'r' | '\\'))) => {
                rest.next();
                text.push(match escape {
                    's' => ' ',
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                });
            }
            _ => text.push(c),
        }
    }
    text
}

/// A string as a desktop entry has it.
pub fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
}

/// A word of a desktop entry's `Exec`.
pub fn exec_word(word: &str) -> String {
    let word = word.replace('%', "%%");
    match word.contains(RESERVED) {
        // The escapes of any string come on top of the quotes.
        true => escaped(&quoted(&word, &['"', '\\', '`', '$'])),
        false => word,
    }
}

/// The program that an `ExecStart` of systemd names.
pub fn unit_program(exec_start: &str) -> Option<String> {
    let first = shell_words::split(exec_start).ok()?.into_iter().next()?;
    Some(first.trim_start_matches(['-', '@', ':', '+', '!']).replace("%%", "%"))
}

/// A word of an `ExecStart` of systemd. Not for one with `$`, which means different things in its places.
pub fn unit_word(word: &str) -> String {
    let word = word.replace('%', "%%");
    match word.contains([' ', '\t', '"', '\'', '\\', ';']) {
        true => quoted(&word, &['"', '\\']),
        false => word,
    }
}

fn quoted(word: &str, special: &[char]) -> String {
    let mut quoted = String::from("\"");
    for c in word.chars() {
        if special.contains(&c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: [&str; 6] = ["/usr/bin/a", "/a b/c", "/100%/a", "/a\\s/b", "/$HOME/`a`/\"b\"", "/it's/é;#"];

    #[test]
    fn a_value_is_its_sections() {
        let text = "# A=0\n[One]\nA=1\n[Two]\n A = 2 \nB==\n";
        let value = |section, key| value(text, section, key);
        assert_eq!(value("One", "A").as_deref(), Some("1"));
        assert_eq!(value("Two", "A").as_deref(), Some("2"));
        assert_eq!(value("Two", "B").as_deref(), Some("="));
        assert_eq!((value("One", "B"), value("Three", "A")), (None, None));
        assert_eq!(with("[One]\nA=1\nAB=1\n", &[("A", "x".to_owned())]), "[One]\nA=x\nAB=1\n");
    }

    #[test]
    fn a_command_is_read_without_quotes_escapes_and_field_codes() {
        assert_eq!(exec_words("\"/opt/my mail/bin\" 100%% %U"), Some(vec!["/opt/my mail/bin".into(), "100%".into()]));
        assert_eq!(exec_words(r#""/a\\$b" a\sb"#), Some(vec!["/a$b".into(), "a".into(), "b".into()]));
        assert_eq!((exec_words(""), exec_words("%u"), exec_words("\"a")), (None, None, None));
    }

    #[test]
    fn words_are_quoted_where_they_must_be() {
        assert_eq!(exec_word("/opt/100%/a"), "/opt/100%%/a");
        assert_eq!(exec_word("/a b"), "\"/a b\"");
        assert_eq!(exec_word("/$a"), r#""/\\$a""#);
        assert_eq!(exec_word("/\\"), r#""/\\\\""#);
        assert_eq!(unit_word("/a b/c%"), "\"/a b/c%%\"");
        for word in ODD {
            assert_eq!(exec_words(&exec_word(word)), Some(vec![word.to_owned()]));
            assert_eq!(plain(&escaped(word)), word);
            assert_eq!(unit_program(&unit_word(word)).as_deref(), Some(word));
        }
        assert_eq!(unit_program("-:/bin/a b").as_deref(), Some("/bin/a"));
    }
}
