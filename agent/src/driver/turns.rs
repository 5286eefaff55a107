//! [`Turns`]: how long the engine is busy between two looks at its messages, which is what a control command, a probe or a packet
//! may have to wait. Shown by `work/show`, cleared by `inc-engine/clear-stats`.

use std::fmt;
use std::time::Duration;

/// Width of a class, and their number; longer turns are in the last one.
const WIDTH: Duration = Duration::from_micros(100);
const CLASSES: usize = 1_000;

/// Lengths of turns.
#[derive(Clone, Debug)]
pub struct Turns {
    classes: Box<[u64]>,
    count: u64,
    longest: Duration,
}

impl Default for Turns {
    fn default() -> Self {
        Self { classes: vec![0; CLASSES].into(), count: 0, longest: Duration::ZERO }
    }
}

impl Turns {
    /// One more turn.
    pub fn add(&mut self, length: Duration) {
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
        let ms = |length: Duration| length.as_secs_f64() * 1000.0;
        write!(
            f,
            "turns: {}, p50 {:.1} ms, p99.9 {:.1} ms, longest {:.1} ms",
            self.count,
            ms(self.all_but(500)),
            ms(self.all_but(1)),
            ms(self.longest)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_most_turns_do_not_exceed() {
        let mut turns = Turns::default();
        assert_eq!(turns.to_string(), "turns: 0, p50 0.0 ms, p99.9 0.0 ms, longest 0.0 ms");
        for _ in 0..998 {
            turns.add(Duration::from_micros(250));
        }
        turns.add(Duration::from_millis(7));
        turns.add(Duration::from_secs(3));
        assert_eq!(turns.to_string(), "turns: 1000, p50 0.3 ms, p99.9 7.1 ms, longest 3000.0 ms");
    }
}
