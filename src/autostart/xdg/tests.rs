//! Every file is in a directory of the test's own; the program that is written down is anything.

use super::super::staying;
use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

/// A program that is on every such system.
const SHELL: &str = "/bin/sh";

type Act = fn(&Bench) -> Result<Changed, Refused>;

struct Bench {
    top: TempDir,
    autostart: Autostart,
}

impl Bench {
    fn new() -> Self {
        let top = tempfile::tempdir().expect("a temporary directory");
        let autostart = Autostart::below(&top.path().join("config"), &[top.path().join("system")]);
        Self { top, autostart }
    }

    fn enable(&self, way: Way) -> Result<Changed, Refused> {
        self.autostart.enable_program(way, Path::new(SHELL))
    }

    /// Puts a file there that is not ours.
    fn put(&self, file: &Path, text: &str) {
        fs::create_dir_all(file.parent().expect("it is in a directory")).expect("the directory is ours");
        fs::write(file, text).expect("the directory is ours");
    }

    /// A package installs its file for everybody.
    fn put_system_entry(&self, program: &str) {
        self.put(&self.autostart.system_entries[0], &ENTRY.replace("/usr/bin/mailknock", program));
    }

    fn ways(&self) -> Vec<Way> {
        self.autostart.found().into_iter().map(|found| found.way).collect()
    }

    /// Everything below the directory, with its text or where it leads.
    fn files(&self) -> Vec<(PathBuf, String)> {
        let (mut files, mut directories) = (Vec::new(), vec![self.top.path().to_owned()]);
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("it is there").flatten() {
                let path = entry.path();
                match (fs::read_link(&path), path.is_dir()) {
                    (Ok(target), _) => files.push((path, target.display().to_string())),
                    (Err(_), true) => directories.push(path),
                    (Err(_), false) => files.push((path.clone(), fs::read_to_string(&path).expect("it is text"))),
                }
            }
        }
        files.sort();
        files
    }

    /// Whatever is tried is refused, and nothing changes.
    #[track_caller]
    fn refuses(&self, acts: &[Act], why: &str) {
        let before = self.files();
        for act in acts {
            let refused = act(self).expect_err("it must be refused").to_string();
            assert!(refused.contains(why), "{refused}");
            assert_eq!(self.files(), before);
        }
    }
}

const BY_DESKTOP: Act = |bench| bench.enable(Way::Desktop);
const BY_SYSTEMD: Act = |bench| bench.enable(Way::Systemd);
const DISABLE: Act = |bench| bench.autostart.disable();

#[test]
fn one_way_or_the_other_and_never_both() {
    let bench = Bench::new();
    assert!(bench.ways().is_empty() && !bench.autostart.is_enabled());
    for _ in 0..2 {
        assert_eq!(bench.enable(Way::Desktop).unwrap(), Changed { units: false });
        assert_eq!(bench.ways(), [Way::Desktop]);
    }
    for _ in 0..2 {
        assert_eq!(bench.enable(Way::Systemd).unwrap(), Changed { units: true });
        assert_eq!(bench.ways(), [Way::Systemd]);
        assert_eq!(bench.files().len(), 2, "the unit and its link: {:?}", bench.files());
    }
    assert_eq!(bench.enable(Way::Desktop).unwrap(), Changed { units: true });
    assert_eq!((bench.ways(), bench.files().len()), (vec![Way::Desktop], 1));
    assert!(bench.autostart.is_enabled());
    assert_eq!(bench.autostart.disable().unwrap(), Changed { units: false });
    let _ = bench.enable(Way::Systemd).unwrap();
    assert_eq!(bench.autostart.disable().unwrap(), Changed { units: true });
    assert_eq!((bench.ways(), bench.files()), (vec![], vec![]));
    assert_eq!(bench.autostart.disable().unwrap(), Changed { units: false });
}

#[test]
fn what_is_packaged_and_what_is_written_are_the_same() {
    let words = ["/usr/bin/mailknock", "run"];
    assert_eq!(entry_of(&words), ENTRY);
    assert_eq!(unit_of(&words), UNIT);
    assert!(UNIT.contains(&format!("WantedBy={TARGET}\n")));
}

