//! What the text forms share: values as `ovs-ofctl` writes them, and a cursor that knows where it is. Entry types:
//! [`Span`], [`write_value`], [`parse_value`].

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::digits::{write_0x, write_bytes, write_dec};
use crate::error::Error;
use crate::field::{Field, Format, Subfield, ones};

/// A result of reading text.
pub(crate) type Read<T> = Result<T, Error>;

/// A piece of a larger text, with its position in it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Span<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: usize,
}

impl<'a> Span<'a> {
    pub(crate) fn new(text: &'a str) -> Span<'a> {
        Span { text, at: 0 }
    }

    /// An error about the whole piece.
    pub(crate) fn error<T>(self, what: &'static str, detail: impl Into<String>) -> Read<T> {
        let token = self.text.chars().take(64).collect();
        Err(Error::Text { what, position: self.at, token, detail: detail.into() })
    }

    pub(crate) fn trim(self) -> Span<'a> {
        let left = self.text.trim_start();
        Span { text: left.trim_end(), at: self.at + self.text.len() - left.len() }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.text.is_empty()
    }

    /// What is before byte `i`, and what is from there on.
    fn split_at(self, i: usize) -> (Span<'a>, Span<'a>) {
        let (left, right) = self.text.split_at(i);
        (Span { text: left, at: self.at }, Span { text: right, at: self.at + i })
    }

    /// What is before and after the first `separator`, if there is one.
    pub(crate) fn split_once(self, separator: &str) -> Option<(Span<'a>, Span<'a>)> {
        let i = self.text.find(separator)?;
        let (left, right) = self.split_at(i);
        Some((left, right.split_at(separator.len()).1))
    }

    pub(crate) fn rsplit_once(self, separator: &str) -> Option<(Span<'a>, Span<'a>)> {
        let i = self.text.rfind(separator)?;
        let (left, right) = self.split_at(i);
        Some((left, right.split_at(separator.len()).1))
    }

