//! Decisions without a runtime: inputs and times in, effects out.

use super::*;
use crate::control::Request as Control;
use crate::desktop::ClosedBy;
use crate::desktop::icons::Theme;
use crate::desktop::menu::IconState;
use crate::event::EventKind;
use crate::mime;
use crate::process::Exit;
use crate::schema::StatusJson;

struct Bench {
    app: App,
    now: Now,
    effects: Vec<Effect>,
}

impl Bench {
    fn new(config: &str) -> Self {
        let (config, problems) = Config::parse("f", config);
        let config = config.unwrap_or_else(|| panic!("{problems:?}"));
        let now = Now::read();
        let wanted = Wanted { tray: true, notifications: true };
        let app = App::new(Arc::new(config), None, &problems, wanted, Loaded::default(), now);
        Self { app, now, effects: Vec::new() }
    }

    /// With a notification service on the screen.
    fn with_desktop(config: &str) -> Self {
        let mut bench = Self::new(config);
        bench.desktop(DesktopEvent::Notifications(Availability::Here));
        bench.effects.clear();
        bench
    }

    fn input(&mut self, input: Input) {
        let effects = self.app.on_input(input, self.now);
        self.effects.extend(effects);
    }

    fn desktop(&mut self, event: DesktopEvent) {
        self.input(Input::Desktop(event));
    }

    fn choose(&mut self, choice: Choice) {
        self.desktop(DesktopEvent::Chosen { choice, activation_token: None });
    }

    fn click(&mut self) {
        self.desktop(DesktopEvent::TrayClicked { activation_token: Some("token".into()) });
    }

    fn mail(&mut self, from: &str) -> oneshot::Receiver<Taken> {
        let mut event = Event::new(EventKind::MessageNew, "me");
        event.folder = Some("INBOX".into());
        event.from = Some(mime::originator(from));
        let (reply, answer) = oneshot::channel();
        self.input(Input::Knock(Knock { events: vec![event], fingerprint: None, reply }));
        self.answer();
        answer
    }

    /// Does what the session does with answers.
    fn answer(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Answer(reply, taken) => drop(reply.send(taken)),
                effect => self.effects.push(effect),
            }
        }
    }

    fn after(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.input(Input::Deadline);
    }

    /// The commands that were started since the last look.
    fn runs(&mut self) -> Vec<RunId> {
        let run = |effect: &Effect| match effect {
            Effect::Run { run, .. } => Some(*run),
            _ => None,
        };
        let runs = self.effects.iter().filter_map(run).collect();
        self.effects.retain(|effect| run(effect).is_none());
        runs
    }

    /// The popups that were asked for since the last look; the desktop shows them.
    fn popups(&mut self) -> Vec<String> {
        let mut shown = Vec::new();
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Desktop(Request::Show { slot, note } | Request::Change { slot, note }) => {
                    shown.push(note.summary);
                    self.desktop(DesktopEvent::PopupShown { slot });
                }
                effect => self.effects.push(effect),
            }
        }
        shown
    }

    fn ends(&mut self, run: RunId, exit: Exit) {
        let ended = Ended {
            exit,
            elapsed: Duration::from_secs(1),
            stdout: "a\n no route\n".into(),
            stderr: String::new(),
            left_behind: false,
        };
        self.input(Input::Finished { run, ended });
    }

    fn icon(&self) -> IconState {
        tray_view(&self.app.status(), Theme::Auto).icon
    }

    /// What became of the newest event with its handlers.
    fn fates(&self) -> Vec<String> {
        let newest = self.app.store.recent().next().expect("something was accepted");
        newest.deliveries.iter().map(|delivery| format!("{}: {:?}", delivery.handler, delivery.state)).collect()
    }
}

const FETCH: &str = "[[handler]]\nname = \"fetch\"\ncommand = \"mbsync -a\"\n";

