use std::io::Write;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::{Invitation, read};

const GOOGLE: &[u8] = include_bytes!("../../tests/data/invitations/google.eml");
const EXCHANGE: &[u8] = include_bytes!("../../tests/data/invitations/exchange.eml");
const TEAMS: &[u8] = include_bytes!("../../tests/data/invitations/teams.eml");
const APPLE: &[u8] = include_bytes!("../../tests/data/invitations/apple.eml");
const ZIMBRA: &[u8] = include_bytes!("../../tests/data/invitations/zimbra.eml");
const LATIN1: &[u8] = include_bytes!("../../tests/data/invitations/latin1.eml");
const THUNDERBIRD: &[u8] = include_bytes!("../../tests/data/invitations/thunderbird-reply.eml");
const SAMPLES: [&[u8]; 7] = [GOOGLE, EXCHANGE, TEAMS, APPLE, ZIMBRA, LATIN1, THUNDERBIRD];

/// Berlin's, without the system's database.
fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn read_in_berlin(message: &[u8]) -> Option<Invitation> {
    read(message, &berlin(), "2026-11-21T17:00:00Z".parse::<Timestamp>().unwrap())
}

/// Line ends are those of the file, then those of the network.
fn check(message: &[u8], title: &str, details: &str) {
    let network = String::from_utf8_lossy(message).replace("\r\n", "\n").replace('\n', "\r\n");
    let messages = if message.is_ascii() { vec![message, network.as_bytes()] } else { vec![message] };
    for message in messages {
        let read = read_in_berlin(message).expect("there is a calendar");
        assert_eq!((read.title.as_str(), read.details.as_str()), (title, details));
    }
}

/// A message that is one calendar with one event.
fn calendar(method: &str, event: &str) -> String {
    format!(
        "From: Jo <jo@example.org>\nSubject: Hello\nContent-Type: text/calendar; charset=utf-8\n\n\
         BEGIN:VCALENDAR\nMETHOD:{method}\nBEGIN:VEVENT\n{event}\nEND:VEVENT\nEND:VCALENDAR\n"
    )
}

fn title(method: &str, event: &str) -> String {
    read_in_berlin(calendar(method, event).as_bytes()).expect("there is a calendar").title
}

fn details(event: &str) -> String {
    read_in_berlin(calendar("REQUEST", event).as_bytes()).expect("there is a calendar").details
}

/// Not by asking the code that is under test.
fn zones_are_missing() -> bool {
    let missing = !std::path::Path::new("/usr/share/zoneinfo/America/New_York").exists();
    if missing {
        let _ = writeln!(std::io::stderr(), "skipped: the system has no tz database");
    }
    missing
}

#[test]
fn a_google_invitation_among_alternatives() {
    check(GOOGLE, "Invitation: Team meeting", "Mon 23 Nov, 10:00–11:00, weekly · Room 5 · Jörg Müller");
    let read = read_in_berlin(GOOGLE).unwrap();
    assert_eq!(read.from.unwrap().address, "joerg@example.org");
    let subject = read.subject.unwrap().text;
    assert_eq!(subject, "Invitation: Team meeting @ Weekly from 10am to 11am on Monday (alice@example.org)");
    assert_eq!(read.message_id.unwrap(), "<calendar-8a1f@google.com>");
}

#[test]
fn an_exchange_update_in_base64_with_a_zone_of_windows_and_folds_inside_of_words() {
    check(
        EXCHANGE,
        "Updated invitation: Jahresplanung, zweiter Teil; mit Übersicht und allen Zahlen aus dem vergangenen Jahr",
        "Mon 23 Nov, 10:00 – Tue 24 Nov, 12:00 · Großer Saal, 2. Stock · Müller, Jörg",
    );
    let read = read_in_berlin(EXCHANGE).unwrap();
    assert_eq!(read.message_id.unwrap(), "<AM0PR01MB1234@AM0PR01MB1234.eurprd01.prod.exchangelabs.com>");
    assert_eq!(read.from.unwrap().name, "Müller, Jörg");
}

#[test]
fn a_teams_meeting_in_quoted_printable_every_other_week() {
    let details = "Tue 24 Nov, 15:00–15:30, every 2 weeks · Microsoft Teams Meeting · Dana Doe";
    check(TEAMS, "Invitation: Standup", details);
}