    pub(crate) fn strip_prefix(self, prefix: &str) -> Option<Span<'a>> {
        let text = self.text.strip_prefix(prefix)?;
        Some(Span { text, at: self.at + prefix.len() })
    }

    /// The pieces between commas that are outside parentheses and brackets. Surrounding blanks and empty pieces are left out.
    pub(crate) fn items(self) -> impl Iterator<Item = Span<'a>> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            while let Some(now) = rest {
                let end = top_level_comma(now.text);
                let (item, after) = now.split_at(end.unwrap_or(now.text.len()));
                rest = end.map(|_| after.split_at(1).1);
                if !item.trim().is_empty() {
                    return Some(item.trim());
                }
            }
            None
        })
    }

    /// The pieces between blanks and commas.
    pub(crate) fn words(self) -> impl Iterator<Item = Span<'a>> {
        let separator = |c: char| c.is_whitespace() || c == ',';
        let base = self.text.as_ptr() as usize;
        let words = self.text.split(separator).filter(|word| !word.is_empty());
        words.map(move |word| Span { text: word, at: self.at + (word.as_ptr() as usize - base) })
    }

    /// `name(inside)` apart. Without parentheses there is no inside; text after them is an error.
    pub(crate) fn call(self, what: &'static str) -> Read<(&'a str, Option<Span<'a>>)> {
        let Some((name, rest)) = self.split_once("(") else {
            return Ok((self.text, None));
        };
        match rest.rsplit_once(")") {
            Some((inside, after)) if after.is_empty() => Ok((name.text, Some(inside))),
            Some((_, after)) => after.error(what, "unexpected text after \")\""),
            None => self.error(what, "missing \")\""),
        }
    }

    /// A number, decimal or `0x` hexadecimal, of at most `n_bits`.
    pub(crate) fn number(self, what: &'static str, n_bits: u16) -> Read<u128> {
        let parsed = match self.text.strip_prefix("0x").or_else(|| self.text.strip_prefix("0X")) {
            Some(digits) if !digits.starts_with('+') => u128::from_str_radix(digits, 16).ok(),
            None if !self.text.starts_with('+') => self.text.parse().ok(),
            _ => None,
        };
        match parsed {
            Some(value) if value <= ones(n_bits) => Ok(value),
            Some(_) => self.error(what, format!("does not fit in {n_bits} bits")),
            None => self.error(what, "not a number"),
        }
    }

    pub(crate) fn u8(self, what: &'static str) -> Read<u8> {
        self.number(what, 8).map(|value| value as u8)
    }

    pub(crate) fn u16(self, what: &'static str) -> Read<u16> {
        self.number(what, 16).map(|value| value as u16)
    }

    pub(crate) fn u32(self, what: &'static str) -> Read<u32> {
        self.number(what, 32).map(|value| value as u32)
    }

    pub(crate) fn u64(self, what: &'static str) -> Read<u64> {
        self.number(what, 64).map(|value| value as u64)
    }

    /// A 16-bit port number or name.
    pub(crate) fn port16(self) -> Read<u16> {
        let named = PORT_NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(self.text));
        if let Some((port, _)) = named {
            return Ok(*port);
        }
        if self.text.eq_ignore_ascii_case("NONE") {
            return Ok(0xffff);
        }
        let number = self.number("port", 32)? as u32;
        port_to_16(number).map_or_else(|| self.error("port", "no such port number"), Ok)
    }

    /// A subfield: `NXM_NX_REG0[0..15]`, `NXM_NX_REG0[3]`, `NXM_NX_REG0[]`, or a bare field name.
    pub(crate) fn subfield(self) -> Read<Subfield> {
        let (name, range) = match self.split_once("[") {
            None => (self, None),
            Some((name, range)) => match range.text.strip_suffix(']') {
                Some(text) => (name, Some(Span { text, at: range.at })),
                None => return self.error("subfield", "missing \"]\""),
            },
        };
        let field = name.field()?;
        let subfield = match range.filter(|range| !range.is_empty()) {
            None => field.whole(),
            Some(range) => {
                let (first, last) = range.split_once("..").unwrap_or((range, range));
                let (first, last) = (first.u16("subfield")?, last.u16("subfield")?);
                if last < first {
                    return range.error("subfield", "ends before it starts");
                }
                Subfield { field, ofs: first, n_bits: (last - first).saturating_add(1) }
            }
        };
        if subfield.fits() { Ok(subfield) } else { self.error("subfield", format!("{} is narrower", field.name())) }
    }

    pub(crate) fn field(self) -> Read<Field> {
        match Field::from_name(self.text) {
            Some(field) => Ok(field),
            None => self.error("field", "unknown field"),
        }
    }
}

/// Where the first comma outside parentheses and brackets is.
fn top_level_comma(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return Some(i),
            _ => (),
        }
    }
    None
}

/// Names of the reserved ports, 16-bit numbers.
const PORT_NAMES: [(u16, &str); 9] = [
    (0xfff7, "UNSET"),
    (0xfff8, "IN_PORT"),
    (0xfff9, "TABLE"),
    (0xfffa, "NORMAL"),
    (0xfffb, "FLOOD"),
    (0xfffc, "ALL"),
    (0xfffd, "CONTROLLER"),
    (0xfffe, "LOCAL"),
    (0xffff, "ANY"),
];

/// First reserved port number, 16 bits.
pub(crate) const PORT_MAX: u16 = 0xff00;

/// The 16-bit form of a 32-bit port number.
pub(crate) fn port_to_16(port: u32) -> Option<u16> {
    if port < u32::from(PORT_MAX) || port > 0xffff_ff00 || (0xff00..=0xffff).contains(&port) {
        Some((port & 0xffff) as u16)
    } else {
        None
    }
}

/// `ofputil_format_port` without a port map.
pub(crate) fn write_port(f: &mut impl fmt::Write, port: u16) -> fmt::Result {
    match PORT_NAMES.iter().find(|(number, _)| *number == port) {
        Some((_, name)) => f.write_str(name),
        None => write_dec(f, u128::from(port)),
    }
}

