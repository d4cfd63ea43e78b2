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

/// Our settings for a driver, with `top` instead of `/etc/dovecot`, and those with the address, which the first
/// include.
pub fn of_driver(version: Version, driver: Driver, top: &Path, push_url: &str) -> (String, String) {
    let directory = match version {
        Version::V2_3(_) => "packaging/dovecot/2.3",
        Version::V2_4 => "packaging/dovecot/2.4",
    };
    let name = match driver {
        Driver::Ox => "ox",
        Driver::Lua => "lua",
        Driver::Both => {
            let (lua, its_address) = of_driver(version, Driver::Lua, top, push_url);
            let (ox, other_address) = of_driver(version, Driver::Ox, top, push_url);
            // 2.3 numbers its drivers, and its line of plugins is in the other's; 2.4 names them.
            let is_needed = |line: &&str| !line.starts_with("mail_plugins =") && !line.starts_with("!include_try");
            let ox: String = ox.lines().filter(is_needed).map(|line| format!("{line}\n")).collect();
            let other_address = other_address.replace("push_notification_driver =", "push_notification_driver2 =");
            return (ox + &lua, its_address + &other_address);
        }
    };
    let read = |name: String| {
        let file = repository_file(directory).join(name);
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    let secret = read(format!("{name}-secret.conf"));
    assert!(secret.contains(EXAMPLE_URL), "the example's address is another");
    let settings = read(format!("{name}.conf")).replace("/etc/dovecot", &top.display().to_string());
    (settings, secret.replace(EXAMPLE_URL, push_url))
}
