//! Tokens of the match and action languages, and the cursor that both parsers pull them from.
//!
//! Entry types: [`Lexer`] (the cursor), [`Token`] and [`Integer`]. The token set is that of OVN's lib/lex.c (v26.03.1).

use crate::{Error, quote};
use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// How an integer constant was written; it decides how the constant is printed and which width it claims at least.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum IntegerFormat {
    /// `123`
    Decimal,
    /// `0x7b`
    Hexadecimal,
    /// `192.0.2.1`
    Ipv4,
    /// `2001:db8::1`
    Ipv6,
    /// `00:11:22:33:44:55`
    Ethernet,
}

/// An integer constant with an optional mask. No 1-bit of `value` is outside `mask`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub struct Integer {
    /// The value, right-aligned.
    pub value: u128,
    /// The mask, when one was written.
    pub mask: Option<u128>,
    /// How it was written.
    pub format: IntegerFormat,
    /// Number of significant bits when a hexadecimal constant (or its mask) has more than 128 of them, else 0. `value` then
    /// holds the low bits only. No field is that wide, so such a constant always ends in a type error.
    pub wide: u16,
}

impl Integer {
    /// An unmasked constant.
    pub const fn new(value: u128, format: IntegerFormat) -> Self {
        Integer { value, mask: None, format, wide: 0 }
    }

    /// The least width in bits of a field that this constant can be compared with (`expr_constant_width`, OVN v26.03.1).
    pub fn width(&self) -> u16 {
        if self.wide != 0 {
            return self.wide;
        }
        match (self.mask, self.format) {
            (Some(mask), _) => significant_bits(mask),
            (None, IntegerFormat::Decimal | IntegerFormat::Hexadecimal) => significant_bits(self.value),
            (None, IntegerFormat::Ipv4) => 32,
            (None, IntegerFormat::Ipv6) => 128,
            (None, IntegerFormat::Ethernet) => 48,
        }
    }

    /// Orders members of an address set the way OVN does: by value, then unmasked before masked, then by mask.
    pub fn set_order(&self, other: &Self) -> std::cmp::Ordering {
        (self.value, self.mask.is_some(), self.mask).cmp(&(other.value, other.mask.is_some(), other.mask))
    }

    fn write_part(f: &mut fmt::Formatter<'_>, value: u128, format: IntegerFormat) -> fmt::Result {
        match format {
            IntegerFormat::Decimal => write!(f, "{value}"),
            IntegerFormat::Hexadecimal => write!(f, "{}", Hex(value)),
            IntegerFormat::Ipv4 => write!(f, "{}", Ipv4Addr::from(value as u32)),
            IntegerFormat::Ipv6 => write!(f, "{}", Ipv6Addr::from(value)),
            IntegerFormat::Ethernet => {
                let b = (value as u64).to_be_bytes();
                write!(f, "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[2], b[3], b[4], b[5], b[6], b[7])
            }
        }
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = match self.format {
            IntegerFormat::Decimal => 64,
            IntegerFormat::Ipv4 => 32,
            IntegerFormat::Ethernet => 48,
            IntegerFormat::Hexadecimal | IntegerFormat::Ipv6 => 128,
        };
        let fits = significant_bits(self.value | self.mask.unwrap_or(0)) <= bits;
        let format = if fits { self.format } else { IntegerFormat::Hexadecimal };
        Self::write_part(f, self.value, format)?;
        let Some(mask) = self.mask else { return Ok(()) };
        let prefix = match format {
            IntegerFormat::Ipv4 => prefix_length(mask, 32),
            IntegerFormat::Ipv6 => prefix_length(mask, 128),
            _ => None,
        };
        f.write_str("/")?;
        match prefix {
            Some(n) => write!(f, "{n}"),
            None => Self::write_part(f, mask, format),
        }
    }
}

/// Prints a value in hexadecimal, except that zero is just `0` (OVS's `mf_format_subvalue`).
pub(crate) struct Hex(pub(crate) u128);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0") } else { write!(f, "0x{:x}", self.0) }
    }
}

