//! What to do about a tunnel next: when ssh is started, when the way through it is tried, when it is given up. Pure.

use std::time::{Duration, Instant};

use super::probe::Lost;

/// Why ssh has ended is no old news for so long.
const FRESH: Duration = Duration::from_secs(2);
/// The wait after ssh's first failure, and the longest; each is twice the one before, then cut by chance.
const MIN_WAIT: Duration = Duration::from_secs(2);
const MAX_WAIT: Duration = Duration::from_secs(60);
/// A tunnel that held so long did well: the next wait is the shortest again.
const DID_WELL: Duration = Duration::from_secs(60);
/// The way is tried this often; with [`super::probe::PATIENCE`] that makes less than a minute until a dead one is noticed.
const BETWEEN_PROBES: Duration = Duration::from_secs(45);
/// While ssh connects, and while nothing comes through. The first grows up to the second.
const FIRST_PROBES: Duration = Duration::from_millis(100);
const ANXIOUS_PROBES: Duration = Duration::from_secs(5);
/// ssh has so long to connect; somebody may have to touch a key.
const MAX_CONNECTING: Duration = Duration::from_secs(60);
/// So long a way that is there may carry nothing before that is told: the other end is not ready at once.
const READY: Duration = Duration::from_secs(10);
/// A way that never carried anything of ours may carry the mail server's all the same: a server can forbid our probes
/// alone.
const MAX_DOUBT: Duration = Duration::from_secs(600);
/// ssh itself gives a dead connection up after a minute, with its fourth question. One that it holds to be alive, though
/// nothing comes through, is begun anew.
const MAX_SILENCE: Duration = Duration::from_secs(60);

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Start ssh; [`Course::ended`] tells its end.
    Start,
    /// Try the way; [`Course::probed`] tells whether something came through.
    Probe,
    /// End ssh.
    End,
    /// Nothing before this moment, or at all.
    Wait(Option<Instant>),
}

/// How it stands, as people want to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// ssh connects for the first time, or for the first time after a sleep.
    Connecting,
    /// What the mail server sends arrives. `gap`: how long it may not have; none where it never did before.
    Up {
        gap: Option<Duration>,
    },
    Down(String),
    /// Ended until the machine is awake again.
    Asleep,
}

#[derive(Debug)]
pub struct Course {
    ssh: Ssh,
    standing: Standing,
    /// The next start or the next probe.
    due: Option<Instant>,
    is_probing: bool,
    /// Nothing came through since.
    silent_since: Option<Instant>,
    /// When it was last seen to work.
    worked_at: Option<Instant>,
    up_since: Option<Instant>,
    failures: u32,
    pace: Duration,
    is_held: bool,
    /// Why nothing came through a way that is there.
    lost: Option<String>,
    /// When ssh has last ended.
    ended_at: Option<Instant>,
    /// After a sleep that nobody announced: a connection that does not answer at once is begun anew.
    is_doubtful: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ssh {
    Absent,
    Running {
        since: Instant,
    },
    Ending,
    /// It is somebody else's: there is a way, and nothing to start or to end.
    Foreign,
}

impl Course {
    pub fn new(now: Instant) -> Self {
        Self {
            ssh: Ssh::Absent,
            standing: Standing::Connecting,
            due: Some(now),
            is_probing: false,
            silent_since: None,
            worked_at: None,
            up_since: None,
            failures: 0,
            pace: FIRST_PROBES,
            is_held: false,
            lost: None,
            ended_at: None,
            is_doubtful: false,
        }
    }

    /// Of a tunnel that somebody else keeps up.
    pub fn foreign(now: Instant) -> Self {
        Self { ssh: Ssh::Foreign, ..Self::new(now) }
    }

    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What is to be done; to be asked again after everything that happens.
    pub fn next(&mut self, now: Instant) -> Next {
        match self.ssh {
            Ssh::Ending => return Next::Wait(None),
            Ssh::Running { .. } if self.is_held => return self.end(),
            Ssh::Absent if self.is_held => {
                self.standing = Standing::Asleep;
                return Next::Wait(None);
            }
            Ssh::Running { since } if self.up_since.is_none() => {
                let limit = if self.lost.is_some() { MAX_DOUBT } else { MAX_CONNECTING };
                if now >= since + limit {
                    return self.end();
                }
            }
            Ssh::Running { .. }
                if self.silent_since.is_some_and(|since| self.is_doubtful || now >= since + MAX_SILENCE) =>
            {
                return self.end();
            }
            _ => {}
        }
        match self.due {
            _ if self.is_probing => Next::Wait(None),
            Some(due) if due <= now => {
                self.due = None;
                if self.ssh == Ssh::Absent {
                    self.ssh = Ssh::Running { since: now };
                    self.pace = FIRST_PROBES;
                    self.due = Some(now + self.pace);
                    return Next::Start;
                }
                self.is_probing = true;
                Next::Probe
            }
            due => Next::Wait(due),
        }
    }

