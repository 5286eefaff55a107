//! [`Clock`]: the engine's time, which tests may stop and put forward (`time/stop`, `time/warp`, once `debug/enable-timewarp` was given).

use ovn_core::runtime::{Now, Time};
use std::time::{Duration, Instant};

use crate::process::wall_ms;

/// Time since the start.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    warped: Duration,
    stopped: Option<Instant>,
    /// `debug/enable-timewarp` was given.
    pub may_warp: bool,
}

impl Clock {
    /// Starts at zero.
    pub fn start() -> Self {
        Self { start: Instant::now(), warped: Duration::ZERO, stopped: None, may_warp: false }
    }

    /// Both clocks of the core. What is put forward moves both.
    pub fn now(&self) -> Now {
        let real = self.stopped.unwrap_or_else(Instant::now) - self.start;
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let warped = i64::try_from(self.warped.as_millis()).unwrap_or(i64::MAX);
        Now { monotonic: Time(ms(real.saturating_add(self.warped))), wall_ms: wall_ms().saturating_add(warped) }
    }

    /// Since the start, really.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// From now on it only moves when it is put forward.
    pub fn stop(&mut self) {
        self.stopped.get_or_insert_with(Instant::now);
    }

    /// Whether time passes.
    pub fn runs(&self) -> bool {
        self.stopped.is_none()
    }

    /// Puts it forward.
    pub fn warp(&mut self, ms: u64) {
        self.warped = self.warped.saturating_add(Duration::from_millis(ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopped_and_put_forward() {
        let mut clock = Clock::start();
        clock.stop();
        let before = clock.now().monotonic.0;
        clock.warp(5000);
        assert_eq!(clock.now().monotonic.0, before + 5000);
        assert!(!clock.runs());
    }
}
