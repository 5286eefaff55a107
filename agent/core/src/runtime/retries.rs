//! [`Retries`]: tunnel ports that the switch has refused and that nothing stands in the way of any more are tried again, later and later.
//! Open vSwitch does so when its configuration changes, but not by itself: `next_cfg`, which `ovs-vsctl` uses to the same end, is made
//! one more. No row of a port is touched.
//!
//! It happens when a chassis goes and comes back before the switch has looked: a tunnel that is deleted stands in the way of its
//! successor in the same round ("File exists").

use ofproto_client::connection::Time;
use ovsdb::Str;

use crate::list::List;

/// First and longest pause before an attempt, milliseconds. An attempt may use up a port number.
const PAUSE_FIRST_MS: u64 = 500;
const PAUSE_MAX_MS: u64 = 300_000;

/// When to try again.
#[derive(Debug, Default)]
pub struct Retries {
    /// The ports that were refused when it was looked last.
    refused: List<Str>,
    next: Option<Time>,
    pause_ms: u64,
    /// Attempts since the start.
    pub attempts: u64,
}

impl Retries {
    /// These ports are refused now. `true`: try again now.
    pub fn due(&mut self, now: Time, refused: List<Str>) -> bool {
        let news = refused.iter().any(|port| !self.refused.contains(port));
        self.refused = refused;
        if self.refused.is_empty() {
            self.next = None;
            return false;
        }
        if news {
            self.pause_ms = PAUSE_FIRST_MS;
            self.next = Some(Time(now.0 + self.pause_ms));
        }
        if self.next.is_none_or(|at| now < at) {
            return false;
        }
        self.attempts += 1;
        self.pause_ms = (self.pause_ms * 2).min(PAUSE_MAX_MS);
        self.next = Some(Time(now.0 + self.pause_ms));
        true
    }

    /// When the next attempt is.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_and_later_until_the_switch_takes_them() {
        let ports = |names: &[&str]| names.iter().map(|name| Str::from(*name)).collect::<List<Str>>();
        let mut retries = Retries::default();
        assert!(!retries.due(Time(0), ports(&[])));
        assert_eq!(retries.poll_timeout(), None);
        assert!(!retries.due(Time(0), ports(&["a"])));
        let mut at = Vec::new();
        while at.len() < 12 {
            let now = retries.poll_timeout().unwrap();
            assert!(!retries.due(Time(now.0 - 1), ports(&["a"])), "not before its time");
            assert!(retries.due(now, ports(&["a"])));
            at.push(now.0);
        }
        let pauses: Vec<u64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(at[0], 500);
        assert_eq!(pauses, [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000]);
        // Another port is not made to wait for it.
        let now = at[11] + 1;
        assert!(!retries.due(Time(now), ports(&["a", "b"])));
        assert_eq!(retries.poll_timeout(), Some(Time(now + 500)));
        assert!(!retries.due(Time(now), ports(&["b"])), "a works");
        assert!(!retries.due(Time(now), ports(&[])));
        assert_eq!((retries.poll_timeout(), retries.attempts), (None, 12));
    }
}
