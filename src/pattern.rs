//! Patterns of handlers' filters: `*` and `?`, no case, and nothing else (`[Gmail]/Spam` is a name).

use std::fmt;

/// A list of globs. One that begins with `!` excludes; a list of exclusions alone means all but those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patterns {
    globs: Vec<Glob>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Glob {
    text: String,
    excludes: bool,
}

impl Patterns {
    pub fn any() -> Self {
        Self::new(["*"])
    }

    pub fn new<S: AsRef<str>>(globs: impl IntoIterator<Item = S>) -> Self {
        let glob = |text: S| match text.as_ref().strip_prefix('!') {
            Some(rest) => Glob { text: rest.to_owned(), excludes: true },
            None => Glob { text: text.as_ref().to_owned(), excludes: false },
        };
        Self { globs: globs.into_iter().map(glob).collect() }
    }

    pub fn accept(&self, text: &str) -> bool {
        self.accept_by(|glob| matches(glob, text))
    }

    /// A mailbox matches by its address or its name; a glob with `@` by its address alone, because anyone can call
    /// himself `boss@example.org`.
    pub fn accept_mailbox(&self, name: &str, address: &str) -> bool {
        self.accept_by(|glob| matches(glob, address) || (!glob.contains('@') && matches(glob, name)))
    }

    fn accept_by(&self, matches: impl Fn(&str) -> bool) -> bool {
        let (mut included, mut any_included) = (false, false);
        for glob in &self.globs {
            if glob.excludes {
                if matches(&glob.text) {
                    return false;
                }
            } else {
                any_included = true;
                included = included || matches(&glob.text);
            }
        }
        included || !any_included
    }

    /// The list as it is written in a configuration.
    pub fn globs(&self) -> impl Iterator<Item = String> + '_ {
        self.globs.iter().map(ToString::to_string)
    }

    /// The one text that is accepted, if the pattern is a plain name.
    pub fn as_name(&self) -> Option<&str> {
        match self.globs.as_slice() {
            [glob] if !glob.excludes && !glob.text.contains(['*', '?']) => Some(&glob.text),
            _ => None,
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.excludes { "!" } else { "" }, self.text)
    }
}

/// Greedy with one step back to the last `*`: never worse than the product of both lengths.
fn matches(glob: &str, text: &str) -> bool {
    let same = |a: char, b: char| a == b || a.to_lowercase().eq(b.to_lowercase());
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut g, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(&c) if c == '?' || same(c, text[t]) => {
                g += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    g = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(globs: &[&str], text: &str, expected: bool) {
        assert_eq!(Patterns::new(globs).accept(text), expected, "{globs:?} on {text:?}");
    }

    #[test]
    fn globs_without_case_and_brackets_are_names() {
        check(&["*"], "", true);
        check(&["INBOX"], "inbox", true);
        check(&["INBOX"], "INBOX/x", false);
        check(&["[Gmail]/Spam"], "[Gmail]/Spam", true);
        check(&["[Gmail]/Spam"], "G/Spam", false);
        check(&["lists/*"], "Lists/rust", true);
        check(&["*a*b*c"], "xaybzbc", true);
        check(&["?x"], "äX", true);
        check(&["ÄRGER*"], "ärgerlich", true);
        check(&[""], "x", false);
    }

    #[test]
    fn exclusions_win_and_alone_mean_all_but_those() {
        check(&["!Spam", "!Trash"], "INBOX", true);
        check(&["!Spam", "!Trash"], "trash", false);
        check(&["*", "!Spam"], "Spam", false);
        check(&["a*", "!ab"], "ac", true);
        check(&["a*", "!ab"], "b", false);
    }

    #[test]
    fn a_pattern_with_an_at_sign_matches_the_address_only() {
        let boss = Patterns::new(["boss@example.org"]);
        assert!(boss.accept_mailbox("The boss", "boss@example.org"));
        assert!(!boss.accept_mailbox("boss@example.org", "evil@example.net"));
        assert!(Patterns::new(["*boss*"]).accept_mailbox("The boss", "x@example.org"));
    }

    #[test]
    fn a_hostile_text_takes_no_long_time() {
        let started = std::time::Instant::now();
        let glob = "*a".repeat(50) + "b";
        check(&[&glob], &"a".repeat(20_000), false);
        assert!(started.elapsed().as_secs() < 5, "linear in each star, not exponential");
    }
}