/// `0x..`, but `0` for zero (C's `%#x`).
pub(crate) fn write_hex(f: &mut impl fmt::Write, value: u128) -> fmt::Result {
    if value == 0 { f.write_char('0') } else { write_0x(f, value) }
}

/// Six colon-separated bytes.
fn write_eth(f: &mut impl fmt::Write, value: u128) -> fmt::Result {
    write_bytes(f, &value.to_be_bytes()[10..], b':')
}

pub(crate) fn write_ipv4(f: &mut impl fmt::Write, value: u32) -> fmt::Result {
    for (nth, byte) in value.to_be_bytes().into_iter().enumerate() {
        if nth > 0 {
            f.write_char('.')?;
        }
        write_dec(f, u128::from(byte))?;
    }
    Ok(())
}

/// As `inet_ntop` of the C library: addresses with 96 leading zero bits, and something in the next 16, end in a dotted quad.
pub(crate) fn write_ipv6(f: &mut impl fmt::Write, value: u128) -> fmt::Result {
    if value >> 32 == 0 && value >> 16 != 0 {
        f.write_str("::")?;
        return write_ipv4(f, value as u32);
    }
    write!(f, "{}", Ipv6Addr::from(value))
}

/// Number of leading ones, if nothing but zeros follows them.
fn prefix_len(mask: u128, n_bits: u16) -> Option<u32> {
    let shifted = mask << (128 - n_bits);
    let length = shifted.leading_ones();
    (shifted.count_ones() == length).then_some(length)
}

/// A value with its mask, the way `mf_format` writes them. A mask of all the value's bytes is not written.
pub(crate) fn write_value(f: &mut impl fmt::Write, field: Field, value: u128, mask: u128) -> fmt::Result {
    let all = field.all_ones();
    let mask = mask & all;
    let exact = mask == all;
    match field.format() {
        Format::Dec if exact => write_dec(f, value),
        Format::Dec => {
            write_dec(f, value)?;
            f.write_char('/')?;
            write_hex(f, mask)
        }
        Format::Port16 if exact => write_port(f, value as u16),
        Format::Port32 if exact => match port_to_16(value as u32) {
            Some(port) => write_port(f, port),
            None => write_dec(f, value),
        },
        Format::Eth => masked(f, exact, value, mask, write_eth),
        Format::Ipv4 => prefixed(f, 32, value, mask, |f, value| write_ipv4(f, value as u32)),
        Format::Ipv6 => prefixed(f, 128, value, mask, write_ipv6),
        Format::Frag => f.write_str(frag_name(value, mask & 3)),
        Format::TcpFlags => write_flags(f, value, mask & 0xfff, 0xfff, &TCP_FLAGS),
        Format::CtState => write_flags(f, value, mask, ones(32), &CT_STATES),
        Format::TunFlags => write_flags(f, value, mask & 1, 1, &["oam"]),
        Format::Hex | Format::Port16 | Format::Port32 => masked(f, exact, value, mask, write_hex),
    }
}

fn masked<F: fmt::Write>(
    f: &mut F,
    exact: bool,
    value: u128,
    mask: u128,
    write: impl Fn(&mut F, u128) -> fmt::Result,
) -> fmt::Result {
    write(f, value)?;
    if !exact {
        f.write_char('/')?;
        write(f, mask)?;
    }
    Ok(())
}

fn prefixed<F: fmt::Write>(
    f: &mut F,
    n_bits: u16,
    value: u128,
    mask: u128,
    write: impl Fn(&mut F, u128) -> fmt::Result,
) -> fmt::Result {
    write(f, value)?;
    match prefix_len(mask, n_bits) {
        Some(length) if length == u32::from(n_bits) => Ok(()),
        Some(length) => {
            f.write_char('/')?;
            write_dec(f, u128::from(length))
        }
        None => {
            f.write_char('/')?;
            write(f, mask)
        }
    }
}

/// Names of fragment matches with mask and value; the first of a name is what the name means.
const FRAGS: [(&str, u128, u128); 7] =
    [("no", 3, 0), ("first", 3, 1), ("later", 3, 3), ("no", 1, 0), ("yes", 1, 1), ("not_later", 2, 0), ("later", 2, 2)];