#[test]
fn an_apple_invitation_as_a_file_with_a_zone_that_only_the_system_knows() {
    if zones_are_missing() {
        return;
    }
    let details = "Sun 3 Jan 2027, 01:00–04:00 · Café Central Herrengasse 14 Wien · Bob Example";
    check(APPLE, "Invitation: Dinner ; or lunch?", details);
}

#[test]
fn a_zimbra_update_of_one_occurrence_in_a_zone_that_only_the_calendar_knows() {
    let details = "Wed 25 Nov, 14:00–15:30, one occurrence · \"Office\" carol@example.com · Carol Chair";
    check(ZIMBRA, "Updated invitation: Budget", details);
}

#[test]
fn a_cancellation_in_latin1_of_several_days() {
    check(LATIN1, "Cancelled: Skifahren in Österreich", "Wed 23 Dec – Fri 25 Dec, all day · Kitzbühel · Käthe Groß");
}

#[test]
fn what_came_as_json_is_utf8_whatever_its_label_says() {
    let json = String::from_utf8_lossy(LATIN1).into_owned();
    assert_eq!(read_in_berlin(json.as_bytes()).unwrap().title, "Cancelled: Skifahren in \u{fffd}sterreich");
}

#[test]
fn a_thunderbird_reply_says_who_answers_and_not_whom() {
    check(THUNDERBIRD, "Alice Example accepted: Team meeting", "Mon 23 Nov, 10:00–11:00 · Room 5");
}

#[test]
fn titles_say_what_is_to_be_done() {
    let attendee = "SUMMARY:S\nATTENDEE;CN=Ann;PARTSTAT=";
    let to = ":mailto:ann@example.org";
    for (method, event, expected) in [
        ("REQUEST", "SUMMARY:S".into(), "Invitation: S"),
        ("request", "SUMMARY:S\nSEQUENCE:0".into(), "Invitation: S"),
        ("REQUEST", "SUMMARY:S\nSEQUENCE:12".into(), "Updated invitation: S"),
        ("REQUEST", "SUMMARY:S\nSTATUS:CANCELLED".into(), "Cancelled: S"),
        ("CANCEL", "SUMMARY:Canceled: S".into(), "Cancelled: S"),
        ("REPLY", format!("{attendee}ACCEPTED{to}"), "Ann accepted: S"),
        ("REPLY", format!("{attendee}DECLINED{to}"), "Ann declined: S"),
        ("REPLY", format!("{attendee}TENTATIVE{to}"), "Ann tentatively accepted: S"),
        ("REPLY", format!("{attendee}DELEGATED{to}"), "Ann delegated: S"),
        ("REPLY", format!("{attendee}X-WHAT{to}"), "Ann answered: S"),
        ("REPLY", "SUMMARY:S\nATTENDEE;PARTSTAT=accepted:MAILTO:ann@example.org".into(), "ann@example.org accepted: S"),
        ("REPLY", "SUMMARY:S".into(), "Jo answered: S"),
        ("COUNTER", format!("{attendee}TENTATIVE{to}"), "Ann proposes another time: S"),
        ("DECLINECOUNTER", "SUMMARY:S".into(), "Proposal declined: S"),
        ("ADD", "SUMMARY:S".into(), "Another date: S"),
        ("PUBLISH", "SUMMARY:S".into(), "Event: S"),
        ("REFRESH", format!("{attendee}{to}"), "Ann asks for the latest version: S"),
        ("X-NEW", "SUMMARY:S".into(), "Invitation: S"),
        ("", "SUMMARY:S".into(), "Invitation: S"),
        ("REQUEST", "LOCATION:L".into(), "Invitation: Hello"),
        ("REQUEST", "SUMMARY:  \\n ".into(), "Invitation: Hello"),
    ] {
        assert_eq!(title(method, &event), expected, "{method} {event}");
    }
}

#[test]
fn the_method_of_the_calendar_wins_over_that_of_the_part() {
    let part = |method: &str| {
        let text = format!("Content-Type: text/calendar; method=\"CANCEL\"\n\nBEGIN:VCALENDAR\n{method}");
        read_in_berlin(text.as_bytes()).unwrap().title
    };
    assert_eq!(part("METHOD:PUBLISH\n"), "Event");
    assert_eq!(part(""), "Cancelled");
}

