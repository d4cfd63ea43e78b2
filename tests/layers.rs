//! The shape of the code: modules use only what stands above them in lib.rs, and some names belong to one place.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::repository_file;

/// All source files with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories = vec![repository_file("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("src can be read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), fs::read_to_string(&path).expect("sources are UTF-8")));
            }
        }
    }
    assert!(found.len() > 30, "the walk found {} files only", found.len());
    found
}

/// The top module that a file belongs to.
fn module(path: &Path) -> String {
    let below = path.strip_prefix(repository_file("src")).expect("it was found there");
    let first = below.components().next().expect("a file has a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]").next().unwrap_or(text).split("\n#[cfg(all(test").next().unwrap_or(text)
}

#[test]
fn modules_use_only_what_stands_above_them() {
    let lib = fs::read_to_string(repository_file("src/lib.rs")).expect("lib.rs can be read");
    let order: Vec<&str> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let rank = |name: &str| order.iter().position(|module| *module == name);
    let mut uses = 0;
    for (path, text) in sources() {
        let own = module(&path);
        let Some(own_rank) = rank(&own) else { continue };
        for used in without_tests(&text).split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let Some(used_rank) = rank(&used) else { continue };
            uses += 1;
            assert!(used_rank <= own_rank, "{} uses `{used}`, which stands below `{own}` in lib.rs", path.display());
        }
    }
    assert!(uses > 50, "only {uses} uses were seen");
}

#[test]
fn some_names_belong_to_one_module() {
    let owners: [(&str, &[&str]); 13] = [
        ("axum::", &["listener"]),
        ("hyper::", &["listener"]),
        ("rustls::", &["listener", "client"]),
        ("zbus::", &["desktop"]),
        ("zbus6::", &["desktop"]),
        ("ksni::", &["desktop"]),
        ("tray_icon::", &["desktop"]),
        ("notify_rust::", &["desktop"]),
        ("tao::", &["desktop"]),
        ("process::Command", &["process"]),
        // As a literal begins that names the variable: the manual page only tells of it.
        ("\"XDG_CONFIG", &["paths"]),
        ("println!", &["cli"]),
        ("process::exit", &["main"]),
    ];
    for (path, text) in sources() {
        let own = module(&path);
        for (name, allowed) in owners {
            let is_used =
                without_tests(&text).lines().any(|line| line.contains(name) && !line.trim_start().starts_with("//"));
            assert!(!is_used || allowed.contains(&own.as_str()), "{} names {name}", path.display());
        }
    }
}
