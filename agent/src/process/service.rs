//! What systemd is told (sd_notify(3)): readiness, reloading, stopping, and that we live ([`Watchdog`]).

use sd_notify::NotifyState;
use std::time::{Duration, Instant};

/// Tells the service manager, if there is one.
pub fn notify(states: &[NotifyState<'_>]) {
    // Without a listener there is nobody to tell.
    let _ = sd_notify::notify(states);
}

/// `systemctl reload` has begun; readiness is to follow.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// Tells the service manager twice in the time that it grants (WatchdogSec) that the engine lives.
#[derive(Debug)]
pub struct Watchdog {
    interval: Option<Duration>,
    next: Instant,
}

impl Watchdog {
    /// As the environment asks.
    pub fn from_environment() -> Self {
        let interval = sd_notify::watchdog_enabled().map(|time| time / 2);
        Self { interval, next: Instant::now() }
    }

    /// To be called in every turn.
    pub fn turn(&mut self, now: Instant) {
        if let Some(interval) = self.interval
            && now >= self.next
        {
            notify(&[NotifyState::Watchdog]);
            self.next = now + interval;
        }
    }

    /// When the next turn has to come.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.interval.map(|_| self.next.saturating_duration_since(now))
    }
}
