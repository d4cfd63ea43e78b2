use super::*;

fn event(user: &str) -> Event {
    Event::new(EventKind::MessageNew, user)
}

fn accept(store: &mut Store, user: &str, handlers: &[&str]) -> EntryId {
    accept_event(store, event(user), handlers).expect("it is new")
}

fn accept_event(store: &mut Store, event: Event, handlers: &[&str]) -> Option<EntryId> {
    let handlers: Vec<Arc<str>> = handlers.iter().map(|name| Arc::from(*name)).collect();
    match store.accept(event, &handlers, Timestamp::UNIX_EPOCH, Known::All) {
        Accepted::New(id) => Some(id),
        Accepted::Repeat(_) => None,
    }
}

fn users(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.event.user.as_str()).collect()
}

fn start(store: &mut Store, handler: &str) -> (RunId, Vec<Entry>) {
    store.start(&Arc::from(handler))
}

fn state(store: &Store, id: EntryId) -> &DeliveryState {
    &store.entry(id).unwrap().deliveries[0].state
}

/// What a record would load of this store's memory.
fn crash(store: &Store) -> (Store, Vec<Arc<str>>, usize) {
    let entries = store.entries.values().cloned().collect();
    let identities = store.entries.values().filter_map(|entry| identity(&entry.event)).collect();
    let loaded = Loaded {
        entries,
        identities,
        last_entry: store.last_entry,
        last_run: store.last_run,
        paused: None,
        groups: Vec::new(),
    };
    Store::resume(loaded)
}

#[test]
fn a_run_takes_everything_that_waits_and_what_comes_later_waits_for_the_next() {
    let mut store = Store::default();
    let first = accept(&mut store, "a", &["fetch"]);
    accept(&mut store, "b", &["fetch"]);
    let (run, entries) = start(&mut store, "fetch");
    assert_eq!(users(&entries), ["a", "b"]);
    accept(&mut store, "c", &["fetch"]);
    assert_eq!(*state(&store, first), DeliveryState::Running(run));
    store.finish(run, "done");
    assert_eq!(*state(&store, first), DeliveryState::Finished("done".into()));
    assert_eq!(users(&start(&mut store, "fetch").1), ["c"]);
    assert!(!store.is_waiting("fetch"));
}

#[test]
fn what_a_run_gives_back_comes_first_again() {
    let mut store = Store::default();
    accept(&mut store, "a", &["notify"]);
    let (run, _) = start(&mut store, "notify");
    accept(&mut store, "b", &["notify"]);
    store.give_back(run);
    assert_eq!(users(&start(&mut store, "notify").1), ["a", "b"]);
}

#[test]
fn every_transition_says_what_changes_on_disk() {
    let mut store = Store::default();
    accept(&mut store, "a", &["fetch"]);
    let (run, _) = start(&mut store, "fetch");
    store.settle();
    store.finish(run, "done");
    let words: Vec<&str> = store
        .take_changes()
        .iter()
        .map(|change| match change {
            Change::Put { .. } => "put",
            Change::Started { .. } => "started",
            Change::Settled { .. } => "settled",
            Change::Finished { .. } => "finished",
            _ => "else",
        })
        .collect();
    assert_eq!(words, ["put", "started", "settled", "finished"]);
    assert!(store.take_changes().is_empty());
}

#[test]
fn memory_holds_what_is_unfinished_and_the_newest_of_the_rest() {
    let mut store = Store::default();
    let kept = accept(&mut store, "kept", &["slow"]);
    let gone = accept(&mut store, "gone", &[]);
    for _ in 0..RECENT {
        accept(&mut store, "x", &[]);
    }
    assert!(store.entry(kept).is_some() && store.entry(gone).is_none());
    assert_eq!(store.recent().count(), RECENT + 1);
}

#[test]
fn a_handler_that_never_runs_holds_a_bounded_number() {
    let mut store = Store::default();
    for _ in 0..MAX_WAITING + 5 {
        accept(&mut store, "x", &["never"]);
    }
    assert_eq!(start(&mut store, "never").1.len(), MAX_WAITING);
    let unhandled = store.changes.iter().filter(|change| matches!(change, Change::Finished { .. })).count();
    assert_eq!(unhandled, 5, "each is on record");
}

