//! When to connect, and where: [`Reconnect`], a state without a clock.
//!
//! The remotes are tried in turn, in an order shuffled by the seed. After a (re)configuration the first round is free of
//! delays, then delays double from one second to the maximum (OVS `reconnect.c`; the "free tries" are the number of
//! remotes). Up to half of each delay is taken off at random, so that the clients of a server that went away do not
//! all return in the same instant; and those that lose a good server are spread over a moment before their next free round.

use std::time::Duration;

use crate::remote::Remote;
use crate::time::Time;

/// The delay after the first failure that is not free.
pub const MIN_BACKOFF: Duration = Duration::from_secs(1);
/// The default of the longest delay.
pub const DEFAULT_MAX_BACKOFF: Duration = Duration::from_secs(8);
/// The clients of a good server that goes away are spread over this time.
pub const SPREAD: Duration = Duration::from_millis(200);

/// The remotes of one database and the state of trying them.
#[derive(Clone, Debug)]
pub struct Reconnect {
    remotes: Vec<Remote>,
    /// The remote of the next attempt.
    next: usize,
    max_backoff: Duration,
    backoff: Duration,
    /// Attempts without delay that are left.
    free: usize,
    /// When the next attempt is due.
    due: Time,
    /// Since when the present connection is good.
    good_since: Option<Time>,
    random: u64,
}

impl Reconnect {
    /// The first attempt is due at once. `seed` decides the order of the remotes and the jitter.
    pub fn new(remotes: Vec<Remote>, seed: u64) -> Reconnect {
        let mut reconnect = Reconnect {
            remotes: Vec::new(),
            next: 0,
            max_backoff: DEFAULT_MAX_BACKOFF,
            backoff: Duration::ZERO,
            free: 0,
            due: Time::default(),
            good_since: None,
            random: seed,
        };
        reconnect.set_remotes(Time::default(), remotes);
        reconnect
    }

    /// Changes the longest delay; at least [`MIN_BACKOFF`].
    pub fn set_max_backoff(&mut self, max: Duration) {
        self.max_backoff = max.max(MIN_BACKOFF);
    }

    /// Other remotes from now on. Whether a present connection stays is for the driver to decide by [`Reconnect::has`].
    pub fn set_remotes(&mut self, now: Time, remotes: Vec<Remote>) {
        self.remotes = remotes;
        for last in (1..self.remotes.len()).rev() {
            let other = self.random_below(last as u64 + 1) as usize;
            self.remotes.swap(last, other);
        }
        self.next = 0;
        self.free = self.remotes.len();
        self.backoff = Duration::ZERO;
        self.due = now;
    }

    /// Why attempts failed may be over: they need not wait.
    pub fn hurry(&mut self, now: Time) {
        self.free = self.remotes.len();
        self.backoff = Duration::ZERO;
        self.due = self.due.min(now);
    }

    /// Whether `remote` is one of the remotes.
    pub fn has(&self, remote: &Remote) -> bool {
        self.remotes.contains(remote)
    }

    /// The remotes in the order in which they are tried.
    pub fn remotes(&self) -> &[Remote] {
        &self.remotes
    }

    /// When the next attempt is due; `None` without remotes.
    pub fn due(&self) -> Option<Time> {
        (!self.remotes.is_empty()).then_some(self.due)
    }