/// One token. Texts borrow from the input where they can.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Token<'a> {
    /// End of input.
    End,
    /// Identifier.
    Id(&'a str),
    /// Quoted string, unescaped.
    String(Cow<'a, str>),
    /// Integer without a mask.
    Integer(Integer),
    /// Integer with a mask.
    MaskedInteger(Integer),
    /// `$name`
    AddressSet(&'a str),
    /// `@name`
    PortGroup(&'a str),
    /// `^name`
    Template(&'a str),
    /// Invalid input and what is wrong with it.
    Error(Box<str>),
    /// `(`
    LParen,
    /// `)`
    RParen,
    /// `{`
    LCurly,
    /// `}`
    RCurly,
    /// `[`
    LSquare,
    /// `]`
    RSquare,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `!`
    LogNot,
    /// `&&`
    LogAnd,
    /// `||`
    LogOr,
    /// `..`
    Ellipsis,
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// `=`
    Equals,
    /// `<->`
    Exchange,
    /// `--`
    Decrement,
    /// `:`
    Colon,
    /// `-`
    Hyphen,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Token::End => "$",
            Token::Id(s) => s,
            Token::String(s) => return f.write_str(&quote(s)),
            Token::Integer(i) | Token::MaskedInteger(i) => return write!(f, "{i}"),
            Token::AddressSet(s) => return write!(f, "${s}"),
            Token::PortGroup(s) => return write!(f, "@{s}"),
            Token::Template(s) => return write!(f, "^{s}"),
            Token::Error(s) => return write!(f, "error({})", quote(s)),
            Token::LParen => "(",
            Token::RParen => ")",
            Token::LCurly => "{",
            Token::RCurly => "}",
            Token::LSquare => "[",
            Token::RSquare => "]",
            Token::Eq => "==",
            Token::Ne => "!=",
            Token::Lt => "<",
            Token::Le => "<=",
            Token::Gt => ">",
            Token::Ge => ">=",
            Token::LogNot => "!",
            Token::LogAnd => "&&",
            Token::LogOr => "||",
            Token::Ellipsis => "..",
            Token::Comma => ",",
            Token::Semicolon => ";",
            Token::Equals => "=",
            Token::Exchange => "<->",
            Token::Decrement => "--",
            Token::Colon => ":",
            Token::Hyphen => "-",
        })
    }
}

/// A cursor over the tokens of one text. It always stands on a current token; `match_*` and `force_*` step over it.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a str,
    start: usize,
    end: usize,
    token: Token<'a>,
}

impl<'a> Lexer<'a> {
    /// Starts on the first token of `text`.
    pub fn new(text: &'a str) -> Self {
        let mut lexer = Lexer { text, start: 0, end: 0, token: Token::End };
        lexer.advance();
        lexer
    }

