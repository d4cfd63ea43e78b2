//! What is packaged for macOS, as far as that can be seen elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::support::repository_file;

/// A property list that is one dictionary of texts and truths.
fn dictionary(text: &str) -> BTreeMap<String, String> {
    let (_, inner) = text.split_once("<plist version=\"1.0\">\n<dict>\n").expect("it begins as a property list");
    let (inner, end) = inner.split_once("</dict>").expect("the dictionary ends");
    assert_eq!(end, "\n</plist>\n");
    let mut lines = inner.lines().map(str::trim);
    let mut found = BTreeMap::new();
    while let Some(key) = lines.next() {
        let key = key.strip_prefix("<key>").and_then(|key| key.strip_suffix("</key>")).expect("a key");
        let value = lines.next().expect("a key has a value");
        let value = match value {
            "<true/>" => "true",
            _ => value.strip_prefix("<string>").and_then(|text| text.strip_suffix("</string>")).expect("a text"),
        };
        assert!(!value.contains(['<', '>', '&']), "{key}: {value}");
        assert_eq!(found.insert(key.to_owned(), value.to_owned()), None, "{key} stands there twice");
    }
    found
}

#[test]
fn the_bundle_is_made_of_the_program_and_says_what_it_is() {
    let directory = tempfile::Builder::new().prefix("a b ü").tempdir().expect("a temporary directory");
    let program = directory.path().join("built");
    for content in ["one", "another"] {
        fs::write(&program, content).expect("the directory is ours");
        let made = Command::new(repository_file("packaging/macos/bundle"))
            .args([&program, directory.path()])
            .output()
            .expect("it is a script");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let app = directory.path().join("Mailknock.app");
        assert_eq!(String::from_utf8_lossy(&made.stdout).trim_end(), app.display().to_string());
        let contents = app.join("Contents");
        let said = dictionary(&fs::read_to_string(contents.join("Info.plist")).expect("it was copied"));
        let says = |key: &str| said.get(key).unwrap_or_else(|| panic!("{key} is missing")).as_str();
        let copied = contents.join("MacOS").join(says("CFBundleExecutable"));
        assert_eq!(fs::read_to_string(copied).expect("it was copied"), content);
        assert_eq!(fs::read_dir(contents.join("MacOS")).expect("it is a directory").count(), 1);
        assert!(contents.join("Resources").join(says("CFBundleIconFile")).with_extension("icns").is_file());
        assert_eq!(says("LSUIElement"), "true", "it has no place in the Dock");
        for version in ["CFBundleVersion", "CFBundleShortVersionString"] {
            assert_eq!(says(version), env!("CARGO_PKG_VERSION"));
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        assert!(says("CFBundleIdentifier").chars().all(is_plain));
        assert_eq!((says("CFBundlePackageType"), says("CFBundleName")), ("APPL", "Mailknock"));
    }
}

#[test]
fn the_icon_holds_the_same_pictures_as_everywhere() {
    let icon = fs::read(repository_file("packaging/macos/mailknock.icns")).expect("it is there");
    let length = |at: usize| -> usize {
        let bytes = icon[at..at + 4].try_into().expect("four bytes");
        usize::try_from(u32::from_be_bytes(bytes)).expect("it fits")
    };
    assert_eq!((&icon[..4], length(4)), (&b"icns"[..], icon.len()));
    let mut at = 8;
    for (kind, size) in [("icp4", 16), ("icp5", 32), ("icp6", 64), ("ic07", 128), ("ic08", 256)] {
        let picture = repository_file(&format!("assets/icons/hicolor/{size}x{size}/apps/mailknock.png"));
        let end = at + length(at + 4);
        assert_eq!(&icon[at..at + 4], kind.as_bytes());
        assert!(icon[at + 8..end] == fs::read(&picture).expect("it is there"), "{kind} is another picture");
        at = end;
    }
    assert_eq!(at, icon.len());
}
