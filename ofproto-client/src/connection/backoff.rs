//! How long to wait before the next attempt to connect: [`Backoff`].

use std::time::Duration;

/// Doubling delays up to a limit. OVN's `rconn` does the same with a limit of 8 s.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Backoff {
    next: Duration,
    max: Duration,
}

const FIRST: Duration = Duration::from_secs(1);

impl Default for Backoff {
    fn default() -> Self {
        Backoff::new(Duration::from_secs(8))
    }
}

impl Backoff {
    /// Delays of 0 (the first attempt after a working connection), 1 s, 2 s, 4 s ... up to `max`.
    pub fn new(max: Duration) -> Backoff {
        Backoff { next: Duration::ZERO, max }
    }

    /// The delay before the next attempt; call it once per failed or lost connection.
    pub fn next_delay(&mut self) -> Duration {
        let delay = self.next.min(self.max);
        self.next = (delay * 2).clamp(FIRST, self.max.max(FIRST));
        delay
    }

    /// To be called when a connection has finished its handshake: the next delay is short again, but not 0, so that a
    /// switch that accepts and drops connections is not tried in a tight loop.
    pub fn connected(&mut self) {
        self.next = FIRST.min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_limit() {
        let mut backoff = Backoff::default();
        let delays: Vec<u64> = (0..7).map(|_| backoff.next_delay().as_secs()).collect();
        assert_eq!(delays, [0, 1, 2, 4, 8, 8, 8]);
        backoff.connected();
        assert_eq!(backoff.next_delay().as_secs(), 1);
        assert_eq!(backoff.next_delay().as_secs(), 2);
    }

    #[test]
    fn small_limits_hold() {
        let mut backoff = Backoff::new(Duration::from_millis(200));
        let delays: Vec<u128> = (0..4).map(|_| backoff.next_delay().as_millis()).collect();
        assert_eq!(delays, [0, 200, 200, 200]);
    }
}
