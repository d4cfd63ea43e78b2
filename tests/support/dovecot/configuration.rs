//! The settings of a Dovecot that lives in one directory, and ours from `packaging/dovecot` with them.

use std::path::Path;

use super::Driver;
use super::installation::{Account, Version};
use crate::support::repository_file;

/// The address in our snippets, in whose place the test's comes.
const EXAMPLE_URL: &str = "http://mailknock:a-long-random-word@127.0.0.1:12525/notify";

/// Everything but pushing. `top` is the directory as Dovecot calls it.
pub fn basic(version: Version, top: &Path, account: &Account, imap: (&str, u16)) -> String {
    let (top, Account { user, group }, (address, port)) = (top.display(), account, imap);
    let common = format!(
        "base_dir = {top}/run
state_dir = {top}/state
log_path = {top}/dovecot.log
protocols = imap lmtp
listen = {address}
ssl = no
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"
    );
    match version {
        Version::V2_3(_) => format!(
            "{common}disable_plaintext_auth = no
mail_home = {top}/mail/%u
mail_location = sdbox:~/mail
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={top}/mail/%u allow_all_users=yes
}}
"
        ),
        // These two must come first.
        Version::V2_4 => format!(
            "dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
{common}auth_allow_cleartext = yes
mail_home = {top}/mail/%{{user}}
mail_driver = sdbox
mail_path = ~/mail
passdb static {{
  password = secret
}}
userdb static {{
  fields {{
    uid = {user}
    gid = {group}
    home = {top}/mail/%{{user}}
  }}
  static_allow_all_users = yes
}}
"
        ),
    }
}

/// What our snippet says for a driver, with `top` instead of `/etc/dovecot`, and what it says for the file with the
/// address, which is in the snippet's `!include_try`.
pub fn of_driver(version: Version, driver: Driver, top: &Path, push_url: &str) -> (String, String) {
    let name = match version {
        Version::V2_3(_) => "dovecot-2.3.conf",
        Version::V2_4 => "dovecot-2.4.conf",
    };
    let file = repository_file("packaging/dovecot").join(name);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let heading = match driver {
        Driver::Ox => "The OX driver",
        Driver::Lua => "The Lua driver",
    };
    let address = format!("/etc/dovecot/mailknock.conf.ext for {}{}", heading[..1].to_lowercase(), &heading[1..]);
    let here = |section: String| section.replace("/etc/dovecot", &top.display().to_string());
    let address = section(&text, &address);
    assert!(address.contains(EXAMPLE_URL), "{} has another example address", file.display());
    (here(section(&text, heading)), address.replace(EXAMPLE_URL, push_url))
}

/// The settings below a heading, switched on.
fn section(text: &str, heading: &str) -> String {
    let mut sections = text.split("# == ").skip(1);
    let found = sections.find(|section| section.starts_with(heading));
    let found = found.unwrap_or_else(|| panic!("the snippet has no part `{heading}`"));
    let settings = found.lines().skip(1).filter(|line| !is_prose(line));
    settings.map(|line| format!("{}\n", line.strip_prefix('#').unwrap_or(line))).collect()
}

/// A setting that is switched off has no blank after the mark, or the even number that it is indented by. Prose has
/// one, and our examples of commands have three.
fn is_prose(line: &str) -> bool {
    let Some(rest) = line.strip_prefix('#') else { return false };
    (rest.len() - rest.trim_start().len()) % 2 == 1
}