fn frag_name(value: u128, mask: u128) -> &'static str {
    FRAGS.iter().find(|(_, m, v)| *m == mask && *v == value & mask).map_or("<error>", |(name, _, _)| name)
}

/// `ct_state` bits from the lowest.
pub(crate) const CT_STATES: [&str; 8] = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];
/// TCP flags from the lowest.
pub(crate) const TCP_FLAGS: [&str; 12] =
    ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"];

/// `format_flags_masked`: names joined by `|` when everything counts, else `+` and `-` terms.
pub(crate) fn write_flags(f: &mut impl fmt::Write, value: u128, mask: u128, all: u128, names: &[&str]) -> fmt::Result {
    let exact = mask == all;
    if exact && value == 0 {
        return f.write_char('0');
    }
    let mut first = true;
    for (bit, name) in names.iter().enumerate() {
        let (set, matters) = (value >> bit & 1 == 1, mask >> bit & 1 == 1);
        if exact && set {
            write!(f, "{}{name}", if first { "" } else { "|" })?;
            first = false;
        } else if !exact && matters {
            write!(f, "{}{name}", if set { '+' } else { '-' })?;
        }
    }
    let rest = value & all & !ones(names.len() as u16);
    if exact && rest != 0 {
        write!(f, "{}{rest:#x}", if first { "" } else { "|" })?;
    }
    Ok(())
}

/// Value and mask of a field from text. Without a mask the mask is all ones.
pub(crate) fn parse_value(field: Field, text: Span<'_>) -> Read<(u128, u128)> {
    let what = field.name();
    match field.format() {
        Format::Frag => {
            let found = FRAGS.iter().find(|(name, _, _)| *name == text.text);
            found.map_or_else(|| text.error(what, "unknown kind of fragment"), |(_, mask, value)| Ok((*value, *mask)))
        }
        Format::TcpFlags => parse_flags(what, text, &TCP_FLAGS, 12),
        Format::CtState => parse_flags(what, text, &CT_STATES, 32),
        Format::TunFlags => parse_flags(what, text, &["oam"], 1),
        _ => {
            let Some((value, mask)) = text.split_once("/") else {
                return Ok((parse_one(field, text)?, u128::MAX));
            };
            let value = parse_one(field, value)?;
            let mask = match field.format() {
                Format::Ipv4 => prefix_mask(mask, 32),
                Format::Ipv6 => prefix_mask(mask, 128),
                _ => None,
            }
            .map_or_else(|| parse_one(field, mask), Ok)?;
            Ok((value & mask, mask))
        }
    }
}

fn prefix_mask(text: Span<'_>, n_bits: u16) -> Option<u128> {
    let length: u16 = text.text.parse().ok().filter(|length| *length <= n_bits)?;
    Some(ones(n_bits) & !ones(n_bits - length))
}

fn parse_one(field: Field, text: Span<'_>) -> Read<u128> {
    let what = field.name();
    match field.format() {
        Format::Eth => parse_eth(what, text),
        Format::Ipv4 => match text.text.parse::<Ipv4Addr>() {
            Ok(addr) => Ok(u128::from(addr.to_bits())),
            Err(_) => text.error(what, "not an IPv4 address"),
        },
        Format::Ipv6 => match text.text.parse::<Ipv6Addr>() {
            Ok(addr) => Ok(addr.to_bits()),
            Err(_) => text.error(what, "not an IPv6 address"),
        },
        Format::Port16 => text.port16().map(u128::from),
        Format::Port32 => text.port16().map(|port| crate::flow_match::port_to_32(u128::from(port))),
        _ => text.number(what, 8 * field.n_bytes() as u16),
    }
}

fn parse_eth(what: &'static str, text: Span<'_>) -> Read<u128> {
    let mut out = 0;
    let mut n = 0;
    for byte in text.text.split(':') {
        let parsed = (1..=2).contains(&byte.len()).then(|| u8::from_str_radix(byte, 16).ok()).flatten();
        match parsed {
            Some(byte) if byte_is_hex(text.text) => out = out << 8 | u128::from(byte),
            _ => return text.error(what, "not an Ethernet address"),
        }
        n += 1;
    }
    if n == 6 { Ok(out) } else { text.error(what, "not an Ethernet address") }
}