#[test]
fn times_are_those_of_the_reader() {
    for (event, expected) in [
        ("DTSTART:20261123T090000Z\nDTEND:20261123T100000Z", "Mon 23 Nov, 10:00–11:00"),
        ("DTSTART:20261123T090000Z", "Mon 23 Nov, 10:00"),
        ("DTSTART:20261123T0900Z\nDTEND:20261123T090000Z", "Mon 23 Nov, 10:00"),
        ("DTSTART:20261123T233000Z\nDURATION:PT45M", "Tue 24 Nov, 00:30–01:15"),
        ("DTSTART:20261123T100000\nDTEND:20261123T110000", "Mon 23 Nov, 10:00–11:00"),
        ("DTSTART:20261123T100000\nDURATION:P1DT2H", "Mon 23 Nov, 10:00 – Tue 24 Nov, 12:00"),
        ("DTSTART:20261231T210000Z\nDTEND:20270101T010000Z", "Thu 31 Dec, 22:00 – Fri 1 Jan 2027, 02:00"),
        ("DTSTART:20260701T080000Z", "Wed 1 Jul, 10:00"),
        ("DTSTART;TZID=Mars/Olympus:20261123T100000", "Mon 23 Nov, 10:00 (Mars/Olympus)"),
        ("DTSTART;TZID=../../etc/passwd:20261123T100000", "Mon 23 Nov, 10:00 (../../etc/passwd)"),
    ] {
        assert_eq!(details(event), expected, "{event}");
    }
}

#[test]
fn zones_by_every_kind_of_name() {
    if zones_are_missing() {
        return;
    }
    for zone in [
        "Asia/Kolkata",
        "asia/kolkata",
        "\"India Standard Time\"",
        "/freeassociation.sourceforge.net/Asia/Kolkata",
        "/freeassociation.sourceforge.net/Tzfile/Asia/Kolkata",
        "/mozilla.org/20070129_1/Asia/Kolkata",
    ] {
        assert_eq!(details(&format!("DTSTART;TZID={zone}:20261123T133000")), "Mon 23 Nov, 09:00", "{zone}");
    }
}

#[test]
fn zones_of_windows_are_in_order_and_each_is_known() {
    let names: Vec<_> = super::zones::WINDOWS.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    assert!(names.is_sorted());
    if zones_are_missing() {
        return;
    }
    for (_, name) in super::zones::WINDOWS {
        assert!(TimeZone::get(name).is_ok(), "{name}");
    }
}

#[test]
fn zones_that_the_calendar_describes() {
    let details = |observances: &str, start: &str| {
        let zone = format!("END:VEVENT\nBEGIN:VTIMEZONE\nTZID:Ours\n{observances}\nEND:VTIMEZONE\nBEGIN:X");
        details(&format!("DTSTART;TZID=Ours:{start}\n{zone}"))
    };
    let standard = "BEGIN:STANDARD\nDTSTART:20251102T020000\nTZOFFSETTO:-0500\nEND:STANDARD";
    let daylight = "BEGIN:DAYLIGHT\nDTSTART:20260308T020000\nTZOFFSETTO:-0400\nEND:DAYLIGHT";
    assert_eq!(details(standard, "20261123T100000"), "Mon 23 Nov, 16:00");
    assert_eq!(details(&format!("{daylight}\n{standard}"), "20260701T100000"), "Wed 1 Jul, 16:00");
    assert_eq!(details(&format!("{daylight}\n{standard}"), "20260201T100000"), "Sun 1 Feb, 16:00");
    let rules = "BEGIN:STANDARD\nDTSTART:16010101T020000\nTZOFFSETTO:-0330\nRRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=11\n\
                 END:STANDARD\nBEGIN:DAYLIGHT\nDTSTART:16010101T020000\nTZOFFSETTO:-0230\n\
                 RRULE:FREQ=YEARLY;BYDAY=2SU;BYMONTH=3\nEND:DAYLIGHT";
    assert_eq!(details(rules, "20261123T100000"), "Mon 23 Nov, 14:30");
    assert_eq!(details(rules, "20260701T100000"), "Wed 1 Jul, 14:30");
    // Europe changes two weeks after America.
    assert_eq!(details(rules, "20260320T100000"), "Fri 20 Mar, 13:30");
    for nonsense in
        ["", "BEGIN:STANDARD\nTZOFFSETTO:+9999", "BEGIN:STANDARD\nTZOFFSETTO:ü", "BEGIN:DAYLIGHT\nRRULE:BYDAY=x"]
    {
        assert_eq!(details(nonsense, "20261123T100000"), "Mon 23 Nov, 10:00 (Ours)", "{nonsense}");
    }
}

