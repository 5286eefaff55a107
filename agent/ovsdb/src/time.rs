//! Time as a value: the sans-IO parts of this crate are told the time and never ask a clock. Entry type: [`Time`].

use std::time::Duration;

/// A moment in milliseconds since an origin that the driver chooses (a monotonic clock's start, or zero in a simulation).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// The moment `delay` after this one; whole milliseconds, saturating.
    pub fn after(self, delay: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this moment is; zero when it is not after it.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time(5).after(Duration::from_micros(2500)), Time(7));
        assert_eq!(Time(5).after(Duration::MAX), Time(u64::MAX));
        assert_eq!(Time(5).since(Time(2)), Duration::from_millis(3));
        assert_eq!(Time(2).since(Time(5)), Duration::ZERO);
    }
}