#[test]
fn hostile_texts_fill_no_memory() {
    let mut store = Store::default();
    for _ in 0..100 {
        let mut event = event("x");
        event.snippet = Some("ü".repeat(1 << 20));
        accept_event(&mut store, event, &["never"]);
    }
    assert!(store.text < 40 << 20, "{}", store.text);
}

fn message(uid: u32) -> Event {
    Event { uid: Some(uid), uid_validity: Some(9), folder: Some("INBOX".into()), ..event("me") }
}

#[test]
fn a_repeat_is_known_by_its_place_in_the_mailbox_and_adds_what_it_knows() {
    let mut store = Store::default();
    let first = accept_event(&mut store, message(1), &["n"]).unwrap();
    let more = Event { message_id: Some("<m@x>".into()), ..message(1) };
    assert_eq!(accept_event(&mut store, more, &["n"]), None);
    assert_eq!(store.entry(first).unwrap().event.message_id.as_deref(), Some("<m@x>"));
    assert!(accept_event(&mut store, message(2), &["n"]).is_some());
    let expunged = Event { kind: EventKind::MessageExpunge, ..message(1) };
    assert!(accept_event(&mut store, expunged, &[]).is_some());
    let read = Event { kind: EventKind::MessageRead, ..message(1) };
    assert!(accept_event(&mut store, read.clone(), &[]).is_some());
    assert!(accept_event(&mut store, read, &[]).is_some(), "a message can be read twice");
    let unknown = Event { uid: None, ..message(1) };
    assert!(accept_event(&mut store, unknown.clone(), &[]).is_some());
    assert!(accept_event(&mut store, unknown, &[]).is_some(), "no UID is no identity");
}

#[test]
fn a_repeat_is_known_after_a_restart() {
    let mut store = Store::default();
    accept_event(&mut store, message(1), &["n"]);
    let (mut store, ..) = crash(&store);
    assert_eq!(accept_event(&mut store, message(1), &["n"]), None);
}

#[test]
fn after_a_crash_what_ran_waits_again_and_is_told_apart() {
    let mut store = Store::default();
    accept(&mut store, "a", &["fetch"]);
    start(&mut store, "fetch");
    accept(&mut store, "b", &["fetch"]);
    let (mut store, waiting, set_aside) = crash(&store);
    assert_eq!((waiting, set_aside), (vec![Arc::from("fetch")], 0));
    let (_, entries) = start(&mut store, "fetch");
    assert_eq!(users(&entries), ["a", "b"]);
    assert!(entries[0].is_redelivered("fetch") && !entries[1].is_redelivered("fetch"));
}

#[test]
fn an_event_that_crashes_us_twice_is_set_aside() {
    let mut store = Store::default();
    let id = accept(&mut store, "a", &["fetch"]);
    start(&mut store, "fetch");
    let (mut store, ..) = crash(&store);
    start(&mut store, "fetch");
    let (store, waiting, set_aside) = crash(&store);
    assert_eq!((waiting.len(), set_aside), (0, 1));
    assert!(matches!(state(&store, id), DeliveryState::Finished(why) if why.starts_with("set aside")));
}

#[test]
fn a_run_that_settled_did_not_crash_us() {
    let mut store = Store::default();
    accept(&mut store, "a", &["fetch"]);
    for _ in 0..5 {
        start(&mut store, "fetch");
        store.settle();
        let (resumed, waiting, set_aside) = crash(&store);
        assert_eq!((waiting.len(), set_aside), (1, 0));
        store = resumed;
    }
}