#[test]
fn odd_paths_are_written_so_that_they_are_read_as_they_are() {
    let mut bench = Bench::new();
    let directory = bench.top.path().join("a b/~;#&é");
    let program = directory.join("mailknock");
    bench.put(&program, "");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    bench.put(&directory.join("c 100%.toml"), "");
    bench.autostart.config = Some(directory.join("c 100%.toml"));
    for way in [Way::Desktop, Way::Systemd] {
        let _ = bench.autostart.enable_program(way, &program).unwrap();
        let found = bench.autostart.found().remove(0);
        assert_eq!((Path::new(&found.program), found.is_there, found.way), (program.as_path(), true, way));
    }
    let unit = fs::read_to_string(&bench.autostart.unit).unwrap();
    assert!(unit.contains("/~;#&é/mailknock\" run -c \"") && unit.contains("/~;#&é/c 100%%.toml\"\n"), "{unit}");
    fs::remove_file(&program).unwrap();
    assert!(!bench.autostart.found()[0].is_there && !bench.autostart.is_enabled());

    for (name, what) in [
        ("a\nb", "`\\n`"),
        ("a=b", "`=`"),
        ("100%", "`%`"),
        ("$a", "`$`"),
        ("`", "```"),
        ("it's", "`\\'`"),
        ("a\\b", "`\\\\`"),
    ] {
        for way in [Way::Desktop, Way::Systemd] {
            let refused = bench.autostart.enable_program(way, &directory.join(name)).unwrap_err().to_string();
            assert!(refused.contains(&format!("holds {what}")), "{refused}");
        }
    }
    bench.autostart.config = Some(directory.join("none.toml"));
    bench.refuses(&[BY_DESKTOP, BY_SYSTEMD], "none.toml: No such file");
}

#[test]
fn files_and_links_of_others_stay_as_they_are() {
    let bench = Bench::new();
    let theirs = bench.top.path().join("theirs");
    fs::write(&theirs, ENTRY).unwrap();
    fs::create_dir_all(bench.autostart.entry.parent().unwrap()).unwrap();
    symlink(&theirs, &bench.autostart.entry).unwrap();
    bench.refuses(&[BY_DESKTOP, BY_SYSTEMD, DISABLE], "autostart/mailknock.desktop is a symbolic link");
    fs::remove_file(&bench.autostart.entry).unwrap();
    bench.put(&bench.autostart.entry, "[Desktop Entry]\nType=Application\nExec=sh -c mailknock\n");
    bench.refuses(&[BY_DESKTOP, BY_SYSTEMD, DISABLE], "autostart/mailknock.desktop is not by `mailknock autostart`");
    // One that starts nothing is in nobody's way.
    bench.put(&bench.autostart.entry, "[Desktop Entry]\nExec=mailknock\nHidden=true\n");
    bench.refuses(&[BY_DESKTOP], "is not by");
    let _ = bench.enable(Way::Systemd).unwrap();
    let _ = bench.autostart.disable().unwrap();
    assert!(bench.autostart.entry.exists());

    let bench = Bench::new();
    bench.put(&bench.autostart.unit, &UNIT.replace("X-Mailknock=", "#"));
    bench.refuses(&[BY_SYSTEMD], "mailknock.service is not by `mailknock autostart`");
    let _ = bench.enable(Way::Desktop).unwrap();
    let _ = bench.autostart.disable().unwrap();
    assert!(bench.autostart.unit.exists(), "nothing started it");
    bench.autostart.make_link().unwrap();
    bench.refuses(&[BY_DESKTOP, BY_SYSTEMD, DISABLE], "mailknock.service is not by `mailknock autostart`");

    // A package's unit, enabled by hand.
    let bench = Bench::new();
    let packaged = bench.top.path().join("mailknock.service");
    fs::write(&packaged, UNIT).unwrap();
    fs::create_dir_all(bench.autostart.link.parent().unwrap()).unwrap();
    symlink(&packaged, &bench.autostart.link).unwrap();
    assert_eq!(bench.ways(), [Way::Systemd]);
    let remedy = "`systemctl --user disable mailknock.service`";
    bench.refuses(&[BY_DESKTOP, BY_SYSTEMD, DISABLE], remedy);
}