#[test]
fn mail_is_answered_shown_and_on_record() {
    let mut bench = Bench::with_desktop("");
    let mut answer = bench.mail("Alice <a@example.org>");
    assert_eq!(answer.try_recv(), Ok(Taken::OnRecord));
    assert_eq!(bench.popups(), ["Alice"]);
    assert_eq!(bench.fates(), ["notify: Finished(\"shown\")"]);
    assert_eq!(bench.icon(), IconState::New);
}

#[test]
fn a_burst_is_one_run_now_and_one_for_the_rest() {
    let mut bench = Bench::new(&format!("{FETCH}limit_burst = 100"));
    (0..5).for_each(|_| drop(bench.mail("a@x")));
    let runs = bench.runs();
    assert_eq!(runs.len(), 1);
    assert_eq!(bench.icon(), IconState::Fetching);
    bench.ends(runs[0], Exit::Code(0));
    assert_eq!(bench.runs().len(), 1, "the other four together");
    assert_eq!(bench.fates(), ["fetch: Running(RunId(2))"]);
}

#[test]
fn a_limited_run_waits_for_its_deadline_and_nothing_else_does() {
    let mut bench = Bench::new(FETCH);
    bench.mail("a@x");
    let first = bench.runs()[0];
    bench.ends(first, Exit::Code(0));
    bench.mail("b@x");
    assert!(bench.runs().is_empty());
    let deadline = bench.app.deadline(bench.now + TRAY_PERIOD).expect("a run is due");
    assert!(deadline <= bench.now.instant + Duration::from_secs(30));
    bench.after(30);
    assert_eq!(bench.runs().len(), 1);
}

/// The deadline is asked for a moment after the turn, and a moment is enough for it to pass.
#[test]
fn a_deadline_that_has_just_passed_is_still_one() {
    let mut bench = Bench::with_desktop("[[handler]]\ndelay = \"5s\"\ncommand = \"true\"\n");
    bench.after(1);
    bench.mail("a@x");
    bench.after(1);
    let later = bench.now + Duration::from_secs(10);
    assert_eq!(bench.app.deadline(later), Some(later.instant));
    bench.after(10);
    assert_eq!(bench.runs().len(), 1);
    bench.after(1);
    assert_eq!(bench.app.deadline(bench.now), None, "once begun it is no reason to wake");

    bench.choose(Choice::Pause(PauseFor::HalfAnHour));
    bench.after(1);
    let later = bench.now + Duration::from_secs(3600);
    let end = bench.app.wall_deadline(later).expect("nor is a pause's end missed");
    assert!(end < later.wall);
}

#[test]
fn with_nothing_to_wait_for_there_is_no_deadline() {
    let mut bench = Bench::new(FETCH);
    bench.after(1);
    bench.mail("a@x");
    let run = bench.runs()[0];
    bench.ends(run, Exit::Code(0));
    bench.after(1);
    assert_eq!(bench.app.deadline(bench.now), None);
}

#[test]
fn a_click_fetches_past_the_limit_and_joins_a_run_that_goes_on() {
    let mut bench = Bench::new(FETCH);
    bench.mail("a@x");
    let first = bench.runs()[0];
    bench.click();
    assert!(bench.runs().is_empty(), "it runs already");
    bench.ends(first, Exit::Code(0));
    bench.mail("b@x");
    bench.click();
    assert_eq!(bench.runs().len(), 1);
    assert_eq!(bench.fates(), ["fetch: Running(RunId(2))"], "a fetch takes what waits");
}

#[test]
fn without_a_fetch_handler_a_click_opens_mail() {
    let mut bench = Bench::with_desktop("[tray]\nopen = \"mail {subject}\"");
    bench.click();
    let opened = |effect: &Effect| matches!(effect, Effect::Open { words: Some(words), activation_token: Some(token) } if words == &["mail"] && token == "token");
    assert!(bench.effects.iter().any(opened), "{:?}", bench.effects);
}