#[test]
fn what_waits_for_a_handler_that_is_no_more_is_finished() {
    let mut store = Store::default();
    let id = accept(&mut store, "a", &["old"]);
    store.drop_handlers(|name| name == "new");
    assert!(store.entry(id).unwrap().is_finished());
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn mail(subject: &str, uid: Option<u32>) -> Event {
    Event {
        folder: Some("INBOX".into()),
        from: Some(crate::mime::originator("J <j@x>")),
        subject: Some(crate::mime::subject(subject)),
        uid,
        uid_validity: uid.map(|_| 7),
        ..event("me")
    }
}

/// What an invitation of the mail says, once read.
fn invitation(subject: &str) -> Event {
    let mut event = mail(subject, None);
    event.is_invitation = true;
    event.subject = Some(crate::event::Subject { raw: subject.into(), text: format!("Invitation: {subject}") });
    event.snippet = Some("Monday".into());
    event
}

fn accept_at(store: &mut Store, event: Event, second: i64) -> Accepted {
    store.accept(event, &[Arc::from("notify")], at(second), Known::All)
}

/// One that came with a message.
fn accept_unread(store: &mut Store, second: i64) -> EntryId {
    let event = Event { folder: Some("INBOX".into()), ..event("me") };
    match store.accept(event, &[Arc::from("notify")], at(second), Known::InPart) {
        Accepted::New(id) => id,
        Accepted::Repeat(_) => panic!("nobody knows what it says"),
    }
}

fn release(store: &mut Store, id: EntryId, read: &Event) -> Option<EntryId> {
    store.release(id, Some(read), |_| vec![Arc::from("notify")])
}

#[test]
fn an_invitation_and_its_mail_are_one_in_either_order() {
    let texts = |store: &Store, id| {
        let event = store.entry(id).unwrap().event.clone();
        (
            event.subject.as_ref().map(|subject| subject.text.clone()).unwrap_or_default(),
            event.snippet.clone(),
            event.uid,
        )
    };
    let expected = ("Invitation: Lunch".to_owned(), Some("Monday".to_owned()), Some(5));

    // The mail first.
    let mut store = Store::default();
    let Accepted::New(first) = accept_at(&mut store, mail("Lunch", Some(5)), 100) else { panic!("a repeat") };
    let second = accept_unread(&mut store, 101);
    assert_eq!(release(&mut store, second, &invitation("Lunch")), Some(first));
    assert_eq!(texts(&store, first), expected);
    assert_eq!(*state(&store, second), DeliveryState::Finished(format!("the same message as {}", first.0)));
    assert_eq!(users(&start(&mut store, "notify").1), ["me"]);

    // The invitation first; then the mail is no more than its number.
    let mut store = Store::default();
    let first = accept_unread(&mut store, 100);
    assert!(!store.is_waiting("notify"));
    assert_eq!(release(&mut store, first, &invitation("Lunch")), Some(first));
    assert_eq!(accept_at(&mut store, mail("Lunch", Some(5)), 101), Accepted::Repeat(Some(first)));
    assert_eq!(texts(&store, first), expected);
    assert_eq!(accept_at(&mut store, mail("Lunch", Some(5)), 500), Accepted::Repeat(None), "its number is known now");

    // The mail while the invitation is being read.
    let mut store = Store::default();
    let first = accept_unread(&mut store, 100);
    let Accepted::New(second) = accept_at(&mut store, mail("Lunch", Some(5)), 101) else { panic!("a repeat") };
    assert_eq!(release(&mut store, first, &invitation("Lunch")), Some(second));
    assert_eq!(texts(&store, second), expected);

    // Two invitations to two occurrences are two, whatever they have in common.
    let mut store = Store::default();
    let [one, other] = [100, 101].map(|second| accept_unread(&mut store, second));
    let said = |id: &str| Event { message_id: Some(id.into()), ..invitation("Cancelled: Lunch") };
    assert_eq!(release(&mut store, one, &said("<1>")), Some(one));
    assert_eq!(release(&mut store, other, &said("<2>")), Some(other));
    let another = Event { message_id: Some("<3>".into()), ..mail("Cancelled: Lunch", None) };
    assert!(matches!(accept_at(&mut store, another, 102), Accepted::New(_)), "another message of the same subject");

    // Another subject, another sender, another folder, another day: another mail.
    for (other, second) in [
        (mail("Dinner", Some(6)), 101),
        (Event { from: None, ..mail("Lunch", Some(6)) }, 101),
        (Event { folder: None, ..mail("Lunch", Some(6)) }, 101),
        (mail("Lunch", Some(6)), 120),
    ] {
        let mut store = Store::default();
        let first = accept_unread(&mut store, 100);
        release(&mut store, first, &invitation("Lunch"));
        assert!(matches!(accept_at(&mut store, other, second), Accepted::New(_)));
    }
}

#[test]
fn the_counts_that_follow_a_message_are_that_messages() {
    let counts = || Event { folder: Some("INBOX".into()), unseen: Some(3), messages: Some(9), ..event("me") };
    let mut store = Store::default();
    let Accepted::New(first) = accept_at(&mut store, mail("Lunch", None), 100) else { panic!("a repeat") };
    assert_eq!(accept_at(&mut store, counts(), 101), Accepted::Repeat(Some(first)));
    let event = store.entry(first).unwrap().event.clone();
    assert_eq!((event.unseen, event.messages), (Some(3), Some(9)));
    assert!(matches!(accept_at(&mut store, counts(), 200), Accepted::New(_)), "of no message of a moment ago");
    assert!(matches!(accept_at(&mut store, mail("Lunch", None), 201), Accepted::New(_)), "two mails may look alike");
}

#[test]
fn a_message_that_was_read_is_marked_once_and_after_a_crash_too() {
    let mut store = Store::default();
    let Accepted::New(id) = accept_at(&mut store, mail("Lunch", Some(5)), 100) else { panic!("a repeat") };
    accept_at(&mut store, mail("Dinner", Some(6)), 100);
    let read = Event { kind: EventKind::MessageRead, ..mail("", Some(5)) };
    store.take_changes();
    assert_eq!((store.mark_read(&read, true), store.mark_read(&read, true)), (vec![id], vec![id]));
    assert_eq!(store.take_changes(), [Change::Read { id, read: true }]);
    assert_eq!(store.mark_read(&Event { uid_validity: Some(8), ..read }, true), []);
    let marked =
        |store: &Store| store.entries.values().filter(|entry| entry.read).map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!((marked(&store), marked(&crash(&store).0)), (vec![id], vec![id]));
    let seen = Event { flags: vec!["\\Seen".into()], ..mail("Supper", Some(7)) };
    let Accepted::New(seen) = accept_at(&mut store, seen, 100) else { panic!("a repeat") };
    assert!(store.entry(seen).unwrap().read, "read before it came");
}

#[test]
fn changes_of_flags_push_no_mail_out_of_memory() {
    let mut store = Store::default();
    let mail = accept_event(&mut store, message(1), &[]).unwrap();
    for uid in 0..500 {
        let expunged = Event { kind: EventKind::MessageExpunge, ..message(1000 + uid) };
        accept_event(&mut store, expunged, &[]);
    }
    assert!(store.entry(mail).is_some());
    assert_eq!(store.recent().count(), 1 + RECENT);
    for uid in 2..=100 {
        accept_event(&mut store, message(uid), &[]);
    }
    assert_eq!(store.recent().filter(|entry| entry.event.is_noise()).count(), RECENT);
    assert_eq!(store.recent().count(), 2 * RECENT);
}

#[test]
fn a_message_that_is_out_of_memory_is_still_marked_on_disk() {
    let mut store = Store::default();
    let first = accept_event(&mut store, message(1), &[]).unwrap();
    for uid in 2..=100 {
        accept_event(&mut store, message(uid), &[]);
    }
    store.take_changes();
    let read = Event { kind: EventKind::MessageRead, ..message(1) };
    assert_eq!(store.mark_read(&read, true), [first]);
    assert_eq!(store.take_changes(), [Change::Read { id: first, read: true }]);
    let last = Event { kind: EventKind::MessageRead, ..message(100) };
    assert_eq!(store.mark_read(&last, true).len(), 1);
    store.take_changes();
    assert_eq!(store.mark_read(&last, true).len(), 1);
    assert_eq!(store.take_changes(), [], "that is known");
}

#[test]
fn handlers_are_chosen_by_what_the_message_says() {
    let mut store = Store::default();
    let id = accept_unread(&mut store, 100);
    assert!(!store.is_waiting("notify"));
    store.release(id, Some(&invitation("Lunch")), |event| match event.from.as_ref() {
        Some(from) if from.address == "j@x" => vec![Arc::from("fetch")],
        _ => vec![Arc::from("notify")],
    });
    assert!(store.is_waiting("fetch") && !store.is_waiting("notify"));
    let routed = store.take_changes().into_iter().any(|change| matches!(change, Change::Routed { .. }));
    assert!(routed, "the record learns of it");
    // For nobody: it is finished, and is no longer waited for.
    let id = accept_unread(&mut store, 200);
    store.release(id, None, |_| Vec::new());
    assert!(store.entry(id).unwrap().is_finished() && !store.is_waiting("notify"));
}