    fn end(&mut self) -> Next {
        self.ssh = Ssh::Ending;
        Next::End
    }

    /// Whether something came through, or why not.
    pub fn probed(&mut self, result: Result<(), Lost>, now: Instant) {
        self.is_probing = false;
        match (result, self.up_since) {
            (Ok(()), _) => {
                if self.up_since.is_none() || self.silent_since.is_some() || self.is_doubtful {
                    let gap = self.worked_at.map(|worked| now.saturating_duration_since(worked));
                    self.standing = Standing::Up { gap };
                }
                self.up_since.get_or_insert(now);
                (self.worked_at, self.silent_since, self.is_doubtful) = (Some(now), None, false);
                self.due = Some(now + BETWEEN_PROBES);
            }
            // It has not been there yet: ssh is still busy, or the way leads elsewhere.
            (Err(lost), None) if self.ssh != Ssh::Foreign => {
                if let Lost::Why(why) = lost {
                    if matches!(self.ssh, Ssh::Running { since } if now >= since + READY) {
                        self.standing = Standing::Down(why.clone());
                    }
                    self.lost = Some(why);
                }
                self.pace = (self.pace * 2).min(ANXIOUS_PROBES);
                self.due = Some(now + self.pace);
            }
            (Err(lost), _) => {
                // A way of ours is begun anew before long. Somebody else's may stay dead for days.
                let is_long = self.ssh == Ssh::Foreign && self.silent_since.is_some();
                self.pace = if is_long { (self.pace * 2).min(BETWEEN_PROBES) } else { ANXIOUS_PROBES };
                self.silent_since.get_or_insert(now);
                self.standing = Standing::Down(lost.in_words());
                self.due = Some(now + self.pace);
            }
        }
    }

    /// ssh has ended, and said why; something that is known to be a reason, or just its end. `chance` is between 0 and 1.
    pub fn ended(&mut self, why: String, is_reason: bool, chance: f64, now: Instant) {
        let was_ending = self.ssh == Ssh::Ending;
        let did_well = self.up_since.is_some_and(|since| now.saturating_duration_since(since) >= DID_WELL);
        let was_doubtful = self.is_doubtful;
        let lost = self.lost.take();
        self.ssh = Ssh::Absent;
        self.ended_at = Some(now);
        self.is_probing = false;
        (self.up_since, self.silent_since, self.is_doubtful) = (None, None, false);
        if self.is_held {
            self.standing = Standing::Asleep;
            self.due = None;
            return;
        }
        self.failures = if did_well || was_doubtful { 1 } else { self.failures + 1 };
        // What it says when we end it is seldom why.
        match (&self.standing, was_ending && !is_reason) {
            (_, false) => self.standing = Standing::Down(why),
            (Standing::Down(_), true) => {}
            (_, true) => {
                self.standing = Standing::Down(lost.unwrap_or_else(|| "nothing came through".to_owned()));
            }
        }
        self.due = Some(now + if was_doubtful { Duration::ZERO } else { self.wait(chance) });
    }

    /// Between half and the whole of what doubles with each failure, so that many desktops don't come at once.
    fn wait(&self, chance: f64) -> Duration {
        let whole = MIN_WAIT.saturating_mul(2_u32.saturating_pow(self.failures.saturating_sub(1))).min(MAX_WAIT);
        (whole / 2 + (whole / 2).mul_f64(chance.clamp(0.0, 1.0))).max(MIN_WAIT)
    }

    /// The machine is about to sleep: ssh is to end, which frees the server's port at once.
    pub fn hold(&mut self) {
        self.is_held = self.ssh != Ssh::Foreign;
    }

    /// The machine is awake: whatever waits is done now.
    pub fn wake(&mut self, now: Instant) {
        self.is_held = false;
        self.failures = 0;
        match self.ssh {
            Ssh::Absent => {
                self.standing = Standing::Connecting;
                self.due = Some(now);
            }
            // What has answered before may be dead by now.
            Ssh::Running { .. } if self.up_since.is_some() => {
                self.is_doubtful = true;
                self.due = Some(now);
            }
            // It has just begun.
            Ssh::Running { .. } => {}
            // Held until this moment: it starts again when it has ended.
            Ssh::Ending => self.is_doubtful = true,
            Ssh::Foreign => (self.is_doubtful, self.due) = (true, Some(now)),
        }
    }

    /// There is nothing to try until [`Course::wake`].
    pub fn rest(&mut self) {
        self.due = None;
    }