#[test]
fn whole_days_end_before_their_end() {
    for (event, expected) in [
        ("DTSTART;VALUE=DATE:20261123", "Mon 23 Nov, all day"),
        ("DTSTART;VALUE=DATE:20261123\nDTEND;VALUE=DATE:20261124", "Mon 23 Nov, all day"),
        ("DTSTART;VALUE=DATE:20261123\nDTEND;VALUE=DATE:20261126", "Mon 23 Nov – Wed 25 Nov, all day"),
        ("DTSTART;VALUE=DATE:20261123\nDURATION:P3D", "Mon 23 Nov – Wed 25 Nov, all day"),
        ("DTSTART:20261123\nRRULE:FREQ=YEARLY", "Mon 23 Nov, all day, yearly"),
        ("DTSTART;VALUE=DATE:20261231\nDTEND;VALUE=DATE:20270102", "Thu 31 Dec – Fri 1 Jan 2027, all day"),
        ("DTSTART:20261123T000000Z\nDTEND:20261124T000000Z\nX-MICROSOFT-CDO-ALLDAYEVENT:TRUE", "Mon 23 Nov, all day"),
    ] {
        assert_eq!(details(event), expected, "{event}");
    }
}

#[test]
fn recurrence_is_named() {
    for (property, expected) in [
        ("RRULE:FREQ=DAILY", "daily"),
        ("RRULE:INTERVAL=1;FREQ=weekly", "weekly"),
        ("RRULE:FREQ=MONTHLY;INTERVAL=3", "every 3 months"),
        ("RRULE:FREQ=SECONDLY", "repeats"),
        ("RRULE:FREQ=DAILY;INTERVAL=99999999999", "repeats"),
        ("RRULE:nonsense", "repeats"),
        ("RDATE:20261124T100000Z", "repeats"),
        ("RRULE:FREQ=DAILY\nRECURRENCE-ID:20261123T100000", "one occurrence"),
    ] {
        assert_eq!(details(&format!("DTSTART:20261123T100000\n{property}")), format!("Mon 23 Nov, 10:00, {expected}"));
    }
}

#[test]
fn dates_that_make_no_sense_are_left_out() {
    for (event, expected) in [
        ("DTSTART:99999-01-01", ""),
        ("DTSTART:999991123T100000", ""),
        ("DTSTART:20261331T100000", ""),
        ("DTSTART:00010101T000000Z", ""),
        ("DTSTART:20261123T250000", ""),
        ("DTSTART:ü0261123", ""),
        ("DTSTART:2026112ü", ""),
        ("DTSTART:-0261123T-10000", ""),
        ("DTSTART:20261123T100000\nDTEND:20261123T090000", "Mon 23 Nov, 10:00"),
        ("DTSTART:20261123T100000\nDTEND:nonsense", "Mon 23 Nov, 10:00"),
        ("DTSTART:20261123T100000\nDTEND;VALUE=DATE:20261124", "Mon 23 Nov, 10:00"),
        ("DTSTART:20261123T100000\nDURATION:P99999999999999D", "Mon 23 Nov, 10:00"),
        ("DTSTART:20261123T100000Z\nDURATION:P7000000D", "Mon 23 Nov, 11:00"),
        ("DTSTART:20261123T100000\nDURATION:-PT1H", "Mon 23 Nov, 10:00"),
        ("DTSTART;VALUE=DATE:20261123\nDTEND;VALUE=DATE:20261101", "Mon 23 Nov, all day"),
        ("DTSTART;VALUE=DATE:99991231\nDURATION:P9D", "Fri 31 Dec 9999, all day"),
        ("DTSTART:99991231T235959Z\nDURATION:P9D", ""),
    ] {
        assert_eq!(details(event), expected, "{event}");
    }
}

#[test]
fn people_go_by_name_unless_it_looks_like_an_address() {
    for (organizer, expected) in [
        ("ORGANIZER;CN=Ann:mailto:ann@example.org", "Ann"),
        ("ORGANIZER:MailTo:ann@example.org", "ann@example.org"),
        ("ORGANIZER;CN=boss@bank.example:mailto:ann@evil.example", "ann@evil.example"),
        ("ORGANIZER;CN=\"Doe, Ann; B:C\":mailto:ann@example.org", "Doe, Ann; B:C"),
        ("ORGANIZER;CN=\"never closed:mailto:ann@example.org", "never closed"),
        ("ORGANIZER;CN=Ann ^'A^' Doe;SENT-BY=\"mailto:x@example.org\":mailto:a@example.org", "Ann \"A\" Doe"),
        ("ORGANIZER;EMAIL=ann@example.org:urn:uuid:1", "ann@example.org"),
        ("ORGANIZER:invalid:nomail", ""),
        ("ORGANIZER;CN=:", ""),
    ] {
        assert_eq!(details(organizer), expected, "{organizer}");
    }
}