    /// The current token.
    pub fn token(&self) -> &Token<'a> {
        &self.token
    }

    /// Byte offset where the current token starts.
    pub fn offset(&self) -> usize {
        self.start
    }

    /// Byte offset just behind the current token.
    pub fn end_offset(&self) -> usize {
        self.end
    }

    /// The text being read, whole.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The current token as it was written.
    pub fn token_text(&self) -> &'a str {
        self.text.get(self.start..self.end).unwrap_or("")
    }

    /// Steps to the next token.
    pub fn advance(&mut self) {
        let (token, start, end) = scan(self.text, self.end);
        (self.token, self.start, self.end) = (token, start, end);
    }

    /// Returns the current token and steps to the next one.
    pub fn take(&mut self) -> Token<'a> {
        let token = std::mem::replace(&mut self.token, Token::End);
        self.advance();
        token
    }

    /// The token after the current one.
    pub fn lookahead(&self) -> Token<'a> {
        scan(self.text, self.end).0
    }

    /// Steps over the current token if it is `token`.
    pub fn match_token(&mut self, token: &Token<'_>) -> bool {
        let matched = self.token == *token;
        if matched {
            self.advance();
        }
        matched
    }

    /// Steps over the current token if it is the identifier `id`.
    pub fn match_id(&mut self, id: &str) -> bool {
        let matched = matches!(self.token, Token::Id(s) if s == id);
        if matched {
            self.advance();
        }
        matched
    }

    /// Steps over the current token if it is the string `s`.
    pub fn match_string(&mut self, s: &str) -> bool {
        let matched = matches!(&self.token, Token::String(t) if t == s);
        if matched {
            self.advance();
        }
        matched
    }

    /// Steps over `token`, or fails with "expecting `token'".
    pub fn force_match(&mut self, token: &Token<'_>) -> Result<(), Error> {
        if *token == Token::End {
            self.force_end()
        } else if self.match_token(token) {
            Ok(())
        } else {
            Err(self.syntax_error(&format!("expecting `{token}'")))
        }
    }

    /// The current token's value if it is a decimal integer that fits a C `int`.
    pub fn int(&self) -> Option<i32> {
        match self.token {
            Token::Integer(i) if i.format == IntegerFormat::Decimal => i32::try_from(i.value).ok(),
            _ => None,
        }
    }

    /// Steps over a small decimal integer if there is one.
    pub fn match_int(&mut self) -> Option<i32> {
        let value = self.int()?;
        self.advance();
        Some(value)
    }

    /// Steps over a small decimal integer, or fails.
    pub fn force_int(&mut self) -> Result<i32, Error> {
        self.match_int().ok_or_else(|| self.syntax_error("expecting small integer"))
    }

    /// Fails unless the input is at its end.
    pub fn force_end(&self) -> Result<(), Error> {
        if self.token == Token::End { Ok(()) } else { Err(self.syntax_error("expecting end of input")) }
    }

    /// An error at the current token. A lexical error in that token takes precedence, because it is the cause.
    pub fn error(&self, message: impl Into<String>) -> Error {
        match &self.token {
            Token::Error(lexical) => Error::new(self.start, lexical.to_string()),
            _ => Error::new(self.start, message.into()),
        }
    }

    /// A "Syntax error at `token' `message`." for the current token; `message` may be empty.
    pub fn syntax_error(&self, message: &str) -> Error {
        let place = match self.token {
            Token::End => " at end of input".to_string(),
            _ => format!(" at `{}'", self.token_text()),
        };
        let space = if message.is_empty() { "" } else { " " };
        self.error(format!("Syntax error{place}{space}{message}."))
    }
}

/// Number of bits up to and including the highest 1-bit; at least 1, since 0 needs a bit too.
fn significant_bits(value: u128) -> u16 {
    (128 - value.leading_zeros()).max(1) as u16
}

/// The prefix length of `mask` in a field of `width` bits, if it is a prefix mask.
fn prefix_length(mask: u128, width: u32) -> Option<u32> {
    let ones = mask.count_ones();
    (mask == prefix_mask(ones, width)).then_some(ones)
}

/// The mask of the `ones` highest of `width` bits.
fn prefix_mask(ones: u32, width: u32) -> u128 {
    let all = if width >= 128 { u128::MAX } else { (1u128 << width) - 1 };
    let host = width - ones.min(width);
    if host >= 128 { 0 } else { all >> host << host }
}

fn is_id_start(c: u8) -> bool {
    c.is_ascii_alphabetic() || c == b'_' || c == b'.'
}

fn is_id_continue(c: u8) -> bool {
    is_id_start(c) || c.is_ascii_digit()
}

fn error_token<'a>(message: impl Into<String>) -> Token<'a> {
    Token::Error(message.into().into_boxed_str())
}

/// The token that starts at or after `pos`, and the bytes it spans.
fn scan(text: &str, pos: usize) -> (Token<'_>, usize, usize) {
    let bytes = text.as_bytes();
    let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
    let mut p = pos;
    loop {
        match at(p) {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => p += 1,
            b'/' if at(p + 1) == b'/' => {
                p += 2;
                while p < bytes.len() && at(p) != b'\n' {
                    p += 1;
                }
            }
            b'/' if at(p + 1) == b'*' => {
                let start = p;
                p += 2;
                loop {
                    if at(p) == b'*' && at(p + 1) == b'/' {
                        p += 2;
                        break;
                    } else if p >= bytes.len() || at(p) == b'\n' {
                        return (error_token("`/*' without matching `*/'."), start, p);
                    }
                    p += 1;
                }
            }
            _ => break,
        }
    }
    if p >= bytes.len() {
        return (Token::End, p, p);
    }
    let start = p;
    let (token, end) = scan_token(text, bytes, start);
    (token, start, end)
}