#[test]
fn a_failure_is_a_problem_until_the_next_success() {
    let mut bench = Bench::new(FETCH);
    bench.choose(Choice::RunHandler("fetch".into()));
    let run = bench.runs()[0];
    bench.ends(run, Exit::Code(1));
    assert_eq!(bench.icon(), IconState::Problem);
    let status = bench.app.status();
    assert_eq!(status.problems, ["fetch: exit 1: no route"]);
    assert_eq!(status.handlers[0].last.as_ref().map(|last| last.last_line.as_str()), Some("no route"));
    bench.choose(Choice::Fetch);
    let run = bench.runs()[0];
    bench.ends(run, Exit::Code(0));
    assert_eq!(bench.icon(), IconState::Idle);
}

#[test]
fn mail_while_paused_is_recorded_and_comes_as_one_summary() {
    let mut bench = Bench::with_desktop("");
    bench.choose(Choice::Pause(PauseFor::HalfAnHour));
    bench.mail("a@x");
    bench.mail("b@x");
    assert!(bench.popups().is_empty());
    assert_eq!(bench.fates(), ["notify: Waiting"]);
    assert_eq!(bench.icon(), IconState::Paused);
    bench.after(30 * 60);
    assert_eq!(bench.popups(), ["2 new messages in INBOX"]);
    bench.mail("c@x");
    assert_eq!(bench.popups(), ["c@x"]);
}

