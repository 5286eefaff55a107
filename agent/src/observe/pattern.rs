//! Patterns of log lines (ovs-appctl(8), "PATTERN"): `%D{%Y-%m-%d}|%05N|%c%T|%p|%m`.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Level;
use super::timestamp::Civil;

/// What there is to be said of a line.
pub struct Line<'a> {
    /// When.
    pub time: SystemTime,
    /// Its number.
    pub number: u64,
    /// The module, perhaps with a thread's name in parentheses behind it.
    pub module: &'a str,
    /// Importance.
    pub level: Level,
    /// The words.
    pub text: &'a str,
    /// syslog facility, as it stands in a priority.
    pub facility: u8,
    /// Milliseconds since the start.
    pub uptime_ms: u128,
}

/// Formats a line. What the pattern has that is none stays.
pub fn format(pattern: &str, line: &Line<'_>) -> String {
    let mut out = String::with_capacity(pattern.len() + line.text.len() + 32);
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let left = strip(&mut rest, '-');
        let pad = if strip(&mut rest, '0') { '0' } else { ' ' };
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let width: usize = rest[..digits].parse().unwrap_or(0);
        rest = &rest[digits..];
        let Some(letter) = rest.chars().next() else { break };
        rest = &rest[letter.len_utf8()..];
        let field = field(letter, &mut rest, line);
        let padding = width.min(256).saturating_sub(field.len());
        let padding = std::iter::repeat_n(if left { ' ' } else { pad }, padding);
        if left {
            out.push_str(&field);
            out.extend(padding);
        } else {
            out.extend(padding);
            out.push_str(&field);
        }
    }
    out.push_str(rest);
    out
}

fn strip(rest: &mut &str, what: char) -> bool {
    match rest.strip_prefix(what) {
        Some(behind) => {
            *rest = behind;
            true
        }
        None => false,
    }
}

/// The words in braces behind a letter.
fn braces<'a>(rest: &mut &'a str, default: &'a str) -> &'a str {
    let Some((inside, behind)) = rest.strip_prefix('{').and_then(|inside| inside.split_once('}')) else {
        return default;
    };
    *rest = behind;
    inside
}

fn field(letter: char, rest: &mut &str, line: &Line<'_>) -> String {
    let (module, thread) = match line.module.find('(') {
        Some(at) => line.module.split_at(at),
        None => (line.module, ""),
    };
    match letter {
        'A' => crate::process::program_name().to_owned(),
        'B' => (line.facility + line.level.severity()).to_string(),
        'c' => {
            braces(rest, "");
            module.to_owned()
        }
        // There is no local time here: `%d` is UTC too.
        'd' | 'D' => time(braces(rest, "%Y-%m-%d %H:%M:%S.###"), line.time),
        'E' => crate::process::hostname(),
        'm' => line.text.trim_end_matches('\n').to_owned(),
        'N' => line.number.to_string(),
        'n' => "\n".to_owned(),
        'p' => line.level.name().to_owned(),
        'P' => std::process::id().to_string(),
        'r' => line.uptime_ms.to_string(),
        't' if thread.is_empty() => "main".to_owned(),
        't' => thread.trim_matches(['(', ')']).to_owned(),
        'T' => thread.to_owned(),
        other => other.to_string(),
    }
}

/// A time by a pattern of strftime(3), with `###` for milliseconds.
pub fn time(pattern: &str, time: SystemTime) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let Civil { year, month, day, second_of_day, days } = Civil::of(since.as_secs());
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    let month_name = MONTHS.get(month as usize - 1).copied().unwrap_or_default();
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut letters = pattern.replace("###", &format!("{:03}", since.subsec_millis()));
    if letters.ends_with('%') {
        letters.push('%');
    }
    let mut letters = letters.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        // Writing to a String cannot fail.
        let _ = match letters.next() {
            Some('Y') => write!(out, "{year:04}"),
            Some('y') => write!(out, "{:02}", year % 100),
            Some('m') => write!(out, "{month:02}"),
            Some('d') => write!(out, "{day:02}"),
            Some('e') => write!(out, "{day:2}"),
            Some('H') => write!(out, "{hour:02}"),
            Some('M') => write!(out, "{minute:02}"),
            Some('S') => write!(out, "{second:02}"),
            Some('T') => write!(out, "{hour:02}:{minute:02}:{second:02}"),
            Some('F') => write!(out, "{year:04}-{month:02}-{day:02}"),
            Some('b' | 'h') => write!(out, "{month_name}"),
            Some('a') => write!(out, "{}", DAYS[(days % 7) as usize]),
            Some('s') => write!(out, "{}", since.as_secs()),
            Some('Z') => write!(out, "UTC"),
            Some('z') => write!(out, "+0000"),
            Some('%') => write!(out, "%"),
            Some(other) => write!(out, "%{other}"),
            None => Ok(()),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn patterns() {
        let time = UNIX_EPOCH + Duration::from_millis(1_795_382_304_901);
        let (module, text) = ("daemon_unix(monitor)", "a text\n\n");
        let line = Line { time, number: 7, module, level: Level::Warn, text, facility: 24, uptime_ms: 12 };
        for (pattern, expected) in [
            ("%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m", "2026-11-22T21:18:24Z|00007|daemon_unix(monitor)|WARN|a text"),
            ("%D{%Y-%m-%dT%H:%M:%S.###Z}|%-5p|%6p|%m", "2026-11-22T21:18:24.901Z|WARN |  WARN|a text"),
            ("<%B>1 %D{%h %e %T} %A %t %r %n%%", "<28>1 Nov 22 21:18:24 ovn-agent monitor 12 \n%"),
            ("%D %d{%a %y %q%}x%", "2026-11-22 21:18:24.901 Sun 26 %q%x"),
            ("%q no field %", "q no field "),
        ] {
            assert_eq!(format(pattern, &line), expected, "{pattern}");
        }
    }
}