#[test]
fn what_a_package_starts_for_everybody_is_hidden_and_shown_again() {
    let bench = Bench::new();
    bench.put_system_entry(SHELL);
    assert_eq!(bench.ways(), [Way::Desktop]);
    let _ = bench.autostart.disable().unwrap();
    assert!(bench.ways().is_empty());
    assert!(fs::read_to_string(&bench.autostart.entry).unwrap().ends_with("\nHidden=true\n"));
    let _ = bench.enable(Way::Desktop).unwrap();
    assert_eq!(bench.ways(), [Way::Desktop]);
    assert!(!bench.autostart.entry.exists(), "the system's own does it");
    let _ = bench.enable(Way::Systemd).unwrap();
    assert_eq!(bench.ways(), [Way::Systemd]);
    // Another program than the system's.
    bench.put_system_entry("/usr/bin/mailknock");
    let _ = bench.enable(Way::Desktop).unwrap();
    assert_eq!(bench.autostart.found()[0].file, bench.autostart.entry);
}

#[test]
fn what_the_desktops_settings_switch_off_is_off() {
    let bench = Bench::new();
    let _ = bench.enable(Way::Desktop).unwrap();
    let on = fs::read_to_string(&bench.autostart.entry).unwrap();
    for off in ["Hidden=true", "X-GNOME-Autostart-enabled=false"] {
        bench.put(&bench.autostart.entry, &format!("{on}{off}\n"));
        assert!(bench.ways().is_empty(), "{off}");
        let _ = bench.enable(Way::Desktop).unwrap();
        assert_eq!(fs::read_to_string(&bench.autostart.entry).unwrap(), on);
    }
    for on_too in ["Hidden=false", "X-GNOME-Autostart-enabled=true", "[Other]\nHidden=true"] {
        bench.put(&bench.autostart.entry, &format!("{on}{on_too}\n"));
        assert_eq!(bench.ways(), [Way::Desktop], "{on_too}");
    }
}

#[test]
fn a_home_that_cannot_be_written_is_said() {
    let bench = Bench::new();
    fs::write(bench.top.path().join("config"), "a file in the way").unwrap();
    bench.refuses(&[BY_DESKTOP, BY_SYSTEMD], "failed to write ");
}

#[test]
fn only_a_program_that_stays_is_taken() {
    let shell = staying(Path::new(SHELL), &paths::temporary_directories()).unwrap();
    assert_eq!(shell, Path::new(SHELL).canonicalize().unwrap());

    let top = tempfile::tempdir().unwrap();
    let top = top.path().canonicalize().unwrap();
    let program = |below: &str| {
        let program = top.join(below);
        fs::create_dir_all(program.parent().expect("it is in a directory")).expect("the directory is ours");
        fs::write(&program, "").expect("the directory is ours");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
        program
    };
    let refusal = |program: &Path| staying(program, &[]).map_err(|refused| refused.to_string()).unwrap_err();
    let installed = program("bin/mailknock");
    assert_eq!(staying(&installed, &[]).unwrap(), installed);
    symlink(&installed, top.join("link")).unwrap();
    assert_eq!(staying(&top.join("link"), &[]).unwrap(), installed, "the link may lead elsewhere tomorrow");

    for gone in [top.join("bin/mailknock (deleted)"), program("mailknock (deleted)"), top.join("none")] {
        assert!(refusal(&gone).contains("is gone: it was replaced or removed"), "{}", gone.display());
    }
    let refused = staying(&installed, std::slice::from_ref(&top)).unwrap_err().to_string();
    assert!(refused.contains("Install it, for example with"), "{refused}");
    assert!(staying(&installed, &paths::temporary_directories()).is_err());
    for built in ["target/debug/mailknock", "target/release/mailknock", "target/debug/deps/mailknock-1"] {
        assert!(refusal(&program(built)).contains("will not stay"), "{built}");
    }
    let elsewhere = program("elsewhere/dist/mailknock");
    fs::write(top.join("elsewhere/CACHEDIR.TAG"), "# left out of backups\n").unwrap();
    assert!(staying(&elsewhere, &[]).is_ok());
    fs::write(top.join("elsewhere/CACHEDIR.TAG"), "# This file is a cache directory tag created by cargo.\n").unwrap();
    assert!(refusal(&elsewhere).contains("/elsewhere, where things are temporary"));

    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    mode(&installed, 0o757);
    assert!(refusal(&installed).contains("bin/mailknock is not safe: others can write it; `chmod go-w` it"));
    mode(&installed, 0o755);
    mode(&top.join("bin"), 0o757);
    assert!(refusal(&installed).contains("/bin is not safe: others can write it"));
    mode(&top.join("bin"), 0o1777);
    assert!(staying(&installed, &[]).is_ok(), "there nobody can replace what is ours");
}
