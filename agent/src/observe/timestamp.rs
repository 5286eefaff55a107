//! [`Civil`]: the date of a moment, UTC.

/// A moment by the calendar.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year.
    pub year: u64,
    /// From 1.
    pub month: u64,
    /// From 1.
    pub day: u64,
    /// Seconds since midnight.
    pub second_of_day: u64,
    /// Days since 1970.
    pub days: u64,
}

impl Civil {
    /// Of so many seconds since 1970. Days are counted from 1 March of year 0: leap days then come last.
    pub fn of(seconds: u64) -> Civil {
        let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
        let from_march = days + 719_468;
        let (era, day_of_era) = (from_march / 146_097, from_march % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        Civil { year: era * 400 + year_of_era + u64::from(month <= 2), month, day, second_of_day, days }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, expected) in [
            (0, (1970, 1, 1)),
            (951_782_399, (2000, 2, 28)),
            (951_782_400, (2000, 2, 29)),
            (1_795_382_304, (2026, 11, 22)),
            (4_107_542_400, (2100, 3, 1)),
        ] {
            let Civil { year, month, day, .. } = Civil::of(seconds);
            assert_eq!((year, month, day), expected);
        }
    }
}
