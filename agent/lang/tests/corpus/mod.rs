//! The corpus of malformed texts, `testdata/lang/malformed.txt`. Entry: [`cases`].
//!
//! An unindented line is a text: `match: `, `actions: ` or `symbol: ` and the text, in which `\n`, `\xNN` and `\\` are escapes and
//! `{*N:abc*}` is N times `abc`. The indented line below it is the error: `error OFFSET MESSAGE`. A message of more than
//! 300 bytes is cut in the middle, and says how long it is.

/// One text and what is wrong with it.
pub struct Case {
    /// `match`, `actions` or `symbol`.
    pub kind: String,
    /// As it stands in the file.
    pub written: String,
    /// The text itself.
    pub text: String,
    /// Byte offset of the error.
    pub offset: usize,
    /// The message, cut if it is long.
    pub message: String,
}

/// The file.
pub const PATH: &str = "testdata/lang/malformed.txt";

/// All cases of the file's contents.
pub fn cases(file: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in file.lines() {
        if let Some(result) = line.strip_prefix("  error ") {
            let case = cases.last_mut().expect("a text before the error");
            let (offset, message) = result.split_once(' ').expect("an offset and a message");
            case.offset = offset.parse().expect("an offset");
            case.message = message.to_string();
        } else if let Some((kind, written)) = line.split_once(": ").filter(|_| !line.starts_with('#')) {
            let text = unescape(&repeat(written));
            let (kind, written) = (kind.to_string(), written.to_string());
            cases.push(Case { kind, written, text, offset: 0, message: String::new() });
        }
    }
    cases
}

/// Replaces `{*N:abc*}`.
fn repeat(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{*") {
        let (n, after) = after.split_once(':').expect("a number");
        let (what, after) = after.split_once("*}").expect("an end of the repetition");
        out.push_str(before);
        out.push_str(&what.repeat(n.parse().expect("a number")));
        rest = after;
    }
    out + rest
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let (c, length) = match after.as_bytes() {
            [b'n', ..] => ('\n', 1),
            [b'\\', ..] => ('\\', 1),
            [b'x', ..] => (char::from(u8::from_str_radix(&after[1..3], 16).expect("hex digits")), 3),
            _ => ('\\', 0),
        };
        out.push(c);
        rest = &after[length..];
    }
    out + rest
}

/// A long message, cut in the middle.
pub fn cut(message: &str) -> String {
    let message = message.replace('\n', "\\n").replace('\0', "\\x00").replace('\r', "\\x0d");
    if message.len() <= 300 {
        return message;
    }
    let head: String = message.chars().take(60).collect();
    let tail: String = message.chars().skip(message.chars().count() - 60).collect();
    format!("{head}...({} bytes)...{tail}", message.len())
}
