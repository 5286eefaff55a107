//! [`Limits`]: a line that comes again and again is left out when it does so too often. Lines are the same when they differ in numbers and
//! quoted names only. ovn-controller has a limit in each place of its code; warnings that come as often as these allow do come there.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::Level;

/// So many lines of a kind may come at once.
const BURST: u32 = 100;
/// And one more in this time.
const REFILL: Duration = Duration::from_millis(500);
/// Kinds that are kept in mind.
const KINDS: usize = 1000;

/// What was said lately.
#[derive(Debug, Default)]
pub struct Limits {
    kinds: Option<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: u32,
    filled: Instant,
    dropped: u32,
    first: Instant,
    last: Instant,
}

/// What to do with a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Write it.
    Write,
    /// Write this before it.
    WriteAfter(String),
    /// Leave it out.
    Drop,
}

impl Limits {
    /// Without memories.
    pub const fn new() -> Self {
        Self { kinds: None }
    }

    /// Looks at a line. Only warnings and errors are limited: what is of interest is not said without cause.
    pub fn consider(&mut self, now: Instant, module: &str, level: Level, text: &str) -> Verdict {
        if !matches!(level, Level::Warn | Level::Err) {
            return Verdict::Write;
        }
        let kinds = self.kinds.get_or_insert_default();
        if kinds.len() >= KINDS {
            kinds.retain(|_, bucket| {
                bucket.dropped > 0 || bucket.tokens < BURST && now < bucket.filled + REFILL * BURST
            });
        }
        if kinds.len() >= KINDS {
            return Verdict::Write;
        }
        let fresh = Bucket { tokens: BURST, filled: now, dropped: 0, first: now, last: now };
        let bucket = kinds.entry(kind(module, text)).or_insert(fresh);
        let earned =
            (now.saturating_duration_since(bucket.filled).as_millis() / REFILL.as_millis()).min(BURST.into()) as u32;
        if earned > 0 {
            bucket.tokens = (bucket.tokens + earned).min(BURST);
            bucket.filled = now;
        }
        if bucket.tokens == 0 {
            if bucket.dropped == 0 {
                bucket.first = now;
            }
            bucket.last = now;
            bucket.dropped += 1;
            return Verdict::Drop;
        }
        bucket.tokens -= 1;
        match std::mem::take(&mut bucket.dropped) {
            0 => Verdict::Write,
            dropped => Verdict::WriteAfter(format!(
                "Dropped {dropped} log messages in last {} seconds (most recently, {} seconds ago) due to excessive rate",
                now.saturating_duration_since(bucket.first).as_secs(),
                now.saturating_duration_since(bucket.last).as_secs(),
            )),
        }
    }
}

/// A line without what differs from one to the next.
fn kind(module: &str, text: &str) -> String {
    let mut kind = format!("{module}|");
    let mut quoted = false;
    for letter in text.chars().take(120) {
        quoted ^= letter == '"';
        if !quoted && !letter.is_ascii_hexdigit() {
            // Writing to a String cannot fail.
            let _ = kind.write_char(letter);
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_of_and_left_out() {
        let (mut limits, start) = (Limits::new(), Instant::now());
        let mut say =
            |ms: u64, text: &str| limits.consider(start + Duration::from_millis(ms), "ofctrl", Level::Warn, text);
        for n in 0..BURST {
            assert_eq!(say(0, &format!("port {n} of \"x{n}\" is bad")), Verdict::Write);
        }
        assert_eq!(say(0, "port 7 of \"y\" is bad"), Verdict::Drop);
        assert_eq!(say(100, "port 8 of \"y\" is bad"), Verdict::Drop);
        assert_eq!(say(100, "quite another line"), Verdict::Write);
        let told = "Dropped 2 log messages in last 3 seconds (most recently, 2 seconds ago) due to excessive rate";
        assert_eq!(say(3000, "port 9 of \"y\" is bad"), Verdict::WriteAfter(told.to_owned()));
        assert_eq!(say(3000, "port 9 of \"y\" is bad"), Verdict::Write);
    }
}
