//! Reading and writing of big-endian wire data: `Reader` (a cursor that names what it reads in its errors), the property
//! helpers that most newer OpenFlow structures are made of, and `DecodeError` / `EncodeError`.
//!
//! A property is `type2, length2, payload`, the length counts the header and not the padding to a multiple of 8.

use bytes::{BufMut, BytesMut};
use thiserror::Error;

/// Bytes from the peer that are not the message they claim to be. Names the structure and the offset in it.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[error("{what} at byte {offset}: {problem}")]
pub struct DecodeError {
    /// The structure that was being read, for example `OFPT_FEATURES_REPLY`.
    pub what: &'static str,
    /// Offset in bytes from the start of that structure.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a structure; see [`DecodeError`].
#[derive(Clone, Debug, Eq, PartialEq, Error)]
pub enum Problem {
    /// The structure ends before it is complete.
    #[error("{need} bytes needed, {have} left")]
    Truncated {
        /// Bytes wanted.
        need: usize,
        /// Bytes left.
        have: usize,
    },
    /// A length field that cannot be true.
    #[error("bad length {0}")]
    Length(usize),
    /// A value outside its set.
    #[error("unknown {field} {value}")]
    Value {
        /// The field's name in the OpenFlow headers.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A match, action, group or meter inside the message is bad.
    #[error("{0}")]
    Inner(String),
}

/// A message that has no OpenFlow form.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
pub enum EncodeError {
    /// OpenFlow's length field has 16 bits (`ofctrl_put`, "The FLOW_MOD message is too big" in OVN 23.03 and later).
    #[error("the {what} message is too big: {length} bytes, the limit is 65535")]
    TooBig {
        /// The message's name.
        what: &'static str,
        /// The length it would have, in bytes.
        length: usize,
    },
}

/// A cursor over one wire structure.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    what: &'static str,
    data: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(what: &'static str, data: &'a [u8]) -> Self {
        Reader { what, data, offset: 0 }
    }

    pub(crate) fn error(&self, problem: Problem) -> DecodeError {
        DecodeError { what: self.what, offset: self.offset, problem }
    }

    pub(crate) fn bad_value(&self, field: &'static str, value: impl Into<u64>) -> DecodeError {
        self.error(Problem::Value { field, value: value.into() })
    }

    pub(crate) fn inner(&self, error: impl std::fmt::Display) -> DecodeError {
        self.error(Problem::Inner(error.to_string()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    pub(crate) fn take(&mut self, need: usize) -> Result<&'a [u8], DecodeError> {
        let Some((head, tail)) = self.data.split_at_checked(need) else {
            return Err(self.error(Problem::Truncated { need, have: self.data.len() }));
        };
        self.data = tail;
        self.offset += need;
        Ok(head)
    }

    pub(crate) fn skip(&mut self, n: usize) -> Result<(), DecodeError> {
        self.take(n).map(drop)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let have = self.data.len();
        let Some((head, tail)) = self.data.split_first_chunk::<N>() else {
            return Err(self.error(Problem::Truncated { need: N, have }));
        };
        self.data = tail;
        self.offset += N;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[b]| b)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = self.data;
        self.offset += rest.len();
        self.data = &[];
        rest
    }

    /// The next `need` bytes as a reader of their own.
    pub(crate) fn sub(&mut self, what: &'static str, need: usize) -> Result<Reader<'a>, DecodeError> {
        self.take(need).map(|data| Reader::new(what, data))
    }

    /// The next property: its type and its payload after the four header bytes. Padding is skipped; the last property may
    /// lack it.
    pub(crate) fn property(&mut self) -> Result<Property<'a>, DecodeError> {
        let start = self.clone();
        let kind = self.u16()?;
        let length = usize::from(self.u16()?);
        if length < 4 || length > start.len() {
            return Err(start.error(Problem::Length(length)));
        }
        let payload = self.sub(self.what, length - 4)?;
        let padding = pad8(length).min(self.len());
        self.skip(padding)?;
        Ok(Property { kind, payload })
    }
}

/// One property, see [`Reader::property`].
#[derive(Debug)]
pub(crate) struct Property<'a> {
    pub(crate) kind: u16,
    pub(crate) payload: Reader<'a>,
}

impl<'a> Property<'a> {
    /// A 64-bit value, which is aligned to 8 bytes inside the property.
    pub(crate) fn u64(mut self) -> Result<u64, DecodeError> {
        self.payload.skip(4)?;
        self.payload.u64()
    }

    /// Nested properties, which are aligned to 8 bytes inside the property.
    pub(crate) fn nested(mut self) -> Result<Reader<'a>, DecodeError> {
        self.payload.skip(4)?;
        Ok(self.payload)
    }
}

/// Bytes that pad `length` to a multiple of 8.
pub(crate) fn pad8(length: usize) -> usize {
    length.wrapping_neg() & 7
}

/// Appends a property whose payload `body` writes.
pub(crate) fn put_property(out: &mut BytesMut, kind: u16, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u16(kind);
    out.put_u16(0);
    body(out);
    let length = out.len() - start;
    patch_u16(out, start + 2, length);
    out.put_bytes(0, pad8(length));
}

/// Appends a property that holds other properties or opaque bytes aligned to 8.
pub(crate) fn put_nested_property(out: &mut BytesMut, kind: u16, body: impl FnOnce(&mut BytesMut)) {
    put_property(out, kind, |out| {
        out.put_u32(0);
        body(out);
    });
}

/// Appends a 16-bit property, which OpenFlow gives a length of 8.
pub(crate) fn put_u16_property(out: &mut BytesMut, kind: u16, value: u16) {
    put_property(out, kind, |out| {
        out.put_u16(value);
        out.put_u16(0);
    });
}

/// Overwrites two bytes with a length; a length above 65535 is cut, the message it is in is then refused as a whole.
pub(crate) fn patch_u16(out: &mut BytesMut, at: usize, value: usize) {
    if let Some(place) = out.get_mut(at..at + 2) {
        place.copy_from_slice(&(value as u16).to_be_bytes());
    }
}

/// Appends `text` cut or zero-padded to `width` bytes, with at least one zero at the end.
pub(crate) fn put_string(out: &mut BytesMut, text: &str, width: usize) {
    let bytes = text.as_bytes();
    let kept = bytes.get(..width.saturating_sub(1)).unwrap_or(bytes);
    out.put_slice(kept);
    out.put_bytes(0, width - kept.len());
}

/// A zero-padded string field.
pub(crate) fn read_string(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or(bytes)).into_owned()
}
