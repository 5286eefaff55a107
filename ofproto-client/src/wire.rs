//! What the decoders share: nom's readers with errors that know what was being read and where. Entry types: [`Read`],
//! [`finish`].

use nom::IResult;
use nom::bytes::complete::take;
use nom::error::{ContextError, ErrorKind, ParseError};

use crate::error::Error;
use crate::field::{Field, Subfield, ones};
use crate::flow_match::number;

/// A reader's result.
pub(crate) type Read<'a, T> = IResult<&'a [u8], T, Fault<'a>>;

/// What nom carries while reading. The bytes still to be read say where.
#[derive(Debug)]
pub(crate) struct Fault<'a> {
    rest: &'a [u8],
    what: &'static str,
    detail: Option<String>,
}

impl<'a> ParseError<&'a [u8]> for Fault<'a> {
    fn from_error_kind(rest: &'a [u8], _: ErrorKind) -> Fault<'a> {
        Fault { rest, what: "structure", detail: None }
    }

    fn append(_: &'a [u8], _: ErrorKind, other: Fault<'a>) -> Fault<'a> {
        other
    }
}

impl<'a> ContextError<&'a [u8]> for Fault<'a> {
    fn add_context(_: &'a [u8], what: &'static str, other: Fault<'a>) -> Fault<'a> {
        let what = if other.what == "structure" { what } else { other.what };
        Fault { what, ..other }
    }
}

/// A failure to read `what` at `rest`.
pub(crate) fn invalid<'a, T>(rest: &'a [u8], what: &'static str, detail: impl Into<String>) -> Read<'a, T> {
    Err(nom::Err::Failure(Fault { rest, what, detail: Some(detail.into()) }))
}

/// The value, or the error with its offset into `whole`.
pub(crate) fn finish<'a, T>(whole: &'a [u8], result: Read<'a, T>) -> Result<(&'a [u8], T), Error> {
    match result {
        Ok(done) => Ok(done),
        Err(nom::Err::Incomplete(_)) => Err(Error::Truncated { what: "structure", offset: whole.len() }),
        Err(nom::Err::Error(fault) | nom::Err::Failure(fault)) => {
            // `rest` is always a part of `whole`, so the distance of their addresses is the offset.
            let offset = (fault.rest.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize).min(whole.len());
            Err(match fault.detail {
                None => Error::Truncated { what: fault.what, offset },
                Some(detail) => Error::Invalid { what: fault.what, offset, detail },
            })
        }
    }
}

/// Reads a length-prefixed part: all of `input` up to `length`, and what comes after it.
pub(crate) fn part<'a>(input: &'a [u8], what: &'static str, length: usize) -> Read<'a, &'a [u8]> {
    if length > input.len() {
        return invalid(input, what, format!("length {length}, but only {} bytes are left", input.len()));
    }
    take(length)(input)
}

/// One property: type and value. Its padding is skipped.
pub(crate) fn property(input: &[u8]) -> Read<'_, (u16, &[u8])> {
    use nom::number::complete::be_u16;
    let (rest, kind) = be_u16(input)?;
    let (_, length) = be_u16(rest)?;
    let length = usize::from(length);
    if length < 4 {
        return invalid(input, "property", format!("length {length}"));
    }
    let (_, whole) = part(input, "property", length)?;
    let (rest, _) = part(input, "property", length.next_multiple_of(8).min(input.len()))?;
    let (value, _) = take(4_usize)(whole)?;
    Ok((rest, (kind, value)))
}

/// Experimenter class of OXM headers, and the experimenters whose fields we know.
const CLASS_EXPERIMENTER: u32 = 0xffff;
const EXPERIMENTER_ONF: u32 = 0x4f4e_4600;
const EXPERIMENTER_NICIRA: u32 = 0x2320;

/// Field, has-mask bit and payload length of an OXM header.
pub(crate) fn oxm_header(input: &[u8]) -> Read<'_, (Field, bool, usize)> {
    use nom::number::complete::be_u32;
    let (rest, header) = nom::error::context("OXM header", be_u32).parse_complete(input)?;
    let mut length = (header & 0xff) as usize;
    if header >> 16 == CLASS_EXPERIMENTER {
        let (rest, experimenter) = be_u32(rest)?;
        let number = header >> 9 & 0x7f;
        let field = match (experimenter, number) {
            (EXPERIMENTER_ONF, 42) => Field::TCP_FLAGS,
            (EXPERIMENTER_ONF, 43) => Field::ACTSET_OUTPUT,
            (EXPERIMENTER_NICIRA, 0) => Field::DP_HASH,
            _ => return invalid(input, "OXM header", format!("unknown field {number} of {experimenter:#x}")),
        };
        length = length.saturating_sub(4);
        return Ok((rest, (field, header & 0x100 != 0, length)));
    }
    match Field::from_oxm(header) {
        Some((field, masked)) => Ok((rest, (field, masked, length))),
        None => invalid(input, "OXM header", format!("unknown field {header:#010x}")),
    }
}

/// Field, value and mask of an OXM entry. Without a mask the mask is all ones.
pub(crate) fn oxm(input: &[u8]) -> Read<'_, (Field, u128, u128)> {
    let (rest, (field, masked, length)) = oxm_header(input)?;
    let parts = 1 + usize::from(masked);
    let n = length / parts;
    // A tunnel option has no leading zero bytes, so a set-field of zero has none at all.
    let right = if field.is_tun_metadata() { n <= 16 } else { n == field.n_bytes() };
    if !right || length % parts != 0 {
        return invalid(input, "OXM entry", format!("{} of length {length}", field.name()));
    }
    let (rest, value) = part(rest, "OXM value", n)?;
    let value = number(value);
    if !masked {
        return Ok((rest, (field, value, field.all_ones())));
    }
    let (rest, mask) = part(rest, "OXM mask", n)?;
    let mask = number(mask);
    Ok((rest, (field, value & mask, mask)))
}

/// The field of a header that stands alone (no value follows).
pub(crate) fn bare_field(input: &[u8]) -> Read<'_, Field> {
    let (rest, (field, _, _)) = oxm_header(input)?;
    Ok((rest, field))
}

/// A subfield, if its bits are inside its field.
pub(crate) fn subfield(at: &[u8], field: Field, ofs: u16, n_bits: u16) -> Read<'_, Subfield> {
    let subfield = Subfield { field, ofs, n_bits };
    if subfield.fits() {
        Ok((at, subfield))
    } else {
        invalid(at, "subfield", format!("{n_bits} bits at {ofs} of {}", field.name()))
    }
}

/// `ofs << 6 | (n_bits - 1)` apart.
pub(crate) fn ofs_nbits(value: u16) -> (u16, u16) {
    (value >> 6, (value & 0x3f) + 1)
}

/// `value` cut to `n_bits`.
pub(crate) fn cut(value: u128, n_bits: u16) -> u128 {
    value & ones(n_bits)
}

/// `Parser::parse` under a name that reads well beside functions called directly.
pub(crate) trait ParseComplete<'a, O>: nom::Parser<&'a [u8], Output = O, Error = Fault<'a>> + Sized {
    /// Runs the parser.
    fn parse_complete(mut self, input: &'a [u8]) -> Read<'a, O> {
        self.parse(input)
    }
}

impl<'a, O, P: nom::Parser<&'a [u8], Output = O, Error = Fault<'a>>> ParseComplete<'a, O> for P {}