/// What is answered to a request over the control socket.
fn asked(bench: &mut Bench, request: Control) -> StatusJson {
    let (reply, _) = oneshot::channel();
    bench.input(Input::Ask(Ask { request, reply }));
    let answer = bench.effects.iter().position(|effect| matches!(effect, Effect::Reply(..)));
    match bench.effects.swap_remove(answer.expect("it is answered at once")) {
        Effect::Reply(_, Reply { status: Some(status), .. }) => status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_click_and_a_command_pause_what_is_not_paused_and_resume_what_is() {
    let toggle = |seconds| Control::Toggle { seconds };
    let mut bench = Bench::with_desktop("[tray]\nclick = \"pause\"");
    let paused = asked(&mut bench, toggle(None));
    assert_eq!((paused.paused, paused.paused_until), (true, None));
    bench.click();
    assert!(bench.app.paused().is_none());
    bench.click();
    assert!(bench.app.paused().is_some());
    assert!(!asked(&mut bench, toggle(Some(60))).paused, "the length is for a pause that begins");
    let end = asked(&mut bench, toggle(Some(60))).paused_until;
    assert_eq!(end, bench.now.wall.checked_add(Duration::from_secs(60)).ok());
    bench.after(60);
    assert!(asked(&mut bench, toggle(None)).paused, "that pause is over");
}

#[test]
fn who_ends_quiet_hours_is_told_so_at_once() {
    let always = "[pause]\nquiet_hours = [\"00:00-12:00\", \"12:00-00:00\"]";
    for end in [Control::Resume, Control::Toggle { seconds: None }] {
        let mut bench = Bench::with_desktop(always);
        bench.mail("a@x");
        assert!(bench.popups().is_empty());
        assert!(!asked(&mut bench, end).paused);
        assert_eq!(bench.popups(), ["a@x"]);
        bench.after(1);
        assert!(bench.app.paused().is_none(), "until the next");
        assert!(asked(&mut bench, Control::Toggle { seconds: None }).paused);
    }
}

#[test]
fn without_a_notification_service_mail_waits_and_the_desktop_is_asked_again() {
    let mut bench = Bench::new("");
    bench.desktop(DesktopEvent::Notifications(Availability::Absent("none".into())));
    bench.mail("a@x");
    assert!(bench.effects.iter().any(|effect| matches!(effect, Effect::Desktop(Request::LookAgain))));
    assert_eq!(bench.fates(), ["notify: Waiting"]);
    bench.desktop(DesktopEvent::Notifications(Availability::Here));
    assert_eq!(bench.popups(), ["a@x"]);
}

#[test]
fn what_the_service_did_not_answer_for_is_shown_by_the_next_one() {
    let mut bench = Bench::with_desktop("");
    bench.mail("a@x");
    // It never says that the popup is shown.
    assert_eq!(bench.fates(), ["notify: Running(RunId(1))"]);
    bench.effects.clear();
    bench.desktop(DesktopEvent::Notifications(Availability::Absent("gone".into())));
    assert_eq!(bench.fates(), ["notify: Waiting"]);
    bench.desktop(DesktopEvent::Notifications(Availability::Here));
    assert_eq!(bench.popups(), ["a@x"]);
    assert_eq!(bench.fates(), ["notify: Finished(\"shown\")"]);
}

#[test]
fn a_refused_popup_is_on_record_and_holds_nothing_up() {
    let mut bench = Bench::with_desktop("");
    bench.mail("a@x");
    bench.desktop(DesktopEvent::PopupFailed { slot: Slot(1), why: "full".into() });
    assert_eq!(bench.fates(), ["notify: Finished(\"not shown: full\")"]);
    bench.effects.clear();
    bench.mail("b@x");
    assert_eq!(bench.popups(), ["b@x"]);
}

#[test]
fn a_click_on_a_popup_opens_its_message_once() {
    let mut bench = Bench::with_desktop("[tray]\nopen = \"mail {from_address}\"");
    bench.mail("Alice <alice@example.org>");
    bench.popups();
    let action = DesktopEvent::PopupAction { slot: Slot(1), action: "default".into(), activation_token: None };
    bench.desktop(action);
    let opened = bench.effects.iter().filter_map(|effect| match effect {
        Effect::Open { words: Some(words), .. } => Some(words.join(" ")),
        _ => None,
    });
    assert_eq!(opened.collect::<Vec<_>>(), ["mail alice@example.org"]);
    assert_eq!(bench.icon(), IconState::Idle);
}

#[test]
fn looking_is_noticed_and_the_count_begins_anew() {
    let mut bench = Bench::with_desktop("");
    bench.mail("a@x");
    bench.mail("b@x");
    bench.desktop(DesktopEvent::MenuOpened);
    assert_eq!((bench.app.status().new, bench.icon()), (2, IconState::Idle));
    bench.mail("c@x");
    assert_eq!((bench.app.status().new, bench.icon()), (1, IconState::New));
    bench.desktop(DesktopEvent::PopupClosed { slot: Slot(1), by: ClosedBy::User });
    assert_eq!(bench.app.status().new, 1);
}

#[test]
fn the_tray_changes_at_most_four_times_a_second() {
    let mut bench = Bench::with_desktop("");
    let changes = |bench: &Bench| {
        bench.effects.iter().filter(|effect| matches!(effect, Effect::Desktop(Request::Tray(_)))).count()
    };
    bench.after(1);
    bench.effects.clear();
    for second in 0..50 {
        bench.mail(&format!("{second}@x"));
    }
    assert!(changes(&bench) <= 1);
    assert!(bench.app.deadline(bench.now).is_some_and(|deadline| deadline <= bench.now.instant + TRAY_PERIOD));
    bench.after(1);
    let Some(Effect::Desktop(Request::Tray(view))) = bench.effects.last() else { panic!("no change of the tray") };
    assert!(view.tooltip.starts_with("50 new messages"));
}

#[test]
fn while_stopping_senders_are_told_and_nothing_begins() {
    let mut bench = Bench::with_desktop(FETCH);
    bench.input(Input::Stop);
    assert!(matches!(bench.effects.as_slice(), [Effect::Stop]));
    let mut answer = bench.mail("a@x");
    assert_eq!(answer.try_recv(), Ok(Taken::Stopping));
    assert!(bench.runs().is_empty());
}

#[test]
fn silenced_mail_is_neither_shown_nor_counted() {
    let mut bench = Bench::with_desktop("[[handler]]\nfrom = \"spam@x\"\nnotify = false\n[[handler]]\nnotify = true");
    bench.mail("spam@x");
    assert!(bench.popups().is_empty());
    assert_eq!(bench.app.status().new, 0);
    bench.mail("a@x");
    assert_eq!(bench.popups(), ["a@x"]);
}

const TUNNEL: &str = "[auth]\nuser = \"u\"\npass = \"p\"\n[tunnel]\nhost = \"mail\"\n";

impl Bench {
    fn tunnel(&mut self, standing: Standing) {
        self.input(Input::Tunnel { name: Some("mail".into()), standing: Some(standing) });
    }

    /// What was asked of the power management and the tunnels since the last look.
    fn orders(&mut self) -> Vec<String> {
        let (orders, rest) = std::mem::take(&mut self.effects).into_iter().partition(|effect| {
            matches!(effect, Effect::HoldTunnels | Effect::WakeTunnels | Effect::Power(PowerRequest::ReadyToSleep))
        });
        self.effects = rest;
        let orders: Vec<Effect> = orders;
        orders.iter().map(|order| format!("{order:?}")).collect()
    }
}

#[test]
fn a_tunnel_is_shown_and_its_silence_is_a_problem() {
    let mut bench = Bench::new(TUNNEL);
    let states = |bench: &Bench| {
        let status = bench.app.status();
        status.tunnels.iter().map(|tunnel| format!("{}: {}", tunnel.title(), tunnel.state.word())).collect::<Vec<_>>()
    };
    assert_eq!(states(&bench), ["Tunnel to mail: connecting"]);
    assert_eq!(bench.icon(), IconState::Idle);
    bench.tunnel(Standing::Down("no route".into()));
    assert_eq!((states(&bench), bench.icon()), (vec!["Tunnel to mail: down".to_owned()], IconState::Problem));
    assert!(bench.app.status().problems[0].starts_with("Tunnel to mail: down since "));
    let since = bench.app.status().tunnels[0].since;
    bench.after(10);
    bench.tunnel(Standing::Down("refused".into()));
    assert_eq!(bench.app.status().tunnels[0].since, since, "another reason is no other outage");
    bench.tunnel(Standing::Up { gap: None });
    assert_eq!((states(&bench), bench.icon()), (vec!["Tunnel to mail: up".to_owned()], IconState::Idle));
}

#[test]
fn what_may_have_been_missed_is_fetched_once_the_tunnel_is_up() {
    let mut bench = Bench::new(&format!("{TUNNEL}{FETCH}"));
    bench.tunnel(Standing::Up { gap: None });
    let [run] = bench.runs()[..] else { panic!("one run") };
    bench.ends(run, Exit::Code(0));
    for gap in [40, 10, 50] {
        bench.after(gap);
        bench.tunnel(Standing::Down("x".into()));
        bench.tunnel(Standing::Up { gap: Some(Duration::from_secs(gap)) });
    }
    assert_eq!(bench.runs(), []);
    assert!(bench.app.deadline(bench.now).is_some());
    bench.after(300 - 100);
    assert_eq!(bench.runs().len(), 1, "for both");
}

#[test]
fn the_machine_sleeps_when_all_connections_have_ended_and_not_before() {
    let mut bench = Bench::new(&format!("{TUNNEL}{FETCH}"));
    bench.tunnel(Standing::Up { gap: None });
    let [run] = bench.runs()[..] else { panic!("one run") };
    bench.ends(run, Exit::Code(0));
    assert!(
        bench
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Power(PowerRequest::Watch { sleep: true, hold: true, .. })))
    );
    bench.after(400);
    bench.desktop(DesktopEvent::AboutToSleep);
    assert_eq!(bench.orders(), ["HoldTunnels"]);
    bench.tunnel(Standing::Asleep);
    assert_eq!(bench.orders(), ["Power(ReadyToSleep)"]);
    assert_eq!(bench.icon(), IconState::Idle, "it is no problem");
    bench.desktop(DesktopEvent::Resumed);
    assert_eq!(bench.orders(), ["WakeTunnels"]);
    bench.after(20);
    assert_eq!(bench.runs(), [], "the network is not there yet");
    bench.tunnel(Standing::Up { gap: Some(Duration::from_secs(21)) });
    assert_eq!(bench.runs().len(), 1);
}