#[test]
fn the_first_event_counts_and_nothing_inside_of_it() {
    let two = "SUMMARY:one\nBEGIN:VALARM\nSUMMARY:alarm\nBEGIN:X\nEND:X\nEND:VALARM\nLOCATION:L\nEND:VEVENT\n\
               BEGIN:VEVENT\nSUMMARY:two\nDTSTART:20261123T100000";
    assert_eq!((title("REQUEST", two), details(two)), ("Invitation: one".into(), "L".into()));
    let tasks = "END:VEVENT\nEND:VCALENDAR\n";
    let other = |kind: &str| calendar("PUBLISH", tasks).replace("VEVENT", kind);
    for kind in ["VTIMEZONE", "VFREEBUSY", "VALARM", "X-NEW"] {
        assert_eq!(read_in_berlin(other(kind).as_bytes()).unwrap().title, "Event: Hello");
    }
    let task = calendar("PUBLISH", "SUMMARY:task\nDUE:20261123T100000").replace("VEVENT", "VTODO");
    let read = read_in_berlin(task.as_bytes()).unwrap();
    assert_eq!((read.title.as_str(), read.details.as_str()), ("Event: task", "Mon 23 Nov, 10:00"));
}

#[test]
fn calendars_are_found_where_mailers_put_them() {
    let body = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:S\nEND:VEVENT\nEND:VCALENDAR\n";
    for head in [
        "Content-Type: TEXT/Calendar",
        "content-type:text/calendar ; charset=utf-8",
        "Content-Type: application/ics",
        "Content-Type: application/octet-stream; name=\"a b.ICS\"",
        "Content-Type: application/octet-stream\nContent-Disposition: attachment;\n\tfilename*=utf-8''caf%C3%A9.ics",
        "Content-Disposition: attachment; filename=\"=?utf-8?B?YS5pY3M=?=\"",
        "Content-Type: multipart/mixed; boundary=\"a;b\"\n\npreamble\n--a;bc\n--a;b\n\ntext\n--a;b \nContent-Type: text/calendar",
        "Content-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/calendar",
    ] {
        let read = read_in_berlin(format!("{head}\n\n{body}").as_bytes());
        assert_eq!(read.expect(head).title, "Invitation: S", "{head}");
    }
    for other in
        ["", "\n", "Subject: x", "Content-Type: text/plain", "Content-Type: multipart/mixed; boundary=b\n\n--b--"]
    {
        assert_eq!(read_in_berlin(format!("{other}\n\n{body}").as_bytes()), None, "{other}");
    }
}

#[test]
fn an_empty_calendar_gives_way_to_a_later_one() {
    let message = "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/calendar\n\n\
                   --b\nContent-Type: application/ics\n\nBEGIN:VEVENT\nSUMMARY:later\n--b--";
    check(message.as_bytes(), "Invitation: later", "");
}

#[test]
fn a_calendar_that_nobody_can_read_still_gives_a_title() {
    for (encoding, body) in
        [("base64", "!!!!"), ("base64", "QkVHS"), ("quoted-printable", "=ZZ=\n="), ("x", "\u{fffd}")]
    {
        let head = "Subject: =?utf-8?Q?Caf=C3=A9?=\nContent-Type: text/calendar; charset=x-none";
        check(format!("{head}\nContent-Transfer-Encoding: {encoding}\n\n{body}").as_bytes(), "Invitation: Café", "");
    }
    check(b"Subject: Invitation: Tea\nContent-Type: text/calendar", "Invitation: Tea", "");
    check(b"Content-Type: text/calendar", "Invitation", "");
}

