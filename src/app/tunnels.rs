//! The mail servers' ways to us, and the machine's sleep.

use super::*;
use crate::desktop::PowerRequest;
use crate::status::{TunnelState, TunnelStatus};
use crate::tunnel::Standing;

impl App {
    /// The tunnels that the configuration wants, each as far as it is known from before.
    pub(super) fn tunnels_of(config: &Config, before: &Config, known: &[TunnelStatus], now: Now) -> Vec<TunnelStatus> {
        let tunnel = |tunnel| {
            let name = Some(config.name_of(tunnel));
            let is_the_same = before.tunnels.contains(tunnel);
            let known = known.iter().find(|known| is_the_same && known.name == name).cloned();
            known.unwrap_or(TunnelStatus { name, state: TunnelState::Connecting, since: now.wall })
        };
        config.tunnels.iter().map(tunnel).collect()
    }

    /// How a tunnel stands; `name` is absent for one that is kept up outside of us, and `standing` where there is none.
    pub(super) fn tunnel_is(
        &mut self,
        name: Option<String>,
        standing: Option<Standing>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if name.is_none() {
            let is_known = self.tunnels.iter().any(|tunnel| tunnel.name.is_none());
            match (&standing, is_known) {
                (None, _) => self.tunnels.retain(|tunnel| tunnel.name.is_some()),
                (Some(_), false) => {
                    self.tunnels.push(TunnelStatus { name: None, state: TunnelState::Connecting, since: now.wall });
                }
                (Some(_), true) => {}
            }
        }
        // One that a reload took away says its last.
        let tunnel = self.tunnels.iter_mut().find(|tunnel| tunnel.name == name);
        let (Some(tunnel), Some(standing)) = (tunnel, standing) else { return };
        let state = match standing {
            Standing::Connecting => TunnelState::Connecting,
            Standing::Up { gap } => {
                self.catch_up.tunnel_up(gap, now.instant);
                TunnelState::Up
            }
            Standing::Down(why) => TunnelState::Down(why),
            Standing::Asleep => TunnelState::Asleep,
        };
        if tunnel.state.word() != state.word() {
            tunnel.since = now.wall;
        }
        let was = std::mem::replace(&mut tunnel.state, state);
        let title = tunnel.title();
        match &tunnel.state {
            state if *state == was => {}
            TunnelState::Down(why) => tracing::warn!("{title}: down: {why}"),
            state => tracing::info!("{title}: {}", state.word()),
        }
        self.may_sleep(effects);
    }

    pub(super) fn about_to_sleep(&mut self, effects: &mut Vec<Effect>) {
        self.is_falling_asleep = true;
        self.catch_up.falls_asleep();
        effects.push(Effect::HoldTunnels);
        self.may_sleep(effects);
    }

    /// Tunnels have come and gone: those that came end as well before the machine sleeps.
    pub(super) fn tunnels_changed(&mut self, effects: &mut Vec<Effect>) {
        if self.is_falling_asleep || self.is_asleep {
            effects.push(Effect::HoldTunnels);
            self.may_sleep(effects);
        }
    }

    /// Lets the machine sleep when all connections to its servers have ended.
    fn may_sleep(&mut self, effects: &mut Vec<Effect>) {
        let mut ours = self.tunnels.iter().filter(|tunnel| tunnel.name.is_some());
        if self.is_falling_asleep && ours.all(|tunnel| tunnel.state == TunnelState::Asleep) {
            (self.is_falling_asleep, self.is_asleep) = (false, true);
            effects.push(Effect::Power(PowerRequest::ReadyToSleep));
        }
    }

    /// The machine is awake; it slept so long, as far as that is known.
    pub(super) fn awake(&mut self, slept: Duration, now: Now, effects: &mut Vec<Effect>) {
        (self.is_falling_asleep, self.is_asleep) = (false, false);
        self.catch_up.awake(slept, !self.tunnels.is_empty(), now.instant);
        effects.push(Effect::WakeTunnels);
    }

    /// Runs the fetch handlers where mail may have been missed.
    pub(super) fn catch_up(&mut self, now: Now) {
        if self.catch_up.take(now.instant) && self.config.can_fetch() {
            tracing::info!("fetching what may have been missed");
            self.dispatcher.fetch(None, Trigger::Resume);
        }
    }

    /// Whether a sleep of the machine makes a difference to us.
    pub fn minds_sleep(&self) -> bool {
        !self.config.tunnels.is_empty() || self.config.can_fetch()
    }

    /// Asks to be told of the machine's sleep, and of the session's locks, where that makes a difference.
    pub(super) fn watch_power(&mut self, effects: &mut Vec<Effect>) {
        let hold = !self.config.tunnels.is_empty();
        let request = PowerRequest::Watch { sleep: self.minds_sleep(), hold, lock: self.minds_lock() };
        if self.power_asked.replace(request) != Some(request) {
            effects.push(Effect::Power(request));
        }
    }
}