/// Keeps out the signs that number parsing would let through.
fn byte_is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':')
}

/// `+trk-new`, `syn|ack`, `0`, `0x12` or `0x12/0xfff`.
fn parse_flags(what: &'static str, text: Span<'_>, names: &[&str], n_bits: u16) -> Read<(u128, u128)> {
    let bit_of = |name: Span<'_>| match names.iter().position(|known| *known == name.text) {
        Some(bit) => Ok(1_u128 << bit),
        None => name.error(what, "unknown flag"),
    };
    if !text.text.starts_with(['+', '-']) {
        if let Some((value, mask)) = text.split_once("/") {
            return Ok((value.number(what, n_bits)?, mask.number(what, n_bits)?));
        }
        let mut out = 0;
        let mut rest = Some(text);
        while let Some(now) = rest {
            let (flag, after) = now.split_once("|").map_or((now, None), |(flag, after)| (flag, Some(after)));
            let number = flag.text.starts_with(|c: char| c.is_ascii_digit());
            out |= if number { flag.number(what, n_bits)? } else { bit_of(flag)? };
            rest = after;
        }
        return Ok((out, u128::MAX));
    }
    let (mut value, mut mask) = (0, 0);
    let mut rest = text;
    while !rest.is_empty() {
        let set = rest.text.starts_with('+');
        if !set && !rest.text.starts_with('-') {
            return rest.error(what, "expected \"+\" or \"-\"");
        }
        let after = rest.split_at(1).1;
        let end = after.text.find(['+', '-']).unwrap_or(after.text.len());
        let (name, next) = after.split_at(end);
        let bit = bit_of(name)?;
        mask |= bit;
        value |= if set { bit } else { 0 };
        rest = next;
    }
    Ok((value, mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_both_ways() {
        for (field, text) in [
            (Field::IPV4_SRC, "10.0.0.0/9"),
            (Field::IPV4_SRC, "10.0.0.1"),
            (Field::IPV4_SRC, "0.0.0.1/0.0.0.255"),
            (Field::IPV6_SRC, "2001:db8::/64"),
            (Field::IPV6_SRC, "::1/::ffff"),
            (Field::IPV6_DST, "::10.0.0.1"),
            (Field::ETH_DST, "01:00:00:00:00:00/01:00:00:00:00:00"),
            (Field::CT_STATE, "+est-rpl+trk"),
            (Field::TCP_FLAGS, "syn|psh|ns|[200]|[400]"),
            (Field::TCP_FLAGS, "0"),
            (Field::TCP_FLAGS, "+syn-ack"),
            (Field::IP_FRAG, "not_later"),
            (Field::IP_DSCP, "12/0x3f"),
            (Field::reg(0), "0/0x1"),
            (Field::IN_PORT, "ANY"),
            (Field::IN_PORT_OXM, "LOCAL"),
        ] {
            let (value, mask) = parse_value(field, Span::new(text)).unwrap();
            let mut out = String::new();
            write_value(&mut out, field, value, mask).unwrap();
            assert_eq!(out, text, "{field:?}");
        }
    }

    #[test]
    fn bad_values_say_where() {
        for (field, text) in [
            (Field::IPV4_SRC, "10.0.0"),
            (Field::ETH_DST, "1:2:3:4:5"),
            (Field::ETH_DST, "+1:2:3:4:5:6"),
            (Field::CT_STATE, "+est*rpl"),
            (Field::TCP_FLAGS, "syn|xyz"),
            (Field::reg(0), "0x1ffffffff"),
            (Field::reg(0), "+1"),
            (Field::IP_FRAG, "maybe"),
        ] {
            let error = parse_value(field, Span { text, at: 7 }).unwrap_err();
            assert!(matches!(&error, Error::Text { position: 7.., .. }), "{error}");
        }
    }
}
