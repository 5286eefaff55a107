//! [`Turns`]: how long the engine is busy between two looks at its messages, which is what a control command, a probe or a packet
//! may have to wait; and how much of that it spent on the processor, which tells a busy engine from a busy machine. Shown by `work/show`,
//! cleared by `inc-engine/clear-stats`.

use nix::time::{ClockId, clock_gettime};
use std::fmt;
use std::time::{Duration, Instant};

/// Width of a class, and their number; longer turns are in the last one.
const WIDTH: Duration = Duration::from_micros(100);
const CLASSES: usize = 1_000;

/// Lengths of turns, by the clock and on the processor.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    elapsed: Lengths,
    busy: Lengths,
}

/// When a turn began.
#[derive(Copy, Clone, Debug)]
pub struct Start {
    clock: Instant,
    /// Of this thread; zero where that is not known.
    processor: Duration,
}

impl Start {
    /// Now.
    pub fn now() -> Self {
        let processor = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from);
        Self { clock: Instant::now(), processor }
    }

    /// How long ago it began.
    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }
}

impl Turns {
    /// A turn of this thread that ends now.
    pub fn add(&mut self, start: Start) {
        let end = Start::now();
        self.elapsed.add(end.clock - start.clock);
        self.busy.add(end.processor.saturating_sub(start.processor));
    }
}

#[derive(Clone, Debug)]
struct Lengths {
    classes: Box<[u64]>,
    count: u64,
    longest: Duration,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { classes: vec![0; CLASSES].into(), count: 0, longest: Duration::ZERO }
    }
}

impl Lengths {
    fn add(&mut self, length: Duration) {
        let class = (length.as_micros() / WIDTH.as_micros()) as usize;
        self.classes[class.min(CLASSES - 1)] += 1;
        self.count += 1;
        self.longest = self.longest.max(length);
    }

    /// The length that all but this many of a thousand turns do not exceed.
    fn all_but(&self, per_mille: u64) -> Duration {
        let mut left = self.count.saturating_sub(self.count * per_mille / 1000);
        for (class, count) in self.classes.iter().enumerate() {
            left = left.saturating_sub(*count);
            if left == 0 {
                return (WIDTH * (class as u32 + 1)).min(self.longest);
            }
        }
        self.longest
    }
}

impl fmt::Display for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "turns: {}, {}; on the processor {}", self.elapsed.count, self.elapsed, self.busy)
    }
}

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |length: Duration| length.as_secs_f64() * 1000.0;
        let [half, most] = [500, 1].map(|per_mille| ms(self.all_but(per_mille)));
        write!(f, "p50 {half:.1} ms, p99.9 {most:.1} ms, longest {:.1} ms", ms(self.longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_most_turns_do_not_exceed() {
        let mut lengths = Lengths::default();
        assert_eq!(lengths.to_string(), "p50 0.0 ms, p99.9 0.0 ms, longest 0.0 ms");
        for _ in 0..998 {
            lengths.add(Duration::from_micros(250));
        }
        lengths.add(Duration::from_millis(7));
        lengths.add(Duration::from_secs(3));
        assert_eq!(lengths.to_string(), "p50 0.3 ms, p99.9 7.1 ms, longest 3000.0 ms");
    }

    #[test]
    fn waiting_is_not_being_busy() {
        let mut turns = Turns::default();
        let start = Start::now();
        while start.elapsed() < Duration::from_millis(20) {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        turns.add(start);
        assert!(turns.elapsed.longest >= Duration::from_millis(20));
        assert!(turns.busy.longest < Duration::from_millis(10), "{turns}");
    }
}