    /// The remote to connect to now, if an attempt is due.
    pub fn poll(&mut self, now: Time) -> Option<Remote> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        let remote = self.remotes.get(self.next).cloned();
        self.next = (self.next + 1) % self.remotes.len().max(1);
        remote
    }

    /// How long the attempt that [`Reconnect::poll`] gave may take (as in OVS `reconnect_deadline__`).
    pub fn connect_timeout(&self) -> Duration {
        self.backoff.max(MIN_BACKOFF)
    }

    /// The server is good: delays start from the shortest again. If it stays good for as long as the longest delay, the
    /// attempts after its loss come at once, one for each remote; a server that fails soon after it answered is not asked in a hot loop.
    pub fn succeeded(&mut self, now: Time) {
        self.backoff = Duration::ZERO;
        self.good_since = Some(now);
    }

    /// An attempt failed or a connection broke. Returns how long until the next attempt.
    pub fn failed(&mut self, now: Time) -> Duration {
        let stable = self.good_since.take().is_some_and(|since| now.since(since) >= self.max_backoff);
        let delay = if stable {
            self.free = self.remotes.len().saturating_sub(1);
            self.random_part(SPREAD)
        } else if self.free > 0 {
            self.free -= 1;
            Duration::ZERO
        } else {
            self.backoff = (self.backoff * 2).clamp(MIN_BACKOFF, self.max_backoff);
            self.backoff - self.random_part(self.backoff / 2)
        };
        self.due = now.after(delay);
        delay
    }

    /// A part of `whole`, anything up to all of it.
    fn random_part(&mut self, whole: Duration) -> Duration {
        Duration::from_millis(self.random_below(whole.as_millis() as u64 + 1))
    }

    /// splitmix64: good enough to spread clients, and the same in every run of a simulation.
    fn random_below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remotes(count: usize) -> Vec<Remote> {
        (0..count).map(|index| Remote::Unix(format!("/{index}").into())).collect()
    }

    #[test]
    fn delays_double_up_to_the_maximum() {
        let mut reconnect = Reconnect::new(remotes(3), 1);
        let mut now = Time(1000);
        let mut order = Vec::new();
        let mut delays = Vec::new();
        for _ in 0..9 {
            order.push(reconnect.poll(now).unwrap().to_string());
            delays.push(reconnect.failed(now).as_millis() as u64);
            let due = reconnect.due().unwrap();
            if now < due {
                assert_eq!(reconnect.poll(Time(due.0 - 1)), None);
            }
            now = due;
        }
        assert_eq!(delays[..3], [0, 0, 0]);
        for (delay, full) in delays[3..].iter().zip([1000, 2000, 4000, 8000, 8000, 8000]) {
            assert!((full / 2..=full).contains(delay), "{delay} of {full}");
        }
        assert_eq!(order[..3], order[3..6]);
        let mut sorted = order[..3].to_vec();
        sorted.sort();
        assert_eq!(sorted, ["unix:/0", "unix:/1", "unix:/2"]);
    }

    #[test]
    fn success_starts_over() {
        let mut reconnect = Reconnect::new(remotes(1), 7);
        let mut last = Duration::ZERO;
        for _ in 0..6 {
            last = reconnect.failed(Time(0));
        }
        assert!(last >= Duration::from_millis(4000));
        assert_eq!(reconnect.connect_timeout(), Duration::from_secs(8));
        reconnect.succeeded(Time(0));
        assert!(reconnect.failed(Time(8000)) <= SPREAD);
        let soon = MIN_BACKOFF / 2..=MIN_BACKOFF;
        assert!(soon.contains(&reconnect.failed(Time(8000))));
        reconnect.succeeded(Time(9000));
        assert!(soon.contains(&reconnect.failed(Time(9001))), "a server that fails at once");
    }

    #[test]
    fn after_a_good_server_each_other_is_tried_at_once() {
        let mut reconnect = Reconnect::new(remotes(3), 7);
        for _ in 0..9 {
            reconnect.failed(Time(0));
        }
        reconnect.succeeded(Time(0));
        let delays: Vec<Duration> = (0..4).map(|_| reconnect.failed(Time(60_000))).collect();
        assert!(
            delays[0] <= SPREAD && delays[1..3] == [Duration::ZERO; 2] && delays[3] >= MIN_BACKOFF / 2,
            "{delays:?}"
        );
        // A thousand clients of one server are not back in the same instant.
        let first = |seed| {
            let mut reconnect = Reconnect::new(remotes(3), seed);
            reconnect.succeeded(Time(0));
            reconnect.failed(Time(60_000)).as_millis() as u64
        };
        let early = (0..1000).filter(|seed| first(*seed) < 20).count();
        assert!((50..200).contains(&early), "{early} in the first tenth");
    }

    /// A thousand clients of three servers that all go away at once, and come back after 20 s.
    #[test]
    fn a_thousand_clients_are_no_storm() {
        const GONE: u64 = 60_000;
        const BACK: u64 = 80_000;
        let mut attempts: Vec<u64> = Vec::new();
        let mut last = 0;
        for seed in 0..1000 {
            let mut client = Reconnect::new(remotes(3), seed);
            client.succeeded(Time(0));
            client.failed(Time(GONE));
            loop {
                let at = client.due().unwrap();
                client.poll(at).unwrap();
                attempts.push(at.0);
                if at.0 >= BACK {
                    last = last.max(at.0);
                    break;
                }
                client.failed(at);
            }
        }
        let in_window = |from: u64| attempts.iter().filter(|at| (from..from + 100).contains(at)).count();
        // Three each at first, over 200 ms.
        let first = in_window(GONE).max(in_window(GONE + 100));
        assert!(first <= 2000, "{first} at once");
        let busiest = (GONE + 300..BACK + 10_000).step_by(50).map(in_window).max().unwrap();
        println!("{} attempts of 1000 clients in 20 s, busiest 100 ms afterwards: {busiest}", attempts.len());
        assert!(busiest <= 250 && attempts.len() <= 12_000, "{busiest} in 100 ms, {} in all", attempts.len());
        assert!(last <= BACK + 8000, "all are back within the longest delay");
    }

    #[test]
    fn seeds_spread_clients_and_repeat() {
        let orders: Vec<_> = (0..20).map(|seed| Reconnect::new(remotes(5), seed).remotes().to_vec()).collect();
        assert!(orders.iter().any(|order| order != &orders[0]));
        assert_eq!(Reconnect::new(remotes(5), 3).remotes(), orders[3]);
    }

    #[test]
    fn without_remotes_nothing_is_due() {
        let mut reconnect = Reconnect::new(Vec::new(), 0);
        assert_eq!((reconnect.due(), reconnect.poll(Time(9))), (None, None));
        reconnect.set_remotes(Time(5), remotes(1));
        assert_eq!(reconnect.due(), Some(Time(5)));
        assert!(reconnect.has(&remotes(1)[0]) && !reconnect.has(&remotes(2)[1]));
    }
}