#[test]
fn without_a_tunnel_a_sleep_is_made_up_for_in_a_moment() {
    let mut bench = Bench::new(FETCH);
    bench.desktop(DesktopEvent::AboutToSleep);
    assert_eq!(bench.orders(), ["HoldTunnels", "Power(ReadyToSleep)"]);
    // Both may tell of the same sleep.
    bench.desktop(DesktopEvent::Resumed);
    bench.input(Input::Slept(Duration::from_secs(3600)));
    assert_eq!(bench.runs(), []);
    bench.after(5);
    assert_eq!(bench.runs().len(), 1);
}

#[test]
fn who_has_nothing_to_fetch_and_no_tunnel_does_not_mind_sleep() {
    let mut bench = Bench::new("");
    bench.input(Input::Deadline);
    let watched = |effect: &Effect| matches!(effect, Effect::Power(PowerRequest::Watch { sleep: true, .. }));
    assert!(!bench.effects.iter().any(watched));
}

#[test]
fn a_tunnel_from_outside_is_shown_while_it_can_be_seen() {
    let mut bench = Bench::new("");
    let mut outside = |standing| {
        bench.input(Input::Tunnel { name: None, standing });
        bench.app.status().tunnels.iter().map(|tunnel| tunnel.title() + ": " + tunnel.state.word()).collect::<Vec<_>>()
    };
    assert_eq!(outside(None), [""; 0]);
    assert_eq!(outside(Some(Standing::Up { gap: None })), ["Tunnel: up"]);
    assert_eq!(outside(Some(Standing::Down("x".into()))), ["Tunnel: down"]);
    assert_eq!(outside(None), [""; 0]);
}