fn scan_token<'a>(text: &'a str, bytes: &[u8], start: usize) -> (Token<'a>, usize) {
    let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
    let either = |second: u8, yes: Token<'a>, no: Token<'a>| {
        if at(start + 1) == second { (yes, start + 2) } else { (no, start + 1) }
    };
    match at(start) {
        b'(' => (Token::LParen, start + 1),
        b')' => (Token::RParen, start + 1),
        b'{' => (Token::LCurly, start + 1),
        b'}' => (Token::RCurly, start + 1),
        b'[' => (Token::LSquare, start + 1),
        b']' => (Token::RSquare, start + 1),
        b',' => (Token::Comma, start + 1),
        b';' => (Token::Semicolon, start + 1),
        b'=' => either(b'=', Token::Eq, Token::Equals),
        b'!' => either(b'=', Token::Ne, Token::LogNot),
        b'&' if at(start + 1) == b'&' => (Token::LogAnd, start + 2),
        b'&' => (error_token("`&' is only valid as part of `&&'."), start + 1),
        b'|' if at(start + 1) == b'|' => (Token::LogOr, start + 2),
        b'|' => (error_token("`|' is only valid as part of `||'."), start + 1),
        b'<' if at(start + 1) == b'-' && at(start + 2) == b'>' => (Token::Exchange, start + 3),
        b'<' => either(b'=', Token::Le, Token::Lt),
        b'>' => either(b'=', Token::Ge, Token::Gt),
        b'.' if at(start + 1) == b'.' => (Token::Ellipsis, start + 2),
        b'.' => (error_token("`.' is only valid as part of `..' or a number."), start + 1),
        b'-' => either(b'-', Token::Decrement, Token::Hyphen),
        b'/' => (error_token("`/' is only valid as part of `//' or `/*'."), start + 1),
        b'$' => scan_prefixed(text, start, Token::AddressSet, "`$' must be followed by a valid identifier."),
        b'@' => scan_prefixed(text, start, Token::PortGroup, "`@' must be followed by a valid identifier."),
        b'^' => scan_prefixed(text, start, Token::Template, "`^' must be followed by a valid identifier."),
        b':' if at(start + 1) != b':' => (Token::Colon, start + 1),
        b':' | b'0'..=b'9' => scan_integer(text, start),
        b'"' => scan_string(text, start),
        b'a'..=b'f' | b'A'..=b'F' => {
            // Only an Ethernet or IPv6 address has hex digits followed by a colon; identifiers never contain one.
            let hex = bytes[start..].iter().take_while(|c| c.is_ascii_hexdigit()).count();
            if at(start + hex) == b':' { scan_integer(text, start) } else { scan_id(text, start) }
        }
        c if is_id_start(c) => scan_id(text, start),
        c if c.is_ascii_graphic() => {
            (error_token(format!("Invalid character `{}' in input.", char::from(c))), start + 1)
        }
        c => {
            let len = text[start..].chars().next().map_or(1, char::len_utf8);
            (error_token(format!("Invalid byte 0x{c:x} in input.")), start + len)
        }
    }
}

fn id_end(text: &str, start: usize) -> usize {
    start + text.as_bytes()[start..].iter().take_while(|&&c| is_id_continue(c)).count()
}

fn scan_id(text: &str, start: usize) -> (Token<'_>, usize) {
    let end = id_end(text, start);
    (Token::Id(&text[start..end]), end)
}

fn scan_prefixed<'a>(text: &'a str, start: usize, make: fn(&'a str) -> Token<'a>, message: &str) -> (Token<'a>, usize) {
    let name = start + 1;
    match text.as_bytes().get(name) {
        Some(&c) if is_id_start(c) => {
            let end = id_end(text, name);
            (make(&text[name..end]), end)
        }
        _ => (error_token(message), name),
    }
}