#[test]
fn charsets_and_encodings() {
    let read = |head: &str, body: &[u8]| {
        let head = format!("Content-Type: text/calendar; charset={head}\n\nBEGIN:VEVENT\nSUMMARY:");
        read_in_berlin(&[head.as_bytes(), body].concat()).unwrap().title
    };
    assert_eq!(read("windows-1252", b"caf\xe9 \x80"), "Invitation: café €");
    assert_eq!(read("iso-2022-jp", b"\x1b$BF|K\\\x1b(B"), "Invitation: 日本");
    assert_eq!(read("utf-8", b"fold \xc3\n \xa9 inside"), "Invitation: fold é inside");
    assert_eq!(read("us-ascii", "é".as_bytes()), "Invitation: é");
    assert_eq!(
        read("utf-8\nContent-Transfer-Encoding: Quoted-Printable", "caf=C3=A9 é =3D".as_bytes()),
        "Invitation: café é ="
    );
}

#[test]
fn lines_are_single_clean_and_bounded() {
    let long = "e\u{301}x ".repeat(3000);
    let event = format!(
        "SUMMARY:a\\nb\u{202e}\u{1b}[31m\u{7} {long}\nLOCATION:c\\Nd \u{2066}{long}\nDTSTART;TZID={long}:20261123T100000\n\
         ORGANIZER;CN=^n{long}:mailto:a@example.org"
    );
    let read = read_in_berlin(calendar("REQUEST", &event).as_bytes()).unwrap();
    assert!(read.title.starts_with("Invitation: a b[31m e\u{301}x") && read.title.ends_with('…'), "{}", read.title);
    assert!(read.details.starts_with("Mon 23 Nov, 10:00 (e\u{301}x") && read.details.contains(" · c d e\u{301}x"));
    for (text, most) in [(&read.title, 200), (&read.details, 400)] {
        assert_eq!(crate::mime::shorten(text, most), *text);
        assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}' || c == '\u{2066}'));
    }
    let reply = format!("ATTENDEE;CN={long};PARTSTAT=ACCEPTED:mailto:a@example.org\nSUMMARY:S");
    assert!(title("REPLY", &reply).ends_with("… accepted: S"));
}