#[test]
fn a_reload_keeps_what_is_known_of_tunnels_that_stay() {
    let mut bench = Bench::new(TUNNEL);
    bench.tunnel(Standing::Up { gap: None });
    let reload = |bench: &mut Bench, text: &str| {
        let config = Arc::new(Config::parse("f", text).0.expect("it is right"));
        bench.input(Input::Reloaded { config, warnings: Vec::new() });
        bench.app.status().tunnels.iter().map(|tunnel| tunnel.state.word()).collect::<Vec<_>>()
    };
    let two = TUNNEL.replace("[tunnel]", "[[tunnel]]") + "[[tunnel]]\nhost = \"other\"\n";
    assert_eq!(reload(&mut bench, &two), ["up", "connecting"]);
    let moved = two.replacen("[[tunnel]]", "[[tunnel]]\nremote = \"127.0.0.1:7\"", 1);
    assert_eq!(reload(&mut bench, &moved), ["connecting", "connecting"], "it is another one now");
    assert_eq!(reload(&mut bench, ""), [""; 0]);
    bench.tunnel(Standing::Down("its last words".into()));
    assert_eq!(bench.app.status().problems, [""; 0]);
}

#[test]
fn a_button_does_what_it_says_once_and_a_failure_is_told() {
    let mut bench = Bench::with_desktop(
        "[[handler]]\n[handler.notify]\nactions = [{ label = \"Mark read\", command = \"seen {folder} {from_address}\" }]",
    );
    drop(bench.mail("Alice <a@example.org>"));
    let slot = bench
        .effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Desktop(Request::Show { slot, .. }) => Some(*slot),
            _ => None,
        })
        .expect("a popup");
    let click = |bench: &mut Bench| {
        let action = "button-0".to_owned();
        bench.desktop(DesktopEvent::PopupAction { slot, action, activation_token: Some("token".into()) });
        let words = bench.effects.iter().filter_map(|effect| match effect {
            Effect::Button { words, .. } => Some(words.join(" ")),
            _ => None,
        });
        let words: Vec<String> = words.collect();
        bench.effects.clear();
        words
    };
    assert_eq!(click(&mut bench), ["seen INBOX a@example.org"]);
    assert_eq!(click(&mut bench), [""; 0], "once");
    assert_eq!(bench.app.status().new, 1, "nobody has looked");
    let ended = Ended {
        exit: Exit::Code(1),
        elapsed: Duration::from_secs(1),
        stdout: String::new(),
        stderr: "no such mailbox\n".into(),
        left_behind: false,
    };
    let entry = bench.app.store.recent().next().expect("it was accepted").id;
    bench.input(Input::ButtonEnded { entry, label: "Mark read".into(), ended });
    assert_eq!(bench.fates()[1], "button Mark read: Finished(\"exit 1\")", "it is on record");
    let told = bench.effects.iter().any(|effect| {
        matches!(effect, Effect::Desktop(Request::Show { note, .. }) if note.body.contains("exit 1: no such mailbox"))
    });
    assert!(told, "{:?}", bench.effects);
}