/// An integer, and its mask if a `/` follows directly.
fn scan_integer(text: &str, start: usize) -> (Token<'_>, usize) {
    let (value, end) = scan_integer_part(text, start);
    let value = match value {
        Ok(value) => value,
        Err(message) => return (error_token(message), end),
    };
    if text.as_bytes().get(end) != Some(&b'/') {
        return (Token::Integer(value), end);
    }
    let (mask, end) = scan_integer_part(text, end + 1);
    match mask.and_then(|mask| apply_mask(value, mask)) {
        Ok(masked) => (Token::MaskedInteger(masked), end),
        Err(message) => (error_token(message), end),
    }
}

fn apply_mask(value: Integer, mask: Integer) -> Result<Integer, String> {
    use IntegerFormat::*;
    let mut format = value.format;
    let bits = match (value.format, mask.format) {
        (a, b) if a == b => mask.value,
        (Ipv4, Decimal) if mask.value <= 32 => prefix_mask(mask.value as u32, 32),
        (Ipv6, Decimal) if mask.value <= 128 => prefix_mask(mask.value as u32, 128),
        (Decimal, Hexadecimal) if value.value == 0 => {
            format = Hexadecimal;
            mask.value
        }
        _ => return Err("Value and mask have incompatible formats.".to_string()),
    };
    Ok(Integer { value: value.value & bits, mask: Some(bits), format, wide: mask.wide })
}

/// One integer without a mask: its extent first, then its format.
fn scan_integer_part(text: &str, start: usize) -> (Result<Integer, String>, usize) {
    let bytes = text.as_bytes();
    let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
    // `..` is never part of a number, and no colon follows a dot in one, so that `1..2` and `1.2.3.4:80` are three tokens.
    let mut end = start;
    let mut saw_dot = false;
    loop {
        match at(end) {
            c if c.is_ascii_alphanumeric() => {}
            b':' if !saw_dot => {}
            b'.' if at(end + 1) != b'.' => saw_dot = true,
            _ => break,
        }
        end += 1;
    }
    (parse_integer(&text[start..end]), end)
}

fn parse_integer(s: &str) -> Result<Integer, String> {
    if s.is_empty() {
        return Err("Integer constant expected.".to_string());
    }
    if let Some(value) = parse_ethernet(s) {
        return Ok(Integer::new(value, IntegerFormat::Ethernet));
    }
    if s.bytes().all(|c| c.is_ascii_digit()) {
        if s.len() > 1 && s.starts_with('0') {
            return Err("Decimal constants must not have leading zeros.".to_string());
        }
        let value = s.parse::<u64>().map_err(|_| "Decimal constants must be less than 2**64.".to_string())?;
        return Ok(Integer::new(value.into(), IntegerFormat::Decimal));
    }
    if let Some(digits) = s.strip_prefix("0x").or_else(|| s.strip_prefix("0X")) {
        if digits.is_empty() {
            return Err(format!("Hex digits expected following {s}."));
        }
        return parse_hex(digits);
    }
    // 45 characters are the longest IPv6 address with an embedded IPv4 one.
    if s.len() < 46 {
        if let Some(value) = parse_ipv4(s) {
            return Ok(Integer::new(value, IntegerFormat::Ipv4));
        }
        if let Ok(value) = s.parse::<Ipv6Addr>() {
            return Ok(Integer::new(value.to_bits(), IntegerFormat::Ipv6));
        }
    }
    Err("Invalid numeric constant.".to_string())
}

fn parse_hex(digits: &str) -> Result<Integer, String> {
    if !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err("Invalid syntax in hexadecimal constant.".to_string());
    }
    let significant = digits.trim_start_matches('0');
    let top = significant.chars().next().and_then(|c| c.to_digit(16)).map_or(0, |d| 32 - d.leading_zeros());
    let bits = significant.len().saturating_sub(1) * 4 + top as usize;
    if bits > 1024 {
        return Err("Hexadecimal constant requires more than 1024 bits.".to_string());
    }
    let low = &significant[significant.len().saturating_sub(32)..];
    let value = if low.is_empty() { 0 } else { u128::from_str_radix(low, 16).unwrap_or(0) };
    let wide = if bits > 128 { bits as u16 } else { 0 };
    Ok(Integer { value, mask: None, format: IntegerFormat::Hexadecimal, wide })
}