    /// Somebody wants to know: the way is tried now, also one that would wait for its next try. False where there is
    /// nothing to be tried, or ssh is just about it.
    pub fn look(&mut self, now: Instant) -> bool {
        if self.ssh == Ssh::Absent && !self.is_held {
            if self.ended_at.is_some_and(|ended| now < ended + FRESH) {
                return false;
            }
            // What was wrong may be mended by now.
            (self.standing, self.due) = (Standing::Connecting, Some(now));
            return true;
        }
        let has_way = self.ssh == Ssh::Foreign || self.up_since.is_some();
        if has_way && !self.is_probing {
            self.due = Some(now);
        }
        has_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A tunnel and the time.
    struct Ride {
        course: Course,
        now: Instant,
    }

    impl Ride {
        fn begin() -> Self {
            let now = Instant::now();
            let mut ride = Self { course: Course::new(now), now };
            assert_eq!(ride.next(), Next::Start);
            ride
        }

        fn up() -> Self {
            let mut ride = Self::begin();
            assert_eq!(ride.pass_until_next(), Next::Probe);
            ride.probe(true);
            assert_eq!(ride.course.standing, Standing::Up { gap: None });
            ride
        }

        fn next(&mut self) -> Next {
            self.course.next(self.now)
        }

        /// Lets time pass until something is to be done.
        fn pass_until_next(&mut self) -> Next {
            loop {
                match self.next() {
                    Next::Wait(Some(then)) => self.now = then,
                    next => return next,
                }
            }
        }

        fn probe(&mut self, came_through: bool) {
            let result = if came_through { Ok(()) } else { Err(Lost::Why("no answer".to_owned())) };
            self.course.probed(result, self.now);
        }

        /// ssh is busy yet.
        fn probe_nothing(&mut self) {
            self.course.probed(Err(Lost::NoWay), self.now);
        }

        fn end(&mut self, why: &str) {
            self.course.ended(why.to_owned(), false, 1.0, self.now);
        }
    }

    #[test]
    fn it_is_up_when_something_comes_through_and_not_before() {
        let mut ride = Ride::begin();
        for _ in 0..5 {
            assert_eq!(ride.pass_until_next(), Next::Probe);
            ride.probe_nothing();
            assert_eq!(ride.course.standing, Standing::Connecting);
        }
        assert_eq!(ride.pass_until_next(), Next::Probe);
        ride.probe(true);
        assert_eq!(ride.course.standing, Standing::Up { gap: None });
    }

    #[test]
    fn a_dead_way_is_noticed_within_a_minute_and_heals_by_itself() {
        let mut ride = Ride::up();
        let began = ride.now;
        assert_eq!(ride.pass_until_next(), Next::Probe);
        assert!(ride.now + super::super::probe::PATIENCE <= began + seconds(60));
        ride.now += super::super::probe::PATIENCE;
        ride.probe(false);
        assert_eq!(ride.course.standing, Standing::Down("no answer".into()));
        assert_eq!(ride.pass_until_next(), Next::Probe);
        ride.probe(true);
        let Standing::Up { gap: Some(gap) } = ride.course.standing else { panic!("{:?}", ride.course) };
        assert_eq!(gap, ride.now - began, "as far back as it may have been dead");
    }

    #[test]
    fn what_is_silent_for_too_long_is_begun_anew() {
        let mut ride = Ride::up();
        let next = loop {
            match ride.pass_until_next() {
                Next::Probe => ride.probe(false),
                next => break next,
            }
        };
        assert_eq!(next, Next::End);
        assert_eq!(ride.next(), Next::Wait(None), "until it has ended");
        ride.end("killed by signal 15");
        assert_eq!(ride.course.standing, Standing::Down("no answer".into()), "what was wrong, not how we ended it");
        assert_eq!(ride.pass_until_next(), Next::Start);
    }

    #[test]
    fn an_ssh_that_never_connects_is_given_up() {
        let mut ride = Ride::begin();
        let began = ride.now;
        while ride.pass_until_next() == Next::Probe {
            ride.probe_nothing();
        }
        assert!((MAX_CONNECTING..=MAX_CONNECTING + ANXIOUS_PROBES).contains(&(ride.now - began)));
        ride.end("");
        assert_eq!(ride.course.standing, Standing::Down("nothing came through".into()));
    }

    #[test]
    fn a_way_that_never_carried_anything_says_why_and_is_left_to_those_whom_it_may_carry() {
        let mut ride = Ride::begin();
        let began = ride.now;
        while ride.pass_until_next() == Next::Probe {
            ride.probe(false);
            let is_told = ride.course.standing == Standing::Down("no answer".into());
            assert_eq!(is_told, ride.now >= began + READY);
        }
        assert!(ride.now >= began + MAX_DOUBT);
        ride.course.ended("forbidden; see there".into(), true, 1.0, ride.now);
        assert_eq!(ride.course.standing, Standing::Down("forbidden; see there".into()), "ssh knew it better");
    }

    #[test]
    fn failures_are_waited_out_from_two_seconds_to_a_minute_each_with_its_own_chance() {
        let mut ride = Ride::begin();
        let mut waits = Vec::new();
        for _ in 0..8 {
            ride.end("refused");
            assert_eq!(ride.course.standing, Standing::Down("refused".into()));
            let ended = ride.now;
            assert_eq!(ride.pass_until_next(), Next::Start);
            waits.push((ride.now - ended).as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
        ride.course.ended("refused".into(), false, 0.0, ride.now);
        assert_eq!(ride.next(), Next::Wait(Some(ride.now + seconds(30))));
    }

    #[test]
    fn what_held_for_long_is_tried_again_soon_and_what_did_not_is_not() {
        let mut ride = Ride::begin();
        for _ in 0..5 {
            ride.end("refused");
            ride.pass_until_next();
        }
        ride.probe(true);
        ride.now += seconds(3);
        ride.end("closed");
        assert_eq!(ride.next(), Next::Wait(Some(ride.now + seconds(60))), "flapping");
        let mut ride = Ride::up();
        ride.now += DID_WELL;
        ride.end("closed");
        assert_eq!(ride.next(), Next::Wait(Some(ride.now + seconds(2))));
    }

    #[test]
    fn before_a_sleep_ssh_ends_and_afterwards_it_starts_at_once() {
        let mut ride = Ride::up();
        ride.course.hold();
        assert_eq!(ride.next(), Next::End);
        ride.end("killed");
        assert_eq!((ride.next(), ride.course.standing.clone()), (Next::Wait(None), Standing::Asleep));
        ride.now += seconds(5);
        ride.course.wake(ride.now);
        assert_eq!(ride.next(), Next::Start);
        assert_eq!(ride.course.standing, Standing::Connecting);
        ride.probe(true);
        assert_eq!(ride.course.standing, Standing::Up { gap: Some(seconds(5)) });
    }

    #[test]
    fn a_sleep_while_it_waits_ends_the_wait() {
        let mut ride = Ride::begin();
        ride.end("no route");
        ride.course.hold();
        assert_eq!((ride.next(), ride.course.standing.clone()), (Next::Wait(None), Standing::Asleep));
        ride.course.wake(ride.now);
        assert_eq!(ride.next(), Next::Start);
    }

    #[test]
    fn awake_before_ssh_has_ended_it_starts_when_it_has() {
        let mut ride = Ride::up();
        ride.course.hold();
        assert_eq!(ride.next(), Next::End);
        ride.course.wake(ride.now);
        assert_eq!(ride.next(), Next::Wait(None));
        ride.end("killed");
        assert_eq!(ride.next(), Next::Start);
    }

    #[test]
    fn after_a_sleep_that_nobody_announced_a_dead_connection_is_not_waited_for() {
        let mut ride = Ride::up();
        ride.course.wake(ride.now);
        assert_eq!(ride.next(), Next::Probe);
        ride.probe(false);
        assert_eq!(ride.next(), Next::End);
        ride.end("killed");
        assert_eq!(ride.next(), Next::Start);
        let mut ride = Ride::up();
        ride.course.wake(ride.now);
        assert_eq!(ride.next(), Next::Probe);
        ride.probe(true);
        assert!(matches!(ride.next(), Next::Wait(Some(_))), "it lives");
    }

    #[test]
    fn somebody_elses_tunnel_is_looked_at_and_left_alone() {
        let now = Instant::now();
        let mut ride = Ride { course: Course::foreign(now), now };
        for came_through in [true, false, false] {
            assert_eq!(ride.pass_until_next(), Next::Probe);
            ride.probe(came_through);
        }
        assert_eq!(ride.course.standing, Standing::Down("no answer".into()));
        ride.now += seconds(1000);
        ride.course.hold();
        assert_eq!(ride.next(), Next::Probe);
    }

    #[test]
    fn a_look_is_taken_at_once_where_there_is_something_to_see() {
        let mut ride = Ride::up();
        assert!(ride.course.look(ride.now));
        assert_eq!(ride.next(), Next::Probe);
        let mut ride = Ride::begin();
        assert!(!ride.course.look(ride.now), "ssh has only begun");
        ride.course.ended("no way".into(), true, 1.0, ride.now);
        assert!(!ride.course.look(ride.now), "it has only just failed");
        ride.now += FRESH;
        assert!(ride.course.look(ride.now));
        assert_eq!(ride.next(), Next::Start);
        assert_eq!(*ride.course.standing(), Standing::Connecting);
    }
}