#[test]
fn a_message_that_is_cut_anywhere_has_a_title_once_its_calendar_has_begun() {
    for sample in SAMPLES {
        let begun = "text/calendar".len() + find(sample, b"text/calendar").unwrap_or_default();
        let whole = read_in_berlin(sample).unwrap();
        for end in 0..sample.len() {
            let cut = &sample[..end];
            let read = read_in_berlin(cut);
            assert!(end < begun || read.is_some_and(|read| !read.title.is_empty()), "{}", String::from_utf8_lossy(cut));
            let _ = read_in_berlin(String::from_utf8_lossy(cut).as_bytes());
        }
        assert_eq!(read_in_berlin(sample), Some(whole));
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[test]
fn two_mib_made_to_hurt_take_no_time_and_no_stack() {
    const SIZE: usize = 2 << 20;
    let fill = |piece: &str| piece.repeat(SIZE / piece.len());
    let numbered = |piece: &dyn Fn(usize) -> String| {
        let mut text = String::new();
        (0..)
            .map(piece)
            .take_while(|piece| {
                text.push_str(piece);
                text.len() < SIZE
            })
            .for_each(drop);
        text
    };
    let mixed = "Content-Type: multipart/mixed; boundary=b\n\n";
    let event = "Content-Type: text/calendar\n\nBEGIN:VCALENDAR\nBEGIN:VEVENT\n";
    let encoded = |encoding| format!("Content-Type: text/calendar\nContent-Transfer-Encoding: {encoding}\n\n");
    let cases = [
        ("nested multiparts", numbered(&|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n"))),
        ("nested multiparts of one boundary", fill(&format!("{mixed}--b\n"))),
        ("nested messages", fill("Content-Type: message/rfc822\n\n")),
        ("boundaries that never come", mixed.to_owned() + &fill("--b\nContent-Type: multipart/mixed; boundary=q\n\n")),
        ("parts", mixed.to_owned() + &fill("--b\n\nx\n")),
        ("calendar parts", mixed.to_owned() + &fill("--b\nContent-Type: text/calendar\n\nBEGIN:VEVENT\n")),
        ("large calendar parts", mixed.to_owned() + &fill(&format!("--b\n{event}{}\n", "SUMMARY:x\n".repeat(50_000)))),
        ("header fields", fill("A: b\n")),
        ("one header field", format!("Subject: {}", fill("a "))),
        ("a folded header field", format!("Content-Type: {}", fill("a;\n b=\"c\";"))),
        ("one encoded subject", format!("Content-Type: text/calendar\nSubject: {}", fill("=?utf-8?Q?a?= "))),
        ("one line", fill("a")),
        ("line ends", format!("{event}{}", fill("\n"))),
        ("carriage returns", format!("{event}{}", fill("\r"))),
        ("one property", format!("{event}SUMMARY:{}", fill("a"))),
        ("escapes", format!("{event}SUMMARY:{}", fill("\\n"))),
        ("marks", format!("{event}SUMMARY:{}", fill("\u{301}"))),
        ("folded lines", format!("{event}SUMMARY:{}", fill("a\r\n "))),
        ("empty folded lines", format!("{event}SUMMARY:{}", fill("\r\n "))),
        ("parameters", format!("{event}DTSTART{}:20261123T100000", fill(";A=b"))),
        ("quotation marks", format!("{event}ORGANIZER;CN={}:mailto:a@b", fill("\""))),
        ("events", format!("{event}{}", fill("BEGIN:VEVENT\n"))),
        ("ends", format!("{event}{}", fill("END:VEVENT\n"))),
        (
            "zones",
            format!("{event}DTSTART;TZID=A:20261123T100000\n{}", fill("BEGIN:VTIMEZONE\nTZID:A\nBEGIN:STANDARD\n")),
        ),
        (
            "observances",
            format!("{event}DTSTART;TZID=A:20261123T100000\nBEGIN:VTIMEZONE\nTZID:A\n{}", fill("BEGIN:STANDARD\n")),
        ),
        ("a zone's name", format!("{event}DTSTART;TZID=/{}:20261123T100000", fill("a/"))),
        ("rules", format!("{event}DTSTART:20261123T100000\nRRULE:{}", fill("BYDAY=MO;"))),
        ("base64", encoded("base64") + &fill("QkVHSU46VkVWRU5UCg==")),
        ("base64 with line ends", encoded("base64") + &fill("Q\n")),
        ("quoted-printable", encoded("quoted-printable") + &fill("=0D=0A")),
        ("bytes that are not encoded", encoded("quoted-printable") + &fill("ü")),
        ("iso-2022-jp", format!("Content-Type: text/calendar; charset=iso-2022-jp\n\n{}", fill("\u{1b}$B"))),
    ];
    for (what, message) in cases {
        let message = message.into_bytes();
        let read = || read_in_berlin(&message);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, read).unwrap();
            thread.join().unwrap();
        });
        let took = begun.elapsed();
        let bound = if cfg!(debug_assertions) { 5_000 } else { 150 };
        assert!(took < Duration::from_millis(bound), "{what} took {took:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_in_berlin(&bytes);
        let _ = read_in_berlin(&[b"Content-Type: text/calendar; charset=gbk\n\n", bytes.as_slice()].concat());
    }

    #[test]
    fn no_calendar_panics(
        lines in proptest::collection::vec(
            "(BEGIN|END):(VCALENDAR|VEVENT|VTIMEZONE|STANDARD|DAYLIGHT|VALARM)|(DTSTART|DTEND|DUE)(;TZID=A)?:[0-9]{8}(T[0-9]{4,6}Z?)?\
             |DURATION:-?P[0-9]{0,9}[DW]?(T[0-9]{0,5}[HMS])?|TZOFFSETTO:[+-]?[0-9]{0,6}|TZID:A|RRULE:(BYDAY=[-+]?[0-9]?(SU|M)?;|BYMONTH=[0-9]{0,2};){0,3}\
             |(SUMMARY|LOCATION|ORGANIZER|ATTENDEE)[;:=\"A-Z\\\\,ü ]{0,12}|METHOD:(REPLY|CANCEL)",
            0..40,
        )
    ) {
        let message = format!("Content-Type: text/calendar\n\n{}", lines.join("\n"));
        prop_assert!(read_in_berlin(message.as_bytes()).is_some_and(|read| !read.title.is_empty()));
    }

    #[test]
    fn no_damage_panics(
        sample in 0..SAMPLES.len(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0_usize..3), 1..12)
    ) {
        let mut message = SAMPLES[sample].to_vec();
        for (at, byte, how) in damage {
            let at = at.index(message.len());
            match how {
                0 => message[at] = byte,
                1 => message.insert(at, byte),
                _ => drop(message.remove(at)),
            }
        }
        if let Some(read) = read_in_berlin(&message) {
            for text in [read.title, read.details] {
                prop_assert_eq!(crate::mime::one_line(&text), text);
            }
        }
    }
}
