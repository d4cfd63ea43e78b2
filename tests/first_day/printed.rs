//! What the program prints, as a person reads it who knows shells and files, and nothing of Mailknock.

/// A part of a page, which is to be done on one machine.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    pub title: &'a str,
    pub text: &'a str,
}

/// The parts of a page, in their order.
pub fn sections(page: &str) -> Vec<Section<'_>> {
    let parts = page.split("\n# ==== ").skip(1);
    parts.filter_map(|part| part.split_once('\n')).map(|(title, text)| Section { title, text }).collect()
}

impl<'a> Section<'a> {
    /// The file that the text is for.
    pub fn file(&self) -> Option<&'a str> {
        let file = self.title.split([' ', ',', ';']).find(|word| word.starts_with(['/', '~']))?;
        Some(file.trim_end_matches(':'))
    }

    /// Who may do what with it, where that is said.
    pub fn mode(&self) -> Option<u32> {
        let said = |text: &str| {
            let (_, after) = text.split_once("mode ")?;
            u32::from_str_radix(after.get(..3)?, 8).ok()
        };
        said(self.title).or_else(|| said(self.text.lines().next()?))
    }

    /// What is to be copied.
    pub fn lines(&self) -> impl Iterator<Item = &'a str> {
        self.text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
    }

    /// The commands that the words beside it tell of, each a line of its own.
    pub fn told(&self) -> impl Iterator<Item = &'a str> {
        self.text.lines().filter_map(|line| line.strip_prefix("#   ")).map(str::trim)
    }

    /// Whether it is to be done where it was printed.
    pub fn is_here(&self) -> bool {
        self.title.trim_start_matches(|c: char| c.is_ascii_digit() || ". ".contains(c)).starts_with("Here")
    }
}

/// What stands between backquotes: commands, mostly.
pub fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The commands of a list that says of each what it does.
pub fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.split_once("  ")).map(|(command, _)| command)
}

/// The one that begins so.
#[track_caller]
pub fn starting<'a>(start: &str, mut commands: impl Iterator<Item = &'a str>) -> &'a str {
    commands.find(|command| command.starts_with(start)).unwrap_or_else(|| panic!("nothing says `{start} …`"))
}

#[test]
fn a_page_is_read_in_its_parts() {
    let page = "# Head\n\n# ==== 1. Here: do\nrun it\n# A note:\n#   sshd -t\n\n# ==== X 2.3: /etc/x.conf, root, mode 600\na = 1\n";
    let parts = sections(page);
    assert_eq!(parts.len(), 2);
    assert!(parts[0].is_here() && parts[0].file().is_none() && !parts[1].is_here());
    assert_eq!((parts[0].lines().collect::<Vec<_>>(), parts[0].told().collect()), (vec!["run it"], vec!["sshd -t"]));
    assert_eq!((parts[1].file(), parts[1].mode()), (Some("/etc/x.conf"), Some(0o600)));
    assert_eq!(quoted("`a b` c `d`").collect::<Vec<_>>(), ["a b", "d"]);
    assert_eq!(listed("It is.\nx y  does so\nz    too\n").collect::<Vec<_>>(), ["x y", "z"]);
}
