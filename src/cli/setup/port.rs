//! Which port of the mail server a new tunnel may end at: two desktops can't have the same.

use std::time::{Duration, Instant};

use crate::config::{Address, Tunnel};
use crate::tunnel::{Diagnosis, Offer, Step, ports_given};

/// So many ports are asked for at most.
const TRIES: usize = 5;
/// For all that is asked.
const PATIENCE: Duration = Duration::from_secs(8);
/// Above what servers usually have, below what Linux gives to outgoing connections.
const FIRST: u16 = 10_001;
const LAST: u16 = 32_767;

/// A port, and how it was come by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub port: u16,
    /// Sentences for a person.
    pub told: String,
}

/// Asks the mail server, by each of `ways` in turn until one gets in; the last is what is told of. `taken` are known to be.
pub fn choose(ways: &[Tunnel], who: &str, taken: &[u16]) -> Choice {
    choice(&offer(ways, &wanted(who, taken)), who, taken)
}

fn offer(ways: &[Tunnel], ports: &[u16]) -> Result<Offer, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let mut last = Err("nobody to ask".to_owned());
    for way in ways {
        let rest = PATIENCE.saturating_sub(begun.elapsed());
        let offer = runtime.block_on(ports_given(way, ports, rest));
        // Another key may be let in. What broke before it breaks again.
        let is_shut_out = matches!(&offer, Offer::Unasked(diagnosis) if diagnosis.broke_at == Some(Step::Key));
        last = Ok(offer);
        if !is_shut_out {
            break;
        }
    }
    last
}

/// What is made of the answer.
fn choice(offer: &Result<Offer, String>, who: &str, taken: &[u16]) -> Choice {
    let unasked = || own(who).find(|port| !taken.contains(port)).unwrap_or(FIRST);
    let chosen = |port: u16, why: &str| Choice {
        port,
        told: format!(
            "127.0.0.1:{port} was chosen without asking: {}\n\
             `mailknock doctor` tells if it is taken. Once ssh gets in without a question, this command asks the server.",
            sentence(why)
        ),
    };
    match offer {
        Ok(Offer::Given(ports)) if !ports.is_empty() => {
            Choice { port: ports[0], told: format!("127.0.0.1:{} was free there a moment ago.", ports[0]) }
        }
        Ok(Offer::Given(_)) => chosen(unasked(), "the server gave none"),
        Ok(Offer::Refused(said)) => {
            let port = unasked();
            let tried: Vec<String> = wanted(who, taken).iter().map(u16::to_string).collect();
            let told = format!(
                "The server gave none of {}: {}\n\
                 Maybe this key may open another port only, or none; so 127.0.0.1:{port} was chosen without asking, and\n\
                 `mailknock doctor` tells if it is taken.",
                tried.join(", "),
                sentence(said)
            );
            Choice { port, told }
        }
        Ok(Offer::Unasked(diagnosis)) if diagnosis.is_first_time() => {
            chosen(unasked(), "the server's own key is not known here yet, which a later step mends")
        }
        Ok(Offer::Unasked(Diagnosis { said, advice, broke_at: Some(Step::HostKey) })) => {
            // Somebody may be in between.
            chosen(unasked(), &format!("{said} {}", advice.as_deref().unwrap_or_default()))
        }
        Ok(Offer::Unasked(diagnosis)) => chosen(unasked(), &diagnosis.said),
        Err(why) => chosen(unasked(), why),
    }
}

/// Others' words as the end of a sentence.
fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '?', '!']) { text.to_owned() } else { format!("{text}.") }
}

/// The usual port and then this one's own, without those that are taken.
fn wanted(who: &str, taken: &[u16]) -> Vec<u16> {
    let all = std::iter::once(Address::DEFAULT_PORT).chain(own(who));
    all.filter(|port| !taken.contains(port)).take(TRIES).collect()
}

/// All ports of the range, in an order that is somebody's own and never changes: whoever can't ask rarely meets another.
fn own(who: &str) -> impl Iterator<Item = u16> {
    // FNV-1a: the standard library's hash may change with its version.
    let hash = who
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let count = u64::from(LAST - FIRST + 1);
    // Steps of a prime that doesn't divide the number of ports come to all of them.
    let step = 7919;
    let places = (0..count).map(move |place| (hash % count + place * step) % count);
    let ports = places.filter_map(|place| u16::try_from(u64::from(FIRST) + place).ok());
    ports.filter(|port| *port != Address::DEFAULT_PORT)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::tunnel::diagnose;

    const WHO: &str = "desk:/home/alice";

    #[test]
    fn the_usual_port_is_tried_first_and_then_ones_own() {
        let ports = wanted(WHO, &[]);
        assert_eq!((ports[0], ports.len()), (Address::DEFAULT_PORT, TRIES));
        assert_eq!(ports, wanted(WHO, &[]), "always the same");
        assert_eq!(wanted(WHO, &[ports[0], ports[2]])[..2], [ports[1], ports[3]]);
    }

    #[test]
    fn ones_own_ports_are_all_of_the_range_but_the_usual_one() {
        let all: HashSet<u16> = own(WHO).collect();
        assert_eq!(all.len(), usize::from(LAST - FIRST));
        assert!(all.iter().all(|port| (FIRST..=LAST).contains(port) && *port != Address::DEFAULT_PORT));
    }

    #[test]
    fn other_machines_and_other_users_rarely_begin_with_the_same() {
        let first = |who: &str| own(who).next().unwrap();
        assert_ne!(first(WHO), first("desk:/home/bob"));
        assert_ne!(first(WHO), first("desk2:/home/alice"));
        let many: HashSet<u16> = (0..100).map(|number| first(&format!("desk{number}:/home/alice"))).collect();
        assert!(many.len() > 95, "{}", many.len());
        assert_eq!(first(WHO), 13_828, "a name's port is the same with every version");
    }

    #[test]
    fn what_is_printed_says_how_the_port_was_come_by() {
        let check = |offer: Result<Offer, String>, port: u16, told: &str| {
            let found = choice(&offer, WHO, &[]);
            assert!(found.port == port && found.told.contains(told), "{found:?}");
        };
        let own = own(WHO).next().unwrap();
        check(Ok(Offer::Given(vec![12_525, own])), 12_525, "127.0.0.1:12525 was free there a moment ago.");
        check(Ok(Offer::Given(vec![own])), own, "was free there a moment ago.");
        check(Ok(Offer::Refused("ssh's words".into())), own, "gave none of 12525, ");
        check(Ok(Offer::Refused("ssh's words".into())), own, ": ssh's words.\n");
        let silent = Diagnosis { said: "no key.".into(), advice: None, broke_at: Some(Step::Key) };
        check(Ok(Offer::Unasked(silent)), own, &format!("127.0.0.1:{own} was chosen without asking: no key.\n"));
        check(
            Ok(Offer::Unasked(diagnose("`ssh` not found. Is it installed?"))),
            own,
            ": `ssh` not found. Is it installed?\n",
        );
        check(Err("no runtime".into()), own, "mailknock doctor");
        let next = choice(&Err(String::new()), WHO, &[own]).port;
        assert!(next != own && next != 12_525, "{next}");
    }
}
