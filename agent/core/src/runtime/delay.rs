//! [`NbCfgDelay`]: `debug/delay-nb-cfg-report`, for tests of what waits for nb_cfg. ovn-controller sleeps; here everything else goes on.

use ofproto_client::connection::Time;
use std::collections::VecDeque;

/// Acknowledgements that are reported later.
#[derive(Debug, Default)]
pub struct NbCfgDelay {
    delay_ms: u64,
    held: VecDeque<(Time, i64)>,
}

impl NbCfgDelay {
    /// From now on so late. What is held back already is not affected.
    pub fn set(&mut self, delay_ms: u64) {
        self.delay_ms = delay_ms;
    }

    /// An acknowledgement: `Some` if it may be reported at once.
    pub fn acknowledged(&mut self, now: Time, nb_cfg: i64) -> Option<i64> {
        if self.delay_ms == 0 && self.held.is_empty() {
            return Some(nb_cfg);
        }
        self.held.push_back((Time(now.0 + self.delay_ms), nb_cfg));
        None
    }

    /// What may be reported by now.
    pub fn due(&mut self, now: Time) -> Option<i64> {
        let mut due = None;
        while let Some((_, nb_cfg)) = self.held.front().filter(|(at, _)| *at <= now) {
            due = Some(*nb_cfg);
            self.held.pop_front();
        }
        due
    }

    /// When something is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.held.front().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_late_and_in_order() {
        let mut delay = NbCfgDelay::default();
        assert_eq!(delay.acknowledged(Time(0), 1), Some(1));
        delay.set(1000);
        assert_eq!(delay.acknowledged(Time(10), 2), None);
        delay.set(0);
        assert_eq!(delay.acknowledged(Time(20), 3), None, "not before the one that waits");
        assert_eq!((delay.due(Time(1009)), delay.poll_timeout()), (None, Some(Time(1010))));
        assert_eq!((delay.due(Time(1010)), delay.poll_timeout()), (Some(3), None));
        assert_eq!(delay.acknowledged(Time(1020), 4), Some(4));
    }
}