fn parse_ethernet(s: &str) -> Option<u128> {
    if s.len() != 17 {
        return None;
    }
    let mut value = 0u128;
    for part in s.split(':') {
        if part.len() != 2 || !part.bytes().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        value = value << 8 | u128::from(u8::from_str_radix(part, 16).ok()?);
    }
    Some(value)
}

/// Four decimal octets; leading zeros are accepted, as OVS's `ip_parse` does.
fn parse_ipv4(s: &str) -> Option<u128> {
    let mut value = 0u128;
    let mut n = 0;
    for part in s.split('.') {
        if part.is_empty() || !part.bytes().all(|c| c.is_ascii_digit()) {
            return None;
        }
        value = value << 8 | u128::from(part.parse::<u8>().ok()?);
        n += 1;
    }
    (n == 4).then_some(value)
}

/// A quoted string with JSON escapes.
fn scan_string(text: &str, start: usize) -> (Token<'_>, usize) {
    let bytes = text.as_bytes();
    let inner = start + 1;
    let mut p = inner;
    let mut escaped = false;
    while let Some(&c) = bytes.get(p) {
        match c {
            b'"' => {
                let raw = &text[inner..p];
                let token = if escaped {
                    match unescape(raw) {
                        Ok(s) => Token::String(Cow::Owned(s)),
                        Err(message) => error_token(message),
                    }
                } else {
                    Token::String(Cow::Borrowed(raw))
                };
                return (token, p + 1);
            }
            b'\\' => {
                escaped = true;
                p += 2;
            }
            _ => p += 1,
        }
    }
    (error_token("Input ends inside quoted string."), text.len())
}

fn unescape(raw: &str) -> Result<String, String> {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => unescape_utf16(&mut chars)?,
            Some(c) => return Err(format!("bad escape \\{c}")),
            None => return Err("quoted string may not end with backslash".to_string()),
        });
    }
    Ok(out)
}

fn unescape_utf16(chars: &mut std::str::Chars<'_>) -> Result<char, String> {
    fn unit(chars: &mut std::str::Chars<'_>) -> Result<u32, String> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = chars.next().and_then(|c| c.to_digit(16));
            value = value << 4 | digit.ok_or("malformed \\u escape")?;
        }
        Ok(value)
    }
    let high = unit(chars)?;
    let code = if (0xd800..0xdc00).contains(&high) {
        if chars.next() != Some('\\') || chars.next() != Some('u') {
            return Err("malformed escaped surrogate pair".to_string());
        }
        let low = unit(chars)?;
        if !(0xdc00..0xe000).contains(&low) {
            return Err("second half of escaped surrogate pair is not trailing surrogate".to_string());
        }
        0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
    } else {
        high
    };
    char::from_u32(code).filter(|&c| c != '\0').ok_or_else(|| "malformed \\u escape".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> String {
        let mut lexer = Lexer::new(text);
        let mut out = Vec::new();
        while *lexer.token() != Token::End {
            out.push(lexer.take().to_string());
        }
        out.join(" ")
    }

    #[test]
    fn vectors() {
        let file = include_str!("../testdata/lang/lexer.txt");
        for (i, line) in file.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (input, want) = line.split_once(" => ").unwrap_or((line, line));
            assert_eq!(render(input), want, "lexer.txt line {}", i + 1);
        }
    }

    #[test]
    fn offsets() {
        let mut lexer = Lexer::new("  a /* x */ == 1.2.3.4:80");
        let mut spans = Vec::new();
        while *lexer.token() != Token::End {
            spans.push((lexer.offset(), lexer.end_offset()));
            lexer.advance();
        }
        assert_eq!(spans, [(2, 3), (12, 14), (15, 22), (22, 23), (23, 25)]);
    }

    #[test]
    fn wide_hexadecimal() {
        let text = format!("0x1{}", "0".repeat(32));
        let lexer = Lexer::new(&text);
        assert!(matches!(lexer.token(), Token::Integer(i) if i.width() == 129));
        let text = format!("0x1{}", "0".repeat(256));
        assert!(matches!(Lexer::new(&text).token(), Token::Error(_)));
    }
}
