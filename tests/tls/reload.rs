//! Another pair while it runs: a good one is shown from the next connection on, a broken one never.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::{Client, EVENT, NAMES, both_in, prepared, push, push_as, put, replace, start};
use crate::control::{status, wait_status};
use crate::record::AT_ONCE;
use crate::support::certificate::{self, Pair};
use crate::support::daemon::{Daemon, Running, Signal};
use crate::support::http::Connection;
use crate::support::wait::{holds, wait_until};

const RELOADED: &str = "configuration reloaded";

#[track_caller]
fn problems(recipe: &Daemon) -> Vec<String> {
    let status = status(recipe);
    let all = status["problems"].as_array().expect("a list");
    all.iter().map(|problem| problem.as_str().expect("a text").to_owned()).collect()
}

#[track_caller]
fn hang_up(daemon: &mut Running) {
    let from = daemon.log_length();
    daemon.signal(Signal::HUP);
    daemon.wait_log_after(from, RELOADED);
}

#[test]
fn an_expired_certificate_is_shown_and_told_until_it_is_replaced() {
    let Some((recipe, good)) = prepared() else { return };
    let expired = Pair::expired(&recipe, "expired", &NAMES);
    let file = recipe.home().join("both.pem");
    put(&expired, &file);
    let mut daemon = start(&recipe.clone().config(&both_in(&file)));
    assert_eq!(push_as(&daemon, &[], "127.0.0.1"), 200);
    let told = problems(&recipe);
    assert!(told.len() == 1 && told[0].starts_with("the certificate expired on 2020-02-01; "), "{told:?}");
    put(&good, &file);
    hang_up(&mut daemon);
    assert_eq!(problems(&recipe), [""; 0]);
    assert_eq!(push(&daemon, &good.certificate), "200");
    daemon.stop();
}

#[test]
fn a_broken_pair_is_told_and_never_shown_and_the_rest_of_the_configuration_counts() {
    let Some((recipe, pair)) = prepared() else { return };
    let (second, third) = (Pair::new(&recipe, "second", &NAMES), Pair::new(&recipe, "third", &NAMES));
    let file = recipe.home().join("both.pem");
    put(&pair, &file);
    let mut daemon = start(&recipe.clone().config(&both_in(&file)));
    let text = fs::read_to_string(&second.certificate).expect("openssl wrote it");
    let mixed = text + &fs::read_to_string(&third.key).expect("openssl wrote it");
    let broken = ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n", &mixed];
    for (number, broken) in broken.into_iter().enumerate() {
        replace(&file, broken);
        recipe.write_config(&format!("endpoint = \"/{number}\"\n{}", both_in(&file)));
        match number % 2 {
            0 => hang_up(&mut daemon),
            _ => drop(recipe.command(&["reload"]).succeeded()),
        }
        let told = problems(&recipe);
        let is_told = told.len() == 1 && told[0].contains("~/both.pem") && told[0].contains("old certificate stays");
        assert!(is_told, "{broken:?}: {told:?}");
        let url = format!("https://{}/{number}", daemon.addr());
        assert_eq!(certificate::push(&url, &pair.certificate, EVENT, &[]), "200", "{broken:?}");
    }
    // Also where other files are named.
    recipe.write_config(&Pair { key: third.key.clone(), ..second.clone() }.config(""));
    recipe.command(&["reload"]).succeeded();
    assert!(problems(&recipe)[0].contains("~/second.crt"), "{:?}", problems(&recipe));
    assert_eq!(push(&daemon, &pair.certificate), "200");
    recipe.write_config(&second.config(""));
    recipe.command(&["reload"]).succeeded();
    assert_eq!(problems(&recipe), [""; 0]);
    assert_eq!([push(&daemon, &pair.certificate), push(&daemon, &second.certificate)], ["000", "200"]);
    daemon.stop();
}

#[test]
fn a_key_that_others_can_read_or_write_is_a_problem() {
    let Some((recipe, pair)) = prepared() else { return };
    let mode = |mode| fs::set_permissions(&pair.key, Permissions::from_mode(mode)).expect("the file is ours");
    mode(0o644);
    let daemon = start(&recipe.clone().config(&pair.config("")));
    let told = problems(&recipe);
    assert!(told.len() == 1 && told[0].contains("~/own.key") && told[0].contains("chmod 600"), "{told:?}");
    assert_eq!(push(&daemon, &pair.certificate), "200");
    mode(0o602);
    recipe.command(&["reload"]).succeeded();
    let told = problems(&recipe);
    assert!(told.len() == 1 && told[0].contains("~/own.key") && told[0].contains("chmod go-w"), "{told:?}");
    mode(0o600);
    recipe.command(&["reload"]).succeeded();
    assert_eq!(problems(&recipe), [""; 0]);
    daemon.stop();
}

#[test]
fn a_periodic_reload_takes_what_is_new_and_tells_what_is_broken() {
    let Some((recipe, old)) = prepared() else { return };
    let new = Pair::new(&recipe, "new", &NAMES);
    let file = recipe.home().join("both.pem");
    put(&old, &file);
    let daemon = start(&recipe.clone().config(&format!("{}periodic_reload = \"300ms\"\n", both_in(&file))));
    let mut open = Client::connect(&daemon, &[]);
    let request = daemon.request().json(EVENT).bytes();
    assert_eq!(open.request(&request).0, 200);
    put(&new, &file);
    wait_until("the new pair", || holds(push(&daemon, &new.certificate) == "200"));
    assert_eq!(open.request(&request).0, 200, "who is in stays in");
    replace(&file, "nonsense");
    wait_status(&recipe, "the problem", |status| status["problems"][0].as_str().is_some());
    assert_eq!(push(&daemon, &new.certificate), "200");
    put(&old, &file);
    recipe.command(&["reload"]).succeeded();
    assert_eq!(problems(&recipe), [""; 0]);
    assert_eq!(push(&daemon, &old.certificate), "200");
    daemon.stop();
}

#[test]
fn tls_comes_and_goes_with_the_configuration_and_open_connections_stay() {
    let Some((recipe, pair)) = prepared() else { return };
    let mut daemon = start(&recipe.clone().config(AT_ONCE));
    let request = daemon.request().json(EVENT).bytes();
    let mut plain = Connection::open(daemon.addr());
    plain.send(&request);
    plain.response().accepted();

    let from = daemon.log_length();
    recipe.write_config(&format!("{AT_ONCE}{}", pair.config("")));
    daemon.wait_log_after(from, RELOADED);
    let url = format!("https://{}/notify", daemon.addr());
    assert_eq!(status(&recipe)["listening"], json!([url]));
    assert_eq!(push(&daemon, &pair.certificate), "200");
    daemon.push(EVENT).refused(400);
    plain.send(&request);
    plain.response().accepted();
    let mut secure = Client::connect(&daemon, &[]);
    assert_eq!(secure.request(&request).0, 200);

    // A broken pair where there was none leaves all as it was.
    recipe.write_config(AT_ONCE);
    recipe.command(&["reload"]).succeeded();
    recipe.write_config(&Pair { key: recipe.home().join("missing"), ..pair.clone() }.config(""));
    let why = recipe.command(&["reload"]).ended_with(1).stderr;
    assert!(why.contains("failed to read ~/missing: No such file"), "{why}");
    daemon.push(EVENT).accepted();
    assert_eq!(push(&daemon, &pair.certificate), "000");
    assert_eq!(secure.request(&request).0, 200, "who is in stays in");
    plain.send(&request);
    plain.response().accepted();
    daemon.stop();
}