#[test]
fn while_the_screen_is_locked_popups_are_covered_or_wait_as_the_configuration_says() {
    let mut covered = Bench::with_desktop("");
    covered.desktop(DesktopEvent::Locked(true));
    drop(covered.mail("Alice <a@example.org>"));
    assert_eq!(covered.popups(), ["1 new message"]);
    covered.desktop(DesktopEvent::Locked(false));
    assert_eq!(covered.popups(), ["Alice"]);

    let mut held = Bench::with_desktop("[pause]\nwhen_locked = \"hold\"");
    held.desktop(DesktopEvent::Locked(true));
    drop(held.mail("Alice <a@example.org>"));
    drop(held.mail("Bob <b@example.org>"));
    assert_eq!(held.popups(), [""; 0]);
    held.desktop(DesktopEvent::Locked(false));
    assert_eq!(held.popups(), ["2 new messages in INBOX"]);

    let mut shown = Bench::with_desktop("[pause]\nwhen_locked = \"show\"");
    shown.desktop(DesktopEvent::Locked(true));
    drop(shown.mail("Alice <a@example.org>"));
    assert_eq!(shown.popups(), ["Alice"]);
}

#[test]
fn a_popup_that_is_withdrawn_before_it_is_shown_holds_up_nothing() {
    let mut bench = Bench::with_desktop("");
    drop(bench.mail("Alice <a@example.org>"));
    let slot = bench.effects.iter().find_map(|effect| match effect {
        Effect::Desktop(Request::Show { slot, .. }) => Some(*slot),
        _ => None,
    });
    bench.effects.clear();
    drop(bench.mail("Bob <b@example.org>"));
    assert_eq!(bench.popups(), [""; 0], "one run after the other");
    bench.desktop(DesktopEvent::PopupClosed { slot: slot.expect("a popup"), by: ClosedBy::Us });
    assert_eq!(bench.popups(), ["Bob"]);
}

#[test]
fn the_screen_is_unlocked_only_when_neither_the_screen_saver_nor_the_session_is_locked() {
    let (screen_saver, session) = (DesktopEvent::Locked, DesktopEvent::SessionLocked);
    for (first, second) in
        [(screen_saver as fn(bool) -> DesktopEvent, session as fn(bool) -> DesktopEvent), (session, screen_saver)]
    {
        let mut bench = Bench::with_desktop("");
        bench.desktop(first(true));
        drop(bench.mail("Alice <a@example.org>"));
        assert_eq!(bench.popups(), ["1 new message"]);
        bench.desktop(second(true));
        bench.desktop(first(false));
        assert_eq!(bench.popups(), [""; 0], "nothing has changed");
        drop(bench.mail("Bob <b@example.org>"));
        assert_eq!(bench.popups(), ["1 new message"]);
        bench.desktop(second(false));
        assert_eq!(bench.popups(), ["Alice", "Bob"]);
    }
}

