//! [`Json`]: a cursor over JSON text, which the decoders of databases pull their values from. A Southbound is tens of megabytes of short values,
//! so nothing is built that is not kept, and a value that nobody reads is stepped over without looking into it. (Messages of the protocol, which
//! are small once their payload is cut out, are read with serde.)

use std::borrow::Cow;
use std::fmt;

use crate::value::Uuid;

/// Why text is not the JSON that was asked for, and where.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.message)]
pub struct JsonError(Box<Complaint>);

#[derive(Clone, PartialEq, Eq)]
struct Complaint {
    message: String,
    at: usize,
    eof: bool,
}

impl JsonError {
    /// The byte of the text at which reading ended.
    pub fn at(&self) -> usize {
        self.0.at
    }

    /// Whether the text ends too early.
    pub fn is_eof(&self) -> bool {
        self.0.eof
    }
}

impl fmt::Debug for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.0.at, self.0.message)
    }
}

/// A place in JSON text: before a value, or behind one.
#[derive(Clone, Debug)]
pub struct Json<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Json<'a> {
    /// At the start of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte at which the cursor is.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Back to a place where the cursor was.
    pub(crate) fn go_back(&mut self, at: usize) {
        self.at = at;
    }

    /// An error here.
    pub fn error(&self, message: impl Into<String>) -> JsonError {
        JsonError(Box::new(Complaint { message: message.into(), at: self.at, eof: false }))
    }

    #[cold]
    fn eof(&self, what: &str) -> JsonError {
        let message = format!("EOF while parsing {what}");
        JsonError(Box::new(Complaint { message, at: self.text.len(), eof: true }))
    }

    /// The value here is of another type than the `expected` one.
    #[cold]
    pub(crate) fn unexpected(&mut self, expected: &str) -> JsonError {
        let found = match self.peek() {
            None => return self.eof("a value"),
            Some(b'"') => {
                let mut ahead = self.clone();
                ahead.string().map_or_else(|_| "string".to_owned(), |text| format!("string {text:?}"))
            }
            Some(b'[') => "sequence".to_owned(),
            Some(b'{') => "map".to_owned(),
            Some(b'n') => "null".to_owned(),
            Some(b't') => "boolean `true`".to_owned(),
            Some(b'f') => "boolean `false`".to_owned(),
            Some(b'-' | b'0'..=b'9') => {
                let number = self.number();
                format!("{} `{number}`", if number.contains(['.', 'e', 'E']) { "floating point" } else { "integer" })
            }
            Some(_) => return self.error("expected value"),
        };
        self.error(format!("invalid type: {found}, expected {expected}"))
    }

    /// The byte that comes next, white space left out.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Nothing but white space may follow.
    pub fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("trailing characters")),
        }
    }

    /// Goes past exactly this text, if it comes next.
    #[inline]
    pub(crate) fn take(&mut self, expected: &str) -> bool {
        let found = self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(expected.as_bytes()));
        if found {
            self.at += expected.len();
        }
        found
    }

    /// Into an array; `expected` says what it should be of.
    #[inline]
    pub fn array(&mut self, expected: &str) -> Result<Elements, JsonError> {
        self.open(b'[', expected)
    }

    /// Into an object.
    #[inline]
    pub fn object(&mut self, expected: &str) -> Result<Elements, JsonError> {
        self.open(b'{', expected)
    }

    #[inline]
    fn open(&mut self, bracket: u8, expected: &str) -> Result<Elements, JsonError> {
        if self.peek() != Some(bracket) {
            return Err(self.unexpected(expected));
        }
        self.at += 1;
        Ok(Elements { first: true })
    }

    /// Whether another element of the array follows; if not, the cursor is behind it.
    #[inline]
    pub fn more(&mut self, elements: &mut Elements) -> Result<bool, JsonError> {
        self.another(b']', elements)
    }

    /// The next key of the object; if there is none, the cursor is behind it.
    #[inline]
    pub fn key(&mut self, elements: &mut Elements) -> Result<Option<Cow<'a, str>>, JsonError> {
        if !self.another(b'}', elements)? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return Err(self.error("key must be a string"));
        }
        let key = self.string()?;
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(_) => return Err(self.error("expected `:`")),
            None => return Err(self.eof("an object")),
        }
        Ok(Some(key))
    }

    /// Goes past the next key if it is `name`, spelled as Open vSwitch's servers do; else stays.
    #[inline]
    pub(crate) fn take_key(&mut self, elements: &mut Elements, name: &str) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let rest = if elements.first { Some(rest) } else { rest.strip_prefix(b",") };
        let rest = rest.and_then(|rest| rest.strip_prefix(b"\"")).and_then(|rest| rest.strip_prefix(name.as_bytes()));
        let Some(rest) = rest.and_then(|rest| rest.strip_prefix(b"\":")) else { return false };
        self.at = self.text.len() - rest.len();
        elements.first = false;
        true
    }

    #[inline]
    fn another(&mut self, close: u8, elements: &mut Elements) -> Result<bool, JsonError> {
        let what = if close == b']' { "a list" } else { "an object" };
        let Some(byte) = self.peek() else { return Err(self.eof(what)) };
        if byte == close {
            self.at += 1;
            return Ok(false);
        }
        if std::mem::take(&mut elements.first) {
            return Ok(true);
        }
        if byte != b',' {
            return Err(self.error(format!("expected `,` or `{}`", char::from(close))));
        }
        self.at += 1;
        Ok(true)
    }

    /// A string.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a string"));
        }
        let start = self.at + 1;
        let end = self.end_of_piece(start);
        if self.text.as_bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Cow::Borrowed(self.text.get(start..end).unwrap_or_default()));
        }
        self.escaped(start, end).map(Cow::Owned)
    }

    /// The quotation mark, backslash or control character at or behind `at`.
    #[inline]
    fn end_of_piece(&self, mut at: usize) -> usize {
        const ONES: u64 = u64::MAX / 255;
        let bytes = self.text.as_bytes();
        while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            // In a byte the highest bit of which is not set in `word`, a zero (or a value under 0x20) makes a borrow that sets it.
            let word = u64::from_le_bytes(*chunk);
            let zero_in = |word: u64| word.wrapping_sub(ONES) & !word;
            let quote = zero_in(word ^ (ONES * u64::from(b'"')));
            let backslash = zero_in(word ^ (ONES * u64::from(b'\\')));
            let control = word.wrapping_sub(ONES * 0x20) & !word;
            let found = (quote | backslash | control) & (ONES * 0x80);
            if found != 0 {
                return at + found.trailing_zeros() as usize / 8;
            }
            at += 8;
        }
        while let Some(&byte) = bytes.get(at)
            && byte != b'"'
            && byte != b'\\'
            && byte >= 0x20
        {
            at += 1;
        }
        at
    }

    /// A string in which something is escaped: its first piece goes from `start` to `end`.
    fn escaped(&mut self, mut start: usize, mut end: usize) -> Result<String, JsonError> {
        let mut text = String::with_capacity(2 * (end - start) + 32);
        loop {
            text.push_str(self.text.get(start..end).unwrap_or_default());
            self.at = end;
            match self.text.as_bytes().get(end) {
                None => return Err(self.eof("a string")),
                Some(b'"') => {
                    self.at = end + 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                Some(_) => return Err(self.error("control character (\\u0000-\\u001F) found while parsing a string")),
            }
            start = self.at;
            end = self.end_of_piece(start);
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(&byte) = self.text.as_bytes().get(self.at) else { return Err(self.eof("a string")) };
        let plain = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                let unit = self.hex()?;
                let paired = (0xd800..0xdc00).contains(&unit) && self.take("\\u");
                let low = if paired { self.hex()? } else { 0 };
                let code = match low {
                    0xdc00..0xe000 => 0x1_0000 + ((unit - 0xd800) << 10 | (low - 0xdc00)),
                    _ => unit,
                };
                return char::from_u32(code).ok_or_else(|| self.error("lone surrogate in hex escape"));
            }
            _ => return Err(self.error("invalid escape")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let Some(digits) = self.text.as_bytes().get(self.at..self.at + 4) else { return Err(self.eof("a string")) };
        let mut value = 0;
        for &digit in digits {
            let digit = char::from(digit).to_digit(16).ok_or_else(|| self.error("invalid escape"))?;
            value = value << 4 | digit;
        }
        self.at += 4;
        Ok(value)
    }

    /// The characters of the number here.
    fn number(&self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    /// An integer of 64 bits.
    #[inline]
    pub fn integer(&mut self) -> Result<i64, JsonError> {
        let expected = "an integer";
        let bytes = self.text.as_bytes();
        let negative = match self.peek() {
            Some(b'-') => true,
            Some(b'0'..=b'9') => false,
            _ => return Err(self.unexpected(expected)),
        };
        let mut at = self.at + usize::from(negative);
        let mut value = 0i64;
        let first = at;
        while let Some(digit @ b'0'..=b'9') = bytes.get(at).copied() {
            let digit = i64::from(digit - b'0');
            let next =
                value.checked_mul(10).and_then(|v| if negative { v.checked_sub(digit) } else { v.checked_add(digit) });
            value = next.ok_or_else(|| self.unexpected(expected))?;
            at += 1;
        }
        if at == first || matches!(bytes.get(at), Some(b'.' | b'e' | b'E')) {
            return Err(self.unexpected(expected));
        }
        self.at = at;
        Ok(value)
    }

    /// True or false.
    #[inline]
    pub fn boolean(&mut self) -> Result<bool, JsonError> {
        self.peek();
        match (self.take("true"), self.take("false")) {
            (true, _) => Ok(true),
            (_, true) => Ok(false),
            _ => Err(self.unexpected("true or false")),
        }
    }

    /// `["uuid","..."]` in the spelling of Open vSwitch's servers, which is most of a database; `None` if it is something else.
    #[inline]
    pub(crate) fn plain_uuid(&mut self) -> Option<Uuid> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let rest = rest.strip_prefix(b"[\"uuid\",\"")?;
        let (text, rest) = rest.split_first_chunk::<36>()?;
        rest.starts_with(b"\"]").then_some(())?;
        let uuid = Uuid::parse_bytes(text)?;
        self.at += 9 + 36 + 2;
        Some(uuid)
    }

    /// Goes past the value here, whatever it is; only strings and brackets are looked at.
    pub fn skip(&mut self) -> Result<(), JsonError> {
        let mut depth = 0usize;
        loop {
            match self.peek() {
                None => return Err(self.eof("a value")),
                Some(b'"') => self.skip_string()?,
                Some(b'[' | b'{') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b']' | b'}') if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                Some(b',' | b':') if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                Some(b'-' | b'0'..=b'9') => self.at += self.number().len(),
                Some(b't' | b'f' | b'n') => {
                    if !(self.take("true") || self.take("false") || self.take("null")) {
                        return Err(self.error("expected value"));
                    }
                }
                Some(_) => return Err(self.error("expected value")),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn skip_string(&mut self) -> Result<(), JsonError> {
        let mut at = self.at + 1;
        loop {
            at = self.end_of_piece(at);
            match self.text.as_bytes().get(at) {
                None => return Err(self.eof("a string")),
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
            }
        }
        self.at = at + 1;
        Ok(())
    }

    /// The text of the value here, which is gone past.
    pub fn raw(&mut self) -> Result<&'a str, JsonError> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }
}

/// How far an array or object was read; see [`Json::more`] and [`Json::key`].
#[derive(Debug)]
pub struct Elements {
    first: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_skipped_as_serde_json_reads_them() {
        for text in [
            r#""""#,
            r#""plain""#,
            r#""eight by""#,
            r#""a longer text without anything special in it""#,
            r#""inport == \"p1\" && x""#,
            r#""\\ \/ \b \f \n \r \t \u0041 \u00e9 \ud83d\ude00 é 😀""#,
            r#""\"""#,
            r#""1234567\"90123456""#,
        ] {
            let expected: String = serde_json::from_str(text).unwrap();
            let mut json = Json::new(text);
            assert_eq!(json.string().unwrap(), expected, "{text}");
            json.end().unwrap();
            let padded = format!(" [ {text} , [1,{{\"a\":{text}}}],-12, true ] ");
            let mut json = Json::new(&padded);
            json.skip().unwrap();
            json.end().unwrap();
            let mut json = Json::new(&padded);
            let mut elements = json.array("").unwrap();
            assert!(json.more(&mut elements).unwrap());
            assert_eq!(json.string().unwrap(), expected);
            assert!(json.more(&mut elements).unwrap());
            assert_eq!(json.raw().unwrap(), format!("[1,{{\"a\":{text}}}]"));
            assert!(json.more(&mut elements).unwrap());
            assert_eq!(json.integer().unwrap(), -12);
            assert!(json.more(&mut elements).unwrap());
            assert!(json.boolean().unwrap());
            assert!(!json.more(&mut elements).unwrap());
            json.end().unwrap();
        }
        for (text, number) in [("0", 0), ("9223372036854775807", i64::MAX), ("-9223372036854775808", i64::MIN)] {
            assert_eq!(Json::new(text).integer().unwrap(), number);
        }
    }

    #[test]
    fn errors_say_what_and_where() {
        type Read = fn(&mut Json<'_>) -> Result<(), JsonError>;
        let string: Read = |json| json.string().map(drop);
        let integer: Read = |json| json.integer().map(drop);
        let boolean: Read = |json| json.boolean().map(drop);
        let skip: Read = |json| json.skip();
        let object: Read = |json| {
            let mut elements = json.object("an object")?;
            while json.key(&mut elements)?.is_some() {
                json.skip()?;
            }
            Ok(())
        };
        for (read, text, message) in [
            (string, "7", "byte 0: invalid type: integer `7`, expected a string"),
            (string, " null", "byte 1: invalid type: null, expected a string"),
            (string, "\"abc", "byte 4: EOF while parsing a string"),
            (string, "\"a\\", "byte 3: EOF while parsing a string"),
            (string, "\"a\\q\"", "byte 3: invalid escape"),
            (string, "\"\\ud800\"", "byte 7: lone surrogate in hex escape"),
            (string, "\"\\u12\"", "byte 6: EOF while parsing a string"),
            (string, "\"a\nb\"", "byte 2: control character (\\u0000-\\u001F) found while parsing a string"),
            (integer, "\"x\"", "byte 0: invalid type: string \"x\", expected an integer"),
            (integer, "1.5", "byte 0: invalid type: floating point `1.5`, expected an integer"),
            (
                integer,
                "9223372036854775808",
                "byte 0: invalid type: integer `9223372036854775808`, expected an integer",
            ),
            (integer, "-", "byte 0: invalid type: integer `-`, expected an integer"),
            (boolean, "[]", "byte 0: invalid type: sequence, expected true or false"),
            (boolean, "tru", "byte 0: invalid type: boolean `true`, expected true or false"),
            (skip, "[1,{\"a\":", "byte 8: EOF while parsing a value"),
            (skip, "?", "byte 0: expected value"),
            (object, "{\"a\" 1}", "byte 5: expected `:`"),
            (object, "{\"a\":1 \"b\":2}", "byte 7: expected `,` or `}`"),
            (object, "{1:2}", "byte 1: key must be a string"),
            (object, "{\"a\":1", "byte 6: EOF while parsing an object"),
        ] {
            assert_eq!(format!("{:?}", read(&mut Json::new(text)).unwrap_err()), message, "{text}");
        }
    }
}
