//! The error of both parsers, and quoting of strings the way OVN prints them.

use std::fmt::Write as _;

/// Why a text is not a valid match or action list.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Byte offset in the parsed text of the token that is wrong.
    pub offset: usize,
    /// What is wrong, in ovn-controller's words.
    pub message: String,
}

impl Error {
    /// An error at byte `offset`.
    pub fn new(offset: usize, message: impl Into<String>) -> Self {
        Error { offset, message: message.into() }
    }
}

/// Texts longer than this many bytes are shown in part.
const MAX_SHOWN: usize = 2000;

/// How many bytes of a long text are shown on each side of an error.
const AROUND: usize = 100;

impl Error {
    /// The column of the error in `text`, which is the one that was parsed: characters before it, plus one.
    pub fn column(&self, text: &str) -> usize {
        1 + text.char_indices().take_while(|(offset, _)| *offset < self.offset).count()
    }

    /// One line that shows `text` and says what is wrong with it, in the words of ovn-controller's log, and where. `what` is `match` or
    /// `actions`.
    pub fn in_text(&self, what: &str, text: &str) -> String {
        let mut out = format!("error parsing {what} \"");
        let (mut start, mut end) = (0, text.len());
        if text.len() > MAX_SHOWN {
            start = boundary(text, self.offset.min(end).saturating_sub(AROUND));
            end = boundary(text, self.offset.saturating_add(AROUND).min(end));
        }
        out.push_str(if start > 0 { "..." } else { "" });
        push_line(&mut out, text.get(start..end).unwrap_or_default());
        out.push_str(if end < text.len() { "..." } else { "" });
        out.push_str("\": ");
        match self.message.len() {
            0..=MAX_SHOWN => push_line(&mut out, &self.message),
            n => {
                // The token itself is that long.
                push_line(&mut out, &self.message[..boundary(&self.message, AROUND)]);
                out.push_str("...");
                push_line(&mut out, &self.message[boundary(&self.message, n - AROUND)..]);
            }
        }
        // Writing to a String cannot fail.
        let _ = write!(out, " (at column {})", self.column(text));
        out
    }
}

/// The last place up to `offset` where a character of `text` starts.
fn boundary(text: &str, mut offset: usize) -> usize {
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Appends `text` with control characters escaped, so that the result is one line.
fn push_line(out: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
}

/// `s` in double quotes with JSON escapes (OVS's `json_string_escape`).
pub fn quote(s: &str) -> String {
    let mut out = String::with_capacity(s.len() + 2);
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_its_text_and_place() {
        let error = |offset, message: &str| Error::new(offset, message);
        for (error, text, want) in [
            (error(7, "No."), "ip4 && foo", "error parsing match \"ip4 && foo\": No. (at column 8)"),
            (error(3, "No."), "\u{fc}\n\0x", "error parsing match \"\u{fc}\\n\\u{0}x\": No. (at column 3)"),
            (error(99, "No."), "x", "error parsing match \"x\": No. (at column 2)"),
            (error(0, ""), "", "error parsing match \"\":  (at column 1)"),
        ] {
            assert_eq!(error.in_text("match", text), want);
        }
        let long = format!("{}\u{fc}!{}", "\u{fc}".repeat(5000), "x".repeat(5000));
        let line = error(10_002, &"y".repeat(9000)).in_text("actions", &long);
        assert!(
            line.starts_with("error parsing actions \"...\u{fc}") && line.ends_with("y (at column 5002)"),
            "{line}"
        );
        assert!(line.contains("\u{fc}!xx") && line.len() < 700, "{line}");
    }
}