#[test]
fn locks_are_asked_for_on_both_buses_exactly_where_they_make_a_difference() {
    /// What was asked since the last look: of the screen saver, and of the power management.
    fn asked(bench: &mut Bench) -> (Vec<bool>, Vec<bool>) {
        let effects = std::mem::take(&mut bench.effects);
        let screen_saver = effects.iter().filter_map(|effect| match effect {
            Effect::Desktop(Request::WatchLock(wanted)) => Some(*wanted),
            _ => None,
        });
        let session = effects.iter().filter_map(|effect| match effect {
            Effect::Power(PowerRequest::Watch { lock, .. }) => Some(*lock),
            _ => None,
        });
        (screen_saver.collect(), session.collect())
    }
    let reload = |bench: &mut Bench, text: &str| {
        let config = Arc::new(Config::parse("f", text).0.expect("it is right"));
        bench.input(Input::Reloaded { config, warnings: Vec::new() });
        asked(bench)
    };
    let show = "[pause]\nwhen_locked = \"show\"";
    let mut bench = Bench::new("");
    bench.input(Input::Deadline);
    assert_eq!(asked(&mut bench), (vec![true], vec![true]));
    assert_eq!(reload(&mut bench, "[pause]\nwhen_locked = \"hold\""), (vec![], vec![]));
    assert_eq!(reload(&mut bench, show), (vec![false], vec![false]));
    assert_eq!(reload(&mut bench, ""), (vec![true], vec![true]));

    for (config, notifications) in [(show, true), ("", false)] {
        let mut bench = Bench::new(config);
        bench.app.wanted.notifications = notifications;
        bench.input(Input::Deadline);
        assert_eq!(asked(&mut bench), (vec![], vec![false]), "{config}");
    }
}

#[test]
fn an_account_has_its_name_and_its_own_program() {
    let mut bench = Bench::with_desktop(
        "[tray]\nopen = \"one\"\n[[account]]\nuser = \"m?\"\nlabel = \"Work\"\nopen = \"other {account} {from_address}\"",
    );
    drop(bench.mail("Alice <a@example.org>"));
    assert_eq!(bench.popups(), ["Work: Alice"]);
    assert_eq!(bench.app.status().recent[0].account.as_deref(), Some("Work"));
    let entry = bench.app.status().recent[0].entry;
    bench.choose(Choice::OpenEntry(entry));
    let opened = bench.effects.iter().find_map(|effect| match effect {
        Effect::Open { words, .. } => words.clone(),
        _ => None,
    });
    assert_eq!(opened.unwrap_or_default(), ["other", "Work", "a@example.org"]);
}

#[test]
fn start_at_login_is_asked_for_and_its_refusal_told_while_the_mark_stays() {
    let mut bench = Bench::with_desktop("");
    let asked = |bench: &mut Bench| {
        let effects = std::mem::take(&mut bench.effects);
        let wanted = |effect| match effect {
            Effect::Autostart(wanted) => Some(Some(wanted)),
            Effect::LookAtAutostart => Some(None),
            _ => None,
        };
        effects.into_iter().filter_map(wanted).collect::<Vec<_>>()
    };
    bench.input(Input::Autostart(Ok(Some(false))));
    bench.effects.clear();
    bench.choose(Choice::StartAtLogin(true));
    assert_eq!(asked(&mut bench), [Some(true)]);
    assert_eq!(bench.app.status().starts_at_login, Some(false), "not before it is done");
    bench.input(Input::Autostart(Err("a link".into())));
    assert_eq!(bench.popups(), ["Mailknock"]);
    assert_eq!(bench.app.status().starts_at_login, Some(false));
    bench.desktop(DesktopEvent::MenuOpened);
    assert_eq!(asked(&mut bench), [None], "somebody may have changed it elsewhere");
    bench.input(Input::Autostart(Ok(Some(true))));
    assert_eq!(bench.app.status().starts_at_login, Some(true));
}
